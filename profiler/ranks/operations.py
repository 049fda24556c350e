"""What a collective operation is called by NCCL, by PyTorch and by the names of kernels, and which of them no rank leaves early."""

from __future__ import annotations

import re

ALL_REDUCE, ALL_GATHER, REDUCE_SCATTER, ALL_TO_ALL = "AllReduce", "AllGather", "ReduceScatter", "AllToAll"
BROADCAST, REDUCE, GATHER, SCATTER = "Broadcast", "Reduce", "Gather", "Scatter"
SEND, RECEIVE, POINT_TO_POINT, OTHER = "Send", "Recv", "SendRecv", "Other"

SYNCHRONISING = frozenset({ALL_REDUCE, ALL_GATHER, REDUCE_SCATTER, ALL_TO_ALL})
"""Every rank's result needs every rank's data: nobody leaves before everybody has come. The root of a broadcast may leave at once,
and so may who sends."""

BETWEEN_TWO = frozenset({SEND, RECEIVE, POINT_TO_POINT})

_CALLED = {
    "allreduce": ALL_REDUCE,
    "allgather": ALL_GATHER,
    "reducescatter": REDUCE_SCATTER,
    "alltoall": ALL_TO_ALL,
    "broadcast": BROADCAST,
    "bcast": BROADCAST,
    "sendrecv": POINT_TO_POINT,
    "gather": GATHER,
    "scatter": SCATTER,
    "reduce": REDUCE,
    "send": SEND,
    "recv": RECEIVE,
}
"""Longer names first: a reduce-scatter is neither a reduce nor a scatter."""

_OF_NCCL = re.compile(r"^(?:void )?nccl")
_LETTERS = re.compile(r"[^a-z0-9]+")


def operation_called(name: str) -> str:
    """The operation that a call of NCCL (`ncclAllReduce`) or a collective of PyTorch (`_allgather_base`) is; "" for none."""
    bare = _LETTERS.sub("", name.lower()).removeprefix("nccl").removeprefix("p")
    return next((operation for text, operation in _CALLED.items() if bare.startswith(text)), "")


def operation_of_kernel(name: str) -> str:
    """The operation of a communication kernel by its name; OTHER where the name does not tell, as that of
    `ncclDevKernel_Generic`, or where it is of a library that promises nothing about who waits for whom."""
    if not _OF_NCCL.match(name):
        return OTHER
    bare = _LETTERS.sub("", name.lower())
    return next((operation for text, operation in _CALLED.items() if text in bare), OTHER)
