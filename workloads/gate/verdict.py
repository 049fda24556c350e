"""What the gate says of a candidate: admitted, refused or not to be told, with the reason and all that was found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import comb
from statistics import median
from typing import Any, Literal

from ...declaration import VARIANTS

Status = Literal["admitted", "refused", "unknown"]

EXIT_CODES = {"admitted": 0, "refused": 1, "unknown": 4}
CONFIDENCE = 0.95
MIN_ROUNDS = 6
"""Of fewer rounds no order statistics bound a median with 95 % confidence."""


@dataclass(frozen=True, slots=True)
class Timing:
    """A round's speedup is the current best's time over the candidate's, of the two runs each in A B B A.

    `low` and `high` bound the median of the rounds by order statistics, with at least `CONFIDENCE`.
    """

    baseline_ns: tuple[int, ...]
    candidate_ns: tuple[int, ...]
    speedup: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is one sentence. `checks` are (name, words, passed) in the order in which they were made."""

    status: Status
    reason: str
    checks: tuple[tuple[str, str, bool | None], ...] = ()
    timing: Timing | None = None

    def __post_init__(self) -> None:
        if self.status == "admitted" and (self.timing is None or any(passed is False for *_, passed in self.checks)):
            raise ValueError("admitted without times, or in spite of a check")

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.status]

    def to_json(self) -> dict[str, Any]:
        checks = [{"name": name, "words": words, "passed": passed} for name, words, passed in self.checks]
        timing = asdict(self.timing) if self.timing else None
        return {"status": self.status, "reason": self.reason, "checks": checks, "timing": timing}


def timing(times: dict[str, list[int]]) -> Timing:
    """Of the times of each variant in the order of the rounds A B B A.

    Raises:
        ValueError: there are fewer than `MIN_ROUNDS` rounds.
    """
    current, candidate = (times[variant] for variant in VARIANTS)
    ratios = sorted(sum(current[i : i + 2]) / max(1, sum(candidate[i : i + 2])) for i in range(0, len(current), 2))
    if len(ratios) < MIN_ROUNDS or len(current) != len(candidate):
        raise ValueError(f"{len(ratios)} rounds do not bound a median")
    k = _bound(len(ratios))
    return Timing(tuple(current), tuple(candidate), median(ratios), ratios[k], ratios[-1 - k])


def _bound(n: int) -> int:
    """The largest k for which the k-th smallest and k-th largest (from 0) of n bound the median with `CONFIDENCE`."""
    outside, k = 0.0, -1
    while outside <= 1 - CONFIDENCE and k < n // 2:
        k += 1
        outside += 2 * comb(n, k) / 2**n
    return k - 1


def judge(found: Timing, min_speedup: float) -> tuple[Status, str]:
    """The rule of admission: the whole interval must lie at `min_speedup` or above it."""
    shown = f"{found.speedup:.3g}× the current best's speed [{found.low:.3g}, {found.high:.3g}]"
    if found.low >= min_speedup:
        return "admitted", f"right in every case, and {shown}"
    if found.high < min_speedup:
        return "refused", f"right in every case, but {shown}, and at least {min_speedup:g}× was asked for"
    return "unknown", f"right in every case, but {shown} does not tell whether it reaches {min_speedup:g}×"
