"""In the parent: one judge, a child process with limits of time and memory, ended with everything it started, whatever
that does."""

from __future__ import annotations

import subprocess  # noqa: TID251 - started by machine.child, ended by family
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...machine.child import allowed, carrying, new_mark, start, tail
from . import family
from .job import Job, read_results
from .limits import allowance_bytes

PASSED_ON = (
    "AISP_CACHE", "AISP_GATE_KEY", "CUDA_HOME", "CUDA_VISIBLE_DEVICES", "HOME", "LANG", "LD_LIBRARY_PATH",
    "OMP_NUM_THREADS", "PATH", "PYTHONPATH", "VIRTUAL_ENV", "XDG_CACHE_HOME", "XDG_STATE_HOME",
)  # fmt: skip
"""No keys: a candidate gets what it needs to run and no more."""

POLL_S = 0.05
TAIL_BYTES = 16000
STARTUP_S = 600
"""For importing PyTorch and opening the device, before any limit of the candidate's counts."""

STARVED = 0.3
"""A candidate that waited for a CPU for this share of its time was held up by others: not finishing says nothing about it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a child ended.

    ending   "done"; "exit" (before it was done), "signal", "timeout", "slow" (no end either, and not the candidate's
             fault), "memory", or "stray" (what it started could not be ended)
    code     exit code, or the signal's number
    results  the lines that it wrote
    tail     the end of its output
    """

    ending: str
    code: int
    results: list[dict[str, Any]]
    tail: str


def run_job(job: Job, timeout_s: float, tool: Sequence[str] = ()) -> Outcome:
    """Run `job` in a child, under `tool` where one is given, and return what it found and how it ended.

    Its folder is temporary and gone when this returns, as is every process that the child started.
    """
    mark = new_mark()
    with tempfile.TemporaryDirectory(prefix="aisp-gate-") as folder, (Path(folder) / "log").open("wb") as log:
        command = [
            *tool,
            sys.executable,
            "-P",
            "-m",
            "aisp_prof.workloads.gate.child",
            str(job.store()),
            str(len(job.hosted)),
        ]
        process = start(command, log, subprocess.STDOUT, _environment(mark, folder, bare=bool(tool)), Path(folder))
        try:
            ending = _watch(process, job, timeout_s)
        finally:
            ended = family.end(process.pid, mark)
            process.wait()
        lines = read_results(job.results)
        code = process.returncode
        if not ending:
            ending = "signal" if code < 0 else "done" if code == 0 and {"done": True} in lines else "exit"
        return Outcome(ending if ended else "stray", abs(code), lines, tail(Path(folder, "log"), TAIL_BYTES))


def _watch(process: subprocess.Popen[bytes], job: Job, timeout_s: float) -> str:
    """Wait for its end; "timeout", "slow" or "memory" where a limit ended it, else ""."""

    def everyone() -> list[int]:
        return [process.pid, *family.descendants(process.pid)]

    begun = time.monotonic()
    most, deadline = 0, begun + max(timeout_s, STARTUP_S)
    before: dict[int, int] = {}
    while process.poll() is None:
        if time.monotonic() > deadline:
            waited_ns = _longest_since(before, family.waited_ns(everyone()))
            return "slow" if not most or _own(job) or waited_ns > STARVED * timeout_s * 1e9 else "timeout"
        if not most:
            ready = [one["ready_rss_bytes"] for one in read_results(job.results) if "ready_rss_bytes" in one]
            if ready:
                most = family.rss_bytes(everyone()) + allowance_bytes(job)
                before = family.waited_ns(everyone())
                deadline = time.monotonic() + timeout_s
        elif family.rss_bytes(everyone()) > most:
            return "memory"
        time.sleep(POLL_S)
    return ""


def _longest_since(before: Mapping[int, int], now: Mapping[int, int]) -> int:
    """The longest that one process waited since then: another's longer waiting before must not hide it."""
    return max((ns - before.get(pid, 0) for pid, ns in now.items()), default=0)


def _own(job: Job) -> bool:
    """Whether the gate itself was at work."""
    lines = read_results(job.results)
    return bool(lines) and "own" in lines[-1]


def _environment(mark: str, folder: str, *, bare: bool) -> dict[str, str]:
    passed = allowed(PASSED_ON)
    if bare:  # a separate allocation for every tensor, so that the tool sees where each ends
        passed["PYTORCH_NO_CUDA_MEMORY_CACHING"] = "1"
    own = {
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": folder,
        "TORCHINDUCTOR_CACHE_DIR": folder,
        "TRITON_CACHE_DIR": folder,
    }
    return {**passed, **own, **carrying(mark)}
