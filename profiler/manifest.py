"""The records of a capture's manifest: everything about it that the trace does not say. Whoever reads one may rely on their shape,
though somebody else may have written it, or edited it.

Below the first level unknown fields are free, as other versions write more: they stay in `Manifest.as_written` alone.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from msgspec import UNSET, Meta, Struct, UnsetType

from ..declaration import Declaration
from ..errors import UsageError
from ..machine.records import Contradiction, convert

SCHEMA = 1
FILE_NAME = "manifest.json"
RUNS = ("untraced", "traced", "counted")

Number = int | float
Scalar = str | int | float | bool | None
Text = dict[str, str]
Positive = Annotated[int, Meta(ge=1)] | Annotated[float, Meta(ge=1)]
Counted = Annotated[int, Meta(ge=0)] | Annotated[float, Meta(ge=0)]
Facts = dict[str, Scalar]
"""Of a GPU, by the names of conditions.Gpu.facts; which of them a machine knows differs."""


class Variant(Struct, frozen=True):
    name: str
    caption: Text


class DeclarationShape(Struct, frozen=True):
    """The types of what `aisp_prof.declaration` reads; what is missing it names."""

    chapter: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    attribution: str | UnsetType = UNSET
    topic: Text | UnsetType = UNSET
    title: Text | UnsetType = UNSET
    sentence: Text | UnsetType = UNSET
    compares: Text | UnsetType = UNSET
    variants: list[Variant] | dict[str, Text] | UnsetType = UNSET  # an object in the first captures
    claims: list[str] | UnsetType = UNSET
    needs: list[str] | UnsetType = UNSET
    sizes: dict[str, dict[str, int]] | UnsetType = UNSET
    tolerance: Number | UnsetType = UNSET
    perturbation_band: Number | UnsetType = UNSET
    bitwise: bool | UnsetType = UNSET
    queued: bool | UnsetType = UNSET


class Measured(Struct, frozen=True):
    """What was sampled of a GPU; each None where it could not be told."""

    other_processes: int | None = None
    throttle_reasons: list[str] | None = None
    sm_mhz: Number | None = None
    mem_mhz: Number | None = None
    power_w: Number | None = None
    temperature_c: Number | None = None


class Moment(Measured, frozen=True):
    """A sample before or after a run."""

    utc_ns: int | UnsetType = UNSET


class Sample(Measured, frozen=True, kw_only=True):
    """One of the samples during the runs, by which it is told what was sampled while an iteration ran."""

    utc_ns: int


class Conditions(Struct, frozen=True):
    before: Moment | None = None
    during: list[Sample] | None = None
    after: Moment | None = None


class Validation(Struct, frozen=True):
    valid: bool | UnsetType = UNSET
    bitwise: bool | None = None
    tolerance: Number | None = None
    max_relative_error: dict[str, Number | None] | None = None
    rejects: dict[str, bool] | None = None


class Iteration(Struct, frozen=True):
    """One measured iteration; `event_ns` is between the harness's two CUDA events."""

    variant: str
    event_ns: Positive
    index: int | UnsetType = UNSET

    @property
    def place(self) -> int | None:
        """Its number within its variant, where it bears one."""
        return None if self.index is UNSET else self.index


class Phase(Struct, frozen=True):
    """A part of an iteration's work, all of which may run side by side (docs/metrics.md, "The floor")."""

    h2d: Counted | UnsetType = UNSET
    d2h: Counted | UnsetType = UNSET
    dram: Counted | UnsetType = UNSET
    flops: dict[str, Counted] | UnsetType = UNSET
    launches: Counted | UnsetType = UNSET


class Work(Struct, frozen=True):
    """What an iteration needs by the pair's formulas."""

    flops: Counted
    bytes: Counted
    ceiling: str | UnsetType = UNSET


class MachineCode(Struct, frozen=True):
    """What a compiler made of a variant's kernel."""

    compiler: str
    warps: int
    sha256: str
    instructions: dict[str, int]


