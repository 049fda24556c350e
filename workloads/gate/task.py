"""What the gate judges candidates for: the tensors of a case, its values, its reference, and how a candidate is loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

from ...errors import UsageError
from ..device import Kind
from .cases import Case

if TYPE_CHECKING:
    from torch import Tensor

    Run = Callable[[Case, Sequence[Tensor], Sequence[Tensor]], None]
    """Enqueues the work on the current stream: the case, its inputs in order, and its outputs, which it fills."""


class ReferenceFails(UsageError):
    """The reference raises, or gives something else than the outputs: says nothing about the candidate."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One tensor of a case. `dtype` is the spec's word for it; `tolerance` counts for outputs."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    tolerance: float = 0.0


class Task(Protocol):
    """`spec_task.SpecTask`, or `own.task.OwnTask`; it is pickled, so that every process of the gate has it."""

    @property
    def name(self) -> str: ...

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides what is right."""
        ...

    @property
    def feature(self) -> str:
        """The flag that must be on by default; "" where none is needed."""
        ...

    @property
    def foreign(self) -> bool:
        """Whether the reference is the user's own code, which may fail or take any amount of memory."""
        ...

    def cases(self, kind: Kind, *, brief: bool = False) -> list[Case]:
        """`brief` leaves out large ones, for runs under a tool that is a hundred times slower."""
        ...

    def race_case(self, kind: Kind) -> Case:
        """Where contenders are timed."""
        ...

    def elements(self, phase: str, kind: Kind) -> int:
        """How many elements the gate's own memory must be enough for."""
        ...

    def inputs(self, case: Case) -> list[Slot]: ...

    def outputs(self, case: Case) -> list[Slot]: ...

    def fill(self, case: Case, inputs: list[Tensor], seed: int) -> None:
        """Fresh values from `seed`."""
        ...

    def reference(self, case: Case, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Every output in fp64 (integers as they are), of its slot's shape."""
        ...

    def eager(self) -> Run:
        """PyTorch's operators."""
        ...

    def inductor(self) -> Run:
        """The same through torch.compile."""
        ...

    def entry(self, source: Path) -> str:
        """The name of a CUDA candidate's kernel.

        Raises:
            UsageError: the file is no candidate for this task.
        """
        ...

    def cuda(self, source: Path) -> Run:
        """A CUDA candidate.

        Raises:
            UsageError: as `entry`.
        """
        ...

    def python(self, module: ModuleType, where: str) -> Run:
        """A Python candidate, imported.

        Raises:
            UsageError: it has no function that can be called for this task.
        """
        ...
