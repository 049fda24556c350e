"""Finds and loads the compiled core. Without it, or where `AISP_ENGINE` says `numpy`, numpy does the same work."""

from __future__ import annotations

import ctypes
import hashlib
import os
from ctypes import POINTER, Structure, c_char_p, c_int32, c_int64, c_uint32, c_uint64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ...errors import EnvironmentLacks, UsageError

VARIABLE = "AISP_ENGINE"
ENGINES = ("auto", "core", "numpy")
"""What the variable may say: `core` refuses to work without the core, `auto`, the default, takes it where it is."""

FOLDER = Path(__file__).parent
FILE = FOLDER / "_core.so"
"""The library, which `building.py` makes."""
MOST_COLUMNS = 32
INTEGER, REAL, TEXT, ALIAS = range(4)
NO_NULL, ALL_NULL, SOME_NULL = range(3)
ROOM, MEMORY, TWICE, DEEP = -2, -3, -4, -5


class Column(Structure):
    """A column as numpy has it, as `aisp_column_t` states it."""

    _fields_ = (("at", c_void_p), ("stride", c_int64), ("width", c_int64))

    @classmethod
    def of(cls, array: NDArray[Any]) -> Column:
        """Where the core finds an array of integers, which must live as long as the core reads it."""
        return cls(array.ctypes.data, array.strides[0], array.itemsize)


class Wanted(Structure):
    """A column as `aisp_wanted_t` states it."""

    _fields_ = (
        ("place", c_int32),
        ("kind", c_int32),
        ("values", c_void_p),
        ("null", c_void_p),
        ("texts", c_void_p),
        ("value", c_int64),
        ("one_value", c_int32),
        ("nulls", c_int32),
    )


class Decode(Structure):
    """A table's leaves and columns as `aisp_decode_t` states them."""

    _fields_ = (
        *(
            (name, c_int32)
            for name in ("descriptor", "threads", "columns", "table_columns", "ends_with_last", "unused")
        ),
        *((name, c_int64) for name in ("page_size", "usable", "page_count", "leaf_count")),
        *((name, c_void_p) for name in ("leaves", "above", "upto")),
        ("wanted", POINTER(Wanted)),
        ("room", c_int64),
        ("row", c_void_p),
        ("spilled", c_void_p),
        ("spilled_room", c_int64),
        ("spilled_count", c_int64),
    )


SWEPT = (
    *("ops", "first", "kernels", "launches", "graphs", "sum", "busy", "proj_start", "proj_end", "overlap", "in_flight"),
    *("copies", "copy_compute", "comm_compute", "by_class", "by_engine"),
)


class Sweep(Structure):
    """Slices of operations and their numbers as `aisp_sweep_t` states them."""

    _fields_ = (
        *((name, c_int32) for name in ("classes", "unused")),
        *((name, c_int64) for name in ("n", "count")),
        *(
            (name, c_void_p)
            for name in ("low", "high", "until", "start", "end", "launch", "returned", "kind", "tangled")
        ),
        *((name, c_void_p) for name in (*SWEPT, "left")),
        ("unions_of", c_uint32 * 16),
    )


class Cover(Structure):
    """Ranges that hold calls as `aisp_cover_t` states them."""

    _fields_ = (
        *((name, c_int64) for name in ("groups", "ranges")),
        ("group", Column),
        *((name, c_void_p) for name in ("of", "first", "last")),
    )


class Inside(Structure):
    """Operations, their calls and what covers these as `aisp_inside_t` states them."""

    _fields_ = (
        *((name, c_int64) for name in ("n", "calls", "covers", "own")),
        *((name, c_void_p) for name in ("launch", "start", "end")),
        ("cover", POINTER(Cover)),
        *((name, c_int64) for name in ("in_any", "in_own")),
    )


class SlicesHeld(Structure):
    """Ranges and ordered launches as `aisp_slices_t` states them."""

    _fields_ = (
        *((name, c_int64) for name in ("count", "groups", "n")),
        *((name, c_void_p) for name in ("group", "start", "end", "bounds", "low", "high", "shift", "first", "last")),
        *((name, c_void_p) for name in ("begin", "stop")),
    )


class Order(Structure):
    """Operations and their calls as `aisp_order_t` states them."""

    _fields_ = (
        *((name, c_int64) for name in ("n", "calls", "keys", "gpus")),
        *((name, c_void_p) for name in ("launch", "start", "end")),
        *((name, Column) for name in ("key", "gpu")),
        *((name, c_void_p) for name in ("item", "begin", "finish", "group", "bounds")),
        ("groups", c_int64),
    )


class KeysOfCalls(Structure):
    """Keys of processes and ids as `aisp_keys_t` states them."""

    _fields_ = (
        *((name, c_int64) for name in ("count", "size")),
        *((name, c_void_p) for name in ("process", "offset", "low", "high")),
    )


class Claim(Structure):
    """Calls that stand for their keys as `aisp_claim_t` states them."""

    _fields_ = (
        ("n", c_int64),
        *((name, Column) for name in ("process", "correlation")),
        *((name, c_void_p) for name in ("start", "end", "row", "call", "outermost")),
    )


