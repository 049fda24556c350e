"""A pair with an optimization taken back, on whatever machine there is: its claims must refute it, or they claim nothing.

    PAIR = undone(find("ch11:streams")[0], "optimized=baseline")

in a file of its own is a pair as any other (docs/pairs.md), so that `aisp-prof capture` and `report` do the rest. `benchmarks/undone.py`
does it for the chapters' pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, cast

from ..declaration import VARIANTS, Declaration, Text
from ..errors import UsageError
from .device import Device, Stream
from .pair import Pair, Sizes, Workload

GROUP = "undone"
ONE_STREAM = "one_stream"
SYNC = "sync"
_SAYS = {
    ONE_STREAM: {"en": "all work on one stream", "ko": "모든 작업을 스트림 하나에서"},
    SYNC: {"en": "one wait left in", "ko": "대기 하나를 남김"},
}


def forms(declaration: Declaration) -> tuple[str, ...]:
    """All of the optimization undone, then each step alone: `variant=the one before`."""
    first, last = VARIANTS
    steps = tuple(f"{after}={before}" for before, after in pairwise(declaration.names))
    return tuple(dict.fromkeys((f"{last}={first}", *steps)))


def undone(pair: Pair, form: str) -> Pair:
    """The pair with its claims, declared work and inputs as they are, of which other code runs.

    Args:
        form: `variant=other`, the variant runs the other one's code; `one_stream`, all streams of every variant are one;
            `sync`, the optimized variant ends each iteration with a wait.

    Raises:
        UsageError: the pair has no such variant, or there is no such form.
    """
    build = _built(pair, form)
    return replace(pair, declaration=_renamed(pair.declaration, form), build=build, place=None, sources=None)


def _built(pair: Pair, form: str) -> Callable[[Device, Sizes], Workload]:
    if form == ONE_STREAM:
        return lambda device, sizes: pair.build(cast(Device, _OneStream(device)), sizes)
    if form == SYNC:
        return lambda device, sizes: _changed(pair.build(device, sizes), _waits(device))
    variant, _, other = form.partition("=")
    names = pair.declaration.names
    if variant not in names or other not in names or variant == other:
        raise UsageError(
            f"{form!r} is nothing that {pair.key} can undo", ", ".join((*forms(pair.declaration), ONE_STREAM, SYNC))
        )
    return lambda device, sizes: _changed(
        pair.build(device, sizes), lambda run, name: run(other if name == variant else name)
    )


def _renamed(declaration: Declaration, form: str) -> Declaration:
    """Under a name of its own, so that no capture of it can be taken for one of the pair; and its title says what it is."""
    name = f"{declaration.chapter}_{declaration.name}_{form.replace('=', '_as_')}"
    variant, _, other = form.partition("=")
    says = _SAYS.get(form) or {"en": f"{variant} runs {other}'s code", "ko": f"{variant}가 {other}의 코드를 실행"}
    return replace(declaration, chapter=GROUP, name=name, title=_told(declaration.title, says))


def _told(title: Text, says: Text) -> Text:
    return {lang: f"{text} — {says.get(lang, says['en'])}" for lang, text in title.items()}


Run = Callable[[str], None]


def _changed(workload: Workload, run: Callable[[Run, str], None]) -> Workload:
    """The same workload, with what its class offers besides, running through `run`. Slots, as it may have none to spare for a dict."""
    kind, plain = type(workload), workload.run
    changed = {"run": lambda self, variant: run(plain, variant), "__slots__": ()}
    workload.__class__ = type(kind.__name__, (kind,), changed)
    return workload


def _waits(device: Device) -> Callable[[Run, str], None]:
    def run(plain: Run, variant: str) -> None:
        plain(variant)
        if variant == VARIANTS[1]:
            device.synchronize()

    return run


@dataclass(slots=True)
class _OneStream:
    """A device all of whose streams are one and the same."""

    _device: Device
    _only: Stream | None = None

    def stream(self, priority: int = 0) -> Stream:
        self._only = self._only or self._device.stream(priority)
        return self._only

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)
