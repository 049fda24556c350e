"""Join the kernels that ncu counted with those that nsys timed: counters from one, times from the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from .kernel_counters import Dim, KernelCounters, function_name


@dataclass(frozen=True, slots=True)
class TracedKernel:
    """A kernel of the trace: `row` in its table, `name` as nsys' shortName, start and end in ns."""

    row: int
    name: str
    grid: Dim
    block: Dim
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Joined:
    """One kernel: when it ran (trace), and what it did (counters of the same launch in another run)."""

    traced: TracedKernel
    counted: KernelCounters


@dataclass(frozen=True, slots=True)
class Difference:
    """A kernel that the trace holds `traced` times and the report `counted` times, repeats already divided out."""

    name: str
    grid: Dim
    block: Dim
    traced: int
    counted: float

    def __str__(self) -> str:
        return (
            f"{self.name} (grid {self.grid}, block {self.block}): {self.traced} in the trace, {self.counted:g} counted"
        )


@dataclass(frozen=True, slots=True)
class Joining:
    """The kernels of one range. If any count differs, nothing is joined: which launch is which cannot be known."""

    range: str
    pairs: tuple[Joined, ...]
    differences: tuple[Difference, ...]

    @property
    def refused(self) -> bool:
        return bool(self.differences)


_Key = tuple[str, Dim, Dim]
_Row = TypeVar("_Row")


def join(
    range_name: str, counted: Iterable[KernelCounters], traced: Iterable[TracedKernel], repeats: int = 1
) -> Joining:
    """Join by (name, grid, block, k-th launch) inside one range.

    Args:
        range_name: an NVTX range; only counters of launches inside it are used.
        counted: of a whole report, in launch order.
        traced: the kernels of one instance of the range, or of one iteration in it, in launch order.
        repeats: how often the report holds what `traced` holds once; only the first repeat is joined.
    """
    inside = [one for one in counted if any(nvtx.name == range_name for nvtx in one.nvtx)]
    theirs = _grouped((_key(one.name, one.grid, one.block), one) for one in inside)
    ours = _grouped((_key(one.name, one.grid, one.block), one) for one in traced)
    differences = [
        Difference(*key, len(ours.get(key, ())), len(theirs.get(key, ())) / repeats)
        for key in dict.fromkeys((*ours, *theirs))
        if len(ours.get(key, ())) * repeats != len(theirs.get(key, ()))
    ]
    if differences:
        return Joining(range_name, (), tuple(differences))
    pairs = [Joined(mine, one) for key, group in ours.items() for mine, one in zip(group, theirs[key], strict=False)]
    return Joining(range_name, tuple(sorted(pairs, key=lambda pair: (pair.traced.start, pair.traced.row))), ())


def _key(name: str, grid: Dim, block: Dim) -> _Key:
    """ncu and nsys write names differently; their bare function names agree."""
    return function_name(name), grid, block


def _grouped(rows: Iterable[tuple[_Key, _Row]]) -> dict[_Key, list[_Row]]:
    groups: dict[_Key, list[_Row]] = {}
    for key, row in rows:
        groups.setdefault(key, []).append(row)
    return groups
