"""Finds pairs: every module of `workloads/chNN/` that has a `PAIR` is one, and so is what lies in the places that the user names.

Those places are files and modules: of `[tool.aisp-prof] pairs` in the user's pyproject.toml, of the entry points `aisp_prof.pairs` of
what is installed, and named on a command line. Chapters are found without any of them.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .. import workloads
from ..declaration import is_chapter
from ..errors import UsageError
from ..machine.project import Project, find_project
from .found import pairs_in
from .pair import Pair
from .place import Broken, Place, place_of

ENTRY_POINTS = "aisp_prof.pairs"


def pairs() -> tuple[Pair, ...]:
    """The chapters' pairs by chapter and name. Imports their modules, none of which imports torch.

    Raises:
        UsageError: a module's pair does not have the module's name, or is not a pair.
    """
    return tuple(pair for module in _modules() if (pair := _pair_of(module)) is not None)


@dataclass(frozen=True, slots=True)
class Known:
    """All pairs, the chapters' first, and what cannot be used of the user's own."""

    pairs: tuple[Pair, ...]
    broken: tuple[Broken, ...] = ()


def known() -> Known:
    """The chapters' pairs, and those of the places that the project and what is installed name.

    Raises:
        UsageError: the project's table is none, or a chapter's module is broken.
    """
    own = own_pairs()
    return Known((*pairs(), *own.pairs), own.broken)


def own_pairs() -> Known:
    """The pairs outside this package of the places that the project and what is installed name."""
    project = find_project()
    return _of_places([*_project_places(project), *_installed_places(project)], project)


def find(selector: str, several_gpus: bool = False) -> tuple[Pair, ...]:
    """The pairs of a chapter or group (`ch11`), or the one pair `ch11:streams`, also written `ch11.streams`; those of a file
    (`bench/fused.py`) or a module (`mypkg.bench`), or the one of a class or a name there (`mypkg.bench:fused`).

    A chapter is what one GPU can run, or capturing and reporting it could not succeed on most machines: a pair that needs more
    has to be named, unless `several_gpus` are asked for.

    Raises:
        UsageError: there is no such pair or chapter; the message names the nearest. Or what is named is broken.
    """
    shipped = pairs()
    if found := _called(selector, shipped, several_gpus):
        return found
    if selector.partition(":")[0].endswith(".py"):
        return _in_place(selector)
    if is_chapter(selector.replace(":", ".").partition(".")[0]):
        raise UsageError(f"no pair or chapter is called {selector!r}", _nearest(selector.replace(":", "."), shipped))
    own = own_pairs()
    if found := _called(selector, own.pairs, several_gpus):
        return found
    if clash := next((one for one in own.broken if selector.replace(":", ".") == one.place), None):
        raise UsageError(clash.why, clash.mend)
    if _is_module(selector.partition(":")[0]):
        return _in_place(selector)
    broken = "".join(f"\n{one.place} is broken: {one.why}" for one in own.broken)
    nearest = _nearest(selector.replace(":", "."), (*shipped, *own.pairs))
    raise UsageError(f"no pair or chapter is called {selector!r}{broken}", nearest)


def _called(selector: str, among: Sequence[Pair], several_gpus: bool) -> tuple[Pair, ...]:
    """The pair of this key, or those of this chapter or group."""
    wanted = selector.replace(":", ".")
    of_chapter = (pair for pair in among if several_gpus or not _needs_several_gpus(pair))
    return tuple(pair for pair in among if wanted == pair.key) or tuple(
        pair for pair in of_chapter if wanted == pair.declaration.chapter
    )


def _in_place(named: str) -> tuple[Pair, ...]:
    """The pairs of a file or a module that was named itself."""
    project = find_project()
    found = _of_places([place_of(named, Path(), project)], project)
    if found.broken:
        raise UsageError(f"{found.broken[0].place}: {found.broken[0].why}", found.broken[0].mend)
    return found.pairs


def _is_module(name: str) -> bool:
    """Whether a module may be called so that no chapter, group or pair is: it has a dot, or lies in the working directory."""
    if not all(part.isidentifier() for part in name.split(".")):
        return False
    return "." in name or Path(f"{name}.py").is_file() or Path(name).is_dir()


def _project_places(project: Project | None) -> Iterator[Place | Broken]:
    for named in project.pairs if project else ():
        yield from _places(named, project)


def _installed_places(project: Project | None) -> Iterator[Place | Broken]:
    from importlib import metadata

    for point in metadata.entry_points(group=ENTRY_POINTS):
        yield from _places(point.value.replace(" ", ""), project)


def _places(named: str, project: Project | None) -> Iterator[Place | Broken]:
    """The place of this name, and of a pattern of files all that fit; a name that is no place's is broken."""
    root = project.root if project else Path()
    if "*" in named:
        files = sorted(one for one in root.glob(named) if one.suffix == ".py" and one.is_file())
        names = [one.relative_to(root).as_posix() for one in files]
        if not names:
            yield Broken(named, f"no file below {root} fits it")
    else:
        names = [named]
    for name in names:
        try:
            yield replace(place_of(name, root, project), by_pattern=name != named)
        except UsageError as error:
            yield Broken(name, str(error), error.mend)


