"""Work that ranges hold and do not count, for it was launched from another thread of their process: PyTorch's backward is."""

from __future__ import annotations

from functools import partial

import numpy as np

from ..arrays.types import Int64
from ..ranges.attribution import Attribution
from ..ranges.chosen import chosen_ranges
from ..ranges.uncounted import LEAST, has_others, uncounted
from ..trace.model import Trace


def other_threads(trace: Trace, name: str, attribution: str, domain: str | None = None) -> list[str]:
    """A sentence where much of what a process launched inside ranges of this name came from threads that they do not count.

    Args:
        name, domain: as `chosen_ranges` takes them.
    """
    whose = Attribution(attribution)
    counts = partial(_counts, trace, name, whose, domain)
    of_others, of_process = trace.table(f"uncounted {(name, attribution, domain)!r}", counts)["counts"].tolist()
    if of_others <= LEAST * of_process:
        return []
    seen = f"of {of_process:,} operations that were launched inside ranges called {name!r} {of_others:,} came from other threads"
    why = "of their process, as PyTorch's backward does, and are not counted: --attribution process counts them"
    return [f"{seen} {why}"]


def _counts(trace: Trace, name: str, whose: Attribution, domain: str | None) -> dict[str, Int64]:
    found = uncounted(trace, chosen_ranges(trace, domain, name), whose) if has_others(trace, whose) else (0, 0)
    return {"counts": np.array(found, np.int64)}
