"""The gate's processes as copies of one that has imported PyTorch: a second's work otherwise, for each of a hundred. From their
`main` on they do the same, with the arguments, variables, folder and files that they were to start with; only what is done before
that, by Python and by importing, is left to the tests of the command (tests/cli/test_kernels.py), which start them as users do."""

from __future__ import annotations

import ctypes
import fcntl
import importlib
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from aisp_prof.machine.child import PASSED_ON, allowed

MODULES = ("aisp_prof.workloads.gate.child", "aisp_prof.workloads.gate.host")
_PR_SET_CHILD_SUBREAPER = 36


class Born:
    """A child of this process that another forked, as subprocess.Popen shows one."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._waited(os.WNOHANG)

    def wait(self) -> int | None:
        return self._waited(0)

    def _waited(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode


class Nursery:
    """The process that forks them, and the line to it."""

    def __init__(self) -> None:
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        number = theirs.fileno()
        command = [sys.executable, "-P", __file__, str(number), *MODULES]  # by which a candidate may look for its judge
        self._process = subprocess.Popen(
            command, pass_fds=(number,), env={**os.environ, **allowed(PASSED_ON)}, start_new_session=True
        )
        theirs.close()

    def close(self) -> None:
        self._line.close()
        self._process.wait()

    @contextmanager
    def serving(self) -> Iterator[None]:
        """What the gate would start as a Python of its own is born here."""
        from aisp_prof.workloads.gate import hosted, isolate

        started = isolate.start

        def judge(command: list[str], out: Any, err: int, environment: Mapping[str, str], folder: Path) -> Any:
            if command[3] not in MODULES:  # under a tool
                return started(command, out, err, environment, folder)
            return self._born(command, {1: out.fileno(), 2: out.fileno()}, environment, folder)

        def host(command: list[str], stdin: int, pass_fds: Sequence[int], start_new_session: bool) -> Any:
            files = {one: one for one in (1, 2, *pass_fds)}
            return self._born(command, files, os.environ, Path.cwd())

        popen = SimpleNamespace(Popen=host, DEVNULL=subprocess.DEVNULL)
        with patch.object(isolate, "start", judge), patch.object(hosted, "subprocess", popen):
            yield

    def _born(
        self, command: Sequence[str], files: Mapping[int, int], environment: Mapping[str, str], folder: Path
    ) -> Born:
        """`python -P -m MODULE …` there, with `files` as its descriptors of these numbers."""
        cpus = os.sched_getaffinity(0)  # which a process that this one started would inherit
        asked = (command[3], command[4:], list(files), dict(environment), str(folder), cpus)
        _adopt(True)
        try:
            socket.send_fds(self._line, [pickle.dumps(asked)], list(files.values()))
            return Born(int(self._line.recv(32)))
        finally:
            _adopt(False)


def _adopt(on: bool) -> None:
    """Whether orphans below this process become children of it, as one does whose parent only forked it and ended."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0)


def main() -> None:
    """Fork whenever asked to, until nobody is at the other end."""
    importlib.import_module("torch")
    modules = {name: importlib.import_module(name) for name in sys.argv[2:]}
    line = socket.socket(fileno=int(sys.argv[1]))
    (told, tells), (ended, ends) = os.pipe(), os.pipe()
    while True:
        asked, given, _, _ = socket.recv_fds(line, 1 << 20, 16)
        if not asked:
            return
        if middle := os.fork():
            os.waitpid(middle, 0)  # only then is its child the child of who asked, with whom it may want to end
            line.send(os.read(told, 32))
            os.write(ends, b".")
            for one in given:
                os.close(one)
        elif child := os.fork():
            os.write(tells, str(child).encode())
            os._exit(0)
        else:
            break
    os.read(ended, 1)
    line.detach()
    module, arguments, numbers, environment, folder, cpus = pickle.loads(asked)
    os.sched_setaffinity(0, cpus)
    os.setsid()
    _take(dict(zip(numbers, given, strict=True)))
    os.environ.clear()
    os.environ.update(environment)
    sys.dont_write_bytecode = "PYTHONDONTWRITEBYTECODE" in environment
    os.chdir(folder)
    sys.argv = [module, *arguments]
    sys.exit(modules[module].main())


def _take(files: Mapping[int, int]) -> None:
    """These, nothing as input, and no other file."""
    beyond = max(files) + 1
    kept = {number: fcntl.fcntl(file, fcntl.F_DUPFD, beyond) for number, file in files.items()}
    os.closerange(3, beyond)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, file in kept.items():
        os.dup2(file, number)
    os.closerange(beyond, os.sysconf("SC_OPEN_MAX"))


if __name__ == "__main__":
    main()
