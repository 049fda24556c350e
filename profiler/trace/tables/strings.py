"""The names of a trace in one list, so that columns hold small indices instead of text."""

from __future__ import annotations

import numpy as np

from ...arrays.groups import mapped
from ...arrays.types import Int64
from ..schema import Schema
from ..source.scan import Source, Texts, Wanted, decoded


class Strings:
    """StringIds and text in the tables themselves, each kept once, and only if a column refers to it: an
    export's strings also hold the process's whole environment."""

    def __init__(self, source: Source, schema: Schema) -> None:
        self._values: list[str] = []
        self._index: dict[str, int] = {}
        self._ids, self._texts = np.empty(0, np.int64), Texts(np.empty(0, np.int64))
        if schema.has("StringIds", "id", "value"):
            scan = source.scan(schema.tables["StringIds"], Wanted(("id",), (), ("value",)))
            ids = scan.integers["id"]
            order = np.argsort(ids.values, kind="stable")
            order = order[~ids.is_null[order]]
            self._ids, self._texts = (
                ids.values[order],
                Texts(scan.texts["value"].codes[order], scan.texts["value"].values),
            )
        self._codes = np.full(len(self._ids), -1, np.int64)

    def add(self, text: str) -> int:
        """The index of a text, which is kept if it is new."""
        known = self._index.get(text)
        return self._new(text) if known is None else known

    def _new(self, text: str) -> int:
        self._index[text] = len(self._values)
        self._values.append(text)
        return self._index[text]

    def of_ids(self, ids: Int64) -> Int64:
        """Indices for an array of StringIds ids of shape (n,); -1 for ids that StringIds does not hold."""
        return mapped(ids, self._known) if len(ids) else ids

    def _known(self, ids: Int64) -> Int64:
        """Likewise, of distinct ids."""
        known = np.full(len(ids), -1, np.int64)
        place = np.searchsorted(self._ids, ids)
        for i, slot in enumerate(place.tolist()):
            if slot < len(self._ids) and self._ids[slot] == ids[i]:
                known[i] = self._of_slot(slot)
        return known

    def _of_slot(self, slot: int) -> int:
        if self._codes[slot] < 0:
            text = int(self._texts.codes[slot])
            self._codes[slot] = self.add("" if text < 0 else decoded(self._texts.values[text]))
        return int(self._codes[slot])

    def of_texts(self, texts: Texts) -> Int64:
        """Indices of texts; -1 for NULL."""

        def known(codes: Int64) -> Int64:
            told = (-1 if code < 0 else self.add(decoded(texts.values[code])) for code in codes.tolist())
            return np.fromiter(told, np.int64, len(codes))

        return mapped(texts.codes, known) if len(texts.codes) else texts.codes

    def text(self, index: int) -> str:
        return self._values[index] if index >= 0 else ""

    def __len__(self) -> int:
        return len(self._values)

    def values(self) -> tuple[str, ...]:
        return tuple(self._values)
