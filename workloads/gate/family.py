"""The processes that descend from one, however they hid: found, counted, stopped and ended."""

from __future__ import annotations

import os
import signal
import time
from collections import defaultdict
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

from ...machine.child import marked

POLL_S = 0.02
YIELD_S = 1e-5
END_S = 10.0


def descendants(pid: int) -> list[int]:
    """Every process below `pid`, nearest first. An orphan counts only if an ancestor adopts orphans."""
    children = defaultdict(list)
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # gone meanwhile
            # the name, in parentheses, may hold anything
            children[int((entry / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1])].append(
                int(entry.name)
            )
    pids, new = [], [pid]
    while new:
        new = [child for one in new for child in children[one]]
        pids += new
    return pids


def stop(pid: int) -> list[int]:
    """Stop `pid` and all below it, until all of them stand still and none is new; returns them."""
    stopped: list[int] = []
    while new := [one for one in (pid, *descendants(pid)) if one not in stopped]:
        stopped += new
        halt(stopped)
    return stopped


def halt(pids: Collection[int]) -> None:
    """Stop these, and none that they started since; returns when every thread of theirs stands still.

    Sending the signal is not enough: one thread takes it and stops the others, and until it gets a CPU they run on. Nor is
    sending it once, or finding each of them still once: as long as one of them moves, it may wake another.
    """
    moving, still = list(pids), 0
    while still < 2:
        if moving:
            _signal(moving, signal.SIGSTOP)
            time.sleep(YIELD_S)
        moving = [one for one in pids if not _stands(one)]
        still = 0 if moving else still + 1


def go_on(pids: Iterable[int]) -> None:
    _signal(pids, signal.SIGCONT)


def end(pid: int, mark: str) -> bool:
    """Kill all below `pid`, then itself, then whoever carries `mark`; returns whether none of those known is left.

    `pid` is stopped first: while it lives, orphans become its children and are found.
    """
    _signal([pid], signal.SIGSTOP)
    deadline = time.monotonic() + END_S
    while (left := [one for one in descendants(pid) if _runs(one)]) and time.monotonic() < deadline:
        _signal(left, signal.SIGKILL)
        time.sleep(POLL_S)
    _signal([pid], signal.SIGKILL)
    while (strays := [one for one in marked(mark) if _runs(one)]) and time.monotonic() < deadline:
        _signal(strays, signal.SIGKILL)
        time.sleep(POLL_S)
    return not left and not strays


def rss_bytes(pids: Iterable[int]) -> int:
    """Resident memory of all of them; pages that several map count several times."""
    total = 0
    for pid in pids:
        with suppress(OSError, ValueError, IndexError):  # gone meanwhile
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return total


def waited_ns(pids: Iterable[int]) -> dict[int, int]:
    """How long each one's main thread was ready but got no CPU, by pid; without those for which the kernel does not count it."""
    waited: dict[int, int] = {}
    for pid in pids:
        with suppress(OSError, ValueError, IndexError):  # gone meanwhile, or not counted
            waited[pid] = int(Path(f"/proc/{pid}/schedstat").read_text().split()[1])
    return waited


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):  # gone meanwhile
            os.kill(pid, number)


def _stands(pid: int) -> bool:
    """Whether no thread of it executes anything of its own before it is told to go on; the kernel says so of a child at once.

    A thread that waits within the kernel (D, as a parent does until its vfork child starts a program) meets the stop on its way
    out, if another has taken the signal or there is no other.
    """
    with suppress(ChildProcessError):  # another's child
        if os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return True
    states: list[str] = []
    for task in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(OSError):  # ended meanwhile
            states.append(task.read_text("utf-8", "replace").rpartition(")")[2].split()[0])
    alive = [one for one in states if one not in "ZX"]
    return set(alive) <= set("TtD") and ("D" not in alive or "T" in alive or len(alive) == 1)


def _runs(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0] not in "ZX"
    return False
