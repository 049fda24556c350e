"""Claims on a trace inside a test: a failure says what `aisp-prof assert` would print."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import pytest

from ..errors import UsageError
from ..profiler.assertions.check import Answer, Question, check
from ..profiler.assertions.claims_file import UNNAMED, read_claims
from ..profiler.evidence import Verdict
from ..profiler.queries.trace_file import TraceFile
from ..profiler.trace.cache.fingerprint import fingerprint
from ..reports.catalog import catalog
from ..reports.terminal.assertion import answer_lines, measured
from .summary import PROPERTY


class ClaimNotProven(AssertionError):
    """A claim is refuted, or the trace cannot tell; `answer` holds everything that was found."""

    def __init__(self, answer: Answer, text: str) -> None:
        super().__init__(text)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class TraceClaims:
    """A trace to be judged in a test. `file` answers other questions (as `aisp_prof.open` does); `path` is where it lies."""

    path: Path
    file: TraceFile
    _item: pytest.Item
    _usual: Question
    _communication: tuple[str, ...] = ()

    def check(
        self,
        *claims: str | Iterable[str],
        range: str | None = None,
        ranges: Mapping[str, str] | None = None,
        domain: str | None = None,
        attribution: str | None = None,
        file: str | Path | None = None,
        ceilings: str | Path | None = None,
        communication: Iterable[str] = (),
    ) -> Answer:
        """Judge claims, one by one or as a list, in the language of docs/metrics.md; without a range the whole trace, or the captured test's own.

        Args:
            range: a glob; every instance of a range that it matches is an iteration.
            ranges: name -> glob, for claims on several: `check("speedup(before, after) >= 1.2", ranges={…})`.
            domain: an NVTX domain or glob.
            attribution: "process" for the launches of every thread inside a range.
            file: a claims.toml (docs/ci.md), relative to the test's file; the other arguments add to it.
            ceilings: what `aisp-prof calibrate -o` measured on that GPU, relative to the test's file, for `ceiling(…)`.
            communication: regular expressions of kernels that count as communication besides the known ones and the trace's.

        Returns:
            the answer, all of it proven.

        Raises:
            ClaimNotProven: a claim is refuted or unproven, with what shows it.
            UsageError: a claim cannot be read, or the file.
        """
        __tracebackhide__ = True
        texts = _texts(claims)
        asked = read_claims(_beside(self._item, Path(file))) if file else replace(self._usual, claims=())
        named = {**(ranges or {}), **({} if range is None else {UNNAMED: range})}
        kept = asked.ranges if file or not named else {}
        return self.check_all(
            Question(
                (*asked.claims, *texts),
                {**kept, **named},
                asked.domain if domain is None else domain,
                attribution or asked.attribution,
                asked.ceilings if ceilings is None else _beside(self._item, Path(ceilings)),
                (*asked.communication, *_texts([communication])),
            )
        )

    def check_all(self, question: Question) -> Answer:
        """Judge a whole question; raises as `check` does."""
        __tracebackhide__ = True
        patterns = tuple(dict.fromkeys((*self._communication, *question.communication)))
        try:
            file = self.file if patterns == self._communication else _file(self.path, patterns)
            answer = check(file.trace, question)
        except UsageError as error:
            if error.mend:
                error.add_note(f"→ {error.mend}")
            raise
        self._item.user_properties += [(PROPERTY, text) for text in _told(answer, self.path)]
        if answer.verdict is not Verdict.PROVEN:
            raise ClaimNotProven(answer, "\n".join([f"{self.path.name}: {answer.verdict}", *answer_lines(answer)[1:]]))
        return answer


def opened(
    item: pytest.Item, path: Path, communication: Iterable[str] = (), usual: Question | None = None
) -> TraceClaims:
    """A trace for a test to judge; the same file is read only once.

    Raises:
        TraceError: the file is missing, damaged or no trace.
    """
    where, patterns = _beside(item, path), tuple(communication)
    return TraceClaims(where, _file(where, patterns), item, usual or Question((), {}), patterns)


def _file(where: Path, communication: tuple[str, ...]) -> TraceFile:
    content = fingerprint(where) if where.is_file() and os.access(where, os.R_OK) else ""
    return (_read_once if content else _read)(where, content, communication)


def _read(path: Path, content: str, communication: tuple[str, ...]) -> TraceFile:
    return TraceFile.read(path, communication)


_read_once = lru_cache(maxsize=4)(_read)
"""Keyed by every byte of the file, as the reader's own cache is: modification times prove nothing, since two files may
share one, and one file may hold different contents. A folder of Parquet files, which that cache does not hold, is read
each time."""


def _texts(claims: Iterable[str | Iterable[str]]) -> list[str]:
    texts = [
        text for one in claims for text in (one if isinstance(one, Iterable) and not isinstance(one, str) else [one])
    ]
    if wrong := [one for one in texts if not isinstance(one, str)]:
        raise UsageError(f"claims are texts, not {wrong[0]!r}", "check('hidden(copy) >= 0.8', …) or check(['…', '…'])")
    return texts


def _beside(item: pytest.Item, path: Path) -> Path:
    return path if path.is_absolute() else item.path.parent / path


def _told(answer: Answer, path: Path) -> Iterable[str]:
    say = catalog("en")
    for one in answer.claims:
        told = {
            "verdict": one.claim.verdict,
            "claim": one.claim.text,
            "measured": measured(one, say),
            "trace": str(path),
        }
        yield json.dumps(told, ensure_ascii=True)
