"""The least time that declared work can take at the rates measured beside it (docs/metrics.md, "The floor").

Work is phases, one after the other; what stands in one phase may run side by side. So a pipeline over chunks is three: the first
chunk in, which nothing hides; everything else at once; the last chunk out. A phase takes as long as the resource in it that needs
most, and the floor is their sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields

from msgspec import UNSET

from ...declaration import Phase
from ..evidence import Finding
from ..manifest import Phase as StatedPhase
from ..manifest import Work
from .limits import Estimate

IMPLAUSIBLE = 1.05
"""A floor above so many times the time measured is an error of the declaration, the time or the rates: never a success."""

BANDWIDTHS = ("copy", "read")
"""Device memory is as fast as the faster of the two."""

_RESOURCES = tuple(one.name for one in fields(Phase))

Rate = Callable[[str], float]
"""The rate of a ceiling by its name, a second."""


@dataclass(frozen=True, slots=True)
class Floor:
    """The floor of a variant in ns; None where it cannot be told, with `reasons`."""

    ns: Estimate | None
    reasons: tuple[Finding, ...] = field(default=())


def floor_of(phases: Sequence[Phase], ceilings: Mapping[str, Estimate]) -> Floor:
    """The floor of one variant.

    Its interval is that of all rates at their upper ends, and of all at their lower ones: no narrower than what each of them leaves.
    """
    if not any(needed for phase in phases for needed in _needed(phase)):
        return Floor(None, (Finding("no_work_declared", {}),))
    lacking = [name for phase in phases for name in _needed(phase) if _best(name, ceilings) is None]
    if lacking:
        return Floor(None, (Finding("no_ceiling", {"name": lacking[0]}),))
    best = {name: found for phase in phases for name in _needed(phase) if (found := _best(name, ceilings))}
    slow, fast = (sum(_seconds(phase, rate) for phase in phases) for rate in _ends(best))
    middle = sum(_seconds(phase, lambda name: best[name].value) for phase in phases)
    return Floor(Estimate(*(seconds * 1e9 for seconds in (middle, fast, slow))))


def _ends(best: Mapping[str, Estimate]) -> tuple[Rate, Rate]:
    return (lambda name: best[name].low), (lambda name: best[name].high)


def _seconds(phase: Phase, rate: Rate) -> float:
    """The resource that needs most. Matrix products of several types take turns on the same units; launches that nothing hides take
    turns with everything."""
    products = sum(flops / rate(name) for name, flops in phase.flops.items() if flops)
    memory = phase.dram / rate("memory") if phase.dram else 0.0
    launches = phase.launches / rate("launch") if phase.launches else 0.0
    return max(products, memory, _link(phase, rate)) + launches


def _link(phase: Phase, rate: Rate) -> float:
    """Both ways at once, each at what it reaches beside the other, until one is done; the rest of the other alone."""
    ways = {name: moved for name, moved in (("h2d", phase.h2d), ("d2h", phase.d2h)) if moved}
    if len(ways) < 2:
        return sum(moved / rate(name) for name, moved in ways.items())
    together = min(moved / rate(f"{name}_both") for name, moved in ways.items())
    return together + sum((moved - together * rate(f"{name}_both")) / rate(name) for name, moved in ways.items())


def _needed(phase: Phase) -> Iterator[str]:
    """The rates that a phase's time hangs on."""
    yield from (name for name, flops in phase.flops.items() if flops)
    if phase.dram:
        yield "memory"
    ways = [name for name, moved in (("h2d", phase.h2d), ("d2h", phase.d2h)) if moved]
    yield from (*ways, *(f"{name}_both" for name in ways if len(ways) > 1))
    if phase.launches:
        yield "launch"


def _best(name: str, ceilings: Mapping[str, Estimate]) -> Estimate | None:
    """The ceiling that bounds a resource; of device memory the faster of copying and reading."""
    if name != "memory":
        return ceilings.get(name)
    return max((ceilings[one] for one in BANDWIDTHS if one in ceilings), key=lambda one: one.value, default=None)


def rates_of(phases: Sequence[Phase]) -> set[str]:
    """The ceilings that a floor of these phases hangs on; of device memory both that may bound it."""
    needed = {name for phase in phases for name in _needed(phase)}
    return needed - {"memory"} | (set(BANDWIDTHS) if "memory" in needed else set())


def phases_of(stated: Iterable[StatedPhase], declared: Work | None) -> tuple[Phase, ...]:
    """The phases as a capture's record states them; where it states none the one that its declared FLOPs and bytes make."""
    named = ({name: value for name in _RESOURCES if (value := getattr(one, name)) is not UNSET} for one in stated)
    if phases := tuple(Phase(**values) for values in named):
        return phases
    if declared is None or not declared.ceiling:
        return ()  # of which type its FLOPs are was not said, and bytes alone may lie in a cache
    return (Phase(dram=int(declared.bytes), flops={declared.ceiling: int(declared.flops)}),)
