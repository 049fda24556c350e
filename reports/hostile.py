"""Make text from a trace safe to show: nothing invisible, nothing that reorders its neighbours."""

from __future__ import annotations

import json
import re
import shlex
import unicodedata
from typing import Any

from markupsafe import Markup, escape

_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_KOREAN_WORD = re.compile(r"[^\s<>]{0,20}[가-힣][^\s<>]{0,20}")
_IGNORED = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
"""Letters and marks without a visible glyph; Unicode's Default_Ignorable_Code_Point, and the empty Braille cell."""
LONGEST_SHOWN = 1 << 13
_COMMAND = re.compile(r"##(?=\w*\[)")  # ##[error], ##vso[task.setvariable …], ##teamcity[…]
_SPACES = str.maketrans({"\n": " ", "\t": " ", "\r": " "})


def visible(text: str) -> str:
    """The text with every control, format, surrogate or other invisible character written out as ‹U+202E›; if it is
    longer than `LONGEST_SHOWN` its middle is left out, since a name of 100 MB would take minutes and gigabytes.

    Bidirectional overrides can make a kernel's name read as another one, a lone surrogate cannot be encoded at all,
    HTML forbids most control characters, and XML U+FFFE and U+FFFF.
    """
    if text.isascii() and text.isprintable() and len(text) <= LONGEST_SHOWN:
        return text
    return "".join(_shown(char) for char in shorten(text, LONGEST_SHOWN).translate(_SPACES))


def printable(text: str) -> str:
    """Text of several lines, each made safe as `line` does: for messages on a terminal."""
    return "\n".join(map(line, text.split("\n")))


def line(text: str) -> str:
    """A line for a terminal or a log: all of it `visible`, and never a command to a build server."""
    return inert(visible(text))


def inert(line: str) -> str:
    """A line of output that is never a command to GitHub, Azure or TeamCity, whatever a trace calls its kernels.

    A command is a line that begins with `::`, leading blanks aside, or holds `##[` or `##word[` anywhere.
    """
    blanks = line[: len(line) - len(line.lstrip())]
    rest = _COMMAND.sub("## ", line[len(blanks) :])
    return f"{blanks}: {rest[1:]}" if rest.startswith("::") else f"{blanks}{rest}"


def inert_json(text: str) -> str:
    """Equivalent JSON that holds no command; lines of JSON begin with punctuation anyway."""
    return _COMMAND.sub(r"#\\u0023", text)


def _shown(char: str) -> str:
    code = ord(char)
    hidden = char in _IGNORED or code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF or 0xE0100 <= code <= 0xE01EF
    return f"‹U+{code:04X}›" if hidden or unicodedata.category(char) in _INVISIBLE else char


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
    """Escaped text in which no Korean word is broken between its syllables: the PDF renderer lacks `word-break: keep-all`."""
    return Markup(_KOREAN_WORD.sub(r'<span class="word">\g<0></span>', str(escape(visible(text)))))
