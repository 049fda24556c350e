"""A contender in a process of its own, stopped except while it is asked to run."""

from __future__ import annotations

import gc
import os
import signal
import subprocess  # noqa: TID251 - stopped and continued between runs, ended with the judge
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import send_handle
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Protocol

from ...errors import AispError, EnvironmentLacks
from . import family
from .arena import Arena
from .confine import end_by
from .host import DONE, REFUSED, UNSHARED, Assignment

if TYPE_CHECKING:
    from torch import Tensor

    from .cases import Case

WORDS_BYTES = 4096
_DESCRIPTORS = os.sysconf("SC_OPEN_MAX")
_UNASKED = "the candidate's process answers what nobody asked"


class Process(Protocol):
    """A process that a contender runs in."""

    @property
    def pid(self) -> int: ...

    def wait(self) -> int:
        """Its exit code once it has ended; below 0 the signal that ended it."""


class Spare:
    """A process that waits for an assignment, and this end of the connection to it."""

    def __init__(self, pid: int, pipe: Connection[Any, Any]) -> None:
        self.pid, self.pipe = pid, pipe
        self._code: int | None = None

    def wait(self) -> int:
        if self._code is None:
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._code


def spare(spares: list[Spare]) -> Connection[Any, Any] | None:
    """Fork a process for a contender, with PyTorch imported: another is added to `spares`, and None returned.

    In the process itself it returns the connection to the judge: all that it shares with it besides its output.
    """
    gc.disable()  # looking for garbage among what stays is a ninth of the import
    import torch  # noqa: F401 - so that no contender has to

    gc.freeze()
    gc.enable()
    ours, theirs = Pipe()
    pid = os.fork()
    if pid:
        theirs.close()
        spares.append(Spare(pid, ours))
        return None
    os.setsid()
    for pipe in (ours, *(one.pipe for one in spares)):
        pipe.close()
    spares.clear()
    os.closerange(3, theirs.fileno())
    os.closerange(theirs.fileno() + 1, _DESCRIPTORS)
    os.dup2(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), 0)
    return theirs


class Hosted:
    """A runner in its own process: a run lasts until that process says that the work is done, whether true or not.

    Between runs every process of it is stopped, so that nothing of it can look at inputs before the clock runs.
    `missing` says which walls this machine does not provide; "" if all stand.
    """

    def __init__(self, assignment: Assignment, arena: Arena, one: Spare | None = None) -> None:
        self._arena, self._known, self._stopped = arena, set[int](), list[int]()
        self._start(assignment) if one is None else self._take(assignment, one, one.pipe)
        self.missing = self._answer().decode("utf-8", "replace")
        if self.missing:  # only half of the walls may stand: start again without any
            self.close()
            self._start(replace(assignment, walls=False))
            self._answer()

    def _start(self, assignment: Assignment) -> None:
        pipe, theirs = Pipe()
        number = theirs.fileno()
        command = [sys.executable, "-P", "-m", f"{__package__}.host", str(number)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=(number,), start_new_session=True)
        theirs.close()
        self._take(assignment, process, pipe)

    def _take(self, assignment: Assignment, process: Process, pipe: Connection[Any, Any]) -> None:
        self._process, self._pipe = process, pipe
        self._ended = os.pidfd_open(process.pid)
        self._pipe.send(assignment)

    def load(self) -> None:
        """Load the runner, of which nothing has run until now.

        Raises:
            AispError: it cannot be run, as its process says.
        """
        self._pipe.send(("load",))
        answer = self._answer()
        if answer.startswith(REFUSED.encode()):
            raise AispError(answer.decode("utf-8", "replace").removeprefix(REFUSED))
        if answer != DONE:
            sys.exit(_UNASKED)
        self._stopped = family.stop(self._process.pid)

    def show(self, case: Case, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        """Name the memory of the next run. The process is stopped again when this returns: fill in the inputs afterwards."""
        self._case = case
        self._places = [[self._arena.place(one) for one in tensors] for tensors in (inputs, outputs)]
        family.go_on(self._stopped)
        for number in sorted({one.number for places in self._places for one in places} - self._known):
            ticket = self._arena.ticket(number)
            self._pipe.send(("block", ticket))
            if not ticket.handle:
                send_handle(self._pipe, ticket.descriptor, self._process.pid)
            self._expect_shared()
            self._known.add(number)
        self._stopped = family.stop(self._process.pid)

    def run(self) -> None:
        """By the judge's clock, from the request until those processes that are known stand still after the answer: to look for others
        takes milliseconds, in which a thread could finish what the answer claimed. With others among them, until all stand still."""
        begun, known = perf_counter_ns(), self._stopped
        family.go_on(known)
        self._ask("run", self._case, *self._places)
        family.halt(known)
        self.took_ns = perf_counter_ns() - begun
        self._stopped = family.stop(self._process.pid)
        if not set(self._stopped) <= set(known):
            self.took_ns = perf_counter_ns() - begun

    def forget(self) -> None:
        """Let it unmap the blocks that it knows."""
        family.go_on(self._stopped)
        self._ask("forget")
        self._known.clear()
        self._stopped = family.stop(self._process.pid)

    def close(self) -> None:
        """End it; whatever it started ends with it, if the walls stand."""
        self._pipe.close()
        for pid in (*reversed(self._stopped), self._process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._ended)

    def _ask(self, *words: object) -> None:
        self._pipe.send(words)
        self._expect()

    def _expect(self) -> None:
        if self._answer() != DONE:
            sys.exit(_UNASKED)

    def _expect_shared(self) -> None:
        """The gate's own part of that process could open the memory.

        Raises:
            EnvironmentLacks: it could not, which says nothing about the candidate.
        """
        answer = self._answer()
        if answer.startswith(UNSHARED.encode()):
            raise EnvironmentLacks(answer.decode("utf-8", "replace"), "aisp-prof doctor")
        if answer != DONE:
            sys.exit(_UNASKED)

    def _answer(self) -> bytes:
        """Its answer; if it has ended, this process ends in the same way, so that the parent sees how."""
        if self._pipe in wait([self._pipe, self._ended]):
            try:
                return self._pipe.recv_bytes(WORDS_BYTES)
            except (EOFError, ConnectionError):  # it ended, or closed the connection
                pass
            except OSError:  # longer than any valid answer
                sys.exit(_UNASKED)
        code = self._process.wait()
        if code < 0:
            end_by(-code)
        sys.exit(code)
