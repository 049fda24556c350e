"""`expectations/{hardware_key}/{chapter}.json`: found, read and written whole."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...declaration import is_chapter
from ...errors import AispError, UsageError
from ...machine.files import only_one, read_whole, write_whole
from ...machine.project import find_project
from ...machine.records import convert, parsed
from ..store.manifest import MOST_BYTES, encode_json
from .model import SCHEMA, PairExpectations

_ELSEWHERE = "name another folder: --expectations"

LARGEST = 1e18


FOLDER = "expectations"


def expectations_folder(option: Path | None = None, pair: str = "") -> Path:
    """Where what is expected of a pair lies: the option, else AISP_EXPECTATIONS, else what the project's pyproject.toml says; else
    of a chapter's pair (or of none) what came with the package, and of the user's own `expectations` of the project.

    Raises:
        UsageError: the pyproject.toml says no folder.
    """
    if option:
        return option
    if stated := os.environ.get("AISP_EXPECTATIONS"):
        return Path(stated)
    project = find_project()
    if project and project.expectations:
        return project.expectations
    if not pair or is_chapter(pair.partition(".")[0]):
        return _of_package()
    return (project.root if project else Path()) / FOLDER


def _of_package() -> Path:
    return Path(__file__).parents[2] / FOLDER


def _refuse_installed(folder: Path) -> None:
    """What came with an installed package is not written: the next install takes it away, and no repository holds it."""
    package = _of_package()
    if folder.resolve() == package.resolve() and not (package.parent / "pyproject.toml").is_file():
        raise UsageError(
            f"{folder} came with aisp-prof, which is installed here; expectations of your own belong into your repository",
            '--expectations expectations, or expectations = "expectations" under [tool.aisp-prof] in pyproject.toml',
        )


def path_of(folder: Path, hardware_key: str, pair: str) -> Path:
    return folder / hardware_key / f"{pair.partition('.')[0]}.json"


def read_pair(folder: Path, hardware_key: str, pair: str) -> PairExpectations | None:
    """What a pair must show on this hardware; None where nothing is expected of it there.

    Raises:
        UsageError: the file is damaged, of another schema, or of other hardware.
    """
    return read_chapter(path_of(folder, hardware_key, pair)).get(pair)


def hardware_of(folder: Path, pair: str) -> list[str]:
    """The hardware keys under which something is expected of a pair."""
    name = f"{pair.partition('.')[0]}.json"
    # lexists: a link to itself or to nothing is a file that cannot be read, not one that is not there
    files = sorted(one / name for one in folder.glob("*") if os.path.lexists(one / name))
    return [path.parent.name for path in files if pair in read_chapter(path)]


def read_chapter(path: Path) -> dict[str, PairExpectations]:
    """All pairs of one file; none where there is no file.

    Raises:
        UsageError: as `read_pair`.
    """
    try:
        text = read_whole(path, MOST_BYTES)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    return dict(_decoded(text, path))


@lru_cache(maxsize=16)
def _decoded(text: bytes, path: Path) -> Mapping[str, PairExpectations]:
    """As `read_chapter`, of what a file holds: the same words are understood once, however often a command asks."""
    data = parsed(text, str(path))
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        found = data.get("schema") if isinstance(data, dict) else None
        raise UsageError(f"{path}: schema {found!r} of expectations; this version reads {SCHEMA}", "upgrade aisp-prof")
    placed = (path.parent.name, path.stem)
    if (data.get("hardware_key"), data.get("chapter")) != placed or not isinstance(data.get("pairs"), dict):
        raise UsageError(
            f"{path}: is not of {placed[1]} on {placed[0]}", "the folder's and the file's name say what is in it"
        )
    if odd := sorted(data.keys() - {"schema", "hardware_key", "chapter", "pairs"}):
        raise UsageError(f"{path}: no field is called {odd[0][:80]!r}")
    found = convert(data["pairs"], dict[str, PairExpectations], str(path))
    _check_numbers(data["pairs"], str(path))
    return found


@contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Look whether expectations are as they were, and write them, within this: another process that does so waits.

    Raises:
        UsageError: it is that of an installed package.
        AispError: the folder cannot be made or locked.
    """
    _refuse_installed(folder)
    with ExitStack() as stack:
        try:
            stack.enter_context(only_one(folder))
        except OSError as error:
            raise AispError(f"{folder} cannot be locked: {error}", _ELSEWHERE) from error
        yield


def _check_numbers(data: Any, where: str) -> None:
    """Nothing that was measured is so large, and of what is larger not even a share in per cent can be told."""
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for name, value in inner:
        _check_numbers(value, f"{where}.{name}")
    if isinstance(data, int | float) and not -LARGEST < data < LARGEST:
        raise UsageError(f"{where} is no measured number: {data:g}")


def write_chapter(path: Path, pairs: Mapping[str, PairExpectations]) -> None:
    """Write one file whole, or not at all: beside it first, then in its place.

    Raises:
        AispError: it cannot be written.
    """
    data = {
        "schema": SCHEMA,
        "hardware_key": path.parent.name,
        "chapter": path.stem,
        "pairs": {name: pairs[name].to_json() for name in sorted(pairs)},
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, encode_json(data).encode())
    except OSError as error:
        raise AispError(f"{path} cannot be written: {error}", _ELSEWHERE) from error
