"""Rows in columns of equal length. A column supplied from elsewhere is made when first asked for: what a question does
not touch costs neither time nor memory."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cache
from threading import RLock
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .blocks import gathered
from .codes import Codes
from .growing import constant, is_constant


class Supply(Protocol):
    """Where the columns of some rows come from."""

    def __len__(self) -> int:
        """The number of rows."""

    def column(self, name: str, rows: Rows) -> NDArray[Any]:
        """One column; `rows` are those it is made for, whose other columns may be used."""

    def codes(self, name: str) -> Codes | None:
        """One column as codes, None where it is not available in that form."""


class _Supplied:
    __slots__ = ("_coded", "_one_by_one", "_supply")
    _supply: Supply
    _coded: dict[str, Codes]
    _one_by_one: RLock
    """Of several threads that ask for columns one makes each; a column may be made of another one."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows(_Supplied):
    """Columns of equal length, the fields of a subclass."""

    @classmethod
    def supplied(cls, supply: Supply) -> Self:
        """Rows whose columns come from `supply`, each fetched once."""
        rows = object.__new__(cls)
        object.__setattr__(rows, "_supply", supply)
        object.__setattr__(rows, "_one_by_one", RLock())
        return rows

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NDArray[Any]:
            """A field without a value yet: Python asks here when a slot is empty."""
            supply = _supply_of(self)
            if supply is None or name not in _columns_of(type(self)):
                raise AttributeError(f"{type(self).__name__} has no {name}")
            with self._one_by_one:
                try:
                    made: NDArray[Any] = object.__getattribute__(self, name)
                except AttributeError:
                    made = supply.column(name, self)
                    object.__setattr__(self, name, made)
            return made

    def forget(self, *names: str) -> None:
        """Drop columns that come from elsewhere; asked for again, they are made anew."""
        if _supply_of(self) is not None:
            for name in names:
                _made_codes(self).pop(name, None)
                with suppress(AttributeError):
                    object.__delattr__(self, name)

    def codes(self, name: str) -> Codes:
        """A column of few distinct values as codes; where it comes from a file, its values are never written out. Made
        once, however many parts of the rows ask for theirs."""
        supply = _supply_of(self)
        supplied = None if supply is None else supply.codes(name)
        if supplied is not None:
            return supplied
        made = _made_codes(self)
        if name not in made:
            made[name] = Codes.of(getattr(self, name))
        return made[name]

    def take(self, which: ArrayLike) -> Self:
        """The rows of a boolean mask or of an index array of shape (m,)."""
        chosen = np.asarray(which)
        return self.supplied(_Taken(self, np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen))

    def __len__(self) -> int:
        supply = _supply_of(self)
        return len(getattr(self, fields(self)[0].name)) if supply is None else len(supply)


def _supply_of(rows: Rows) -> Supply | None:
    try:
        supply: Supply = object.__getattribute__(rows, "_supply")
    except AttributeError:
        return None
    return supply


@cache
def _columns_of(kind: type[Rows]) -> frozenset[str]:
    return frozenset(field.name for field in fields(kind))


def _made_codes(rows: Rows) -> dict[str, Codes]:
    """The codes of columns that were made before."""
    with suppress(AttributeError):
        made: dict[str, Codes] = object.__getattribute__(rows, "_coded")
        return made
    object.__setattr__(rows, "_coded", {})
    return _made_codes(rows)


@dataclass(frozen=True, slots=True)
class _Taken:
    """A selection of other rows; a column of one repeated value stays one value."""

    rows: Rows
    chosen: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.chosen)

    def column(self, name: str, rows: Rows) -> NDArray[Any]:
        column: NDArray[Any] = getattr(self.rows, name)
        if is_constant(column):
            return constant(column[0], len(self.chosen), column.dtype)
        return gathered(column, self.chosen)

    def codes(self, name: str) -> Codes | None:
        return self.rows.codes(name).take(self.chosen)
