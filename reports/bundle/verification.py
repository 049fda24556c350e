"""The outcome of verifying a bundle: what was checked and how, what is wrong and where, what each claim comes to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from ...profiler.evidence import ClaimResult, Evidence, Verdict

SCHEMA = 1
MOST_PROBLEMS = 20
"""So many problems of one file are named; the rest are counted."""


class Status(StrEnum):
    """What a check came to; UNPROVEN: it could not be made here."""

    OK = "ok"
    WRONG = "wrong"
    UNPROVEN = "unproven"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it should be: in which file, where in it ("" when all of it), and what."""

    file: str
    where: str
    what: str


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: its name, how it came out, and how that was found."""

    name: str
    status: Status
    about: str
    problems: tuple[Problem, ...] = ()
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Verification:
    """Everything that `aisp-prof verify` says of a bundle; `evidences` are recomputed, and of its traces alone."""

    bundle: str
    checks: tuple[Check, ...]
    evidences: tuple[Evidence, ...]
    missing: tuple[str, ...]

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(problem for check in self.checks for problem in check.problems)

    @property
    def status(self) -> Status:
        """Of all checks together, whatever the claims come to."""
        seen = {check.status for check in self.checks}
        return next((status for status in (Status.WRONG, Status.UNPROVEN) if status in seen), Status.OK)

    @property
    def verdict(self) -> Verdict:
        """The worst of the recomputed claims."""
        return Verdict.worst([one.verdict for one in self.evidences] + [Verdict.UNPROVEN] * len(self.missing))

    @property
    def exit_code(self) -> int:
        """0 verified and proven, 1 something is wrong or a claim does not hold, 4 it cannot be told."""
        if self.status is Status.WRONG or self.verdict in (Verdict.REFUTED, Verdict.INVALID):
            return 1
        return 0 if self.status is Status.OK and self.verdict is Verdict.PROVEN else 4

    def to_json(self) -> dict[str, Any]:
        """`aisp-prof verify --json` (docs/json.md)."""
        return {
            "schema": SCHEMA,
            "bundle": self.bundle,
            "status": self.status.value,
            "verdict": self.verdict.value,
            "checks": [
                {"name": c.name, "status": c.status.value, "about": c.about, "mend": c.mend} for c in self.checks
            ],
            "problems": [asdict(problem) for problem in self.problems],
            "claims": [_claim(one, claim) for one in self.evidences for claim in one.claims],
            "missing": list(self.missing),
        }


def _claim(evidence: Evidence, claim: ClaimResult) -> dict[str, Any]:
    return {
        "pair": evidence.manifest.pair,
        "capture": evidence.capture_id,
        "claim": claim.text,
        "verdict": claim.verdict.value,
        "measured": claim.measured,
        "low": claim.low,
        "high": claim.high,
        "unit": claim.unit,
        "n": claim.n,
    }


def check(name: str, about: str, problems: list[Problem]) -> Check:
    """A check that could be made: right without problems, else wrong; of many problems in one file the first are kept."""
    kept: list[Problem] = []
    for file in dict.fromkeys(problem.file for problem in problems):
        mine = [problem for problem in problems if problem.file == file]
        kept += mine[:MOST_PROBLEMS]
        if len(mine) > MOST_PROBLEMS:
            kept.append(Problem(file, "", f"and {len(mine) - MOST_PROBLEMS} more like these"))
    return Check(name, Status.WRONG if kept else Status.OK, about, tuple(kept))
