"""Measure reading and sweeping of a generated trace, each step in a process of its own; prints a table, writes JSON.

The smallest of several runs counts: on a shared machine the others measure the neighbours.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import peers  # type: ignore[import-not-found]
import shapes  # type: ignore[import-not-found]

HERE = Path(__file__).parent
REPORTS = ("nvtx_gpu_proj_sum", "cuda_gpu_kern_sum")
NSYS = "nsys stats -r"
QUESTIONS = ("kernels", "copies", "launches", "gaps")


@dataclass(frozen=True, slots=True)
class Step:
    """One measured step: seconds of the whole process in every run, the least processor seconds and the largest memory of any;
    and the processor seconds that are `wanted`, where a bound is set."""

    name: str
    seconds: tuple[float, ...]
    cpu_seconds: float
    peak_bytes: int
    wanted: float | None = None

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
    name: str,
    command: Sequence[str],
    cache: Path,
    repeats: int,
    fresh: bool,
    fine: Sequence[int] = (0,),
    anew: bool = False,
) -> Step:
    """`repeats` runs; `fresh` empties the cache before each, else one run before fills it; `anew` leaves it the columns, and not the
    tables that questions made of them. Exit codes that are verdicts are `fine`."""
    environment = {**os.environ, "AISP_CACHE": str(cache), "PYTHONPATH": str(HERE.parent / ".pythonpath")}
    if not fresh:
        run(command, environment, fine)
    runs = []
    for _ in range(repeats):
        if fresh:
            shutil.rmtree(cache, ignore_errors=True)
        for table in cache.glob("traces/*/derived-*") if anew else ():
            table.unlink()
        runs.append(run(command, environment, fine))
    return Step(name, tuple(f[0] for f in runs), min(f[1] for f in runs), max(f[2] for f in runs))


def steps(trace: Path, cache: Path, repeats: int, slow: bool, folder: Path) -> list[Step]:
    python = [sys.executable, "-P"]

    def own(work: str, name: str, fresh: bool) -> Step:
        return measure(name, [*python, str(HERE / "measured.py"), work, str(trace)], cache, repeats, fresh)

    def command(name: str, arguments: Sequence[str], fresh: bool, anew: bool = False) -> Step:
        words = [*python, "-m", "aisp_prof", "trace", *arguments]
        return measure(f"aisp-prof trace {name}", words, cache, repeats, fresh, anew=anew)

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
        command("summary, first time", ["summary", str(trace)], True),
        command("summary, columns read before", ["summary", str(trace)], False, True),
        command("summary, asked before", ["summary", str(trace)], False),
    ]
    for suffix in ("parquet", "csv"):
        rows = ["ranges", str(trace), "-o", str(folder / f"ranges.{suffix}")]
        measured.append(command(f"ranges -o {suffix}, first time", rows, True))
        measured.append(command(f"ranges -o {suffix}, read before", rows, False))
    for what in QUESTIONS:
        measured.append(command(f"{what}, columns read before", [what, str(trace)], False, True))
        measured.append(command(f"{what}, asked before", [what, str(trace)], False))
    measured.append(
        command("overlap, read before", ["overlap", str(trace), "--a", "h2d", "--b", "compute"], False, True)
    )
    measured.append(command("diff with itself, read before", ["diff", str(trace), str(trace)], False, True))
    written = ["export", str(trace), "--to", "perfetto", "-o", str(folder / "perfetto.json")]
    perfetto = [*python, "-m", "aisp_prof", "trace", *written]  # once, as it takes as long as all others together
    measured.append(measure("aisp-prof trace export --to perfetto, read before", perfetto, cache, 1, False))
    return measured


def of_shapes(folder: Path, cache: Path, repeats: int, only: Sequence[str]) -> list[Step]:
    """Each command that a shape of trace hurt, first and again, for as many events as it was seen with."""
    measured = []
    for name, shape in shapes.SHAPES.items():
        if only and name not in only:
            continue
        trace = folder / f"shape-{name}.sqlite"
        if not trace.exists():
            part = trace.with_suffix(
                ".part"
            )  # by another process: one that is measured begins with the memory of this one
            making = [sys.executable, str(HERE / "shapes.py"), name, str(part), "--events", str(shape.events)]
            subprocess.run(making, check=True)
            part.rename(trace)
        for asked in shape.commands:
            files = {"TRACE": str(trace), "OUT": str(folder / "shape.parquet")}
            words = [files.get(word, word) for word in asked.words]
            told = " ".join(word for word in asked.words if word not in ("trace", "TRACE"))
            for fresh in (True, False):
                when = "first time" if fresh else "read before"
                python = [sys.executable, "-P", "-m", "aisp_prof", *words]
                step = measure(f"{name}: {told}, {when}", python, cache, repeats, fresh, (0, 1, 4))
                measured.append(replace(step, wanted=asked.wanted))
    return measured


def answer_of(command: Sequence[str], environment: dict[str, str] | None = None) -> Any:
    """What a command prints as JSON."""
    return json.loads(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout)


class Ours:
    """The answers that others are measured with, by this project, each found once."""

    def __init__(self, trace: Path, cache: Path) -> None:
        self._trace = str(trace)
        path = str(HERE.parent / ".pythonpath")
        self._environment = {**os.environ, "AISP_CACHE": str(cache), "PYTHONPATH": path}

    @cached_property
    def digest(self) -> Any:
        return self._measured("digest")

    @cached_property
    def projections(self) -> Any:
        return self._measured("projections")

    def _measured(self, work: str) -> Any:
        return answer_of([sys.executable, "-P", str(HERE / "measured.py"), work, self._trace], self._environment)

    @cached_property
    def kernels(self) -> dict[str, tuple[int, int, int, int]]:
        """By name how often, and the sum, least and most of ns, of all devices together."""
        command = ["trace", "kernels", self._trace, "--full-names", "--json"]
        found: dict[str, tuple[int, int, int, int]] = {}
        for row in answer_of([sys.executable, "-P", "-m", "aisp_prof", *command], self._environment)["rows"]:
            count, total, least, most = found.get(row["name"], (0, 0, row["time"]["min"], 0))
            time = row["time"]
            merged = count + time["n"], total + time["sum"], min(least, time["min"]), max(most, time["max"])
            found[row["name"]] = merged
        return found


def of_peers(python: str, trace: Path, cache: Path, repeats: int, ours: Ours) -> list[Step]:
    """The same columns, and the same numbers of kernels, by other readers, each that `python` can import; why one could not
    read is said.

    Raises:
        SystemExit: what one found is not what is found here.
    """
    measured = []
    for reader in peers.READERS:
        for work in ("kernels",) if reader in peers.ONLY_KERNELS else ("columns", "kernels"):
            name = f"{ {'columns': 'needed columns', 'kernels': 'kernels by name'}[work] }, {reader}"
            command = [python, str(HERE / "peers.py"), reader]
            try:
                measured.append(measure(name, [*command, work, str(trace)], cache, repeats, True))
            except SystemExit as why:
                print(f"{name}: not measured: {str(why)[-300:]}", file=sys.stderr)
                continue
            told = answer_of([*command, "digest" if work == "columns" else work, str(trace)])
            agrees = told == ours.digest if work == "columns" else same_kernels(told, ours.kernels, reader)
            _agree(name, agrees)
    return measured


def same_kernels(told: Sequence[Sequence[Any]], ours: dict[str, tuple[int, int, int, int]], reader: str = "") -> bool:
    """Whether another's (name, count, sum, least, most) are ours; nsys-ai's times are ms with two decimals."""
    if reader == "nsys-ai":
        ours = {name: (row[0], *(round(ns / 1e6, 2) for ns in row[1:])) for name, row in ours.items()}  # type: ignore[misc]
    return {row[0]: tuple(row[1:]) for row in told} == ours


def same_report(report: str, lines: Sequence[dict[str, str]], ours: Ours) -> bool:
    """Whether a report of `nsys stats` tells what is found here."""
    if report == "cuda_gpu_kern_sum":
        numbers = ("Instances", "Total Time (ns)", "Min (ns)", "Max (ns)")
        return same_kernels([(line["Name"], *(int(line[n]) for n in numbers)) for line in lines], ours.kernels)
    told = {line["Range"]: [int(line["Range Instances"]), int(line["Total Proj Time (ns)"])] for line in lines}
    return bool(told == ours.projections)


def of_nsys(nsys: str, trace: Path, cache: Path, folder: Path, ours: Ours) -> list[Step]:
    """Its reports, each once.

    Raises:
        SystemExit: what it tells is not what is found here.
    """
    measured = []
    for report in REPORTS:
        for old in folder.glob(f"{report}*.csv"):
            old.unlink()
        arguments = ["stats", "-r", report, "--force-overwrite=true", "-f", "csv", "-o", str(folder / report)]
        measured.append(measure(f"{NSYS} {report}", [nsys, *arguments, str(trace)], cache, 1, True))
        (written,) = folder.glob(f"{report}*.csv")
        with written.open(newline="") as file:
            _agree(measured[-1].name, same_report(report, list(csv.DictReader(file)), ours))
    return measured


def _agree(name: str, agrees: bool) -> None:
    if not agrees:
        raise SystemExit(f"{name}: its numbers are not ours")
    print(f"{name}: its numbers are ours", file=sys.stderr)


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
    """Seconds, processor seconds and memory of each step; of one trace also its rate, and, where `nsys stats` was measured, how
    many times a step's processor seconds its two reports took together."""
    longest = max(len(step.name) for step in measured)
    nsys = sum(step.cpu_seconds for step in measured if step.name.startswith(NSYS))
    head = f"{'step':<{longest}} {'best s':>8} {'CPU s':>8} {'peak GB':>8}"
    bounds = any(step.wanted for step in measured)
    head += f" {'wanted':>8}" if bounds else ""
    lines = [head + (f" {'MB/s':>7}" if megabytes else "") + (f" {'nsys':>7}" if nsys else "")]
    for step in measured:
        line = f"{step.name:<{longest}} {step.best:>8.2f} {step.cpu_seconds:>8.2f} {step.peak_bytes / 1e9:>8.2f}"
        line += (
            f" {step.wanted or '':>8}" + (" over" if step.cpu_seconds > (step.wanted or 1e9) else "") if bounds else ""
        )
        line += f" {megabytes / step.best:>7.0f}" if megabytes else ""
        lines.append(line + (f" {nsys / step.cpu_seconds:>6.1f}x" if nsys else ""))
    return "\n".join(lines)


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
        "--peers", metavar="PYTHON", help="also pandas, polars, DuckDB and nsys-ai, as this interpreter has them"
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
    measured = steps(trace, given.folder / "cache", given.repeats, given.slow, given.folder)
    ours = Ours(trace, given.folder / "cache")
    if given.nsys:
        measured += of_nsys(given.nsys, trace, given.folder / "cache", given.folder, ours)
    if given.peers:
        measured += of_peers(given.peers, trace, given.folder / "cache", given.repeats, ours)
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
