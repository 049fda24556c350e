"""Choose operations by one word: a class, `stream:N`, `range:GLOB` or `kernel:GLOB`."""

from __future__ import annotations

from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError
from ..analysis.names import hint, known, matches
from ..analysis.overlap import SELECTORS
from ..ranges.attribution import Attribution
from ..ranges.chosen import chosen_ranges
from ..ranges.within import launched_inside
from ..trace.model import COMM, COMPUTE, Trace

PREFIXES = ("stream:", "range:", "kernel:")


def select(trace: Trace, selector: str, attribution: str = "thread") -> NDArray[np.bool_]:
    """Which operations a selector means, a mask of shape (len(trace.operations),); none of them is no error.

    Raises:
        UsageError: no such selector, of which the nearest one is suggested, or no such attribution.
    """
    check(selector)
    of_ranges = Attribution.named(attribution)
    prefix, colon, rest = selector.partition(":")
    operations = trace.operations
    if not colon:
        return np.isin(operations.kind, SELECTORS[selector])
    if prefix == "stream":
        return np.asarray(operations.stream == int(rest), bool)
    if prefix == "kernel":
        return np.isin(operations.kind, (COMPUTE, COMM)) & matches(operations.name, trace.strings, rest)
    return launched_inside(trace, chosen_ranges(trace, name=rest), of_ranges)


def check(selector: str) -> None:
    """Refuse a selector that could fit no trace.

    Raises:
        UsageError: no such class or prefix, or a stream that is not a number.
    """
    prefix, colon, rest = selector.partition(":")
    if not colon and selector in SELECTORS:
        return
    if colon and f"{prefix}:" in PREFIXES:
        if prefix == "stream" and not (rest.isascii() and rest.isdigit()):
            raise UsageError(f"{selector!r}: a stream is chosen by its number", "for example stream:7")
        if rest:
            return
    near = get_close_matches(f"{prefix}:" if colon else prefix, (*SELECTORS, *PREFIXES), 1, 0.5)
    listed = f"there are: {', '.join(SELECTORS)}, stream:N, range:GLOB, kernel:GLOB"
    raise UsageError(
        f"no operations are selected by {selector!r}",
        f"did you mean {near[0]}{rest if colon else ''}?" if near else listed,
    )


def range_names(*selectors: str) -> list[str]:
    """The names of ranges that valid selectors speak of, each once."""
    parts = [selector.partition(":") for selector in selectors]
    return list(dict.fromkeys(rest for prefix, _, rest in parts if prefix == "range"))


def why_empty(trace: Trace, selector: str) -> str:
    """One sentence about a valid selector that selects no operation of this trace."""
    prefix, _, rest = selector.partition(":")
    operations = trace.operations
    if prefix == "stream":
        numbers = [str(number) for number in np.unique(operations.stream).tolist()]
        return f"no operation ran on stream {rest}: {hint('', numbers)}"
    if prefix == "kernel":
        names = known(operations.name[np.isin(operations.kind, (COMPUTE, COMM))], trace.strings)
        return f"no kernel is called {rest!r}: {hint(rest, names)}" if names else "the trace holds no kernel"
    if prefix == "range" and not len(chosen_ranges(trace, name=rest)):
        return f"no range is called {rest!r}: {hint(rest, known(trace.ranges.text, trace.strings))}"
    return f"no operation of this trace is in {selector!r}"
