"""What claims are judged on, put together in one place for a pair's capture and for any trace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median

from ..evidence import Finding, Rates, Speedup, VariantEvidence
from ..ranges.instances import Instances
from .apart import Apart, speedup_apart
from .bootstrap import LEAST_RUNS, median_interval
from .floor import Floor
from .limits import FLOOR, OF_FLOOR, OF_PAIR, Estimate, ceiling_name
from .rate_metrics import RATE_METRICS, rate_obstacles, rate_values
from .speedup import not_in_turn, speedup_of, times
from .terms import Term

Compared = tuple[str, str]
"""Two variants: the speedup of the second over the first."""


@dataclass(frozen=True, slots=True)
class Grounds:
    """What claims are judged on: the variants' numbers, the speedups that claims ask for, and what stands in the way.

    `speedups` maps two variants to how much faster the second is, None where the runs do not tell; `order` to why these
    do not, where it is that they were not made in turn. `blocked` holds, for each variant, findings that leave claims about it
    unproven; `invalid` says that outputs disagree. `ceilings` are what the device was measured to reach, `floors` what each
    variant's work needs at that, and `source` says whose times `time` is, as `speedup_of` takes it. `apart` is what is known of the
    sessions of two variants, where they ran in one each.
    """

    variants: Mapping[str, VariantEvidence]
    speedups: Mapping[Compared, Speedup | None]
    blocked: Mapping[str, tuple[Finding, ...]]
    copies_blocked: Mapping[str, tuple[Finding, ...]]
    invalid: tuple[Finding, ...]
    rates: Mapping[str, Rates] = field(default_factory=dict)
    order: Mapping[Compared, tuple[Finding, ...]] = field(default_factory=dict)
    ceilings: Mapping[str, Estimate] = field(default_factory=dict)
    floors: Mapping[str, Floor] = field(default_factory=dict)
    source: str = "trace"
    apart: Apart | None = None

    def values(self, term: Term) -> list[float]:
        """The term in every run of its variant in which it is defined; none of what has one value for all of them."""
        if not term.variant:
            return []
        variant = self.variants[term.variant]
        if term.metric not in OF_PAIR:
            return values_of(term.metric, variant, self.rates)
        ns = times(variant, self.source)
        if term.metric != OF_FLOOR:
            return [] if term.fixed else [float(one) for one in ns]
        floor = self._floor(term.variant).ns
        return [] if floor is None else [floor.value / one for one in ns if one]

    def estimate(self, term: Term) -> Estimate | None:
        """What a term is over all runs, with its interval: of a ceiling, a floor or a speedup its own, else that of the median.
        None where it cannot be told."""
        if term.metric == FLOOR:
            return self._floor(term.variant).ns
        if term.compared:
            found = self.speedups[term.compared]
            return None if found is None else Estimate(found.value, found.low, found.high)
        if term.fixed:
            return self.ceilings.get(ceiling_name(term.metric))
        values = self.values(term)
        if len(values) < LEAST_RUNS:
            return None
        low, high = median_interval(values)
        return Estimate(float(median(values)), low, high)

    def spread_of_floor(self, term: Term) -> tuple[float, float]:
        """By which factors a share of the floor may be lower and higher for what is not known of the floor itself; 1 else."""
        floor = self._floor(term.variant).ns if term.metric == OF_FLOOR else None
        return (1.0, 1.0) if floor is None else (floor.low / floor.value, floor.high / floor.value)

    def lacking(self, term: Term) -> tuple[Finding, ...]:
        """What was not measured, or not declared, of this term."""
        if term.metric in RATE_METRICS:
            return rate_obstacles(self.rates.get(term.variant), term.metric)
        if term.metric in (FLOOR, OF_FLOOR):
            return self._floor(term.variant).reasons
        if term.fixed and ceiling_name(term.metric) not in self.ceilings:
            return (Finding("no_ceiling", {"name": ceiling_name(term.metric)}),)
        return ()

    def runs(self, variant: str) -> int:
        """How many times of a variant there are to compare."""
        return len(times(self.variants[variant], self.source))

    def _floor(self, variant: str) -> Floor:
        return self.floors.get(variant) or Floor(None, (Finding("no_work_declared", {}),))


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
    ceilings: Mapping[str, Estimate] | None = None,
    floors: Mapping[str, Floor] | None = None,
    apart: Apart | None = None,
) -> Grounds:
    """Put them together.

    Args:
        runs: those of the trace, by variant; a variant that it does not hold has none.
        blocked: as in `Grounds`.
        compared: the variants whose speedups are wanted.
        source: of the times that are compared, as `speedup_of` takes it.
        led: why none of the runs were made in turn, where that is known of them all.
        usable: False where no speedup may be told, whatever the times are.
        ceilings, floors: as in `Grounds`.
        apart: where the two variants ran in sessions of their own, what is known of these.
    """
    if apart is not None:
        order = dict.fromkeys(compared, apart.reasons)
    else:
        order = {(a, b): led or not_in_turn(variants[a], variants[b], source) for a, b in compared}
    speedups = {
        (a, b): _speedup(variants[a], variants[b], source, apart) if usable and not why else None
        for (a, b), why in order.items()
    }
    pageable = {name: runs[name].pageable() if name in runs else () for name in variants}
    return Grounds(
        variants, speedups, blocked, pageable, invalid, rates or {}, order, ceilings or {}, floors or {}, source, apart
    )


def _speedup(before: VariantEvidence, after: VariantEvidence, source: str, apart: Apart | None) -> Speedup | None:
    return speedup_of(before, after, source) if apart is None else speedup_apart(before, after)
