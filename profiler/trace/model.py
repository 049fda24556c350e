"""The trace in columns: operations, API calls, NVTX ranges, devices. All times are int64 ns since the session's start."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ..arrays.codes import joined
from ..arrays.groups import any_of, mapped
from ..arrays.rows import Rows
from ..arrays.types import Int64
from .schema import GRAPH_TRACE, KERNEL, MEMCPY, MEMSET, Schema

TABLES = (KERNEL, MEMCPY, MEMSET, GRAPH_TRACE)
KINDS = ("compute", "comm", "h2d", "d2h", "d2d", "p2p", "memset", "graph", "other", "migration")
"""Classes of operations; `other` is a copy that never touches a device (host to host), or of unknown kind; a
`migration` is one of unified memory: no call asked for it, it runs on no stream, and a kernel that needs the page waits
for it."""
COMPUTE, COMM, H2D, D2H, D2D, P2P, MEMORY_SET, GRAPH_LAUNCH, OTHER, MIGRATION = range(len(KINDS))
COPIES = (H2D, D2H, D2D, P2P)

_PROCESS_MASK = np.int64(-(1 << 24))  # 0xFFFFFFFFFF000000 as a signed number


def process_of(thread: Int64) -> Int64:
    """globalTid -> globalPid: masked, never divided, because SQLite's integers are signed."""
    return mapped(thread, lambda distinct: np.bitwise_and(distinct, _PROCESS_MASK))


def pid_of(key: int) -> int:
    """The operating system's process id in a globalPid or globalTid."""
    return (key >> 24) & 0xFFFFFF


@dataclass(frozen=True, slots=True, eq=False)
class Operations(Rows):
    """GPU operations, one a row of KERNEL, MEMCPY, MEMSET and GRAPH_TRACE.

    table, kind    indices into TABLES and KINDS
    row            the table's rowid, so that anyone can look it up
    process        globalPid; correlation ids, devices and contexts are meaningful only within a process
    gpu            index into `Trace.gpus`: the physical device
    name           index into `Trace.strings` (-1: none): the short name, else the full one
    full_name      index into `Trace.strings` (-1: none): a kernel's demangled name, with template arguments
    bytes          copied or set, -1 for kernels
    blocks         of a kernel's grid; 0 for all that is none, and where the export does not say
    copies         how many copies a record stands for: a batch has one record; 1 for all that is no copy
    graph_node     0 unless it ran as a node of a graph
    pageable       a copy that was staged through pageable host memory
    launch         index into `Trace.calls` of the call that submitted it, -1 if there is none
    """

    table: NDArray[np.int8]
    row: Int64
    process: Int64
    device: Int64
    context: Int64
    stream: Int64
    gpu: Int64
    start: Int64
    end: Int64
    correlation: Int64
    kind: NDArray[np.int8]
    name: Int64
    full_name: Int64
    bytes: Int64
    blocks: Int64
    copies: Int64
    graph_node: Int64
    pageable: NDArray[np.bool_]
    launch: Int64

    def of_kind(self, *kinds: int) -> Self:
        """The operations of these classes."""
        return self.take(any_of(self.kind, kinds))

    def lanes(self) -> NDArray[Any]:
        """A small number for each (process, device, context, stream), equal for operations of one stream."""
        return joined([self.codes(name) for name in ("process", "device", "context", "stream")])[0]


@dataclass(frozen=True, slots=True, eq=False)
class Calls(Rows):
    """CUDA API calls, runtime and driver; `effect` is a code of `api`. `name` indexes `Trace.strings`.

    `outermost` marks the call that stands for its correlation id: a runtime call hides the driver call inside it. `made_node`
    marks calls during which their thread made a graph node: for a launch, it means that a stream captured it.
    """

    row: Int64
    start: Int64
    end: Int64
    process: Int64
    thread: Int64
    correlation: Int64
    name: Int64
    result: Int64
    effect: NDArray[np.int8]
    outermost: NDArray[np.bool_]
    made_node: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Ranges(Rows):
    """NVTX push/pop and start/end ranges. `text`, `domain`, `category` index `Trace.strings` (-1: none).

    is_open    never closed: `end` is where the trace ends
    start_end  a start/end range rather than push/pop
    level      nesting depth on its thread and domain, 0 outside; -1 for start/end ranges
    parent     row index of the enclosing range, -1 if there is none
    payload    an integer payload, valid where has_payload (floating payloads stay in `payload_float`, NaN if none)
    """

    row: Int64
    start: Int64
    end: Int64
    is_open: NDArray[np.bool_]
    start_end: NDArray[np.bool_]
    process: Int64
    thread: Int64
    end_thread: Int64
    domain: Int64
    text: Int64
    category: Int64
    level: Int64
    parent: Int64
    payload: Int64
    has_payload: NDArray[np.bool_]
    payload_float: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Marks(Rows):
    """NVTX marks: instants with a name. `text`, `domain`, `category` index `Trace.strings` (-1: none)."""

    row: Int64
    time: Int64
    process: Int64
    thread: Int64
    domain: Int64
    text: Int64
    category: Int64


