"""What a pair module exports: a declaration, and a function that builds the declared work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ..declaration import Declaration, Phase
from ..kernels.gemm.cublaslt import Chosen
from .device import Device, Stream
from .place import Place
from .sources import Source

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
        """Replace all inputs by fresh N(0, 1) data from `seed`. May run on any stream; the caller must synchronise."""
        ...

    def poison(self) -> None:
        """Fill the output, and every buffer that a variant writes in between, with NaN. The caller must synchronise."""
        ...

    def run(self, variant: str) -> None:
        """Enqueue one iteration of `variant` on `streams`. Never waits for the device if the pair is `queued`;
        otherwise a variant may, if waiting is its subject."""
        ...

    def reference(self) -> Tensor:
        """The whole output for the present inputs in fp64, of the output's shape, by plain PyTorch."""
        ...

    def exact(self) -> Tensor | None:
        """The whole output by the same kernel, unchunked; None where the pair does not declare `bitwise`."""
        ...


@runtime_checkable
class Rounding(Protocol):
    """A workload whose variants differ in the format of their operands: each is held against what it was given to multiply."""

    def reference_of(self, variant: str) -> Tensor:
        """As `Workload.reference`, for the operands as this variant's format holds them."""
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


@dataclass(frozen=True, slots=True)
class MachineCode:
    """What a compiler made of a variant's kernel, for pairs whose subject that is.

    compiler       its name and version
    warps          of a block, those that the compiler added included
    sha256         of the whole cubin
    instructions   opcode with its modifiers -> how often it stands in the code
    """

    compiler: str
    warps: int
    sha256: str
    instructions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Memory:
    """How much device memory a run takes at most, its check included, and how the pair gets smaller where a GPU has less.

    bytes      of given sizes, by a formula that a run was held against
    halved     the size that may be halved, so that claims and words stay true
    halvings   how often at most
    """

    bytes: Callable[[Sizes], int]
    halved: str
    halvings: int


Build = Callable[[Device, Sizes], Workload]


@dataclass(frozen=True, slots=True)
class Pair:
    """A baseline/optimized pair: `declaration` is plain data, `build` allocates and imports torch only when called.

    `declared` gives a variant's work at given sizes by formula, for pairs whose subject is arithmetic intensity; `code` what was
    compiled for each variant of a workload that `build` made, for pairs whose subject is the compiler, `chosen` what a library runs.
    `phases` gives what of the work
    may run side by side, for the floor (docs/metrics.md); without them all that is `declared` may. `memory` is for pairs that need
    more than 24 GB at their full size. Of a pair outside this
    package `place` is where it was found, `files` what it is made of beside the modules that it imports, and `sources` gives the hashes
    of all of these.
    """

    declaration: Declaration
    build: Build
    declared: Callable[[Sizes, str], Declared] | None = None
    code: Callable[[Any], Mapping[str, MachineCode]] | None = None
    chosen: Callable[[Any], Mapping[str, Chosen]] | None = None
    phases: Callable[[Sizes, str], tuple[Phase, ...]] | None = None
    files: tuple[str, ...] = ()
    place: Place | None = None
    sources: Callable[[], tuple[Source, ...]] | None = None
    memory: Memory | None = None

    @property
    def key(self) -> str:
        return self.declaration.key

    @property
    def module(self) -> str:
        """The module of a chapter's pair, by the rule that `chapter.name` lives in `workloads/chapter/name.py`."""
        return f"{__package__}.{self.key}"

    @property
    def program(self) -> tuple[str, ...]:
        """The module that runs this pair alone with `python -m`, and its first arguments."""
        return (self.module,) if self.place is None else (f"{__package__}.outside", self.place.to_text(), self.key)
