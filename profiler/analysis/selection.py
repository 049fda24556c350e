"""Which operations one word means: a class, `stream:N` or `kernel:GLOB`, in claims as well as for `trace overlap`."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

import numpy as np

from ...errors import UsageError
from ..arrays.groups import any_of
from ..arrays.types import Bools
from ..trace.model import COMM, COMPUTE, KINDS, MIGRATION, Operations
from .names import matches
from .overlap import SELECTORS

PREFIXES = ("stream:", "kernel:")


def selected(operations: Operations, strings: Sequence[str], selector: str) -> Bools:
    """A mask of shape (len(operations),). A kernel is meant by its short name or by its full one, with template arguments; a
    stream by its number, on whatever device and in whatever context.

    Args:
        selector: one that `check` does not refuse.
    """
    prefix, colon, rest = selector.partition(":")
    if not colon:
        return any_of(operations.kind, SELECTORS[selector])
    if prefix == "stream":
        return np.asarray((operations.stream == int(rest)) & (operations.kind != MIGRATION), bool)
    named = matches(operations.name, strings, rest) | matches(operations.full_name, strings, rest)
    return named & any_of(operations.kind, (COMPUTE, COMM))


def check(selector: str, prefixes: Sequence[str] = PREFIXES) -> None:
    """Refuse a selector that could fit no trace.

    Raises:
        UsageError: no such class or prefix, or a stream that is not a number.
    """
    prefix, colon, rest = selector.partition(":")
    if not colon and selector in SELECTORS:
        return
    if colon and f"{prefix}:" in prefixes:
        if prefix == "stream" and not (rest.isascii() and rest.isdigit() and len(rest) < 19):
            raise UsageError(f"{selector!r}: a stream is chosen by its number", "for example stream:7")
        if rest:
            return
    near = get_close_matches(f"{prefix}:" if colon else prefix, (*SELECTORS, *prefixes), 1, 0.5)
    words = {"stream:": "stream:N", "kernel:": "kernel:GLOB", "range:": "range:GLOB"}
    listed = f"there are: {', '.join(SELECTORS)}, {', '.join(words[one] for one in prefixes)}"
    raise UsageError(
        f"no operations are selected by {selector!r}",
        f"did you mean {near[0]}{rest if colon else ''}?" if near else listed,
    )


def classes(selector: str) -> frozenset[int]:
    """The classes that a selector may speak of, as indices into KINDS."""
    prefix, colon, _ = selector.partition(":")
    if not colon:
        return frozenset(SELECTORS[selector])
    return frozenset((COMPUTE, COMM)) if prefix == "kernel" else frozenset(range(len(KINDS))) - {MIGRATION}
