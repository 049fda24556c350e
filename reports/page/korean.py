"""Korean on paper: a font that has its letters, and words that stay whole."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

from ...errors import EnvironmentLacks

FONTS: Final = "fonts-noto-cjk"
"""The Debian package of the first Korean font that `page.css` asks for."""
_SYLLABLE: Final = re.compile("[가-힣]")
_WORD: Final = re.compile(r"[^\s<>·/]{0,20}[가-힣][^\s<>·/]{0,20}")
_MARKUP: Final = re.compile(
    r"<(svg|script|style|title)\b.*?</\1>|<span class=\"(?:word|nowrap)\">[^<]*</span>|<[^>]*>", re.DOTALL
)


def check_fonts(html: str) -> None:
    """Pass silently if the document can be printed here: without a font that has Hangul every syllable would be a box.

    Raises:
        EnvironmentLacks: the document holds Hangul, and fontconfig knows no font for it.
    """
    if _SYLLABLE.search(html) and not has_hangul():
        raise EnvironmentLacks(
            "the PDF needs a font with Korean letters, and none is installed", f"apt-get install -y {FONTS}"
        )


def has_hangul() -> bool:
    """Whether what fontconfig finds for Korean has Hangul in it: it names its next best font where there is none.

    Asked through WeasyPrint's own binding, so of the fonts that the PDF would be drawn with; a font's list of languages is
    no witness here, since the binding does not read it.

    Raises:
        OSError: WeasyPrint cannot load its libraries.
    """
    path = _matched()
    return bool(path) and _holds_hangul(path)


@cache
def _holds_hangul(path: str) -> bool:
    from fontTools.ttLib import TTCollection, TTFont

    if path.lower().endswith((".ttc", ".otc")):
        with TTCollection(path, lazy=True) as collected:
            return any(map(_maps_hangul, collected.fonts))
    with TTFont(path, lazy=True) as font:
        return _maps_hangul(font)


def _maps_hangul(font: Any) -> bool:
    return ord("한") in (font.getBestCmap() or {})


def _matched() -> str:
    """The file of the font that fontconfig takes for Korean; "" where there is no font at all."""
    from weasyprint.text.ffi import ffi, fontconfig

    config = ffi.gc(fontconfig.FcInitLoadConfigAndFonts(), fontconfig.FcConfigDestroy)
    wanted = ffi.gc(fontconfig.FcPatternCreate(), fontconfig.FcPatternDestroy)
    fontconfig.FcPatternAddString(wanted, b"lang", b"ko")
    fontconfig.FcConfigSubstitute(config, wanted, fontconfig.FcMatchPattern)
    fontconfig.FcDefaultSubstitute(wanted)
    result = ffi.new("FcResult *")
    found = fontconfig.FcFontMatch(config, wanted, result)
    return _file(ffi, fontconfig, ffi.gc(found, fontconfig.FcPatternDestroy)) if found != ffi.NULL else ""


def _file(ffi: Any, fontconfig: Any, pattern: Any) -> str:
    text = ffi.new("FcChar8 **")
    if fontconfig.FcPatternGetString(pattern, b"file", 0, text) != fontconfig.FcResultMatch:
        return ""
    return str(ffi.string(text[0]).decode())


def whole_words(html: str) -> str:
    """The document with every Korean word in a span that is not broken: WeasyPrint takes `word-break: keep-all` for `normal`,
    and Pango breaks a line between any two syllables. What lies in pictures and scripts stays as it is.
    """
    if not _SYLLABLE.search(html):
        return html
    parts, at = [], 0
    for markup in _MARKUP.finditer(html):
        parts += [_kept(html[at : markup.start()]), markup[0]]
        at = markup.end()
    return "".join([*parts, _kept(html[at:])])


def _kept(text: str) -> str:
    return _WORD.sub(r'<span class="word">\g<0></span>', text)
