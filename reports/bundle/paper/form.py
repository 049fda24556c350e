"""Whether a PDF has the form of a print: nothing added behind it, nothing hidden in it."""

from __future__ import annotations

import hashlib
import html as entities
import re
from collections.abc import Iterator
from typing import Any

from ....errors import UsageError

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
_FORM = {"/Type", "/Subtype", "/BBox", "/Matrix", "/Resources", "/Group", "/Filter", "/Length"}
_SPOKEN = ("/Alt", "/ActualText", "/E")


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
            if one.get("/Subtype") == "/Form" and (odd := _further(one, _FORM, "a part of a page")):
                yield odd
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


def font_hashes(reader: Any) -> Iterator[str]:
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