class Chosen(Struct, frozen=True):
    """The algorithm that a library ran for a variant, in its own words."""

    algorithm: int
    tile: str
    stages: str
    cluster: str
    workspace: int
    rank: int
    candidates: int


class Source(Struct, frozen=True):
    """A file that a pair outside this package was made of, by its name below its project's root."""

    file: str
    sha256: str


class Record(Struct, frozen=True):
    """What the harness of a pair wrote of one run. `pair` and `size` are of any type: they are held against the capture's own."""

    validation: Validation | None = None
    iterations: list[Iteration] | None = None
    versions: dict[str, str | None] | None = None
    sizes: dict[str, int] | None = None
    gpu: Facts | None = None
    order: list[str] | None = None
    declared: dict[str, Work] | None = None
    phases: dict[str, list[Phase]] | None = None
    code: dict[str, MachineCode] | None = None
    chosen: dict[str, Chosen] | None = None
    sources: list[Source] | None = None
    pair: Any = None
    size: Any = None


class Ceiling(Struct, frozen=True):
    name: str
    value: Positive
    work: Positive | UnsetType = UNSET
    times_ns: list[Positive] | UnsetType = UNSET
    unit: str | UnsetType = UNSET
    what: str | UnsetType = UNSET
    n: int | UnsetType = UNSET
    p5: Number | None = None
    p95: Number | None = None


class Calibrated(Struct, frozen=True):
    type: str
    counted: Number | None
    declared: Number | None
    ok: bool
    ratio: Number | None = None


class Calibration(Struct, frozen=True):
    rows: list[Calibrated] | UnsetType = UNSET
    ncu: str | None = None
    reason: str | None = None
    mend: str | None = None


class Ceilings(Struct, frozen=True):
    ceilings: list[Ceiling] | UnsetType = UNSET
    calibration: Calibration | None = None


class Counters(Struct, frozen=True):
    """What became of counting, as `capture.counting.Counted` says."""

    files: list[str]
    tier: str
    ncu: str | None = None
    reason: str | None = None
    mend: str | None = None
    sections: str | None = None
    sections_reason: str | None = None
    iterations: Counted | None = None

    @property
    def csv(self) -> str | None:
        """The file of ncu's raw page, if one is left."""
        return next((name for name in self.files if name.endswith(".csv")), None)


class Commit(Struct, frozen=True):
    """Of the aisp-prof checkout that captured."""

    sha: str | UnsetType | None = UNSET
    dirty: bool | UnsetType | None = UNSET


class File(Struct, frozen=True, forbid_unknown_fields=True):
    """Of a file of the capture; `bytes` is its size."""

    sha256: str
    bytes: int

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(self.sha256):
            raise Contradiction("sha256 is no SHA-256 in hexadecimal")


class Ran(Struct, frozen=True, forbid_unknown_fields=True):
    """One run of a program from its start to its end, on the wall clock."""

    variant: str
    began_utc_ns: int
    ended_utc_ns: int

    def __post_init__(self) -> None:
        if not 0 < self.began_utc_ns < self.ended_utc_ns:
            raise Contradiction("a run ends after it began")

    @property
    def wall_ns(self) -> int:
        return self.ended_utc_ns - self.began_utc_ns


ONE_TRACE, TWO_TRACES, PROGRAM = "trace", "traces", "program"
ALL = "all"
"""Stands for every variant where one trace holds them."""


