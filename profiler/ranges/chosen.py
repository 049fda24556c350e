"""Which ranges of a trace somebody means: by a name, a path of nested ranges, or either of them behind its domain."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..analysis.names import known, matches
from ..arrays.growing import constant
from ..arrays.types import Bools, Int64
from ..trace.model import Trace


def chosen_ranges(trace: Trace, domain: str | None = None, name: str = "*") -> Int64:
    """Row indices into `trace.ranges`.

    Args:
        domain: a domain or glob; None for all, "" for the default one.
        name: a name or glob; else, where no range is called so, the names of nested ranges from the outside in
            (`epoch/step`), each a glob; else either of them behind its domain (`train:step`), as `trace ranges` shows it.
    """
    ranges = trace.ranges
    inside = (
        constant(True, len(ranges), bool) if domain is None else matches(ranges.codes("domain"), trace.strings, domain)
    )
    for fits in _readings(trace, name):
        if (chosen := np.flatnonzero(inside & fits)).size:
            return chosen
    return np.empty(0, np.int64)


def _readings(trace: Trace, name: str) -> Iterator[Bools]:
    """What a range's name may mean, the plainest first."""
    yield matches(trace.ranges.codes("text"), trace.strings, name)
    yield _nested(trace, name)
    for domain in known(trace.ranges.domain, trace.strings):
        if name.startswith(f"{domain}:"):
            behind, own = matches(trace.ranges.codes("domain"), trace.strings, domain), name.removeprefix(f"{domain}:")
            yield behind & matches(trace.ranges.codes("text"), trace.strings, own)
            yield behind & _nested(trace, own)


def _nested(trace: Trace, path: str) -> Bools:
    """The ranges at the end of a path: `epoch/step` is a `step` whose next range around it is an `epoch`."""
    *outer, inner = path.split("/")
    fits = matches(trace.ranges.codes("text"), trace.strings, inner)
    if not outer:
        return constant(False, len(fits), bool)
    around = np.where(fits, trace.ranges.parent, -1)
    for name in reversed(outer):
        fits = fits & (around >= 0) & matches(trace.ranges.codes("text"), trace.strings, name)[around]
        around = np.where(fits, trace.ranges.parent[around], -1)
    return fits
