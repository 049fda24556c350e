"""The communication of one process as a record holds it: its kernels in the order of their launches, each with its communicator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..arrays.groups import distinct_values
from ..arrays.types import Int64
from ..trace.model import COMM, Operations, Trace
from .operations import ALL_TO_ALL, BETWEEN_TWO, OTHER, POINT_TO_POINT, RECEIVE, SEND, operation_of_kernel
from .record import ASSUMED, ONE, STATED, UNKNOWN, Communication, Communicator, Signature, packed
from .stated import Group, groups_of, stated_of

_OPENS = ("ncclCommInitRank", "ncclCommInitAll", "ncclCommSplit", "ncclCommInitRankConfig", "ncclCommInitRankScalable")
"""NVTX ranges of NCCL during which a communicator begins to exist."""


EXCHANGE = "exchange"
"""The detail of a group of sends and receives."""


@dataclass(slots=True)
class _Known:
    """Communicators and signatures, each once."""

    communicators: dict[Communicator, int] = field(default_factory=dict)
    signatures: dict[Signature, int] = field(default_factory=dict)

    def communicator(self, one: Communicator) -> int:
        return self.communicators.setdefault(one, len(self.communicators))

    def signature(self, one: Signature) -> int:
        return self.signatures.setdefault(one, len(self.signatures))


def communication_of(trace: Trace, process: int) -> Communication:
    """What a process communicated."""
    operations = trace.operations
    mine = operations.take((operations.process == process) & (operations.kind == COMM))
    mine = mine.take(np.lexsort((mine.row, mine.start, _launched(trace, mine))))
    known = _Known()
    stated = stated_of(trace, process)
    rows = _stated(trace, mine, stated, known) if stated.communicators else _by_name(trace, mine, process, known)
    return Communication(
        tuple(known.communicators),
        tuple(known.signatures),
        *(packed(column) for column in (mine.start, mine.end, *rows)),
    )


def _launched(trace: Trace, mine: Operations) -> Int64:
    """When each kernel's launch was called; of one without a launch when it began."""
    at, known = mine.start.copy(), mine.launch >= 0
    at[known] = trace.calls.start[mine.launch[known]]
    return at


def _by_name(trace: Trace, mine: Operations, process: int, known: _Known) -> tuple[Int64, Int64]:
    """By the kernels' names, where there is one communicator."""
    opened = _opened(trace, process)
    one_stream = len(distinct_values(mine.stream)) == 1
    how = ONE if opened == 1 else ASSUMED if opened == 0 and one_stream else UNKNOWN
    which = known.communicator(Communicator("", how))
    names = mine.name.tolist()
    number = {name: known.signature(_named(trace.text(name))) for name in dict.fromkeys(names)}
    return np.full(len(mine), which), np.array([number[name] for name in names], np.int64)


def _named(kernel: str) -> Signature:
    return Signature(operation_of_kernel(kernel), kernel)


def _opened(trace: Trace, process: int) -> int:
    """How many communicators NCCL says that the process opened; a split counts, whatever became of it."""
    ranges = trace.ranges
    texts = ranges.codes("text")
    opening = np.array([trace.text(text) in _OPENS for text in texts.values.tolist()], bool)
    return int((opening[texts.code] & (ranges.process == process)).sum()) if len(opening) else 0


def _stated(trace: Trace, mine: Operations, stated: Group, known: _Known) -> tuple[Int64, Int64]:
    """By what the libraries say of each kernel, or of the call that launched it."""
    communicator, signature = np.empty((2, len(mine)), np.int64)
    of_kernel, of_launch = stated.kernels(), groups_of(trace, mine, stated)
    for i, row in enumerate(mine.row.tolist()):  # of communication all are kernels: rows of one table
        calls = of_kernel.get(row) or of_launch[i]
        kernel = trace.text(int(mine.name[i]))
        communicator[i], signature[i] = _of_calls(stated, calls, kernel, known)
    return communicator, signature


def _of_calls(stated: Group, calls: Sequence[int], kernel: str, known: _Known) -> tuple[int, int]:
    """The communicator and the signature of a kernel that these calls (places in `stated`) asked for; a communicator of its own
    kind where they are none, or of several communicators, which one kernel cannot be told to."""
    keys = {stated.key(call) for call in calls}
    if len(keys) != 1:
        return known.communicator(Communicator("", UNKNOWN)), known.signature(_named(kernel))
    key = keys.pop()
    size, rank = stated.communicators[key]
    which = known.communicator(Communicator(key, STATED, size, rank))
    signatures = sorted(dict.fromkeys(stated.signature(call) for call in calls))
    whole = _whole(signatures, [stated.peer(call) for call in calls if stated.operation(call) == RECEIVE], size, rank)
    return which, known.signature(whole)


def _whole(signatures: Sequence[Signature], received_from: Sequence[int], size: int, rank: int) -> Signature:
    """One signature for a group of calls: an exchange with everybody is an all-to-all, whatever it was written as."""
    if len(signatures) == 1 and signatures[0].operation not in BETWEEN_TWO:
        return signatures[0]
    operations = {one.operation for one in signatures}
    if operations <= BETWEEN_TWO:
        everybody = size > 1 and len(set(received_from) - {rank}) == size - 1 and SEND in operations
        return Signature(ALL_TO_ALL if everybody else POINT_TO_POINT, EXCHANGE)
    if len(operations) == 1:
        return Signature(operations.pop(), "group", sum(one.bytes for one in signatures))
    return Signature(OTHER, "+".join(sorted(operations)))
