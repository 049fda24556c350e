"""Which language people are told things in; what programs read is the same in all."""

from __future__ import annotations

import os
from collections.abc import Mapping
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
