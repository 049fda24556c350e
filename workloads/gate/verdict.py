"""The gate's verdict on a candidate: admitted, refused or undecided, with the reason and everything that was found."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import comb
from pathlib import Path
from statistics import median
from typing import Any, Literal

from ...declaration import VARIANTS
from ...errors import UsageError

Status = Literal["admitted", "refused", "unknown"]

EXIT_CODES = {"admitted": 0, "refused": 1, "unknown": 4}
CONFIDENCE = 0.95
MIN_ROUNDS = 6
"""With fewer rounds, no order statistics bound a median with 95 % confidence."""


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
    """The timing from each variant's times, in the order of the rounds A B B A.

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


def judge(timed: Timing, min_speedup: float) -> tuple[Status, str]:
    """The rule of admission: the whole interval must lie at `min_speedup` or above it."""
    shown = f"{timed.speedup:.3g}× the current best's speed [{timed.low:.3g}, {timed.high:.3g}]"
    if timed.low >= min_speedup:
        return "admitted", f"right in every case, and {shown}"
    if timed.high < min_speedup:
        return "refused", f"right in every case, but {shown}, and at least {min_speedup:g}× was asked for"
    return "unknown", f"right in every case, but {shown} does not tell whether it reaches {min_speedup:g}×"


def key_file() -> Path:
    """The file of the key that signs verdicts: $AISP_GATE_KEY, else below $XDG_STATE_HOME or ~/.local/state; alone in
    its folder."""
    if own := os.environ.get("AISP_GATE_KEY"):
        return Path(own)
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "aisp-prof" / "gate" / "key"


def signed(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with `mac`: HMAC-SHA-256 of everything else with this account's key, so that only the gate can write
    verdicts that count.

    Raises:
        UsageError: the key can neither be read nor made.
    """
    return {**record, "mac": _mac(record, _key(make=True))}


def make_key() -> None:
    """Make the key, so that it exists, and can be hidden, before a candidate runs.

    Raises:
        UsageError: as `signed`.
    """
    _key(make=True)


def genuine(record: Mapping[str, Any]) -> bool:
    """Whether the gate of this account signed it.

    Raises:
        UsageError: the key cannot be read.
    """
    key, mac = _key(make=False), record.get("mac")
    rest = {name: value for name, value in record.items() if name != "mac"}
    return bool(key) and isinstance(mac, str) and hmac.compare_digest(_mac(rest, key).encode(), mac.encode())


def _mac(record: Mapping[str, Any], key: bytes) -> str:
    return hmac.new(key, json.dumps(record, sort_keys=True).encode(), hashlib.sha256).hexdigest()


def _key(*, make: bool) -> bytes:
    path = key_file()
    try:
        if make:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileExistsError):  # another gate's, or an earlier one's
                _write_key(path)
        return path.read_bytes() if make or path.exists() else b""
    except OSError as error:
        raise UsageError(
            f"cannot use the gate's key {path}: {error.strerror}", "AISP_GATE_KEY=FILE names another"
        ) from error


def _write_key(path: Path) -> None:
    """Written whole or not at all: by linking a finished file, which fails if one exists."""
    own = path.with_name(f".key-{secrets.token_hex(8)}")
    own.touch(mode=0o600)
    own.write_bytes(secrets.token_bytes(32))
    try:
        os.link(own, path)
    finally:
        own.unlink()
