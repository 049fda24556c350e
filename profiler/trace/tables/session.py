"""When the profiler's session began and ended, on the clock of the trace."""

from __future__ import annotations

from ..schema import Schema
from ..source.scan import Source

_START, _DETAILS = "TARGET_INFO_SESSION_START_TIME", "ANALYSIS_DETAILS"


def start_utc(source: Source, schema: Schema) -> int | None:
    """Wall time of the session's start, ns since 1970; None where the export does not say."""
    if not schema.has(_START, "utcEpochNs"):
        return None
    rows = source.records(schema.tables[_START], ("utcEpochNs",))
    return int(rows[0][0]) if rows and isinstance(rows[0][0], int) else None


def session_ends(source: Source, schema: Schema, start_utc_ns: int | None) -> tuple[int, ...]:
    """The ends of all sessions in the trace's time: ANALYSIS_DETAILS.duration, moved as the export moved all other times
    (seen with Nsight Systems 2023.4: --ts-shift and --ts-normalize leave the duration as it was)."""
    if not schema.has(_DETAILS, "duration"):
        return ()
    shift = _shift(schema, start_utc_ns)
    rows = source.records(schema.tables[_DETAILS], ("duration",))
    return tuple(sorted({length + shift for (length,) in rows if isinstance(length, int) and length > 0}))


def _shift(schema: Schema, start_utc_ns: int | None) -> int:
    """By how much the export moved its times; EXPORT_CONFIG_TIME_SHIFT is the sum of all that moved them."""
    whole = _number(schema, "EXPORT_CONFIG_TIME_SHIFT")
    if whole is not None:
        return whole
    normalized = schema.export.get("EXPORT_PARAM_TIME_NORMALIZE", ("",))[0] == "true"
    return (_number(schema, "EXPORT_PARAM_TIME_SHIFT") or 0) + ((start_utc_ns or 0) if normalized else 0)


def _number(schema: Schema, name: str) -> int | None:
    text = schema.export.get(name, ("",))[0]
    return int(text) if text.removeprefix("-").isdecimal() and len(text) < 20 else None
