"""Results in columns, so that a million rows reach JSON, CSV, Parquet or a DataFrame without an object for each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays.codes import Codes

_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One column of n values.

    values     int64, float64 or bool, shape (n,); with `texts` the indices of texts, of which -1 is ""
    texts      what the indices mean
    missing    a mask of rows without a value, shape (n,): null in JSON, empty in CSV, NA in a DataFrame
    """

    values: NDArray[Any]
    texts: Sequence[str] | None = None
    missing: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def take(self, which: ArrayLike) -> Column:
        """The rows of a boolean mask or of an index array."""
        chosen = np.asarray(which)
        return Column(self.values[chosen], self.texts, None if self.missing is None else self.missing[chosen])

    def python(self, chosen: slice = slice(None)) -> list[Any]:
        """Python's own int, float, bool, str or None for the rows of a slice."""
        return self._spelled(chosen, str, None)

    def json(self, chosen: slice = slice(None)) -> list[Any]:
        """The JSON text of each row in a slice: numbers as they are, everything else spelled out."""
        if self.values.dtype == bool:
            return ["true" if value else "false" for value in self.values[chosen].tolist()]
        return self._spelled(chosen, json.dumps, "null")

    def _spelled(self, chosen: slice, spell: Any, nothing: Any) -> list[Any]:
        values = self.values[chosen]
        cells: list[Any] = values.tolist()
        if self.texts is not None:
            used = Codes.of(values)
            known = [spell(self.texts[i] if i >= 0 else "") for i in used.values.tolist()]
            cells = [known[i] for i in used.code.tolist()]
        if self.missing is None or not self.missing[chosen].any():
            return cells
        return [nothing if gone else value for value, gone in zip(cells, self.missing[chosen].tolist(), strict=True)]


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Columns of equal length by name; a table among them is an object inside each row (`busy_by_class`)."""

    columns: Mapping[str, Column | Table]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def take(self, which: ArrayLike) -> Table:
        """The rows of a boolean mask or of an index array."""
        return Table({name: column.take(which) for name, column in self.columns.items()})

    def text_bytes(self) -> int:
        """Roughly how many bytes the texts of all rows take if each row spells out its own."""
        total = 0
        for column in self.flat().values():
            if column.texts is not None and len(column):
                used = Codes.of(column.values)
                each = np.array([len(column.texts[i]) if i >= 0 else 0 for i in used.values.tolist()], np.int64)
                total += int(np.bincount(used.code, minlength=len(each)) @ each)
        return total

    def head(self, limit: int) -> Table:
        """The first rows; a limit of 0 means all."""
        return self.take(np.arange(min(limit or len(self), len(self))))

    def flat(self, before: str = "") -> dict[str, Column]:
        """All columns, inner ones named `outer.inner`."""
        columns: dict[str, Column] = {}
        for name, column in self.columns.items():
            columns.update(
                column.flat(f"{before}{name}.") if isinstance(column, Table) else {f"{before}{name}": column}
            )
        return columns

    def rows(self) -> Iterator[dict[str, Any]]:
        """Every row as plain Python types."""
        for text in self.json_rows():
            yield json.loads(text)

    def json_rows(self) -> Iterator[str]:
        """Every row as one line of JSON, ASCII only: nothing in a name can end a line or control a terminal."""
        template = self._template()
        columns = list(self.flat().values())
        for low in range(0, len(self), _CHUNK):
            parts = [column.json(slice(low, low + _CHUNK)) for column in columns]
            yield from map(template.__mod__, zip(*parts, strict=True))

    def _template(self) -> str:
        inner = (
            f"{json.dumps(name).replace('%', '%%')}: {c._template() if isinstance(c, Table) else '%s'}"
            for name, c in self.columns.items()
        )
        return "{" + ", ".join(inner) + "}"

    def frame(self) -> Any:
        """A pandas DataFrame: Int64, Float64, boolean and string, all nullable; 64-bit ids stay exact."""
        import pandas as pd

        return pd.DataFrame({name: _series(column) for name, column in self.flat().items()})


def _series(column: Column) -> Any:
    import pandas as pd

    missing = np.zeros(len(column), bool) if column.missing is None else column.missing
    if column.texts is not None:
        texts = pd.array(column.python(), dtype="string")
        return texts
    kinds = {"i": pd.arrays.IntegerArray, "f": pd.arrays.FloatingArray, "b": pd.arrays.BooleanArray}
    kind = column.values.dtype.kind
    values = column.values if kind == "b" else column.values.astype(np.int64 if kind == "i" else np.float64)
    return kinds[kind](values.copy(), missing.copy())
