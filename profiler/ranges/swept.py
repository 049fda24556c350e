"""The numbers of slices by the compiled core, where it is: those that `Quantities` defines, and equal to them."""

from __future__ import annotations

import ctypes
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import EnvironmentLacks
from ..analysis.overlap import ENGINES
from ..arrays.types import Bools, Int64
from ..core.library import MEMORY, SWEPT, Sweep, core
from ..trace.model import KINDS
from .attribution import CallOrder
from .work import Work

_CALLED = {
    "max_in_flight": "in_flight",
    "overlap_copy_compute": "copy_compute",
    "overlap_comm_compute": "comm_compute",
    "busy_by_class": "by_class",
    "busy_by_engine": "by_engine",
}
"""What the core calls numbers of another name."""
_WIDE = {"by_class": len(KINDS), "by_engine": len(ENGINES)}
_BY_CLASS = frozenset({*_WIDE, "overlap", "copy_compute", "comm_compute"})
_OF_TANGLED = frozenset({"overlap"})


def swept(
    order: CallOrder, work: Work, low: Int64, high: Int64, until: Int64, names: Collection[str]
) -> tuple[Bools, Bools, dict[str, NDArray[Any]]] | None:
    """The numbers of slices of a work.

    Args:
        low, high, until: as `Slices` has them.
        names: numbers that are no sums or quotients of others.

    Returns:
        which slices hold anything and were done, which are left to `Quantities`, and the numbers of the former; None where
        there is no core, or it refuses.
    """
    library = core()
    if library is None or not len(low):
        return None
    wanted = {_CALLED.get(name, name) for name in names}
    asked = [name for name in SWEPT if name in ("ops", "first") or name in wanted]
    found = {name: np.empty((len(low), _WIDE[name]) if name in _WIDE else len(low), np.int64) for name in asked}
    left = np.empty(len(low), np.uint8)
    job = Sweep(classes=int(bool(wanted & _BY_CLASS)), n=len(order.item), count=len(low))
    kept = [  # alive as long as the core reads them
        *_given(
            job, {"low": low, "high": high, **({} if order.tidy else {"until": until, "returned": order.returned})}
        ),
        *_given(job, {name: work.flat(name) for name in ("start", "end", "kind")}),
        *(_given(job, {"launch": work.flat("launch")}) if "launches" in wanted else ()),
        *(_given(job, {"tangled": work.tangled}) if wanted & _OF_TANGLED else ()),
        *_given(job, {**found, "left": left}),
    ]
    code = library.aisp_sweep(ctypes.byref(job))
    del kept
    if code == MEMORY:
        raise EnvironmentLacks("memory ran out", "on a machine with more, or of a smaller trace")
    if code < 0:
        return None
    there = (found["ops"] > 0) & (left == 0)
    done = {name: values[there] for name, values in found.items()}
    if "device" in wanted:
        done["device"] = work.operations.device[done["first"]]
    return there, left > 0, {name: done[_CALLED.get(name, name)] for name in names}


def prepare(work: Work, names: Collection[str]) -> None:
    """Make what the core reads of a work, before several threads ask for it at the same time."""
    if core() is None:
        return
    for name in ("start", "end", "kind", *(("launch",) if "launches" in names else ())):
        work.flat(name)


def _given(job: Sweep, arrays: Mapping[str, NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """Tell the core where these lie; those that must be kept for it."""
    for name, array in arrays.items():
        flat = np.ascontiguousarray(array)
        setattr(job, name, flat.ctypes.data)
        yield flat
