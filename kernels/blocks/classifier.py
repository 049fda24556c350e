"""A three-layer image classifier in fp32: images normalised, matrix products with bias and ReLU between them; two ways.

The products are PyTorch's in both; what lies between them is single operators, or a Triton kernel each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Classifier:
    """The weights, all fp32: logits = W₃·relu(W₂·relu(W₁·normal + b₁) + b₂) + b₃ with normal = (image - mean) · scale.

    mean, scale: [pixels], of the data set; matrices: [pixels, hidden], [hidden, hidden], [hidden, classes]; biases likewise.
    """

    mean: Tensor
    scale: Tensor
    matrices: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]

    def normalise_in_steps(self, images: Tensor, normal: Tensor) -> None:
        """(images - mean) · scale in two operators; both contiguous fp32 [rows, pixels]."""
        import torch

        torch.sub(images, self.mean, out=normal)
        normal.mul_(self.scale)

    def normalise(self, images: Tensor, normal: Tensor) -> None:
        """The same in one kernel, enqueued on the current stream; `images` may be bf16. On a CPU PyTorch's operators run.

        Raises:
            ValueError: a dtype, layout or shape is not as above.
        """
        _check(images, normal, self.mean)
        if images.device.type == "cuda":
            from .classifier_triton import launch_normalise

            return launch_normalise(images, self.mean, self.scale, normal)
        normal.copy_((images.float() - self.mean) * self.scale)

    def layers_in_steps(self, normal: Tensor, outputs: Sequence[Tensor]) -> None:
        """Every layer's product, bias and ReLU as single operators; `outputs` holds each layer's, the last the logits."""
        import torch

        source = normal
        for number, out in enumerate(outputs):
            torch.mm(source, self.matrices[number], out=out)
            out.add_(self.biases[number])
            if number < len(outputs) - 1:
                out.relu_()
            source = out

    def layers(self, normal: Tensor, outputs: Sequence[Tensor]) -> None:
        """The same with bias and ReLU in one kernel a layer."""
        import torch

        source = normal
        for number, out in enumerate(outputs):
            torch.mm(source, self.matrices[number], out=out)
            bias_relu(out, self.biases[number], number < len(outputs) - 1)
            source = out

    def reference(self, images: Tensor) -> Tensor:
        """The logits in fp64 for the given weights; [rows, classes]."""
        out = (images.double() - self.mean.double()) * self.scale.double()
        for number, (matrix, bias) in enumerate(zip(self.matrices, self.biases, strict=True)):
            out = out @ matrix.double() + bias.double()
            if number < len(self.matrices) - 1:
                out = out.relu()
        return out


def bias_relu(u: Tensor, bias: Tensor, relu: bool) -> None:
    """relu(u + bias), or without `relu` u + bias, in place of contiguous fp32 [rows, columns]; enqueued on the current stream.

    Raises:
        ValueError: a dtype, layout or shape is not as above.
    """
    _check(u, u, bias)
    if u.device.type == "cuda":
        from .classifier_triton import launch_bias_relu

        return launch_bias_relu(u, bias, relu)
    u.add_(bias)
    if relu:
        u.relu_()


def _check(source: Tensor, out: Tensor, vector: Tensor) -> None:
    import torch

    if source.dtype not in (torch.float32, torch.bfloat16) or out.dtype is not torch.float32:
        raise ValueError(f"{source.dtype} in and {out.dtype} out; fp32 or bf16 in and fp32 out are known")
    if not (source.is_contiguous() and out.is_contiguous()):
        raise ValueError("matrices must be contiguous")
    if source.shape != out.shape or source.dim() != 2 or vector.shape != source.shape[1:] or not source.numel():
        raise ValueError(f"{tuple(source.shape)}, {tuple(out.shape)} and {tuple(vector.shape)} do not fit")
