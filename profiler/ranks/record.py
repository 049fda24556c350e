"""What a trace becomes before ranks are joined: a record for each process, some kilobytes of bytes and numbers."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from ..arrays.types import Int64
from ..evidence import Finding

ONE, ASSUMED, STATED, UNKNOWN = "one", "assumed", "stated", "unknown"
"""How a communicator is known: NCCL opened a single one, its kernels lie on a single stream, the payload says it, or nothing does."""

PAYLOAD, ENVIRONMENT, NAME, NOWHERE = "payload", "environment", "file name", ""
"""Where a rank was taken from."""

COMPLETE = "complete"
"""Of a rank whose trace states that nothing was lost; what rests on any other is not proven."""

STEP_COLUMNS = ("start", "end", "span", "busy", "idle", "compute", "comm", "hidden")

Packed = Annotated[bytes, "an array of int64"]


def packed(values: Int64) -> Packed:
    return np.ascontiguousarray(values, np.int64).tobytes()


def unpacked(raw: Packed) -> Int64:
    return np.frombuffer(raw, np.int64)


class Signature(msgspec.Struct, frozen=True, order=True):
    """What a collective is on every rank that takes part in it: equal ones may be the same.

    bytes, root  -1 where nothing says them
    """

    operation: str
    detail: str
    bytes: int = -1
    root: int = -1


class Communicator(msgspec.Struct, frozen=True):
    """What a process knows of a communicator: `key` is "" of the only one; `size` and `rank` are -1 where nothing says them."""

    key: str
    known: str
    size: int = -1
    rank: int = -1


class Communication(msgspec.Struct, frozen=True):
    """The kernels of one process that communicate, in the order of their launches.

    start, end    on the GPU, ns since the session's start
    communicator  index into `communicators`
    signature     index into `signatures`
    """

    communicators: tuple[Communicator, ...]
    signatures: tuple[Signature, ...]
    start: Packed
    end: Packed
    communicator: Packed
    signature: Packed


class OnDevice(msgspec.Struct, frozen=True):
    """What a process ran on one GPU: lengths in ns as docs/metrics.md defines them. `hidden` and `exposed` are those of the
    communication beside compute; None where graphs traced as a whole hide what ran."""

    gpu_uuid: str
    name: str
    label: str
    ops: int
    span: int
    busy: int
    idle: int
    compute_time: int
    comm_time: int
    comm_hidden: int | None
    comm_exposed: int | None


class Said(msgspec.Struct, frozen=True):
    """A finding on its way: `Finding` with plain values."""

    code: str
    values: dict[str, str | int | float]
    blocks: str = ""

    def finding(self) -> Finding:
        return Finding(self.code, self.values, self.blocks)


class Measured(msgspec.Struct, frozen=True):
    """The metrics that claims ask for, in every instance of the range (or of the whole trace), of one process on its GPU.

    values    metric -> its value in each instance where it is defined
    count     instances
    blocked   what leaves claims on them unproven; `pageable` likewise those on copies beside others
    """

    values: dict[str, list[float]]
    count: int
    blocked: tuple[Said, ...]
    pageable: tuple[Said, ...]


class Rank(msgspec.Struct, frozen=True):
    """One process of one trace that used a GPU.

    rank         None where neither the payload nor the environment nor the file's name says it
    process      globalPid
    steps        STEP_COLUMNS of each instance of the range that was asked for, shape (n, len(STEP_COLUMNS))
    """

    path: str
    rank: int | None
    rank_from: str
    process: int
    pid: int
    start_utc_ns: int | None
    completeness: str
    findings: tuple[Said, ...]
    devices: tuple[OnDevice, ...]
    communication: Communication
    steps: Packed
    measured: Measured | None = None

    def step_table(self) -> Int64:
        return unpacked(self.steps).reshape(-1, len(STEP_COLUMNS))


class Failure(msgspec.Struct, frozen=True):
    """A trace that gave no record: what is wrong, and the mend; its rank where the file's name says it."""

    path: str
    kind: str
    message: str
    mend: str
    exit_code: int
    rank: int | None = None


Mapped = tuple[Rank, ...] | Failure
"""What becomes of one file."""
