"""Make captures publishable: copy an allow-list of a trace into a new file, never delete from the old one."""

from __future__ import annotations

import contextlib
import lzma
import re
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import AispError, TraceError, UsageError
from ..counters.raw_csv import private_names, read_raw_csv, write_raw_csv
from ..counters.table import known_metrics
from .captures import Capture
from .leaks import leaks
from .manifest import folder_facts, write_manifest
from .scratch import scratch_folder

TABLES = re.compile(
    r"(?:NVTX_EVENTS"
    r"|CUPTI_ACTIVITY_KIND_(?:RUNTIME|KERNEL|MEMCPY|MEMSET|SYNCHRONIZATION|CUDA_EVENT|GRAPH_TRACE)"
    r"|CUDA_GRAPH_(?:[A-Z]+_)*EVENTS"
    r"|TARGET_INFO_(?:GPU|CUDA_DEVICE|CUDA_CONTEXT_INFO|CUDA_STREAM|SESSION_START_TIME)"
    r"|DIAGNOSTIC_EVENT|PROFILER_OVERHEAD|ANALYSIS_DETAILS|META_DATA_EXPORT|META_DATA_CAPTURE"
    r"|ENUM_\w+)(?:_V\d+)?"
)
"""Tables that are copied (some exports suffix them _V2, _V3); StringIds follows from what these refer to."""

EMPTY_TABLES = frozenset({"ThreadNames"})
"""Tables whose rows tell too much, but without which some reports of `nsys stats` refuse a file."""

TEXTS: Mapping[str, frozenset[str]] = {
    "NVTX_EVENTS": frozenset({"text"}),
    "TARGET_INFO_GPU": frozenset({"name", "busLocation", "uuid", "chipName"}),
    "TARGET_INFO_SESSION_START_TIME": frozenset({"utcTime", "localTime"}),
    "DIAGNOSTIC_EVENT": frozenset({"text"}),
    "META_DATA_EXPORT": frozenset({"name", "value"}),
    "META_DATA_CAPTURE": frozenset({"name", "value"}),
}
"""Text columns that are copied, and those of ENUM_*; every other text becomes NULL, or empty where NULL is forbidden."""

DROPPED_NUMBERS = frozenset({"callchainId", "jsonTextId", "virtualAddress"})
"""Numbers that would refer to what is not copied, or tell an address space's layout."""

STRING_COLUMNS = frozenset({"nameId", "textId", "demangledName", "shortName", "mangledName"})
"""Columns known to refer to StringIds, besides those whose CREATE TABLE says so."""

EXPORT_KEYS = re.compile(
    r"EXPORT_(?:PRODUCT_(?:NAME|VERSION|DATE)|SCHEMA_VERSION\w*|PLATFORM|ARCH|CONFIG_TIME_SHIFT"
    r"|PARAM_(?:LAZY|TIME_NORMALIZE|TIME_SHIFT|TABLES_TO_EXPORT|TIMES_TO_EXPORT))"
)
CAPTURE_KEYS = re.compile(
    r"(?:PROCESS_\d+:)?(?:CAPTURE_EVENT_TYPE|CAPTURE_RANGE\w*|START_TRIGGER|STOP_TRIGGER|START_DELAY_MS|RUN_DURATION_MS"
    r"|INCLUDE_CHILDREN|COLLECT_\w+|CUDA_[\w:]+|NVTX_OPTIONS:\w+)"
)
DIAGNOSTICS = re.compile(
    r"Number of (?:CUDA|NVTX) events collected|Number of CUPTI events produced|Profiling has (?:started|stopped)"
    r"|No (?:CUDA|NVTX) events collected|CUDA profiling might|\w+ injection (?:library )?initialized"
    r"|Buffers holding CUDA trace data"
)
"""Diagnostic texts that are copied whatever their severity; those of severity above 1 are copied too, without paths."""

_PATH = re.compile(r"(['\"])/[^'\"]*\1|(?<![\w/])/[^\s'\",;]+")


def without_paths(text: str) -> str:
    """The text with every absolute path replaced by <path>."""
    return _PATH.sub("<path>", text)


