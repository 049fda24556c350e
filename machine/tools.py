"""Find one of NVIDIA's tools: named by a variable, on PATH, or where installers put it; and ask for its version."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from ..errors import AispError, EnvironmentLacks
from .child import ask

Tool = TypeVar("Tool")

ANSWER_S = 60

CUDA_PLACES = ("usr/local/cuda/bin", "usr/local/cuda-*/bin")
"""Where installers put the CUDA toolkit, below the root folder; a toolkit without the unversioned link is found too."""


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


def candidates(name: str, places: Iterable[str], environment: Mapping[str, str], root: Path) -> Iterator[Path]:
    """The executable on PATH, then those at `places` (patterns below `root`), within each place the newest version first."""
    seen = set()
    on_path = shutil.which(name, path=environment.get("PATH", os.defpath))
    installed = (path for place in places for path in sorted(root.glob(place), key=_order, reverse=True))
    for path in ([Path(on_path)] if on_path else []) + list(installed):
        if path.resolve() not in seen:
            seen.add(path.resolve())
            yield path


def _order(path: Path) -> list[tuple[int, str]]:
    """Sorts 2025.10 after 2025.9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path))]


def of_cuda(name: str) -> str | None:
    """A tool of the CUDA toolkit: on PATH, below CUDA_HOME, or in one of CUDA's usual folders; None where there is none."""
    usual = [path for place in CUDA_PLACES for path in sorted(Path("/").glob(place), key=_order, reverse=True)]
    folders = [*([Path(home, "bin")] if (home := os.environ.get("CUDA_HOME")) else []), *usual]
    return shutil.which(name) or next((found for one in folders if (found := shutil.which(name, path=one))), None)


def stated_version(executable: Path, pattern: str, install: str) -> tuple[int, ...]:
    """The version that the tool states when asked for `--version`, as integers; `pattern` finds it.

    Raises:
        EnvironmentLacks: it cannot be run or states none.
    """
    try:
        answer = ask([str(executable), "--version"], ANSWER_S)
    except AispError as error:
        raise EnvironmentLacks(f"{executable} cannot be run: {error}", install) from error
    found = re.search(pattern, answer.out, re.MULTILINE)
    if answer.code or not found:
        said = (answer.err or answer.out).strip()[-300:]
        raise EnvironmentLacks(f"{executable} --version failed (exit {answer.code}): {said}", install)
    return tuple(int(part) for part in found[1].split("."))
