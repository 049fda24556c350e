"""A spec's meaning in PyTorch: in fp64 the reference that kernels are checked against, in fp32 what eager operators do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .ops import OPS
from .spec import Spec

if TYPE_CHECKING:
    from torch import Tensor

_CHUNK_ELEMENTS = 1 << 24
"""Elements of fp64 at a time: a spec of gigabytes is checked without ten times as many."""


def evaluate(spec: Spec, inputs: Sequence[Tensor]) -> Tensor:
    """The chain by PyTorch's operators, in the dtype of `inputs`, which are as the spec lists them.

    Returns a tensor of `spec.output_shape`, not rounded to the output's dtype.
    """
    named = dict(zip((one.name for one in spec.inputs), inputs, strict=True))
    by_row = {one.name for one in spec.inputs if one.layout == "row"}
    value = inputs[0]
    for step in spec.steps:
        operand = named[step.operand] if step.operand else value
        if step.operand in by_row:
            operand = operand.unsqueeze(-1)
        value = OPS[step.op].reference(value, operand, dict(step.parameters))
    return value.squeeze(-1) if spec.reduces else value


def reference(spec: Spec, inputs: Sequence[Tensor]) -> Tensor:
    """`evaluate` in fp64, a block of rows at a time, of `spec.output_shape` on the inputs' device."""
    import torch

    rows, columns = inputs[0].shape
    shape = spec.output_shape((rows, columns))
    if spec.flat:  # any cut will do, and a row may be the whole
        inputs, rows, columns = [one.reshape(-1, 1) for one in inputs], rows * columns, 1
    out = torch.empty(spec.output_shape((rows, columns)), dtype=torch.float64, device=inputs[0].device)
    step = max(1, _CHUNK_ELEMENTS // columns)
    for first in range(0, rows, step):
        chosen = slice(first, first + step)
        part = [
            tensor.double() if one.layout == "column" else tensor[chosen].double()
            for one, tensor in zip(spec.inputs, inputs, strict=True)
        ]
        out[chosen] = evaluate(spec, part)
    return out.view(shape)


def torch_dtype(name: str) -> object:
    """PyTorch's dtype of a name in `spec.DTYPES`, or of an integer type as PyTorch calls it."""
    import torch

    floats = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    return floats.get(name) or getattr(torch, name)
