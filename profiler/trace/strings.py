"""All names of a trace in one list, so that columns hold small indices instead of text."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import numpy as np

from .columns import Int64
from .schema import Schema, quote


class Strings:
    """StringIds, and text that stands in the tables themselves, each kept once."""

    def __init__(self, connection: sqlite3.Connection, schema: Schema) -> None:
        self._values: list[str] = []
        self._index: dict[str, int] = {}
        self._ids: dict[int, int] = {}
        if schema.has("StringIds", "id", "value"):
            query = f"SELECT id, value FROM {quote(schema.tables['StringIds'])}"
            for key, value in connection.execute(query):
                self._ids[key] = self.add("" if value is None else str(value))

    def add(self, text: str) -> int:
        """The index of a text, which is kept if it is new."""
        if text not in self._index:
            self._index[text] = len(self._values)
            self._values.append(text)
        return self._index[text]

    def of_ids(self, ids: Int64) -> Int64:
        """Indices for an array of StringIds ids; -1 for ids that are negative or unknown."""
        distinct, where = np.unique(ids, return_inverse=True)
        known = np.array([self._ids.get(int(i), -1) for i in distinct], np.int64)
        return known[where.reshape(-1)] if len(known) else np.empty(0, np.int64)

    def of_texts(self, texts: Iterable[str | None]) -> Int64:
        """Indices of texts; -1 for None."""
        return np.array([-1 if text is None else self.add(text) for text in texts], np.int64)

    def text(self, index: int) -> str:
        return self._values[index] if index >= 0 else ""

    def values(self) -> tuple[str, ...]:
        return tuple(self._values)