class Origin(Struct, frozen=True, forbid_unknown_fields=True):
    """Of a capture that is no harness's: whose measured iterations are ranges that somebody named. Nothing compared the outputs.

    kind         "trace": one that somebody had. "traces": two of these, one a variant. "program": of programs that were run here
    ranges       variant -> the name, path or glob of its ranges, each instance of which is an iteration
    domain       of the ranges, or a glob; None for all
    sources      variant -> the SHA-256 of the trace as it was given, before anything of it was left out; "all" for all
    drivers      likewise -> the version of the NVIDIA driver, which what may be published of a trace does not hold
    clocks       likewise -> the median of the SM clock in MHz while it ran, where a capture's manifest lay beside the trace
    commands     of programs: variant -> what was run
    environment  the names of the variables that they were given, never a value
    traced, bare their runs under the tracer, and those without it, in order
    """

    kind: str
    ranges: dict[str, str]
    domain: str | None = None
    sources: dict[str, str] = {}
    drivers: dict[str, str] = {}
    clocks: dict[str, Positive] = {}
    commands: dict[str, list[str]] = {}
    environment: list[str] = []
    traced: list[Ran] = []
    bare: list[Ran] = []

    def __post_init__(self) -> None:
        if self.kind not in (ONE_TRACE, TWO_TRACES, PROGRAM):
            raise Contradiction(f"no origin is of the kind {self.kind[:40]!r}")

    @property
    def chapter(self) -> str:
        """The first half of the capture's key: no pair may be called so."""
        return PROGRAM if self.kind == PROGRAM else ONE_TRACE

    @property
    def apart(self) -> bool:
        """Whether the variants ran in sessions of their own, between which nobody knows what else changed."""
        return self.kind == TWO_TRACES

    @property
    def in_turn(self) -> bool:
        """Whether programs of several variants were run here in an order that was made."""
        return len({one.variant for one in self.traced}) > 1


