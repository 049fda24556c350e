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

import shapes  # type: ignore[import-not-found]

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


def run(command: Sequence[str], environment: dict[str, str], fine: Sequence[int] = (0,)) -> tuple[float, float, int]:
    """Seconds, processor seconds and peak memory of a command."""
    begin = time.perf_counter()
    child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = child.stderr.read() if child.stderr else b""
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in fine:
        raise SystemExit(f"{' '.join(command)}: exit {child.returncode}\n{errors.decode(errors='replace')[-2000:]}")
    return time.perf_counter() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def measure(
    name: str, command: Sequence[str], cache: Path, repeats: int, fresh: bool, fine: Sequence[int] = (0,)
) -> Step:
    """`repeats` runs; `fresh` empties the cache before each, else one run before fills it. Exit codes that are verdicts are
    `fine`."""
    environment = {**os.environ, "AISP_CACHE": str(cache), "PYTHONPATH": str(HERE.parent / ".pythonpath")}
    if not fresh:
        run(command, environment, fine)
    runs = []
    for _ in range(repeats):
        if fresh:
            shutil.rmtree(cache, ignore_errors=True)
        runs.append(run(command, environment, fine))
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


def of_shapes(folder: Path, cache: Path, repeats: int, only: Sequence[str]) -> list[Step]:
    """Each command that a shape of trace hurt, first and again, for as many events as it was seen with."""
    measured = []
    for name, shape in shapes.SHAPES.items():
        if only and name not in only:
            continue
        trace = folder / f"shape-{name}.sqlite"
        if not trace.exists():
            shapes.generate(name, trace.with_suffix(".part"), shape.events).rename(trace)
        for command in shape.commands:
            words = [{"TRACE": str(trace), "OUT": str(folder / "shape.parquet")}.get(word, word) for word in command]
            told = " ".join(word for word in command if word not in ("trace", "TRACE"))
            for fresh in (True, False):
                when = "first time" if fresh else "read before"
                python = [sys.executable, "-P", "-m", "aisp_prof", *words]
                measured.append(measure(f"{name}: {told}, {when}", python, cache, repeats, fresh, (0, 1, 4)))
    return measured


def of_peers(python: str, trace: Path, cache: Path, repeats: int) -> list[Step]:
    """The same columns by other readers, each that `python` can import; why one could not read is said."""
    measured = []
    for reader in ("sqlite3", "pandas", "polars", "duckdb"):
        try:
            name = f"needed columns, {reader}"
            measured.append(measure(name, [python, str(HERE / "peers.py"), reader, str(trace)], cache, repeats, True))
        except SystemExit as why:
            print(f"{reader} is not measured: {str(why)[-300:]}", file=sys.stderr)
    return measured


def machine() -> dict[str, object]:
    engine = "import aisp_prof.profiler.core.library as l; print('core' if l.core() else 'numpy')"
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent / ".pythonpath")}
    said = subprocess.run(
        [sys.executable, "-P", "-c", engine], env=environment, capture_output=True, text=True, check=True
    )
    return {
        "engine": said.stdout.strip(),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }


def table(measured: Sequence[Step], megabytes: float | None = None) -> str:
    """Seconds, processor seconds and memory of each step; of one trace also its rate, and how many times the first step's
    time it took."""
    longest = max(len(step.name) for step in measured)
    lines = [f"{'step':<{longest}} {'best s':>8} {'CPU s':>8} {'peak GB':>8}" + (" " * 17 if megabytes else "")]
    for step in measured:
        line = f"{step.name:<{longest}} {step.best:>8.2f} {step.cpu_seconds:>8.2f} {step.peak_bytes / 1e9:>8.2f}"
        speed = f" {megabytes / step.best:>6.0f} MB/s {step.best / measured[0].best:>6.1f}x" if megabytes else ""
        lines.append(line + speed)
    return "\n".join(line.rstrip() for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernels", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "aisp-bench")
    parser.add_argument("--slow", action="store_true", help="also through Python's sqlite3")
    parser.add_argument("--nsys", default=shutil.which("nsys"), help="compare with `nsys stats` of this nsys")
    parser.add_argument(
        "--shapes", nargs="*", choices=shapes.SHAPES, help="instead: the traces of awkward shape, all or these"
    )
    parser.add_argument(
        "--peers", metavar="PYTHON", help="also pandas, polars and DuckDB, as this interpreter has them"
    )
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.shapes is not None:
        measured = of_shapes(given.folder, given.folder / "cache", given.repeats, given.shapes)
        print(table(measured))
        _write(given.folder / "shapes.json", {"machine": machine(), "steps": [asdict(step) for step in measured]})
        return
    trace = given.folder / f"{given.kernels}.sqlite"
    if not trace.exists():
        part = trace.with_suffix(".part")
        subprocess.run([sys.executable, HERE / "generate.py", part, "--kernels", str(given.kernels)], check=True)
        part.rename(trace)
    measured = steps(trace, given.folder / "cache", given.repeats, given.slow, given.nsys, given.folder)
    if given.peers:
        measured += of_peers(given.peers, trace, given.folder / "cache", given.repeats)
    size = trace.stat().st_size
    print(table(measured, size / 1e6))
    record = {
        "kernels": given.kernels,
        "bytes": size,
        "machine": machine(),
        "steps": [asdict(step) for step in measured],
    }
    _write(given.folder / f"{given.kernels}.json", record)


def _write(result: Path, record: object) -> None:
    result.write_text(json.dumps(record, indent=1) + "\n")
    print(f"\nwritten to {result}")


if __name__ == "__main__":
    main()
