"""What claims are judged on, put together in one place for a pair's capture and for any trace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..evidence import Finding, Rates, Speedup, VariantEvidence
from ..ranges.instances import Instances
from .language import Term
from .rate_metrics import RATE_METRICS, rate_values
from .speedup import not_in_turn, speedup_of

Compared = tuple[str, str]
"""Two variants: the speedup of the second over the first."""


@dataclass(frozen=True, slots=True)
class Grounds:
    """What claims are judged on: the variants' numbers, the speedups that claims ask for, and what stands in the way.

    `speedups` maps two variants to how much faster the second is, None where the runs do not tell; `order` to why these
    do not, where it is that they were not made in turn. `blocked` holds, for each variant, findings that leave claims about it
    unproven; `invalid` says that outputs disagree.
    """

    variants: Mapping[str, VariantEvidence]
    speedups: Mapping[Compared, Speedup | None]
    blocked: Mapping[str, tuple[Finding, ...]]
    copies_blocked: Mapping[str, tuple[Finding, ...]]
    invalid: tuple[Finding, ...]
    rates: Mapping[str, Rates] = field(default_factory=dict)
    order: Mapping[Compared, tuple[Finding, ...]] = field(default_factory=dict)

    def values(self, term: Term) -> list[float]:
        """As `values_of`."""
        return values_of(term.metric, self.variants[term.variant], self.rates) if term.compared is None else []


def values_of(metric: str, variant: VariantEvidence, rates: Mapping[str, Rates]) -> list[float]:
    """A metric in every run of a variant in which it is defined; of a rate all or none."""
    if metric in RATE_METRICS:
        return rate_values(rates.get(variant.name), metric)
    return [run.numbers[metric] for run in variant.iterations if metric in run.numbers]


def grounds_of(
    variants: Mapping[str, VariantEvidence],
    runs: Mapping[str, Instances],
    blocked: Mapping[str, tuple[Finding, ...]],
    compared: Iterable[Compared],
    *,
    source: str = "trace",
    led: tuple[Finding, ...] = (),
    invalid: tuple[Finding, ...] = (),
    rates: Mapping[str, Rates] | None = None,
    usable: bool = True,
) -> Grounds:
    """Put them together.

    Args:
        runs: those of the trace, by variant; a variant that it does not hold has none.
        blocked: as in `Grounds`.
        compared: the variants whose speedups are wanted.
        source: of the times that are compared, as `speedup_of` takes it.
        led: why none of the runs were made in turn, where that is known of them all.
        usable: False where no speedup may be told, whatever the times are.
    """
    order = {(a, b): led or not_in_turn(variants[a], variants[b], source) for a, b in compared}
    speedups = {
        (a, b): speedup_of(variants[a], variants[b], source) if usable and not why else None
        for (a, b), why in order.items()
    }
    pageable = {name: runs[name].pageable() if name in runs else () for name in variants}
    return Grounds(variants, speedups, blocked, pageable, invalid, rates or {}, order)
