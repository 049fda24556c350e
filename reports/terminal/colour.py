"""Colours of verdicts on a terminal; nothing in a file, a pipe, with $NO_COLOR or on a terminal that has none."""

from __future__ import annotations

import os
import re
import sys
from typing import TextIO

_GREEN, _RED, _YELLOW, _RESET = "\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[0m"
_OF_MARK = {"✓": _GREEN, "✗": _RED, "?": _YELLOW, "!": _RED, "–": _YELLOW, "~": _YELLOW}
_OF_WORD = {
    **dict.fromkeys(("PROVEN", "ADMITTED", "MET", "OK"), _GREEN),
    **dict.fromkeys(("REFUTED", "INVALID", "REFUSED", "REGRESSED"), _RED),
    **dict.fromkeys(("UNPROVEN", "UNSUPPORTED", "UNKNOWN", "UNQUALIFIED", "MISSING"), _YELLOW),
    "증명됨": _GREEN,
    **dict.fromkeys(("반증됨", "무효", "거부됨"), _RED),
    **dict.fromkeys(("증명 안 됨", "지원 안 됨"), _YELLOW),
}
_MARK = re.compile(r"^(\s*)([✓✗?!–~])(?= )")
_WORD = re.compile(rf"^(\S+  )?({'|'.join(_OF_WORD)})\b")
_LAST = re.compile(r"([✓✗?!–]) (proven|refuted|invalid|unproven|unsupported)$")
"""Verdicts stand first in a line, or after a pair, or last in a table: a name from a trace that looks like one is none."""


def wanted(stream: TextIO | None = None) -> bool:
    """Whether what is written there is seen on a terminal that has colours."""
    where = sys.stdout if stream is None else stream
    return where.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def coloured(line: str) -> str:
    """A line, already harmless, with its mark or verdict in colour."""
    line = _MARK.sub(lambda found: f"{found[1]}{_painted(found[2], _OF_MARK[found[2]])}", line)
    line = _WORD.sub(lambda found: f"{found[1] or ''}{_painted(found[2], _OF_WORD[found[2]])}", line)
    return _LAST.sub(lambda found: _painted(found[0], _OF_MARK[found[1]]), line)


def red(text: str) -> str:
    return _painted(text, _RED)


def _painted(text: str, colour: str) -> str:
    return f"{colour}{text}{_RESET}"
