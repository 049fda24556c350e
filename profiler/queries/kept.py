"""Rows made of a whole trace, kept in its cache as data."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import numpy as np

from ..trace.model import Trace

_T = TypeVar("_T")
_ROWS = "rows"
LARGEST = 1 << 22
"""Bytes of JSON; more is made anew, as reading it would take as long."""


def kept(trace: Trace, name: str, kinds: tuple[type, ...], make: Callable[[], _T]) -> _T:
    """What `make` makes of numbers, texts, None, tuples, mappings by text, and dataclasses of these kinds; or what it made of this trace
    before. `name` says what decides it besides the trace."""
    tables = trace.derived
    if tables is None:
        return make()
    known = tables.get(name)
    if known is not None:
        found: _T = _read(json.loads(known[_ROWS].tobytes()), {kind.__name__: kind for kind in kinds})
        return found
    made = make()
    text = json.dumps(_written(made, kinds)).encode()
    if len(text) <= LARGEST:
        tables.table(name, lambda: {_ROWS: np.frombuffer(text, np.uint8)})
    return made


def known(trace: Trace, name: str) -> bool:
    """Whether `kept` would make nothing."""
    return trace.derived is not None and trace.derived.get(name) is not None


def _written(value: Any, kinds: tuple[type, ...]) -> Any:
    """As JSON: `[name, field, …]` for a dataclass, `["", value, …]` for a tuple, an object for a mapping.

    Raises:
        TypeError: of another kind.
    """
    if type(value) in kinds and is_dataclass(value):
        return [type(value).__name__, *(_written(getattr(value, field.name), kinds) for field in fields(value))]
    if isinstance(value, tuple):
        return ["", *(_written(one, kinds) for one in value)]
    if isinstance(value, dict) and all(type(key) is str for key in value):
        return {key: _written(one, kinds) for key, one in value.items()}
    if value is None or type(value) in (int, float, str, bool):
        return value
    raise TypeError(f"{type(value).__name__} cannot be kept")


def _read(value: Any, kinds: dict[str, type]) -> Any:
    if isinstance(value, dict):
        return {key: _read(one, kinds) for key, one in value.items()}
    if not isinstance(value, list):
        return value
    name, *parts = value
    read = [_read(one, kinds) for one in parts]
    return kinds[name](*read) if name else tuple(read)