class Nest(Structure):
    """Ranges that nest as `aisp_nest_t` states them."""

    _fields_ = (
        *((name, c_int64) for name in ("n", "groups")),
        ("group", Column),
        *((name, c_void_p) for name in ("start", "end", "row", "level", "parent")),
    )


NOTHING, WHOLE, MICRO, SAID, SHORTEST = range(5)


class Part(Structure):
    """A part of each line as `aisp_part_t` states it."""

    _fields_ = (
        ("kind", c_int32),
        ("unused", c_int32),
        ("before", c_char_p),
        ("before_length", c_int64),
        *((name, c_void_p) for name in ("where", "values")),
        ("stride", c_int64),
        ("texts", c_char_p),
        ("ends", c_void_p),
        ("count", c_int64),
    )


class Lines(Structure):
    """Lines of text as `aisp_lines_t` states them."""

    _fields_ = (
        ("parts", POINTER(Part)),
        *((name, c_int64) for name in ("count", "low", "high")),
        ("out", c_void_p),
        *((name, c_int64) for name in ("room", "longest")),
    )


_INT64, _COLUMN = POINTER(c_int64), POINTER(Column)
_FUNCTIONS = {
    "aisp_source": (c_char_p, ()),
    "aisp_decode": (c_int64, (POINTER(Decode),)),
    "aisp_count": (c_int64, (POINTER(Decode),)),
    "aisp_sweep": (c_int64, (POINTER(Sweep),)),
    "aisp_lines": (c_int64, (POINTER(Lines),)),
    "aisp_walk": (c_int64, (c_int32, c_int64, c_int64, c_void_p, c_int64, c_int64)),
    "aisp_inside": (c_int64, (POINTER(Inside),)),
    "aisp_slices": (c_int64, (POINTER(SlicesHeld),)),
    "aisp_order": (c_int64, (POINTER(Order),)),
    "aisp_shift": (c_int64, (c_int64, c_void_p, c_void_p, c_int64, c_void_p, c_void_p)),
    "aisp_ids": (c_int64, (c_void_p, c_int64, c_int64, _COLUMN, _COLUMN, c_int64, c_void_p, c_void_p)),
    "aisp_claim": (c_int64, (POINTER(KeysOfCalls), POINTER(Claim))),
    "aisp_submitted": (c_int64, (POINTER(KeysOfCalls), c_void_p, c_int64, _COLUMN, _COLUMN, c_void_p)),
    "aisp_nest": (c_int64, (POINTER(Nest),)),
    "aisp_timely": (c_int64, (c_int64, _COLUMN, _COLUMN, c_int64, c_int64, c_int64)),
    "aisp_in_turn": (c_int64, (c_int64, _COLUMN, c_int64, c_void_p, c_void_p)),
    "aisp_distinct": (c_int64, (c_int64, _COLUMN, c_int64, c_void_p)),
    "aisp_coded": (c_int64, (c_int64, _COLUMN, c_int64, c_void_p, c_int64, c_void_p)),
    "aisp_look_up": (c_int64, (c_int64, _COLUMN, c_int64, c_void_p, c_void_p, c_int64, c_void_p)),
    "aisp_gather": (c_int64, (c_int64, _COLUMN, c_int64, c_void_p, c_int64, c_void_p)),
    "aisp_bounds": (c_int64, (c_int64, c_int64, c_void_p, c_void_p, c_void_p, c_void_p)),
    "aisp_narrow": (c_int64, (c_int64, c_int64, c_void_p, c_void_p, c_void_p, c_int64, c_void_p)),
    "aisp_weighed": (c_uint64, (c_int64, c_void_p, c_void_p)),
    "aisp_widen": (c_int64, (c_int64, c_void_p, c_int64, c_int64, c_void_p, c_void_p)),
    "aisp_texts_number": (c_int64, (c_void_p, c_void_p, c_int64, _INT64)),
    "aisp_texts_copy": (None, (c_void_p, c_void_p, c_void_p)),
    "aisp_texts_free": (None, (c_void_p,)),
}


def engine() -> str:
    """What the variable says.

    Raises:
        UsageError: no engine is called so.
    """
    said = os.environ.get(VARIABLE) or "auto"
    if said not in ENGINES:
        raise UsageError(f"{VARIABLE} is {said!r}: no engine is called so", f"there are: {', '.join(ENGINES)}")
    return said


def core() -> ctypes.CDLL | None:
    """The library, None where numpy does the work.

    Raises:
        UsageError: the variable names no engine.
        EnvironmentLacks: it asks for the core, which was not built, or for another interface.
    """
    said = engine()
    library = None if said == "numpy" else _loaded(FILE)
    if said == "core" and library is None:
        raise EnvironmentLacks(
            f"{VARIABLE} is core, and {FILE} was not built, or for another machine",
            "build it, which takes a C compiler: python profiler/core/building.py",
        )
    return library


@cache
def _loaded(path: Path) -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(str(path))
    except OSError:  # not built, or for another machine: numpy does the same work
        return None
    try:
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except AttributeError:  # made of other sources
        return None
    return library if library.aisp_source() == source().encode() else None


def source() -> str:
    """The SHA-256 of the sources beside this file; a library that was made of others is not used."""
    digest = hashlib.sha256()
    for file in sorted([*FOLDER.glob("*.c"), *FOLDER.glob("*.h")]):
        digest.update(file.read_bytes())
    return digest.hexdigest()
