"""Capture a pair: run it bare, run it under a tracer, and publish both with their conditions as one folder."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from ...declaration import Declaration
from ...errors import AispError, EnvironmentLacks, UsageError
from ...machine.child import Watch, new_mark, run_child, tail
from ...machine.files import remove_abandoned, scratch_folder, settle
from ...version import __version__
from ..manifest import Manifest
from ..store.captures import Capture, Store
from ..store.manifest import folder_facts, write_manifest
from ..trace.model import TABLES
from ..trace.schema import by_plain_name, quote
from .checkout import checkout_commit
from .conditions import Gpu, Sampler, open_gpu
from .counting import ITERATIONS, Counted, collect
from .tracers import Choice, Tracer, find_tracer

TRACE, LOG = "trace.sqlite", "run.log"


class Profile(StrEnum):
    """How much of a pair is looked at: its times alone, its trace, its counters too, ncu's full sections besides."""

    NONE = "none"
    MINIMAL = "minimal"
    ROOFLINE = "roofline"
    DEEP = "deep"

    @property
    def counts(self) -> bool:
        """Whether an ncu pass belongs to it, and ceilings to compare with."""
        return self in (Profile.ROOFLINE, Profile.DEEP)


def profile_of(name: str) -> Profile:
    """The profile of this name.

    Raises:
        UsageError: there is none.
    """
    if name not in list(Profile):
        raise UsageError(f"no profile is called {name!r}", f"--profile one of: {', '.join(Profile)}")
    return Profile(name)


Written = dict[str, Any]
"""What the harness of a pair, a program of its own, wrote of a run: validation, warmup, order, and the iterations. It becomes part
of the manifest as it is, in which its shape is checked."""

Progress = Callable[[str], None]
"""Told, as one English sentence, what begins now."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is captured: the pair's program (a module, and its first arguments) and how it is run. `command` is what the user typed.

    `ceilings` is the result of `calibrate.calibrate` on this GPU, measured before the pairs of one command.
    """

    declaration: Declaration
    program: tuple[str, ...]
    hardware_key: str
    size: str
    iterations: int
    command: tuple[str, ...]
    timeout_s: float
    profile: Profile = Profile.MINIMAL
    ceilings: Mapping[str, Any] | None = None

    def child_command(self, record: Path) -> list[str]:
        return self._command(record, self.iterations, "--trace")

    def counted_command(self, record: Path) -> list[str]:
        """The same program at the same size, as few iterations as it runs, and nothing in memory that it does not need."""
        return self._command(record, ITERATIONS, "--trace", "--profile-mode")

    def _command(self, record: Path, iterations: int, *more: str) -> list[str]:
        options = ["--record", str(record), "--size", self.size, "--iterations", str(iterations), *more]
        return [sys.executable, "-P", "-m", *self.program, *options]


def capture_pair(
    declaration: Declaration,
    program: Sequence[str],
    hardware_key: str,
    size: str,
    captures: Path,
    iterations: int,
    command: Sequence[str],
    timeout_s: float,
    progress: Progress,
    profile: Profile = Profile.MINIMAL,
    ceilings: Mapping[str, Any] | None = None,
    tracer: str = Choice.AUTO,
) -> Capture:
    """Run a pair bare, then as `profile` says under a tracer and ncu, and publish the capture below `captures`.

    `tracer` is nsys, cupti or auto; `timeout_s` limits each run. What ncu lacks fails nothing: the manifest's `counters` say
    that FLOPs are declared only, and why. When a run ends with exit code 1 and a record, its outputs were invalid: the capture
    is published all the same, with the record that says so, and without a trace if the bare run was the one. Nothing is
    published when this raises.

    Raises:
        EnvironmentLacks: no tracer, no GPU (the pair's own message), no permission; or the clock is behind the newest capture.
        UsageError: the pair refuses the size or the number of iterations.
        AispError: the pair failed or ran too long; the message ends with the tail of its output.
    """
    plan = Plan(
        declaration, tuple(program), hardware_key, size, iterations, tuple(command), timeout_s, profile, ceilings
    )
    traced_by = None if profile is Profile.NONE else find_tracer(tracer)
    mark = new_mark()
    with writing(captures):
        newest = check_clock(captures, declaration.key)
        with scratch_folder(captures, mark) as work, open_gpu() as gpu:
            run = _Run(plan, traced_by, work, Sampler(gpu, mark), progress)
            run.measure()
            manifest = run.manifest()
            if newest is not None and manifest.created_utc <= newest.manifest.created_utc:
                progress(
                    f"the clock went back: {newest.id} still counts as newest; name this one, --capture {manifest.id}"
                )
            return publish(manifest, work, captures)