def scrub_trace(source: Path, target: Path) -> None:
    """Copy what is allowed of the export `source` into the new SQLite `target`; `source` is only read.

    Row ids stay, so that a proof's witnesses are found in either file.

    Raises:
        UsageError: `target` exists.
        TraceError: `source` is no SQLite, or has not the form of an export.
        AispError: something private is left in the result, which is removed.
    """
    if target.exists():
        raise UsageError(f"{target} exists", "name a file that does not")
    try:
        if found := leaks(target, _copy_allowed(source, target)):
            raise AispError(
                "the scrubbed trace still holds private things:\n" + "\n".join(found), "rename what the pair calls so"
            )
    except sqlite3.Error as error:
        target.unlink(missing_ok=True)
        raise TraceError(f"{source}: cannot be scrubbed: {error}") from error
    except AispError:
        target.unlink(missing_ok=True)
        raise


def _copy_allowed(source: Path, target: Path) -> list[str]:
    """Write the target; returns the names of host and user that the source knows, to look for in the result."""
    # As URIs: without uri=True a build of SQLite may take the name of what is attached for a plain file's.
    with contextlib.closing(sqlite3.connect(target.absolute().as_uri(), uri=True)) as database:
        database.executescript("pragma journal_mode = off; pragma synchronous = off;")
        database.create_function("allowed", 3, _allowed, deterministic=True)
        database.create_function("shown", 2, _shown, deterministic=True)
        database.execute("attach ? as raw", (f"{source.absolute().as_uri()}?mode=ro&immutable=1",))
        tables = dict(database.execute("select name, sql from raw.sqlite_master where type = 'table'").fetchall())
        if "StringIds" not in tables:
            raise TraceError(f"{source}: no table StringIds: this is no Nsight Systems export")
        _copy_all(database, tables)
        database.commit()
        return list(_private_names(database, tables))


def _copy_all(database: sqlite3.Connection, tables: Mapping[str, str]) -> None:
    """Copy the allowed tables (name -> CREATE TABLE statement), then the strings that they refer to."""
    referred = []
    for table, sql in tables.items():
        if table in EMPTY_TABLES:
            database.execute(sql)
        if TABLES.fullmatch(table):
            database.execute(sql)
            _copy_table(database, table)
            referred += [(table, column) for column in _string_columns(database, table, sql)]
    database.execute(tables["StringIds"])
    union = " union ".join(f'select "{column}" from main."{table}"' for table, column in referred) or "select null"
    database.execute(f"insert into main.StringIds select id, value from raw.StringIds where id in ({union})")


def _copy_table(database: sqlite3.Connection, table: str) -> None:
    columns = database.execute(f'pragma main.table_info("{table}")').fetchall()
    names = ", ".join(f'"{column[1]}"' for column in columns)
    values = ", ".join(_value(table, column[1], column[2], bool(column[3])) for column in columns)
    where = ""
    if table in ("META_DATA_EXPORT", "META_DATA_CAPTURE"):
        where = f"where allowed('{table}', name, value)"
    elif table == "DIAGNOSTIC_EVENT":
        where = "where allowed('DIAGNOSTIC_EVENT', text, severity)"
    database.execute(f'insert into main."{table}" (rowid, {names}) select rowid, {values} from raw."{table}" {where}')


def _value(table: str, column: str, declared: str, required: bool) -> str:
    """The SQL expression that copies a column: numbers as numbers, a text only where it is allowed.

    SQLite lets any column hold any type: what is declared a number but holds a text is not copied.
    """
    nothing = "''" if required else "null"
    if declared.upper() in ("INTEGER", "REAL"):
        if column in DROPPED_NUMBERS:
            return "null"
        return f"""case when typeof("{column}") in ('integer', 'real') then "{column}" end"""
    if table.startswith("ENUM_") or column in TEXTS.get(re.sub(r"_V\d+$", "", table), ()):
        return f"""case typeof("{column}") when 'text' then shown('{table}', "{column}") else {nothing} end"""
    return nothing


def _allowed(table: str, text: object, detail: object) -> bool:
    """Whether a row of a table of free texts is copied; `detail` is its value or its severity."""
    if table == "META_DATA_EXPORT":
        return bool(EXPORT_KEYS.fullmatch(str(text)))
    if table == "META_DATA_CAPTURE":
        return bool(CAPTURE_KEYS.fullmatch(str(text))) and re.search("[/=]", str(detail or "")) is None
    return bool(DIAGNOSTICS.match(str(text))) or (isinstance(detail, int) and detail > 1)


def _shown(table: str, text: str) -> str:
    return without_paths(text) if table == "DIAGNOSTIC_EVENT" else text


