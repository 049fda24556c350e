"""A trace as Python users meet it: `aisp_prof.open("x.sqlite")`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ..trace.model import Trace
from .alignment import DeviceDiff
from .copies import CopyRow, copies
from .diff import diff
from .gaps import gaps
from .kernels import KernelRow, kernels
from .launches import LaunchRow, launches
from .overlap import OverlapRow, overlap
from .ranges import ranges
from .raw import calls, operations
from .reading import read
from .summary import Summary, summary
from .table import Table


@dataclass(frozen=True, slots=True)
class TraceFile:
    """One export, read once. Every time is an int in ns since the session's start; `trace` holds the bare columns.

    Methods give frozen rows, or a `Table` where there may be millions of them (`.frame()`, `.rows()`, `len`).
    `aisp_prof.frame(rows)` makes a DataFrame of the former.
    """

    trace: Trace

    @classmethod
    def read(cls, path: Path | str, communication: Iterable[str] = ()) -> Self:
        """Read an export.

        Args:
            path: what `aisp-prof trace` takes.
            communication: regular expressions of kernel names that count as communication, besides the known ones.

        Raises:
            UsageError: a pattern is not a regular expression.
            TraceError: the file is missing, damaged, or not an export of Nsight Systems.
            EnvironmentLacks: what this kind of file needs is not installed.
        """
        return cls(read(Path(path), communication))

    def summary(self, top: int = 10, attribution: str = "thread") -> Summary:
        """Devices, processes, completeness, ledger, top kernels and ranges; `attribution` as of `ranges`."""
        return summary(self.trace, top, attribution)

    def ranges(
        self, name: str = "*", domain: str | None = None, everything: bool = False, attribution: str = "thread"
    ) -> Table:
        """A row for every range instance and device with GPU work; columns as in docs/json.md.

        Args:
            name: a name or glob; `domain` likewise, None for all, "" for the default one.
            everything: ranges without GPU work too.
            attribution: "thread", or "process" for what every thread of the process launched inside the range.

        Raises:
            UsageError: no such attribution.
        """
        return ranges(self.trace, domain, name, everything, attribution)

    def kernels(self, name: str = "*", full: bool = False) -> tuple[KernelRow, ...]:
        """A row for every kernel name and device; `full` also distinguishes their template arguments."""
        return kernels(self.trace, name, full)

    def copies(self) -> tuple[CopyRow, ...]:
        """A row for every kind of copy (and memset) and device."""
        return copies(self.trace)

    def launches(self, everything: bool = False) -> tuple[LaunchRow, ...]:
        """A row for every API function that submits work, or with `everything` for every API function."""
        return launches(self.trace, everything)

    def gaps(self, least: int = 1, limit: int | None = None) -> Table:
        """When devices were idle for at least `least` ns, and why; the longest first."""
        return gaps(self.trace, least, limit)

    def overlap(self, a: str, b: str, count: int = 3, attribution: str = "thread") -> tuple[OverlapRow, ...]:
        """How much of `a` and `b` runs at the same time on each device, with at most `count` witnesses.

        Args:
            a, b: a class (compute, comm, copy, h2d, …), `stream:N`, `range:GLOB` or `kernel:GLOB`.
            attribution: whose launches a range counts, as `ranges` takes it.

        Raises:
            UsageError: a selector that means nothing, of which the nearest one is suggested, or no such attribution.
        """
        return overlap(self.trace, a, b, count, attribution)

    def diff(
        self, other: TraceFile | None = None, range_a: str | None = None, range_b: str | None = None
    ) -> tuple[DeviceDiff, ...]:
        """This trace (a) against another (b), or ranges of them; without `other`, two ranges of this one."""
        second = other.trace if other else self.trace
        return diff(self.trace, second, range_a, range_b or range_a).devices

    def operations(self) -> Table:
        """Every GPU operation, by start."""
        return operations(self.trace)

    def calls(self) -> Table:
        """Every CUDA API call, by start."""
        return calls(self.trace)
