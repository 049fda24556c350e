"""The records of an expectation: a bound, what it rests on, and what it was before; as JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from ...errors import UsageError
from ..evidence import Verdict
from ..judging.verdicts import decided

SCHEMA = 1

TIERS = ("trace", "events", "counted")
"""Where a number comes from: the nsys trace, CUDA events of the bare run, or Nsight Compute's counters."""


NOISIEST = 0.25
"""The largest tolerance that gates anything, of shares half of it: a bound that lets a time double stops nothing."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What a value must lie between; None leaves a side open. Both sides alike ask for exactly one value."""

    low: float | None
    high: float | None

    def __post_init__(self) -> None:
        if self.low is None and self.high is None:
            raise UsageError("a bound has a lower or an upper end, or both")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise UsageError(f"a bound's lower end {self.low} lies above its upper end {self.high}")

    @property
    def kind(self) -> str:
        """min, max, range or exact."""
        if self.low is None or self.high is None:
            return "max" if self.low is None else "min"
        return "exact" if self.low == self.high else "range"

    def judged(self, low: float, high: float) -> Verdict:
        """An interval against it, as the claims' judge decides: PROVEN inside, REFUTED outside, UNPROVEN where it is both."""
        return decided(low, high, self._lets_through, [end for end in (self.low, self.high) if end is not None])

    def holds(self, low: float, high: float) -> bool:
        """Whether the whole interval lies inside."""
        return self.judged(low, high) is Verdict.PROVEN

    def _lets_through(self, value: float) -> bool:
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def weaker_than(self, other: Bound) -> bool:
        """Whether it lets anything through that the other one stops."""
        below = other.low is not None and (self.low is None or self.low < other.low)
        above = other.high is not None and (self.high is None or self.high > other.high)
        return below or above

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "low": self.low, "high": self.high}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str) -> Self:
        try:
            bound = cls(data.get("low"), data.get("high"))
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from error
        if data.get("kind") != bound.kind:
            raise UsageError(f"{where}: the bound calls itself {data.get('kind')!r} and is {bound.kind!r}")
        return bound


@dataclass(frozen=True, slots=True)
class Measurement:
    """A number in one capture.

    value, low, high   median of the iterations and its 95 % interval; of counts the lowest and the highest iteration
    n                  iterations; of a speedup those of the variant with fewer
    noise_floor        how far the same runs against themselves lie from 1; None where that means nothing, as for a count
    """

    capture: str
    value: float
    low: float
    high: float
    n: int
    noise_floor: float | None = None

    def widened(self) -> tuple[float, float]:
        """The interval, each end moved by the noise floor."""
        noise = 1 + (self.noise_floor or 0)
        return self.low / noise, self.high * noise

    def to_json(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True, slots=True)
class Former:
    """What an entry was until it was changed, and why it was."""

    until: str
    because: str
    value: float
    bound: Bound
    tolerance: float | None
    captures: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**plain, "bound": self.bound.to_json(), "captures": list(self.captures)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str) -> Self:
        bound = Bound.from_json(data["bound"], where)
        return cls(**{**data, "bound": bound, "captures": tuple(data["captures"])})


