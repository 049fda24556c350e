"""Make a trace publishable: copy what the allow-list allows into a new file, never delete from the old one."""

from __future__ import annotations

import contextlib
import lzma
import re
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ...errors import AispError, TraceError, UsageError
from ...machine.files import remove_abandoned, scratch_folder
from ..trace.schema import METADATA, NVTX, by_plain_name, read_schema
from ..trace.source.file import Export, plain_file, readonly
from ..trace.source.sqlite import SqliteSource, quote
from ..trace.tables.columns import NONE
from ..trace.tables.stated import DECODED, DECODED_COLUMNS, payloads_of
from .allow_list import (
    EMPTY_TABLES,
    STRING_COLUMNS,
    TABLES,
    is_plain_statement,
    row_allowed,
    value_of,
    without_paths,
)
from .leaks import environment_values, leaks
from .names import NameRules, is_call

_FREE_TEXTS = (*METADATA["EXPORT"], *METADATA["CAPTURE"], "DIAGNOSTIC_EVENT")
_KERNEL_NAMES = ("shortName", "demangledName", "mangledName")


def scrub_trace(
    source: Path, target: Path, names: NameRules | None = None, export: Export | None = None, told: str = ""
) -> None:
    """Copy what is allowed of the trace `source` into the new SQLite `target`; `source` is only read.

    Row ids stay, so that a proof's witnesses are found in either file. A `target` that ends in .xz is packed: .xz stores no
    time and no name, so the same trace and libraries give the same bytes.

    Args:
        source: an export, plain or packed, or a report where `export` can export one.
        names: which names of kernels and ranges are told; all by default.
        told: what is published beside the trace, the pair's key: a variable whose value lies in it (a script's loop over
            pairs) gives nothing away.

    Raises:
        UsageError: `target` exists, `source` is a folder, or a write-ahead log lies beside it.
        TraceError: `source` is no SQLite, or has not the form of an export.
        AispError: something private is left in the result, which is removed; or `target` cannot be written.
    """
    if target.exists():
        raise UsageError(f"{target} exists", "name a file that does not")
    if source.is_dir():
        raise UsageError(f"{source} is a folder", "scrub the report's SQLite export: nsys export --type sqlite")
    try:
        remove_abandoned(target.absolute().parent)
        with scratch_folder(target.absolute().parent) as work, plain_file(source, export) as plain:
            made = work / "trace.sqlite"
            _copy_and_check(plain, source, made, names or NameRules(), told)
            if target.suffix == ".xz":
                made = _packed(made, work / "trace.sqlite.xz")
            made.rename(target)
    except OSError as error:
        raise AispError(f"{target}: cannot be written: {error.strerror or error}", "name another --output") from error


def _packed(plain: Path, packed: Path) -> Path:
    with plain.open("rb") as content, lzma.open(packed, "wb", preset=9 | lzma.PRESET_EXTREME) as file:
        shutil.copyfileobj(content, file)
    return packed


def _copy_and_check(plain: Path, shown: Path, made: Path, names: NameRules, told: str) -> None:
    with _copied(plain, shown, made, names) as copy:
        private = list(copy.private_names())
        values = {name: value for name, value in copy.environment() if value not in told}
        left = names.left(copy.sentences()) if names.active else []
    found = leaks(made, private, values)
    found += [f"the hidden name {name!r} is still told" for name in left[:10]]
    if found:
        raise AispError(
            "the scrubbed trace would still hold private things:\n" + "\n".join(found),
            "rename what the program calls so, or hide names: --drop GLOB, --hash-names",
        )


def copy_allowed(plain: Path, shown: Path, made: Path) -> None:
    """Copy what is allowed of the unpacked trace `plain` into the new SQLite `made`, and search it for nothing.

    Raises:
        TraceError: as `scrub_trace`.
        OSError: `made` cannot be written.
    """
    with _copied(plain, shown, made, NameRules()):
        pass


@contextlib.contextmanager
def _copied(plain: Path, shown: Path, made: Path, names: NameRules) -> Iterator[_Copy]:
    with readonly(plain, shown) as connection:  # checks the header, and that no table is a view or worse
        source = SqliteSource(connection, shown)
        tables = list(source.tables())
        payloads = _payloads(source)
    try:
        copy = _Copy(plain, shown, made, tables, names, payloads)
        with contextlib.closing(copy.database):
            copy.everything()
            yield copy
    except sqlite3.Error as error:
        if "full" in str(error) or "disk I/O" in str(error):
            raise OSError(f"the disk is full, or does not answer ({error})") from error
        raise TraceError(f"{shown}: cannot be scrubbed: {error}") from error