class Manifest(Struct, frozen=True):
    """A capture's description.

    created_utc   ISO 8601 with microseconds and Z: captures sort by it
    hardware_key  "h200", …: which sizes and expectations apply
    gpus          empty without NVML
    versions      aisp_prof, python, torch, triton, nvtx, cuda, driver, nsys, ncu; None where not known
    command       as the user typed it
    commit        None where it is no checkout
    conditions    None without NVML
    runs          "untraced", "traced" (under nsys), "counted" (under ncu); absent are those that the profile does not have, and
                  all after the one whose outputs were invalid
    files         every file of the folder but the manifest, by its name
    profile       what the capture was asked to hold: "none", "minimal", "roofline", "deep"
    counters      None where counting was not asked for
    ceilings      what `aisp-prof calibrate` measured before the capture (docs/json.md); None where it was not asked for
    origin        None of a pair, which its harness ran; else what the measured iterations are (docs/own.md)
    as_written    the JSON object but its declaration, with what other versions write: it is written again, and not to be changed
    """

    id: str
    created_utc: str
    declaration: Declaration
    hardware_key: str
    size: str
    sizes: dict[str, int]
    gpus: tuple[Facts, ...]
    versions: dict[str, str | None]
    command: tuple[str, ...]
    commit: Commit | None
    conditions: Conditions | None
    runs: dict[str, Record]
    files: dict[str, File]
    as_written: dict[str, Any]
    profile: str = "minimal"
    counters: Counters | None = None
    ceilings: Ceilings | None = None
    origin: Origin | None = None

    @property
    def pair(self) -> str:
        return self.declaration.key

    @property
    def during(self) -> list[Sample]:
        """The samples of conditions during the runs."""
        return (self.conditions.during or []) if self.conditions else []

    @property
    def sources(self) -> dict[str, str]:
        """File -> hash of what a pair outside this package was made of in any of its runs; empty for a chapter's."""
        return {one.file: one.sha256 for run in self.runs.values() for one in run.sources or ()}

    def iterations(self, run: str) -> list[Iteration]:
        """Those of one run, in the order in which they were measured."""
        return (self.runs[run].iterations or []) if run in self.runs else []

    def __deepcopy__(self, _: Any) -> Self:
        return self  # nothing of it changes, and copying it takes longer than reading it

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, which the manifest shares: they are not to be changed."""
        values = {name: self.as_written.get(name, default) for name, default in _FIELDS.items()}
        if values[ORIGIN] is None:
            del values[ORIGIN]  # manifests of pairs are written as before there were others
        return {"schema": SCHEMA, **values, "declaration": self.declaration.to_json()}

    def changed(self, **values: Any) -> Self:
        """With other fields, as plain JSON types.

        Raises:
            UsageError: as `from_json`.
        """
        return self.from_json({**self.to_json(), **values})

    @classmethod
    def of(cls, **values: Any) -> Self:
        """Of all its fields, as plain JSON types.

        Raises:
            UsageError: as `from_json`.
        """
        return cls.from_json({"schema": SCHEMA, **values})

    @classmethod
    def from_json(cls, data: Any, where: str = "manifest") -> Self:
        """Read what `to_json` wrote; `where` names the source in messages.

        Raises:
            UsageError: no object, another schema, a field missing, unknown or of a wrong type.
        """
        values = _checked(data, where)
        convert(values["declaration"], DeclarationShape, f"{where}.declaration")
        try:
            declaration = Declaration.from_json(values["declaration"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{where}: the declaration is damaged: {error}") from error
        written = {name: value for name, value in values.items() if name != "declaration"}
        found = convert({**values, "declaration": declaration, "as_written": written}, cls, where)
        if odd := set(found.runs) - set(RUNS):
            raise UsageError(f"{where}: unknown run: {', '.join(sorted(odd))}")
        _check_names(found, where)
        _check_origin(found, where)
        return found


ORIGIN = "origin"
_LATER = {"profile": "minimal", "counters": None, "ceilings": None, ORIGIN: None}
"""Fields that manifests of the first captures do not have."""
_FIELDS = {name: _LATER.get(name) for name in Manifest.__struct_fields__ if name != "as_written"}


def _checked(data: Any, where: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise UsageError(f"{where}: not a manifest: no JSON object")
    if data.get("schema") != SCHEMA:
        raise UsageError(
            f"{where}: manifest schema {data.get('schema')!r}; this version reads {SCHEMA}", "upgrade aisp-prof"
        )
    values = {name: value for name, value in data.items() if name != "schema"}
    if odd := (values.keys() | _LATER.keys()) ^ _FIELDS.keys():
        raise UsageError(f"{where}: missing or unknown fields: {', '.join(sorted(odd))}")
    return values


_PLAIN_NAME = re.compile(r"[A-Za-z0-9][\w.+-]{0,254}", re.ASCII)
_TIME = re.compile(r"[12]\d{3}(?:-\d\d(?:-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?Z)?)?)?", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")


def _check_names(found: Manifest, where: str) -> None:
    """Ids and names of files are parts of paths, and must lead nowhere else."""
    for field in ("id", "hardware_key", "size"):
        if not _PLAIN_NAME.fullmatch(getattr(found, field)):
            raise UsageError(f"{where}: field {field} is no plain name: {getattr(found, field)[:80]!r}")
    if not _TIME.fullmatch(found.created_utc):
        raise UsageError(f"{where}: field created_utc is no time in UTC: {found.created_utc[:80]!r}")
    for name in found.files:
        if not _PLAIN_NAME.fullmatch(name) or name == FILE_NAME:
            raise UsageError(f"{where}: no file of a capture is called {name[:80]!r}")
    if found.counters and not set(found.counters.files) <= found.files.keys():
        raise UsageError(f"{where}: counters name a file that the capture does not hold")


def _check_origin(found: Manifest, where: str) -> None:
    """A pair's key is that of a harness which compared outputs: ranges that somebody named may not stand under it."""
    origin, declaration = found.origin, found.declaration
    if origin is None:
        return
    if declaration.chapter != origin.chapter:
        raise UsageError(f"{where}: of a {origin.kind} the chapter is {origin.chapter!r}, not {declaration.chapter!r}")
    if origin.ranges and set(origin.ranges) != set(declaration.names):
        raise UsageError(f"{where}: ranges are named of {sorted(origin.ranges)}, the variants are {declaration.names}")
    if odd := {one.variant for one in (*origin.traced, *origin.bare)} - {*declaration.names, ALL}:
        raise UsageError(f"{where}: runs of no variant: {', '.join(sorted(odd))}")
