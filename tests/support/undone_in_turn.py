"""A capture in which an optimization was undone: half of the measured iterations of another variant, the baseline most often, bear
the name of the optimized one, whose own are gone, in the trace and in the manifest alike. What is left is what such a program
would have recorded.
"""

from __future__ import annotations

import itertools
import json
import lzma
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aisp_prof.profiler.store.captures import Capture

RUNTIME = "CUPTI_ACTIVITY_KIND_RUNTIME"
OF_CALLS = tuple(
    f"CUPTI_ACTIVITY_KIND_{name}" for name in ("KERNEL", "MEMCPY", "MEMSET", "SYNCHRONIZATION", "CUDA_EVENT")
)
STATED = "Number of CUDA events collected:"


@dataclass(frozen=True)
class Undone:
    """The variant whose optimization is undone, and the one that runs in its place."""

    variant: str = "optimized"
    by: str = "baseline"

    def name_of(self, variant: str, number: int) -> str | None:
        """What the `number`-th iteration of a variant is called afterwards; None for one that is gone.

        Every other of what runs in the place of another; of all others every other is gone, so that all have taken turns.
        """
        if variant == self.by:
            return (self.by, self.variant)[number % 2]
        return None if variant == self.variant or number % 2 else variant

    def make(self, capture: Capture, trace: Path) -> dict[str, Any]:
        """Write the trace to `trace`, and return the manifest that belongs to it."""
        assert capture.trace_path is not None
        trace.write_bytes(lzma.decompress(capture.trace_path.read_bytes()))
        declaration = capture.manifest.declaration
        with closing(sqlite3.connect(trace)) as database:
            _Export(database, self).change(declaration.key, declaration.names)
            database.commit()
        manifest: dict[str, Any] = json.loads(json.dumps(capture.manifest.to_json()))
        for run in manifest["runs"].values():
            run["iterations"] = list(self._listed(run["iterations"]))
            run["order"] = [one["variant"] for one in run["iterations"]]
        return manifest

    def _listed(self, iterations: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        places: dict[str, int] = {}
        for one in iterations:
            if name := self.name_of(one["variant"], one["index"]):
                yield {**one, "variant": name, "index": places.setdefault(name, 0)}
                places[name] += 1


@dataclass(frozen=True)
class _Range:
    row: int
    start: int
    end: int
    thread: int


class _Export:
    def __init__(self, database: sqlite3.Connection, undone: Undone) -> None:
        self.database, self.undone = database, undone
        self.tables = [table for table in (RUNTIME, *OF_CALLS) if self._has(table)]
        for table in self.tables:
            self.database.execute(f"CREATE INDEX IF NOT EXISTS undone_{table} ON {table} (correlationId)")

    def change(self, key: str, variants: Sequence[str]) -> None:
        counted = self._counted()
        measured = {variant: self._ranges(f"{key}.{variant}.measure") for variant in variants}
        windows = {variant: self._ranges(f"{key}.{variant}.window") for variant in variants}
        places: dict[str, int] = {}
        for variant, ranges in measured.items():
            for number, (range_, window) in enumerate(zip(ranges, windows[variant], strict=True)):
                self._iteration(key, self.undone.name_of(variant, number), range_, window, places)
        self._state(sum(self._count(table) for table in counted))

    def _iteration(self, key: str, name: str | None, range_: _Range, window: _Range, places: dict[str, int]) -> None:
        (iteration,) = self._ranges("iter", range_)
        if name is None:
            self._remove_work(range_)
            for one in (range_, window, iteration):
                self._rename(one, "left out")
            return
        self._rename(range_, f"{key}.{name}.measure")
        self._rename(window, f"{key}.{name}.window")
        self._renumber(iteration, places.setdefault(name, 0))
        places[name] += 1

    def _ranges(self, name: str, inside: _Range | None = None) -> list[_Range]:
        query = (
            "SELECT n.rowid, start, end, globalTid FROM NVTX_EVENTS n LEFT JOIN StringIds ON id = textId "
            "WHERE coalesce(text, value) = ? AND eventType IN (59, 60)"
        )
        found, values = query, [name]
        if inside is not None:
            found, values = f"{query} AND start >= ? AND end <= ?", [name, inside.start, inside.end]
        return [_Range(*row) for row in self.database.execute(f"{found} ORDER BY start", values)]

    def _remove_work(self, range_: _Range) -> None:
        """All calls of the process in this time, and what they launched; autograd's too, which has a thread of its own."""
        query = f"SELECT correlationId FROM {RUNTIME} WHERE start >= ? AND end <= ? AND globalTid & ~16777215 = ?"
        process = range_.thread & ~0xFFFFFF
        for (correlation,) in self.database.execute(query, [range_.start, range_.end, process]).fetchall():
            for table in self.tables:
                self.database.execute(f"DELETE FROM {table} WHERE correlationId = ?", [correlation])

    def _rename(self, range_: _Range, name: str) -> None:
        self.database.execute("UPDATE NVTX_EVENTS SET text = ?, textId = NULL WHERE rowid = ?", [name, range_.row])

    def _renumber(self, range_: _Range, index: int) -> None:
        columns = [row[1] for row in self.database.execute("PRAGMA table_info(NVTX_EVENTS)")]
        of_payload = [name for name in ("uint64Value", "int64Value", "uint32Value", "int32Value") if name in columns]
        for name in of_payload:
            query = f"UPDATE NVTX_EVENTS SET {name} = ? WHERE rowid = ? AND {name} IS NOT NULL"
            self.database.execute(query, [index, range_.row])

    def _counted(self) -> tuple[str, ...]:
        """The tables whose rows add up to the number of events that the trace states."""
        stated = int(re.sub(r"\D", "", self._stated()[1]))
        for size in range(len(self.tables), 0, -1):
            for tables in itertools.combinations(self.tables, size):
                if sum(self._count(table) for table in tables) == stated:
                    return tables
        raise AssertionError(f"no tables have {stated} rows together")

    def _state(self, count: int) -> None:
        row, _ = self._stated()
        self.database.execute("UPDATE DIAGNOSTIC_EVENT SET text = ? WHERE rowid = ?", [f"{STATED} \t{count}.", row])

    def _stated(self) -> tuple[int, str]:
        found = self.database.execute(f"SELECT rowid, text FROM DIAGNOSTIC_EVENT WHERE text LIKE '{STATED}%'")
        row, text = found.fetchone()
        return int(row), str(text)

    def _count(self, table: str) -> int:
        return int(self.database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    def _has(self, table: str) -> bool:
        return bool(self.database.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [table]).fetchone())