def _of_places(asked: Sequence[Place | Broken], project: Project | None) -> Known:
    """The pairs of places, each once; of two that are called alike neither can be meant."""
    if not asked:
        return Known(())
    from .described import describe

    places = list(dict.fromkeys(one for one in asked if isinstance(one, Place)))
    broken = [one for one in asked if isinstance(one, Broken)]
    every: dict[tuple[str, str], Pair] = {}
    for described in describe(places):
        broken += [described.broken] if described.broken else []
        for name, pair in described.pairs.items():
            every.setdefault(name, pair)
    called: dict[str, list[str]] = {}
    for (file, attribute), pair in every.items():
        called.setdefault(pair.key, []).append(f"{attribute} of {_shown(file, project)}")
    for key, where in called.items():
        if len(where) > 1:
            mend = '@aisp_prof.pair(name="another"), or group="another"'
            broken.append(Broken(key, f"several pairs are called {key}: {' and '.join(sorted(where))}", mend))
    return Known(tuple(pair for pair in every.values() if len(called[pair.key]) == 1), tuple(broken))


def _shown(file: str, project: Project | None) -> str:
    root = project.root if project else Path()
    return Path(file).relative_to(root).as_posix() if Path(file).is_relative_to(root) else file


def _needs_several_gpus(pair: Pair) -> bool:
    return any(need.startswith("gpus>=") for need in pair.declaration.needs)


def _modules() -> Iterator[str]:
    for chapter in sorted(pkgutil.iter_modules(workloads.__path__), key=lambda info: info.name):
        if chapter.ispkg and is_chapter(chapter.name):
            package = importlib.import_module(f"{workloads.__name__}.{chapter.name}")
            for name in sorted(info.name for info in pkgutil.iter_modules(package.__path__)):
                yield f"{package.__name__}.{name}"


def _pair_of(module: str) -> Pair | None:
    pair = pairs_in(importlib.import_module(module)).get("PAIR")
    if pair is None:
        return None
    if pair.module != module:
        raise UsageError(
            f"{module} declares the pair {pair.key}, which belongs into {pair.module}", "rename one of the two"
        )
    return pair


def _nearest(wanted: str, known: tuple[Pair, ...]) -> str:
    names = sorted({name for pair in known for name in (pair.key, pair.declaration.chapter)})
    by_last_part = {pair.declaration.name: pair.key for pair in known}
    near = difflib.get_close_matches(wanted, [*names, *by_last_part], n=3, cutoff=0.5)
    hits = list(dict.fromkeys(by_last_part.get(name, name) for name in near))
    return f"did you mean {' or '.join(hits)}?" if hits else f"there are: {', '.join(names) or 'none'}"
