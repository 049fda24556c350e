"""What a forger may do to the rows that numbers are made of: those of the trace, and those of the counters."""

from __future__ import annotations

import csv
import io
import json
import lzma
import random
import re
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from forgery import PROOF, Files, Mutation, both, pack, pages_of, rehashed


def trace(files: Files, chance: random.Random, count: int) -> Iterator[Mutation]:
    """Rows that numbers rest on, and what no scrubbed trace holds."""
    for name in (name for name in files if name.endswith(".sqlite.xz")):
        named = (name, PROOF, name.rpartition("/")[0], *pages_of(files))
        plain = lzma.decompress(files[name])
        proof = json.loads(files[PROOF])["proofs"][name.split("/")[1]]
        rows, iteration = _rows_of(proof), chance.choice(list(proof["selectors"].values()))["range"]["row"]
        for table, row in chance.sample(rows, count):
            for statement in (
                f"update {table} set end = end + 1 where rowid = {row}",
                f"update {table} set start = start - 1 where rowid = {row}",
                f"delete from {table} where rowid = {row}",
            ):
                yield from _row(statement, files, name, plain, statement, named)
        for statement in (*(one.format(iteration=iteration) for one in READ), *LEFT_OUT):
            yield from _row(statement, files, name, plain, statement, named)
        packed = files[name]
        for what, data in (
            ("no xz", b"no xz"),
            ("cut", packed[:-40]),
            ("twice", packed + packed),
            ("with padding", packed + bytes(4)),
            ("with bytes behind it", packed + b"9.99 times faster"),
            ("by LZMA alone", lzma.compress(plain, lzma.FORMAT_ALONE, preset=0)),
            ("with bytes behind its pages", lzma.compress(plain + b"9.99", preset=0)),
            ("with bytes in its header", lzma.compress(plain[:72] + b"9.99" + plain[76:], preset=0)),
        ):
            yield from both(f"the trace {what}", files, {**files, name: data}, *named)


READ = (
    "update NVTX_EVENTS set end = start + 1 where rowid = {iteration}",
    "update NVTX_EVENTS set text = 'other', textId = null where rowid = {iteration}",
    "delete from NVTX_EVENTS where rowid = {iteration}",
    "update StringIds set value = 'сhain' where id in (select shortName from CUPTI_ACTIVITY_KIND_KERNEL)",
    "update DIAGNOSTIC_EVENT set text = 'Number of CUDA events collected: 1.' where text like '%CUDA events%'",
)


LEFT_OUT = (
    "create table forged (x)",
    "create index forged on StringIds (value)",
    "create view forged as select 1",
    "create trigger forged after insert on NVTX_EVENTS begin select 1; end",
    "alter table NVTX_EVENTS add column note TEXT default '9.99 times faster'",
    "alter table CUPTI_ACTIVITY_KIND_KERNEL rename to CUPTI_ACTIVITY_KIND_KERNEL_V99",
    "insert into StringIds values (999999, '9.99 times faster')",
    "insert into META_DATA_CAPTURE (name, value) values ('PROCESS_0:ARGUMENT_1', 'train.py')",
    "insert into ThreadNames values (1, 0, 1)",
    "update NVTX_EVENTS set jsonText = '9.99 times faster'",
    "pragma application_id = 999",
    "pragma user_version = 999",
    "create table t (x); insert into t values (zeroblob(50000)); drop table t",
    "pragma page_size = 8192; vacuum",
    "pragma auto_vacuum = 1; vacuum",
    "pragma encoding = 'UTF-16'; pragma page_size = 1024; vacuum",
)


def _rows_of(proof: Any) -> list[tuple[str, int]]:
    """Table and row of every operation of a measured iteration."""
    spans = [pair for one in proof["selectors"].values() for pair in one["operations"].items()]
    return [(table, row) for table, ends in spans for first, last in ends for row in range(first, last + 1)]


def unread_rows(files: Files, chance: random.Random, count: int) -> Iterator[Mutation]:
    for name in (name for name in files if name.endswith(".sqlite.xz")):
        named, plain = (name, PROOF, name.rpartition("/")[0], *pages_of(files)), lzma.decompress(files[name])
        for table in ("KERNEL", "MEMCPY", "MEMSET", "RUNTIME", "SYNCHRONIZATION"):
            table = f"CUPTI_ACTIVITY_KIND_{table}"
            for row in chance.sample(range(1, 100), count):
                statement = f"update {table} set end = end + 1 where rowid = (select min(rowid) + {row} % count(*) from {table})"
                yield from _row(f"{table} row {row} ends 1 ns later", files, name, plain, statement, named)
        for statement in (
            "update TARGET_INFO_SESSION_START_TIME set utcEpochNs = utcEpochNs + 1",
            "update TARGET_INFO_GPU set name = 'NVIDIA B200'",
            "update TARGET_INFO_CUDA_STREAM set priority = priority + 1",
            "update ENUM_CUDA_MEMCPY_OPER set label = 'x' where id = 1",
            "vacuum",
        ):
            yield from _row(statement, files, name, plain, statement, named)
        other = {**files, name: lzma.compress(plain, preset=0)}
        yield from both("the same trace packed otherwise", files, other, *named)


def counters(files: Files, chance: random.Random, count: int) -> Iterator[Mutation]:
    for name in (name for name in files if name.endswith("counters.csv")):
        named = (name, PROOF, name.rpartition("/")[0], *pages_of(files))
        rows = list(csv.reader(io.StringIO(files[name].decode())))
        used = [c for c, metric in enumerate(rows[0]) if re.search(r"dram__bytes|_pred_on|ops_path_tensor", metric)]
        cells = [(r, c) for r in range(2, len(rows)) for c in range(len(rows[0])) if rows[r][c].isdigit() and c in used]
        for r, c in chance.sample(cells, count):
            other = [list(row) for row in rows]
            other[r][c] = str(int(rows[r][c]) * 3 + 1)
            yield from both(f"counters: {rows[0][c]} of row {r}", files, {**files, name: _csv(other)}, *named)
        forms = {
            "a row gone": rows[:-1],
            "a row twice": [*rows, rows[-1]],
            "a column more": [[*row, "9.99"] for row in rows],
            "another unit": [rows[0], [*rows[1][:-1], "Kbyte"], *rows[2:]],
            "another name": [*rows[:2], *([*row[:3], f"x{row[3]}", *row[4:]] for row in rows[2:])],
        }
        for what, other in forms.items():
            yield from both(f"counters: {what}", files, {**files, name: _csv(other)}, *named)
        yield from both("counters: a line more", files, {**files, name: files[name] + b"\n"}, *named)
        yield from both("counters: a word before", files, {**files, name: b"9.99 times faster\n" + files[name]}, *named)
        yield from both("counters: none", files, {**files, name: b""}, *named)


def _csv(rows: list[list[str]]) -> bytes:
    target = io.StringIO(newline="")
    csv.writer(target, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return target.getvalue().encode()


def _row(what: str, files: Files, name: str, plain: bytes, sql: str, named: tuple[str, ...]) -> Iterator[Mutation]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.sqlite"
        path.write_bytes(plain)
        with closing(sqlite3.connect(path)) as database:
            for one in sql.split("; ") if "trigger" not in sql else [sql]:
                database.execute(one)
            database.commit()
        changed = {**files, name: lzma.compress(path.read_bytes(), preset=0)}
    yield Mutation(f"trace: {what}, rehashed", pack(rehashed(files, changed)), named)
