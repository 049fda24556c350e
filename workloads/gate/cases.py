"""Which shapes and values a candidate is checked at: one, odd, not a multiple of a vector, long; ordinary, extreme,
non-finite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ...kernels.emit.spec import Spec
from ..device import Kind

if TYPE_CHECKING:
    from torch import Tensor

CASE_ELEMENTS = 1 << 22
"""Rows are reduced so that a case has about this many elements; the full shape is checked while it is timed."""


@dataclass(frozen=True, slots=True)
class Case:
    """`misaligned` pointers lie one element past 16 bytes' alignment; `magnitude` multiplies the first input.

    `settings` are the sizes and options of a task that is no spec; its `shape` says nothing.
    """

    shape: tuple[int, int] = (0, 0)
    values: Literal["normal", "non-finite"] = "normal"
    magnitude: float = 1.0
    misaligned: bool = False
    settings: tuple[tuple[str, bool | int | float | str], ...] = ()

    def __str__(self) -> str:
        named = ", ".join(f"{name} = {_shown(value)}" for name, value in self.settings)
        words = [named or f"{self.shape[0]} x {self.shape[1]}"]
        words += ["with NaN, infinities and zeros"] if self.values == "non-finite" else []
        words += [f"at magnitude {self.magnitude:g}"] if self.magnitude != 1 else []
        words += ["at pointers without alignment"] if self.misaligned else []
        return ", ".join(words)


def _shown(value: bool | float | str) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def cases(spec: Spec, *, brief: bool = False) -> list[Case]:
    """All cases of a spec; `brief` leaves out large ones, for runs under a tool that is a hundred times slower."""
    rows, columns = spec.shape
    shapes = _flat_shapes(columns) if rows == 1 and spec.flat else _row_shapes(rows, columns)
    if spec.edges:
        shapes = [*spec.edges]
    shapes = list(dict.fromkeys([*shapes, _cut(spec.shape, CASE_ELEMENTS)]))
    every = [Case(shape) for shape in shapes]
    few = _cut((min(rows, 7), columns), CASE_ELEMENTS)
    special = [few] if spec.edges else [few, (1, 1001) if rows == 1 and spec.flat else (7, 37)]
    every += [Case(shape, "non-finite") for shape in special]
    every += [Case(few, magnitude=one) for one in spec.magnitudes]
    every += [] if spec.aligned else [Case(few, misaligned=True)]
    return [case for case in every if not brief or case.shape[0] * case.shape[1] <= 1 << 17]


def race_shape(spec: Spec, kind: Kind) -> tuple[int, int]:
    """Where contenders are timed: the spec's shape, on a CPU with fewer rows, because what fills a GPU would swamp the
    host."""
    return spec.shape if kind == "cuda" else _cut(spec.shape, CASE_ELEMENTS)


def fill(case: Case, spec: Spec, inputs: list[Tensor], seed: int) -> None:
    """Fill the inputs with fresh values from `seed`."""
    import torch

    source = torch.Generator(device=inputs[0].device).manual_seed(seed)
    for number, tensor in enumerate(inputs):
        values = torch.randn(tensor.shape, generator=source, device=tensor.device)
        tensor.copy_(values * case.magnitude if number == 0 else values)
    if case.values == "non-finite":
        for number, (one, tensor) in enumerate(zip(spec.inputs, inputs, strict=True)):
            if one.layout == "tensor":
                _spoil(tensor, number)


def _spoil(tensor: Tensor, number: int) -> None:
    """A NaN at the end of one row, an infinity at the start of the next, and so on; every input in rows of its own.

    The last row stays as it is where there are more than four: a NaN in one row must not reach another.
    """
    rows, columns = tensor.shape
    kinds = [(columns - 1, float("nan")), (0, float("inf")), (columns // 2, float("-inf")), (slice(None), 0.0)]
    if rows == 1:
        for place, (_, value) in enumerate(kinds):
            tensor[0, (place * columns // 4 + number) % columns] = value
        tensor[0, columns - 1] = float("nan")
        return
    for row in range(min(rows, 4)):
        where, value = kinds[(row + number) % 4]
        tensor[row, where] = value


def _row_shapes(rows: int, columns: int) -> list[tuple[int, int]]:
    widths = [1, 2, 7, 33, 1000, columns - 1, columns, columns + 1, columns + 8, 2 * columns + 5]
    shapes = [(1, columns), *((3, width) for width in widths if width >= 1), (min(rows, 1025), 37), (rows, 1)]
    return [_cut(shape, CASE_ELEMENTS) for shape in dict.fromkeys(shapes)]


def _flat_shapes(elements: int) -> list[tuple[int, int]]:
    counts = [1, 2, 7, 255, 1000, 1025, elements - 1, elements, 4099]
    return [(1, count) for count in dict.fromkeys(counts) if 1 <= count <= CASE_ELEMENTS]


def _cut(shape: tuple[int, int], elements: int) -> tuple[int, int]:
    rows, columns = shape
    return max(1, min(rows, elements // columns)), (min(columns, elements) if rows == 1 else columns)
