"""Where two values, or two documents, differ, in words."""

from __future__ import annotations

import json
import marshal
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

_SHOWN = 120
_AROUND = 40


@dataclass(frozen=True, slots=True)
class Difference:
    """Where they differ, and how; `only_one` when the place is there in one of them only."""

    where: str
    what: str
    only_one: bool = False


def json_differences(says: Any, found: Any, path: tuple[str, ...] = ()) -> Iterator[Difference]:
    """Every place at which two JSON values differ. Numbers are equal when their texts are: 1 is not 1.0, nor 0.0 -0.0."""
    if _same(says, found):
        return
    if isinstance(says, dict) and isinstance(found, dict):
        for key in sorted(says.keys() | found.keys()):
            yield from _in_object(says, found, key, (*path, key))
    elif isinstance(says, list) and isinstance(found, list) and len(says) == len(found):
        for place, (one, two) in enumerate(zip(says, found, strict=True)):
            yield from json_differences(one, two, (*path, str(place)))
    elif _text(says) != _text(found):
        yield Difference(": ".join(path), f"says {_text(says)}, recomputed {_text(found)}")


def _in_object(says: dict[str, Any], found: dict[str, Any], key: str, path: tuple[str, ...]) -> Iterator[Difference]:
    if key not in found:
        yield Difference(": ".join(path), f"says {_text(says[key])}, which nothing computes", only_one=True)
    elif key not in says:
        yield Difference(": ".join(path), f"does not say it, recomputed {_text(found[key])}", only_one=True)
    else:
        yield from json_differences(says[key], found[key], path)


def _same(one: Any, two: Any) -> bool:
    """Whether two values are written alike, told without going through them; False says nothing, as equal objects may have been
    filled in another order."""
    return marshal.dumps(one, 0) == marshal.dumps(two, 0)


def _text(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= _SHOWN or isinstance(value, int | float) else f"{text[:_SHOWN]}…"


def line_differences(says: str, found: str) -> Iterator[Difference]:
    """Every line in which two documents differ, around the first character that does; after a line that only one of them has,
    no more."""
    for number, (one, two) in enumerate(zip_longest(says.split("\n"), found.split("\n")), 1):
        if one is None or two is None:
            yield Difference(
                f"line {number}", "it ends there" if one is None else "it should have ended", only_one=True
            )
            return
        if one != two:
            at = next((i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
            part = slice(max(0, at - _AROUND), at + _AROUND)
            yield Difference(f"line {number}", f"says …{one[part]!r}…, made again it says …{two[part]!r}…")
