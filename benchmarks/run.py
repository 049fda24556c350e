"""Measure reading and sweeping of a generated trace, each step in a process of its own; prints a table, writes JSON.

The smallest of several runs counts: on a shared machine the others measure the neighbours.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).parent
REPORTS = ("nvtx_gpu_proj_sum", "cuda_gpu_kern_sum")


@dataclass(frozen=True, slots=True)
class Step:
    """One measured step: seconds of the whole process in every run, and the largest memory of any."""

    name: str
    seconds: tuple[float, ...]
    cpu_seconds: float
    peak_bytes: int

    @property
    def best(self) -> float:
        return min(self.seconds)


def run(command: Sequence[str], environment: dict[str, str]) -> tuple[float, float, int]:
    """Seconds, processor seconds and peak memory of a command."""
    begin = time.perf_counter()
    child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = child.stderr.read() if child.stderr else b""
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)}: exit {child.returncode}\n{errors.decode(errors='replace')[-2000:]}")
    return time.perf_counter() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def measure(name: str, command: Sequence[str], cache: Path, repeats: int, fresh: bool) -> Step:
    """`repeats` runs; `fresh` empties the cache before each, else one run before fills it."""
    environment = {**os.environ, "AISP_CACHE": str(cache), "PYTHONPATH": str(HERE.parent / ".pythonpath")}
    if not fresh:
        run(command, environment)
    runs = []
    for _ in range(repeats):
        if fresh:
            shutil.rmtree(cache, ignore_errors=True)
        runs.append(run(command, environment))
    return Step(name, tuple(f[0] for f in runs), min(f[1] for f in runs), max(f[2] for f in runs))


def steps(trace: Path, cache: Path, repeats: int, slow: bool, nsys: str | None, folder: Path) -> list[Step]:
    python = [sys.executable, "-P"]

    def own(work: str, name: str, fresh: bool) -> Step:
        return measure(name, [*python, str(HERE / "measured.py"), work, str(trace)], cache, repeats, fresh)

    def command(name: str, arguments: Sequence[str], fresh: bool) -> Step:
        return measure(name, [*python, "-m", "aisp_prof", "trace", *arguments], cache, repeats, fresh)

    measured = [own("columns", "needed columns", True)]
    if slow:
        measured.append(own("columns_sqlite", "needed columns, Python's sqlite3", True))
    measured += [
        own("trace", "trace, first time", True),
        own("trace", "trace, read before", False),
        own("sweeps", "trace + completeness, ledger, concurrency, first time", True),
        own("sweeps", "trace + completeness, ledger, concurrency, read before", False),
        own("ranges", "trace + every number of all ranges, first time", True),
        own("ranges", "trace + every number of all ranges, read before", False),
        command("aisp-prof trace summary, first time", ["summary", str(trace)], True),
        command("aisp-prof trace summary, read before", ["summary", str(trace)], False),
    ]
    for suffix in ("parquet", "csv"):
        rows = ["ranges", str(trace), "-o", str(folder / f"ranges.{suffix}")]
        measured.append(command(f"aisp-prof trace ranges -o {suffix}, first time", rows, True))
        measured.append(command(f"aisp-prof trace ranges -o {suffix}, read before", rows, False))
    if nsys:
        for report in REPORTS:
            arguments = ["stats", "-r", report, "--force-overwrite=true", "-f", "csv", "-o", str(folder / report)]
            measured.append(measure(f"nsys stats -r {report}", [nsys, *arguments, str(trace)], cache, 1, True))
    return measured


def machine() -> dict[str, object]:
    return {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}


def table(measured: Sequence[Step], megabytes: float) -> str:
    """Seconds, processor seconds and memory of each step, and how many times the first step's time it took."""
    lines = [f"{'step':<58} {'best s':>8} {'CPU s':>8} {'peak GB':>8} {'MB/s':>8} {'ratio':>7}"]
    for step in measured:
        speed, ratio = megabytes / step.best, step.best / measured[0].best
        lines.append(
            f"{step.name:<58} {step.best:>8.2f} {step.cpu_seconds:>8.2f} {step.peak_bytes / 1e9:>8.2f} {speed:>8.0f} {ratio:>7.1f}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernels", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "aisp-bench")
    parser.add_argument("--slow", action="store_true", help="also through Python's sqlite3")
    parser.add_argument("--nsys", default=shutil.which("nsys"), help="compare with `nsys stats` of this nsys")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    trace = given.folder / f"{given.kernels}.sqlite"
    if not trace.exists():
        part = trace.with_suffix(".part")
        subprocess.run([sys.executable, HERE / "generate.py", part, "--kernels", str(given.kernels)], check=True)
        part.rename(trace)
    measured = steps(trace, given.folder / "cache", given.repeats, given.slow, given.nsys, given.folder)
    size = trace.stat().st_size
    print(table(measured, size / 1e6))
    record = {
        "kernels": given.kernels,
        "bytes": size,
        "machine": machine(),
        "steps": [asdict(step) for step in measured],
    }
    result = given.folder / f"{given.kernels}.json"
    result.write_text(json.dumps(record, indent=1) + "\n")
    print(f"\nwritten to {result}")


if __name__ == "__main__":
    main()
