"""The traces of a run as Python users meet them: `aisp_prof.open_ranks("traces/rank*.sqlite")`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Self

from .kept import shrink
from .question import Question
from .run import Run, files_of
from .spread import Say, Where, mapped
from .summary import RunSummary, summary


@dataclass(frozen=True, slots=True)
class RankFiles:
    """The traces of all ranks of a run, each read once into a record; times are ints in ns."""

    run: Run

    @classmethod
    def read(
        cls,
        paths: str | PathLike[str] | Iterable[str | PathLike[str]],
        question: Question,
        where: Where | None = None,
        say: Say = lambda text: None,
    ) -> Self:
        """Read them all; `say` is told how far that is.

        Raises:
            UsageError: no trace is named so, or a pattern is not a regular expression.
            EnvironmentLacks: workers are asked for, and there are none that are fit.
        """
        named = [paths] if isinstance(paths, str | PathLike) else list(paths)
        files = files_of([fspath(one) for one in named])
        found = mapped(files, question.checked(), where or Where(), say)
        shrink()
        return cls(Run(files, found))

    def summary(self) -> RunSummary:
        """Each rank's waits, transfers, idle time and clock, and what stands against the whole."""
        return summary(self.run)
