"""The shape of a manifest, so that whoever reads it may rely on it: somebody else may have written it, or edited it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

Number = int | float
Scalar = str | int | float | bool | None
Text = dict[str, str]
Positive = Annotated[int, Meta(ge=1)] | Annotated[float, Meta(ge=1)]
Counted = Annotated[int, Meta(ge=0)] | Annotated[float, Meta(ge=0)]


class Variant(Struct):
    name: str
    caption: Text


class Declaration(Struct):
    """As `aisp_prof.declaration` reads it; what is missing it names."""

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


class Measured(Struct):
    """What was sampled of a GPU; each None where it could not be told."""

    other_processes: int | None = None
    throttle_reasons: list[str] | None = None
    sm_mhz: Number | None = None
    mem_mhz: Number | None = None
    power_w: Number | None = None
    temperature_c: Number | None = None


class Moment(Measured):
    """A sample before or after a run."""

    utc_ns: int | UnsetType = UNSET


class Sample(Measured, kw_only=True):
    """One of the samples during the runs, by which it is told what was sampled while an iteration ran."""

    utc_ns: int


class Conditions(Struct):
    before: Moment | None = None
    during: list[Sample] | None = None
    after: Moment | None = None


class Validation(Struct):
    valid: bool | UnsetType = UNSET
    bitwise: bool | None = None
    tolerance: Number | None = None
    max_relative_error: dict[str, Number | None] | None = None
    rejects: dict[str, bool] | None = None


class Iteration(Struct):
    variant: str
    event_ns: Positive
    index: int | UnsetType = UNSET


class Phase(Struct):
    h2d: Counted | UnsetType = UNSET
    d2h: Counted | UnsetType = UNSET
    dram: Counted | UnsetType = UNSET
    flops: dict[str, Counted] | UnsetType = UNSET
    launches: Counted | UnsetType = UNSET


class Declared(Struct):
    flops: Counted
    bytes: Counted
    ceiling: str | UnsetType = UNSET


class Record(Struct):
    """What the harness of a pair wrote of one run."""

    validation: Validation | None = None
    iterations: list[Iteration] | None = None
    versions: dict[str, str | None] | None = None
    sizes: dict[str, int] | None = None
    gpu: dict[str, Scalar] | None = None
    order: list[str] | None = None
    declared: dict[str, Declared] | None = None
    phases: dict[str, list[Phase]] | None = None


class Ceiling(Struct):
    name: str
    value: Positive
    work: Positive | UnsetType = UNSET
    times_ns: list[Positive] | UnsetType = UNSET
    unit: str | UnsetType = UNSET
    what: str | UnsetType = UNSET
    n: int | UnsetType = UNSET
    p5: Number | None = None
    p95: Number | None = None


class Calibrated(Struct):
    type: str
    counted: Number | None
    declared: Number | None
    ok: bool
    ratio: Number | None = None


class Calibration(Struct):
    rows: list[Calibrated] | UnsetType = UNSET
    ncu: str | None = None
    reason: str | None = None
    mend: str | None = None


class Ceilings(Struct):
    ceilings: list[Ceiling] | UnsetType = UNSET
    calibration: Calibration | None = None


class Counters(Struct):
    files: list[str]
    tier: str
    ncu: str | None = None
    reason: str | None = None
    mend: str | None = None
    sections: str | None = None
    sections_reason: str | None = None
    iterations: Counted | None = None


class Commit(Struct):
    sha: str | None = None
    dirty: bool | None = None


class ManifestShape(Struct):
    """The fields of a manifest but its schema. Unknown ones are free below the first level: other versions write more."""

    id: str
    created_utc: str
    declaration: Declaration
    hardware_key: str
    size: str
    sizes: dict[str, int]
    gpus: list[dict[str, Scalar]]
    versions: dict[str, str | None]
    command: list[str]
    commit: Commit | None
    conditions: Conditions | None
    runs: dict[str, Record]
    files: dict[str, Mapping[str, Any]]
    profile: str = "minimal"
    counters: Counters | None = None
    ceilings: Ceilings | None = None
