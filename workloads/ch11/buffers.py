"""bf16 memory of chapter 11's pairs, on the device and pinned on the host, and random numbers to fill it."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import TYPE_CHECKING

from ..device import Device

if TYPE_CHECKING:
    from torch import Tensor

_SEED_STEP = 1_000_003


def on_device(device: Device, *shape: int) -> Tensor:
    """Uninitialised bf16 on the device."""
    import torch

    return torch.empty(shape, dtype=torch.bfloat16, device=device.kind)


def on_host(device: Device, *shape: int) -> Tensor:
    """Uninitialised bf16 in host memory that the copy engines reach without staging."""
    import torch

    n = prod(shape)
    return device.pinned((n + 1) // 2).view(torch.bfloat16)[:n].view(shape)


def fill_normal(device: Device, tensors: Iterable[Tensor], seed: int, scale: float = 1.0) -> None:
    """Fill each with N(0, scale²), every one from a seed of its own that follows from `seed`."""
    for number, tensor in enumerate(tensors):
        tensor.copy_(device.normal(tensor.numel(), seed + _SEED_STEP * number).mul_(scale).view(tensor.shape))
