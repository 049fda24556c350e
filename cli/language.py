"""Which language people are told things in; what programs read is the same in all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Final

VARIABLE: Final = "AISP_LANG"
"""What `--lang` before a command sets."""
_LOCALE: Final = ("LC_ALL", "LC_MESSAGES", "LANG")


def spoken(environment: Mapping[str, str] = os.environ) -> str:
    """`$AISP_LANG` as it stands, else what the first locale variable that is set asks for: ko for Korean, en for all others."""
    if chosen := environment.get(VARIABLE):
        return chosen
    locale = next((value for name in _LOCALE if (value := environment.get(name))), "")
    return "ko" if locale.partition(".")[0].partition("_")[0] == "ko" else "en"


def check() -> None:
    """Refuse a language that nothing is said in.

    Raises:
        UsageError: `--lang`, or `$AISP_LANG`, names another.
    """
    if os.environ.get(VARIABLE):
        from ..reports.catalog import catalog

        catalog(os.environ[VARIABLE])


def chosen(words: Sequence[str]) -> list[str]:
    """The words of a command line without a leading `--lang`, which is set for the process: `--help` ends it before options of
    the commands around are read.
    """
    first, *rest = words or [""]
    name, equals, value = first.partition("=")
    if name != "--lang" or not (equals or rest):
        return list(words)
    os.environ[VARIABLE] = value if equals else rest.pop(0)
    return rest
