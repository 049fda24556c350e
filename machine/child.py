"""Run one command so that nothing of it outlives the call: own process group, small environment, timeout, bounded log."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from ..errors import AispError, EnvironmentLacks

PASSED_ON = (
    "CUDA_CACHE_PATH",
    "CUDA_HOME",
    "CUDA_VISIBLE_DEVICES",
    "HOME",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "PATH",
    "PYTHONPATH",
    "TMPDIR",
    "TRITON_CACHE_DIR",
    "VIRTUAL_ENV",
    "XDG_CACHE_HOME",
    "AISP_CACHE",
)
"""A trace stores the environment of what it traces, so a child gets what it needs and no more."""

PASSED_ON_PREFIXES = ("NCCL_",)

MARK = "AISP_CHILD"
"""Every process of one call carries this variable, so that one which left the process group is found all the same."""

GRACE_S = 3.0
_POLL_S = 0.02
TAIL_BYTES = 4000


@dataclass(frozen=True, slots=True)
class Watch:
    """How a child is run: `log` receives stdout and stderr, `mark` tells its processes from everybody else's."""

    log: Path
    timeout_s: float
    mark: str


def new_mark() -> str:
    return uuid.uuid4().hex


def child_environment(mark: str, source: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a child: the allow-list, and what makes its run safe and its device numbers NVML's.

    PYTHONSAFEPATH keeps the working directory off sys.path: nobody's `kernels` folder is imported for another's.
    """
    source = os.environ if source is None else source
    passed = {name: value for name, value in source.items() if name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES)}
    checkout = Path(__file__).parents[1] / ".pythonpath"
    if checkout.is_dir():  # a checkout that nobody installed: the child must find the package that runs now
        passed["PYTHONPATH"] = os.pathsep.join(filter(None, (str(checkout), passed.get("PYTHONPATH", ""))))
    return {**passed, "PYTHONSAFEPATH": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID", MARK: mark}


def run_child(command: Sequence[str], watch: Watch) -> int:
    """Run `command`, append its output to the log and return its exit code (128 + n when signal n ended it).

    Whatever ends the call, the command's whole process group is ended before it returns.

    Raises:
        EnvironmentLacks: the command cannot be started.
        AispError: the command ran longer than `watch.timeout_s` seconds.
    """
    with watch.log.open("ab") as log, _termination_as_exception():
        process = _start(command, log.fileno(), watch.mark)
        try:
            code = process.wait(watch.timeout_s)
        except subprocess.TimeoutExpired as error:
            raise AispError(
                f"{_name(command)} ran longer than {watch.timeout_s:g} s and was ended; its last output:\n{tail(watch.log)}",
                "raise the timeout, or lower the number of iterations",
            ) from error
        finally:
            _end(process, watch.mark)
    return code if code >= 0 else 128 - code


def _start(command: Sequence[str], output: int, mark: str) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=child_environment(mark),
            start_new_session=True,
        )
    except OSError as error:
        raise EnvironmentLacks(f"{command[0]} cannot be started: {error.strerror}", "aisp-prof doctor") from error


@contextlib.contextmanager
def _termination_as_exception() -> Iterator[None]:
    """SIGTERM and SIGHUP unwind the stack like Ctrl-C does, so that the child is ended and temporary files are removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def unwind(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = {number: signal.signal(number, unwind) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(process: subprocess.Popen[bytes], mark: str) -> None:
    """Terminate the process group and every marked process, give them `GRACE_S` seconds, then kill what is left."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        end_marked(mark, number)
        deadline = time.monotonic() + GRACE_S
        while time.monotonic() < deadline:
            process.poll()  # reaps the leader, whose zombie would keep the group alive
            if not (_group_exists(process.pid) or marked(mark)):
                return
            time.sleep(_POLL_S)


def _group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def end_marked(mark: str, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to every process that carries the mark, wherever it went."""
    for pid in marked(mark):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def marked(mark: str) -> list[int]:
    """Process ids of this user's live processes that carry the mark; none where there is no /proc."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # gone meanwhile, or another user's
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def tail(log: Path, limit: int = TAIL_BYTES) -> str:
    """The last `limit` bytes of a log as text, from a line's start where there is one, without overwritten progress bars."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - limit))
        data = file.read()
    if size > limit and b"\n" in data:
        data = data.split(b"\n", 1)[1]
    return re.sub(r"[^\n]*\r(?!\n)", "", data.decode("utf-8", "replace")).strip()


def _name(command: Sequence[str]) -> str:
    return " ".join(command[:6]) + (" …" if len(command) > 6 else "")
