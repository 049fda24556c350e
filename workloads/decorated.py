"""`@aisp_prof.pair`: a class with `inputs`, a method a variant and `reference` becomes a pair; everything else is chosen for it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..declaration import VARIANTS, Declaration, Text
from ..errors import UsageError
from .device import Device, Stream
from .pair import Pair, Sizes

if TYPE_CHECKING:
    from torch import Tensor

ATTRIBUTE = "aisp_prof_pair"
"""Where a decorated class holds its pair."""

C = TypeVar("C", bound=type[Any])
_TAKEN = ("program", "trace")
"""Groups of captures that are of no pair."""

_NAME = re.compile(r"[A-Za-z_]\w{0,62}", re.ASCII)
_SENTENCE = "the optimized variant ends {speedup} than the baseline."
_COMPARES = "Every variant computes the same output from the same inputs."


def pair(
    *,
    claims: Sequence[str],
    tolerance: float = 1e-3,
    name: str = "",
    group: str = "",
    title: str | Text = "",
    sentence: str | Text = "",
    compares: str | Text = _COMPARES,
    variants: Sequence[str] = VARIANTS,
    sizes: Mapping[str, int] | Mapping[str, Mapping[str, int]] | None = None,
    bitwise: bool = False,
    queued: bool = True,
    attribution: str = "process",
    perturbation_band: float = 0.1,
    needs: Sequence[str] = ("cuda",),
    files: Sequence[str] = (),
) -> Callable[[C], C]:
    """Make a class a pair; the class itself stays as it is.

    The class has `inputs(self, seed)`, which makes all inputs anew; a method for each variant, which enqueues one iteration on the
    current stream and returns its whole output, a tensor; `reference(self)`, the same output in fp64 by plain PyTorch; and, where it
    likes, `poison(self)`, which fills with NaN what a variant writes in between, and, for `bitwise`, `exact(self)`. An instance is
    made without arguments; `self.device` is "cuda" or "cpu", and the numbers of its size are attributes too, all of them before
    `__init__` runs.

    Args:
        claims: in the claim language of docs/metrics.md; read when the pair is listed or checked.
        tolerance: largest accepted ‖out − ref‖ / ‖ref‖.
        name, group: the pair is called `group.name`; the class's name and its file's by default.
        title, sentence, compares: of the page, English or {"en": …, "ko": …}. `sentence`, its headline, holds `{speedup}`. The title
            is the first line of the class's docstring by default.
        variants: their methods in order, "baseline" first; steps stand before "optimized", or beyond it.
        sizes: name -> integer, or a mapping of such by hardware key with "default".
        bitwise: outputs must equal those of `exact` bit for bit.
        queued: the GPU waits until the host has submitted an iteration; False where submitting is the subject.
        attribution: "process" counts launches of every thread (autograd has its own), "thread" those of the one that runs a variant.
        perturbation_band: largest accepted |traced / untraced − 1| of an iteration's time.
        needs: "cuda", "triton", "cc>=9.0", "gpus>=2".
        files: what the pair is made of beside the modules it imports (a `.cu`), from the class's own folder; their hashes are kept.

    Raises:
        UsageError: a method is missing, or a name, a text or a size is none.
    """

    def decorate(cls: C) -> C:
        of = group or _group(cls)
        called = name or _snake(cls.__name__)
        where = f"@aisp_prof.pair of {cls.__name__}"
        _check_names(where, of, called, variants)
        _check_methods(where, cls, variants, bitwise)
        told = _texts(where, cls, title, sentence, compares)
        declaration = Declaration(
            chapter=of,
            name=called,
            **told,
            variants={one: _text(_first_line(getattr(cls, one)) or _words(one)) for one in variants},
            claims=tuple(claims),
            sizes=_sizes(where, sizes or {}),
            tolerance=tolerance,
            bitwise=bitwise,
            perturbation_band=perturbation_band,
            queued=queued,
            needs=tuple(needs),
            attribution=attribution,
        )
        setattr(
            cls, ATTRIBUTE, Pair(declaration, lambda device, given: Instance(cls, device, given), files=tuple(files))
        )
        return cls

    return decorate


class Instance:
    """The workload of a decorated class: one instance of it on one device at one size, its variants on a stream of their own."""

    def __init__(self, cls: type[Any], device: Device, sizes: Sizes) -> None:
        self._device, self._stream = device, device.stream()
        self._own: Any = object.__new__(cls)
        for name, value in {**sizes, "device": device.kind}.items():
            setattr(self._own, name, value)
        self._own.__init__()
        self._outputs: dict[str, Tensor] = {}
        self._last = ""

    @property
    def streams(self) -> Sequence[Stream]:
        return (self._stream,)

    @property
    def output(self) -> Tensor:
        return self._outputs[self._last]

    def inputs(self, seed: int) -> None:
        self._own.inputs(seed)

    def poison(self) -> None:
        """Every output that was returned so far, and what the class poisons itself."""
        import torch

        if callable(poison := getattr(self._own, "poison", None)):
            poison()
        with torch.inference_mode():
            for output in self._outputs.values():
                _spoil(output)

    def run(self, variant: str) -> None:
        with self._device.on(self._stream):
            returned = getattr(self._own, variant)()
        self._outputs[variant] = _whole(returned, f"{type(self._own).__name__}.{variant}")
        self._last = variant

    def reference(self) -> Tensor:
        import torch

        returned = _whole(self._own.reference(), f"{type(self._own).__name__}.reference")
        return returned.to(torch.complex128 if returned.is_complex() else torch.float64)

    def exact(self) -> Tensor | None:
        exact = getattr(self._own, "exact", None)
        return _whole(exact(), f"{type(self._own).__name__}.exact") if callable(exact) else None


def _whole(returned: Any, where: str) -> Tensor:
    """What a method returned, where it is a tensor of which every element can be checked.

    Raises:
        UsageError: it is none.
    """
    import torch

    if not isinstance(returned, torch.Tensor):
        mend = "of several outputs: torch.cat([one.flatten() for one in outputs])"
        raise UsageError(f"{where} returned {type(returned).__name__}, not a tensor", mend)
    if returned.numel() < 2:
        mend = "a loss hides what is wrong below it: return the gradients, or what the loss was made of"
        raise UsageError(f"{where} returned a single number, of which no check can tell a permuted output", mend)
    return returned.detach()


def _spoil(output: Tensor) -> None:
    """Fill it with what no result is: NaN, or of integers the largest."""
    import torch

    if output.dtype is torch.bool:
        output.logical_not_()
    elif output.is_floating_point() or output.is_complex():
        output.fill_(float("nan"))
    else:
        output.fill_(torch.iinfo(output.dtype).max)


def _group(cls: type[Any]) -> str:
    """The name of the class's file, of a package's `__init__.py` that of its folder."""
    file = Path(str(getattr(sys.modules.get(cls.__module__), "__file__", None) or cls.__module__.rpartition(".")[2]))
    return file.parent.name if file.stem == "__init__" else file.stem


def _snake(name: str) -> str:
    """FusedNorm -> fused_norm, KVCache2 -> kv_cache2."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _words(name: str) -> str:
    """fused_norm -> Fused norm."""
    return name.replace("_", " ").strip().capitalize()


