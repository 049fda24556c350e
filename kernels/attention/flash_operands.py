"""What attention over whole sequences takes and gives, whichever kernels compute it, and the same in fp64."""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..driver.arguments import TensorMap
from ..driver.tensor_map import heads

if TYPE_CHECKING:
    from torch import Tensor

DTYPES = ("bf16", "fp16")
HEAD_DIMS = (64, 128)
_ELEMENT = 2


class TaskCell(ctypes.Structure):
    """`attention::Task` of include/attention/task.cuh."""

    _fields_ = (
        ("out", ctypes.c_void_p),
        ("lse", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("out_batch", "out_head", "out_row")),
        *((name, ctypes.c_int32) for name in ("batch", "heads", "shared_by", "queries", "keys", "causal")),
        ("scale", ctypes.c_float),
    )


@dataclass(frozen=True, slots=True)
class Operands:
    """Checked tensors of one call, and where its results go."""

    q: Tensor
    k: Tensor
    v: Tensor
    out: Tensor
    lse: Tensor
    causal: bool
    scale: float

    @property
    def kind(self) -> str:
        """ "bf16_d128" and the like: which of a source's kernels."""
        return f"{'bf16' if str(self.q.dtype) == 'torch.bfloat16' else 'fp16'}_d{self.q.shape[3]}"

    @property
    def task(self) -> TaskCell:
        batch, count, queries, _ = self.q.shape
        return TaskCell(
            self.out.data_ptr(),
            self.lse.data_ptr(),
            *self.out.stride()[:3],
            batch,
            count,
            count // self.k.shape[1],
            queries,
            self.k.shape[2],
            self.causal,
            self.scale * math.log2(math.e),
        )

    def maps(self, queries: int, keys: int) -> tuple[TensorMap, TensorMap, TensorMap]:
        """Of Q for boxes of so many rows, of K and V for boxes of so many."""
        return heads(self.q, queries), heads(self.k, keys), heads(self.v, keys)


def operands(q: Tensor, k: Tensor, v: Tensor, causal: bool, scale: float | None, out: Tensor | None) -> Operands:
    """What `flash_attention` says of its arguments, checked; `out` and the log-sum-exp are made here.

    Raises:
        ValueError: dtype, layout, shape, scale or device is not so.
    """
    import torch

    out = torch.empty_like(q) if out is None else out
    _check(q, k, v, out)
    factor = q.shape[3] ** -0.5 if scale is None else float(scale)
    if not 0 < factor < math.inf:
        raise ValueError(f"scale must be above nought and finite, not {factor}")
    lse = torch.empty(q.shape[:3], dtype=torch.float32, device=q.device)
    return Operands(q, k, v, out, lse, causal, factor)


def _check(q: Tensor, k: Tensor, v: Tensor, out: Tensor) -> None:
    import torch

    named = {"q": q, "k": k, "v": v, "out": out}
    for name, tensor in named.items():
        _check_layout(name, tensor, q.dtype)
    (batch, count, _, d), kv_heads = q.shape, k.shape[1]
    fits = k.shape == v.shape and out.shape == q.shape and k.shape[0] == batch and k.shape[3] == d
    if not fits or not q.numel() or not k.numel() or count % kv_heads:
        raise ValueError(
            f"q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)} and out {tuple(out.shape)} do not fit"
        )
    if d not in HEAD_DIMS:
        raise ValueError(f"heads must be {' or '.join(map(str, HEAD_DIMS))} wide, not {d}")
    for name, tensor in named.items():
        if not tensor.is_cuda or tensor.device.index != torch.cuda.current_device():
            raise ValueError(f"{name} must be on PyTorch's current CUDA device, not on {tensor.device}")


def _check_layout(name: str, tensor: Tensor, dtype: object) -> None:
    if str(tensor.dtype) not in ("torch.bfloat16", "torch.float16") or tensor.dim() != 4 or tensor.dtype != dtype:
        raise ValueError(
            f"{name} must be bf16 or fp16 [batch, heads, length, D], of one dtype with q, "
            f"not {tensor.dtype} {tuple(tensor.shape)}"
        )
    steps = [step for size, step in zip(tensor.shape[:3], tensor.stride()[:3], strict=True) if size > 1]
    if tensor.stride(3) != 1 or tensor.data_ptr() % 16 or any(step % 8 or not step for step in steps):
        raise ValueError(
            f"rows of {name} must be contiguous, 16-byte aligned and not expanded, not {tuple(tensor.shape)} of "
            f"strides {tensor.stride()}"
        )


def reference(
    q: Tensor, k: Tensor, v: Tensor, *, causal: bool = False, scale: float | None = None
) -> tuple[Tensor, Tensor]:
    """`flash_attention` in fp64, a head at a time, on the device of `q`."""
    import torch

    factor = q.shape[3] ** -0.5 if scale is None else scale
    out, lse = torch.empty(q.shape, dtype=torch.float64, device=q.device), torch.empty(q.shape[:3], dtype=torch.float64)
    lse = lse.to(q.device)
    shared_by = q.shape[1] // k.shape[1]
    for batch in range(q.shape[0]):
        for head in range(q.shape[1]):
            keys, values = (whole[batch, head // shared_by].double() for whole in (k, v))
            scores = q[batch, head].double() @ keys.t() * factor
            if causal:
                hidden = torch.ones_like(scores, dtype=torch.bool).triu(k.shape[2] - q.shape[2] + 1)
                scores.masked_fill_(hidden, -math.inf)
            sums = scores.logsumexp(1)
            unseen = sums == -math.inf
            out[batch, head] = (scores - sums.masked_fill(unseen, 0)[:, None]).exp() @ values
            lse[batch, head] = sums
    return out, lse


def pairs_seen(queries: int, keys: int, causal: bool) -> int:
    """Of a query and a key that it sees."""
    if not causal:
        return queries * keys
    return sum(max(0, min(keys, row + 1 + keys - queries)) for row in range(queries))


def declared_flops(batch: int, heads: int, queries: int, keys: int, d: int, causal: bool = False) -> int:
    """Of both products, over the pairs that are seen alone; the field counts S²/2 where causal, which is S/2 pairs fewer."""
    return 4 * batch * heads * d * pairs_seen(queries, keys, causal)


def declared_bytes(batch: int, heads: int, kv_heads: int, queries: int, keys: int, d: int) -> int:
    """Q, K, V and the output once each, and the log-sum-exp."""
    return _ELEMENT * batch * d * (2 * heads * queries + 2 * kv_heads * keys) + 4 * batch * heads * queries
