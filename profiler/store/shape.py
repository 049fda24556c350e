"""The shape of a manifest, so that whoever reads it may rely on it: somebody else may have written it, or edited it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import UsageError


@dataclass(frozen=True, slots=True)
class Each:
    """An object whose values all have one shape, whatever their names."""

    shape: Any


@dataclass(frozen=True, slots=True)
class Maybe:
    """A shape, or null."""

    shape: Any


@dataclass(frozen=True, slots=True)
class Only:
    """An object that holds the fields of this shape and no others."""

    shape: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Least:
    """A number that is at least this."""

    value: int


NUMBER = (int, float)
_TEXT = Each(str)
_SCALAR = (str, int, float, bool, type(None))
_SAMPLE = {
    "utc_ns": int,
    "other_processes": Maybe(int),
    "throttle_reasons": Maybe([str]),
    "sm_mhz": Maybe(NUMBER),
    "mem_mhz": Maybe(NUMBER),
    "power_w": Maybe(NUMBER),
    "temperature_c": Maybe(NUMBER),
}
_VALIDATION = {
    "valid": bool,
    "bitwise": Maybe(bool),
    "tolerance": Maybe(NUMBER),
    "max_relative_error": Maybe(Each(Maybe(NUMBER))),
    "rejects": Maybe(Each(bool)),
}
_RECORD = {
    "validation": Maybe(_VALIDATION),
    "iterations": Maybe([{"!variant": str, "!event_ns": Least(1), "index": int}]),
    "versions": Maybe(Each(Maybe(str))),
    "sizes": Maybe(Each(int)),
    "gpu": Maybe(Each(_SCALAR)),
    "order": Maybe([str]),
    "declared": Maybe(Each({"!flops": Least(0), "!bytes": Least(0), "ceiling": str})),
}
_CEILING = {
    "!name": str,
    "unit": str,
    "what": str,
    "!value": Least(1),
    "n": int,
    "p5": Maybe(NUMBER),
    "p95": Maybe(NUMBER),
}
_CALIBRATED = {
    "!type": str,
    "!counted": Maybe(NUMBER),
    "!declared": Maybe(NUMBER),
    "ratio": Maybe(NUMBER),
    "!ok": bool,
}
_DECLARATION = {
    **dict.fromkeys(("chapter", "name", "attribution"), str),
    **dict.fromkeys(("topic", "title", "sentence", "compares"), _TEXT),
    "variants": [{"!name": str, "!caption": _TEXT}],
    "claims": [str],
    "needs": [str],
    "sizes": Each(Each(int)),
    "tolerance": NUMBER,
    "perturbation_band": NUMBER,
    "bitwise": bool,
    "queued": bool,
}
SHAPE: Mapping[str, Any] = {
    "declaration": _DECLARATION,
    "sizes": Each(int),
    "gpus": [Each(_SCALAR)],
    "versions": Each(Maybe(str)),
    "command": [str],
    "commit": Maybe({"sha": Maybe(str), "dirty": Maybe(bool)}),
    "conditions": Maybe(
        {"before": Maybe(_SAMPLE), "during": Maybe([{**_SAMPLE, "!utc_ns": int}]), "after": Maybe(_SAMPLE)}
    ),
    "runs": Each(_RECORD),
    "counters": Maybe(
        {
            "!files": [str],
            "!tier": str,
            **dict.fromkeys(("ncu", "reason", "mend", "sections", "sections_reason"), Maybe(str)),
            "iterations": Maybe(Least(0)),
        }
    ),
    "ceilings": Maybe(
        {
            "ceilings": [_CEILING],
            "calibration": Maybe({"rows": [_CALIBRATED], "ncu": Maybe(str), "reason": Maybe(str), "mend": Maybe(str)}),
        }
    ),
}
"""Fields by name; one with ! must be there, of the others each that is there has its shape, and unknown ones are free."""


def check_shape(data: Any, where: str, shape: Any = SHAPE) -> None:
    """Compare plain JSON data with a shape.

    Raises:
        UsageError: naming the place that differs.
    """
    if isinstance(shape, Maybe):
        if data is not None:
            check_shape(data, where, shape.shape)
    elif isinstance(shape, Each):
        _is(data, where, (dict,), "an object")
        for name, value in data.items():
            check_shape(value, f"{where}.{name[:80]}", shape.shape)
    elif isinstance(shape, Only):
        _is(data, where, (dict,), "an object")
        if odd := sorted(set(data) - {name.removeprefix("!") for name in shape.shape}):
            raise UsageError(f"{where}: no field is called {odd[0][:80]!r}")
        check_shape(data, where, shape.shape)
    elif isinstance(shape, Least):
        _is(data, where, NUMBER, "int or float")
        if data < shape.value:
            raise UsageError(f"{where} is {data}, and must be {shape.value} or more")
    elif isinstance(shape, Mapping):
        _is(data, where, (dict,), "an object")
        for name, inner in shape.items():
            _check_field(data, where, name, inner)
    elif isinstance(shape, list):
        if (
            isinstance(data, dict) and shape == _DECLARATION["variants"]
        ):  # variants were an object in the first captures
            return check_shape(data, where, Each(_TEXT))
        _is(data, where, (list, tuple), "a list")
        for number, value in enumerate(data):
            check_shape(value, f"{where}[{number}]", shape[0])
    else:
        wanted = shape if isinstance(shape, tuple) else (shape,)
        _is(data, where, wanted, " or ".join(kind.__name__ for kind in wanted))


def _check_field(data: Mapping[str, Any], where: str, name: str, inner: Any) -> None:
    plain = name.removeprefix("!")
    if plain in data:
        check_shape(data[plain], f"{where}.{plain}", inner)
    elif plain != name:
        raise UsageError(f"{where}: {plain} is missing")


def _is(data: Any, where: str, wanted: tuple[type, ...], words: str) -> None:
    if not isinstance(data, wanted) or (isinstance(data, bool) and bool not in wanted):
        raise UsageError(f"{where} is {type(data).__name__}, not {words}")


_SURROGATE = re.compile("[\ud800-\udfff]")


def check_values(data: Any, where: str) -> None:
    """No infinity, nothing above 64 bits, no half of a character: `1e999` and a lone surrogate are JSON too.

    Raises:
        UsageError: naming the place.
    """
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for name, value in inner:
        check_values(name, where)
        check_values(value, f"{where}.{name}")
    if isinstance(data, float) and not math.isfinite(data):
        raise UsageError(f"{where} is no finite number")
    if isinstance(data, int) and abs(data) >= 1 << 64:
        raise UsageError(f"{where} is beyond 64 bits")
    if isinstance(data, str) and _SURROGATE.search(data):
        raise UsageError(f"{where!a} holds half of a character")
