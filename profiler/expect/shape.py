"""The shape of expectations: a file of them may come with a bundle or a pull request, and is untrusted."""

from __future__ import annotations

from msgspec import Struct

from ..store.shape import Commit, Number


class Exact(Struct, forbid_unknown_fields=True):
    """A record without further fields: in a bundle they would stand there unread, and be taken for verified."""


class BoundShape(Exact):
    kind: str
    low: Number | None = None
    high: Number | None = None


class MeasuredShape(Exact):
    capture: str
    value: Number
    low: Number
    high: Number
    n: int
    noise_floor: Number | None = None


class FormerShape(Exact):
    until: str
    because: str
    value: Number
    bound: BoundShape
    tolerance: Number | None
    captures: list[str]


class EntryShape(Exact):
    variant: str
    metric: str
    tier: str
    unit: str
    better: str
    claim: str
    since: str
    reason: str
    normalised: Number | None
    at_mhz: Number | None
    tolerance: Number | None
    value: Number
    bound: BoundShape
    n: int
    captures: int
    measured: list[MeasuredShape]
    history: list[FormerShape]


class AcceptedShape(Exact):
    variant: str
    metric: str
    tier: str
    unit: str
    capture: str
    created_utc: str
    since: str
    by: str
    reason: str
    value: Number
    expected: BoundShape
    bound: BoundShape


class SourceShape(Exact):
    capture: str
    created_utc: str
    profile: str
    trace_sha256: str | None
    driver: str | None
    commit: Commit | None
    versions: dict[str, str | None]
    conditions: dict[str, list[Number]]
    sm_mhz: Number | None


class ContextShape(Exact):
    gpu: str
    size: str
    attribution: str
    driver: str | None
    gpus_used: int
    mig: bool | None
    sizes: dict[str, int]
    queued: bool


class PairShape(Exact):
    context: ContextShape
    sources: list[SourceShape]
    entries: list[EntryShape]
    retired: list[EntryShape]
    accepted: list[AcceptedShape] = []
