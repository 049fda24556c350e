"""Three caches of keys and values: one that grows by concatenation, one allocated for its final length, and one in pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from ...errors import UsageError
from ...kernels.attention import paged_attention
from .decoder import Decoder

if TYPE_CHECKING:
    from torch import Tensor


class Cache(Protocol):
    """Keys and values of all layers; what a new token of each sequence attends to."""

    def start(self) -> None:
        """Go back to the context alone; copies no keys or values."""
        ...

    def attend(self, layer: int, qkv: Tensor) -> Tensor:
        """Turn and append the token's key and value of [batch, heads + 2·kv_heads, head], and attend: [batch, heads, head]."""
        ...

    def advance(self) -> None:
        """The next token follows."""
        ...


class GrowingCache:
    """Each layer's tensors are replaced by longer ones for every token, from given ones of [batch, kv_heads, context, head]."""

    def __init__(self, decoder: Decoder, keys: Sequence[Tensor], values: Sequence[Tensor]) -> None:
        self._decoder, self._context = decoder, (keys, values)
        self.start()

    def start(self) -> None:
        self._keys, self._values = (list(tensors) for tensors in self._context)

    def attend(self, layer: int, qkv: Tensor) -> Tensor:
        import torch

        q, k, v = _turned(self._decoder, qkv, self._keys[layer].shape[2])
        self._keys[layer] = torch.cat((self._keys[layer], k), 2)
        self._values[layer] = torch.cat((self._values[layer], v), 2)
        return _expanded_attention(q, self._keys[layer], self._values[layer])

    def advance(self) -> None:
        return


class PreallocatedCache:
    """Tensors of the final length, [layers, batch, kv_heads, context + tokens, head]; a token's key and value are put in place.

    `grouped` attention reads a key and a value once for all queries of its group; else each is copied for every query first.
    """

    def __init__(self, decoder: Decoder, keys: Tensor, values: Tensor, *, grouped: bool = False) -> None:
        self._decoder, self._context = decoder, decoder.shape.context
        self._attention = _grouped_attention if grouped else _expanded_attention
        self._keys, self._values = (_longer(tensor, decoder.shape.tokens) for tensor in (keys, values))
        self.start()

    def load(self, keys: Tensor, values: Tensor) -> None:
        """Copy the context of [layers, batch, kv_heads, context, head] in."""
        for mine, given in ((self._keys, keys), (self._values, values)):
            mine[:, :, :, : self._context] = given

    def poison(self) -> None:
        for mine in (self._keys, self._values):
            mine[:, :, :, self._context :] = float("nan")

    def start(self) -> None:
        self._length = self._context

    def attend(self, layer: int, qkv: Tensor) -> Tensor:
        q, k, v = _turned(self._decoder, qkv, self._length)
        at, until = slice(self._length, self._length + 1), self._length + 1
        keys, values = self._keys[layer], self._values[layer]
        keys[:, :, at], values[:, :, at] = k, v
        return self._attention(q, keys[:, :, :until], values[:, :, :until])

    def advance(self) -> None:
        self._length += 1


class PagedCache:
    """Pages of one pool a layer, in no order; how long the sequences are, and which token it is, is known to the device alone.

    Raises:
        UsageError: `page` or `splits` is not a power of two.
    """

    def __init__(self, decoder: Decoder, page: int, splits: int) -> None:
        import torch

        if page < 1 or splits < 1 or page & (page - 1) or splits & (splits - 1):
            raise UsageError(f"{page} tokens a page and {splits} splits are not powers of two", "choose another size")
        self._decoder, self._page, s = decoder, page, decoder.shape
        kind, dtype = decoder.norms.device, decoder.norms.dtype
        width = -(-(s.context + s.tokens) // page)
        self.table = torch.arange(s.batch * width, dtype=torch.int32, device=kind).view(s.batch, width)
        pool = (s.layers, s.batch * width, s.kv_heads, page, s.head)
        self._keys, self._values = (torch.full(pool, float("nan"), dtype=dtype, device=kind) for _ in range(2))
        self._q, self._out = (torch.empty((s.batch, s.heads, s.head), dtype=dtype, device=kind) for _ in range(2))
        self._parts = paged_attention.parts(s.batch, s.kv_heads, s.group, s.head, splits, kind.type)
        self._first = torch.tensor([0, *[s.context] * s.batch], device=kind)
        self._state = self._first.clone()
        self.step, self.lengths = self._state[:1], self._state[1:]

    def load(self, keys: Tensor, values: Tensor, order: Tensor) -> None:
        """Copy the context of [layers, batch, kv_heads, context, head] in, the pages taken in `order`, a permutation of all."""
        self.table.copy_(order.view(self.table.shape))
        where = self.table.flatten().long()
        for pool, given in ((self._keys, keys), (self._values, values)):
            for layer, tokens in enumerate(given):
                pool[layer, where] = self._as_pages(tokens)

    def poison(self) -> None:
        s = self._decoder.shape
        for position in range(s.context, s.context + s.tokens):
            pages = self.table[:, position // self._page].long()
            for pool in (self._keys, self._values):
                pool[:, pages, :, position % self._page] = float("nan")
        for buffer in (self._q, self._out, *self._parts):
            buffer.fill_(float("nan"))

    def start(self) -> None:
        self._state.copy_(self._first)

    def attend(self, layer: int, qkv: Tensor) -> Tensor:
        pools = self._keys[layer], self._values[layer]
        tables = self._decoder.cosine, self._decoder.sine
        paged_attention.append(qkv, *tables, self.lengths, self.table, self._q, *pools)
        paged_attention.attend(self._q, *pools, self.table, self.lengths, self._parts, self._out)
        return self._out

    def advance(self) -> None:
        self._state.add_(1)

    def _as_pages(self, tokens: Tensor) -> Tensor:
        """[batch, kv_heads, context, head] as [batch · pages, kv_heads, page, head], the rest of the last ones NaN."""
        s = self._decoder.shape
        longer = _longer(tokens, self.table.shape[1] * self._page - s.context)
        longer[:, :, s.context :] = float("nan")
        longer[:, :, : s.context] = tokens
        return longer.unflatten(2, (-1, self._page)).transpose(1, 2).flatten(0, 1)


def _longer(tensor: Tensor, tokens: int) -> Tensor:
    """An uninitialised tensor like this one with room for more tokens."""
    *outer, context, head = tensor.shape
    return tensor.new_empty((*outer, context + tokens, head))


def _turned(decoder: Decoder, qkv: Tensor, position: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values as [batch, heads or kv_heads, 1, head], queries and keys turned to the position."""
    s = decoder.shape
    turned = paged_attention.rotate(qkv[:, : s.heads + s.kv_heads], decoder.cosine[position], decoder.sine[position])
    q, k = turned.split((s.heads, s.kv_heads), 1)
    return q[:, :, None], k[:, :, None], qkv[:, s.heads + s.kv_heads :, None]


def _grouped_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """PyTorch's attention told that queries share keys and values: the same call with a flag."""
    from torch.nn import functional as f

    return f.scaled_dot_product_attention(q, k, v, enable_gqa=True)[:, :, 0]


def _expanded_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """PyTorch's attention after each key and value has been copied for every query of its group."""
    from torch.nn import functional as f

    k, v = (t.repeat_interleave(q.shape[1] // t.shape[1], dim=1) for t in (k, v))
    return f.scaled_dot_product_attention(q, k, v)[:, :, 0]
