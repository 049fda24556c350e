"""Named feature flags: experimental code runs only if its name was switched on."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ...errors import UsageError

VARIABLE = "AISP_FEATURES"

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


def enabled(name: str) -> bool:
    """Whether $AISP_FEATURES, `name,name,…` or `@FILE` with a name a line (`#` begins a comment), has `name`.

    Raises:
        UsageError: a name is not lower-case letters, digits, `.`, `_` and `-`, or the file cannot be read.
    """
    return _checked(name) in _names()


def _names() -> frozenset[str]:
    value = os.environ.get(VARIABLE, "").strip()
    if not value.startswith("@"):
        return frozenset(_checked(one.strip()) for one in value.split(",") if one.strip())
    try:
        text = Path(value[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"${VARIABLE}: cannot read {value[1:]}: {error}", f"{VARIABLE}=NAME,NAME") from error
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return frozenset(_checked(line) for line in lines if line)


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name of a feature", f"{VARIABLE}=NAME,NAME with a-z, 0-9, '.', '_' and '-'")
    return name
