"""The records of an expectation: a bound, what it rests on, and what it was before. Their fields are those of the JSON.

A file of them may come with a bundle or a pull request, and is untrusted. What contradicts itself can neither be read nor built.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

from msgspec import Struct, to_builtins
from msgspec.structs import fields

from ...machine.records import Contradiction
from ..evidence import Verdict
from ..judging.verdicts import decided
from ..manifest import Commit, Number

SCHEMA = 1

TIERS = ("trace", "events", "counted")
"""Where a number comes from: the nsys trace, CUDA events of the bare run, or Nsight Compute's counters."""


NOISIEST = 0.25
"""The largest tolerance that gates anything, of shares half of it: a bound that lets a time double stops nothing."""


class Exact(Struct, frozen=True, forbid_unknown_fields=True):
    """A record without further fields: in a bundle they would stand there unread, and be taken for verified."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        plain: dict[str, Any] = to_builtins(self)
        return plain


class Bound(Exact, frozen=True):
    """What a value must lie between; None leaves a side open. Both sides alike ask for exactly one value.

    `kind` is min, max, range or exact; `Bound.of` knows which.
    """

    kind: str
    low: Number | None = None
    high: Number | None = None

    def __post_init__(self) -> None:
        if self.low is None and self.high is None:
            raise Contradiction("a bound has a lower or an upper end, or both")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise Contradiction(f"a bound's lower end {self.low} lies above its upper end {self.high}")
        if self.kind != (kind := _kind(self.low, self.high)):
            raise Contradiction(f"the bound calls itself {self.kind!r} and is {kind!r}")

    @classmethod
    def of(cls, low: float | None, high: float | None) -> Self:
        return cls(_kind(low, high), low, high)

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


def _kind(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "max" if low is None else "min"
    return "exact" if low == high else "range"


class Measurement(Exact, frozen=True):
    """A number in one capture.

    value, low, high   median of the iterations and its 95 % interval; of counts the lowest and the highest iteration
    n                  iterations; of a speedup those of the variant with fewer
    noise_floor        how far the same runs against themselves lie from 1; None where that means nothing, as for a count
    """

    capture: str
    value: Number
    low: Number
    high: Number
    n: int
    noise_floor: Number | None = None

    def widened(self) -> tuple[float, float]:
        """The interval, each end moved by the noise floor."""
        noise = 1 + (self.noise_floor or 0)
        return self.low / noise, self.high * noise


class Former(Exact, frozen=True):
    """What an entry was until it was changed, and why it was."""

    until: str
    because: str
    value: Number
    bound: Bound
    tolerance: Number | None
    captures: tuple[str, ...]


class Entry(Exact, frozen=True):
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
    n, captures  iterations, and how many captures, of all of `measured` together
    """

    variant: str
    metric: str
    tier: str
    unit: str
    better: str
    claim: str
    value: Number
    normalised: Number | None
    at_mhz: Number | None
    bound: Bound
    tolerance: Number | None
    measured: tuple[Measurement, ...]
    since: str
    reason: str
    history: tuple[Former, ...]
    n: int
    captures: int

    def __post_init__(self) -> None:
        if (counted(self.measured), len(self.measured)) != (self.n, self.captures) or not self.measured:
            raise Contradiction(f"{self.name}: n and captures contradict the measurements beside them")
        if self.tier not in TIERS:
            raise Contradiction(f"{self.name}: no tier is called {self.tier!r}; there are: {', '.join(TIERS)}")

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
    def rests_on(self) -> tuple[str, ...]:
        """Its captures."""
        return tuple(one.capture for one in self.measured)


def counted(measured: Iterable[Measurement]) -> int:
    """Iterations of all captures together."""
    return sum(one.n for one in measured)


class Acceptance(Exact, frozen=True):
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
    value: Number
    since: str
    by: str
    reason: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.variant, self.metric, self.tier

    @property
    def name(self) -> str:
        return f"{self.variant}.{self.metric}" if self.variant else self.metric


class Context(Exact, frozen=True):
    """What must be alike before two captures of a pair may be compared at all.

    driver   the branch, "580" of 580.159.04: what a driver does to a time changes with its branch
    size     the size's key, with its numbers in `sizes`
    """

    gpu: str
    gpus_used: int
    mig: bool | None
    driver: str | None
    size: str
    sizes: dict[str, int]
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


_SAID = {"gpu": "hardware", "gpus_used": "GPUs used", "mig": "MIG", "driver": "driver branch"}


def _said(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {number}" for name, number in sorted(value.items()))
    return "not known" if value is None else str(value)


class Source(Exact, frozen=True):
    """Where numbers come from: one capture. `conditions` are the lowest and highest during its measured runs, `sm_mhz` the
    median SM clock of these."""

    capture: str
    trace_sha256: str | None
    created_utc: str
    commit: Commit | None
    driver: str | None
    versions: dict[str, str | None]
    profile: str
    conditions: dict[str, tuple[float, float]]
    sm_mhz: Number | None

    @property
    def sha(self) -> str | None:
        """Of the commit; None where it is not known."""
        return (self.commit.sha or None) if self.commit else None


class PairExpectations(Exact, frozen=True, omit_defaults=True):
    """What one pair must show on one hardware: its entries, and the captures that these, or former ones, rest on.

    `retired` are entries that nothing is held against any more, kept for their history; `accepted` regressions that fail
    nothing while they last.
    """

    context: Context
    sources: tuple[Source, ...]
    entries: tuple[Entry, ...]
    retired: tuple[Entry, ...]
    accepted: tuple[Acceptance, ...] = ()

    def __post_init__(self) -> None:
        if lost := sorted(self.captures - {source.capture for source in self.sources}):
            raise Contradiction(f"nothing is said of the captures {', '.join(lost)}")
        if len({entry.key for entry in self.entries}) < len(self.entries):
            raise Contradiction("two entries are of the same number")

    def acceptance(self, entry: Entry) -> Acceptance | None:
        """What was accepted of an entry, while its bound is the one that was missed."""
        return next((one for one in self.accepted if one.key == entry.key and one.expected == entry.bound), None)

    def entry(self, key: tuple[str, str, str]) -> Entry | None:
        return next((entry for entry in self.entries if entry.key == key), None)

    @property
    def captures(self) -> set[str]:
        """The captures that the entries of today rest on."""
        return {capture for entry in self.entries for capture in entry.rests_on}
