"""Where a claims file makes each of its claims, for annotations and code scanning."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...machine.files import read_whole
from .check import Question
from .claims_file import MOST_BYTES

_CLAIMS = re.compile(r"""^[ \t]*(["']?)claims\1[ \t]*=""", re.MULTILINE)
_TOKEN = re.compile(
    r"""
    (?P<comment> \#[^\n]* )
    | (?P<text> \"\"\".*?\"{3,5} | '''.*?'{3,5} | "(?:[^"\\\n]|\\.)*" | '[^'\n]*' )
    | (?P<end> \] )
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a claim is made: a file as it was named and, where they are known, line and column of the claim's first character,
    both from 1, and of what follows its last one."""

    file: str
    line: int | None = None
    column: int = 1
    end_line: int = 1
    end_column: int = 1


def places(path: Path, question: Question) -> dict[str, Place]:
    """claim -> where the claims file writes it first, quotes included; without a line where that cannot be told."""
    text = read_whole(path, MOST_BYTES).decode("utf-8-sig", "replace").replace("\r\n", "\n")
    by_claim: dict[str, Place] = {}
    for claim, start, end in _texts(text):
        (line, column), (end_line, end_column) = _position(text, start), _position(text, end)
        by_claim.setdefault(claim, Place(str(path), line, column, end_line, end_column))
    return {claim: by_claim.get(claim, Place(str(path))) for claim in question.claims}


def _texts(text: str) -> Iterator[tuple[str, int, int]]:
    """Every text in the list of claims, with where it begins and ends; a claim may also be another one's beginning, or in a
    comment, so that looking for it anywhere would find another line."""
    begins = _CLAIMS.search(text)
    for token in _TOKEN.finditer(text, begins.end()) if begins else ():
        if token["end"]:
            return
        if token["text"]:
            yield tomllib.loads(f"x = {token['text']}")["x"], *token.span()


def _position(text: str, at: int) -> tuple[int, int]:
    """Line and column, both from 1; lines as every tool but Python's `splitlines` counts them."""
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