def _payloads(source: SqliteSource) -> list[tuple[int, ...]]:
    """What NCCL's payloads say, row by row of NVTX_EVENTS: of a payload these integers are copied and nothing else. None of a trace that
    was scrubbed before, whose table of them is copied like any other."""
    tables = by_plain_name(source.tables())
    if DECODED in tables or not {NVTX, "StringIds"} <= tables.keys():
        return []
    rows, found = payloads_of(source, read_schema(source))
    listed = zip(rows.tolist(), found, strict=True)
    return [(row, *(one.get(name, NONE) for name in DECODED_COLUMNS[1:])) for row, one in listed]


class _Copy:
    """The new database with the old one attached as `raw`."""

    def __init__(
        self,
        source: Path,
        shown: Path,
        target: Path,
        tables: list[str],
        names: NameRules,
        payloads: Sequence[tuple[int, ...]],
    ) -> None:
        self.payloads = payloads
        # As URIs: without uri=True a build of SQLite may take the name of what is attached for a plain file's.
        self.database = database = sqlite3.connect(target.absolute().as_uri(), uri=True)
        self.shown, self.names = shown, names
        database.text_factory = lambda raw: raw.decode("utf-8", "replace")
        database.executescript(
            "pragma trusted_schema = off; pragma journal_mode = off; pragma synchronous = off;"
            "pragma ignore_check_constraints = on;"
        )
        database.create_function("allowed", 3, self._allowed, deterministic=True)
        database.create_function("shown", 1, self._shown)
        database.create_function("named", 1, names.named)
        database.create_function("renamed", 2, self._renamed)
        database.execute("attach ? as raw", (f"{source.absolute().as_uri()}?mode=ro&immutable=1",))
        statements = database.execute("select name, sql from raw.sqlite_master where type = 'table'").fetchall()
        self.statements: Mapping[str, str] = {name: str(sql) for name, sql in statements if name in tables}
        if "StringIds" not in self.statements:
            raise TraceError(f"{shown}: no table StringIds: this is no Nsight Systems export")

    def _allowed(self, table: str, text: object, detail: object) -> bool:
        return row_allowed(table, text, detail, self.names.active)

    def _shown(self, raw: bytes) -> bytes:
        return self.names.hide_in(without_paths(raw.decode("utf-8", "replace"))).encode()

    def _renamed(self, raw: bytes, only_calls: int) -> bytes:
        """A string of StringIds; `only_calls`: 0 a kernel's or a range's name alone, 1 a call's too."""
        return raw if only_calls and is_call(raw) else self.names.named(raw)

    def everything(self) -> None:
        """Copy the allowed tables, then the strings that they refer to, and sentences last: they may hold hidden names."""
        referred: list[tuple[str, str]] = []
        self._decide_kernels()
        for table, sql in self.statements.items():
            if table in EMPTY_TABLES:
                self._create(table, sql)
            if TABLES.fullmatch(table):
                self._create(table, sql)
                referred += [(table, column) for column in self._string_columns(table, sql)]
        copied = [table for table in self.statements if TABLES.fullmatch(table)]
        for table in copied:
            if table not in _FREE_TEXTS:
                self._copy(table)
        self._copy_strings(referred)
        for table in copied:
            if table in _FREE_TEXTS:
                self._copy(table)
        self._put_payloads()
        self.database.commit()

    def _put_payloads(self) -> None:
        if self.payloads:
            columns = ", ".join(f"{name} INTEGER" for name in DECODED_COLUMNS)
            self.database.execute(f"CREATE TABLE {DECODED} ({columns})")
            marks = ", ".join("?" * len(DECODED_COLUMNS))
            self.database.executemany(f"insert into main.{DECODED} values ({marks})", self.payloads)

    def _create(self, table: str, sql: str) -> None:
        if not is_plain_statement(sql, table):
            raise TraceError(f"{self.shown}: table {table} was not created by a statement that nsys writes")
        self.database.execute(sql)

    def _columns(self, table: str) -> list[tuple[str, str, bool]]:
        """(name, declared type, NOT NULL) of each."""
        rows = self.database.execute(f"pragma main.table_info({quote(table)})").fetchall()
        return [(row[1], row[2], bool(row[3])) for row in rows]

    def _copy(self, table: str) -> None:
        columns = self._columns(table)
        names = ", ".join(quote(name) for name, _, _ in columns)
        values = ", ".join(value_of(table, *column, self.names.active) for column in columns)
        where = ""
        if table in _FREE_TEXTS:
            text, detail = ("text", "severity") if table == "DIAGNOSTIC_EVENT" else ("name", "value")
            where = f"where allowed('{table}', {text}, {detail})"
        into, of = f"main.{quote(table)} (rowid, {names})", f"raw.{quote(table)} not indexed"
        self.database.execute(f"insert into {into} select rowid, {values} from {of} {where}")

    def _string_columns(self, table: str, sql: str) -> Iterator[str]:
        declared = set(re.findall(r"^\s*(\w+)[^\n]*REFERENCES StringIds\(id\)", sql, re.MULTILINE))
        for column, _, _ in self._columns(table):
            if column in declared | STRING_COLUMNS:
                yield column

    def _decide_kernels(self) -> None:
        if not self.names.active:
            return
        for table in self.statements:
            if re.fullmatch(r"CUPTI_ACTIVITY_KIND_KERNEL(?:_V\d+)?", table):
                columns = {row[1] for row in self.database.execute(f"pragma raw.table_info({quote(table)})")}
                ids = ", ".join(name for name in _KERNEL_NAMES if name in columns)
                texts = dict(self.database.execute("select id, cast(value as blob) from raw.StringIds").fetchall())
                for row in self.database.execute(f"select distinct {ids} from raw.{quote(table)} not indexed"):
                    self.names.decide(texts.get(one) or b"" for one in row)

    def _copy_strings(self, referred: list[tuple[str, str]]) -> None:
        self._create("StringIds", self.statements["StringIds"])

        def union(calls: bool) -> str:
            chosen = [pair for pair in referred if calls or pair[1] != "nameId"]
            return " union ".join(f"select {quote(c)} from main.{quote(t)}" for t, c in chosen) or "select null"

        value = "value"
        if self.names.active:
            called = " union ".join(f"select {quote(c)} from main.{quote(t)}" for t, c in referred if c == "nameId")
            renamed = f"cast(renamed(cast(value as blob), id in ({called or 'select null'})) as text)"
            value = f"case when id in ({union(False)}) then {renamed} else value end"
        self.database.execute(
            f"insert into main.StringIds (id, value) select id, {value} from raw.StringIds not indexed "
            f"where typeof(id) = 'integer' and typeof(value) = 'text' and id in ({union(True)})"
        )

    def sentences(self) -> Iterator[str]:
        """The free texts of the result."""
        for table in _FREE_TEXTS:
            if table in self.statements:
                column = "text" if table == "DIAGNOSTIC_EVENT" else "value"
                for (text,) in self.database.execute(f"select {column} from main.{table} where {column} is not null"):
                    yield str(text)

    def private_names(self) -> Iterator[str]:
        """The names of host and user that the source knows, to look for in the result."""
        for table in _PRIVATE.keys() & set(self.statements):
            for (value,) in self.database.execute(f"select value from raw.{table} where {_PRIVATE[table]}"):
                yield str(value or "")

    def environment(self) -> Iterator[tuple[str, str]]:
        """(name, value) of the traced processes' variables that would tell something, wherever the source keeps them."""
        for table in (*METADATA["CAPTURE"], "TARGET_INFO_SYSTEM_ENV", "StringIds"):
            if table in self.statements:
                many = "where instr(cast(value as blob), x'00')" if table == "StringIds" else ""
                for (value,) in self.database.execute(f"select cast(value as blob) from raw.{table} {many}"):
                    yield from environment_values(value or b"")


_PRIVATE = {
    **dict.fromkeys(METADATA["EXPORT"], "name in ('EXPORT_HOST', 'EXPORT_USER')"),
    **dict.fromkeys(METADATA["CAPTURE"], "name = 'DEVICE_DISPLAY_NAME' or name like '%USER_NAME'"),
    "TARGET_INFO_SYSTEM_ENV": "name = 'Hostname'",
}
