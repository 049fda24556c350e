"""The traces of a run as Python users meet them: `aisp_prof.open_ranks("traces/rank*.sqlite")`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike, fspath
from typing import Self

from msgspec.structs import replace

from .claims import metrics_of, name_of, parsed
from .collective_rows import RunCollectives, collectives
from .diff import RunDiff, diff
from .judged import RanksAnswer, judged
from .kept import shrink
from .question import Question
from .run import Run, files_of
from .spread import Say, Where, mapped
from .summary import RunSummary, summary


def _silent(text: str) -> None:
    pass


@dataclass(frozen=True)
class RankFiles:
    """The traces of all ranks of a run, each read into a small record when a question is first asked; times are ints in ns."""

    files: tuple[str, ...]
    question: Question = field(default_factory=Question)
    where: Where = field(default_factory=Where)
    say: Say = _silent

    @classmethod
    def named(
        cls,
        paths: str | PathLike[str] | Iterable[str | PathLike[str]],
        question: Question | None = None,
        where: Where | None = None,
        say: Say = _silent,
    ) -> Self:
        """The traces that files, folders or globs name; `say` is told how far reading them is.

        Raises:
            UsageError: no trace is named so, or a pattern is not a regular expression.
        """
        named = [paths] if isinstance(paths, str | PathLike) else list(paths)
        asked = (question or Question()).checked()
        return cls(files_of([fspath(one) for one in named]), asked, (where or Where()).checked(), say)

    @cached_property
    def run(self) -> Run:
        """What became of every file.

        Raises:
            EnvironmentLacks: workers are asked for, and there are none that are fit.
        """
        return self._read(self.question)

    def _read(self, question: Question) -> Run:
        found = mapped(self.files, question, self.where, self.say)
        shrink()
        return Run(self.files, found)

    def summary(self) -> RunSummary:
        """Each rank's waits, transfers, idle time and clock, and what stands against the whole."""
        return summary(self.run)

    def collectives(self) -> RunCollectives:
        """Every collective that several ranks ran, in the order of time."""
        return collectives(self.run)

    def diff(self, after: RankFiles) -> RunDiff:
        """This run against another, rank by rank."""
        return diff(self.run, after.run)

    def check(self, *claims: str, ranges: Sequence[str] = ()) -> RanksAnswer:
        """Judge claims (docs/ranks.md) on all ranks.

        Args:
            ranges: at most one `[NAME=]GLOB`, whose instances are the iterations; else the whole trace is one.

        Raises:
            UsageError: a claim cannot be read.
        """
        name, glob = name_of(ranges)
        asked = [parsed(claim, name) for claim in claims]
        question = replace(self.question, steps=glob, metrics=metrics_of(asked, name))
        return judged(self._read(question) if question != self.question else self.run, asked, name)
