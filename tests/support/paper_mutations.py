"""What a forger may do to a PDF whose text he leaves as it is, or nearly: hide it, cover it, move it, add to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from functools import lru_cache
from hashlib import sha256
from io import BytesIO
from typing import Any

from fontTools.ttLib import TTFont, newTable
from fontTools.ttLib.tables.ttProgram import Program
from pypdf import PdfReader, PdfWriter
from pypdf.annotations import FreeText, Link
from pypdf.generic import (
    ArrayObject,
    ByteStringObject,
    DecodedStreamObject,
    DictionaryObject,
    FloatObject,
    NameObject,
    NumberObject,
    RectangleObject,
    TextStringObject,
)

Change = Callable[[PdfWriter], object]


@lru_cache(maxsize=4)
def _reader(data: bytes) -> PdfReader:
    """One for all that is made of a PDF: a writer copies what it reads, and changes its copy."""
    return PdfReader(BytesIO(data))


def rewritten(data: bytes, change: Change) -> bytes:
    """The PDF written anew by pypdf, with a change; with none it says the same and is as good a print to who only reads it."""
    writer = PdfWriter(clone_from=_reader(data))
    writer.metadata = _reader(data).metadata
    change(writer)
    target = BytesIO()
    writer.write(target)
    return target.getvalue()


def embedded(data: bytes) -> list[str]:
    """The sha256 of every font that a PDF embeds, as a bundle lists them."""
    found, reader = set(), PdfReader(BytesIO(data))
    for one in map(reader.get_object, range(1, reader.trailer["/Size"])):
        for key in {"/FontFile2", "/FontFile3"} & set(one if isinstance(one, dict) else ()):
            found.add(sha256(one[key].get_object().get_data()).hexdigest())
    return sorted(found)


def identify(writer: PdfWriter, identifier: bytes) -> None:
    """Say that it is a print of another page."""
    writer._ID = ArrayObject([ByteStringObject(identifier), ByteStringObject(identifier)])


def _content(edit: Callable[[bytes], bytes]) -> Change:
    def change(writer: PdfWriter) -> None:
        page = writer.pages[0]
        stream = DecodedStreamObject()
        stream.set_data(edit(page["/Contents"].get_object().get_data()))
        page[NameObject("/Contents")] = writer._add_object(stream)

    return change


def _after_first(mark: bytes, more: bytes) -> Change:
    def edit(content: bytes) -> bytes:
        assert mark in content
        return content.replace(mark, mark + more, 1)

    return _content(edit)


def _page(**entries: Any) -> Change:
    return lambda writer: writer.pages[0].update({NameObject(f"/{name}"): one for name, one in entries.items()})


def _root(**entries: Any) -> Change:
    return lambda writer: writer.root_object.update({NameObject(f"/{name}"): one for name, one in entries.items()})


def _first(writer: PdfWriter, wanted: Callable[[Any], bool]) -> Any:
    return next(one for one in (o.get_object() if o else o for o in writer._objects) if wanted(one))


def _text_of(key: str) -> Change:
    """Another text where the document has one for those who do not see it."""

    def change(writer: PdfWriter) -> None:
        one = _first(writer, lambda o: isinstance(o, dict) and key in o and o.get("/Type") in ("/StructElem", None))
        one[NameObject(key)] = TextStringObject("9.99 times faster")

    return change


def _outline(writer: PdfWriter) -> None:
    _first(writer, lambda o: isinstance(o, dict) and "/Dest" in o and "/Title" in o)[NameObject("/Title")] = (
        TextStringObject("9.99 times faster")
    )


def _link(**entries: Any) -> Change:
    def change(writer: PdfWriter) -> None:
        link = (
            Link(rect=(0, 0, 9, 9), target_page_index=0) if "url" not in entries else Link(rect=(0, 0, 9, 9), **entries)
        )
        if "url" not in entries:
            link[NameObject("/AP")] = DictionaryObject()
        writer.add_annotation(0, link)

    return change


def _pages_turned(writer: PdfWriter) -> None:
    kids = writer.root_object["/Pages"]["/Kids"]
    kids.insert(0, kids.pop())


def _page_gone(writer: PdfWriter) -> None:
    writer.remove_page(1)


def _glyphs(writer: PdfWriter) -> None:
    font = _first(writer, lambda o: isinstance(o, dict) and "/CIDToGIDMap" in o)
    stream = DecodedStreamObject()
    stream.set_data(bytes(2000))
    font[NameObject("/CIDToGIDMap")] = writer._add_object(stream)


def _letters(writer: PdfWriter) -> None:
    """Glyphs that are read as other letters than they show."""
    font = _first(writer, lambda o: isinstance(o, dict) and "/ToUnicode" in o)
    told = font["/ToUnicode"].get_object().get_data()
    stream = DecodedStreamObject()
    stream.set_data(told.replace(b"<0032>", b"<0039>"))
    font[NameObject("/ToUnicode")] = writer._add_object(stream)


def _described(writer: PdfWriter) -> None:
    told = writer.root_object["/Metadata"].get_object().get_data()
    stream = DecodedStreamObject()
    stream.set_data(told.replace(b"fast", b"slow"))
    writer.root_object[NameObject("/Metadata")] = writer._add_object(stream)


def _resource(kind: str, name: str, value: Any) -> Change:
    """One more thing in the first page's list of what it draws with."""

    def change(writer: PdfWriter) -> None:
        resources = writer.pages[0]["/Resources"]
        every = DictionaryObject(resources.get(f"/{kind}", {}))
        every[NameObject(f"/{name}")] = writer._add_object(value(writer) if callable(value) else value)
        resources[NameObject(f"/{kind}")] = every

    return change


