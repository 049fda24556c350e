"""Whether a PDF has the form of a print: nothing added behind it, nothing hidden in it, no text that nobody can see."""

from __future__ import annotations

import hashlib
import html as entities
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...errors import UsageError

_ROOT = {
    *("/Type", "/Pages", "/Outlines", "/Lang", "/Names", "/StructTreeRoot", "/ViewerPreferences", "/MarkInfo"),
    "/Metadata",
}
_PAGE = {
    *("/Type", "/Parent", "/MediaBox", "/TrimBox", "/BleedBox", "/Contents", "/Resources", "/Tabs", "/StructParents"),
    *("/Annots", "/Group"),
}
_INFO = {"/Producer", "/Title", "/Creator", "/CreationDate", "/ModDate"}
_LINK = {"/Type", "/Subtype", "/Rect", "/BS", "/Border", "/Dest", "/A", "/F", "/P", "/Contents", "/StructParent"}
_ODD_OPERATORS = {
    b"INLINE IMAGE": "a picture of pixels",
    b"sh": "a shading",
    b"Tz": "squeezed text",
    b"Ts": "raised text",
}
_PALE = 0.75
"""The lightest text that is read on white: as the luminance of its colour. Pages are printed in far darker ones."""
_SPOKEN = ("/Alt", "/ActualText", "/E")

Point = tuple[float, float]


def check_form(reader: Any, data: bytes) -> None:
    """Refuse what no print of a page holds, as far as pypdf shows it.

    Raises:
        UsageError: it holds such a thing.
    """
    _refuse(_whole(reader, data))
    _refuse(_further(reader.trailer["/Root"], _ROOT, "the document"))
    _refuse(_further(reader.trailer["/Root"].get("/Names", {}), {"/Dests"}, "its list of names"))
    boxes = {str(box) for page in reader.pages for box in _boxes(page)}
    _refuse("pages of different sizes, or parts of pages" if len(boxes) > 1 else "")
    for number, page in enumerate(reader.pages, 1):
        _refuse(_further(page, _PAGE, f"page {number}") or next(_notes(page), ""))
    _refuse(next(_objects(reader), ""))


def _refuse(what: str) -> None:
    if what:
        raise UsageError(f"it holds {what}, which no print of a page does")


def _whole(reader: Any, data: bytes) -> str:
    if not data.startswith(b"%PDF-") or not re.search(rb"startxref\n\d+\n%%EOF\n\Z", data):
        return "bytes before its beginning or behind its end"
    return "a later revision of itself" if {"/Prev", "/XRefStm", "/Encrypt"} & set(reader.trailer) else ""


def _further(value: Any, known: set[str], where: str) -> str:
    odd = sorted(set(value) - known)
    return f"{odd[0]} in {where}" if odd else ""


def _boxes(page: Any) -> Iterator[list[float]]:
    for name in ("/MediaBox", "/TrimBox", "/BleedBox"):
        if name in page:
            yield [float(one) for one in page[name]]


def _notes(page: Any) -> Iterator[str]:
    """Links within the document are all that a print has."""
    for reference in page.get("/Annots") or ():
        note = reference.get_object()
        if note.get("/Subtype") != "/Link":
            yield "annotations"
        elif odd := _further(note, _LINK, "a link"):
            yield odd
        elif "/A" in note and note["/A"].get("/S") != "/GoTo":
            yield "a link that leads out of it"


def _objects(reader: Any) -> Iterator[str]:
    for number in range(1, int(reader.trailer["/Size"])):
        one = _object(reader, number)
        if isinstance(one, dict):
            if one.get("/Subtype") == "/Image":
                yield "pictures of pixels"
            if one.get("/Type") == "/Font" and one.get("/Subtype") == "/Type3":
                yield "a font that is drawn"
            if one.get("/CIDToGIDMap", "/Identity") != "/Identity":
                yield "letters that are drawn as others"
            if one.get("/S") in ("/JavaScript", "/Launch", "/URI", "/SubmitForm") or one.get("/Type") == "/Filespec":
                yield "scripts, attachments or links that lead out of it"


def _object(reader: Any, number: int) -> Any:
    from pypdf.errors import PyPdfError

    try:
        return reader.get_object(number)
    except PyPdfError:  # a number that is not used
        return None


def spoken_texts(reader: Any) -> Iterator[str]:
    """What a PDF says beside its pages: its title, its headings in a list, and what is read aloud in place of pictures."""
    info = reader.metadata or {}
    _refuse(_further(info, _INFO, "what it says of itself"))
    yield str(info.get("/Title", ""))
    for name in ("/CreationDate", "/ModDate"):
        yield re.sub(r"D:(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z", r"\1-\2-\3T\4:\5:\6", str(info.get(name, "")))
    yield from _outline(reader.outline)
    for number in range(1, int(reader.trailer["/Size"])):
        one = _object(reader, number)
        if isinstance(one, dict):
            yield from (str(one[name]) for name in _SPOKEN if name in one)
    described = reader.trailer["/Root"].get("/Metadata")
    if described is not None:
        told = described.get_object().get_data().decode("utf-8", "replace")
        producer = str(info.get("/Producer", ""))
        yield str(info.get("/Creator", ""))
        yield from (text for one in re.findall(r">([^<]+)<", told) if (text := entities.unescape(one).strip()))
        _refuse("" if re.fullmatch(r"WeasyPrint [\d.]+", producer) else "another producer than WeasyPrint")
        quoted = {
            entities.unescape(one) for one in re.findall(r'"([^"]*)"', told) if not one.startswith(("http", "adobe"))
        }
        known = {producer, "", "1", "x-default", "W5M0MpCehiHzreSzNTczkc9d", "r"}
        _refuse("further data of data" if quoted - known else "")


