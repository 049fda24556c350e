"""Numbers of slices of operations by the compiled core, where it is: those that `ranges.quantities` defines, and equal to them."""

from __future__ import annotations

import ctypes
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import EnvironmentLacks
from ..arrays.types import Bools, Int64
from ..core.library import MEMORY, SWEPT, Sweep, core
from ..trace.model import KINDS, Operations

_CALLED = {
    "max_in_flight": "in_flight",
    "overlap_copy_compute": "copy_compute",
    "overlap_comm_compute": "comm_compute",
    "busy_by_class": "by_class",
    "busy_by_engine": "by_engine",
}
"""What the core calls numbers of another name."""
_WIDE = {"by_class": len(KINDS), "by_engine": 4}
_BY_CLASS = frozenset({*_WIDE, "overlap", "copy_compute", "comm_compute", "copies"})

Numbers = dict[str, NDArray[Any]]


def sweep(
    slices: Mapping[str, Int64], operations: Mapping[str, NDArray[Any]], names: Collection[str]
) -> tuple[Bools, Bools, Numbers] | None:
    """The numbers of slices.

    Args:
        slices: `low` and `high` of each, and `until`, where of a slice only what `returned` by then belongs to it.
        operations: their `start`, `end` and `kind`; `launch`, where it is asked how many there were; `returned`; `tangled`,
            whether each shares time with its own stream, where such slices are to be left out.
        names: numbers that are no sums or quotients of others; `first` is the first operation of each slice.

    Returns:
        which slices hold anything and were done, which were left out, and the numbers of the former; None where there is no
        core, or it refuses.
    """
    library, count = core(), len(slices["low"])
    if library is None or not count:
        return None
    wanted = {_CALLED.get(name, name) for name in names}
    asked = [name for name in SWEPT if name in ("ops", "first") or name in wanted]
    found = {name: np.empty((count, _WIDE[name]) if name in _WIDE else count, np.int64) for name in asked}
    left = np.empty(count, np.uint8)
    job = Sweep(classes=int(bool(wanted & _BY_CLASS)), n=len(operations["start"]), count=count)
    kept = list(_given(job, {**slices, **operations, **found, "left": left}))  # alive as long as the core reads them
    code = library.aisp_sweep(ctypes.byref(job))
    del kept
    if code == MEMORY:
        raise EnvironmentLacks("memory ran out", "on a machine with more, or of a smaller trace")
    if code < 0:
        return None
    there = (found["ops"] > 0) & (left == 0)
    return there, left > 0, {name: found[_CALLED.get(name, name)][there] for name in names}


def _given(job: Sweep, arrays: Mapping[str, NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """Tell the core where these lie; those that must be kept for it."""
    for name, array in arrays.items():
        flat = np.ascontiguousarray(array)
        setattr(job, name, flat.ctypes.data)
        yield flat


def sweep_all(operations: Operations, names: Collection[str]) -> dict[str, Any] | None:
    """The numbers of these operations as one set, of which there must be some; None where numpy must find them."""
    one = {"low": np.zeros(1, np.int64), "high": np.array([len(operations)])}
    found = sweep(one, {name: getattr(operations, name) for name in ("start", "end", "kind")}, names)
    return None if found is None else {name: values[0] for name, values in found[2].items()}
