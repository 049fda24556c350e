"""Finds pairs: every module of `workloads/chNN/` that has a `PAIR` is one; adding a module adds a pair."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import re
from collections.abc import Iterator

from .. import workloads
from ..errors import UsageError
from .pair import Pair

_CHAPTER = re.compile(r"ch\d\d")


def pairs() -> tuple[Pair, ...]:
    """All pairs by chapter and name. Imports their modules, none of which imports torch.

    Raises:
        UsageError: a module's pair does not have the module's name, or is not a pair.
    """
    return tuple(pair for module in _modules() if (pair := _pair_of(module)) is not None)


def find(selector: str, several_gpus: bool = False) -> tuple[Pair, ...]:
    """The pairs of a chapter (`ch11`), or the one pair `ch11:streams`, also written `ch11.streams`.

    A chapter is what one GPU can run, or capturing and reporting it could not succeed on most machines: a pair that needs more
    has to be named, unless `several_gpus` are asked for.

    Raises:
        UsageError: there is no such pair or chapter; the message names the nearest.
    """
    known = pairs()
    wanted = selector.replace(":", ".")
    of_chapter = (pair for pair in known if several_gpus or not _needs_several_gpus(pair))
    found = tuple(pair for pair in known if wanted == pair.key) or tuple(
        pair for pair in of_chapter if wanted == pair.declaration.chapter
    )
    if not found:
        raise UsageError(f"no pair or chapter is called {selector!r}", _nearest(wanted, known))
    return found


def _needs_several_gpus(pair: Pair) -> bool:
    return any(need.startswith("gpus>=") for need in pair.declaration.needs)


def _modules() -> Iterator[str]:
    for chapter in sorted(pkgutil.iter_modules(workloads.__path__), key=lambda info: info.name):
        if chapter.ispkg and _CHAPTER.fullmatch(chapter.name):
            package = importlib.import_module(f"{workloads.__name__}.{chapter.name}")
            for name in sorted(info.name for info in pkgutil.iter_modules(package.__path__)):
                yield f"{package.__name__}.{name}"


def _pair_of(module: str) -> Pair | None:
    pair = getattr(importlib.import_module(module), "PAIR", None)
    if pair is None:
        return None
    if not isinstance(pair, Pair):
        raise UsageError(
            f"PAIR of {module} is no Pair but a {type(pair).__name__}",
            "PAIR = Pair(declaration, build) (docs/pairs.md)",
        )
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
