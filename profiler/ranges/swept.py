"""The numbers of slices of a work by the compiled core, where it is: those that `Quantities` defines, and equal to them."""

from __future__ import annotations

from collections.abc import Collection

from ..analysis.swept import Numbers, sweep
from ..arrays.types import Bools, Int64
from ..core.library import core
from .attribution import CallOrder
from .work import Work


def swept(
    order: CallOrder, work: Work, low: Int64, high: Int64, until: Int64, names: Collection[str]
) -> tuple[Bools, Bools, Numbers] | None:
    """As `sweep` answers; slices in which a stream overlaps itself are left out where overlap is asked for."""
    if core() is None:
        return None
    slices, operations = {"low": low, "high": high}, {name: work.flat(name) for name in ("start", "end", "kind")}
    if not order.tidy:
        slices["until"], operations["returned"] = until, order.returned
    if "launches" in names:
        operations["launch"] = work.flat("launch")
    if "overlap" in names:
        operations["tangled"] = work.tangled
    found = sweep(slices, operations, ["first" if name == "device" else name for name in names])
    if found is not None and "device" in names:
        found[2]["device"] = work.operations.device[found[2]["first"]]
    return found


def prepare(work: Work, names: Collection[str]) -> None:
    """Make what the core reads of a work, before several threads ask for it at the same time."""
    if core() is None:
        return
    for name in ("start", "end", "kind", *(("launch",) if "launches" in names else ())):
        work.flat(name)
