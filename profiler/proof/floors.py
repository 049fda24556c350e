"""The floors of a pair's variants, from the work that its record declares and the ceilings that its capture holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median

from ..evidence import Finding, VariantEvidence
from ..judging.floor import IMPLAUSIBLE, Floor, floor_of, phases_of
from ..judging.limits import Estimate
from ..judging.speedup import times
from ..manifest import Manifest
from .rates import declared_work


def floors_of(manifest: Manifest, ceilings: Mapping[str, Estimate], variants: Iterable[str]) -> dict[str, Floor]:
    """The floor of each variant, or why it has none."""
    stated = next((record.phases for record in manifest.runs.values() if record.phases), {})
    declared = declared_work(manifest)
    return {v: floor_of(phases_of(stated.get(v) or (), declared.get(v)), ceilings) for v in variants}


def too_fast(floors: Mapping[str, Floor], variants: Mapping[str, VariantEvidence], source: str) -> tuple[Finding, ...]:
    """Less time than the floor allows: an error of the declaration, the time or the ceilings, never a success.

    At the upper ends of the rates' intervals: where both ways of a link slow each other now more, now less, the median of one minute is
    no ceiling of the next (an H200 host gave 44.5 to 50.6 GB/s within one session).
    """
    return tuple(
        Finding("implausible", {"metric": f"{name}.of_floor", "percent": round(100 * floor.value / time, 1)})
        for name, floor, time in _timed(floors, variants, source)
        if floor.low / time > IMPLAUSIBLE
    )


def _timed(
    floors: Mapping[str, Floor], variants: Mapping[str, VariantEvidence], source: str
) -> Iterable[tuple[str, Estimate, float]]:
    for name, floor in floors.items():
        measured = times(variants[name], source)
        if floor.ns is not None and measured and median(measured):
            yield name, floor.ns, median(measured)
