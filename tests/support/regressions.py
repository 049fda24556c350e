"""What a change to a program does to its trace, done to a copy of an export: the regressions that a build must catch."""

from __future__ import annotations

import lzma
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

OPERATIONS = tuple(f"CUPTI_ACTIVITY_KIND_{name}" for name in ("KERNEL", "MEMCPY", "MEMSET"))
RUNTIME = "CUPTI_ACTIVITY_KIND_RUNTIME"


def copied(export: Path, to: Path) -> Path:
    """A copy of an export, unpacked where it is packed."""
    data = export.read_bytes()
    to.write_bytes(lzma.decompress(data) if export.suffix == ".xz" else data)
    return to


@contextmanager
def changed(export: Path) -> Iterator[Export]:
    """The export to be changed in place."""
    with closing(sqlite3.connect(export)) as database:
        yield Export(database)
        database.commit()


@dataclass(frozen=True)
class Work:
    """One operation: its table and row, times in ns and stream."""

    table: str
    row: int
    start: int
    end: int
    stream: int


@dataclass(frozen=True)
class Export:
    """An export's tables; ranges are named by their text, each change is made to every instance."""

    database: sqlite3.Connection

    def serialise(self, name: str) -> None:
        """One stream instead of several: in each instance everything runs one after the other, on one stream."""
        for work in self._each(name):
            at = work[0].start
            for one in work:
                self._set(one, start=at, end=at + one.end - one.start, streamId=work[0].stream)
                at += one.end - one.start

    def add_sync(self, name: str, call: str = "cudaStreamSynchronize_v3020", inside: str = "") -> None:
        """The host waits once more in each instance; in those alone that lie inside ranges of another name, where it is given."""
        around = self._ranges(inside) if inside else []
        ranges = [
            one for one in self._ranges(name) if not inside or any(a[0] <= one[0] and one[1] <= a[1] for a in around)
        ]
        for start, end, thread in ranges:
            free = self._free(start, end, thread)
            self._call(call, (free, free + 1), thread)
        self._state(len(ranges))

    def rename(self, name: str, new: str, inside: str) -> None:
        """The instances that lie inside ranges of another name are called otherwise."""
        for start, end, thread in self._ranges(inside):
            self.database.execute(
                "UPDATE NVTX_EVENTS SET text = ?, textId = NULL WHERE globalTid = ? AND start >= ? AND end <= ? AND eventType = 59 "
                "AND coalesce(text, (SELECT value FROM StringIds WHERE id = textId)) = ?",
                [new, thread, start, end, name],
            )

    def unroll_graphs(self, name: str) -> None:
        """Each graph launch of an instance becomes a launch for each of its kernels."""
        added = 0
        for start, end, thread in self._ranges(name):
            for row, begin, finish, correlation in self._calls(start, end, thread, "cudaGraphLaunch%"):
                kernels = self._kernels_of(correlation, thread)
                step = (finish - begin) // len(kernels)
                self.database.execute(f"DELETE FROM {RUNTIME} WHERE rowid = ?", [row])
                for number, kernel in enumerate(kernels):
                    times = begin + number * step, begin + (number + 1) * step
                    launch = self._call("cudaLaunchKernel_v7000", times, thread)
                    self._update(OPERATIONS[0], kernel, correlationId=launch, graphNodeId=None)
                added += len(kernels) - 1
        self._state(added)

    def drop_kernels(self, name: str) -> None:
        """Every second kernel of each instance is missing in the trace."""
        for work in self._each(name):
            for one in [one for one in work if one.table == OPERATIONS[0]][::2]:
                self.database.execute(f"DELETE FROM {one.table} WHERE rowid = ?", [one.row])

    def grow_gap(self, name: str, by: int) -> None:
        """Nothing runs for another `by` ns somewhere in each instance: all that begins from then on begins later."""
        for work in self._each(name):
            free = [i for i in range(1, len(work)) if work[i].start >= max(one.end for one in work[:i])]
            for one in work[free[0] :]:
                self._set(one, start=one.start + by, end=one.end + by)

    def slow(self, name: str, by: float) -> None:
        """Everything in each instance takes longer by this factor, and begins later accordingly."""
        for work in self._each(name):
            first = work[0].start
            for one in work:
                times = (first + round((time - first) * by) for time in (one.start, one.end))
                self._set(one, **dict(zip(("start", "end"), times, strict=True)))

    def _each(self, name: str) -> Iterator[list[Work]]:
        """The operations of each instance, by start."""
        for start, end, thread in self._ranges(name):
            launched = {correlation for *_, correlation in self._calls(start, end, thread)}
            found = [one for table in OPERATIONS if self._has(table) for one in self._work(table, thread, launched)]
            yield sorted(found, key=lambda one: (one.start, one.end))

    def _work(self, table: str, thread: int, launched: set[int]) -> Iterator[Work]:
        query = f"SELECT rowid, start, end, streamId, correlationId FROM {table} WHERE globalPid = ?"
        for row, start, end, stream, correlation in self.database.execute(query, [thread & ~0xFFFFFF]):
            if correlation in launched:
                yield Work(table, row, start, end, stream)

    def _ranges(self, name: str) -> list[tuple[int, int, int]]:
        query = (
            "SELECT start, end, globalTid FROM NVTX_EVENTS LEFT JOIN StringIds ON id = textId "
            "WHERE coalesce(text, value) = ? AND eventType = 59 ORDER BY start"
        )
        found = self.database.execute(query, [name]).fetchall()
        assert found, f"no range is called {name}"
        return found

    def _calls(self, start: int, end: int, thread: int, like: str = "%") -> list[tuple[int, int, int, int]]:
        query = (
            f"SELECT r.rowid, start, end, correlationId FROM {RUNTIME} r JOIN StringIds ON id = nameId "
            "WHERE start >= ? AND end <= ? AND globalTid = ? AND value LIKE ? ORDER BY start"
        )
        return self.database.execute(query, [start, end, thread, like]).fetchall()

    def _free(self, start: int, end: int, thread: int) -> int:
        """A moment inside the range at which the thread is in no call."""
        after = max([finish for *_, finish, _ in self._calls(start, end, thread)], default=start)
        assert after + 1 <= end
        return after

    def _kernels_of(self, correlation: int, thread: int) -> list[int]:
        query = f"SELECT rowid FROM {OPERATIONS[0]} WHERE correlationId = ? AND globalPid = ? ORDER BY start"
        return [row for (row,) in self.database.execute(query, [correlation, thread & ~0xFFFFFF])]

    def _call(self, name: str, times: Sequence[int], thread: int) -> int:
        """A new API call; returns its correlation id."""
        (known,) = self.database.execute("SELECT max(id) FROM StringIds").fetchone()
        found = self.database.execute("SELECT id FROM StringIds WHERE value = ?", [name]).fetchone()
        if not found:
            self.database.execute("INSERT INTO StringIds VALUES (?, ?)", [known + 1, name])
        (last,) = self.database.execute(f"SELECT max(correlationId) FROM {RUNTIME}").fetchone()
        self.database.execute(
            f"INSERT INTO {RUNTIME} (start, end, eventClass, globalTid, correlationId, nameId, returnValue) "
            "VALUES (?, ?, 0, ?, ?, ?, 0)",
            [*times, thread, last + 1, found[0] if found else known + 1],
        )
        return int(last) + 1

    def _state(self, more: int) -> None:
        """The trace states so many events more, as nsys would."""
        query = "SELECT rowid, text FROM DIAGNOSTIC_EVENT WHERE text LIKE 'Number of CUDA events collected:%'"
        row, text = self.database.execute(query).fetchone()
        count = int(re.sub(r"\D", "", text))
        self._update("DIAGNOSTIC_EVENT", row, text=f"Number of CUDA events collected: \t{count + more}.")

    def _set(self, one: Work, **values: int) -> None:
        self._update(one.table, one.row, **values)

    def _update(self, table: str, row: int, **values: object) -> None:
        columns = ", ".join(f"{name} = ?" for name in values)
        self.database.execute(f"UPDATE {table} SET {columns} WHERE rowid = ?", [*values.values(), row])

    def _has(self, table: str) -> bool:
        return bool(self.database.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [table]).fetchone())
