"""What an `assert` was asked, as CI systems know it again: the analysis by its trace and ranges, each claim by its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from ...profiler.assertions.check import Answer, Checked, Question
from ...profiler.assertions.claims_file import UNNAMED
from ...profiler.judging.language import Claim

_USUAL = "thread"


@dataclass(frozen=True, slots=True)
class Asked:
    """A trace as it was named, and what was asked of it; `category` stands in the place of both where it is given."""

    trace: str
    question: Question
    category: str = ""

    @property
    def subject(self) -> str:
        """`step=train_step*`, with domain and attribution where they were asked for; "" where the whole trace is judged."""
        asked = self.question
        ranges = [glob if name == UNNAMED else f"{name}={glob}" for name, glob in asked.ranges.items()]
        more = [] if asked.domain is None else [f"domain={asked.domain}"]
        more += [] if asked.attribution == _USUAL else [f"attribution={asked.attribution}"]
        return " ".join([*ranges, *more])

    @property
    def named(self) -> str:
        """The analysis among others of one build: the category, else the trace and its ranges."""
        return self.category or " ".join(filter(None, (self.trace, self.subject)))

    def identified(self, answer: Answer) -> Iterator[tuple[str, Checked]]:
        """Every claim of the answer under 12 hexadecimal digits of what it says and of which ranges: they stay when others are
        inserted, moved or dropped. One that is made twice has them twice."""
        for claim, one in zip(self.question.parsed(), answer.claims, strict=True):
            ranges = {name: self.question.ranges.get(name) for name in _named(claim)}
            told = [one.claim.text, ranges, self.question.domain, self.question.attribution]
            yield sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12], one


def _named(claim: Claim) -> list[str]:
    return sorted(claim.names)
