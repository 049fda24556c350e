"""A feed-forward stage y = gelu(x·W + bias)·V in bf16: two matrix products, bias and GELU in the first one's epilogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..gemm import gelu_layers

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Stage:
    """The weights of a stage, bf16: `up` [width, hidden], `bias` [hidden], `down` [hidden, width]."""

    up: Tensor
    bias: Tensor
    down: Tensor

    def run(self, x: Tensor, hidden: Tensor, y: Tensor) -> None:
        """Enqueue the stage on the current stream.

        Args:
            x, y: bf16 [rows, width], not overlapping; hidden: bf16 [rows, hidden], overwritten.
        """
        import torch

        gelu_layers.fused(x, (self.up,), (self.bias,), (hidden, hidden))
        torch.mm(hidden, self.down, out=y)

    def reference(self, x: Tensor) -> Tensor:
        """The stage in fp64 for the given bf16 weights; [rows, width]."""
        return gelu_layers.reference(x, (self.up,), (self.bias,)) @ self.down.double()
