"""The fonts that a PDF embeds: what each glyph is read as, how wide it is, and whether it is drawn as in the fonts that we ship."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from io import BytesIO
from itertools import product
from typing import Any

from ....errors import EnvironmentLacks, UsageError

SHIPPED = {
    "Inter": "inter-latin-400-normal.woff2",
    "Inter-Medium": "inter-latin-500-normal.woff2",
    "Inter-Semi-Bold": "inter-latin-600-normal.woff2",
    "JetBrains-Mono": "jetbrains-mono-latin-400-normal.woff2",
}
"""What a print calls a font of the page -> its file."""

MOST_FONT_BYTES = 32 << 20
_MOST_READINGS = 16
_CHARS = re.compile(r"beginbfchar(.*?)endbfchar", re.DOTALL)
_RANGES = re.compile(r"beginbfrange(.*?)endbfrange", re.DOTALL)
_PAIR = re.compile(r"<([0-9a-fA-F]+)>\s*<([0-9a-fA-F]+)>")
_FONT = {"/Type", "/Subtype", "/BaseFont", "/Encoding", "/DescendantFonts", "/ToUnicode"}
_ODD = {"fpgm", "prep", "cvt ", "fvar", "gvar", "CFF ", "CFF2", "EBDT", "CBDT", "sbix", "SVG ", "COLR"}
"""What would draw glyphs otherwise than their outlines say."""
_GLYPHS = {"/Type", "/Subtype", "/BaseFont", "/CIDSystemInfo", "/CIDToGIDMap", "/W", "/FontDescriptor"}


@dataclass(frozen=True, slots=True)
class Font:
    """A font of a PDF, by the number of its object: glyph -> text, glyph -> thousandths of an em, and its file."""

    number: int
    name: str
    texts: Mapping[int, str]
    widths: Mapping[int, float]
    data: bytes

    def width(self, glyph: int) -> float:
        return self.widths.get(glyph, 1000.0)


def fonts_of(reader: Any) -> dict[int, Font]:
    """Every font that text is drawn with.

    Raises:
        UsageError: one is no font as a print embeds them.
    """
    found = {}
    for number in range(1, int(reader.trailer["/Size"])):
        one = _object(reader, number)
        if (
            isinstance(one, dict)
            and one.get("/Type") == "/Font"
            and not str(one.get("/Subtype")).startswith("/CIDFont")
        ):
            found[number] = _font(number, one)
    return found


def _object(reader: Any, number: int) -> Any:
    from pypdf.errors import PyPdfError

    try:
        return reader.get_object(number)
    except PyPdfError:  # a number that is not used
        return None


def _font(number: int, font: Any) -> Font:
    name = str(font.get("/BaseFont", ""))[1:].partition("+")[2]
    odd = f"the font {name[:40]!r}, made otherwise than in a print"
    if font.get("/Subtype") != "/Type0" or font.get("/Encoding") != "/Identity-H" or set(font) - _FONT:
        raise UsageError(f"it holds {odd}")
    below = font["/DescendantFonts"][0].get_object()
    if (
        len(font["/DescendantFonts"]) != 1
        or set(below) - _GLYPHS
        or below.get("/CIDToGIDMap", "/Identity") != "/Identity"
    ):
        raise UsageError(f"it holds {odd}")
    described = below["/FontDescriptor"].get_object()
    inside = [described[key] for key in ("/FontFile", "/FontFile2", "/FontFile3") if key in described]
    if len(inside) != 1:
        raise UsageError(f"it holds {odd}")
    data = inside[0].get_object().get_data()
    if len(data) > MOST_FONT_BYTES:
        raise UsageError(f"it holds a font of {len(data)} bytes")
    texts = _texts(font["/ToUnicode"].get_object().get_data().decode("latin-1"))
    return Font(number, name, texts, dict(_widths(below["/W"])), data)


def _texts(told: str) -> dict[int, str]:
    found = {
        int(a, 16): bytes.fromhex(b).decode("utf-16-be")
        for block in _CHARS.findall(told)
        for a, b in _PAIR.findall(block)
    }
    if _RANGES.search(told):
        raise UsageError("it reads glyphs by ranges, which no print of a page does")
    return found


def _widths(told: Sequence[Any]) -> Iterator[tuple[int, float]]:
    """`[first [w w …] first [w …]]`."""
    for first, every in zip(told[::2], told[1::2], strict=True):
        for place, width in enumerate(every):
            yield int(first) + place, float(width)


@dataclass(frozen=True, slots=True)
class Compared:
    """What became of comparing glyphs: what is wrong, and the fonts of which no glyph could be compared."""

    problems: tuple[str, ...]
    strange: tuple[str, ...]


def compare_glyphs(fonts: Iterable[Font], used: Mapping[int, set[int]]) -> Compared:
    """Hold every glyph that is drawn against the font of ours that it should be of: its outline, its width, its text.

    A font that is none of ours is that of the machine that printed: of its glyphs it can only be said whether ours should have
    drawn them.

    Raises:
        EnvironmentLacks: fontTools, or what it unpacks woff2 with, is not installed.
        UsageError: a font is damaged.
    """
    problems: list[str] = []
    strange: list[str] = []
    for font in fonts:
        if not (drawn := sorted(used.get(font.number, ()))):
            continue
        try:
            problems += _differing(font, drawn) if font.name in SHIPPED else _ours(font, drawn)
        except EnvironmentLacks:
            raise
        except Exception as error:  # fontTools raises whatever its reading of a damaged font runs into
            what = f"the font {font.name[:40]!r} cannot be read: {type(error).__name__}: {error}"
            raise UsageError(what) from error
        if font.name not in SHIPPED:
            shown = "".join(sorted({font.texts[one] for one in drawn if font.texts[one].strip()}))
            strange.append(f"{font.name} ({shown[:20]})")
    return Compared(tuple(problems), tuple(strange))


def _differing(font: Font, drawn: Iterable[int]) -> Iterator[str]:
    ours, theirs = _shipped(SHIPPED[font.name]), _opened(font.data)
    if odd := sorted(_ODD & set(theirs.font.keys())):
        yield f"{font.name} holds {odd[0]!r}, which the font of a print does not"
    if theirs.font["head"].unitsPerEm != ours.opened.font["head"].unitsPerEm:
        yield f"{font.name} is of another size than the font"
    for glyph in drawn:
        text = font.texts[glyph]
        if text not in ours.readings.get(glyph, ()):
            yield f"a glyph of {font.name} is read as {text!r}, which it is not in the font"
        elif _outline(theirs, glyph) != _outline(ours.opened, glyph):
            yield f"the {text!r} of {font.name} is drawn otherwise than in the font"
        elif _measures(theirs, glyph) != _measures(ours.opened, glyph):
            yield f"the {text!r} of {font.name} stands otherwise than in the font"
        elif abs(font.width(glyph) - ours.width(glyph)) > 1:
            yield f"the {text!r} of {font.name} is {font.width(glyph):g} wide, in the font {ours.width(glyph):g}"


def _ours(font: Font, drawn: Iterable[int]) -> Iterator[str]:
    """A page is set in its own fonts; another is taken for the characters that they lack."""
    theirs = _opened(font.data)
    ours = set.intersection(*(set(_shipped(one).opened.font.getBestCmap()) for one in SHIPPED.values()))
    for glyph in drawn:
        text = font.texts[glyph]
        if not text.strip() and _outline(theirs, glyph):
            yield f"a blank of {font.name} is drawn as something"
        elif text.strip() and all(ord(one) in ours for one in text):
            yield f"the {text!r} is drawn with {font.name}, and the page's own fonts have it"


@dataclass(frozen=True, slots=True)
class _Opened:
    """A font that was read; its glyphs are those of fontTools, which take long to list."""

    font: Any
    glyphs: Any
    order: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Shipped:
    """A font of ours: glyph -> the texts that it may stand for."""

    opened: _Opened
    readings: Mapping[int, frozenset[str]]

    def width(self, glyph: int) -> float:
        font = self.opened.font
        return float(font["hmtx"][self.opened.order[glyph]][0]) * 1000 / float(font["head"].unitsPerEm)


@cache
def _shipped(name: str) -> _Shipped:
    folder = files(__package__.rpartition(".reports")[0]).joinpath("templates", "fonts")
    opened = _opened(folder.joinpath(name).read_bytes())
    return _Shipped(opened, _readings(opened.font))


def _opened(data: bytes) -> _Opened:
    try:
        from fontTools.ttLib import TTFont

        if data[:4] == b"wOF2":
            import brotli  # noqa: F401 (what fontTools unpacks woff2 with)
    except ModuleNotFoundError as error:
        raise EnvironmentLacks(
            f"comparing glyphs needs fontTools and brotli: {error.name} is not installed",
            "pip install 'aisp-prof[verify]'",
        ) from error
    font = TTFont(BytesIO(data))
    return _Opened(font, font.getGlyphSet(), font.getGlyphOrder())


def _outline(opened: _Opened, glyph: int) -> Any:
    """What a glyph draws; None of one that is not there."""
    from fontTools.pens.recordingPen import DecomposingRecordingPen

    if glyph >= len(opened.order):
        return None
    pen = DecomposingRecordingPen(opened.glyphs)
    opened.glyphs[opened.order[glyph]].draw(pen)
    return pen.value


def _measures(opened: _Opened, glyph: int) -> Any:
    """How far a glyph goes and where it begins: what draws it moves it to there."""
    return opened.font["hmtx"][opened.order[glyph]]


def _readings(font: Any) -> Mapping[int, frozenset[str]]:
    """Which texts a glyph may stand for: those of the font's own table, through every substitution that it knows."""
    order = {name: place for place, name in enumerate(font.getGlyphOrder())}
    found: dict[str, set[str]] = {}
    for code, name in font.getBestCmap().items():
        found.setdefault(name, set()).add(chr(code))
    rules = list(_substitutions(font))
    for _ in range(4):
        for sources, target in rules:
            if all(one in found for one in sources):
                texts = {"".join(parts) for parts in product(*(sorted(found[one])[:_MOST_READINGS] for one in sources))}
                found.setdefault(target, set()).update(texts)
    return {order[name]: frozenset(texts) for name, texts in found.items()}


def _substitutions(font: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    for lookup in font["GSUB"].table.LookupList.Lookup:
        for one in lookup.SubTable:
            table = one.ExtSubTable if lookup.LookupType == 7 else one
            kind = type(table).__name__
            if kind == "SingleSubst":
                yield from (((source,), target) for source, target in table.mapping.items())
            elif kind == "AlternateSubst":
                yield from (((source,), target) for source, every in table.alternates.items() for target in every)
            elif kind == "LigatureSubst":
                for first, every in table.ligatures.items():
                    yield from (((first, *ligature.Component), ligature.LigGlyph) for ligature in every)
