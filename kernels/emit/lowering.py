"""A spec's chain as stages of C++ expressions, cut after each look at the row."""

from __future__ import annotations

from dataclasses import dataclass

from .ops import OPS, Fold, Map
from .spec import Spec


@dataclass(frozen=True, slots=True)
class Stage:
    """Maps of one element (code, and the operand that is its `w`), then a fold; the last stage of a chain has no fold.

    In a chain that reduces, the last stage works on the row's one value.
    """

    maps: tuple[tuple[str, str | None], ...]
    fold: Fold | None


def stages(spec: Spec) -> list[Stage]:
    """The chain; names of a row's scalars end with their step's number, so that none is used twice."""
    cut: list[Stage] = []
    maps: list[tuple[str, str | None]] = []
    for number, step in enumerate(spec.steps):
        literals = {name: literal(value) for name, value in step.parameters}
        for part in OPS[step.op].lower(str(number), literals):
            if isinstance(part, Map):
                maps.append((part.code, step.operand))
            else:
                cut.append(Stage(tuple(maps), part))
                maps = []
    return [*cut, Stage(tuple(maps), None)]


def literal(value: float) -> str:
    """A C++ literal of type float, in the fewest digits that name the nearest fp32; negative ones in parentheses."""
    import numpy

    text = f"{numpy.float32(value)!s}"
    text = f"{text}f" if any(mark in text for mark in ".e") else f"{text}.0f"
    return f"({text})" if text.startswith("-") else text


def statements(stage: Stage, operands: dict[str, str]) -> list[str]:
    """The stage's maps as statements on `v`; `operands` are the expressions of the inputs' elements."""
    return [
        f"v = {code};" if name is None else f"{{ const float w = {operands[name]}; v = {code}; }}"
        for code, name in stage.maps
    ]
