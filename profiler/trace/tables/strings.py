"""The names of a trace in one list, so that columns hold small indices instead of text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, islice

import numpy as np

from ...arrays.groups import mapped
from ...arrays.types import Int64
from ..schema import Schema
from ..source.scan import Source, Texts, Wanted, all_decoded


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
        return self._all([text])[0]

    def _all(self, texts: Sequence[str]) -> list[int]:
        """Likewise, of many texts: there may be a million, and mostly all or none of them are new."""
        before = len(self._values)
        found = list(map(self._index.setdefault, texts, count(before)))
        new = list(islice(self._index, before, None))
        self._values.extend(new)
        if 0 < len(new) < len(texts):  # else they are numbered without a gap
            self._index.update(zip(new, count(before), strict=False))
            return list(map(self._index.__getitem__, texts))
        return found

    def of_ids(self, ids: Int64) -> Int64:
        """Indices for an array of StringIds ids of shape (n,); -1 for ids that StringIds does not hold."""
        return mapped(ids, self._known) if len(ids) else ids

    def _known(self, ids: Int64) -> Int64:
        """Likewise, of distinct ids."""
        known = np.full(len(ids), -1, np.int64)
        if len(self._ids):
            place = np.minimum(np.searchsorted(self._ids, ids), len(self._ids) - 1)
            here = np.flatnonzero(self._ids[place] == ids)
            known[here] = self._of_slots(place[here])
        return known

    def _of_slots(self, slots: Int64) -> Int64:
        new = slots[self._codes[slots] < 0]
        texts = self._texts.codes[new].tolist()
        self._codes[new] = self._all(all_decoded(b"" if text < 0 else self._texts.values[text] for text in texts))
        return self._codes[slots]

    def of_texts(self, texts: Texts) -> Int64:
        """Indices of texts; -1 for NULL."""

        def known(codes: Int64) -> Int64:
            found = np.full(len(codes), -1, np.int64)
            there = np.flatnonzero(codes >= 0)
            raw = map(texts.values.__getitem__, codes[there].tolist())
            found[there] = self._all(all_decoded(raw))
            return found

        return mapped(texts.codes, known) if len(texts.codes) else texts.codes

    def text(self, index: int) -> str:
        return self._values[index] if index >= 0 else ""

    def __len__(self) -> int:
        return len(self._values)

    def values(self) -> tuple[str, ...]:
        return tuple(self._values)
