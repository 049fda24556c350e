"""Where pairs outside this package lie: a module or a file, and what of the user's folders must be on sys.path to import it.

Only child processes import what lies there: it may end the process, print, or never return.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from ..errors import UsageError
from ..machine.project import Project


@dataclass(frozen=True, slots=True)
class Place:
    """A module (`mypkg.bench`) or a file (`/home/me/bench/fused.py`) with pairs.

    named      as the user wrote it, for messages
    file       absolute; "" for a module that is found by its name
    attribute  of a single pair in it: the name of the class or the variable, or of the pair; "" for all
    path       folders that go before everything else on sys.path, absolute
    root       what lies below this folder is the user's own, and its hash is kept; "" until the module says
    by_pattern whether it is one of the files that fit a pattern, of which not every one need hold a pair
    """

    named: str
    module: str
    file: str = ""
    attribute: str = ""
    path: tuple[str, ...] = ()
    root: str = ""
    by_pattern: bool = False

    def to_text(self) -> str:
        """As one argument of a command."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Self:
        values = json.loads(text)
        return cls(**{**values, "path": tuple(values["path"])})

    def load(self) -> ModuleType:
        """Import it. Whatever the module raises comes out as it is."""
        sys.path[:0] = [folder for folder in self.path if folder not in sys.path]
        if not self.file:
            return importlib.import_module(self.module)
        if self.module in sys.modules or "." in self.module:
            return self._of_a_package() if "." in self.module else self._by_path(f"aisp_prof_pairs_{self.module}")
        return self._by_path(self.module)

    def _of_a_package(self) -> ModuleType:
        module = importlib.import_module(self.module)
        found = Path(str(module.__file__)).resolve()
        if found != Path(self.file).resolve():
            raise ImportError(f"the module {self.module} is {found}, not {self.file}")
        return module

    def _by_path(self, name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, self.file)
        if spec is None or spec.loader is None:
            raise ImportError(f"{self.file} is no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # so that classes, pickles and Triton find their source
        spec.loader.exec_module(module)
        return module


@dataclass(frozen=True, slots=True)
class Broken:
    """A place that no pair could be had of, or a pair that cannot be used: why, and the way out."""

    place: str
    why: str
    mend: str = ""


def place_of(named: str, folder: Path, project: Project | None) -> Place:
    """The place of "bench/fused.py", "bench/fused.py:FusedNorm", "mypkg.bench" or "mypkg.bench:FusedNorm".

    Args:
        folder: what a file's name is relative to; and, as with `python -m`, where modules are looked for.
        project: the project around it, whose root, and `src` below it, is looked in too.

    Raises:
        UsageError: there is no such file, or the name is no module's.
    """
    whole, _, attribute = named.partition(":")
    around = [folder, *([project.root, project.root / "src"] if project else [])]
    if _is_file(whole):
        return replace(_of_file(named, (folder / whole), around, project), attribute=attribute)
    if not all(part.isidentifier() for part in whole.split(".")):
        raise UsageError(
            f"{named!r} is no module, and no file that ends with .py", "mypkg.bench:fused, or bench/fused.py"
        )
    root = str(project.root) if project else ""
    return Place(named, whole, attribute=attribute, path=_folders(around), root=root)


def _is_file(name: str) -> bool:
    return name.endswith(".py") or "/" in name


def _of_file(named: str, file: Path, around: list[Path], project: Project | None) -> Place:
    file = file.absolute()
    if not file.is_file():
        raise UsageError(f"{file}: no such file", f"aisp-prof new pair {named.partition(':')[0]} writes one that runs")
    top, parts = file.parent, [] if file.stem == "__init__" else [file.stem]
    while (top / "__init__.py").is_file():
        parts.insert(0, top.name)
        top = top.parent
    root = project.root if project and file.is_relative_to(project.root) else top
    return Place(named, ".".join(parts) or file.stem, str(file), path=_folders([top, *around]), root=str(root))


def _folders(folders: list[Path]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(one.absolute()) for one in folders if one.is_dir()))


def told(error: BaseException, place: Place) -> str:
    """What importing it raised, in a line, and the last place in the user's own files where it came from."""
    own = {str(Path(place.file).resolve())} if place.file else set()
    lines = [where for where in _frames(error) if where[0] in own or (place.root and where[0].startswith(place.root))]
    at = f" ({_shown(lines[-1][0], place)}:{lines[-1][1]})" if lines else ""
    what = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}{f': {what}' if what else ''}{at}"


def _frames(error: BaseException) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    trace = error.__traceback__
    while trace is not None:
        found.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.filename:
        found.append((error.filename, error.lineno))
    return found


def _shown(file: str, place: Place) -> str:
    root = Path(place.root) if place.root else Path(file).parent
    return Path(file).relative_to(root).as_posix() if Path(file).is_relative_to(root) else file