def _string_columns(database: sqlite3.Connection, table: str, sql: str) -> Iterator[str]:
    declared = set(re.findall(r"^\s*(\w+)[^\n]*REFERENCES StringIds\(id\)", sql, re.MULTILINE))
    for column in database.execute(f'pragma main.table_info("{table}")').fetchall():
        if column[1] in declared | STRING_COLUMNS:
            yield column[1]


_PRIVATE = {
    "META_DATA_EXPORT": "name in ('EXPORT_HOST', 'EXPORT_USER')",
    "META_DATA_CAPTURE": "name = 'DEVICE_DISPLAY_NAME' or name like '%USER_NAME'",
    "TARGET_INFO_SYSTEM_ENV": "name = 'Hostname'",
}


def _private_names(database: sqlite3.Connection, tables: Iterable[str]) -> Iterator[str]:
    for table in _PRIVATE.keys() & set(tables):
        for (value,) in database.execute(f"select value from raw.{table} where {_PRIVATE[table]}"):
            yield str(value or "")


def scrub_capture(capture: Capture, target_folder: Path) -> Capture:
    """Make a publishable copy of a capture: its scrubbed trace as trace.sqlite.xz, the counters that numbers are made of as
    counters.csv, its manifest without paths, no more.

    Raises:
        UsageError: the target exists, or the capture's files are not as they were captured.
        AispError: something private is left in the result, which is removed.
    """
    if target_folder.exists():
        raise UsageError(f"{target_folder} exists", "name a folder that does not")
    if problems := capture.verify_files():
        raise UsageError("the capture was changed: " + "; ".join(problems))
    with scratch_folder(target_folder.parent) as work, scratch_folder(target_folder.parent) as staged:
        if capture.trace_path is not None:
            _pack_trace(capture.trace_path, work / "trace.sqlite", staged / "trace.sqlite.xz")
        counters = _scrub_counters(capture, staged)
        manifest = replace(
            capture.manifest,
            counters=counters,
            ceilings=_texts_without_paths(capture.manifest.ceilings),
            command=tuple(without_paths(word) for word in _bare(capture.manifest.command)),
            runs=_texts_without_paths(capture.manifest.runs),
            files=folder_facts(staged),
        )
        write_manifest(manifest, staged)
        if found := [leak for path in sorted(staged.iterdir()) for leak in leaks(path)]:
            raise AispError("the scrubbed capture still holds private things:\n" + "\n".join(found))
        staged.rename(target_folder)
    return Capture(target_folder, manifest, capture.shipped)


def scrub_counters(source: Path, target: Path) -> None:
    """Copy from ncu's raw page `source` the allowed columns: kernel, grid, block, ranges and the metrics of metrics.toml.

    Raises:
        UsageError: it is no raw page of ncu.
        AispError: something private is left in the result, which is removed.
    """
    launches = read_raw_csv(source)
    write_raw_csv(launches, {name for one in launches for name in known_metrics(one.compute_capability)}, target)
    if found := leaks(target, private_names(source)):
        target.unlink()
        raise AispError(
            "the scrubbed counters still hold private things:\n" + "\n".join(found), "rename what the pair calls so"
        )


def _scrub_counters(capture: Capture, staged: Path) -> Mapping[str, Any] | None:
    """The scrubbed CSV into `staged`; what the manifest says of counters, without the reports, which stay private."""
    counters = capture.manifest.counters
    if counters is None:
        return None
    kept = [name for name in counters["files"] if name.endswith(".csv")]
    for name in kept:
        scrub_counters(capture.folder / name, staged / name)
    return {**_texts_without_paths(counters), "files": kept, "sections": ""}


def _pack_trace(source: Path, scrubbed: Path, packed: Path) -> None:
    """Scrub and compress; .xz stores no time and no name, so the same trace and libraries give the same bytes."""
    if source.suffix == ".xz":
        raise UsageError(f"{source} is scrubbed already")
    scrub_trace(source, scrubbed)
    with scrubbed.open("rb") as plain, lzma.open(packed, "wb", preset=9 | lzma.PRESET_EXTREME) as file:
        shutil.copyfileobj(plain, file)


def _bare(command: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(Path(word).name if position == 0 else word for position, word in enumerate(command))


def _texts_without_paths(value: Any) -> Any:
    if isinstance(value, str):
        return without_paths(value)
    if isinstance(value, Mapping):
        return {key: _texts_without_paths(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_texts_without_paths(one) for one in value]
    return value
