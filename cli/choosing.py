"""Which pairs a command is about: the chapters', and the user's own; their claims are read before anything is run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from .complaint import complain

if TYPE_CHECKING:
    from ..declaration import Declaration
    from ..workloads.pair import Pair
    from ..workloads.place import Broken
    from ..workloads.registry import Known


def every_pair() -> Known:
    """All pairs; what is wrong with the user's own, a claim that cannot be read too, makes the pair a broken one."""
    from ..workloads.registry import known

    found = known()
    faults = {pair.key: fault for pair in found.pairs if pair.place and (fault := fault_of(pair))}
    usable = tuple(pair for pair in found.pairs if pair.key not in faults)
    return replace(found, pairs=usable, broken=(*found.broken, *faults.values()))


def name_broken(broken: Sequence[Broken]) -> None:
    """Say on stderr what is left out, and why."""
    for one in broken:
        complain(UsageError(f"{one.place} is left out: {one.why}", one.mend))


def to_run(selector: str) -> tuple[Pair, ...]:
    """The pairs of a selector, whose claims can all be read.

    Raises:
        UsageError: there are none, or one of them cannot be used.
    """
    from ..workloads.registry import find

    pairs = find(selector)
    for pair in pairs:
        if fault := fault_of(pair):
            raise UsageError(f"{fault.place}: {fault.why}", fault.mend)
    return pairs


def fault_of(pair: Pair) -> Broken | None:
    """The first claim of a pair that cannot be read, and why."""
    from ..profiler.judging.language import parse
    from ..workloads.place import Broken

    for claim in pair.declaration.claims:
        try:
            parse(claim, pair.declaration.names)
        except UsageError as error:
            return Broken(pair.key, str(error), error.mend)
    return None


def keys_of(selector: str, captures: Path) -> list[str]:
    """The pairs that a command on captures is about, by their keys. A pair of the user's own that was captured into this folder
    is known by that alone: where its captures are judged PyTorch may be missing, or its module.

    Raises:
        UsageError: there are none.
    """
    from ..declaration import is_chapter
    from ..profiler.store.captures import Store
    from ..workloads.registry import find

    key = selector.replace(":", ".")
    own = not is_chapter(key.partition(".")[0])
    if own and "." in key and Store(captures).captures(key):
        return [key]
    try:
        return [pair.key for pair in find(selector)]
    except UsageError:
        captured = {one.manifest.pair for one in Store(captures).captures() if own}
        if of_group := sorted(one for one in captured if one.rpartition(".")[0] == key):
            return of_group
        raise


def pages_name(selector: str, keys: Sequence[str]) -> str:
    """What the pages of these pairs are called: by their chapter or group, or a single one by itself ("ch11", "ch11-streams")."""
    groups = {key.partition(".")[0] for key in keys}
    if len(keys) == 1 and selector not in groups:
        return keys[0].replace(".", "-")
    return "-".join(sorted(groups))


class KnownDeclarations(Mapping[str, "Declaration"]):
    """What pairs declare, by their keys; the user's own are imported only where one is asked for that is no chapter's."""

    @cached_property
    def _chapters(self) -> dict[str, Declaration]:
        from ..workloads.registry import pairs

        return {pair.key: pair.declaration for pair in pairs()}

    @cached_property
    def _own(self) -> dict[str, Declaration]:
        from ..workloads.registry import own_pairs

        own = own_pairs()
        name_broken(own.broken)
        return {pair.key: pair.declaration for pair in own.pairs}

    def __getitem__(self, key: str) -> Declaration:
        from ..declaration import is_chapter

        return (self._chapters if is_chapter(key.partition(".")[0]) else self._own)[key]

    def __iter__(self) -> Iterator[str]:
        return iter([*self._chapters, *self._own])

    def __len__(self) -> int:
        return len(self._chapters) + len(self._own)


def project_folders() -> tuple[Path, ...]:
    """Where the files that pairs are made of are looked for: the project around the working directory, and itself."""
    from ..machine.project import find_project

    project = find_project()
    return (*([project.root] if project else []), Path())
