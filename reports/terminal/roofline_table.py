"""Rates of a capture's ranges and kernels under its measured roofs, as lines for a terminal and as JSON data."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

from ...profiler.evidence import Evidence, Finding, KernelRates, Rates
from ...profiler.manifest import Ceilings
from ..catalog import catalog
from ..hostile import visible
from ..units import NOTHING, scaled
from .console import seen
from .tables import name, share, table, time

_HEAD = (
    *("range or kernel", "launches", "tier", "FLOP", "of type", "counted/declared", "DRAM", "FLOP/B", "busy"),
    *("achieved", "of roofline", "bound by"),
)


def roofline_data(evidence: Evidence) -> dict[str, Any]:
    """`aisp-prof roofline --json` (docs/json.md)."""
    measured = evidence.manifest.as_written.get("ceilings") or {}
    rows = [{"range": _range(evidence, variant), **one.to_json()} for variant, one in evidence.rates.items()]
    return {
        "capture": evidence.capture_id,
        "notes": notes(evidence),
        "ceilings": measured.get("ceilings") or [],
        "calibration": measured.get("calibration"),
        "rows": rows,
    }


def roofline_lines(evidence: Evidence) -> list[str]:
    """One line per range and, below it, per kernel name; the ceilings; and what is unknown, with its mend."""
    rows = []
    for variant, one in evidence.rates.items():
        rows.append(_range_cells(_range(evidence, variant), one))
        rows += [_kernel_cells(kernel) for kernel in one.kernels]
    lines = [f"capture {evidence.capture_id}"]
    lines += table(_HEAD, rows) if rows else []
    roofs = _ceilings(evidence.manifest.ceilings)
    return [*lines, *([f"measured ceilings: {roofs}"] if roofs else []), *notes(evidence)]


def notes(evidence: Evidence) -> list[str]:
    """Why a tier is no better than it is, each reason once; and what has no measured ceiling."""
    reasons = [reason for one in evidence.rates.values() for reason in one.reasons]
    if not evidence.rates:
        reasons = [Finding("no_counters" if evidence.completeness.status == "complete" else "not_traced", {})]
    say = catalog("en")
    said = [seen(reason, say) for reason in reasons]
    mends = [say.finding(reason).mend for reason in reasons]
    lines = [visible(f"{what} → {mend}") for what, mend in zip(said, mends, strict=True)]
    lines += [
        f"{variant}: no ceiling was measured of {', '.join(one.without_ceiling)}, so the roof is too high rather than too low"
        for variant, one in evidence.rates.items()
        if one.without_ceiling
    ]
    return list(dict.fromkeys(lines))


def _range(evidence: Evidence, variant: str) -> str:
    return f"{evidence.manifest.pair}.{variant}.measure"


def _range_cells(range_name: str, one: Rates) -> tuple[str, ...]:
    flops = one.flops_counted if one.tier == "counted" else one.flops_declared
    return (
        visible(range_name),
        "",
        one.tier,
        _in(flops, "FLOP"),
        _types(one.flops_by_type),
        NOTHING if one.flops_agreement is None else f"{one.flops_agreement:.4f}",
        _in(one.dram_bytes, "B"),
        _in(one.arithmetic_intensity, "FLOP/B"),
        time(median(one.busy_ns)),
        _in(one.achieved_flops, "FLOP/s"),
        share(one.of_roofline),
        one.bound or NOTHING,
    )


def _kernel_cells(one: KernelRates) -> tuple[str, ...]:
    return (
        f"  {name(one.name)}",
        str(one.launches),
        "",
        _in(one.flops, "FLOP"),
        _types(one.flops_by_type),
        "",
        _in(one.dram_bytes, "B"),
        _in(one.arithmetic_intensity, "FLOP/B"),
        time(one.busy_ns),
        _in(one.achieved_flops, "FLOP/s"),
        share(one.of_roofline),
        one.bound or NOTHING,
    )


def _in(value: float | None, unit: str) -> str:
    return NOTHING if value is None else scaled(value, unit).replace("\u00a0", " ")


def _types(by_type: Mapping[str, int]) -> str:
    return ", ".join(sorted(by_type, key=lambda kind: -by_type[kind])) or NOTHING


def _ceilings(measured: Ceilings | None) -> str:
    units = {"byte/s": "B/s", "flop/s": "FLOP/s"}
    shown = [row for row in (measured.ceilings if measured else None) or () if not row.name.endswith("_sustained")]
    return ", ".join(f"{visible(row.name)} {_in(row.value, units.get(row.unit or '', ''))}" for row in shown)