def fonts_of(reader: Any) -> Iterator[str]:
    """The sha256 of every font that is embedded."""
    for number in range(1, int(reader.trailer["/Size"])):
        one = _object(reader, number)
        if isinstance(one, dict):
            for name in {"/FontFile", "/FontFile2", "/FontFile3"} & set(one):
                yield hashlib.sha256(one[name].get_object().get_data()).hexdigest()


def _outline(entries: Any) -> Iterator[str]:
    for one in entries:
        if isinstance(one, list):
            yield from _outline(one)
        else:
            yield str(one.title)


@dataclass(slots=True)
class _State:
    """How text is drawn."""

    fill: Sequence[float] = (0.0,)
    alpha: float = 1.0
    mode: int = 0


@dataclass(slots=True)
class _Canvas:
    """What was drawn of a page, or of a form in it, whose places pypdf tells from the form's own corner."""

    shapes: list[list[Point]] = field(default_factory=list)
    written: list[Point] = field(default_factory=list)


@dataclass(slots=True)
class Watch:
    """Follows the drawing of a page while its text is read; `found` is what keeps a text from being seen."""

    page: Any
    found: list[str] = field(default_factory=list)
    _state: _State = field(default_factory=_State)
    _saved: list[_State] = field(default_factory=list)
    _canvases: list[_Canvas] = field(default_factory=lambda: [_Canvas()])

    def before(self, operator: bytes, operands: Any, cm: Any, tm: Any) -> None:
        """As pypdf calls it before every operator of a page and of the forms in it."""
        state = self._state
        if operator == b"q":
            self._saved.append(_State(state.fill, state.alpha, state.mode))
        elif operator == b"Q" and self._saved:
            self._state = self._saved.pop()
        elif operator in (b"g", b"rg", b"k", b"sc", b"scn"):
            state.fill = [float(one) for one in operands if isinstance(one, int | float)]
        elif operator == b"Tr":
            state.mode = int(operands[0])
        elif operator == b"gs":
            state.alpha = self._alpha(operands[0], state.alpha)
        elif operator in (b"Tj", b"TJ", b"'", b'"'):
            self._text(cm, tm)
        elif operator == b"Do":
            self._canvases.append(_Canvas())
        elif operator in _ODD_OPERATORS:
            self.found.append(_ODD_OPERATORS[operator])
        else:
            self._draw(operator, operands, cm)

    def after(self, operator: bytes, *_: Any) -> None:
        """As pypdf calls it behind every operator."""
        if operator == b"Do":
            self._canvases.pop()

    def _alpha(self, name: Any, before: float) -> float:
        """A print names all of its alphas in each page's list; a name from elsewhere may mean anything."""
        known = self.page["/Resources"].get("/ExtGState", {})
        return float(known[name].get("/ca", before)) if name in known else 0.0

    def _text(self, cm: Any, tm: Any) -> None:
        state, place = self._state, _moved((float(tm[4]), float(tm[5])), cm)
        box = [float(one) for one in self.page["/MediaBox"]]
        if state.mode != 0:
            self.found.append("text that is not drawn")
        if state.alpha < 0.5 or _luminance(state.fill) > _PALE:
            self.found.append("text too pale to be read")
        if len(self._canvases) == 1 and not (box[0] <= place[0] <= box[2] and box[1] <= place[1] <= box[3]):
            self.found.append("text beside the page")
        if abs(float(tm[0]) * float(cm[0])) + abs(float(tm[1]) * float(cm[1])) < 0.1:
            self.found.append("text too small to be read")
        self._canvases[-1].written.append(place)

    def _draw(self, operator: bytes, operands: Any, cm: Any) -> None:
        canvas = self._canvases[-1]
        if operator == b"re":
            x, y, wide, high = (float(one) for one in operands)
            corners = [(x, y), (x + wide, y), (x + wide, y + high), (x, y + high)]
            canvas.shapes.append([_moved(corner, cm) for corner in corners])
        elif operator in (b"m", b"l", b"c", b"v", b"y"):
            if operator == b"m" or not canvas.shapes:
                canvas.shapes.append([])
            canvas.shapes[-1].append(_moved((float(operands[-2]), float(operands[-1])), cm))
        elif operator in (b"f", b"F", b"f*", b"B", b"B*", b"b", b"b*"):
            if any(_inside((x + 1, y + 1), shape) for shape in canvas.shapes for x, y in canvas.written):
                self.found.append("text that is painted over")
            canvas.shapes = []
        elif operator in (b"n", b"S", b"s"):
            canvas.shapes = []


def _moved(point: Point, matrix: Any) -> Point:
    a, b, c, d, e, f = (float(one) for one in matrix)
    return a * point[0] + c * point[1] + e, b * point[0] + d * point[1] + f


def _luminance(fill: Sequence[float]) -> float:
    if len(fill) == 4:
        fill = [(1 - one) * (1 - fill[3]) for one in fill[:3]]
    return (
        float(fill[0]) if len(fill) == 1 else sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), fill, strict=False))
    )


def _inside(point: Point, path: Sequence[Point]) -> bool:
    """Whether a point lies in a closed path of straight lines, by how often a ray from it crosses them."""
    x, y = point
    sides = zip(path, [*path[1:], *path[:1]], strict=True)
    return (
        sum((ay > y) != (by > y) and x < (bx - ax) * (y - ay) / (by - ay) + ax for (ax, ay), (bx, by) in sides) % 2 == 1
    )
