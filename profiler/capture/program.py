"""Capture programs: run them bare, then under a tracer, several in turn, and publish both with their conditions."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ...declaration import Declaration
from ...errors import AispError, UsageError
from ...machine.child import MARK, Watch, new_mark, run_child, tail, users_environment
from ...machine.files import scratch_folder
from ...version import __version__
from ..manifest import ALL, PROGRAM, Manifest
from ..store.captures import Capture
from ..store.manifest import folder_facts
from ..store.scrub import scrub_trace
from .asked import Asked, unasked
from .conditions import Sampler, open_gpu
from .run import LOG, TRACE, Progress, check_clock, check_trace, publish, utc, writing
from .tracers import Choice, Tracer, find_tracer

TURNS = Path(__file__).with_name("turns.py")
MOST_BARE = 2
"""Of each program at most so many bare runs: they tell what tracing costs a whole run, of which two are enough."""

WORTH_TELLING_S = 5
"""From so long on it is said beforehand how long the traced runs will take."""

Turn = tuple[str, Sequence[str]]
"""A variant, and the command that is run for it."""


@dataclass(frozen=True, slots=True)
class Programs:
    """What is run. `commands` has one entry, under `ALL`, or one for the baseline and one for the optimized variant.

    repeat      how often each is traced
    asked       the ranges and claims; None where they are asked later, of the capture
    typed       the command as the user typed it
    keep_report whether nsys' own report stays, which holds the values of the environment
    tracer      nsys, cupti or auto
    """

    name: str
    commands: Mapping[str, Sequence[str]]
    repeat: int
    asked: Asked | None
    typed: Sequence[str]
    timeout_s: float
    keep_report: bool = False
    tracer: str = Choice.AUTO

    @property
    def declaration(self) -> Declaration:
        if self.asked is not None:
            return self.asked.declaration(PROGRAM, self.name)
        return unasked(self.name, next(iter(self.commands.values())))

    def turns(self, repeat: int) -> list[Turn]:
        """A B B A A B …, so that a drift of clocks meets both alike."""
        pairs = list(self.commands.items())
        return [turn for count in range(repeat) for turn in (pairs if count % 2 == 0 else pairs[::-1])]


def capture_programs(
    programs: Programs, captures: Path, hardware_key: Callable[[str], str], progress: Progress
) -> Capture:
    """Run the programs bare, then under a tracer in one session, and publish the capture below `captures`.

    They are given the environment of this process as it is. Its values are in nsys' report, which is removed, and in no other
    file: the manifest has the names.

    Raises:
        EnvironmentLacks: no tracer, or no GPU activity in the trace; the clock is behind the newest capture.
        UsageError: a number of runs that cannot be.
        AispError: a program failed or ran too long; the message ends with the tail of its output.
    """
    if programs.repeat < 1:
        raise UsageError(f"{programs.repeat} runs cannot be made", "--repeat 6")
    tracer, mark = find_tracer(programs.tracer), new_mark()
    with writing(captures):
        check_clock(captures, programs.declaration.key)
        with scratch_folder(captures, mark) as work, open_gpu() as gpu:
            run = _Run(programs, tracer, work, Sampler(gpu, mark), hardware_key, progress)
            run.measure()
            return publish(run.manifest(), work, captures)


@dataclass(slots=True)
class _Run:
    """A capture in the making; every file of it lies in `work`."""

    programs: Programs
    tracer: Tracer
    work: Path
    sampler: Sampler
    hardware_key: Callable[[str], str]
    progress: Progress
    runs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    before: Mapping[str, Any] | None = None
    traced_by: Mapping[str, str | None] = field(default_factory=dict)

    def measure(self) -> None:
        self.before = self.sampler.now()
        name, tracer, report = self.programs.name, self.tracer, self._report
        bare = self.programs.turns(min(self.programs.repeat, MOST_BARE))
        self.progress(f"{name}: running without a tracer, {_times(len(bare))}")
        self.runs["bare"] = self._run(bare, lambda command: list(command))
        traced = self.programs.turns(self.programs.repeat)
        self.progress(
            f"{name}: running under {tracer.title}, {_times(len(traced))}{_about(expected_s(traced, self.runs['bare']))}"
        )
        self.runs["traced"] = self._run(traced, lambda command: tracer.command(report, command))
        if failure := tracer.failure(report, 0, tail(self._watch.log)):
            raise failure
        self._export(report)

    @property
    def _report(self) -> Path:
        return self.tracer.report(self.work)

    def _run(self, turns: Sequence[Turn], around: Callable[[Sequence[str]], list[str]]) -> list[dict[str, Any]]:
        """Run these in one child; the conditions are sampled meanwhile."""
        plan, record = self.work / "plan.json", self.work / "record.json"
        plan.write_text(json.dumps(turns), "utf-8")
        command = around([sys.executable, "-P", str(TURNS), str(plan), str(record)])
        try:
            with self.sampler:
                code = run_child(command, self._watch, users_environment(self.sampler.mark))
        except AispError as error:
            if not (ended := len(_recorded(record))):
                raise
            mend = f"--timeout above {self.programs.timeout_s:g}, or fewer runs: --repeat"
            raise AispError(f"{ended} of {len(turns)} runs had ended: {error}", mend) from error
        ran = _recorded(record)
        plan.unlink()
        record.unlink(missing_ok=True)
        failed = next((turn for turn in ran if turn[3]), None)
        if failed is not None:
            told = " ".join(self.programs.commands[failed[0]])
            raise self.tracer.refusal(self._report) or AispError(
                f"{told} failed with exit code {failed[3]}; its last output:\n{tail(self._watch.log)}"
            )
        if len(ran) < len(turns):
            said = tail(self._watch.log)
            raise self.tracer.failure(self._report, code, said) or AispError(
                f"not every program was run: exit code {code}; the last output:\n{said}"
            )
        return [{"variant": variant, "began_utc_ns": began, "ended_utc_ns": ended} for variant, began, ended, _ in ran]

    def _export(self, report: Path) -> None:
        """The trace without what nsys writes of the environment, and the report removed, which cannot be without it."""
        self.progress("exporting the trace to SQLite, without the environment")
        raw = self.work / "raw.sqlite"
        self.traced_by = self.tracer.export(report, raw, self._watch)
        check_trace(raw)
        try:
            scrub_trace(raw, self.work / TRACE)
        except AispError as error:
            self.progress(f"the trace stays as it was written, with the values of the environment: {error}")
            raw.rename(self.work / TRACE)
        kept = {TRACE, LOG, *([report.name] if self.programs.keep_report else [])}
        for path in self.work.iterdir():  # what nsys leaves beside its report holds the environment too
            if path.name not in kept:
                path.unlink()

    @property
    def _watch(self) -> Watch:
        return Watch(self.work / LOG, self.programs.timeout_s, self.sampler.mark)

    def manifest(self) -> Manifest:
        now, gpu = datetime.now(UTC), self.sampler.gpu
        programs, declaration = self.programs, self.programs.declaration
        facts = None if gpu is None else gpu.facts()
        driver = facts["driver"] if facts else None
        asked = programs.asked
        versions = {"aisp_prof": __version__, "driver": driver, **self.traced_by}
        return Manifest.of(
            id=f"{declaration.key}-{now:%Y%m%dT%H%M%SZ}-{self.sampler.mark[:6]}",
            created_utc=utc(now),
            declaration=declaration.to_json(),
            hardware_key=self.hardware_key(facts["name"]) if facts and facts["name"] else "unknown",
            size="default",
            sizes={},
            gpus=[facts] if facts else [],
            versions=versions,
            command=list(programs.typed),
            commit=None,
            conditions=self._conditions(),
            runs={},
            files=folder_facts(self.work),
            origin={
                "kind": PROGRAM,
                "ranges": asked.named() if asked else {},
                "domain": asked.domain if asked else None,
                "drivers": {ALL: driver} if driver else {},
                "commands": {variant: list(words) for variant, words in programs.commands.items()},
                "environment": sorted(name for name in os.environ if name != MARK),
                **self.runs,
            },
        )

    def _conditions(self) -> dict[str, Any] | None:
        if self.sampler.gpu is None:
            return None
        return {"before": self.before, "during": self.sampler.samples, "after": self.sampler.now()}


def _recorded(record: Path) -> list[Any]:
    """What turns.py has written of the runs that ended."""
    found: list[Any] = json.loads(record.read_text("utf-8")) if record.is_file() else []
    return found


def expected_s(turns: Sequence[Turn], bare: Sequence[Mapping[str, Any]]) -> float:
    """How long these runs take if each takes as long as its program's shortest run so far; 0 where one has not run."""
    shortest: dict[str, float] = {}
    for run in bare:
        took = (run["ended_utc_ns"] - run["began_utc_ns"]) / 1e9
        shortest[run["variant"]] = min(took, shortest.get(run["variant"], took))
    if any(variant not in shortest for variant, _ in turns):
        return 0.0
    return sum(shortest[variant] for variant, _ in turns)


def _about(seconds: float) -> str:
    return f", {seconds:.0f} s at least" if seconds >= WORTH_TELLING_S else ""


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} runs"
