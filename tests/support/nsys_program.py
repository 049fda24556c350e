"""A stand-in for nsys that runs a program and exports what it says it did: steps, each with a kernel of a stated length.

A program takes part by `STEP`: each step writes its process, when it began, its name and its kernel's length. What nsys would write
of the environment is in the export too, and beside the report, so that a test can see it go.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

SECRET = "MY_TOKEN"
STEP = """
import os, sys, time
def step(name, us):
    with open({log!r}, "a") as file:
        file.write(f"{{os.getpid()}} {{time.time_ns()}} {{us}} {{name}}\\n")
    time.sleep(us / 1e6 + 0.0005)
"""
_SCRIPT = """#!{python}
import sys
sys.path[:0] = {path!r}
from nsys_program import stand_in
sys.exit(stand_in(sys.argv[1:], {log!r}))
"""


def make_nsys(folder: Path) -> Path:
    """The executable; the steps that programs log lie beside it."""
    executable = folder / "target-linux-x64" / "nsys"
    executable.parent.mkdir()
    here = Path(__file__).parent
    path = [str(here), str(here.parents[1] / ".pythonpath")]
    executable.write_text(_SCRIPT.format(python=sys.executable, path=path, log=str(folder / "steps.txt")))
    executable.chmod(0o755)
    return executable


def make_program(folder: Path, name: str, body: str) -> Path:
    """A program whose steps the stand-in knows of: `step(NAME, MICROSECONDS)` in its body."""
    script = folder / name
    script.write_text(STEP.format(log=str(folder / "steps.txt")) + body)
    return script


def stand_in(arguments: list[str], log: str) -> int:
    if arguments == ["--version"]:
        print("NVIDIA Nsight Systems version 2025.3.2.474-253236389321v0")
        return 0
    if arguments[0] == "profile":
        at = arguments.index("-o")
        Path(log).unlink(missing_ok=True)
        code = subprocess.run(arguments[at + 2 :], check=False).returncode
        kept = json.dumps(dict(os.environ))
        Path(f"{arguments[at + 1]}.qdstrm").write_text(kept)
        Path(f"{arguments[at + 1]}.nsys-rep").write_text(kept)
        return code
    report, target = Path(arguments[-1]), Path(arguments[arguments.index("--output") + 1])
    _export(Path(log).read_text().splitlines() if Path(log).is_file() else [], json.loads(report.read_text()), target)
    return 0


def _export(lines: list[str], environment: dict[str, str], target: Path) -> None:
    from trace_builder import TraceBuilder

    trace = TraceBuilder()
    gpu, began = trace.gpu("a0ae1ff2-b9e3"), min((int(line.split()[1]) for line in lines), default=0)
    processes = {}
    for line in lines:
        pid, at, us, name = line.split(" ", 3)
        if pid not in processes:
            processes[pid] = trace.process(int(pid))
            processes[pid].sees(gpu, 0)
        start = int(at) - began + 1_000
        end = start + 2_000 + int(us) * 1_000
        processes[pid].kernel("work", (start + 10, start + 500), (start + 1_000, end - 500))
        processes[pid].range(name, start, end)
    trace.write(target)
    with sqlite3.connect(target) as database:
        database.execute("update TARGET_INFO_SESSION_START_TIME set utcEpochNs = ?", (began - 1_000,))
        database.execute("create table TARGET_INFO_SYSTEM_ENV (name text, value text)")
        database.executemany("insert into TARGET_INFO_SYSTEM_ENV values (?, ?)", environment.items())
