"""The processes that descend from one, however they hid: found, counted, stopped and ended."""

from __future__ import annotations

import os
import signal
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ...machine.child import marked

POLL_S = 0.02
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
    """Stop `pid` and all below it, repeatedly until no new process appears; returns them."""
    stopped: list[int] = []
    while new := [one for one in (pid, *descendants(pid)) if one not in stopped]:
        _signal(new, signal.SIGSTOP)
        stopped += new
    return stopped


def halt(pids: Iterable[int]) -> None:
    """Stop these at once, and none that they started since."""
    _signal(pids, signal.SIGSTOP)


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


def _runs(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0] not in "ZX"
    return False
