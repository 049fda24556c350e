"""`python -m aisp_prof.workloads.outside PLACE KEY …`: run one pair of the user's own, as its module would a chapter's."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import AispError, UsageError
from . import bare
from .found import pairs_in
from .pair import Pair
from .place import Place
from .sources import Sources


def main(argv: Sequence[str] | None = None) -> int:
    """Import the place, find the pair, and do with it what the other arguments say (`bare`)."""
    text, key, *more = sys.argv[1:] if argv is None else argv
    try:
        pair = load(Place.from_text(text), key)
    except AispError as error:
        print(f"error: {error}\nmend: {error.mend}", file=sys.stderr)
        return error.exit_code
    return bare.main(pair, more)


def load(place: Place, key: str) -> Pair:
    """The pair of this key, with the hashes of what it is made of.

    Raises:
        UsageError: there is none there.
    """
    module = place.load()
    found = [pair for pair in pairs_in(module, place.attribute).values() if pair.key == key]
    if not found:
        raise UsageError(f"{place.named} holds no pair {key}", "aisp-prof list")
    pair, file = found[0], Path(str(module.__file__))
    sources = Sources(root_of(place, file, module.__name__), [file.parent / name for name in pair.files])
    sources.look()
    return replace(pair, place=place, sources=sources.found)


def root_of(place: Place, file: Path, module: str) -> Path:
    """What hashes are kept below: the project, where the module lies in it, else the folder of its outermost package."""
    if place.root and file.resolve().is_relative_to(Path(place.root).resolve()):
        return Path(place.root)
    return file.resolve().parents[module.count(".") + (file.stem == "__init__")]


if __name__ == "__main__":
    raise SystemExit(main())
