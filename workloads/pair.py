"""What a pair module exports: a declaration, and how to build the work that it declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..declaration import Declaration, Phase
from .device import Device, Stream

if TYPE_CHECKING:
    from torch import Tensor

Sizes = Mapping[str, int]
"""One entry of `Declaration.sizes`: size name -> integer."""


class Workload(Protocol):
    """The work of one pair at one size on one device. All variants read the same inputs and write the same `output`."""

    @property
    def streams(self) -> Sequence[Stream]:
        """Every stream that a variant enqueues on; the harness forks them from its own and joins them again."""
        ...

    @property
    def output(self) -> Tensor:
        """The whole output of the last `run`, wherever the work leaves it; valid after a synchronisation."""
        ...

    def inputs(self, seed: int) -> None:
        """Replace all inputs by fresh N(0, 1) data from `seed`. May run on any stream; the caller synchronises."""
        ...

    def poison(self) -> None:
        """Fill the output, and every buffer that a variant writes on its way, with NaN. The caller synchronises."""
        ...

    def run(self, variant: str) -> None:
        """Enqueue one iteration of `variant` on `streams`. Never waits for the device where the pair is `queued`; elsewhere a
        variant may, when waiting is what it is about."""
        ...

    def reference(self) -> Tensor:
        """The whole output for the present inputs in fp64, of the output's shape, by plain PyTorch."""
        ...

    def exact(self) -> Tensor | None:
        """The whole output by the same kernel, unchunked; None where the pair does not declare `bitwise`."""
        ...


@dataclass(frozen=True, slots=True)
class Declared:
    """What one iteration of a variant needs by formula: floating-point operations, and bytes to and from DRAM.

    `ceiling` names the matrix rate of `aisp-prof calibrate` that bounds these operations: "bf16", "fp32"; "" where none does.
    """

    flops: int
    bytes: int
    ceiling: str = ""

    @property
    def intensity(self) -> float:
        """Arithmetic intensity in FLOP/B."""
        return self.flops / self.bytes


Build = Callable[[Device, Sizes], Workload]


@dataclass(frozen=True, slots=True)
class Pair:
    """A baseline/optimized pair: `declaration` is plain data, `build` allocates and imports torch only when called.

    `declared` gives a variant's work at given sizes by formula, for pairs whose subject is arithmetic intensity. `phases` gives what
    of it may run side by side, for the floor (docs/metrics.md); without them all that is `declared` may.
    """

    declaration: Declaration
    build: Build
    declared: Callable[[Sizes, str], Declared] | None = None
    phases: Callable[[Sizes, str], tuple[Phase, ...]] | None = None

    @property
    def key(self) -> str:
        return self.declaration.key

    @property
    def module(self) -> str:
        """The module to run with `python -m`, by the rule that a pair `chapter.name` lives in `workloads/chapter/name.py`."""
        return f"{__package__}.{self.key}"
