"""claims.toml: the assertions of a project, kept beside its code."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import UsageError
from ...machine.files import read_whole
from .check import Question

SCHEMA = 1
UNNAMED = "range"
"""The name of a range that was given as a glob alone."""
MOST_BYTES = 64 << 10
"""The largest claims file that is read, some 800 claims. It may come from a pull request, and is untrusted."""
_DEEP = re.compile(r"""(?<![\w"'-])(?:[\w"'-]+[ \t]*\.[ \t]*){16}""")
"""A dotted key without end, over which the reader of TOML takes a time that grows with the square of its length."""
_KEYS = {
    "schema": int,
    "claims": list,
    "ranges": dict,
    "domain": str,
    "attribution": str,
    "ceilings": str,
    "communication": list,
}


def read_claims(path: Path) -> Question:
    """What a claims file asserts.

    Raises:
        UsageError: it cannot be read, or holds something else; the message names the key.
    """
    try:
        data = _parsed(read_whole(path, MOST_BYTES).decode("utf-8-sig"))
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, no TOML, or a number of 5,000 digits
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{path} cannot be read: {reason}", "docs/ci.md shows a claims file") from error
    for key, value in data.items():
        _check(path, key, value)
    if data.get("schema") != SCHEMA:
        raise UsageError(f"{path} states schema {data.get('schema')!r}", f"write: schema = {SCHEMA}")
    return Question(
        claims=tuple(data.get("claims", ())),
        ranges=data.get("ranges", {}),
        domain=data.get("domain"),
        attribution=data.get("attribution", "thread"),
        ceilings=path.parent / data["ceilings"] if "ceilings" in data else None,
        communication=tuple(data.get("communication", ())),
    )


def _parsed(text: str) -> dict[str, Any]:
    if _DEEP.search(text):
        raise ValueError("tables lie too deep in each other")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("lists or tables lie too deep in each other") from error


def _check(path: Path, key: str, value: Any) -> None:
    if key not in _KEYS:
        raise UsageError(f"{path}: {key[:80]!r} means nothing", f"there are: {', '.join(_KEYS)}")
    texts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, int) and abs(value) >> 64:  # of which not even a message could be made: hexadecimal has no end
        raise UsageError(f"{path}: {key} is beyond 64 bits")
    if not isinstance(value, _KEYS[key]) or not all(isinstance(text, str) for text in texts):
        raise UsageError(f"{path}: {key} is {_KEYS[key].__name__}, of texts where it holds several")


def with_arguments(
    question: Question,
    claims: list[str],
    ranges: list[str],
    domain: str | None,
    attribution: str | None,
    called: Callable[[str], bool] | None = None,
) -> Question:
    """A question with what the command line adds: further claims and ranges, another domain or attribution.

    `ranges` are a GLOB, which is then called "range", or `NAME=GLOB`. One of the file's name stands in its place. Names of
    ranges may hold a `=` themselves: `called`, which says whether ranges of the trace match a glob, is asked of the whole
    text first. Without it `NAME=GLOB` is meant wherever there is a `=`.

    Raises:
        UsageError: two of `ranges` have the same name, or one may be read both ways.
    """
    return replace(
        question,
        claims=(*question.claims, *claims),
        ranges={**question.ranges, **_named(ranges, called)},
        domain=question.domain if domain is None else domain,
        attribution=attribution or question.attribution,
    )


def check_before_reading(
    question: Question, claims: list[str], ranges: list[str], domain: str | None, attribution: str | None
) -> None:
    """Answer a slip before a large trace is read, whichever way its ranges will turn out to be meant.

    Raises:
        UsageError: as `with_arguments` and `Question.parsed`, where neither way can be read.
    """
    try:
        with_arguments(question, claims, ranges, domain, attribution).parsed()
    except UsageError:
        if not any("=" in text for text in ranges):
            raise
        try:
            with_arguments(question, claims, ranges, domain, attribution, _whole).parsed()
        except UsageError:
            pass
        else:
            return
        raise


def _whole(glob: str) -> bool:
    """As if the ranges of a trace had a `=` in their names, and no others."""
    return "=" in glob


def _named(ranges: list[str], called: Callable[[str], bool] | None) -> dict[str, str]:
    named: dict[str, str] = {}
    for text in ranges:
        name, glob = _read(text, called)
        if name in named:
            raise UsageError(f"two ranges are called {name!r}", "name each: --range before=v1 --range after=v2")
        named[name] = glob
    return named


def _read(text: str, called: Callable[[str], bool] | None) -> tuple[str, str]:
    """The name and the glob of a `--range`."""
    name, parted, glob = text.partition("=")
    if not parted:
        return UNNAMED, text
    if called is None or not called(text):
        return name.strip(), glob
    if called(glob):
        raise UsageError(
            f"--range {text!r} may mean the ranges of that name, or those called {glob!r} under the name {name.strip()!r}",
            f"say which: --range {UNNAMED}={text!r}, or by another name --range it={glob!r}",
        )
    return UNNAMED, text