@contextlib.contextmanager
def writing(captures: Path) -> Iterator[None]:
    """Write a capture below `captures`, which is made where it is missing, and cleared of what was never finished.

    Raises:
        AispError: that, or anything written within, cannot be written there.
    """
    try:
        captures.mkdir(parents=True, exist_ok=True)
        remove_abandoned(captures)
        yield
    except OSError as error:
        raise AispError(
            f"the capture cannot be written to {captures}: {error}", "name another folder: --captures"
        ) from error


def check_folder(captures: Path) -> None:
    """Raises `AispError` if no capture could be written there: to know it before the GPU is used."""
    with writing(captures), scratch_folder(captures, new_mark()):
        pass


CLOCK_SLACK = timedelta(minutes=1)
"""How far a clock may be behind the newest capture: less is corrected by time servers every day."""


def check_clock(captures: Path, key: str) -> Capture | None:
    """The newest capture of a pair so far, before which a new one must not lie.

    Raises:
        EnvironmentLacks: it is of a later time than now: the clock jumped back, or was ahead when it was made.
    """
    newest = Store(captures, shipped=True).newest(key)  # without writing an index
    now = datetime.now(UTC)
    if newest is not None and newest.manifest.created_utc > utc(now + CLOCK_SLACK):
        raise EnvironmentLacks(
            f"the clock says {utc(now)}, and {newest.id} is of {newest.manifest.created_utc}: it would still count as the "
            "newest capture after this one",
            "set the clock, or capture into another folder: --captures",
        )
    return newest


def utc(time: datetime) -> str:
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass(slots=True)
class _Run:
    """A capture in the making; every file of it lies in `work`."""

    plan: Plan
    tracer: Tracer | None
    work: Path
    sampler: Sampler
    progress: Progress
    records: dict[str, Written] = field(default_factory=dict)
    before: Mapping[str, Any] | None = None
    counted: Counted | None = None
    traced_by: Mapping[str, str | None] = field(default_factory=lambda: {"nsys": None})

    def measure(self) -> None:
        self.before = self.sampler.now()
        key, tracer = self.plan.declaration.key, self.tracer
        self.progress(f"{key}: running without a tracer")
        if not self._untraced() or tracer is None:
            return
        self.progress(f"{key}: running under {tracer.title}")
        if self._traced(tracer) and self.plan.profile.counts:
            self.progress(f"{key}: counting under Nsight Compute")
            self._counted()

    def _untraced(self) -> bool:
        """Run the pair bare; False when its outputs are invalid, which a trace could not mend."""
        record = self.work / "untraced.json"
        code = self._sampled(self.plan.child_command(record))
        self.records["untraced"] = self._take_record(record, code)
        return code == 0

    def _traced(self, tracer: Tracer) -> bool:
        """Run the pair under a tracer and export its report; False when its outputs are invalid there."""
        record, report = self.work / "traced.json", tracer.report(self.work)
        code = self._sampled(tracer.command(report, self.plan.child_command(record)))
        failure = tracer.failure(report, code, tail(self._log))
        if failure is not None:  # asked first: a pair may have run well under an nsys that did not
            raise failure
        self.records["traced"] = self._take_record(record, code)
        self._export(tracer, report)
        return code == 0

    def _counted(self) -> None:
        """Run the pair under ncu. No conditions are sampled: its times are nobody's."""
        plan, record = self.plan, self.work / "counted.json"
        capability = (self.records["traced"].get("gpu") or {}).get("compute_capability") or ""
        deep = plan.profile is Profile.DEEP
        command = plan.counted_command(record)
        self.counted = collect(
            plan.declaration.key, plan.declaration.names, command, capability, self.work, self._watch, deep
        )
        remove_abandoned(self.work)  # a program that is ended while it writes its record
        if self.counted.reason:
            self.progress(f"nothing was counted, so FLOPs are declared only: {self.counted.reason}")
        if record.is_file():
            self.records["counted"] = _read_record(record, plan.declaration.key)
            record.unlink()

    def _export(self, tracer: Tracer, report: Path) -> None:
        self.progress("exporting the trace to SQLite")
        trace = self.work / TRACE
        self.traced_by = tracer.export(report, trace, self._watch)
        check_trace(trace)

    def _sampled(self, command: Sequence[str]) -> int:
        with self.sampler:
            return run_child(command, self._watch)

    @property
    def _watch(self) -> Watch:
        return Watch(self._log, self.plan.timeout_s, self.sampler.mark)

    @property
    def _log(self) -> Path:
        return self.work / LOG

    def _take_record(self, path: Path, code: int) -> Written:
        """The record that a child wrote, once it is clear that it ended in a way that a report can tell of."""
        if code == EnvironmentLacks.exit_code:
            raise EnvironmentLacks(tail(self._log, 1000), "aisp-prof doctor")
        key = self.plan.declaration.key
        if code == UsageError.exit_code:
            raise UsageError(f"{key} refused its arguments; its last output:\n{tail(self._log)}")
        if code not in (0, 1) or not path.is_file():
            raise AispError(f"{key} failed with exit code {code}; its last output:\n{tail(self._log)}")
        record = _read_record(path, key)
        path.unlink()
        _check_same_code(key, [*self.records.values(), record])
        return record

    def manifest(self) -> Manifest:
        now = datetime.now(UTC)
        plan, gpu = self.plan, self.sampler.gpu
        last = list(self.records.values())[-1]
        return Manifest.of(
            id=f"{plan.declaration.key}-{now:%Y%m%dT%H%M%SZ}-{self.sampler.mark[:6]}",
            created_utc=utc(now),
            declaration=plan.declaration.to_json(),
            hardware_key=plan.hardware_key,
            size=plan.size,
            sizes=dict(last.get("sizes") or plan.declaration.sizes.get(plan.size, {})),
            gpus=[] if gpu is None else [gpu.facts()],
            versions=_versions(last, gpu, self.traced_by, self.counted),
            command=list(plan.command),
            commit=checkout_commit(),
            conditions=self._conditions(),
            runs=self.records,
            files=folder_facts(self.work),
            profile=plan.profile.value,
            counters=None if self.counted is None else self.counted.to_json(),
            ceilings=plan.ceilings,
        )

    def _conditions(self) -> dict[str, Any] | None:
        if self.sampler.gpu is None:
            return None
        return {"before": self.before, "during": self.sampler.samples, "after": self.sampler.now()}


