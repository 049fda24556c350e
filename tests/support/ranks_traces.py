"""A run of many ranks as files: one process of a real capture again and again, each with a clock and arrivals of its own."""

from __future__ import annotations

import lzma
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import numpy as np

NODE = Path(__file__).parents[1] / "traces" / "two-gpus-node.sqlite.xz"
_OF_PROCESS = {
    "CUPTI_ACTIVITY_KIND_KERNEL": "globalPid",
    "CUPTI_ACTIVITY_KIND_MEMCPY": "globalPid",
    "CUPTI_ACTIVITY_KIND_MEMSET": "globalPid",
    "CUPTI_ACTIVITY_KIND_SYNCHRONIZATION": "globalPid",
    "CUPTI_ACTIVITY_KIND_RUNTIME": "globalTid",
    "NVTX_EVENTS": "globalTid",
    "CUDA_GRAPH_NODE_EVENTS": "globalTid",
}
_COUNTED = ("KERNEL", "MEMCPY", "MEMSET", "RUNTIME")
PID = 641


def only_process(path: Path, pid: int, shift: int = 0) -> None:
    """Leave one process of a trace, its clock set forward, and state its counts."""
    database = sqlite3.connect(path)
    for table, column in _OF_PROCESS.items():
        database.execute(f"delete from {table} where (({column} >> 24) & 16777215) != {pid}")
        database.execute(f"update {table} set start = start + {shift}, end = end + {shift}")
    database.execute("update TARGET_INFO_SESSION_START_TIME set utcEpochNs = utcEpochNs - ?", (shift,))
    count = sum(database.execute(f"select count(*) from CUPTI_ACTIVITY_KIND_{t}").fetchone()[0] for t in _COUNTED)
    nvtx = database.execute("select count(*) from NVTX_EVENTS").fetchone()[0]
    for kind, number in (("CUDA", count), ("NVTX", nvtx)):
        said, like = f"Number of {kind} events collected: {number:,}.", f"Number of {kind} events collected%"
        rows = [row for (row,) in database.execute("select rowid from DIAGNOSTIC_EVENT where text like ?", (like,))]
        database.executemany("delete from DIAGNOSTIC_EVENT where rowid = ?", [(row,) for row in rows[1:]])
        database.execute("update DIAGNOSTIC_EVENT set text = ? where rowid = ?", (said, rows[0]))
    database.commit()
    database.execute("vacuum")
    database.close()


@dataclass
class Base:
    """A trace of one process, its communication kernels in the order of their launches."""

    content: bytes
    rows: list[int]
    ends: list[int]


def base(folder: Path) -> Base:
    path = folder / "base.sqlite"
    path.write_bytes(lzma.decompress(NODE.read_bytes()))
    only_process(path, PID)
    with sqlite3.connect(path) as database:
        # what the calls did between takes time to read and nothing else: every launch stays
        found = database.execute(
            """select k.rowid, k.end from CUPTI_ACTIVITY_KIND_KERNEL k join StringIds s on s.id = shortName
            where s.value like 'nccl%' order by k.start"""
        ).fetchall()
    content = path.read_bytes()
    path.unlink()
    return Base(content, [row for row, _ in found], [end for _, end in found])


def write(folder: Path, of: Base, rank: int, seed: int = 1, late: int = 0) -> Path:
    """rank0007.sqlite of the run `seed`, whose clock is ahead by up to 40 ms; `late` ns later than others by chance are."""
    every, own = np.random.default_rng(seed), np.random.default_rng([seed, rank])
    ends = [end + int(every.integers(0, 400_000)) for end in of.ends]
    ahead = int(own.integers(-40_000_000, 40_000_000)) if rank else 0
    path = folder / f"rank{rank:04d}.sqlite"
    path.write_bytes(of.content)
    database = sqlite3.connect(path)
    database.execute("pragma journal_mode = off")
    for row, end in zip(of.rows, ends, strict=True):
        start = end - 140_000 - int(own.integers(0, 60_000)) + late
        left = end + int(own.integers(0, 6_000))
        database.execute("update CUPTI_ACTIVITY_KIND_KERNEL set start = ?, end = ? where rowid = ?", (start, left, row))
    for table in _OF_PROCESS:
        database.execute(f"update {table} set start = start + {ahead}, end = end + {ahead}")
    database.execute("update TARGET_INFO_SESSION_START_TIME set utcEpochNs = utcEpochNs - ?", (ahead,))
    database.commit()
    database.close()
    return path
