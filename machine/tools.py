"""Find a profiler: the one that a variable names, else the first candidate that runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from ..errors import EnvironmentLacks

Tool = TypeVar("Tool")


def first_usable(
    named: str | None, candidates: Iterable[Path], usable: Callable[[Path], Tool], what: str, install: str
) -> Tool:
    """The tool at `named`, else the first of `candidates` that `usable` accepts.

    Raises:
        EnvironmentLacks: what is named is not usable, or no candidate is: says why each was refused, and `install`.
    """
    if named:
        return usable(Path(named))
    refused = []
    for executable in candidates:
        try:
            return usable(executable)
        except EnvironmentLacks as error:
            refused.append(str(error))
    raise EnvironmentLacks(f"no usable {what}: " + ("; ".join(refused) or "none was found"), install)
