"""What an `assert` was asked, in a form by which CI systems recognise it: the analysis by its trace and ranges, each
claim by its own."""

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
    """A trace as it was named, and what was asked of it; `category`, if given, replaces both."""

    trace: str
    question: Question
    category: str = ""

    @property
    def subject(self) -> str:
        """`step=train_step*`, with domain and attribution if they were given; "" if the whole trace is judged."""
        asked = self.question
        ranges = [glob if name == UNNAMED else f"{name}={glob}" for name, glob in asked.ranges.items()]
        more = [] if asked.domain is None else [f"domain={asked.domain}"]
        more += [] if asked.attribution == _USUAL else [f"attribution={asked.attribution}"]
        return " ".join([*ranges, *more])

    @property
    def named(self) -> str:
        """The analysis' name among others of one build: the category, else the trace and its ranges."""
        return self.category or " ".join(filter(None, (self.trace, self.subject)))

    def identified(self, answer: Answer) -> Iterator[tuple[str, Checked]]:
        """Every claim of the answer, under a hash (12 hexadecimal digits) of its text and ranges that stays the same when
        others are inserted, moved or dropped. A claim that is made twice appears twice."""
        for claim, one in zip(self.question.parsed(), answer.claims, strict=True):
            ranges = {name: self.question.ranges.get(name) for name in _named(claim)}
            told = [one.claim.text, ranges, self.question.domain, self.question.attribution]
            yield sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12], one


def _named(claim: Claim) -> list[str]:
    return sorted(claim.names)
