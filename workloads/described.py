"""What pairs outside this package state about themselves, asked of a child process that imports them.

`python -m aisp_prof.workloads.described FILE PLACE…` writes a line of JSON a place, as soon as it is known. The parent imports nothing of
the user's: a module that ends its process, or never returns, is named like one that raises, and the others are asked again.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..declaration import Declaration, Phase, is_chapter
from ..errors import AispError, UsageError
from ..machine.child import Watch, new_mark, run_child, tail
from .device import Device
from .found import MEND, pairs_in
from .outside import root_of
from .pair import Declared, Pair, Sizes, Workload
from .place import Broken, Place, told

LIMIT_S = 120.0
"""Seconds that importing all of them may take; PyTorch alone takes five on a slow disk."""


@dataclass(frozen=True, slots=True)
class Described:
    """The pairs of one place, by the file and the name under which each is found there; or why there are none."""

    pairs: Mapping[tuple[str, str], Pair] = field(default_factory=dict)
    broken: Broken | None = None


def describe(places: Sequence[Place]) -> list[Described]:
    """What each place holds, in their order. Nothing of it is imported into this process."""
    groups: dict[tuple[str, ...], list[Place]] = {}
    for place in places:  # modules of one name in two folders are two modules
        groups.setdefault(place.path, []).append(place)
    found = {place: one for group in groups.values() for place, one in zip(group, _of_child(group), strict=True)}
    return [found[place] for place in places]


def _of_child(places: Sequence[Place]) -> list[Described]:
    found: list[Described] = []
    while len(found) < len(places):
        rest = places[len(found) :]
        answers, ended = _asked(rest)
        found += [_described(place, one) for place, one in zip(rest, answers, strict=False)]
        if ended:
            place = places[len(found)]
            found.append(Described(broken=Broken(place.named, ended)))
    return found


def _asked(places: Sequence[Place]) -> tuple[list[Any], str]:
    """The answers of a child, and what became of it where it did not answer of all."""
    with tempfile.TemporaryDirectory(prefix="aisp-pairs-") as scratch:
        out, log = Path(scratch) / "out", Path(scratch) / "log"
        command = [sys.executable, "-P", "-m", f"{__package__}.described", str(out), *(one.to_text() for one in places)]
        log.touch()
        try:
            code = run_child(command, Watch(log, LIMIT_S, new_mark()))
            ended = f"importing it ended the process with exit code {code}"
        except AispError as error:
            ended = str(error).partition("; its last output")[0].replace(command[0], "python")
            ended = f"importing it took more than {LIMIT_S:g} s" if "longer than" in ended else ended
        lines = out.read_text("utf-8").splitlines() if out.exists() else []
        said = tail(log, 400)
    answers = [json.loads(line) for line in lines]
    return answers, "" if len(answers) == len(places) else f"{ended}{f': {said}' if said else ''}"


def _described(place: Place, answer: Any) -> Described:
    if answer["error"]:
        return Described(broken=Broken(place.named, answer["error"], answer["mend"]))
    return Described({(answer["file"], one["attribute"]): _pair(place, one) for one in answer["pairs"]})


def _pair(place: Place, one: Mapping[str, Any]) -> Pair:
    """A pair that can be named, listed and run by a child; its formulas answer for the default size, which was asked."""
    declared = {name: Declared(**work) for name, work in one["declared"].items()}
    phases = {name: tuple(Phase(**phase) for phase in given) for name, given in one["phases"].items()}
    return Pair(
        Declaration.from_json(one["declaration"]),
        _elsewhere,
        declared=(lambda sizes, variant: declared[variant]) if declared else None,
        phases=(lambda sizes, variant: phases[variant]) if phases else None,
        place=place,
    )


def _elsewhere(device: Device, sizes: Sizes) -> Workload:
    raise RuntimeError("a pair outside this package is built by the child that runs it")


def _answer(place: Place) -> dict[str, Any]:
    """In the child: what one place holds."""
    try:
        module = place.load()
        found = pairs_in(module, place.attribute)
        if not found and not place.by_pattern:
            raise UsageError(f"no pair in {place.named}", MEND)
        if chapters := [pair.key for pair in found.values() if is_chapter(pair.declaration.chapter)]:
            mend = '@aisp_prof.pair(group="another")'
            raise UsageError(f"{chapters[0]}: chapters are aisp-prof's own, and this pair is not", mend)
        file = Path(str(module.__file__)).resolve()
        root_of(place, file, module.__name__)
        pairs = [_stated(attribute, pair) for attribute, pair in found.items()]
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except UsageError as error:
        return {"error": str(error), "mend": error.mend}
    except BaseException as error:  # noqa: BLE001  a module may raise anything, SystemExit too
        return {"error": told(error, place), "mend": ""}
    return {"error": "", "file": str(file), "pairs": pairs}


def _stated(attribute: str, pair: Pair) -> dict[str, Any]:
    names, sizes = pair.declaration.names, pair.declaration.sizes["default"]
    declared = {name: asdict(pair.declared(sizes, name)) for name in names} if pair.declared else {}
    phases = {name: [asdict(one) for one in pair.phases(sizes, name)] for name in names} if pair.phases else {}
    declaration = pair.declaration.to_json()
    return {"attribute": attribute, "declaration": declaration, "declared": declared, "phases": phases}


def main(argv: Sequence[str]) -> int:
    out, *places = argv
    with Path(out).open("a", encoding="utf-8") as file:
        for text in places:
            print(json.dumps(_answer(Place.from_text(text))), file=file, flush=True)
    return 0


if __name__ == "__main__":
    sys.stderr.flush()
    os._exit(main(sys.argv[1:]))  # a module may have left threads that would be waited for