def _both(*changes: Change) -> Change:
    return lambda writer: [change(writer) for change in changes]


def _names(**entries: Any) -> DictionaryObject:
    return DictionaryObject({NameObject(f"/{name}"): one for name, one in entries.items()})


def _white_form(_: PdfWriter) -> DecodedStreamObject:
    form = DecodedStreamObject()
    form.set_data(b"1 1 1 rg 0 0 9000 9000 re f")
    form.update(
        _names(Type=NameObject("/XObject"), Subtype=NameObject("/Form"), BBox=RectangleObject((0, 0, 9000, 9000)))
    )
    return form


def _first_text(content: bytes) -> tuple[int, bytes]:
    """The first text of a page that is shown with a matrix: where the matrix begins, and the matrix."""
    found = re.search(rb"BT\b.*?(?P<matrix>(?:-?[\d.]+ ){6})Tm", content, re.DOTALL)
    assert found is not None
    return found.start("matrix"), found["matrix"]


def _turned(*factors: float) -> Change:
    """Every text with another matrix."""

    def edit(content: bytes) -> bytes:
        def other(found: re.Match[bytes]) -> bytes:
            a, b, c, d, e, f = map(float, found[1].split())
            p, q, r, s = factors
            return b"%f %f %f %f %f %f Tm" % (a * p + b * r, a * q + b * s, c * p + d * r, c * q + d * s, e, f)

        return re.sub(rb"((?:-?[\d.]+ ){6})Tm", other, content)

    return _content(edit)


def _in_one_place(content: bytes) -> bytes:
    """All letters of the second text where those of the first are."""
    _, matrix = _first_text(content)
    places = list(re.finditer(rb"((?:-?[\d.]+ ){6})Tm", content))[1:4]
    for place in reversed(places):
        content = content[: place.start()] + matrix + b"Tm" + content[place.end() :]
    return content


