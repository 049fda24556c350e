"""Work and rates of a pair: what ncu counted, over the time that nsys measured, under the roofs that were measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from ...declaration import VARIANTS
from ...errors import UsageError
from ..arrays.intervals import union
from ..counters.joining import Joined, TracedKernel, join
from ..counters.kernel_counters import KernelCounters
from ..counters.raw_csv import read_raw_csv
from ..counters.roofline import IMPLAUSIBLE, achieved
from ..counters.rows import OWN_TYPES, dram_bytes, machine_numbers, total_flops
from ..counters.table import table
from ..counters.traced import traced_kernels
from ..evidence import Finding, KernelRates, Rates
from ..manifest import Calibration, Counters, MachineCode, Manifest, Work
from ..ranges.instances import Instances
from ..ranges.numbers import numbers
from ..trace.model import TABLES, Trace
from ..trace.schema import KERNEL
from .measured import Measured

AGREEMENT_BAND = 0.05
"""Counted FLOPs may differ from the declared ones by this share: conversions and loaded constants count too (docs/counters.md)."""


COMPUTE_TIME = "busy(compute)"


@dataclass(frozen=True, slots=True)
class Sources:
    """What a capture knows of work: ncu's launches or why there are none, formulas, roofs, and how far counters are right.

    launches     of the whole report; empty where `refused` says why
    repeats      how often the report holds an iteration of each variant
    declared     variant -> the work of an iteration
    ceilings     name -> rate
    changed      variant -> instructions of its machine code that are others than the baseline's; empty where no code was recorded
    """

    launches: tuple[KernelCounters, ...]
    refused: tuple[Finding, ...]
    repeats: int
    declared: Mapping[str, Work]
    ceilings: Mapping[str, float]
    calibration: Calibration | None
    changed: Mapping[str, int]


def find_rates(
    manifest: Manifest, trace: Trace | None, trace_path: Path | None, measured: Measured
) -> dict[str, Rates]:
    """The rates of every variant that was measured; none where the capture neither counted nor declares work."""
    sources = read_sources(manifest, None if trace_path is None else trace_path.parent)
    if trace is None or trace_path is None or not (sources.declared or manifest.counters):
        return {}
    kernels = traced_kernels(trace_path, trace, trace.operations) if sources.launches else []
    by_row = {kernel.row: kernel for kernel in kernels}
    return {
        variant: _Variant(f"{manifest.pair}.{variant}.measure", variant, one, sources, by_row).rates()
        for variant, one in measured.items()
        if len(one)
    }


def read_sources(manifest: Manifest, folder: Path | None) -> Sources:
    """What the manifest, and the counters beside it, say. A capture without counters is no error: it says so."""
    counters, measured = manifest.counters, manifest.ceilings
    launches, refused = _launches(counters, folder)
    return Sources(
        launches=tuple(launches),
        refused=refused,
        repeats=int((counters.iterations if counters else None) or 1),
        declared=declared_work(manifest),
        ceilings={one.name: float(one.value) for one in measured.ceilings or ()} if measured else {},
        calibration=measured.calibration if measured else None,
        changed=changed_instructions(manifest.runs["traced"].code or {}) if "traced" in manifest.runs else {},
    )


def _launches(counters: Counters | None, folder: Path | None) -> tuple[list[KernelCounters], tuple[Finding, ...]]:
    if counters is None:
        return [], (Finding("no_counters", {}),)
    if counters.csv is None or folder is None:
        return [], (_not_counted(counters.reason or "no CSV is left of it", counters.mend or ""),)
    try:
        return read_raw_csv(folder / counters.csv), ()
    except UsageError as error:
        return [], (_not_counted(str(error), error.mend),)


def _not_counted(reason: str, mend: str) -> Finding:
    return Finding("not_counted", {"reason": reason, "mend": mend or "aisp-prof doctor"})


def changed_instructions(code: Mapping[str, MachineCode]) -> dict[str, int]:
    """Of every variant, by opcode with its modifiers, how many instructions its machine code and the baseline's do not share.

    0 where both are the same bytes, and only there: what differs in operands or order alone counts as 1.
    """
    plain = code.get(VARIANTS[0])
    if plain is None:
        return {}
    before = Counter(plain.instructions)
    changed = {}
    for variant, made in code.items():
        after = Counter(made.instructions)
        apart = ((after - before) + (before - after)).total()
        changed[variant] = 0 if made.sha256 == plain.sha256 else max(1, apart)
    return changed


def declared_work(manifest: Manifest) -> Mapping[str, Work]:
    """As the pair's own formulas said when it ran; the profiler knows no pair."""
    return next((record.declared for record in manifest.runs.values() if record.declared), {})


