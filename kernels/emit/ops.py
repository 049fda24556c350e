"""The steps that a spec may name: what each computes in PyTorch (the reference, in fp64) and how it is lowered to CUDA.

A lowering is a list of `Map` and `Fold` over one element `v` in fp32. NaN and infinities go through as IEEE arithmetic sends
them through the formula: a maximum keeps a NaN, unlike fmaxf, and relu is a comparison for the same reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Parameters = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Map:
    """`v` becomes `code`, a C++ expression of `v`, of the operand `w` and of scalars of the row."""

    code: str


@dataclass(frozen=True, slots=True)
class Fold:
    """The row's `term`s (an expression of `v`) are combined into one float, which `then` turns into scalars of the row.

    `then` is a list of (name, expression); an expression may use `total`, `columns` (a float) and earlier scalars.
    """

    combine: Literal["sum", "max", "min", "absmax"]
    term: str
    then: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Op:
    """One kind of step.

    shape        "element": each element by itself; "row": each element after looking at its row; "reduce": a row to one value
    parameters   name -> default; None where the spec must give it
    operand      whether the step names a second input
    reference    (v, operand or None, parameters) -> v, on tensors [rows, columns] of any floating dtype
    lower        (suffix for names, parameters as C++ literals) -> the steps in CUDA; a reduction's last Map makes the result
    """

    shape: Literal["element", "row", "reduce"]
    parameters: Mapping[str, float | None]
    operand: bool
    reference: Callable[[Tensor, Tensor, Parameters], Tensor]
    lower: Callable[[str, Mapping[str, str]], list[Map | Fold]]


def _element(code: str, reference: Callable[..., Tensor], **parameters: float | None) -> Op:
    def lower(_suffix: str, p: Mapping[str, str]) -> list[Map | Fold]:
        return [Map(code.format(**p))]

    return Op("element", parameters, False, lambda v, _w, p: reference(v, **p), lower)


def _binary(code: str, reference: Callable[[Tensor, Tensor], Tensor]) -> Op:
    return Op("element", {}, True, lambda v, w, _p: reference(v, w), lambda _suffix, _p: [Map(code)])


# Squares are taken of v * 2^-e, with 2^e the row's largest magnitude: no finite row overflows, and powers of two do not round.
def _scaled_squares(suffix: str, least: int, then: tuple[tuple[str, str], ...]) -> list[Map | Fold]:
    scale = f"scale{suffix}"
    return [
        Fold("absmax", "v", ((scale, f"inverse_power(total, {least})"),)),
        Fold("sum", f"(v * {scale}) * (v * {scale})", then),
    ]


def _l2norm(s: str, p: Mapping[str, str]) -> list[Map | Fold]:
    inverse = f"1.0f / (sqrtf(total) > {p['eps']} * scale{s} || total != total ? sqrtf(total) : {p['eps']} * scale{s})"
    return [*_scaled_squares(s, -80, ((f"inverse{s}", inverse),)), Map(f"v * scale{s} * inverse{s}")]


def _rmsnorm(s: str, p: Mapping[str, str]) -> list[Map | Fold]:
    # scale is at most 2^40, so that eps * scale^2 stays finite; below 2^-40 a row is nothing beside eps
    inverse = f"1.0f / sqrtf(total / columns + {p['eps']} * scale{s} * scale{s})"
    return [*_scaled_squares(s, -40, ((f"inverse{s}", inverse),)), Map(f"v * scale{s} * inverse{s}")]


def _layernorm(s: str, p: Mapping[str, str]) -> list[Map | Fold]:
    return [
        Fold("sum", "v", ((f"mean{s}", "total / columns"),)),
        Map(f"v - mean{s}"),
        Fold("sum", "v * v", ((f"inverse{s}", f"1.0f / sqrtf(total / columns + {p['eps']})"),)),
        Map(f"v * inverse{s}"),
    ]


def _softmax(s: str, _p: Mapping[str, str]) -> list[Map | Fold]:
    return [
        Fold("max", "v", ((f"most{s}", "total"),)),
        Map(f"expf(v - most{s})"),
        Fold("sum", "v", ((f"inverse{s}", "1.0f / total"),)),
        Map(f"v * inverse{s}"),
    ]


def _norm(s: str, _p: Mapping[str, str]) -> list[Map | Fold]:
    return [*_scaled_squares(s, -80, ((f"norm{s}", f"sqrtf(total) / scale{s}"),)), Map(f"norm{s}")]


def _fold(combine: Literal["sum", "max", "min"], term: str, result: str = "total") -> Callable[..., list[Map | Fold]]:
    return lambda s, _p: [Fold(combine, term, ((f"result{s}", result),)), Map(f"result{s}")]


def _row(lower: Callable[..., list[Map | Fold]], reference: Callable[..., Tensor], **parameters: float) -> Op:
    return Op("row", parameters, False, lambda v, _w, p: reference(v, **p), lower)


def _reduce(lower: Callable[..., list[Map | Fold]], reference: Callable[[Tensor], Tensor]) -> Op:
    return Op("reduce", {}, False, lambda v, _w, _p: reference(v), lower)


def _reference_l2norm(v: Tensor, eps: float) -> Tensor:
    return v / v.square().sum(-1, keepdim=True).sqrt().clamp(min=eps)


def _reference_rmsnorm(v: Tensor, eps: float) -> Tensor:
    return v / (v.square().mean(-1, keepdim=True) + eps).sqrt()


def _reference_layernorm(v: Tensor, eps: float) -> Tensor:
    centred = v - v.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + eps).sqrt()


def _reference_gelu(v: Tensor) -> Tensor:
    import torch

    return 0.5 * v * torch.special.erfc(-v / 2**0.5)


_EPS = 1e-6
_TANH_GELU = "v / (1.0f + expf(-1.5957691216057308f * (v + 0.044715f * v * v * v)))"

OPS: Mapping[str, Op] = {
    # what one element does by itself
    "relu": _element("v < 0.0f ? 0.0f : v", lambda v: v.relu()),
    "leaky_relu": _element("v < 0.0f ? v * {slope} : v", lambda v, slope: v.where(~(v < 0), v * slope), slope=0.01),
    "gelu": _element("0.5f * v * erfcf(-0.70710678118654752f * v)", _reference_gelu),
    "gelu_tanh": _element(_TANH_GELU, lambda v: v / (1 + (-1.5957691216057308 * (v + 0.044715 * v * v * v)).exp())),
    "silu": _element("v / (1.0f + expf(-v))", lambda v: v / (1 + (-v).exp())),
    "sigmoid": _element("1.0f / (1.0f + expf(-v))", lambda v: v.sigmoid()),
    "tanh": _element("tanhf(v)", lambda v: v.tanh()),
    "exp": _element("expf(v)", lambda v: v.exp()),
    "log": _element("logf(v)", lambda v: v.log()),
    "sin": _element("sinf(v)", lambda v: v.sin()),
    "cos": _element("cosf(v)", lambda v: v.cos()),
    "abs": _element("fabsf(v)", lambda v: v.abs()),
    "neg": _element("-v", lambda v: -v),
    "square": _element("v * v", lambda v: v.square()),
    "sqrt": _element("sqrtf(v)", lambda v: v.sqrt()),
    "reciprocal": _element("1.0f / v", lambda v: v.reciprocal()),
    "scale": _element("v * {by}", lambda v, by: v * by, by=None),
    "shift": _element("v + {by}", lambda v, by: v + by, by=None),
    "clamp": _element(
        "v < {min} ? {min} : (v > {max} ? {max} : v)", lambda v, min, max: v.clamp(min, max), min=None, max=None
    ),
    # with a second input
    "add": _binary("v + w", lambda v, w: v + w),
    "sub": _binary("v - w", lambda v, w: v - w),
    "mul": _binary("v * w", lambda v, w: v * w),
    "div": _binary("v / w", lambda v, w: v / w),
    "maximum": _binary("(v > w || v != v) ? v : w", lambda v, w: v.maximum(w)),
    "minimum": _binary("(v < w || v != v) ? v : w", lambda v, w: v.minimum(w)),
    # norms: every element after a look at its row
    "l2norm": _row(_l2norm, _reference_l2norm, eps=_EPS),
    "rmsnorm": _row(_rmsnorm, _reference_rmsnorm, eps=_EPS),
    "layernorm": _row(_layernorm, _reference_layernorm, eps=_EPS),
    "softmax": _row(_softmax, lambda v: v.softmax(-1)),
    # reductions: a row to one value
    "sum": _reduce(_fold("sum", "v"), lambda v: v.sum(-1, keepdim=True)),
    "mean": _reduce(_fold("sum", "v", "total / columns"), lambda v: v.mean(-1, keepdim=True)),
    "max": _reduce(_fold("max", "v"), lambda v: v.amax(-1, keepdim=True)),
    "min": _reduce(_fold("min", "v"), lambda v: v.amin(-1, keepdim=True)),
    "sum_of_squares": _reduce(_fold("sum", "v * v"), lambda v: v.square().sum(-1, keepdim=True)),
    "norm": _reduce(_norm, lambda v: v.square().sum(-1, keepdim=True).sqrt()),
}
