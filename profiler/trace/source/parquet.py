"""A folder of Parquet files, one per table, as `nsys export --type parquetdir` writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import EnvironmentLacks, TraceError
from .scan import Integers, Scan, Texts, Wanted


class ParquetSource:
    """Parquet rows have no id: they are numbered from 1, as in an SQLite export.

    Raises:
        EnvironmentLacks: pyarrow is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from pyarrow import parquet
        except ImportError as error:
            mend = "pip install 'aisp-prof[parquet]'"
            raise EnvironmentLacks(f"{folder}: reading Parquet needs the pyarrow package", mend) from error
        self._parquet = parquet
        self._folder = folder

    @property
    def path(self) -> Path:
        return self._folder

    def tables(self) -> Mapping[str, tuple[str, ...]]:
        files = sorted(self._folder.glob("*.parquet"))
        if not files:
            raise TraceError(f"{self._folder}: a folder without .parquet files")
        return {file.stem: tuple(self._opened(file.stem).schema_arrow.names) for file in files}

    def count(self, table: str) -> int:
        return int(self._opened(table).metadata.num_rows)

    def records(self, table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        read = self._read(table, columns)
        return list(zip(*(read[name].to_pylist() for name in read), strict=True))

    def scan(self, table: str, wanted: Wanted) -> Scan:
        columns = self._read(table, wanted.every)
        rows = len(next(iter(columns.values()))) if columns else self.count(table)
        return Scan(
            np.arange(1, rows + 1),
            {name: self._integers(table, name, columns[name]) for name in wanted.integers},
            {name: self._reals(table, name, columns[name]) for name in wanted.reals},
            {name: self._texts(columns[name]) for name in wanted.texts},
        )

    def _opened(self, table: str) -> Any:
        from pyarrow import ArrowException

        try:
            return self._parquet.ParquetFile(self._folder / f"{table}.parquet")
        except (ArrowException, OSError, UnicodeError) as error:  # pyarrow accepts only UTF-8 names
            raise TraceError(f"{self._folder / table}.parquet: cannot be read: {error}") from error

    def _read(self, table: str, columns: Sequence[str]) -> dict[str, Any]:
        """Columns under the names asked for, whatever their case in the file."""
        from pyarrow import ArrowException

        file = self._opened(table)
        names = {name.lower(): name for name in file.schema_arrow.names}
        try:
            read = file.read([names[column.lower()] for column in columns])
        except (ArrowException, OSError) as error:
            raise TraceError(f"{self._folder / table}.parquet: cannot be read: {error}") from error
        return {column: read.column(names[column.lower()]) for column in columns}

    def _integers(self, table: str, name: str, column: Any) -> Integers:
        """The 64 bits unchanged: an unsigned column is read as SQLite stores it, signed."""
        from pyarrow import types

        if types.is_null(column.type):
            return Integers(np.zeros(len(column), np.int64), np.ones(len(column), bool))
        if not types.is_integer(column.type) and not types.is_boolean(column.type):
            raise TraceError(f"{self._folder}: table {table}: {name} is {column.type}, not an integer")
        null = np.asarray(column.is_null()) if column.null_count else None
        values = column.fill_null(False if types.is_boolean(column.type) else 0) if null is not None else column
        array = np.asarray(values)
        wide = array.view(np.int64) if array.dtype == np.uint64 else array.astype(np.int64, copy=False)
        return Integers(wide, null)

    def _reals(self, table: str, name: str, column: Any) -> Any:
        from pyarrow import types

        if types.is_null(column.type):
            return np.full(len(column), np.nan)
        if not types.is_floating(column.type) and not types.is_integer(column.type):
            raise TraceError(f"{self._folder}: table {table}: {name} is {column.type}, not a number")
        return np.asarray(column.to_numpy()).astype(np.float64)

    def _texts(self, column: Any) -> Texts:
        coded = column.combine_chunks().dictionary_encode()
        coded = coded.combine_chunks() if hasattr(coded, "combine_chunks") else coded
        values = [v if isinstance(v, bytes) else str(v).encode() for v in coded.dictionary.to_pylist()]
        return Texts(np.asarray(coded.indices.fill_null(-1)).astype(np.int64), values)
