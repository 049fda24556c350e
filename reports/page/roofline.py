"""The roofline section of a page: the picture, what was counted beside what was declared, and the kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import median

from ...declaration import VARIANTS
from ...profiler.counters.roofline import CEILING_OF, bandwidth
from ...profiler.evidence import Evidence, KernelRates, Rates
from ...profiler.judging.rate_metrics import RATE_METRICS
from ..catalog import Catalog
from ..hostile import shorten, visible
from ..units import NOTHING, SCALES, decimals, duration, fixed, percent, scaled
from .axis import Measure
from .roofline_chart import RooflineChart, brief, places, roofline_chart
from .roofs import Roofs

MOST_COLUMNS = 3
"""For a staged pair with more variants, the table shows the first and the last; the picture shows all."""

MOST_KERNELS = 6
_OWN = 0.01


@dataclass(frozen=True, slots=True)
class RateRow:
    """One number of every variant, in the order of `RooflineSection.variants`; `note` holds the unit that they share."""

    label: str
    note: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KernelRow:
    """All launches of one kernel in an iteration of a variant. `number`: by which the picture names it, "" where it is not there."""

    number: str
    variant: str
    name: str
    launches: int
    time: str
    intensity: str
    achieved: str
    share: str


@dataclass(frozen=True, slots=True)
class Key:
    """What a mark of the picture stands for: its radius, whether it is filled, and in words."""

    radius: float
    filled: bool
    text: str


@dataclass(frozen=True, slots=True)
class RooflineSection:
    """`charts` are the picture at two widths, or none. `left_out`: how many kernels the table omits."""

    tier: str
    variants: tuple[str, ...]
    charts: tuple[RooflineChart, ...]
    keys: tuple[Key, ...]
    rows: tuple[RateRow, ...]
    kernels: tuple[KernelRow, ...]
    left_out: int
    remarks: str


def roofline_section(evidence: Evidence, say: Catalog, wide: Measure, narrow: Measure) -> RooflineSection | None:
    """The section where rates are claimed or counters were asked for; otherwise, or if nothing is known, None."""
    claimed = any(claim.metric in RATE_METRICS for claim in evidence.claims)
    if not evidence.rates or not (claimed or evidence.manifest.counters):
        return None
    rates = dict(evidence.rates)
    roofs, placed = measured_roofs(evidence), places(rates)
    tabled = rates if len(rates) <= MOST_COLUMNS else {name: rates[name] for name in VARIANTS if name in rates}
    listed = [(name, one) for name, rate in tabled.items() for one in rate.kernels[:MOST_KERNELS]]
    numbered = [(name, one.name) for name, one in listed]
    charts = [roofline_chart(placed, roofs, say, size, numbered) for size in (wide, narrow)] if roofs else []
    drawn = {number for chart in charts if chart for one in chart.numbers for number in one.text.split(", ")}
    kernels = [_kernel_row(str(place), name, one, say, drawn) for place, (name, one) in enumerate(listed, 1)]
    return RooflineSection(
        tier=_tiers(rates, say),
        variants=tuple(say.get(f"variant.{name}", name) for name in tabled),
        charts=tuple(chart for chart in charts if chart),
        keys=tuple(_keys(next(filter(None, charts), None), say)),
        rows=_rows(tabled, say),
        kernels=tuple(kernels),
        left_out=sum(len(rate.kernels) for rate in rates.values()) - len(kernels),
        remarks=_remarks(rates, say),
    )


def _keys(chart: RooflineChart | None, say: Catalog) -> Iterator[Key]:
    """The kinds of marks that the picture holds, where some are hollow."""
    if chart is None or not (chart.kernels or brief(chart.points) or any(not point.counted for point in chart.points)):
        return
    if any(point.counted for point in chart.points):
        yield Key(4.6, True, say("roofline.key_counted"))
    if not all(point.counted for point in chart.points):
        yield Key(4.2, False, say("roofline.key_declared"))
    if brief(chart.points):
        yield Key(0, True, say("roofline.key_share"))
    if chart.kernels:
        yield Key(2.2, False, say("roofline.key_kernel"))


def measured_roofs(evidence: Evidence) -> Roofs | None:
    """The bandwidth and the matrix rates that the capture carries; None without a bandwidth. Rates measured after the
    clocks have dropped are not roofs: a short burst exceeds them."""
    measured = evidence.manifest.ceilings
    rows = (measured.ceilings or []) if measured else []
    ceilings = {row.name: float(row.value) for row in rows}
    peak = bandwidth(ceilings)
    if peak is None:
        return None
    compute = {
        row.name: float(row.value) for row in rows if row.unit == "flop/s" and not row.name.endswith("_sustained")
    }
    return Roofs(peak, compute, frozenset(name for one in evidence.rates.values() for name in _own(one)))


def _own(one: Rates) -> list[str]:
    """The ceilings of those types that make up at least a hundredth of its work."""
    whole = one.flops_counted or 0
    return [CEILING_OF[kind] for kind, n in one.flops_by_type.items() if kind in CEILING_OF and n >= _OWN * whole]


def _tiers(rates: Mapping[str, Rates], say: Catalog) -> str:
    """ "FLOPs counted by Nsight Compute", or variant by variant if they differ."""
    tiers = {name: say(f"roofline.tier_{one.tier}") for name, one in rates.items()}
    if len(set(tiers.values())) == 1:
        return say("roofline.tier", tier=next(iter(tiers.values())))
    listed = ", ".join(f"{say.get(f'variant.{name}', name)} {tier}" for name, tier in tiers.items())
    return say("roofline.tier", tier=listed)


def _machine(one: Rates, name: str) -> float | None:
    return one.machine[0].get(name) if one.machine else None


_MACHINE: Mapping[str, tuple[str, Callable[[Rates], float | None]]] = {
    name: (RATE_METRICS[name].unit, partial(_machine, name=name))
    for name in (
        "hmma_flops",
        "hgmma_flops",
        "utchmma_flops",
        "tensor_active",
        "tma_bytes",
        "multicast_bytes",
        "dsmem_operations",
        "dsmem_bytes",
        "cp_async_operations",
        "bank_conflicts",
    )
}
"""What tensor cores, copy engine and shared memory did: no row where that is nothing in all variants."""

_ROWS: Mapping[str, tuple[str, Callable[[Rates], float | None]]] = {
    "counted": ("FLOP", lambda one: one.flops_counted),
    "declared": ("FLOP", lambda one: one.flops_declared),
    "agreement": ("ratio4", lambda one: one.flops_agreement),
    "dram": ("B", lambda one: one.dram_bytes),
    "bytes_declared": ("B", lambda one: one.bytes_declared),
    "l2": ("B", lambda one: one.l2_bytes),
    **_MACHINE,
    "changed_instructions": ("count", partial(_machine, name="changed_instructions")),
    "intensity": ("FLOP/B", lambda one: one.arithmetic_intensity),
    "busy": ("ns", lambda one: median(one.busy_ns) if one.busy_ns else None),
    "achieved": ("FLOP/s", lambda one: one.achieved_flops if one.tier == "counted" else None),
    "achieved_declared": ("FLOP/s", lambda one: one.achieved_declared),
    "bandwidth": ("B/s", lambda one: one.bytes_per_s),
    "roof": ("FLOP/s", lambda one: one.ceiling),
    "share": ("ratio", lambda one: one.of_roofline),
}


def _rows(rates: Mapping[str, Rates], say: Catalog) -> tuple[RateRow, ...]:
    """One row for everything known of at least one variant, of the machine's parts what is not 0 in all; what bounds it comes last."""
    rows = []
    for name, (unit, read) in _ROWS.items():
        values = [read(one) for one in rates.values()]
        if any(value is not None and (value or name not in _MACHINE) for value in values):
            note, cells = _written(values, unit)
            rows.append(RateRow(say(f"roofline.{name}"), note, cells))
    if any(one.bound for one in rates.values()):
        bounds = tuple(say(f"roofline.by_{one.bound}") if one.bound else NOTHING for one in rates.values())
        rows.append(RateRow(say("roofline.bound"), "", bounds))
    kinds = tuple(_kinds(one) for one in rates.values())
    return (*rows, RateRow(say("roofline.kinds"), "", kinds)) if any(kind != NOTHING for kind in kinds) else tuple(rows)


