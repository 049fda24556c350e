"""Find names by glob, and suggest the nearest ones to a name that matches nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from fnmatch import translate

import numpy as np
from numpy.typing import NDArray

from ..arrays.blocks import gathered
from ..arrays.codes import Codes
from ..arrays.groups import distinct_values
from ..arrays.growing import constant
from ..arrays.types import Int64

_COMPARED = 5_000  # difflib is quadratic in a name's length; this much is enough for a hint


def matches(column: Int64 | Codes, texts: Sequence[str], pattern: str) -> NDArray[np.bool_]:
    """Which rows' texts match a glob (`*`, `?`, `[…]`, case matters) or are that very text, brackets and all.

    Args:
        column: indices into `texts`, -1 for "", shape (n,), or their codes.
    """
    if pattern == "*":
        return constant(True, len(column.code if isinstance(column, Codes) else column), bool)
    names = column if isinstance(column, Codes) else Codes.of(column)
    named = [texts[i] if i >= 0 else "" for i in names.values.tolist()]
    matched = np.array(list(map(fitting(pattern), named)), bool)
    return gathered(matched, names.code)


def fitting(pattern: str) -> Callable[[str], bool]:
    """Whether a text matches a glob, as `matches` says."""
    if pattern == "*":
        return lambda name: True
    if not _GLOB.search(pattern):
        return lambda name: name == pattern
    fits = re.compile(translate(pattern)).match
    return lambda name: name == pattern or fits(name) is not None


_GLOB = re.compile(r"[*?[]")
_NUMBERED = re.compile(r"(.*\D)\d+", re.DOTALL)
_SERIES = 3
"""So many names that differ by their number alone are a series: two may be versions, to be compared."""


def series(texts: Iterable[str]) -> dict[str, str]:
    """Of names such as `train_step_17` those that are one of a series, each with the glob that stands for all of it:
    `train_step_*`."""
    stems: dict[str, list[str]] = {}
    for text in texts:
        if text[-1:].isdecimal() and (numbered := _NUMBERED.fullmatch(text)):  # most names end otherwise
            stems.setdefault(numbered[1], []).append(text)
    return {text: f"{stem}*" for stem, of_stem in stems.items() if len(of_stem) >= _SERIES for text in of_stem}


def known(column: Int64, texts: Sequence[str]) -> list[str]:
    """The distinct texts of a column, without "", in order."""
    return sorted({texts[i] for i in distinct_values(column).tolist() if i >= 0} - {""})


def hint(pattern: str, names: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the nearest one, or the names that exist."""
    names = list(names)[:_COMPARED]
    bare = pattern.strip("*?")
    near = [name for name in names if bare.lower() in name.lower()] if bare else []
    near = near[:1] or get_close_matches(bare, [name[:200] for name in names], 1, 0.5)
    if near:
        return f"did you mean {near[0]}?"
    return f"there are: {', '.join(names[:8])}{', …' if len(names) > 8 else ''}" if names else "there are none"
