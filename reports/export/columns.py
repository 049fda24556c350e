"""Write a trace's rows to files: Perfetto's JSON, Parquet or CSV."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from io import BufferedIOBase
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import AispError, EnvironmentLacks, UsageError
from ...machine.files import output_file, whole_files
from ...profiler.arrays.blocks import ahead
from ...profiler.arrays.codes import Codes
from ...profiler.core.library import SAID
from ...profiler.queries.ranges import ranges_in_parts
from ...profiler.queries.raw import calls, operations
from ...profiler.queries.table import Column, Table
from ...profiler.ranges.attribution import Attribution
from ...profiler.trace.model import Trace
from ...profiler.trace.source.limits import output_bytes, too_much_output
from .lines import Part, real, rendered, said
from .perfetto import events, rebased

TARGETS = ("perfetto", "parquet", "csv")
_TO_QUOTE = re.compile(r'[,"\r\n]')
_FORMULA = re.compile(r"^(?=[\t\r\n])|(^|[;\t\r\n] *)(?=[=+\-@＝＋－＠])")


@dataclass(frozen=True, slots=True)
class Written:
    """A file that was written, and how many rows (or events) it holds."""

    file: str
    rows: int


def check_target(trace: Path, to: str, out: Path) -> None:
    """Refuse, before anything is read, what could not be written.

    Raises:
        UsageError: no such format, the output would overwrite the trace, or is a file where a folder is to be made or the
            reverse, or a write-ahead log lies beside the trace.
        EnvironmentLacks: Parquet without pyarrow.
    """
    if to not in TARGETS:
        near = get_close_matches(to, TARGETS, 1, 0.5)
        raise UsageError(
            f"cannot export to {to!r}", f"did you mean {near[0]}?" if near else f"there are: {', '.join(TARGETS)}"
        )
    if out.exists() and trace.exists() and out.samefile(trace):
        raise UsageError(f"{out} is the trace itself", "choose another --output")
    if to == "perfetto" and out.is_dir():
        raise UsageError(f"{out} is a folder, Perfetto's export is one file", f"-o {out / 'trace.json'}")
    if to != "perfetto" and out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file, {to} is exported into a folder", "choose another --output")
    if to == "parquet":
        _pyarrow()


def export_trace(trace: Trace, to: str, out: Path, attribution: str = "thread") -> tuple[Written, ...]:
    """Write the trace: one JSON file for perfetto, else one file per table in the folder `out`.

    Raises:
        UsageError: no such attribution, or it would be more than `limits.output_bytes` says.
        EnvironmentLacks: Parquet without pyarrow.
        AispError: the output cannot be written.
    """
    Attribution.named(attribution)
    with _writing(out):
        if to == "perfetto":
            out.parent.mkdir(parents=True, exist_ok=True)
            with output_file(out) as file:
                return (Written(str(out), _write_perfetto(trace, _Bounded(file, trace.path))),)
        with whole_files(out) as work:
            written = tuple(_write_each(trace, work, to, attribution))
        return tuple(Written(str(out / name), rows) for name, rows in written)


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AispError(f"{out}: cannot be written: {error.strerror or error}") from error
    except UnicodeError as error:
        raise UsageError(f"{out}: pyarrow writes no file whose name is no UTF-8", "choose another --output") from error


def _write_each(trace: Trace, folder: Path, suffix: str, attribution: str) -> Iterator[tuple[str, int]]:
    tables: Mapping[str, Callable[[], Iterable[Table]]] = {
        "operations": lambda: [operations(trace)],
        "calls": lambda: [calls(trace)],
        "ranges": lambda: ranges_in_parts(trace, everything=True, attribution=attribution),
    }
    for name, make in tables.items():
        with (folder / f"{name}.{suffix}").open("wb") as file:
            yield f"{name}.{suffix}", _WRITERS[suffix](ahead(make()), _Bounded(file, trace.path))


def check_file(trace: Path, out: Path) -> None:
    """Refuse, before anything is read, a file that rows could not be written to.

    Raises:
        UsageError: a suffix other than .parquet and .csv, the trace itself, or a folder.
        EnvironmentLacks: Parquet without pyarrow.
    """
    if out.suffix.removeprefix(".") not in _WRITERS:
        raise UsageError(f"{out}: no such format", f"name it {out.with_suffix('.parquet')} or .csv")
    if out.is_dir():
        raise UsageError(f"{out} is a folder", f"-o {out / 'ranges.parquet'}")
    check_target(trace, out.suffix.removeprefix("."), out.parent)
    if out.exists() and trace.exists() and out.samefile(trace):
        raise UsageError(f"{out} is the trace itself", "choose another --output")


def write_rows(parts: Iterable[Table], out: Path, trace: Path) -> Written:
    """Write rows of a trace to one file, in the format of its suffix, part after part.

    Raises:
        UsageError: it would be more than `limits.output_bytes` says.
        AispError: the output cannot be written.
    """
    with _writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with output_file(out) as file:
            return Written(str(out), _WRITERS[out.suffix.removeprefix(".")](ahead(parts), _Bounded(file, trace)))


def _write_perfetto(trace: Trace, out: BufferedIOBase) -> int:
    """The number of events."""
    trace, offset = rebased(trace)
    # as a string, so that no reader rounds it
    told = {"generator": "aisp-prof"} | ({"offset_ns": str(offset)} if offset else {})
    out.write(f'{{"displayTimeUnit": "ns", "otherData": {json.dumps(told)}, "traceEvents": ['.encode())
    names, count, tables = events(trace)
    out.write(b"\n" + ",\n".join(names).encode("ascii"))
    out.writelines(rendered(tables, partial(str.encode, encoding="ascii")))
    out.write(b"\n]}\n")
    return count


class _Bounded(BufferedIOBase):
    """An open file that takes no more text than may be made of a trace."""

    def __init__(self, out: IO[bytes], trace: Path) -> None:
        self._out, self._trace, self._left = out, trace, output_bytes(trace)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """Raises UsageError when that becomes too much."""
        self._left -= memoryview(data).nbytes
        if self._left < 0:
            raise too_much_output(self._trace)
        return self._out.write(data)

    def flush(self) -> None:
        if not self._out.closed:  # after a failure, before this object is collected
            self._out.flush()

    def tell(self) -> int:
        return self._out.tell()


def write_csv(parts: Iterable[Table], file: BufferedIOBase) -> int:
    """Columns as CSV, UTF-8, inner ones as `outer.inner`; empty where there is no value. Returns the number of rows.

    Text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    count = 0

    def lines() -> Iterator[tuple[int, Sequence[Part]]]:
        nonlocal count
        for number, table in enumerate(parts):
            columns = table.flat()
            if not number:
                file.write(",".join(columns).encode() + b"\r\n")
            count += len(table)
            yield len(table), [*_line(columns.values()), Part("\r\n")]

    file.writelines(rendered(lines(), partial(str.encode, encoding="utf-8", errors="backslashreplace")))
    return count