def _written(values: list[float | None], unit: str) -> tuple[str, tuple[str, ...]]:
    """The unit that suits the largest value, and all values in it."""
    if unit == "ratio":
        return "", tuple(NOTHING if value is None else percent(value) for value in values)
    if unit == "ratio4":
        return "", tuple(NOTHING if value is None else fixed(value, 4) for value in values)
    if unit in ("ns", "count"):
        write = duration if unit == "ns" else partial(fixed, places=0)
        return "", tuple(NOTHING if value is None else write(value) for value in values)
    largest = max(value for value in values if value is not None)
    limit, prefix = next((p for p in SCALES if largest >= p[0] and unit != "FLOP/B"), (1.0, ""))
    cells = [
        NOTHING if value is None else fixed(value / limit, decimals(value / limit) if value else 0) for value in values
    ]
    return f"{prefix}{unit}", tuple(cells)


def _kinds(one: Rates) -> str:
    """Types of FLOP by their share, the largest first: tensor_bf16 99.6%, fp32 0.3%."""
    whole = one.flops_counted or 0
    ordered = sorted(one.flops_by_type.items(), key=lambda item: -item[1])
    return ", ".join(f"{kind} {percent(count / whole)}" for kind, count in ordered) if whole else NOTHING


def _kernel_row(number: str, variant: str, one: KernelRates, say: Catalog, drawn: set[str]) -> KernelRow:
    return KernelRow(
        number=number if number in drawn else "",
        variant=say.get(f"variant.{variant}", variant),
        name=shorten(visible(one.name), 60),
        launches=one.launches,
        time=duration(one.busy_ns),
        intensity=NOTHING if one.arithmetic_intensity is None else scaled(one.arithmetic_intensity, "FLOP/B"),
        achieved=scaled(one.achieved_flops, "FLOP/s"),
        share=NOTHING if one.of_roofline is None else percent(one.of_roofline),
    )


def _remarks(rates: Mapping[str, Rates], say: Catalog) -> str:
    """One sentence on which types have no roof; "" if all have one."""
    without = sorted({kind for one in rates.values() for kind in one.without_ceiling})
    return say("roofline.without", kinds=", ".join(without)) if without else ""
