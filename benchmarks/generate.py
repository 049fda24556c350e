"""Write a large SQLite export as Nsight Systems would: a training run of several processes, deterministic in its seed.

    python benchmarks/generate.py OUT.sqlite --kernels 10000000

For 10 M kernels: 11 M runtime calls, 1 M copies, 4.5 M NVTX rows, about 1.7 GB. Every kernel lies in three nested ranges
(part, module, operator), forward and backward run on two threads, and each process drives one GPU with four streams.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]
Rows = dict[str, Any]

KERNELS_PER_LEAF, LEAVES_PER_MODULE, MODULES_PER_PART = 2.5, 9, 40
KERNELS_PER_PART = int(KERNELS_PER_LEAF * LEAVES_PER_MODULE * MODULES_PER_PART)
COMPUTE_STREAM, COMM_STREAM, IN_STREAM, OUT_STREAM = 7, 19, 23, 27
SCHEMA = json.loads(Path(__file__).with_name("schema_3_20.json").read_text())


@dataclass(frozen=True, slots=True)
class Names:
    """Ids of StringIds: kernels 1000…, API calls, modules."""

    launch: int = 1
    copy: int = 2
    first_kernel: int = 1000
    kernels: int = 300
    first_nccl: int = 1400
    nccls: int = 6
    first_module: int = 2000
    modules: int = 120

    def rows(self) -> Iterator[tuple[int, str]]:
        yield self.launch, "cudaLaunchKernel_v7000"
        yield self.copy, "cudaMemcpyAsync_v3020"
        for i in range(self.kernels):
            yield self.first_kernel + i, f"void at::native::vectorized_elementwise_kernel<{i % 8}, Functor_{i}>"
        for i in range(self.nccls):
            yield self.first_nccl + i, f"ncclDevKernel_AllReduce_Sum_bf16_RING_LL_{i}"
        for i in range(self.modules):
            yield self.first_module + i, f"module.layers.{i}.self_attn"


NAMES = Names()
OPERATORS = [f"aten::operator_{i}" for i in range(60)] + [
    "cross_entropy_loss_backward_with_a_rather_long_name_of_its_own_" * 2
]


def generate(path: Path, kernels: int, processes: int = 4, seed: int = 20261120) -> Path:
    """Write the export; what was at `path` is replaced."""
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")
    for table, columns in SCHEMA.items():
        connection.execute(f"CREATE TABLE {table} ({columns})")
    totals = {"KERNEL": 0, "MEMCPY": 0, "RUNTIME": 0, "NVTX": 0}
    parts = max(1, round(kernels / KERNELS_PER_PART / processes))
    rng = np.random.default_rng(seed)
    clock = np.full(processes, 1_000_000_000, np.int64)
    free: dict[tuple[int, int], int] = {}
    correlation = np.full(processes, 100, np.int64)
    for first in range(0, parts, 40):
        chunk = [
            _part_block(rng, p, range(first, min(first + 40, parts)), clock, free, correlation)
            for p in range(processes)
        ]
        for table in totals:
            totals[table] += _insert(connection, table, [block[table] for block in chunk])
    _metadata(connection, processes, totals)
    connection.execute("COMMIT")
    connection.close()
    return path


def global_pid(process: int) -> int:
    return (1 << 48) | ((4000 + process) << 24)


def _part_block(
    rng: np.random.Generator,
    process: int,
    parts: range,
    clock: Int64,
    free: dict[tuple[int, int], int],
    correlation: Int64,
) -> dict[str, Rows]:
    """Consecutive parts of one process: host times by a running sum, GPU times by the queues of four streams."""
    n = KERNELS_PER_PART * len(parts)
    leaf = (np.arange(n) / KERNELS_PER_LEAF).astype(np.int64)
    copies = np.flatnonzero(np.arange(n) % 10 == 4)
    kind = np.zeros(n, np.int64)
    kind[np.arange(n) % 10 == 9] = 1  # communication
    calls = np.sort(np.concatenate([np.arange(n) * 2, copies * 2 + 1]))
    is_copy = (calls & 1).astype(bool)
    length = rng.integers(2_000, 6_000, len(calls))
    first_of_leaf = np.diff(leaf[calls >> 1], prepend=-1) > 0
    begin = clock[process] + np.cumsum(length + 800 + 3_000 * first_of_leaf) - length
    clock[process] = begin[-1] + 50_000
    identity = correlation[process] + np.arange(len(calls))
    correlation[process] += len(calls)
    of_kernel, of_copy = ~is_copy, is_copy
    thread = global_pid(process) | (4000 + process)
    tid = thread + ((leaf // (LEAVES_PER_MODULE * MODULES_PER_PART)) % 2)[calls >> 1]  # forward, backward
    run = np.where(kind == 1, rng.integers(10_000, 60_000, n), rng.integers(1_500, 9_000, n))
    start = _queued(begin[of_kernel] + 4_000, run, process, np.where(kind == 1, COMM_STREAM, COMPUTE_STREAM), free)
    size = rng.integers(1 << 10, 1 << 22, len(copies))
    inward = np.arange(len(copies)) % 2 == 0
    copy_run = size // 50 + 1_500
    copy_start = _queued(begin[of_copy] + 4_000, copy_run, process, np.where(inward, IN_STREAM, OUT_STREAM), free)
    name = np.where(
        kind == 1,
        NAMES.first_nccl + rng.integers(0, NAMES.nccls, n),
        NAMES.first_kernel + rng.integers(0, NAMES.kernels, n),
    )
    device = {"deviceId": process, "contextId": 1, "greenContextId": None, "globalPid": global_pid(process)}
    end_of_call = begin + length
    return {
        "RUNTIME": {
            "start": begin,
            "end": end_of_call,
            "eventClass": 0,
            "globalTid": tid,
            "correlationId": identity,
            "nameId": np.where(is_copy, NAMES.copy, NAMES.launch),
            "returnValue": 0,
            "callchainId": None,
        },
        "KERNEL": {
            "start": start,
            "end": start + run,
            "correlationId": identity[of_kernel],
            **device,
            "streamId": np.where(kind == 1, COMM_STREAM, COMPUTE_STREAM),
            "demangledName": name,
            "shortName": name,
            "mangledName": name,
            "launchType": 1,
            "cacheConfig": 1,
            "registersPerThread": 32 + name % 200,
            "gridX": rng.integers(1, 5_000, n),
            "gridY": 1,
            "gridZ": 1,
            "blockX": 128,
            "blockY": 1,
            "blockZ": 1,
            "staticSharedMemory": 0,
            "dynamicSharedMemory": 16_384,
            "localMemoryPerThread": 0,
            "localMemoryTotal": 164_364_288,
            "gridId": identity[of_kernel],
            "sharedMemoryExecuted": 32_768,
            "graphNodeId": None,
            "sharedMemoryLimitConfig": 0,
        },
        "MEMCPY": {
            "start": copy_start,
            "end": copy_start + copy_run,
            "correlationId": identity[of_copy],
            **device,
            "streamId": np.where(inward, IN_STREAM, OUT_STREAM),
            "bytes": size,
            "copyKind": np.where(inward, 1, 2),
            "deprecatedSrcId": None,
            "srcKind": np.where(inward, 1, 2),
            "dstKind": np.where(inward, 2, 1),
            "srcDeviceId": None,
            "srcContextId": None,
            "dstDeviceId": None,
            "dstContextId": None,
            "migrationCause": None,
            "graphNodeId": None,
            "virtualAddress": None,
            "copyCount": 1,
        },
        "NVTX": _nvtx(rng, leaf[calls >> 1], begin, end_of_call, tid, parts),
    }


def _queued(ready: Int64, run: Int64, process: int, stream: Int64, free: dict[tuple[int, int], int]) -> Int64:
    """Starts of operations that wait for their stream: start[i] = max(ready[i], end[i - 1])."""
    start = np.empty(len(run), np.int64)
    for s in np.unique(stream).tolist():
        mine = np.flatnonzero(stream == s)
        before = np.cumsum(run[mine] + 600) - run[mine] - 600
        wait = np.maximum(ready[mine] - before, free.get((process, s), 0))
        start[mine] = before + np.maximum.accumulate(wait)
        free[process, s] = int(start[mine][-1] + run[mine][-1] - 0)
    return start


def _nvtx(rng: np.random.Generator, leaf: Int64, begin: Int64, end: Int64, tid: Int64, parts: range) -> Rows:
    levels = []
    for number, size in enumerate((1, LEAVES_PER_MODULE, LEAVES_PER_MODULE * MODULES_PER_PART)):
        group = leaf // size
        first = np.flatnonzero(np.diff(group, prepend=-1))
        last = np.append(first[1:], len(group)) - 1
        margin = 300 * (number + 1)
        levels.append((number, begin[first] - margin, end[last] + margin // 4, tid[first]))
    start = np.concatenate([level[1] for level in levels])
    depth = np.concatenate([np.full(len(level[1]), level[0]) for level in levels])
    operator = np.array(OPERATORS, object)[rng.integers(0, len(OPERATORS), len(start))]
    text = np.where(depth == 0, operator, np.where(depth == 2, np.array("part", object), np.array(None, object)))
    text_id = np.where(depth == 1, NAMES.first_module + rng.integers(0, NAMES.modules, len(start)), -1).astype(object)
    payload = np.full(len(start), None, object)
    outer = np.flatnonzero(depth == 2)
    payload[outer] = [int(parts[0]) + i for i in range(len(outer))]
    text_id[text_id == -1] = None
    columns = ("rangeId", "endGlobalTid", "uint64Value", "doubleValue", "uint32Value", "int32Value", "floatValue")
    return {
        **dict.fromkeys((*columns, "jsonTextId", "jsonText", "binaryData", "category")),
        "start": start,
        "end": np.concatenate([level[2] for level in levels]),
        "eventType": 59,
        "color": None,
        "text": text,
        "globalTid": np.concatenate([level[3] for level in levels]),
        "textId": text_id,
        "domainId": np.where(depth == 1, 1, 0),
        "int64Value": payload,
    }


_TABLES = {
    "KERNEL": "CUPTI_ACTIVITY_KIND_KERNEL",
    "MEMCPY": "CUPTI_ACTIVITY_KIND_MEMCPY",
    "RUNTIME": "CUPTI_ACTIVITY_KIND_RUNTIME",
    "NVTX": "NVTX_EVENTS",
}


def _insert(connection: sqlite3.Connection, short: str, blocks: list[Rows]) -> int:
    """Rows of all processes in the order of their start, as nsys writes them."""
    names = [part.split()[0] for part in SCHEMA[_TABLES[short]].split(", ")]
    sizes = [len(block["start"]) for block in blocks]
    whole = {
        name: np.concatenate(
            [np.broadcast_to(np.asarray(b[name], object), n) if not isinstance(b[name], np.ndarray) else b[name]
             for b, n in zip(blocks, sizes, strict=True)]
        )
        for name in names
    }  # fmt: skip
    order = np.argsort(whole["start"], kind="stable")
    columns = [whole[name][order].tolist() for name in names]
    marks = ", ".join("?" * len(names))
    connection.executemany(f"INSERT INTO {_TABLES[short]} VALUES ({marks})", zip(*columns, strict=True))
    return sum(sizes)


def _metadata(connection: sqlite3.Connection, processes: int, totals: dict[str, int]) -> None:
    connection.executemany("INSERT INTO StringIds VALUES (?, ?)", NAMES.rows())
    export = [("EXPORT_PRODUCT_NAME", "NVIDIA Nsight Systems"), ("EXPORT_SCHEMA_VERSION", "3.20.3")]
    connection.executemany("INSERT INTO META_DATA_EXPORT VALUES (?, ?)", export)
    connection.execute("INSERT INTO META_DATA_CAPTURE VALUES ('PROCESS_0:CUDA_GRAPH_TRACE_OPTIONS:MODE', 'Node')")
    connection.execute("INSERT INTO TARGET_INFO_SESSION_START_TIME VALUES (1795209738000000000, '', '')")
    for p in range(processes):
        card = (0, p, "NVIDIA H200", f"00000000-0000-4000-8000-00000000000{p}", 132)
        connection.execute("INSERT INTO TARGET_INFO_GPU (vmId, id, name, uuid, smCount) VALUES (?, ?, ?, ?, ?)", card)
        connection.execute("INSERT INTO TARGET_INFO_CUDA_DEVICE VALUES (?, ?, ?)", (p, p, 4000 + p))
        create = "INSERT INTO NVTX_EVENTS (start, eventType, text, globalTid, domainId) VALUES (?, 75, 'model', ?, 1)"
        connection.execute(create, (999_000_000, global_pid(p) | (4000 + p)))
        connection.execute("INSERT INTO PROCESSES VALUES (?, ?, ?)", (global_pid(p), 4000 + p, f"rank{p}"))
    count = totals["KERNEL"] + totals["MEMCPY"] + totals["RUNTIME"]
    text = f"Number of CUDA events collected: \t{count:,}."
    connection.execute("INSERT INTO DIAGNOSTIC_EVENT VALUES (0, 2, 3, 1, ?, ?)", (text, global_pid(0)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--kernels", type=int, default=1_000_000)
    parser.add_argument("--processes", type=int, default=4)
    given = parser.parse_args()
    print(generate(given.out, given.kernels, given.processes))


if __name__ == "__main__":
    main()
