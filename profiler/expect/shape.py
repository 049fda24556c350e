"""The shape of expectations: a file of them may come with a bundle or a pull request, and is untrusted."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from ..store.shape import Commit, Number


class Exact(Struct, forbid_unknown_fields=True):
    """A record without further fields: in a bundle they would stand there unread, and be taken for verified."""


class BoundShape(Exact):
    kind: str | UnsetType = UNSET
    low: Number | None = None
    high: Number | None = None


class MeasuredShape(Exact):
    capture: str | UnsetType = UNSET
    value: Number | UnsetType = UNSET
    low: Number | UnsetType = UNSET
    high: Number | UnsetType = UNSET
    n: int | UnsetType = UNSET
    noise_floor: Number | None = None


class FormerShape(Exact):
    until: str | UnsetType = UNSET
    because: str | UnsetType = UNSET
    value: Number | UnsetType = UNSET
    bound: BoundShape | UnsetType = UNSET
    tolerance: Number | None = None
    captures: list[str] | UnsetType = UNSET


class EntryShape(Exact):
    variant: str | UnsetType = UNSET
    metric: str | UnsetType = UNSET
    tier: str | UnsetType = UNSET
    unit: str | UnsetType = UNSET
    better: str | UnsetType = UNSET
    claim: str | UnsetType = UNSET
    since: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    normalised: Number | None = None
    at_mhz: Number | None = None
    tolerance: Number | None = None
    value: Number | UnsetType = UNSET
    bound: BoundShape | UnsetType = UNSET
    n: int | UnsetType = UNSET
    captures: int | UnsetType = UNSET
    measured: list[MeasuredShape] | UnsetType = UNSET
    history: list[FormerShape] | UnsetType = UNSET


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
    capture: str | UnsetType = UNSET
    created_utc: str | UnsetType = UNSET
    profile: str | UnsetType = UNSET
    trace_sha256: str | None = None
    driver: str | None = None
    commit: Commit | None = None
    versions: dict[str, str | None] | UnsetType = UNSET
    conditions: dict[str, list[Number]] | UnsetType = UNSET
    sm_mhz: Number | None = None


class ContextShape(Exact):
    gpu: str | UnsetType = UNSET
    size: str | UnsetType = UNSET
    attribution: str | UnsetType = UNSET
    driver: str | None = None
    gpus_used: int | UnsetType = UNSET
    mig: bool | None = None
    sizes: dict[str, int] | UnsetType = UNSET
    queued: bool | UnsetType = UNSET


class PairShape(Exact):
    context: ContextShape | UnsetType = UNSET
    sources: list[SourceShape] | UnsetType = UNSET
    entries: list[EntryShape] | UnsetType = UNSET
    retired: list[EntryShape] | UnsetType = UNSET
    accepted: list[AcceptedShape] | UnsetType = UNSET
