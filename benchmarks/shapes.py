"""Traces whose shape, not their size, made commands take a time that grew with the square of something: one of each.

    python benchmarks/shapes.py streams OUT.sqlite --events 1000000

Each is an export of schema 3.20 as Nsight Systems writes it, deterministic. `run.py --shapes` measures the commands that they hurt.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]
SCHEMA = json.loads(Path(__file__).with_name("schema_3_20.json").read_text())
BEGIN, APART = 10**9, 5_000
PROCESS = (1 << 48) | (4000 << 24)
"""A globalPid: all work is of one process on one device."""


class Export:
    """An export that grows table by table."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._names: dict[str, int] = {}
        self._collected = 0
        for table, columns in SCHEMA.items():
            connection.execute(f"CREATE TABLE {table} ({columns})")

    def name(self, text: str) -> int:
        return self._names.setdefault(text, len(self._names) + 1)

    def rows(self, table: str, count: int, **columns: Any) -> None:
        """Rows of a table; a column is an array, a list, or one value for all."""
        cells = [_column(column, count) for column in columns.values()]
        marks = ", ".join("?" * len(columns))
        self._connection.executemany(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", zip(*cells, strict=True)
        )
        self._collected += count if table.startswith("CUPTI") else 0

    def calls(
        self, start: Int64, length: int, correlation: Int64, name: str = "cudaLaunchKernel_v7000", tid: Any = 0
    ) -> None:
        self.rows(
            "CUPTI_ACTIVITY_KIND_RUNTIME", len(start), start=start, end=start + length, eventClass=0,
            globalTid=PROCESS + 4000 + np.asarray(tid), correlationId=correlation, nameId=self.name(name), returnValue=0,
        )  # fmt: skip

    def kernels(
        self, start: Int64, length: Any, correlation: Int64, name: Any = "kernel", stream: Any = 7, node: Any = None
    ) -> None:
        called = self.name(name) if isinstance(name, str) else name
        self.rows(
            "CUPTI_ACTIVITY_KIND_KERNEL", len(start), start=start, end=start + length, deviceId=0, contextId=1,
            streamId=stream, correlationId=correlation, globalPid=PROCESS, demangledName=called, shortName=called,
            registersPerThread=32, gridX=1, gridY=1, gridZ=1, blockX=1, blockY=1, blockZ=1, staticSharedMemory=0,
            dynamicSharedMemory=0, localMemoryPerThread=0, localMemoryTotal=0, gridId=correlation, graphNodeId=node,
        )  # fmt: skip

    def launched(self, count: int, length: Any = 3_000, stream: Any = 7, name: Any = "kernel", tid: Any = 0) -> Int64:
        """One kernel after the other, each launched by a call of its own; when the calls begin."""
        number = np.arange(count)
        begin = BEGIN + APART * number
        self.calls(begin, 2_000, number + 100, tid=tid)
        self.kernels(begin + 4_000, length, number + 100, name, stream)
        return begin

    def ranges(self, start: Int64, end: Any, text: Any, tid: Any = 0) -> None:
        self.rows(
            "NVTX_EVENTS", len(start), start=start, end=end, eventType=59, text=text,
            globalTid=PROCESS + 4000 + np.asarray(tid), domainId=0,
        )  # fmt: skip

    def close(self) -> None:
        """What an export says of itself."""
        put = self._connection.execute
        self._connection.executemany("INSERT INTO StringIds VALUES (?, ?)", [(i, t) for t, i in self._names.items()])
        put("INSERT INTO META_DATA_EXPORT VALUES ('EXPORT_SCHEMA_VERSION', '3.20.3')")
        put("INSERT INTO META_DATA_EXPORT VALUES ('EXPORT_PRODUCT_NAME', 'NVIDIA Nsight Systems')")
        put("INSERT INTO META_DATA_CAPTURE VALUES ('PROCESS_0:CUDA_GRAPH_TRACE_OPTIONS:MODE', 'Node')")
        uuid = "00000000-0000-4000-8000-000000000000"
        put("INSERT INTO TARGET_INFO_GPU (vmId, id, name, uuid, smCount) VALUES (0, 0, 'NVIDIA H200', ?, 132)", (uuid,))
        put("INSERT INTO TARGET_INFO_CUDA_DEVICE VALUES (0, 0, 4000)")
        put("INSERT INTO PROCESSES VALUES (?, 4000, 'shape')", (PROCESS,))
        text = f"Number of CUDA events collected: \t{self._collected:,}."
        put("INSERT INTO DIAGNOSTIC_EVENT VALUES (0, 2, 3, 1, ?, ?)", (text, PROCESS))


def _column(column: Any, count: int) -> Sequence[Any]:
    if isinstance(column, list):
        return column
    if isinstance(column, np.ndarray) and column.ndim:
        return list(column.tolist())
    return [column.item() if isinstance(column, np.ndarray | np.generic) else column] * count


def nested(export: Export, events: int) -> None:
    """Ranges 50 deep around 50 kernels each."""
    begin, depth = export.launched(events), np.arange(50)
    start = begin[:: len(depth)][:, None] - 200 + 2 * depth
    end = begin[len(depth) - 1 :: len(depth)][:, None] + 2_500 + (len(depth) - depth)
    start = start[: len(end)]
    export.ranges(start.ravel(), end.ravel(), [f"depth {d}" for d in depth.tolist()] * len(start))


