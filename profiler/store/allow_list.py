"""What may be copied of an export: an allow-list of tables, columns and free texts; everything else stays behind."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..trace.model import LOSS
from ..trace.schema import METADATA
from ..trace.source.sqlite import quote

TABLES = re.compile(
    r"(?:NVTX_EVENTS"
    r"|CUPTI_ACTIVITY_KIND_(?:RUNTIME|KERNEL|MEMCPY|MEMSET|SYNCHRONIZATION|CUDA_EVENT|GRAPH_TRACE)"
    r"|CUDA_GRAPH_(?:[A-Z]+_)*EVENTS"
    r"|TARGET_INFO_(?:GPU|CUDA_DEVICE|CUDA_CONTEXT_INFO|CUDA_STREAM|SESSION_START_TIME)"
    r"|AISP_NCCL_PAYLOADS"
    r"|DIAGNOSTIC_EVENT|PROFILER_OVERHEAD|ANALYSIS_DETAILS|META_DATA_(?:EXPORT|CAPTURE)|(?:EXPORT|CAPTURE)_META_DATA"
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
    **dict.fromkeys((*METADATA["EXPORT"], *METADATA["CAPTURE"]), frozenset({"name", "value"})),
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
NAMING_KEYS = re.compile(r"(?:PROCESS_\d+:)?(?:CAPTURE_RANGE|NVTX_OPTIONS:)\w*")
"""Keys whose value may be the name of a range or a domain; they go where names are not to be told."""
DIAGNOSTICS = re.compile(
    r"Number of (?:CUDA|NVTX) events collected|Number of CUPTI events produced|Profiling has (?:started|stopped)"
    r"|No (?:CUDA|NVTX) events collected|CUDA profiling might|\w+ injection (?:library )?initialized"
    r"|Buffers holding CUDA trace data|Profiling (?:started|stopped) due to"
)
"""Diagnostic texts that are copied whatever their severity, as are those that speak of lost events; those of severity above
1 are copied too, without paths."""

_PATH = re.compile(
    r"(['\"])(?:/|[A-Za-z]:[\\/]|\\\\)[^'\"]*\1|(?<![\w/])/[^\s'\",;]+|\b[A-Za-z]:[\\/](?!/)[^\s'\",;]+|\\\\\w[^\s'\",;]+"
)
_COLUMN = (
    r"""["']?\w+["']?(?:\s+(?:INTEGER|REAL|TEXT|BLOB|NUMERIC|INT|BIGINT))?(?:\s+NOT\s+NULL)?(?:\s+PRIMARY\s+KEY)?"""
)
_STATEMENT = re.compile(
    rf"""CREATE TABLE\s+["']?(?P<table>\w+)["']?\s*\(\s*{_COLUMN}(?:\s*,\s*{_COLUMN})*\s*\)\s*""", re.IGNORECASE
)
_COMMENT = re.compile(r"--[^\n]*")


def without_paths(text: str) -> str:
    """The text with every absolute path replaced by <path>."""
    return _PATH.sub("<path>", text)


def is_plain_statement(sql: str, table: str) -> bool:
    """Whether a CREATE TABLE says no more than nsys writes: columns, their types, NOT NULL, a key, comments.

    What else SQLite understands here (defaults, checks, generated columns, virtual tables) may compute, and is not run.
    """
    found = _STATEMENT.fullmatch(_COMMENT.sub("", sql))
    return found is not None and found["table"] == table


def value_of(table: str, column: str, declared: str, required: bool, names: bool) -> str:
    """The SQL expression that copies a column: numbers as numbers, a text only where it is allowed.

    SQLite lets any column hold any type: what is declared a number but holds a text is not copied. `shown` and, where
    `names` asks for it, `named` are functions of the copying connection; both take and give bytes, for a text of a trace
    need not be UTF-8.
    """
    nothing, quoted = "''" if required else "null", quote(column)
    if declared.upper() in ("INTEGER", "REAL"):
        if column in DROPPED_NUMBERS:
            return "null"
        return f"case when typeof({quoted}) in ('integer', 'real') then {quoted} end"
    plain = re.sub(r"_V\d+$", "", table)
    if not table.startswith("ENUM_") and column not in TEXTS.get(plain, ()):
        return nothing
    function = {"DIAGNOSTIC_EVENT": "shown", "NVTX_EVENTS": "named" if names else ""}.get(plain, "")
    text = f"cast({function}(cast({quoted} as blob)) as text)" if function else quoted
    return f"case typeof({quoted}) when 'text' then {text} else {nothing} end"


def row_allowed(table: str, text: object, detail: object, names: bool) -> bool:
    """Whether a row of a table of free texts is copied; `detail` is its value or its severity; `names`: some are hidden."""
    if table in METADATA["EXPORT"]:
        return bool(EXPORT_KEYS.fullmatch(str(text)))
    if table in METADATA["CAPTURE"]:
        if names and NAMING_KEYS.fullmatch(str(text)):
            return False
        return bool(CAPTURE_KEYS.fullmatch(str(text))) and re.search(r"[/=\\]", str(detail or "")) is None
    said = str(text)
    return (
        DIAGNOSTICS.match(said) is not None or LOSS.search(said) is not None or (isinstance(detail, int) and detail > 1)
    )
