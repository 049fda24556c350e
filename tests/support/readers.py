"""Both readers of a trace's tables, this project's by pages and SQLite's own, on one file: they agree, or one refuses.

`scripts/fuzz TRACE.sqlite --readers --count 20000` runs longer than the test-suite does.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from aisp_prof.errors import TraceError
from aisp_prof.profiler.trace.source.file import open_source
from aisp_prof.profiler.trace.source.scan import Scan, Source, Wanted
from aisp_prof.profiler.trace.source.sqlite import quote
from page_mutations import Database, mutations

SOME = 4
"""Of so many tables the readers are compared where a mutation may concern any."""
_KINDS = {"INTEGER": "integers", "REAL": "reals", "TEXT": "texts"}


def readable(content: bytes, page_size: int) -> bytes:
    """The same tables on small pages, with deep trees, texts that overflow, and rows that were deleted and changed."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(content)
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute(f"PRAGMA page_size = {page_size}")
        connection.execute("VACUUM")
        for number, size in ((900_001, 700), (900_002, 5_000), (900_003, 450)):
            connection.execute("INSERT INTO StringIds VALUES (?, ?)", (number, "long name " * (size // 10)))
        connection.execute("UPDATE NVTX_EVENTS SET text = ? WHERE rowid % 9 = 4", ("t" * page_size,))
        connection.execute("DELETE FROM CUPTI_ACTIVITY_KIND_RUNTIME WHERE rowid % 5 = 3")
        connection.execute(
            "UPDATE CUPTI_ACTIVITY_KIND_KERNEL SET end = start + (1 << 33), gridX = NULL WHERE rowid % 7 = 2"
        )
        connection.commit()
        return connection.serialize()


def wanted_of(connection: sqlite3.Connection, table: str) -> Wanted:
    """All columns of a table, by what they were declared as."""
    found: dict[str, list[str]] = {"integers": [], "reals": [], "texts": []}
    for column in connection.execute(f"PRAGMA table_info({quote(table)})"):
        found[_KINDS.get(column[2].upper(), "texts")].append(column[1])
    return Wanted(*(tuple(names) for names in found.values()))


def differences(path: Path, tables: Collection[str] = ()) -> Iterator[str]:
    """Where a table's rows by this project are not the rows that SQLite's library gives. Nothing where either refuses
    what the other refuses too, or this project refuses alone.

    Args:
        tables: those to look at; all of them by default

    Yields:
        what differs, or "refused" for each table that this project refuses
    """
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as library:
        try:
            with open_source(path) as source:
                for table in source.tables():
                    if not tables or table in tables:
                        yield from _of_table(library, source, table)
        except TraceError:
            yield "refused"


def _of_table(library: sqlite3.Connection, source: Source, table: str) -> Iterator[str]:
    library.text_factory = str
    wanted = wanted_of(library, table)
    try:
        scan = source.scan(table, wanted)
    except TraceError:
        yield "refused"
        return
    try:
        rows = by_hand(library, table, wanted)
        joined = f"SELECT count(*) FROM {quote(table)} a NOT INDEXED CROSS JOIN {quote(table)} b NOT INDEXED ON b.rowid = a.rowid"
        found = library.execute(joined).fetchone()[0]
    except sqlite3.Error as error:
        yield f"{table}: read here, and refused by SQLite: {error}"
        return
    if found != len(rows):
        yield f"{table}: {len(scan)} rows, of which SQLite finds {found} by their rowids"
    if what := _differing(scan, rows, wanted):
        yield f"{table}: {what}"


def by_hand(library: sqlite3.Connection, table: str, wanted: Wanted) -> list[tuple[Any, ...]]:
    library.text_factory = bytes
    columns = ", ".join(("rowid", *map(quote, wanted.every)))
    return library.execute(f"SELECT {columns} FROM {quote(table)} NOT INDEXED LIMIT 100000").fetchall()


def _differing(scan: Scan, rows: list[tuple[Any, ...]], wanted: Wanted) -> str:
    if len(scan) != len(rows):
        return f"{len(scan)} rows, by SQLite {len(rows)}"
    ours: list[list[Any]] = [scan.row.tolist()]
    for name in wanted.integers:
        column = scan.integers[name]
        ours.append([None if n else v for v, n in zip(column.values.tolist(), column.is_null.tolist(), strict=True)])
    ours += [[None if np.isnan(v) else v for v in scan.reals[name].tolist()] for name in wanted.reals]
    for name in wanted.texts:
        texts = scan.texts[name]
        ours.append([None if code < 0 else texts.values[code] for code in texts.codes.tolist()])
    theirs = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in ours]
    for name, one, two in zip(("rowid", *wanted.every), ours, theirs, strict=True):
        if name in wanted.texts:
            two = [v if v is None or isinstance(v, bytes) else str(v).encode() for v in two]
        if one != two:
            at = next(k for k in range(len(one)) if one[k] != two[k])
            return f"{name} of row {ours[0][at]} is {one[at]!r}, by SQLite {two[at]!r}"
    return ""


def compared(content: bytes, count: int, seed: int, stop: bool = True) -> Counter[str]:
    """Both readers on `count` mutations of a trace's pages: how many were read alike, and how many refused.

    Raises:
        AssertionError: they answer differently, in silence; the file is kept, unless `stop` is off.
    """
    random, outcomes, db = np.random.default_rng(seed), Counter[str](), Database.read(content)
    tables = sorted({page.table for page in db.pages if page.table})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mutated.sqlite"
        for number, (what, broken) in enumerate(mutations(db, random, count)):
            path.write_bytes(broken)
            found = set(differences(path, db.touched(broken) or random.choice(tables, SOME, replace=False).tolist()))
            if told := found - {"refused"}:
                kept = Path(tempfile.gettempdir()) / f"aisp-readers-{seed}-{number}.sqlite"
                kept.write_bytes(broken)
                message = f"mutation {number} ({what}, seed {seed}), kept as {kept}: {'; '.join(sorted(told))}"
                if stop:
                    raise AssertionError(message)
                print(message, flush=True)
                outcomes["different"] += 1
            else:
                outcomes["refused" if found else "read alike"] += 1
    return outcomes
