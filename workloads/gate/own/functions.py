"""Calls a function of one's own by the names of its parameters: inputs, outputs that it fills, sizes and options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ....errors import UsageError
from .inputs_file import InputsFile

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Called:
    """`filled` are the outputs that are parameters; if there are any, all are, and what is returned is not looked at."""

    function: Callable[..., Any]
    parameters: tuple[str, ...]
    filled: bool

    def __call__(
        self, settings: Mapping[str, Any], inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]
    ) -> None:
        """Fill `outputs`.

        Raises:
            ValueError, TypeError: what was returned are not the outputs.
        """
        known = {**settings, **inputs, **outputs}
        returned = self.function(**{name: known[name] for name in self.parameters})
        if self.filled:
            return
        results = list(returned) if isinstance(returned, tuple | list) else [returned]
        if len(results) != len(outputs):
            raise ValueError(f"{len(results)} values were returned, and there are {len(outputs)} outputs")
        for (name, output), result in zip(outputs.items(), results, strict=True):
            _take(name, output, result)


def function_of(module: ModuleType, stated: InputsFile, where: str) -> Called:
    """The function of the task's name in a module.

    Raises:
        UsageError: there is none, or it takes what the file does not state, or only some outputs.
    """
    function = getattr(module, stated.name, None)
    example = f"def {stated.name}({', '.join(stated.inputs)}): ..."
    if not callable(function):
        raise UsageError(f"{where} has no function {stated.name}", example)
    known = [*stated.inputs, *stated.outputs, *stated.sizes, *stated.options]
    parameters = inspect.signature(function).parameters.values()
    unknown = [one.name for one in parameters if one.name not in known]
    needed = [one.name for one in parameters if one.name in unknown and one.default is one.empty]
    if needed:
        raise UsageError(
            f"{where}: {stated.name} takes {needed[0]}, which the inputs file does not state",
            f"parameters are matched by name: {', '.join(known)}",
        )
    taken = tuple(one.name for one in parameters if one.name not in unknown)
    filled = [name for name in stated.outputs if name in taken]
    if filled and len(filled) < len(stated.outputs):
        raise UsageError(
            f"{where}: {stated.name} takes {filled[0]} but not every output", "all outputs as parameters, or none"
        )
    return Called(function, taken, bool(filled))


def _take(name: str, output: Tensor, result: Any) -> None:
    import torch

    if not isinstance(result, torch.Tensor):
        raise TypeError(f"{name}: {type(result).__name__} was returned instead of a tensor")
    if result.shape != output.shape:
        raise ValueError(f"{name}: {list(result.shape)} was returned instead of {list(output.shape)}")
    output.copy_(result)


def named(names: Sequence[str], tensors: Sequence[Tensor]) -> dict[str, Tensor]:
    return dict(zip(names, tensors, strict=True))