@dataclass(frozen=True, slots=True)
class _Variant:
    """One variant's runs against what ncu counted in the range of the same name."""

    range: str
    name: str
    runs: Instances
    sources: Sources
    by_row: Mapping[int, TracedKernel]

    def rates(self) -> Rates:
        """Joined and calibrated it is counted; else declared, where there is a formula."""
        joined, differences = self._joined()
        inside = [one for one in self.sources.launches if any(nvtx.name == self.range for nvtx in one.nvtx)]
        flops, lacking = total_flops([pair.counted for pair in joined[0]] if joined else [])
        reasons = self.sources.refused or differences or _missing(lacking) or self._uncalibrated(flops)
        return self._rates(reasons, {} if reasons else flops, joined, inside)

    def _joined(self) -> tuple[list[tuple[Joined, ...]], tuple[Finding, ...]]:
        """The kernels of every run with their counters; where one run's differ, none, and what differs."""
        if not self.sources.launches:
            return [], ()
        each = (self._kernels(place) for place in range(len(self.runs)))
        joinings = [join(self.range, self.sources.launches, mine, self.sources.repeats) for mine in each]
        refused = [joining for joining in joinings if joining.refused]
        if refused:
            values: dict[str, str | int | float] = {
                "variant": self.name,
                "difference": str(refused[0].differences[0]),
                "count": len(refused),
            }
            return [], (Finding("kernels_differ", values),)
        return [joining.pairs for joining in joinings], ()

    def _kernels(self, place: int) -> list[TracedKernel]:
        """Those of a run in the order of their launches."""
        operations = self.runs.operations(place)
        rows = set(operations.row[operations.table == TABLES.index(KERNEL)].tolist())
        return [kernel for row, kernel in self.by_row.items() if row in rows]

    def _uncalibrated(self, flops: Mapping[str, int]) -> tuple[Finding, ...]:
        """Counters that do not count a product of known size right, or that nobody checked, are not to be believed."""
        calibration = self.sources.calibration or Calibration()
        if not calibration.rows:
            return (Finding("not_calibrated", {"reason": calibration.reason or "no product was counted"}),)
        own = [row for row in calibration.rows if any(flops.get(kind) for kind in OWN_TYPES.get(row.type, ()))]
        return tuple(
            Finding("calibration_off", {"type": row.type, "counted": row.counted or 0, "declared": row.declared or 0})
            for row in own
            if not row.ok
        )

    def _machine(self, inside: Sequence[KernelCounters]) -> tuple[Mapping[str, float], ...]:
        """What tensor cores and copy engine did in every iteration in the report, empty where one of them lacks it; and the code."""
        found = tuple(machine_numbers(part) for part in _parts(inside, self.sources.repeats))
        changed = self.sources.changed.get(self.name)
        code = {} if changed is None else {"changed_instructions": float(changed)}
        return tuple({**one, **code} for one in found) if all(found) else ()

    def _rates(
        self,
        reasons: tuple[Finding, ...],
        flops: Mapping[str, int],
        joined: Sequence[tuple[Joined, ...]],
        inside: Sequence[KernelCounters],
    ) -> Rates:
        declared = self.sources.declared.get(self.name)
        formula = declared.flops if declared else None
        busy = tuple(int(ns or 0) for ns in numbers(self.runs, [COMPUTE_TIME])[COMPUTE_TIME])
        first = [pair.counted for pair in joined[0]] if joined else []
        moved = _total(dram_bytes(one)[0] for one in first)
        counted = not reasons and bool(first) and all(busy)
        work = sum(flops.values()) if counted else None
        roof = achieved(flops, moved, _middle(busy), self.sources.ceilings) if counted and moved is not None else None
        speed = _per_second(work if counted else formula, busy)
        return Rates(
            tier="counted" if counted else "unknown" if formula is None else "declared",
            reasons=reasons,
            flops_by_type=flops if counted else {},
            flops_counted=work,
            flops_declared=formula,
            flops_agreement=work / formula if work is not None and formula else None,
            dram_bytes=moved,
            l2_bytes=_total(_l2(one) for one in first),
            bytes_declared=declared.bytes if declared else None,
            counted=_repeats(inside, self.sources.repeats) if counted else (),
            busy_ns=busy,
            achieved_flops=speed,
            achieved_declared=_per_second(formula, busy),
            arithmetic_intensity=work / moved if work is not None and moved else None,
            bytes_per_s=_per_second(moved, busy),
            ceiling=None if roof is None else roof.ceiling_flop_per_s,
            bound="" if roof is None else roof.bound,
            without_ceiling=() if roof is None else roof.without_ceiling,
            of_roofline=speed / roof.ceiling_flop_per_s if roof and roof.ceiling_flop_per_s and speed else None,
            kernels=_by_kernel(joined, self.sources.ceilings) if counted else (),
            machine=self._machine(inside) if counted else (),
        )


