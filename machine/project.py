"""What the user's own project says to aisp-prof: `[tool.aisp-prof]` of the nearest pyproject.toml that has such a table."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UsageError

FILE_NAME, TABLE = "pyproject.toml", "aisp-prof"
MOST_BYTES = 4 << 20
"""A pyproject.toml that is larger is none."""

_FIELDS = ("expectations", "pairs")


@dataclass(frozen=True, slots=True)
class Project:
    """A project with a `[tool.aisp-prof]`.

    root          the folder of its pyproject.toml
    pairs         modules ("mypkg.bench", "mypkg.bench:FusedNorm") and files ("bench/fused.py", "bench/*.py") that hold pairs
    expectations  the folder of its expectations; None where it does not say
    """

    root: Path
    pairs: tuple[str, ...] = ()
    expectations: Path | None = None


def find_project(start: Path | None = None) -> Project | None:
    """The project around a folder (the working directory): its nearest pyproject.toml with `[tool.aisp-prof]`, of it or above.

    Raises:
        UsageError: the table holds something else than it may, or a pyproject.toml on the way is no TOML.
    """
    begun = (start or Path()).absolute()
    for folder in (begun, *begun.parents):
        table = _table(folder / FILE_NAME)
        if table is not None:
            return _project(folder, table)
    return None


def _table(path: Path) -> Any:
    """`[tool.aisp-prof]` of a file; None where there is no such file or no such table in it."""
    try:
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            return None
        tool = tomllib.loads(path.read_text("utf-8")).get("tool", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}", "aisp-prof reads [tool.aisp-prof] of it") from error
    except OSError:
        return None  # a folder above that others may not read
    return tool.get(TABLE) if isinstance(tool, Mapping) else None


def _project(root: Path, table: Any) -> Project:
    where = f"{root / FILE_NAME}: [tool.{TABLE}]"
    if not isinstance(table, Mapping):
        raise UsageError(f"{where} is no table")
    if odd := sorted(table.keys() - set(_FIELDS)):
        raise UsageError(f"{where} has no {odd[0]!r}", f"it may hold {' and '.join(_FIELDS)}")
    pairs, expectations = table.get("pairs", []), table.get("expectations")
    if not isinstance(pairs, list) or not all(isinstance(one, str) and one for one in pairs):
        raise UsageError(f"{where}: pairs is a list of modules and files", 'pairs = ["mypkg.bench", "bench/*.py"]')
    if expectations is not None and (not isinstance(expectations, str) or not expectations):
        raise UsageError(f"{where}: expectations is the name of a folder", 'expectations = "expectations"')
    return Project(root, tuple(pairs), None if expectations is None else root / expectations)
