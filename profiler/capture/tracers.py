"""What records a program: Nsight Systems, or where there is none the package's own tracer, behind one face."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from ...errors import AispError, EnvironmentLacks, UsageError
from ...machine.child import Watch
from ..tracer import recording
from .nsys import Nsys, export, find_nsys, profile_failure


class Choice(StrEnum):
    """Which one: `auto` takes Nsight Systems where it is found."""

    AUTO = "auto"
    NSYS = "nsys"
    CUPTI = "cupti"


class Tracer(Protocol):
    """How a program is run so that it is recorded, and what becomes of that. What it leaves, its report, is a file or a folder."""

    @property
    def title(self) -> str:
        """What it is called, for people, before it has run."""

    def report(self, work: Path) -> Path:
        """Where the report of a run in `work` lies."""

    def command(self, report: Path, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` and leaves `report`."""

    def failure(self, report: Path, code: int, log: str) -> AispError | None:
        """Why there is nothing to export after the command ended with `code`; None where there is."""

    def refusal(self, report: Path) -> EnvironmentLacks | None:
        """Why the tracer ended a program that it could not record; None where it did not."""

    def export(self, report: Path, sqlite: Path, watch: Watch) -> dict[str, str | None]:
        """Write the report as SQLite; the versions by which a manifest names what recorded it.

        Raises:
            EnvironmentLacks, AispError: it made none.
        """


@dataclass(frozen=True, slots=True)
class NsightSystems:
    """Nsight Systems, as it was found."""

    nsys: Nsys

    @property
    def title(self) -> str:
        return f"Nsight Systems {self.nsys.version_text}"

    def report(self, work: Path) -> Path:
        return work / "report.nsys-rep"

    def command(self, report: Path, command: Sequence[str]) -> list[str]:
        return self.nsys.profile_command(report, command)

    def failure(self, report: Path, code: int, log: str) -> AispError | None:
        return None if report.is_file() else profile_failure(self.nsys, report, code, log)

    def refusal(self, report: Path) -> EnvironmentLacks | None:
        return None

    def export(self, report: Path, sqlite: Path, watch: Watch) -> dict[str, str | None]:
        export(self.nsys, report, sqlite, watch)
        return {"nsys": self.nsys.version_text}


@dataclass(frozen=True, slots=True)
class OwnTracer:
    """The package's own, by CUPTI."""

    tracer: recording.Tracer

    @property
    def title(self) -> str:
        return "the aisp-prof tracer"

    def report(self, work: Path) -> Path:
        return work / "recorded"

    def command(self, report: Path, command: Sequence[str]) -> list[str]:
        return self.tracer.command(report, command)

    def failure(self, report: Path, code: int, log: str) -> AispError | None:
        return self.refusal(report)

    def refusal(self, report: Path) -> EnvironmentLacks | None:
        return recording.refusal(report)

    def export(self, report: Path, sqlite: Path, watch: Watch) -> dict[str, str | None]:
        return {"nsys": None, "tracer": recording.export(report, sqlite)}


def find_tracer(name: str = Choice.AUTO, environment: Mapping[str, str] | None = None) -> Tracer:
    """The tracer of this name, ready to run. An nsys that AISP_NSYS names is not passed over where it does not work.

    Raises:
        UsageError: none is called so.
        EnvironmentLacks: it is not here, or does not work; of `auto`, neither does.
    """
    if name not in list(Choice):
        raise UsageError(f"no tracer is called {name!r}", f"--tracer one of: {', '.join(Choice)}")
    environment = os.environ if environment is None else environment
    if name == Choice.CUPTI:
        return OwnTracer(recording.find_tracer(environment))
    try:
        return NsightSystems(find_nsys(environment))
    except EnvironmentLacks as lacking:
        if name == Choice.NSYS or environment.get("AISP_NSYS"):
            raise
        return _instead_of_nsys(lacking, environment)


def _instead_of_nsys(lacking: EnvironmentLacks, environment: Mapping[str, str]) -> Tracer:
    try:
        return OwnTracer(recording.find_tracer(environment))
    except EnvironmentLacks as also:
        raise EnvironmentLacks(f"{lacking}; nor can the package's own tracer record: {also}", lacking.mend) from also
