"""A run: the files of all of its ranks, what became of each, and the ranks joined."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

from ...errors import UsageError
from ..evidence import Finding
from ..trace.source.unpack import SUFFIXES
from .join import Joined, join
from .record import COMPLETE, Failure, Mapped, Rank

_TRACES = (".sqlite", ".nsys-rep", ".json")
_NAMED = 12
"""How many ranks a finding names."""


@dataclass(frozen=True)
class Run:
    """Files, and what was made of them, in the same order."""

    files: tuple[str, ...]
    mapped: tuple[Mapped, ...]

    @cached_property
    def ranks(self) -> tuple[Rank, ...]:
        """By rank; those without one by their file and process, last."""
        every = [rank for one in self.mapped if not isinstance(one, Failure) for rank in one]
        return tuple(sorted(every, key=lambda one: (one.rank is None, one.rank or 0, one.path, one.process)))

    @cached_property
    def failures(self) -> tuple[Failure, ...]:
        return tuple(one for one in self.mapped if isinstance(one, Failure))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What each rank is called: its number where that is its own, else its process, and its file where there are several."""
        count = Counter(one.rank for one in self.ranks)
        files = len({one.path for one in self.ranks}) > 1
        return tuple(
            f"rank {one.rank}"
            if one.rank is not None and count[one.rank] == 1
            else f"pid {one.pid}{f' of {Path(one.path).name}' if files else ''}"
            for one in self.ranks
        )

    @cached_property
    def joined(self) -> Joined:
        return join(self.ranks, self.names, not self.failures and not self._absent[0])

    @property
    def whole(self) -> bool:
        """Whether every rank is there, with a trace that may prove something."""
        return not any(finding.blocks for finding in self.findings)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What stands against the run as a whole."""
        found = [Finding("ranks_trace_failed", {"path": one.path, "message": one.message.splitlines()[0] if one.message else one.kind}, "range")
                 for one in self.failures]  # fmt: skip
        absent, first = self._absent
        if absent:
            found.append(Finding("ranks_absent", {"ranks": _listed(first), "count": absent}, "range"))
        twice = sorted(
            rank for rank, n in Counter(one.rank for one in self.ranks).items() if rank is not None and n > 1
        )
        if twice:
            found.append(Finding("ranks_twice", {"ranks": _listed(twice), "count": len(twice)}, "range"))
        partly = [name for one, name in zip(self.ranks, self.names, strict=True) if one.completeness != COMPLETE]
        if partly:
            found.append(Finding("ranks_incomplete", {"ranks": _listed(partly), "count": len(partly)}, "range"))
        return (*found, *self.joined.findings)

    @cached_property
    def _absent(self) -> tuple[int, list[int]]:
        """Ranks that must exist, by the sizes of communicators or by the numbers of others, and have no record: how many, and the
        first of them. A trace may state any number."""
        there = {one.rank for one in self.ranks if one.rank is not None}
        sizes = [each.size for one in self.ranks for each in one.communication.communicators]
        most = max([*sizes, *(rank + 1 for rank in there)], default=0) if there else 0
        gone = (rank for rank in range(most) if rank not in there)
        return most - len(there), list(islice(gone, _NAMED + 1))


def _listed(some: Sequence[int] | Sequence[str]) -> str:
    return ", ".join(map(str, some[:_NAMED])) + (", …" if len(some) > _NAMED else "")


def files_of(named: Iterable[str]) -> tuple[str, ...]:
    """The traces that files, folders and globs name, each once, in the order of their names.

    Raises:
        UsageError: one names none.
    """
    found: dict[str, None] = {}
    for one in named:
        some = _named(one)
        if not some:
            raise UsageError(
                f"{one}: no such trace", "name files, a folder of traces, or a glob: 'traces/rank*.sqlite'"
            )
        found |= dict.fromkeys(some)
    if not found:
        raise UsageError("no trace is named", "aisp-prof ranks summary 'traces/rank*.sqlite'")
    return tuple(sorted(found))


def _named(one: str) -> list[str]:
    path = Path(one)
    if path.is_dir() and (inside := [str(file) for file in path.iterdir() if _is_trace(file)]):
        return inside
    return [one] if path.exists() else glob.glob(one, recursive=True)


def _is_trace(path: Path) -> bool:
    name = path.stem if path.suffix in SUFFIXES else path.name
    return path.is_file() and name.endswith(_TRACES)
