"""Where traces become records: in this process, or on workers of Dask, whichever the records are the same."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...errors import EnvironmentLacks, UsageError
from .mapping import records_of
from .question import Question
from .record import Mapped

FEW = 64
"""Traces that this process reads alone, unless workers are asked for: to start them takes as long as to read some dozens."""

SOME = 16
"""Traces of which it is said that they are read."""

INSTALL = "install Dask: pip install 'aisp-prof[ranks]'"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Where:
    """Who reads the traces: so many processes of this machine, the workers of a scheduler, or, by default, whoever suits their
    number."""

    workers: int | None = None
    scheduler: str = ""
    scheduler_file: str = ""

    @property
    def asked(self) -> bool:
        return self.workers is not None or bool(self.scheduler or self.scheduler_file)

    def checked(self) -> Where:
        """Itself.

        Raises:
            UsageError: it names two places.
        """
        if sum((self.workers is not None, bool(self.scheduler), bool(self.scheduler_file))) > 1:
            raise UsageError("workers are named twice", "one of --workers, --scheduler and --scheduler-file")
        return self


def mapped(files: Sequence[str], question: Question, where: Where, say: Say) -> tuple[Mapped, ...]:
    """What becomes of each file, in their order.

    Raises:
        UsageError: two places are named.
        EnvironmentLacks: workers are asked for, and there is no Dask, no scheduler, or one whose workers are not fit.
    """
    there = importlib.util.find_spec("distributed") is not None
    if where.checked().asked and not there:
        raise EnvironmentLacks("workers need Dask, which is not installed", INSTALL)
    cores = len(os.sched_getaffinity(0))
    if where.asked or (there and cores > 1 and len(files) > FEW):
        from .workers import by_workers

        return by_workers(files, question, where, cores, say)
    if len(files) > SOME:
        say(f"reading {len(files)} traces")
    return tuple(records_of(file, question) for file in files)
