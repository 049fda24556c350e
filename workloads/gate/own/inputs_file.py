"""The file that states a task: sizes, inputs, outputs, options and cases, in TOML (docs/kernel-gate.md)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Literal

import msgspec

from ....errors import UsageError
from ....kernels.emit.spec import TOLERANCES
from ....machine.files import read_whole
from ....machine.records import convert
from .sizes import evaluate

VERSION = 1
MOST_BYTES = 64 << 10
MOST_TENSORS = 32
MOST_CASES = 64
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")

Float = Literal["fp32", "bf16", "fp16"]
Integer = Literal["int32", "int64"]
Option = bool | int | float | str
"""A value that every call gets, by its name."""


class Stated(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An input. Floating-point values are N(0, 1) times `scale`, or their magnitudes where `positive`; integers and bool lie
    evenly from 0 to below `below`."""

    shape: tuple[int | str, ...]
    dtype: Literal["fp32", "bf16", "fp16", "int32", "int64", "bool"]
    scale: float = 1.0
    positive: bool = False
    below: int | str = 2


class StatedOutput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An output; without `tolerance` the one of the file, else that of the dtype. Integers must be equal."""

    shape: tuple[int | str, ...]
    dtype: Float | Integer
    tolerance: float | None = None


class InputsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`name` is also the function's in the reference and in Python candidates. `sizes` are those it is timed at; on a CPU `cpu`
    replaces some of them, and every one of `cases` some of them or of `options`."""

    version: int
    name: str
    sizes: Mapping[str, int]
    inputs: Mapping[str, Stated]
    outputs: Mapping[str, StatedOutput]
    options: Mapping[str, Option] = {}
    cases: tuple[Mapping[str, Option], ...] = ()
    cpu: Mapping[str, int] = {}
    tolerance: float | None = None
    aligned: bool = False

    def settings(self, changed: Mapping[str, Option]) -> dict[str, Option]:
        """Sizes and options with some of them replaced."""
        return {**self.sizes, **self.options, **changed}

    def sizes_in(self, settings: Mapping[str, Option]) -> dict[str, int]:
        return {name: int(settings[name]) for name in self.sizes}

    def shape(self, one: Stated | StatedOutput, settings: Mapping[str, Option], where: str) -> tuple[int, ...]:
        sizes = self.sizes_in(settings)
        return tuple(evaluate(extent, sizes, where) for extent in one.shape)

    def tolerance_of(self, one: StatedOutput) -> float:
        stated = self.tolerance if one.tolerance is None else one.tolerance
        return stated if stated is not None else TOLERANCES.get(one.dtype, 0.0)

    def elements(self, settings: Mapping[str, Option]) -> int:
        """Of all tensors together."""
        return sum(prod(self.shape(one, settings, name)) for name, one in self.tensors())

    def tensors(self) -> list[tuple[str, Stated | StatedOutput]]:
        """Inputs and outputs by name."""
        return [*self.inputs.items(), *self.outputs.items()]


def read_inputs_file(path: Path) -> InputsFile:
    """What a file states, all of whose shapes have values in every case.

    Raises:
        UsageError: it cannot be read, or is malformed; the message names the place.
    """
    try:
        data = tomllib.loads(read_whole(path, MOST_BYTES).decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{path} cannot be read: {reason}", "docs/kernel-gate.md shows such a file") from error
    stated = convert(data, InputsFile, str(path))
    _check(stated, str(path))
    return stated


def _check(stated: InputsFile, where: str) -> None:
    if stated.version != VERSION:
        raise UsageError(f"{where}: version is {stated.version}", f"version = {VERSION}")
    _check_names(stated, where)
    if not stated.inputs or not stated.outputs:
        raise UsageError(f"{where}: there is no {'input' if not stated.inputs else 'output'}", "one table at least")
    if len(stated.inputs) + len(stated.outputs) > MOST_TENSORS or len(stated.cases) > MOST_CASES:
        raise UsageError(f"{where}: more than {MOST_TENSORS} tensors or {MOST_CASES} cases")
    if any(not 0 <= stated.tolerance_of(one) < 1 for one in stated.outputs.values()):
        raise UsageError(f"{where}: a tolerance is not from 0 to below 1")
    bases: list[dict[str, Option]] = [{}, dict(stated.cpu)]
    for base in bases:
        for changed in (base, *({**base, **case} for case in stated.cases)):
            _check_case(stated, changed, where)


def _check_names(stated: InputsFile, where: str) -> None:
    names = [stated.name, *stated.sizes, *stated.inputs, *stated.outputs, *stated.options]
    for name in names:
        if not _NAME.fullmatch(name):
            raise UsageError(f"{where}: {name[:60]!r} is no name", "letters, digits and _; no digit first")
        if names.count(name) > 1:
            raise UsageError(f"{where}: two things are called {name}", "a name of its own for each, and for the task")


def _check_case(stated: InputsFile, changed: Mapping[str, Option], where: str) -> None:
    known = {**stated.sizes, **stated.options}
    for name, value in changed.items():
        if name not in known:
            raise UsageError(f"{where}: a case sets {name}, which is no size or option", f"one of: {', '.join(known)}")
        if type(value) is not type(known[name]):
            raise UsageError(f"{where}: a case sets {name} to {value!r}", f"a {type(known[name]).__name__}, as above")
    settings = stated.settings(changed)
    for name, one in stated.tensors():
        shape = stated.shape(one, settings, f"{where}: {name}")
        if prod(shape) < 1:
            raise UsageError(f"{where}: {name} has no element in a case: {list(shape)}", "extents of at least 1")
        if isinstance(one, Stated):
            below = evaluate(one.below, stated.sizes_in(settings), f"{where}: {name}.below")
            if below < 1:
                raise UsageError(f"{where}: {name}.below is {below}", "at least 1")
