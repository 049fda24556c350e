"""A decoder of grouped-query attention and gated MLPs in bf16: everything of it but the cache; and all of it in fp64."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import UsageError
from ...kernels.attention.paged_attention import dense, rotary_tables, rotate
from ..pair import Sizes

if TYPE_CHECKING:
    from torch import Tensor

EPS = 1e-5
_TIED = 0.8


@dataclass(frozen=True, slots=True)
class Shape:
    """`context` tokens of each of `batch` sequences are in the cache before the first of `tokens` new ones.

    Raises:
        UsageError: the query heads do not divide among the key heads, or a size is below one.
    """

    layers: int
    width: int
    heads: int
    kv_heads: int
    head: int
    hidden: int
    batch: int
    context: int
    tokens: int

    def __post_init__(self) -> None:
        if min(getattr(self, name) for name in self.__slots__) < 1 or self.heads % self.kv_heads:
            raise UsageError(f"a decoder of such sizes cannot be: {self}", "choose another size")

    @classmethod
    def of(cls, sizes: Sizes) -> Shape:
        return cls(**{name: sizes[name] for name in cls.__slots__})

    @property
    def group(self) -> int:
        """Query heads that share a key head."""
        return self.heads // self.kv_heads

    @property
    def weights(self) -> int:
        """Elements of all matrices."""
        attention = self.width * self.head * (2 * self.heads + 2 * self.kv_heads)
        return self.layers * (attention + 3 * self.width * self.hidden)

    def cached(self, tokens: int) -> int:
        """Elements of the keys and values of so many tokens a sequence."""
        return 2 * self.layers * self.batch * self.kv_heads * self.head * tokens


class Decoder:
    """The weights, and what a layer does before and after attention; each matrix is [out, in]."""

    def __init__(self, shape: Shape, kind: str) -> None:
        import torch

        self.shape = s = shape
        self.norms = torch.empty((2 * s.layers + 1, s.width), dtype=torch.bfloat16, device=kind)
        sizes = (
            ((s.heads + 2 * s.kv_heads) * s.head, s.width),
            (s.width, s.heads * s.head),
            (2 * s.hidden, s.width),
            (s.width, s.hidden),
        )
        self.qkv, self.o, self.up, self.down = (
            torch.empty((s.layers, *size), dtype=torch.bfloat16, device=kind) for size in sizes
        )
        tables = rotary_tables(s.context + s.tokens, s.head)
        self.cosine, self.sine = (table.to(kind, torch.bfloat16) for table in tables)

    def fill(self, normal: Callable[[tuple[int, ...]], Tensor]) -> None:
        """Weights from `normal`, which gives N(0, 1) of a shape, such that the output depends on everything.

        Random keys alone would leave a new token one weight among thousands, and no tolerance would see it missing. So its
        queries resemble its own keys by _TIED, scaled until it alone weighs about as much as all of the cache.
        """
        s = self.shape
        self.norms.copy_(1 + 0.1 * normal(self.norms.shape))
        for layer in range(s.layers):
            for weight, gain in ((self.qkv, 1.0), (self.o, 2.0), (self.up, 1.0), (self.down, 1.5)):
                weight[layer] = normal(weight[layer].shape) * (gain * weight.shape[-1] ** -0.5)
            self._tie(layer)

    def project(self, layer: int, x: Tensor) -> Tensor:
        """The layer's queries, keys and values of x [batch, width], not turned yet: [batch, heads + 2·kv_heads, head]."""
        from torch.nn import functional as f

        s = self.shape
        return f.linear(self._norm(2 * layer, x), self.qkv[layer]).view(s.batch, s.heads + 2 * s.kv_heads, s.head)

    def finish(self, layer: int, x: Tensor, attended: Tensor) -> Tensor:
        """The layer's output from its input and what its heads attended to, [batch, heads, head]."""
        from torch.nn import functional as f

        x = x + f.linear(attended.flatten(1), self.o[layer])
        gate, up = f.linear(self._norm(2 * layer + 1, x), self.up[layer]).chunk(2, -1)
        return x + f.linear(f.silu(gate) * up, self.down[layer])

    def last(self, x: Tensor) -> Tensor:
        return self._norm(2 * self.shape.layers, x)

    def reference(self, tokens: Tensor, keys: Sequence[Tensor], values: Sequence[Tensor]) -> Tensor:
        """Hidden states of the new tokens in fp64, for inputs [tokens, batch, width] and each layer's cache of [batch,
        kv_heads, context, head], the keys turned; a layer at a time, all tokens at once under a causal mask."""
        s = self.shape
        x = tokens.double().transpose(0, 1)  # [batch, tokens, width]
        at = slice(s.context, s.context + s.tokens)
        cosine, sine = self.cosine[at].double(), self.sine[at].double()
        for layer in range(s.layers):
            qkv = _norm64(x, self.norms[2 * layer]) @ self.qkv[layer].double().T
            heads = qkv.unflatten(-1, (-1, s.head)).transpose(1, 2)  # [batch, heads, tokens, head]
            q, k, v = heads.split((s.heads, s.kv_heads, s.kv_heads), 1)
            q, k = rotate(q, cosine, sine), rotate(k, cosine, sine)
            attended = _attended64(q, (keys[layer], k), (values[layer], v))
            x = x + attended.transpose(1, 2).flatten(2) @ self.o[layer].double().T
            gate, up = (_norm64(x, self.norms[2 * layer + 1]) @ self.up[layer].double().T).chunk(2, -1)
            x = x + (gate * gate.sigmoid() * up) @ self.down[layer].double().T
        return _norm64(x, self.norms[-1]).transpose(0, 1).contiguous()

    def _tie(self, layer: int) -> None:
        s = self.shape
        q, k, _ = self.qkv[layer].view(-1, s.head, s.width).split((s.heads, s.kv_heads, s.kv_heads))
        own = k.repeat_interleave(s.group, 0)
        # a query meets its own key with gain · _TIED · sqrt(head), which is to be the logarithm of the cache's length
        gain = math.log(s.context + 1) / (_TIED * math.sqrt(s.head))
        q.copy_(gain * (_TIED * own + math.sqrt(1 - _TIED**2) * q))

    def _norm(self, number: int, x: Tensor) -> Tensor:
        from torch.nn import functional as f

        return f.rms_norm(x, (self.shape.width,), self.norms[number], EPS)


def _norm64(x: Tensor, weight: Tensor) -> Tensor:
    return x * (x.square().mean(-1, keepdim=True) + EPS).rsqrt() * weight.double()


def _attended64(q: Tensor, keys: tuple[Tensor, Tensor], values: tuple[Tensor, Tensor]) -> Tensor:
    """A sequence at a time: the fp64 copies of a whole layer's cache would take four times its memory."""
    import torch

    rows = []
    for number, queries in enumerate(q):
        k, v = (torch.cat([part[number].double() for part in both], 1) for both in (keys, values))
        rows.append(dense(queries, k, v))
    return torch.stack(rows)
