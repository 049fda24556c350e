"""Where the gained time went: a ledger in integers that sums to the difference of the medians."""

from __future__ import annotations

from collections.abc import Sequence

from ..evidence import GainTerm, Iteration

_BUSY_CLASSES = ("compute", "comm", "copy", "memset")


def whole_median(values: Sequence[int]) -> int:
    """The median in whole ns; of an even number the mean of the middle two, rounded down."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) // 2


def gain_ledger(baseline: Sequence[Iteration], optimized: Sequence[Iteration]) -> tuple[GainTerm, ...]:
    """baseline − optimized iteration time, term by term, each the difference of the medians of

    idle      span − busy: nothing ran
    overlap   sum − busy: time during which a second (third, …) operation ran along, gained when it grows
    compute, comm, copy, memset   the summed time of the operations themselves: saved, or lost when they got slower

    For one run span = idle + Σ classes − overlap exactly; medians of sums are not sums of medians, and the difference that
    this makes is the residual.
    """
    terms = [GainTerm("idle", _difference(baseline, optimized, "idle"))]
    hidden = [_hidden(optimized), _hidden(baseline)]
    terms.append(GainTerm("overlap", hidden[0] - hidden[1]))
    terms += [GainTerm(kind, _difference(baseline, optimized, f"sum({kind})")) for kind in _BUSY_CLASSES]
    total = _difference(baseline, optimized, "span")
    terms.append(GainTerm("residual", total - sum(term.ns for term in terms)))
    return (*terms, GainTerm("total", total))


def _difference(baseline: Sequence[Iteration], optimized: Sequence[Iteration], metric: str) -> int:
    return _median_of(baseline, metric) - _median_of(optimized, metric)


def _median_of(iterations: Sequence[Iteration], metric: str) -> int:
    return whole_median([int(iteration.numbers[metric]) for iteration in iterations])


def _hidden(iterations: Sequence[Iteration]) -> int:
    return whole_median([int(i.numbers["sum"]) - int(i.numbers["busy"]) for i in iterations])