def names(export: Export, events: int) -> None:
    """A tenth as many kernel names as kernels."""
    ids = np.array(
        [export.name(f"void triton_poi_fused_{k}<float, {k}>(float*, int)") for k in range(max(events // 10, 1))]
    )
    begin = export.launched(events, name=ids[np.arange(events) % len(ids)])
    export.ranges(begin[::10] - 10, begin[::10] + 9 * APART + 2_500, "step")


def around_all(export: Export, events: int) -> None:
    """One range around everything."""
    begin = export.launched(events)
    export.ranges(begin[:1] - 10, begin[-1:] + 10**6, "all")


def texts(export: Export, events: int) -> None:
    """A text of its own for each range, as PyTorch's emit_nvtx writes."""
    begin = export.launched(events)
    export.ranges(
        begin - 10,
        begin + 2_500,
        [f"aten::linear, seq = {k}, op_id = {7 * k}, sizes = [[128, 1024]]" for k in range(events)],
    )


def streams(export: Export, events: int) -> None:
    """2000 streams (fewer of few kernels), whose kernels all share as much time with their neighbours."""
    begin = export.launched(events, 3_000_000, 7 + np.arange(events) % min(2_000, max(events // 100, 2)))
    export.ranges(begin[::10] - 10, begin[::10] + 9 * APART + 2_500, "step")


def opened(export: Export, events: int) -> None:
    """Ranges that are opened and never closed, one for every twenty kernels."""
    begin = export.launched(events)[::20] - 10
    export.ranges(begin, [None] * len(begin), "forward")


def threads(export: Export, events: int) -> None:
    """A thread for every ten launches."""
    tid = np.arange(events) // 10
    begin = export.launched(events, 500, tid=tid)
    export.ranges(begin[::10] - 10, begin[::10] + 9 * APART + 2_500, "request", tid=tid[::10])


def graphs(export: Export, events: int) -> None:
    """Graphs of 1000 kernels (fewer of few), on four streams."""
    nodes = min(1_000, max(events // 10, 1))
    number, graph = np.arange(events), np.arange((events + nodes - 1) // nodes)
    begin = BEGIN + graph * 3_100 * nodes
    export.calls(begin, 20_000, graph + 100, "cudaGraphLaunch_v10000")
    start = begin[number // nodes] + 30_000 + number % nodes * 3_000
    export.kernels(start, 2_500, number // nodes + 100, "node", 7 + number % 4, (1 << 32) + number % nodes)
    export.ranges(begin - 10, begin + 25_000, "step")


def persistent(export: Export, events: int) -> None:
    """One kernel runs all the time beside all others: work can be cut nowhere."""
    length, stream = np.full(events, 3_000), np.full(events, 7)
    length[0], stream[0] = events * APART, 99
    begin = export.launched(events, length, stream)
    export.ranges(begin[::10] - 10, begin[::10] + 9 * APART + 2_500, "step")


def instances(export: Export, events: int) -> None:
    """8000 instances of a range (fewer of few kernels), which run two kernels in turn."""
    each = max(events // 8_000, 4)
    ids = np.array([export.name("first"), export.name("second")])
    begin = export.launched(events, name=ids[np.arange(events) % 2])
    export.ranges(begin[::each] - 10, begin[::each] + (each - 1) * APART + 2_500, "step")


@dataclass(frozen=True, slots=True)
class Asked:
    """A command that a shape hurt (TRACE is its file, OUT a file to write), and the processor seconds that are wanted of it."""

    words: tuple[str, ...]
    wanted: float


@dataclass(frozen=True, slots=True)
class Shape:
    """What makes the trace, for how many events the issue was seen, and the commands that it hurt."""

    make: Callable[[Export, int], None]
    events: int
    commands: tuple[Asked, ...]


def _most(wanted: float = 2) -> Asked:
    return Asked(("assert", "TRACE", "max_in_flight >= 1"), wanted)


def _overlap(a: str, wanted: float) -> Asked:
    return Asked(("trace", "overlap", "TRACE", "--a", a, "--b", "compute"), wanted)


def _summary(wanted: float) -> Asked:
    return Asked(("trace", "summary", "TRACE"), wanted)


_DIFF = ("trace", "diff", "TRACE", "TRACE", "--range-a", "step", "--range-b", "step")
_ORDER = ("assert", "TRACE", "--range", "step=step", "order_violations(first, second) == 0")
_ROWS = Asked(("trace", "ranges", "TRACE", "-o", "OUT"), 3)
SHAPES: Mapping[str, Shape] = {
    "graphs": Shape(graphs, 4_000_000, (_most(3),)),
    "nested": Shape(nested, 1_000_000, (_most(), _overlap("range:*", 3))),
    "names": Shape(names, 1_000_000, (_most(),)),
    "around_all": Shape(around_all, 1_000_000, (_most(),)),
    "texts": Shape(texts, 1_000_000, (_most(), _summary(4))),
    "streams": Shape(streams, 1_000_000, (_overlap("compute", 2), _most())),
    "opened": Shape(opened, 200_000, (_summary(3), _ROWS, _overlap("range:*", 3))),
    "threads": Shape(threads, 200_000, (Asked(("trace", "gaps", "TRACE"), 2),)),
    "persistent": Shape(persistent, 1_000_000, (_summary(4),)),
    "instances": Shape(instances, 1_000_000, (Asked(_DIFF, 3), Asked(_ORDER, 3))),
}


def generate(name: str, path: Path, events: int) -> Path:
    """Write the export; what was at `path` is replaced."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        export = Export(connection)
        SHAPES[name].make(export, events)
        export.close()
        connection.execute("COMMIT")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("out", type=Path)
    parser.add_argument("--events", type=int)
    given = parser.parse_args()
    print(generate(given.shape, given.out, given.events or SHAPES[given.shape].events))


if __name__ == "__main__":
    main()
