"""In the parent: one child process with limits of time and memory, ended with all that it started, whatever it does."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .child import allowance_bytes
from .job import Job, read_results

PASSED_ON = (
    "AISP_CACHE", "CUDA_HOME", "CUDA_VISIBLE_DEVICES", "HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH",
    "VIRTUAL_ENV", "XDG_CACHE_HOME",
)  # fmt: skip
"""No keys: a candidate gets what it needs to run and no more."""

MARK = "AISP_GATE"
"""Every process of one child carries this variable, so that one which left the process group is found all the same."""

POLL_S = 0.05
TAIL_BYTES = 16000


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a child ended.

    ending   "done"; "exit" (before it was done), "signal", "timeout" or "memory"
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

    Its folder is a temporary one that is gone when this returns, like every process that the child started.
    """
    mark = uuid.uuid4().hex
    with tempfile.TemporaryDirectory(prefix="aisp-gate-") as folder, (Path(folder) / "log").open("w+b") as log:
        command = [*tool, sys.executable, "-P", "-m", "aisp_prof.workloads.gate.child", str(job.store())]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=_environment(mark, folder, bare=bool(tool)),
            start_new_session=True,
        )
        try:
            ending = _watch(process, job, timeout_s, mark)
        finally:
            _end(process, mark)
        lines = read_results(job.results)
        code = process.returncode
        if not ending:
            ending = "signal" if code < 0 else "done" if code == 0 and {"done": True} in lines else "exit"
        return Outcome(ending, abs(code), lines, _tail(log))


def _watch(process: subprocess.Popen[bytes], job: Job, timeout_s: float, mark: str) -> str:
    """Wait for its end; "timeout" or "memory" where a limit ended it, else ""."""
    deadline = time.monotonic() + timeout_s
    most = None
    while process.poll() is None:
        if time.monotonic() > deadline:
            return "timeout"
        if most is None:
            ready = next(
                (one["ready_rss_bytes"] for one in read_results(job.results) if "ready_rss_bytes" in one), None
            )
            most = None if ready is None else ready + allowance_bytes(job)
        elif sum(_rss_bytes(pid) for pid in _marked(mark)) > most:
            return "memory"
        time.sleep(POLL_S)
    return ""


def _environment(mark: str, folder: str, *, bare: bool) -> dict[str, str]:
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    checkout = Path(__file__).parents[2] / ".pythonpath"
    if checkout.is_dir():  # a checkout that nobody installed: the child must find the package that runs now
        passed["PYTHONPATH"] = os.pathsep.join(filter(None, (str(checkout), passed.get("PYTHONPATH", ""))))
    if bare:  # an allocation of its own for every tensor: the tool then sees where each ends
        passed["PYTORCH_NO_CUDA_MEMORY_CACHING"] = "1"
    own = {
        "PYTHONSAFEPATH": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": folder,
        "TORCHINDUCTOR_CACHE_DIR": folder,
        "TRITON_CACHE_DIR": folder,
    }
    return {**passed, **own, MARK: mark}


def _end(process: subprocess.Popen[bytes], mark: str) -> None:
    """Kill the process group and every marked process, again until none is left: a candidate may start more meanwhile."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 5
    while (left := list(_marked(mark))) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(POLL_S)


def _marked(mark: str) -> Iterator[int]:
    wanted = f"{MARK}={mark}".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # gone meanwhile, or another user's
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name)


def _rss_bytes(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):  # gone meanwhile
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _tail(log: Any) -> str:
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - TAIL_BYTES))
    return str(log.read().decode("utf-8", "replace")).strip()
