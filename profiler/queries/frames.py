"""DataFrames of rows, at the edge: nullable integers, so that a missing one is NA and no id above 2^53 is rounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

_TYPES = ((str, "string"), (float, "Float64"), (bool, "boolean"), (int, "Int64"))


def frame(rows: Sequence[Any]) -> Any:
    """A pandas DataFrame of frozen rows; inner records become columns `outer.inner`, lists stay Python objects."""
    import pandas as pd

    flat = [_flat(asdict(row)) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    inner = {name.rpartition(".")[0] for name in names}
    # a record that is None in some rows does not become a column of its own
    kept = [name for name in names if name not in inner]
    return pd.DataFrame({name: _column([row.get(name) for row in flat]) for name in kept})


def _column(values: list[Any]) -> Any:
    import pandas as pd

    types = {type(value) for value in values if value is not None}
    dtype = next((name for kind, name in _TYPES if kind in types), "object")
    return pd.array(values, dtype=dtype) if types <= {kind for kind, _ in _TYPES} else pd.Series(values, dtype="object")


def _flat(row: dict[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        flat.update(_flat(value, f"{before}{name}.") if isinstance(value, dict) else {f"{before}{name}": value})
    return flat
