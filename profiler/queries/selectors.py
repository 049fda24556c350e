"""Choose operations by one word: a class, `stream:N`, `range:GLOB` or `kernel:GLOB`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..analysis import selection
from ..analysis.names import hint, known
from ..ranges.attribution import Attribution
from ..ranges.chosen import chosen_ranges
from ..ranges.within import launched_inside
from ..trace.model import COMM, COMPUTE, Trace

PREFIXES = ("stream:", "range:", "kernel:")
_RANGE = "range:"


def select(trace: Trace, selector: str, attribution: str = "thread") -> NDArray[np.bool_]:
    """Which operations a selector means, a mask of shape (len(trace.operations),); none of them is no error.

    Raises:
        UsageError: no such selector, of which the nearest one is suggested, or no such attribution.
    """
    check(selector)
    of_ranges = Attribution.named(attribution)
    if selector.startswith(_RANGE):
        return launched_inside(trace, chosen_ranges(trace, name=selector.removeprefix(_RANGE)), of_ranges)
    return selection.selected(trace.operations, trace.strings, selector)


def check(selector: str) -> None:
    """Refuse a selector that could fit no trace.

    Raises:
        UsageError: no such class or prefix, or a stream that is not a number.
    """
    selection.check(selector, PREFIXES)


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
