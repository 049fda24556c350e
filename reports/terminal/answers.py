"""Print a query's answer on stdout: JSON with its schema number, or lines; an empty answer says why it is empty."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ...profiler.trace.source.limits import output_bytes, too_much_output
from ..hostile import inert_json, line
from .colour import coloured, wanted

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from ...errors import AispError
    from ...profiler.queries.table import Table

SCHEMA = 1
_AT_ONCE = 10_000

Record = TypeVar("Record", bound="DataclassInstance")


def print_table(
    trace: Path,
    rows: Table,
    as_json: bool,
    lines: Callable[[], list[str]],
    notes: Sequence[str],
    **head: Any,
) -> None:
    """Columns: one line of JSON per row, written as it is made.

    Raises:
        UsageError: names would make it larger than `limits.output_bytes` says.
    """
    if as_json and trace.exists() and rows.text_bytes() > output_bytes(trace):
        raise too_much_output(trace)
    if as_json:
        _write_json({"trace": str(trace), **head, "notes": list(notes)}, rows.json_rows())
    else:
        _write_lines([*lines(), *notes])


def print_rows(
    trace: Path, rows: Sequence[DataclassInstance], as_json: bool, lines: list[str], notes: Sequence[str]
) -> None:
    """Frozen rows."""
    if as_json:
        _write_json({"trace": str(trace), "notes": list(notes)}, (json.dumps(asdict(row)) for row in rows))
    else:
        _write_lines([*lines, *notes])


def print_record(trace: Path, record: Record, as_json: bool, lines: Callable[[Record], list[str]]) -> None:
    """One record that is the whole answer."""
    if as_json:
        print_data({"trace": str(trace), **asdict(record)}, True, ())
    else:
        _write_lines(lines(record))


def print_data(data: dict[str, Any], as_json: bool, lines: Iterable[str]) -> None:
    """Plain data as JSON, or lines that say the same."""
    if as_json:
        _put(inert_json(json.dumps({"schema": SCHEMA, **data}, indent=1)) + "\n")
    else:
        _write_lines(lines)


def print_failure(error: AispError) -> None:
    """Why there is no answer, as JSON."""
    print_data({"error": str(error), "mend": error.mend, "exit_code": error.exit_code}, True, ())


def _write_json(head: dict[str, Any], rows: Iterable[str]) -> None:
    """`{"schema": 1, …, "rows": [` and one row per line: streamed, and greppable. ASCII only, whatever a name holds."""
    opening = json.dumps({"schema": SCHEMA, **head})
    _put(f'{inert_json(opening[:-1])}, "rows": [')
    every, separator = iter(rows), "\n"
    while part := list(islice(every, _AT_ONCE)):
        _put(separator + inert_json(",\n".join(part)))
        separator = ",\n"
    _put("\n]}\n")


def _write_lines(lines: Iterable[str]) -> None:
    """Notes hold names from the trace, so everything is made harmless once more on the way out."""
    shown = coloured if wanted() else str
    _put("".join(f"{shown(line(one))}\n" for one in lines))


def _put(text: str) -> None:
    """Write it out; a reader that stops early (`| head`) does not change the verdict: the rest is discarded."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
