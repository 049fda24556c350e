"""How a bucket of gradients crosses the wire: through pinned host memory in place of a network, or by NCCL's all-reduce."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ...errors import EnvironmentLacks, UsageError
from ..device import Device
from .buffers import on_host

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Buckets:
    """One rank's buckets: `sent` and `received` are bf16 [layers, width, width] on the rank's device."""

    sent: Tensor
    received: Tensor


class Transport(Protocol):
    """Brings bucket `layer` of every rank to every rank, summed; `name` stands in the trace."""

    @property
    def name(self) -> str: ...

    @property
    def staging(self) -> Sequence[Tensor]:
        """Where buckets lie on their way, besides `Buckets`."""
        ...

    def deliver(self, layer: int, streams: Sequence[Any]) -> None:
        """Enqueue it on `streams`, one a rank. The caller has made the first the current stream."""
        ...


class Emulated:
    """One GPU has nobody to talk to: the bucket goes to pinned host memory and back, at the rate of the link to the host.

    A sum over one rank is the bucket itself, so what arrives must equal what was sent bit for bit.
    """

    name = "pcie-emulated"

    def __init__(self, device: Device, rank: Buckets) -> None:
        self._rank = rank
        self._wire = on_host(device, *rank.sent.shape)
        self.staging = (self._wire,)

    def deliver(self, layer: int, streams: Sequence[Any]) -> None:
        self._wire[layer].copy_(self._rank.sent[layer], non_blocking=True)
        self._rank.received[layer].copy_(self._wire[layer], non_blocking=True)


class NcclAllReduce:
    """NCCL's all-reduce among the GPUs of one process, out of place, a call a bucket for all ranks together."""

    name = "nccl-all-reduce"
    staging = ()

    def __init__(self, ranks: Sequence[Buckets]) -> None:
        self._ranks = ranks

    def deliver(self, layer: int, streams: Sequence[Any]) -> None:
        from torch.cuda import nccl

        sent = [rank.sent[layer] for rank in self._ranks]
        nccl.all_reduce(sent, [rank.received[layer] for rank in self._ranks], streams=list(streams))


class HostSum:
    """What NCCL computes, on a host that stands for all ranks: so that CI runs the code of several ranks."""

    name = "host-sum"
    staging = ()

    def __init__(self, ranks: Sequence[Buckets]) -> None:
        self._ranks = ranks

    def deliver(self, layer: int, streams: Sequence[Any]) -> None:
        total = summed([rank.sent[layer] for rank in self._ranks])
        for rank in self._ranks:
            rank.received[layer].copy_(total)


def summed(buckets: Sequence[Tensor]) -> Tensor:
    """The sum in fp32, rounded to bf16 once, where the first bucket lies: of two, NCCL's bf16 sum has the same bits."""
    import torch

    total = buckets[0].float()
    for bucket in buckets[1:]:
        total += bucket.to(total.device).float()
    return total.to(torch.bfloat16)


def open_transport(device: Device, ranks: Sequence[Buckets]) -> Transport:
    """`Emulated` for one rank, `NcclAllReduce` for several on GPUs, `HostSum` for several on a CPU."""
    if len(ranks) == 1:
        return Emulated(device, ranks[0])
    return NcclAllReduce(ranks) if device.kind == "cuda" else HostSum(ranks)


def check_ranks(device: Device, ranks: int) -> None:
    """Refuse, before anything is allocated, more ranks than there are GPUs.

    Raises:
        UsageError: `ranks` is neither 1 nor 2.
        EnvironmentLacks: fewer GPUs are visible.
    """
    if ranks not in (1, 2):
        raise UsageError(f"{ranks} ranks", "1 emulates the wire, 2 use NCCL; the bits of more depend on NCCL's order")
    if device.kind == "cpu" or ranks == 1:
        return
    import torch

    if (visible := torch.cuda.device_count()) < ranks:
        raise EnvironmentLacks(
            f"unsupported: {ranks} ranks need {ranks} GPUs, and {visible} is visible",
            "run on a machine with two GPUs, or choose a size with ranks = 1: its transport is emulated",
        )
