"""Prove from Nsight traces that a GPU optimization worked.

import aisp_prof

trace = aisp_prof.open("report.sqlite")
trace.summary().completeness.status         # complete, incomplete or unattested
trace.ranges("train_step*").frame()         # a DataFrame with nullable integers
trace.overlap("copy", "compute")[0].overlap # ns
aisp_prof.frame(trace.kernels())

@aisp_prof.pair(claims=["speedup >= 1.2"])  # a pair of one's own: docs/pairs.md
class FusedNorm: ...

Importing this package imports neither numpy nor pandas; `open` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from .errors import AispError, CannotTell, EnvironmentLacks, TraceError, UsageError
from .version import __version__

if TYPE_CHECKING:
    from .profiler.queries.trace_file import TraceFile
    from .profiler.ranks.rank_files import RankFiles
    from .workloads.decorated import pair

__all__ = [
    "AispError",
    "CannotTell",
    "EnvironmentLacks",
    "TraceError",
    "UsageError",
    "__version__",
    "frame",
    "open",
    "open_ranks",
    "pair",
]


def open(path: str | PathLike[str], communication: Iterable[str] = ()) -> TraceFile:
    """Read an Nsight Systems export and ask it questions; the file is not touched.

    Args:
        path: what `aisp-prof trace` takes: an export (`.sqlite`, packed or not; a Parquet folder) or a `.nsys-rep`.
        communication: regular expressions of kernel names that count as communication, besides the known ones.

    Raises:
        UsageError: a pattern is not a regular expression.
        EnvironmentLacks: what this kind of file needs is not installed.
        TraceError: the file is missing, damaged, or not an export of Nsight Systems.
    """
    from pathlib import Path

    from .profiler.queries.trace_file import TraceFile

    return TraceFile.read(Path(path), communication)


def open_ranks(
    paths: str | PathLike[str] | Iterable[str | PathLike[str]],
    *,
    rank_pattern: str = "",
    communication: Iterable[str] = (),
    workers: int | None = None,
    scheduler: str = "",
    scheduler_file: str = "",
) -> RankFiles:
    """The traces of all ranks of a run: `.summary()`, `.collectives()`, `.diff(other)`, `.check("comm_wait <= 2ms")`.

    Args:
        paths: files, folders of traces, or globs; each trace holds one rank or several.
        rank_pattern: where a file's name says its rank, with one group; by default rank7 or rank_7.
        communication: regular expressions of kernel names that count as communication, besides the known ones.
        workers, scheduler, scheduler_file: read on so many processes of this machine, or on the workers of a Dask scheduler.

    Raises:
        UsageError: no trace is named so, a pattern is not a regular expression, or workers are named twice.
    """
    from .profiler.ranks.question import RANK_PATTERN, Question
    from .profiler.ranks.rank_files import RankFiles
    from .profiler.ranks.spread import Where

    question = Question(rank_pattern=rank_pattern or RANK_PATTERN, communication=tuple(communication))
    return RankFiles.named(paths, question, Where(workers, scheduler, scheduler_file))


def frame(rows: Sequence[Any]) -> Any:
    """A pandas DataFrame of rows from a trace; its integers are nullable."""
    from .profiler.queries.frames import frame as make

    return make(rows)


def __getattr__(name: str) -> Any:
    """`pair` is imported when it is asked for: most who import this package declare none."""
    if name == "pair":
        from .workloads.decorated import pair

        return pair
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