def _lines(content: bytes) -> bytes:
    every = b"".join(b"0 %d.%d m 9000 %d.%d l S\n" % (y // 2, y % 2 * 5, y // 2, y % 2 * 5) for y in range(1700))
    return content + b"\nq 1 0 0 1 0 0 cm 1 1 1 RG 0.6 w\n" + every + b"Q\n"


def fonts(edit: Callable[[Any, Mapping[str, int]], object]) -> Change:
    """Change every embedded TrueType font: `edit` gets it, opened, and which glyph each text is."""

    def change(writer: PdfWriter) -> None:
        for one in [o.get_object() for o in writer._objects if o is not None]:
            if not isinstance(one, dict) or one.get("/Subtype") != "/Type0":
                continue
            described = one["/DescendantFonts"][0].get_object()["/FontDescriptor"].get_object()
            if "/FontFile2" not in described or "Mono" in one["/BaseFont"]:
                continue
            told = one["/ToUnicode"].get_object().get_data().decode()
            glyphs = {chr(int(b, 16)): int(a, 16) for a, b in re.findall(r"<(\w{4})> <(\w{4})>", told)}
            opened = TTFont(BytesIO(described["/FontFile2"].get_object().get_data()), recalcTimestamp=False)
            edit(opened, glyphs)
            target, stream = BytesIO(), DecodedStreamObject()
            opened.save(target)
            stream.set_data(target.getvalue())
            stream[NameObject("/Length1")] = NumberObject(len(target.getvalue()))
            described[NameObject("/FontFile2")] = writer._add_object(stream)

    return change


def _another_outline(text: str, shown: str) -> Callable[[Any, Mapping[str, int]], None]:
    def edit(font: Any, glyphs: Mapping[str, int]) -> None:
        if {text, shown} <= set(glyphs):
            order = font.getGlyphOrder()
            font["glyf"][order[glyphs[text]]] = deepcopy(font["glyf"][order[glyphs[shown]]])
            font["hmtx"][order[glyphs[text]]] = font["hmtx"][order[glyphs[shown]]]

    return edit


def _one_point(font: Any, glyphs: Mapping[str, int]) -> None:
    """A letter of which one corner lies elsewhere."""
    if "e" in glyphs:
        font["glyf"][font.getGlyphOrder()[glyphs["e"]]].coordinates[0] = (900, 900)


def _elsewhere(font: Any, glyphs: Mapping[str, int]) -> None:
    if "2" in glyphs:
        wide, left = font["hmtx"][font.getGlyphOrder()[glyphs["2"]]]
        font["hmtx"][font.getGlyphOrder()[glyphs["2"]]] = (wide, left + 600)


def _program(font: Any, _: Mapping[str, int]) -> None:
    """With a program, which may move every point of every glyph."""
    font["prep"] = newTable("prep")
    font["prep"].program = Program()
    font["prep"].program.fromAssembly(["PUSHB[ ] 1", "POP[ ]"])


def _blank(font: Any, glyphs: Mapping[str, int]) -> None:
    if {" ", "9"} <= set(glyphs):
        _another_outline(" ", "9")(font, glyphs)


def _damaged(font: Any) -> None:
    """With the second half of its file gone."""
    described = font["/DescendantFonts"][0].get_object()["/FontDescriptor"].get_object()
    if "/FontFile2" in described:
        stream = described["/FontFile2"].get_object()
        stream.set_data(stream.get_data()[: len(stream.get_data()) // 2])


def _of_fonts(edit: Callable[[Any], object]) -> Change:
    """Change what the PDF says of every font that text is drawn with."""

    def change(writer: PdfWriter) -> None:
        for one in [o.get_object() for o in writer._objects if o is not None]:
            if isinstance(one, dict) and one.get("/Subtype") == "/Type0":
                edit(one)

    return change


def _thin(font: Any) -> None:
    widths = font["/DescendantFonts"][0].get_object()["/W"]
    for every in widths[1::2]:
        every[:] = [NumberObject(0)] * len(every)


def _renamed(font: Any) -> None:
    if "Inter" in font["/BaseFont"]:
        font[NameObject("/BaseFont")] = NameObject("/ABCDEF+Noto-Sans")


GLYPHS: dict[str, Change] = {
    "a font whose 2 is a 9": fonts(_another_outline("2", "9")),
    "a font whose e is an o": fonts(_another_outline("e", "o")),
    "a font of which a letter is drawn otherwise": fonts(_one_point),
    "a font of which a letter stands elsewhere": fonts(_elsewhere),
    "a font with a program": fonts(_program),
    "a font whose blank is a 9": fonts(_blank),
    "letters of no width": _of_fonts(_thin),
    "a font of another name": _of_fonts(_renamed),
    "a damaged font": _of_fonts(_damaged),
}
"""What the letters of a PDF are drawn as; what it embeds is other fonts, too, which whoever makes the bundle can put right."""

SMALLER = RectangleObject((0, 400, 595.275591, 841.889764))
HIDDEN: dict[str, Change] = {
    "text that is not drawn": _after_first(b"BT", b" 3 Tr"),
    "text in white": _content(lambda c: c.replace(b"BT", b"BT 1 1 1 rg")),
    "text painted over": _content(lambda c: c + b"\nq 1 1 1 rg 0 0 595 842 re f Q\n"),
    "text squeezed to nothing": _after_first(b"BT", b" 0 Tz"),
    "text moved off the page": _content(lambda c: b"1 0 0 1 0 -5000 cm\n" + c),
    "text made tiny": _content(lambda c: b"0.001 0 0 0.001 9 9 cm\n" + c),
    "a picture of pixels": _content(lambda c: c + b"\nq BI /W 1 /H 1 /CS /G /BPC 8 ID \x00 EI Q\n"),
    "part of a page": _page(CropBox=SMALLER),
    "a smaller page": _page(MediaBox=SMALLER),
    "a turned page": _page(Rotate=NumberObject(180)),
    "layers": _root(OCProperties=DictionaryObject()),
    "a script": _root(OpenAction=DictionaryObject({NameObject("/S"): NameObject("/JavaScript")})),
    "a form": _root(AcroForm=DictionaryObject({NameObject("/Fields"): ArrayObject()})),
    "a note": lambda w: w.add_annotation(0, FreeText(text="9.99", rect=(0, 0, 9, 9))),
    "a link out": _link(url="https://example.org"),
    "a link with a picture": _link(),
    "another title": lambda w: w.add_metadata({"/Title": "9.99 times faster"}),
    "further facts": lambda w: w.add_metadata({"/Keywords": "9.99 times faster"}),
    "another date": lambda w: w.add_metadata({"/CreationDate": "D:20300101000000Z"}),
    "another description": _described,
    "another text read aloud": _text_of("/Alt"),
    "another heading in the list": _outline,
    "pages in another order": _pages_turned,
    "a page gone": _page_gone,
    "a page more": lambda w: w.add_blank_page(),
    "other glyphs": _glyphs,
    "other letters": _letters,
}
UNSEEN: dict[str, Change] = {
    "text that cuts": _after_first(b"BT", b" 7 Tr"),
    "text drawn as lines": _after_first(b"BT", b" 1 Tr"),
    "nothing is drawn, by an empty path": _content(lambda c: b"W n\n" + c),
    "nothing is drawn, by a path without room": _content(lambda c: b"0 0 0 0 re W n\n" + c),
    "nothing is drawn, by a path elsewhere": _content(lambda c: b"-9 -9 5 5 re W* n\n" + c),
    "half of a page is drawn": _content(lambda c: b"0 0 300 842 re W n\n" + c),
    "a wide line in white": _content(lambda c: c + b"\nq 1 1 1 RG 2000 w 0 0 m 595 842 l S Q\n"),
    "a wide point in white": _content(lambda c: c + b"\nq 1 1 1 RG 2000 w 1 J 300 400 m 300 400 l S Q\n"),
    "a wide frame in white": _content(lambda c: c + b"\nq 1 1 1 RG 900 w 0 0 595 842 re S Q\n"),
    "a wide line by its scale": _content(lambda c: c + b"\nq 1 1 1 RG 900 0 0 900 0 0 cm 2 w 0 0 m 1 1 l S Q\n"),
    "many thin lines in white": _content(_lines),
    "a sharp corner in white": _content(lambda c: c + b"\nq 1 1 1 RG 3 w 999 M 0 0 m 300 1 l 0 2 l S Q\n"),
    "a filled and drawn area in white": _content(lambda c: c + b"\nq 1 1 1 rg 1 1 1 RG 0 0 9000 9000 re B Q\n"),
    "a round area in white": _content(
        lambda c: c + b"\nq 1 1 1 rg -900 0 m -900 2000 1500 2000 1500 0 c 1500 -900 -900 -900 -900 0 c f Q\n"
    ),
    "an area in two parts": _content(lambda c: c + b"\nq 1 1 1 rg 0 0 300 9000 re 300 0 900 9000 re f* Q\n"),
    "a ground of the text's colour": _content(lambda c: b"q 0.078 0.09 0.11 rg 0 0 9000 9000 re f Q\n" + c),
    "a wide line below the text": _content(lambda c: b"q 0.078 0.09 0.11 RG 3000 w 0 0 m 595 842 l S Q\n" + c),
    "a form in white": _both(_resource("XObject", "W9", _white_form), _content(lambda c: c + b"\nq /W9 Do Q\n")),
    "text that nothing shines through": _both(
        _resource("ExtGState", "G9", _names(ca=FloatObject(0))), _after_first(b"BT", b" /G9 gs")
    ),
    "a soft mask": _both(
        _resource("ExtGState", "G9", _names(SMask=_names(S=NameObject("/Luminosity")))),
        _content(lambda c: b"/G9 gs\n" + c),
    ),
    "colours that are mixed": _both(
        _resource("ExtGState", "G9", _names(BM=NameObject("/Screen"))), _content(lambda c: b"/G9 gs\n" + c)
    ),
    "a shading": _both(
        _resource("Shading", "S9", _names(ShadingType=NumberObject(2))), _content(lambda c: c + b"\n/S9 sh\n")
    ),
    "a pattern": _content(lambda c: b"/Pattern cs /P9 scn\n" + c),
    "another space of colours": _content(lambda c: b"/DeviceCMYK cs 0 0 0 0 sc\n" + c),
    "a font that is not embedded": _both(
        _resource(
            "Font", "F9", _names(Type=NameObject("/Font"), Subtype=NameObject("/Type1"), BaseFont=NameObject("/Symbol"))
        ),
        _content(lambda c: re.sub(rb"/\S+( -?[\d.]+ Tf)", rb"/F9\1", c, count=1)),
    ),
    "a layer of text": _content(lambda c: b"/OC /L9 BDC\n" + c + b"\nEMC\n"),
    "a text in place of a text": _content(lambda c: b"/Span <</ActualText (9.99)>> BDC\n" + c + b"\nEMC\n"),
    "spaced text": _after_first(b"BT", b" 90 Tc"),
    "raised text": _after_first(b"BT", b" 90 Ts"),
    "a line below": _after_first(b"BT", b" 9 TL T*"),
    "text turned over": _turned(-1, 0, 0, -1),
    "text mirrored": _turned(-1, 0, 0, 1),
    "text slanted": _turned(1, 0, 2, 1),
    "text on end": _turned(0, 1, -1, 0),
    "text made flat": _turned(1, 0, 0, 0.1),
    "text made narrow": _turned(0.1, 0, 0, 1),
    "text over text": _content(_in_one_place),
    "another unit": _page(UserUnit=NumberObject(9)),
}
"""Further ways to hide, cover, cut or turn what is written."""

MOVED: dict[str, Change] = {
    "nothing": lambda _: None,
    "text moved on the page": _content(lambda c: b"1 0 0 1 30 0 cm\n" + c),
}
"""What is found only where the page can be printed again."""


def behind(data: bytes) -> Iterator[tuple[str, bytes]]:
    """A PDF with a later revision, or with something behind its end."""
    revision = b"2 0 obj\n<</Type/Catalog>>\nendobj\nxref\n0 0\ntrailer\n<</Prev 9/Root 2 0 R/Size 9>>\nstartxref\n%d\n%%%%EOF\n"
    yield "a later revision", data + revision % (len(data) + 32)
    yield "bytes behind its end", data + b"9.99 times faster\n"
    yield "bytes before its beginning", b"#!/bin/sh\n" + data