def _line(columns: Iterable[Column]) -> Iterator[Part]:
    for number, column in enumerate(columns):
        before = "," if number else ""
        if column.missing is None:
            yield from _cell(column, before)
        else:
            yield Part(before)
            yield from _cell(column, "", ~column.missing)


def _cell(column: Column, before: str, where: NDArray[np.bool_] | None = None) -> Iterator[Part]:
    texts, values = column.texts, column.values
    if texts is not None:
        yield said(before, values, lambda i: _quoted(neutral(texts[i] if i >= 0 else "") or ""), where)
    elif values.dtype == bool:
        yield Part(before, values, SAID, ("False", "True"), where)
    elif values.dtype.kind == "f":
        yield from real(before, values, where)
    else:
        yield Part(before, values, where=where)


def _quoted(text: str) -> str:
    """As Python's csv module writes a cell of a row of several."""
    return '"' + text.replace('"', '""') + '"' if _TO_QUOTE.search(text) else text


def neutral(text: str | None) -> str | None:
    """The text, with an apostrophe wherever a spreadsheet would run it: =, +, -, @ (their wide forms too) begin formulas.

    At the beginning, and after a semicolon, a tab or a line end, where spreadsheets in many locales also split cells.
    Source: OWASP, "CSV Injection".
    """
    return _FORMULA.sub(r"\1'", text) if text else text


def write_parquet(parts: Iterable[Table], file: BufferedIOBase) -> int:
    """Columns as Parquet: int64, double, bool and dictionary-encoded text, null where there is no value. Returns the
    number of rows.

    Raises:
        EnvironmentLacks: there is no pyarrow.
    """
    pa = _pyarrow()
    import pyarrow.parquet

    count = 0
    with ExitStack() as stack:
        writer: Any = None
        for table in parts:
            columns = table.flat()
            rows = pa.table({name: _arrow(pa, column) for name, column in columns.items()})
            if writer is None:
                writer = pyarrow.parquet.ParquetWriter(file, rows.schema, **_encodings(columns))
                stack.enter_context(_closed(writer))
            writer.write_table(rows)
            count += len(table)
    return count


@contextmanager
def _closed(writer: Any) -> Iterator[None]:
    """Close it at the end, so that a writer that failed does not try again, and complain on stderr, when collected."""
    try:
        yield
        writer.close()
    finally:
        writer.is_open = False


_WRITERS: Mapping[str, Callable[[Iterable[Table], BufferedIOBase], int]] = {"parquet": write_parquet, "csv": write_csv}


def _encodings(columns: Mapping[str, Column]) -> dict[str, Any]:
    """Text as a dictionary, integers as differences, which are small and quick to write."""
    integers = [name for name, c in columns.items() if c.texts is None and c.values.dtype.kind == "i"]
    return {
        "compression": "zstd",
        "use_dictionary": [name for name, column in columns.items() if column.texts is not None],
        "column_encoding": dict.fromkeys(integers, "DELTA_BINARY_PACKED"),
    }


def _arrow(pa: Any, column: Column) -> Any:
    if column.texts is None:
        return pa.array(column.values, mask=column.missing)
    used = Codes.of(column.values)
    texts = [(column.texts[i] if i >= 0 else "").encode("utf-8", "replace").decode() for i in used.values.tolist()]
    codes = pa.array(used.code.astype("int32"), mask=column.missing)
    return pa.DictionaryArray.from_arrays(codes, pa.array(texts, pa.string()))


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise EnvironmentLacks(
            "Parquet needs pyarrow, which is not installed", "pip install 'aisp-prof[parquet]'"
        ) from error
    return pyarrow
