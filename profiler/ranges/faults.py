"""What makes ranges unfit to prove anything, and which of it leaves claims unproven."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..analysis.affected import limited, of_calls
from ..arrays.types import Int64
from ..evidence import Completeness, Finding
from ..trace.model import Trace

LOST = "launch_without_operation"
"""A launch without work makes only the range incomplete in which it was made: cuBLAS sets zero bytes now and then."""


def faults(name: str, empty: int, opened: bool, graphs: int, lost: Iterable[Finding]) -> Iterator[Finding]:
    """Faults of the ranges of a name: how many ran nothing, whether one was never closed, how many graphs were traced as a
    whole, launches without work (`lost_launches`)."""
    if empty:
        yield Finding("no_cuda_activity", {"count": empty, "name": name}, "range")
    if opened:
        yield Finding("open_range", {"name": name}, "range")
    if graphs:
        yield Finding("graph_level_tracing", {"count": graphs}, "range")
    yield from lost


def pageable(trace: Trace, operations: Int64) -> tuple[Finding, ...]:
    """Pageable copies are staged through the host: they leave claims about overlap with copies unproven."""
    count = int(trace.operations.pageable[operations].sum())
    return (Finding("pageable_copies", {"count": count}),) if count else ()


def lost_launches(trace: Trace, calls: Int64) -> tuple[Finding, ...]:
    """What these launches without work (row indices) leave in doubt; nothing where there are none."""
    return (limited(LOST, len(calls), of_calls(trace, calls)),) if len(calls) else ()


def blocked_by(
    completeness: Completeness, found: Mapping[str, Iterable[Finding]], changed: Sequence[str] = ()
) -> dict[str, tuple[Finding, ...]]:
    """name -> what leaves every claim on it unproven: a trace that is not whole, changed files, and of what was `found` of
    its ranges that which blocks."""
    whole = [finding for finding in completeness.findings if finding.blocks and finding.code != LOST]
    whole += changed_files(changed)
    return {name: (*whole, *(f for f in findings if f.blocks)) for name, findings in found.items()}


def changed_files(changed: Sequence[str]) -> tuple[Finding, ...]:
    return tuple(Finding("file_changed", {"file": name}, "range") for name in changed)
