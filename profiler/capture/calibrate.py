"""Measure this GPU's ceilings with their conditions, and check its FLOP counters against products of known size."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from ...errors import AispError, EnvironmentLacks, UsageError
from ...machine.child import Watch, new_mark, run_child, tail
from ...machine.records import convert
from ...version import __version__
from ..counters.kernel_counters import KernelCounters
from ..counters.raw_csv import read_raw_csv
from ..counters.rows import OWN_TYPES, flops_by_type
from ..counters.table import minimal_metrics
from ..manifest import Ceilings
from .conditions import Gpu, Sample, Sampler, open_gpu
from .ncu import count, find_ncu

TOLERANCE = 0.01
"""Counted / declared outside 1 +- this, and the counters of the device are not to be believed."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """One product of known size: FLOP counted in its own type, None when its kernel or a counter is not there."""

    type: str
    counted: int | None
    declared: int

    @property
    def ratio(self) -> float | None:
        return None if self.counted is None else self.counted / self.declared

    @property
    def ok(self) -> bool:
        return self.counted is not None and abs(self.counted - self.declared) <= TOLERANCE * self.declared

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "ratio": self.ratio, "ok": self.ok}


@dataclass(frozen=True, slots=True)
class Program:
    """How the program that does the work is run: its module, further arguments, and how long it may take."""

    module: str
    arguments: tuple[str, ...]
    timeout_s: float

    def command(self, record: Path, *options: str) -> list[str]:
        return [sys.executable, "-P", "-m", self.module, "--record", str(record), *options, *self.arguments]


def calibrate(program: Program, progress: Callable[[str], None], only: Collection[str] = ()) -> dict[str, Any]:
    """Run the program bare, then under ncu where there is one; the result as JSON data (docs/json.md).

    Args:
        only: the ceilings that are wanted: some seconds, and no counters are checked. None: all of them, and the counters.

    Raises:
        EnvironmentLacks: no GPU, no PyTorch.
        AispError: the program failed or ran too long.
    """
    mark = new_mark()
    with tempfile.TemporaryDirectory(prefix="aisp-calibrate-") as folder, open_gpu() as gpu:
        work = Path(folder)
        watch = Watch(work / "run.log", program.timeout_s, mark)
        sampler = Sampler(gpu, mark)
        before = sampler.now()
        wanted = sorted(only)
        progress(
            f"measuring the ceilings of {', '.join(wanted)}" if wanted else "measuring bandwidths and matrix rates"
        )
        with sampler:
            measured = _run(program, work, watch, *(["--only", *wanted] if wanted else []))
        after = sampler.now()
        if not wanted:
            progress("counting the operations of matrix products under Nsight Compute")
        calibration = None if wanted else _calibration(program, work, watch, measured)
        facts = _gpu(gpu, measured)
    return {
        "created_utc": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "gpu": facts,
        "versions": {**measured["versions"], "aisp_prof": __version__},
        "ceilings": [_with_clock(one, sampler.samples) for one in measured["ceilings"]],
        "unsupported": measured["unsupported"],
        "calibration": calibration,
        "conditions": None if before is None else {"before": before, "during": sampler.samples, "after": after},
    }


def read_calibration(path: Path, gpu_uuid: str | None) -> dict[str, Any]:
    """What `calibrate` stored before, for a capture on the same GPU; `gpu_uuid` is that GPU's, None when nobody can tell.

    Raises:
        UsageError: it is no such file, or of another GPU: no two of a kind have the same ceilings. A manifest that carries it
            can be read.
    """
    mend = "measure anew: leave --ceilings out, or aisp-prof calibrate -o FILE"
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
        own = (found["gpu"] or {}).get("uuid")
        names = [one["name"] for one in found["ceilings"]]
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", mend) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"{path} holds no result of a calibration: {error!r}", mend) from error
    if not names or "calibration" not in found:
        raise UsageError(f"{path} holds no result of a calibration: it has no ceilings", mend)
    if None not in (own, gpu_uuid) and own != gpu_uuid:
        raise UsageError(f"the ceilings in {path} are those of another GPU, {own}", mend)
    convert(found, Ceilings, str(path))
    return {key: value for key, value in found.items() if key != "schema"}


def _run(program: Program, work: Path, watch: Watch, *options: str) -> dict[str, Any]:
    record = work / "ceilings.json"
    code = run_child(program.command(record, *options), watch)
    if code == EnvironmentLacks.exit_code:
        raise EnvironmentLacks(tail(watch.log, 1000), "aisp-prof doctor")
    if code or not record.is_file():
        raise AispError(f"the calibration failed with exit code {code}; its last output:\n{tail(watch.log)}")
    result: dict[str, Any] = json.loads(record.read_bytes())
    return result


def _gpu(gpu: Gpu | None, measured: Mapping[str, Any]) -> dict[str, Any] | None:
    """What PyTorch and NVML say of it; None on a CPU."""
    told = measured["gpu"]
    if told is None or gpu is None:
        return None if told is None else dict(told)
    return {**gpu.facts(), **told}


def _with_clock(ceiling: Mapping[str, Any], samples: Sequence[Sample]) -> dict[str, Any]:
    """A ceiling with the median SM clock (MHz) that was sampled while it was measured; None where no sample fell into it."""
    first, last = ceiling["began_utc_ns"], ceiling["ended_utc_ns"]
    clocks = [sample["sm_mhz"] for sample in samples if first <= sample["utc_ns"] <= last and sample["sm_mhz"]]
    return {**ceiling, "sm_mhz": median(clocks) if clocks else None}


def _calibration(program: Program, work: Path, watch: Watch, measured: Mapping[str, Any]) -> dict[str, Any]:
    """Counted against declared FLOP; where they cannot be counted, no rows, and the reason with its mend."""
    try:
        if measured["gpu"] is None:
            raise EnvironmentLacks("a CPU has no such counters")
        ncu = find_ncu()
        metrics = minimal_metrics(measured["gpu"]["compute_capability"])
        include = [f"aisp@{_range(kind)}/" for kind in OWN_TYPES]
        record = work / "gemms.json"
        csv = count(ncu, work, metrics, include, program.command(record, "--gemms"), watch)
        declared = json.loads(record.read_bytes())["declared"]
    except AispError as error:
        return {"ncu": None, "reason": str(error), "mend": error.mend, "rows": []}
    rows = [row.to_json() for row in calibrated(read_raw_csv(csv), declared)]
    return {"ncu": ncu.version_text, "reason": "", "mend": "", "rows": rows}


def calibrated(launches: Sequence[KernelCounters], declared: Mapping[str, int]) -> list[Calibrated]:
    """Each product's FLOP in its own type, summed over the launches in its range."""
    return [Calibrated(kind, _counted(launches, kind), flop) for kind, flop in declared.items()]


def _range(kind: str) -> str:
    return f"calibration.{kind}.measure"


def _counted(launches: Sequence[KernelCounters], kind: str) -> int | None:
    inside = [launch for launch in launches if any(one.name == _range(kind) for one in launch.nvtx)]
    by_type = [flops_by_type(launch)[0] for launch in inside]
    return sum(types.get(own, 0) for types in by_type for own in OWN_TYPES[kind]) or None
