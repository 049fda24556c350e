"""Run one command so that nothing it started outlives the call: its own process group, a mark on every descendant, a
time limit."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess  # noqa: TID251 - the one place
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

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
"""Every process of one call carries this variable, so that one that left the process group can still be found. It holds
the marks of all calls that the process belongs to: whatever a child runs ends with it."""

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
    """The environment of a child: the allow-list, plus what makes it run safely and number devices as NVML does."""
    passed = allowed(PASSED_ON, PASSED_ON_PREFIXES, source)
    return {**passed, "CUDA_DEVICE_ORDER": "PCI_BUS_ID", **carrying(mark, source)}


def allowed(
    names: Collection[str], prefixes: tuple[str, ...] = (), source: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Only these variables of the environment, set so that Python finds this package, and nothing else by mistake.

    PYTHONSAFEPATH keeps the working directory off sys.path: so no stray `kernels` folder is imported instead of ours.
    """
    source = os.environ if source is None else source
    passed = {name: value for name, value in source.items() if name in names or name.startswith(prefixes)}
    checkout = Path(__file__).parents[1] / ".pythonpath"
    if checkout.is_dir():  # a checkout that nobody installed: the child must find the package that runs now
        passed["PYTHONPATH"] = os.pathsep.join(filter(None, (str(checkout), passed.get("PYTHONPATH", ""))))
    return {**passed, "PYTHONSAFEPATH": "1"}


def carrying(mark: str, source: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variable by which `marked` finds a process, added to the marks that it already holds."""
    outer = (os.environ if source is None else source).get(MARK)
    return {MARK: f"{outer}:{mark}" if outer else mark}


def users_environment(mark: str) -> dict[str, str]:
    """For a program of the user's own: the environment of this process as it is, but that devices are numbered as NVML does where
    nothing is said of it."""
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", **os.environ, **carrying(mark)}


def run_child(command: Sequence[str], watch: Watch, environment: Mapping[str, str] | None = None) -> int:
    """Run `command`, append its output to the log and return its exit code (128 + n when signal n ended it).

    Whatever ends the call, the command's whole process group is ended before it returns. Without an `environment` it gets
    `child_environment`.

    Raises:
        EnvironmentLacks: the command cannot be started.
        AispError: the command ran longer than `watch.timeout_s` seconds.
    """
    with (
        watch.log.open("ab") as log,
        _running(command, watch.mark, log, subprocess.STDOUT, environment or child_environment(watch.mark)) as process,
    ):
        try:
            code = process.wait(watch.timeout_s)
        except subprocess.TimeoutExpired as error:
            raise AispError(
                f"{_name(command)} ran longer than {watch.timeout_s:g} s and was ended; its last output:\n{tail(watch.log)}",
                "raise the timeout, or lower the number of iterations",
            ) from error
    return code if code >= 0 else 128 - code


def run_shown(command: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    """Run a command whose output goes where this program's does, for as long as it takes; its exit code as of `run_child`. Whatever
    ends the call, the command and all that it started are ended before it returns.

    Raises:
        EnvironmentLacks: the command cannot be started.
    """
    mark = new_mark()
    with _running(command, mark, None, None, environment or users_environment(mark)) as process:
        code = process.wait()
    return code if code >= 0 else 128 - code


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool said, and its exit code (-n when signal n ended it)."""

    code: int
    out: str
    err: str


def ask(command: Sequence[str], timeout_s: float, environment: Mapping[str, str] | None = None) -> Answer:
    """Run a tool for its answer. It gets this process's environment, or the one given; like every child, it ends with
    all that it started.

    Raises:
        EnvironmentLacks: the command cannot be started.
        AispError: it ran longer than `timeout_s` seconds.
    """
    mark = new_mark()
    given = {**(os.environ if environment is None else environment), **carrying(mark)}
    with (
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        _running(command, mark, out, err, given) as tool,
    ):
        try:
            code = tool.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise AispError(f"{_name(command)} ran longer than {timeout_s:g} s and was ended") from error
        return Answer(code, *(_text(file) for file in (out, err)))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


@contextlib.contextmanager
def _running(
    command: Sequence[str],
    mark: str,
    out: IO[bytes] | None,
    err: IO[bytes] | int | None,
    environment: Mapping[str, str],
) -> Iterator[subprocess.Popen[bytes]]:
    """The command while it runs; whatever ends the block, the command and all that it started are ended."""
    with _termination_as_exception():
        process = start(command, out, err, environment)
        try:
            yield process
        finally:
            _end(process, mark)


def start(
    command: Sequence[str],
    out: IO[bytes] | None,
    err: IO[bytes] | int | None,
    environment: Mapping[str, str],
    folder: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a command in a process group of its own, with no input; the caller must end it. None for an output: where this
    program's goes.

    Raises:
        EnvironmentLacks: it cannot be started.
    """
    try:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise EnvironmentLacks(f"{command[0]} cannot be started: {error.strerror}", "aisp-prof doctor") from error


@contextlib.contextmanager
def _termination_as_exception() -> Iterator[None]:
    """SIGTERM and SIGHUP unwind the stack as Ctrl-C does, so that the child is ended and temporary files are removed."""
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
    """Send a signal to every process that carries the mark, whatever group it has moved to."""
    for pid in marked(mark):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def marked(mark: str) -> list[int]:
    """Process ids of this user's live processes that carry the mark; none where there is no /proc."""
    pids = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # gone by now, or another user's
            if mark.encode() in _marks_in((entry / "environ").read_bytes()):
                pids.append(int(entry.name))
    return pids


def _marks_in(environ: bytes) -> list[bytes]:
    _, mark, rest = (b"\0" + environ).partition(f"\0{MARK}=".encode())
    return rest.partition(b"\0")[0].split(b":") if mark else []


def tail(log: Path, limit: int = TAIL_BYTES) -> str:
    """The last `limit` bytes of a log as text, from a line's start where there is one, without overwritten progress bars."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - limit))
        data = file.read()
    if size > limit and b"\n" in data:
        data = data.split(b"\n", 1)[1]
    *lines, last = data.decode("utf-8", "replace").split("\n")
    return "\n".join([*(one.removesuffix("\r").rpartition("\r")[2] for one in lines), last.rpartition("\r")[2]]).strip()


def _name(command: Sequence[str]) -> str:
    return " ".join(command[:6]) + (" …" if len(command) > 6 else "")
