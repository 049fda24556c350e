"""A bundle as it was found: its files, what it says of itself, and its captures judged anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ...errors import UsageError
from ...profiler.store.zipped import Unzipped
from .captures import Read, read_captures
from .environment import code_sha256
from .header import Header, Maker, read_header, read_maker
from .layout import ENVIRONMENT, PROOF, read_json, stages
from .proof import Proven
from .verification import Problem

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Opened:
    """A stranger's bundle, read as far as it can be read; `faults` are what is wrong with its JSON files."""

    path: Path
    found: Unzipped
    proof: Any
    header: Header
    maker: Maker | None
    captures: Read
    faults: tuple[Problem, ...]

    @classmethod
    def read(cls, path: Path, found: Unzipped) -> Opened:
        faults: list[Problem] = []
        proof = _value(found, PROOF, faults)
        header = _made_of(read_header, proof, PROOF, faults) or Header.unknown()
        maker = _made_of(read_maker, _value(found, ENVIRONMENT, faults), ENVIRONMENT, faults)
        captures = read_captures(found.folder, tuple(found.sha256))
        if header.known and sorted(header.order) != sorted(captures.proofs) and not captures.problems:
            faults.append(Problem(PROOF, "order", "lists other captures than are there"))
        if header.known and (pairs := [one.capture.manifest.pair for one in captures.proofs.values()]):
            faults += _of_another_stage(header, [*pairs, *header.missing])
        return cls(path, found, proof, header, maker, captures, tuple(faults))

    @property
    def proofs(self) -> list[Proven]:
        """In the order of the stage."""
        places = {capture_id: place for place, capture_id in enumerate(self.header.order)}
        return sorted(self.captures.proofs.values(), key=lambda one: places.get(one.capture.id, len(places)))

    @property
    def whole(self) -> bool:
        """Whether all is there that the pages are made of."""
        return self.header.known and self.captures.folders == len(self.captures.proofs) > 0

    @property
    def same_code(self) -> bool:
        """Whether the numbers and pages were made by this very program; where it does not say, it is held to that."""
        return self.maker is None or self.maker.made_by.code_sha256 == code_sha256()

    def bytes_of(self, name: str) -> bytes:
        return (self.found.folder / name).read_bytes()


def _of_another_stage(header: Header, pairs: list[str]) -> list[Problem]:
    """A stage is a chapter, or one pair of it: pages may not be called after anything else."""
    stage = header.pages.stage
    odd = [pair for pair in pairs if stage not in stages(pair)]
    return [Problem(PROOF, "stage", f"says {stage!r}, and there is the pair {odd[0]}")] if odd else []


def _value(found: Unzipped, name: str, faults: list[Problem]) -> Any:
    try:
        return read_json(found.folder / name)
    except FileNotFoundError:
        faults.append(Problem(name, "", "is missing"))
    except UsageError as error:
        faults.append(_fault(name, error))
    return None


def _made_of(reader: Callable[[Any], _T], value: Any, name: str, faults: list[Problem]) -> _T | None:
    if value is None:
        return None
    try:
        return reader(value)
    except UsageError as error:
        faults.append(_fault(name, error))
        return None


def _fault(name: str, error: UsageError) -> Problem:
    """A refusal names the file first, as a problem does."""
    return Problem(name, "", str(error).removeprefix(f"{name}: "))
