"""Make text that came out of a trace safe to show: nothing invisible, nothing that reorders its neighbours."""

from __future__ import annotations

import json
import re
import shlex
import unicodedata
from typing import Any

from markupsafe import Markup, escape

_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_KOREAN_WORD = re.compile(r"[^\s<>]{0,20}[가-힣][^\s<>]{0,20}")
_SPACES = str.maketrans({"\n": " ", "\t": " ", "\r": " "})


def visible(text: str) -> str:
    """The text with every control, format or surrogate character written out as ‹U+202E›.

    Bidirectional overrides can make a kernel's name read as another one, a lone surrogate cannot be encoded at all,
    and HTML forbids most control characters.
    """
    return "".join(_shown(char) for char in text.translate(_SPACES))


def printable(text: str) -> str:
    """Text of several lines, each made `visible`: for messages on a terminal."""
    return "\n".join(map(visible, text.split("\n")))


def _shown(char: str) -> str:
    return f"‹U+{ord(char):04X}›" if unicodedata.category(char) in _INVISIBLE else char


def shorten(name: str, longest: int = 96) -> str:
    """A long name with its middle left out; templated kernels run to thousands of characters."""
    if len(name) <= longest:
        return name
    head = longest * 2 // 3
    return f"{name[:head]}…{name[head + 1 - longest :]}"


def json_for_script(data: Any) -> Markup:
    """JSON for a `<script type="application/json">` element: no `<`, `>` or `&` that could end it or start a comment."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"), sort_keys=True, allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def shell_word(text: str) -> str:
    """One word of a command that the reader is invited to paste into a shell."""
    return shlex.quote(visible(text))


def whole_words(text: str) -> Markup:
    """Escaped text in which a Korean word is not broken between its syllables: paper knows no `word-break: keep-all`."""
    return Markup(_KOREAN_WORD.sub(r'<span class="word">\g<0></span>', str(escape(visible(text)))))
