"""How a CUDA source of one's own is launched, stated in its first lines: TOML behind `//`.

// aisp-prof launch
// entry = "matmul"
// grid = ["cdiv(n, 32)", "cdiv(m, 32)"]
// block = [32, 8]
// arguments = ["a", "b", "c", "int m", "int n", "int k"]
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ....errors import UsageError
from ....machine.files import read_whole
from ....machine.records import convert
from .inputs_file import InputsFile, Option
from .sizes import evaluate

if TYPE_CHECKING:
    from torch import Tensor

    from ....kernels.driver.launch import Argument, Dimensions, Shape

MARK = "// aisp-prof launch"
MOST_BYTES = 1 << 20
MOST_THREADS = 1024
_TYPES = ("int", "int64", "float")


class Launch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`grid`, `block` and `cluster` have one to three extents; `arguments` are those of the kernel, in order: a tensor's name is
    its address, `int NAME`, `int64 NAME` and `float NAME` are sizes and options."""

    entry: str
    grid: tuple[int | str, ...]
    block: tuple[int | str, ...]
    arguments: tuple[str, ...]
    shared: int | str = 0
    cluster: tuple[int | str, ...] = (1,)
    cooperative: bool = False

    def grid_of(self, sizes: Mapping[str, int], where: str) -> Dimensions:
        return _extents(self.grid, sizes, f"{where}: grid")

    def shape_of(self, sizes: Mapping[str, int], where: str) -> Shape:
        from ....kernels.driver.launch import Shape

        return Shape(
            block=_extents(self.block, sizes, f"{where}: block"),
            shared=evaluate(self.shared, sizes, f"{where}: shared"),
            cluster=_extents(self.cluster, sizes, f"{where}: cluster"),
            cooperative=self.cooperative,
        )

    def values(self, settings: Mapping[str, Option], tensors: Mapping[str, Tensor]) -> list[Argument]:
        from ....kernels.driver.launch import fp32, int32, int64, pointer

        makers: Mapping[str, Any] = {"int": int32, "int64": int64, "float": fp32}
        made = []
        for text in self.arguments:
            kind, _, name = text.rpartition(" ")
            made.append(makers[kind](settings[name]) if kind else pointer(tensors[name]))
        return made


def read_launch(source: Path, stated: InputsFile) -> Launch:
    """The launch that a source states, for a task.

    Raises:
        UsageError: the file cannot be read, states none, or one that the task's cases cannot have.
    """
    try:
        text = read_whole(source, MOST_BYTES).decode("utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {source}: {error}") from error
    launch = convert(_toml(text, str(source)), Launch, f"{source}: the launch")
    _check(launch, stated, f"{source}: the launch")
    return launch


def _toml(text: str, where: str) -> dict[str, Any]:
    lines = text.splitlines()
    if not lines or lines[0].rstrip() != MARK:
        raise UsageError(
            f"{where} does not say how it is launched", f"its first line: {MARK}; docs/kernel-gate.md shows the others"
        )
    stated = []
    for line in lines[1:]:
        if not line.startswith("//"):
            break
        stated.append(line.removeprefix("//"))
    try:
        return tomllib.loads("\n".join(stated))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{where}: the lines below {MARK} are no TOML: {error}") from error


def _check(launch: Launch, stated: InputsFile, where: str) -> None:
    if not re.fullmatch(r"[A-Za-z_]\w*", launch.entry):
        raise UsageError(f"{where}: entry {launch.entry[:60]!r} is no name of a kernel")
    for extents in (launch.grid, launch.block, launch.cluster):
        if not 1 <= len(extents) <= 3:
            raise UsageError(f"{where}: grid, block and cluster have one to three extents")
    for text in launch.arguments:
        _check_argument(text, stated, where)
    for changed in ({}, *map(dict, stated.cases)):
        sizes = stated.sizes_in(stated.settings(changed))
        _threads(launch, sizes, where)


def _threads(launch: Launch, sizes: Mapping[str, int], where: str) -> None:
    threads = 1
    for extent in launch.block:
        threads *= evaluate(extent, sizes, f"{where}: block")
    if not 1 <= threads <= MOST_THREADS:
        raise UsageError(f"{where}: a block has {threads} threads", f"from 1 to {MOST_THREADS}")
    for extent in (*launch.grid, *launch.cluster):
        if evaluate(extent, sizes, f"{where}: grid") < 1:
            raise UsageError(f"{where}: {extent!r} is 0 in a case", "at least 1")


def _check_argument(text: str, stated: InputsFile, where: str) -> None:
    kind, _, name = text.rpartition(" ")
    tensors, numbers = {*stated.inputs, *stated.outputs}, {**stated.sizes, **stated.options}
    if (kind and (kind not in _TYPES or name not in numbers)) or (not kind and name not in tensors):
        mend = f"a tensor ({', '.join(sorted(tensors))}), or {', '.join(_TYPES)} before a size or option"
        raise UsageError(f"{where}: argument {text[:60]!r} is not understood", mend)
    if kind and isinstance(numbers[name], str):
        raise UsageError(f"{where}: argument {text[:60]!r} is a text, which no kernel takes")


def _extents(extents: tuple[int | str, ...], sizes: Mapping[str, int], where: str) -> Dimensions:
    x, y, z = (*(evaluate(one, sizes, where) for one in extents), 1, 1)[:3]
    return x, y, z