@dataclass(frozen=True, slots=True)
class Entry:
    """One number of a variant that is gated.

    variant      "" for a speedup, whose two variants the metric names
    tier         one of TIERS
    better       "less", "more", or "" where any change is a departure
    claim        the pair's claim that it belongs to; "" for what is gated of every pair
    value        the median over the captures it rests on; of times as they were measured
    normalised   the same at `at_mhz`, the median SM clock of those captures: time × clock / at_mhz; None without clocks
    tolerance    how far the bound lies from the value: a share of it, of ratios a difference; None: the bound is no such
    measured     each capture's own measurement: nothing is averaged away
    since, reason   when and why the entry became what it is
    """

    variant: str
    metric: str
    tier: str
    unit: str
    better: str
    claim: str
    value: float
    normalised: float | None
    at_mhz: float | None
    bound: Bound
    tolerance: float | None
    measured: tuple[Measurement, ...]
    since: str
    reason: str
    history: tuple[Former, ...] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        return self.variant, self.metric, self.tier

    @property
    def name(self) -> str:
        """`optimized.iteration`; a speedup's is its metric alone."""
        return f"{self.variant}.{self.metric}" if self.variant else self.metric

    @property
    def too_noisy(self) -> str:
        """Why its bound gates nothing; "" where it does."""
        most = NOISIEST / 2 if self.unit == "ratio" else NOISIEST
        if self.tolerance is None or self.tolerance <= most:
            return ""
        return f"too noisy to gate: its captures ask for a tolerance of {self.tolerance:.0%}, more than {100 * most:g}%"

    @property
    def n(self) -> int:
        """Iterations of all its captures together."""
        return sum(one.n for one in self.measured)

    @property
    def captures(self) -> tuple[str, ...]:
        return tuple(one.capture for one in self.measured)

    def to_json(self) -> dict[str, Any]:
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            **plain,
            "bound": self.bound.to_json(),
            "n": self.n,
            "captures": len(self.measured),
            "measured": [one.to_json() for one in self.measured],
            "history": [one.to_json() for one in self.history],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str) -> Self:
        where = f"{where}: {data.get('variant')}.{data.get('metric')}"
        values = {name: value for name, value in data.items() if name not in ("n", "captures")}
        values["bound"] = Bound.from_json(data["bound"], where)
        values["measured"] = tuple(Measurement(**one) for one in data["measured"])
        values["history"] = tuple(Former.from_json(one, where) for one in data["history"])
        entry = cls(**values)
        if (entry.n, len(entry.measured)) != (data.get("n"), data.get("captures")) or not entry.measured:
            raise UsageError(f"{where}: n and captures contradict the measurements beside them")
        if entry.tier not in TIERS:
            raise UsageError(f"{where}: no tier is called {entry.tier!r}", f"there are: {', '.join(TIERS)}")
        return entry


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A regression of one number that somebody accepted, until it is mended.

    expected      the bound that it misses; of an entry with another bound nothing is accepted
    bound         what may pass meanwhile
    capture       the one that showed it, made at `created_utc`, and `value` what it showed
    since         the day on which it was accepted
    """

    variant: str
    metric: str
    tier: str
    unit: str
    expected: Bound
    bound: Bound
    capture: str
    created_utc: str
    value: float
    since: str
    by: str
    reason: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.variant, self.metric, self.tier

    @property
    def name(self) -> str:
        return f"{self.variant}.{self.metric}" if self.variant else self.metric

    def to_json(self) -> dict[str, Any]:
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**plain, "expected": self.expected.to_json(), "bound": self.bound.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str) -> Self:
        bounds = {name: Bound.from_json(data[name], where) for name in ("expected", "bound")}
        return cls(**{**data, **bounds})


@dataclass(frozen=True, slots=True)
class Context:
    """What must be alike before two captures of a pair may be compared at all.

    driver   the branch, "580" of 580.159.04: what a driver does to a time changes with its branch
    size     the size's key, with its numbers in `sizes`
    """

    gpu: str
    gpus_used: int
    mig: bool | None
    driver: str | None
    size: str
    sizes: Mapping[str, int]
    attribution: str
    queued: bool

    def differences(self, other: Context) -> tuple[str, ...]:
        """In which respect the other one differs, as "driver: 580 expected, 570 here"; empty where in none."""
        pairs = ((field.name, getattr(self, field.name), getattr(other, field.name)) for field in fields(self))
        return tuple(
            f"{_SAID.get(name, name)}: {_said(mine)} expected, {_said(theirs)} here"
            for name, mine, theirs in pairs
            if mine != theirs
        )

    def to_json(self) -> dict[str, Any]:
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**plain, "sizes": dict(self.sizes)}


_SAID = {"gpu": "hardware", "gpus_used": "GPUs used", "mig": "MIG", "driver": "driver branch"}


def _said(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {number}" for name, number in sorted(value.items()))
    return "not known" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class Source:
    """Where numbers come from: one capture. `conditions` are the lowest and highest during its measured runs, `sm_mhz` the
    median SM clock of these."""

    capture: str
    trace_sha256: str | None
    created_utc: str
    commit: Mapping[str, Any] | None
    driver: str | None
    versions: Mapping[str, str | None]
    profile: str
    conditions: Mapping[str, tuple[float, float]]
    sm_mhz: float | None

    def to_json(self) -> dict[str, Any]:
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        conditions = {name: list(ends) for name, ends in self.conditions.items()}
        commit = None if self.commit is None else dict(self.commit)
        return {**plain, "commit": commit, "versions": dict(self.versions), "conditions": conditions}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        conditions = {name: (float(low), float(high)) for name, (low, high) in data["conditions"].items()}
        return cls(**{**data, "conditions": conditions})


@dataclass(frozen=True, slots=True)
class PairExpectations:
    """What one pair must show on one hardware: its entries, and the captures that these, or former ones, rest on.

    `retired` are entries that nothing is held against any more, kept for their history; `accepted` regressions that fail
    nothing while they last.
    """

    pair: str
    context: Context
    sources: tuple[Source, ...]
    entries: tuple[Entry, ...]
    retired: tuple[Entry, ...] = ()
    accepted: tuple[Acceptance, ...] = ()

    def acceptance(self, entry: Entry) -> Acceptance | None:
        """What was accepted of an entry, while its bound is the one that was missed."""
        return next((one for one in self.accepted if one.key == entry.key and one.expected == entry.bound), None)

    def entry(self, key: tuple[str, str, str]) -> Entry | None:
        return next((entry for entry in self.entries if entry.key == key), None)

    @property
    def captures(self) -> set[str]:
        """The captures that the entries of today rest on."""
        return {capture for entry in self.entries for capture in entry.captures}

    def to_json(self) -> dict[str, Any]:
        return {
            "context": self.context.to_json(),
            "sources": [source.to_json() for source in self.sources],
            "entries": [entry.to_json() for entry in self.entries],
            "retired": [entry.to_json() for entry in self.retired],
            **({"accepted": [one.to_json() for one in self.accepted]} if self.accepted else {}),
        }

    @classmethod
    def from_json(cls, pair: str, data: Any, where: str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            UsageError: a field is missing, unknown or contradicts another, two entries are of one number, or an entry
                rests on a capture that is not described.
        """
        where = f"{where}: {pair}"
        try:
            context = Context(**data["context"])
            sources = tuple(Source.from_json(one) for one in data["sources"])
            entries, retired = (tuple(Entry.from_json(e, where) for e in data[part]) for part in ("entries", "retired"))
            accepted = tuple(Acceptance.from_json(one, where) for one in data.get("accepted", ()))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{where}: damaged: {error}") from error
        found = cls(pair, context, sources, entries, retired, accepted)
        if lost := sorted(found.captures - {source.capture for source in sources}):
            raise UsageError(f"{where}: nothing is said of the captures {', '.join(lost)}")
        if len({entry.key for entry in entries}) < len(entries):
            raise UsageError(f"{where}: two entries are of the same number")
        return found
