"""What a PDF says, word by word, against the page that it should be a print of: for where it cannot be printed again."""

from __future__ import annotations

import html as entities
import logging
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from io import BytesIO
from itertools import accumulate
from typing import Any

from ....errors import EnvironmentLacks, UsageError
from .fonts import Compared, compare_glyphs, fonts_of
from .form import check_form, font_hashes, spoken_texts
from .ink import ink_of
from .sight import hidden_text

MAX_PAGES = 2_000
MAX_PDF_BYTES = 256 << 20
"""A larger PDF is not read."""

_SILENT = frozenset({"script", "style", "title", "nav"})
_VOID = frozenset({"meta", "link", "br", "hr", "img", "input", "col", "wbr"})
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of a page's text without its spaces; pictures are painted after the text around them. `page_of` names the element
    whose page is printed there as a number, which the page does not know."""

    text: str
    in_picture: bool
    page_of: str = ""


class _Printed(HTMLParser):
    """The texts of a page that are on paper: not those of scripts, of the side list, of pictures for phones, of what is hidden."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[Text] = []
        self.places: dict[str, int] = {}
        """Of each element with an id, how many texts outside of pictures stand before it."""
        self._open: list[tuple[str, bool, bool]] = [("", False, False)]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _VOID:
            return
        _, silent, picture = self._open[-1]
        told = dict(attrs)
        if identifier := told.get("id"):
            self.places[identifier] = sum(not one.in_picture for one in self.texts)
        if tag == "a" and told.get("class") == "page" and not silent:
            self.texts.append(Text("", False, (told.get("href") or "").removeprefix("#")))
        narrow = tag == "svg" and "narrow" in (told.get("class") or "").split()
        self._open.append((tag, silent or tag in _SILENT or narrow or "hidden" in told, picture or tag == "svg"))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A shape of a picture holds no text."""

    def handle_endtag(self, tag: str) -> None:
        while len(self._open) > 1 and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        _, silent, picture = self._open[-1]
        if not silent and (text := _bare(data)):
            self.texts.append(Text(text, picture))


def _bare(text: str) -> str:
    return "".join(text.split())


def printed_texts(html: str) -> list[Text]:
    """The texts that a print of the page shows, in the order of the document."""
    return _read(html).texts


def _read(html: str) -> _Printed:
    parser = _Printed()
    parser.feed(html)
    parser.close()
    return parser


@dataclass(frozen=True, slots=True)
class Paper:
    """What a PDF says.

    text        without its spaces and the numbers of its pages, page after page
    starts      where in it each page begins
    identifier  of which document it says that it is a print
    spoken      what it says beside its pages: title, headings in a list, dates, what is read aloud in place of pictures
    fonts       the sha256 of each that it embeds
    glyphs      what became of comparing how its letters are drawn with our fonts; where nothing here can, why
    """

    text: str
    identifier: bytes
    spoken: tuple[str, ...] = ()
    fonts: tuple[str, ...] = ()
    glyphs: Compared | str = ""
    starts: tuple[int, ...] = ()


def read_pdf(data: bytes) -> Paper:
    """Read a PDF that a stranger made.

    Raises:
        EnvironmentLacks: pypdf is not installed.
        UsageError: it cannot be read, or holds what no print of a page holds (`paper_form`).
    """
    try:
        import pypdf
    except ModuleNotFoundError as error:
        raise EnvironmentLacks(
            "reading a PDF needs pypdf, which is not installed", "pip install 'aisp-prof[verify]'"
        ) from error
    if len(data) > MAX_PDF_BYTES:
        raise UsageError(f"{len(data)} bytes, at most {MAX_PDF_BYTES} are read")
    from pypdf.errors import PyPdfError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # what it complains of is made up by whoever made the file
    try:
        reader = pypdf.PdfReader(BytesIO(data), strict=True)
        if len(reader.pages) > MAX_PAGES:
            raise UsageError(f"{len(reader.pages)} pages, at most {MAX_PAGES} are read")
        check_form(reader, data)
        glyphs, pages = _looked_at(reader)
        texts = [_without_footer(one, i, len(pages)) for i, one in enumerate(pages, 1)]
        told, hashes = tuple(spoken_texts(reader)), tuple(sorted(set(font_hashes(reader))))
        starts = tuple(accumulate(map(len, texts[:-1]), initial=0))
        return Paper("".join(texts), bytes(reader.trailer["/ID"][0].original_bytes), told, hashes, glyphs, starts)
    except (PyPdfError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise UsageError(f"no PDF that can be read: {type(error).__name__}: {error}") from error


def _looked_at(reader: Any) -> tuple[Compared | str, list[str]]:
    """Follow the drawing of every page: how the glyphs that it draws compare, and the text of each page in the order of drawing.

    What is read is what is drawn: the letters whose outlines are compared, not those of a second interpreter of the page.

    Raises:
        UsageError: a letter cannot be seen, or it is drawn as no print draws.
    """
    fonts = fonts_of(reader)
    used: dict[int, set[int]] = {}
    texts: list[str] = []
    for number, page in enumerate(reader.pages, 1):
        try:
            ink = ink_of(page, reader, fonts)
        except UsageError as error:
            raise UsageError(f"its page {number}: {error}") from error
        for what in hidden_text(ink, [float(one) for one in page["/MediaBox"]]):
            raise UsageError(f"its page {number} holds {what}")
        for font, glyphs in ink.used.items():
            used.setdefault(font, set()).update(glyphs)
        texts.append(_bare("".join(glyph.text for glyph in ink.glyphs)))
    try:
        return compare_glyphs(fonts.values(), used), texts
    except EnvironmentLacks as error:
        return f"{error} ({error.mend})", texts


def _without_footer(text: str, number: int, pages: int) -> str:
    """Taken off by its very number: behind it the next page may begin with a digit."""
    before, footer, after = text.rpartition(f"aisp-prof{number}/{pages}")
    if not footer:
        raise UsageError(f"its page {number} does not say that it is page {number} of {pages}")
    return before + after


def text_differences(html: str, paper: Paper) -> list[str]:
    """Where the text of a PDF is not that of the page: what is missing, and what is left over. Empty when all agrees.

    Text is compared in its order and whole, then that of pictures in what is left between. Two numbers of a picture that were
    exchanged are found; where and in which colour a text stands is not looked at. A number of a page is that of the page on which
    what it points to was found.
    """
    page = _read(html)
    texts = page.texts
    lost, between = _taken(_numbered(page, paper), paper.text)
    missing, rest = _taken([one.text for one in texts if one.in_picture], between)
    found = [f"the page says {text[:_SHOWN]!r}, the PDF does not" for text in [*lost, *missing]]
    found += [f"the PDF says {rest[:_SHOWN]!r}, the page does not"] if rest else []
    whole = _bare(entities.unescape(html)) + "\n" + "".join(one.text for one in texts)
    odd = [text for text in paper.spoken if _bare(text) not in whole]
    return found + [f"the PDF says {text[:_SHOWN]!r} beside its pages, the page does not" for text in odd]


def _numbered(page: _Printed, paper: Paper) -> list[str]:
    """The texts outside of pictures, with the number of the page on which what they point to begins."""
    texts = [one for one in page.texts if not one.in_picture]
    found, at = [], 0
    for one in texts:
        place = paper.text.find(one.text, at)
        found.append(at if place < 0 else place)
        at = at if place < 0 else place + len(one.text)

    def number(name: str) -> str:
        first = next((i for i in range(page.places.get(name, len(texts)), len(texts)) if texts[i].text), None)
        return f"(the page of {name})" if first is None else str(bisect_right(paper.starts, found[first]))

    return [number(one.page_of) if one.page_of else one.text for one in texts]


def _taken(texts: Sequence[str], paper: str) -> tuple[list[str], str]:
    """Take the texts out of the paper in their order: those that are not there, and what is left of the paper."""
    lost, left, at = [], [], 0
    for text in texts:
        place = paper.find(text, at)
        if place < 0:
            lost.append(text)
            continue
        left.append(paper[at:place])
        at = place + len(text)
    return lost, "".join([*left, paper[at:]])