def _missing(lacking: Sequence[str]) -> tuple[Finding, ...]:
    """A sum without one of its counters would be a guess."""
    return (Finding("counter_missing", {"metric": lacking[0], "count": len(lacking)}),) if lacking else ()


def _l2(one: KernelCounters) -> int | None:
    found = one.metrics.get(table().common.l2)
    return None if found is None else round(found)


def _total(values: Iterable[int | None]) -> int | None:
    """Their sum; None where one is not known, or there is none."""
    known = list(values)
    return None if not known or None in known else sum(value for value in known if value is not None)


def _middle(busy: Sequence[int]) -> int:
    return max(1, round(median(busy)))


def _per_second(work: float | None, busy: Sequence[int]) -> float | None:
    """The median over the iterations of work / busy time."""
    return None if work is None or not busy or not all(busy) else median(work * 1e9 / ns for ns in busy)


def _repeats(inside: Sequence[KernelCounters], repeats: int) -> tuple[tuple[int, int | None], ...]:
    """FLOPs and DRAM bytes of every iteration in the report; joining has shown that each holds the same kernels."""
    parts = _parts(inside, repeats)
    return tuple((sum(total_flops(part)[0].values()), _total(dram_bytes(one)[0] for one in part)) for part in parts)


def _parts(inside: Sequence[KernelCounters], repeats: int) -> list[Sequence[KernelCounters]]:
    length = len(inside) // repeats
    return [inside[i * length : (i + 1) * length] for i in range(repeats)]


def _by_kernel(joined: Sequence[tuple[Joined, ...]], ceilings: Mapping[str, float]) -> tuple[KernelRates, ...]:
    """A row a name, the longest first."""
    names = dict.fromkeys(pair.traced.name for pair in joined[0])
    rows = [_kernel(name, [[p for p in run if p.traced.name == name] for run in joined], ceilings) for name in names]
    return tuple(sorted(rows, key=lambda row: -row.busy_ns))


def _kernel(name: str, runs: Sequence[Sequence[Joined]], ceilings: Mapping[str, float]) -> KernelRates:
    first = [pair.counted for pair in runs[0]]
    flops, moved = total_flops(first)[0], _total(dram_bytes(one)[0] for one in first)
    busy = [_busy(run) for run in runs]
    found = achieved(flops, moved or 0, _middle(busy), {} if moved is None else ceilings)
    return KernelRates(
        name=name,
        launches=len(first),
        flops_by_type=flops,
        flops=found.flops,
        dram_bytes=moved,
        l2_bytes=_total(_l2(one) for one in first),
        busy_ns=found.busy_ns,
        arithmetic_intensity=found.intensity,
        achieved_flops=found.flop_per_s,
        bytes_per_s=None if moved is None else found.bytes_per_s,
        ceiling=found.ceiling_flop_per_s,
        bound=found.bound,
        of_roofline=found.of_roofline,
    )


def _busy(pairs: Sequence[Joined]) -> int:
    return union([pair.traced.start for pair in pairs], [pair.traced.end for pair in pairs]).length


def implausible(rates: Mapping[str, Rates]) -> tuple[Finding, ...]:
    """More than the measured roofline allows: an error of the count, the time or the ceiling, never a success."""
    return tuple(
        Finding("implausible", {"metric": f"{variant}.of_roofline", "percent": round(100 * one.of_roofline, 1)})
        for variant, one in rates.items()
        if one.of_roofline is not None and one.of_roofline > IMPLAUSIBLE
    )


def caveats(rates: Mapping[str, Rates]) -> tuple[Finding, ...]:
    """Why FLOPs are not counted, and where counted and declared ones, or a kernel and its roof, do not agree."""
    found: list[Finding] = []
    for variant, one in rates.items():
        found += one.reasons
        if one.flops_agreement is not None and abs(one.flops_agreement - 1) > AGREEMENT_BAND:
            percent = round(100 * (one.flops_agreement - 1), 1)
            band = round(100 * AGREEMENT_BAND, 1)
            found.append(Finding("flops_disagree", {"variant": variant, "percent": percent, "band_percent": band}))
        found += [
            Finding(
                "kernel_above_roof", {"variant": variant, "kernel": k.name, "percent": round(100 * k.of_roofline, 1)}
            )
            for k in one.kernels
            if k.of_roofline is not None and k.of_roofline > IMPLAUSIBLE
        ]
    return tuple(found)