def _read_record(path: Path, key: str) -> Written:
    try:
        record = json.loads(path.read_bytes())
    except ValueError as error:
        raise AispError(f"{key} wrote a record that is not JSON: {error}") from error
    if not isinstance(record, dict) or record.get("pair") != key:
        raise AispError(f"{key} wrote the record of something else: {str(record)[:200]}")
    return record


def _check_same_code(key: str, records: Sequence[Written]) -> None:
    """Times of one run and the trace of another are of one program.

    Raises:
        AispError: a file of the pair was changed between two of its runs.
    """
    told: dict[str, str] = {}
    for source in (one for record in records for one in record.get("sources") or ()):
        if told.setdefault(source["file"], source["sha256"]) != source["sha256"]:
            raise AispError(f"{source['file']} was changed while {key} was captured", "capture it again")


def _versions(
    record: Written, gpu: Gpu | None, traced_by: Mapping[str, str | None], counted: Counted | None
) -> dict[str, str | None]:
    told = record.get("versions", {})
    versions = {name: told.get(name) for name in ("python", "torch", "triton", "nvtx", "cuda")}
    driver = None if gpu is None else gpu.facts()["driver"]
    profilers = {**traced_by, **({"ncu": counted.ncu} if counted else {})}
    return {**versions, "aisp_prof": __version__, "driver": driver or told.get("driver"), **profilers}


def check_trace(trace: Path) -> None:
    """Make sure that an export opens and holds GPU activity.

    Raises:
        AispError: it is no readable SQLite.
        EnvironmentLacks: not one operation of a GPU is in it.
    """
    try:
        with contextlib.closing(sqlite3.connect(f"{trace.absolute().as_uri()}?mode=ro", uri=True)) as database:
            names = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
            tables = by_plain_name(names)
            found = [quote(tables[table]) for table in TABLES if table in tables]
            active = any(database.execute(f"select 1 from {table} limit 1").fetchone() for table in found)
    except sqlite3.DatabaseError as error:
        raise AispError(f"nsys exported a file that is no readable SQLite ({error}): {trace.name}") from error
    if not active:
        raise EnvironmentLacks(
            "the trace holds not one GPU operation although it ran: CUPTI recorded nothing",
            "end other profilers on this GPU (ncu, DCGM profiling, a second nsys); make sure that this nsys is not older "
            "than the driver: aisp-prof doctor",
        )


def publish(manifest: Manifest, work: Path, captures: Path) -> Capture:
    """Write the manifest, bring everything to the disk, and make the folder visible in one step."""
    write_manifest(manifest, work)
    for path in (*work.iterdir(), work):
        settle(path)
    folder = captures / manifest.id
    work.rename(folder)
    settle(captures)
    return Capture(folder, manifest)