def _first_line(documented: Any) -> str:
    """The first line of a docstring, without its full stop; "" without one."""
    return (documented.__doc__ or "").strip().partition("\n")[0].strip().removesuffix(".")


def _text(told: str | Text) -> Text:
    return {"en": told} if isinstance(told, str) else dict(told)


def _texts(
    where: str, cls: type[Any], title: str | Text, sentence: str | Text, compares: str | Text
) -> dict[str, Text]:
    module = sys.modules.get(cls.__module__)
    named = _text(title or _first_line(cls) or _words(_snake(cls.__name__)))
    told = {
        "topic": _text(_first_line(module) or _words(_group(cls))),
        "title": named,
        "sentence": _text(sentence or f"{named.get('en', '')}: {_SENTENCE}"),
        "compares": _text(compares),
    }
    for one in told["sentence"].values():
        if one.count("{speedup}") != 1:
            mend = "like 'One kernel ends {speedup} than four.'"
            raise UsageError(
                f"{where}: sentence {one!r} holds {{speedup}} {one.count('{speedup}')} times, not once", mend
            )
    return told


def _sizes(where: str, sizes: Mapping[str, Any]) -> Mapping[str, Mapping[str, int]]:
    """By hardware key; a flat mapping is the default."""
    nested = bool(sizes) and all(isinstance(one, Mapping) for one in sizes.values())
    every: Mapping[str, Mapping[str, int]] = dict(sizes) if nested else {"default": dict(sizes)}
    numbers = [number for one in every.values() for number in one.values()]
    if "default" not in every or not all(type(number) is int for number in numbers):
        raise UsageError(
            f"{where}: sizes are integers by name", 'sizes={"rows": 4096} or sizes={"default": {"rows": 4096}}'
        )
    if any(one.keys() != every["default"].keys() or "device" in one for one in every.values()):
        raise UsageError(f"{where}: every size has the same names, and none is called device", 'see "default"')
    return every


def _check_names(where: str, group: str, name: str, variants: Sequence[str]) -> None:
    """Names are parts of NVTX ranges, of claims and of file names."""
    for what, one in (("group", group), ("name", name), *(("variant", variant) for variant in variants)):
        if not _NAME.fullmatch(one) or (what == "group" and one in _TAKEN):
            raise UsageError(
                f"{where}: no {what} may be called {one!r}",
                f'letters, digits and underscores: @aisp_prof.pair({what}="fused_norm")',
            )


def _check_methods(where: str, cls: type[Any], variants: Sequence[str], bitwise: bool) -> None:
    needed = ["inputs", *variants, "reference", *(["exact"] if bitwise else [])]
    lacking = [name for name in needed if not callable(getattr(cls, name, None))]
    if lacking:
        raise UsageError(
            f"{where}: it has no method {lacking[0]}", f"def {lacking[0]}(self{', seed' * (lacking[0] == 'inputs')}): …"
        )