@dataclass(frozen=True, slots=True, eq=False)
class Stated(Rows):
    """What libraries say of the communication that they were asked for: NCCL in the payloads of its NVTX ranges, PyTorch beside
    its kernels. -1 stands for what is not said.

    row           in NVTX_EVENTS; of a trace of torch.profiler the row of the kernel
    of_kernel     whether it is about the kernel of that row, rather than about a call of its thread
    name          index into `Trace.strings`: `ncclAllReduce`
    communicator  the library's own number of it, 64 bits as they are, 0 where it is not said
    bytes         of one rank's message
    root          the root of a broadcast, a reduction, a gather or a scatter
    peer          whom a message goes to or comes from
    size, rank    ranks of the communicator, and which of them this process is
    """

    row: Int64
    process: Int64
    thread: Int64
    start: Int64
    end: Int64
    of_kernel: NDArray[np.bool_]
    name: Int64
    communicator: Int64
    bytes: Int64
    root: Int64
    peer: Int64
    size: Int64
    rank: Int64


COLUMNS: Mapping[str, type[Rows]] = {
    "operations": Operations,
    "calls": Calls,
    "ranges": Ranges,
    "marks": Marks,
    "stated": Stated,
}
"""What a `Trace` holds in columns, by the name of its field: all that the cache stores and reads back."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """A physical device; `uuid` is "" where the export does not say, and then only (process, device) tells it apart.

    `sm_count` is how many multiprocessors it has, 0 where the export does not say.
    """

    uuid: str
    name: str
    process: int
    device: int
    sm_count: int = 0


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """A message of the profiler; severity 1 info, 2 warning, 3 error."""

    severity: int
    text: str
    process: int


LOSS = re.compile(
    r"Not all (?:CUDA|NVTX) events might have been collected|[Ee]rror when processing events"
    r"|CUPTI dropped [0-9]|CUPTI events might be missing|incomplete CUPTI events dropped"
    r"|CUPTI events were detected incomplete|(?:GPU events|NVTX annotations) were discarded"
    r"|(?:CUDA|NVTX) event processing was stopped|profiling stopped unexpectedly|All event sources failed"
)
"""Messages about lost events, whatever their severity; the texts are taken from nsys 2023.4's own files, and were seen
with 2025.3 after a program was killed."""


class Kept(Protocol):
    """Where tables made of a trace are kept (`cache.derived.Derived`)."""

    def is_of(self, *rows: Rows) -> bool: ...
    def get(self, name: str) -> dict[str, NDArray[Any]] | None: ...
    def table(self, name: str, make: Callable[[], dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]: ...


@dataclass(frozen=True, slots=True)
class Trace:
    """One export, read once. `invalid` counts rows that were left out, by reason and table; `said_rank` is what the environment of
    the program, or PyTorch, called its rank. `kept` has tables made of it by those who asked before."""

    path: Path
    schema: Schema
    strings: tuple[str, ...]
    operations: Operations
    calls: Calls
    ranges: Ranges
    gpus: tuple[Gpu, ...]
    diagnostics: tuple[Diagnostic, ...] | None
    rows: Mapping[str, int]
    invalid: Mapping[tuple[str, str], int]
    start_utc_ns: int | None
    end: int
    marks: Marks
    stated: Stated
    said_rank: int | None = None
    kept: Kept | None = field(default=None, compare=False, repr=False)

    @property
    def derived(self) -> Kept | None:
        """What is known of exactly these rows; None of a trace that is not in the cache, or was changed since."""
        mine = self.kept is not None and self.kept.is_of(self.operations, self.calls, self.ranges)
        return self.kept if mine else None

    def table(self, name: str, make: Callable[[], dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
        """A table made of all of this trace, or the one that was made before; `name` says what decides it besides the trace."""
        return make() if self.derived is None else self.derived.table(name, make)

    @property
    def tables(self) -> tuple[str, ...]:
        """What this export calls each of TABLES."""
        return tuple(self.schema.called(table) for table in TABLES)

    def text(self, index: int) -> str:
        """The string of an index; "" for -1."""
        return self.strings[index] if index >= 0 else ""

    def path_of(self, index: int) -> str:
        """A range's names from the outside in, `outer/inner`."""
        names: list[str] = []
        while index >= 0:
            names.append(self.text(int(self.ranges.text[index])))
            index = int(self.ranges.parent[index])
        return "/".join(reversed(names))
