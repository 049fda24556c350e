"""What a forger may do to a PDF whose text he leaves as it is, or nearly: hide it, cover it, move it, add to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

from pypdf import PdfReader, PdfWriter
from pypdf.annotations import FreeText, Link
from pypdf.generic import (
    ArrayObject,
    ByteStringObject,
    DecodedStreamObject,
    DictionaryObject,
    NameObject,
    NumberObject,
    RectangleObject,
    TextStringObject,
)

Change = Callable[[PdfWriter], object]


def rewritten(data: bytes, change: Change) -> bytes:
    """The PDF written anew by pypdf, with a change; with none it says the same and is as good a print to who only reads it."""
    writer = PdfWriter(clone_from=PdfReader(BytesIO(data)))
    writer.metadata = PdfReader(BytesIO(data)).metadata
    change(writer)
    target = BytesIO()
    writer.write(target)
    return target.getvalue()


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
    stream.set_data(told.replace(b"faster", b"slower"))
    writer.root_object[NameObject("/Metadata")] = writer._add_object(stream)


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
