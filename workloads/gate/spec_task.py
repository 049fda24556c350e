"""A spec as a task: rows and columns in, one output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from ...errors import UsageError
from ...kernels.emit.candidate import read_candidate
from ...kernels.emit.reference import evaluate, reference
from ...kernels.emit.spec import Spec
from ..device import Kind
from .cases import CASE_ELEMENTS, Case, cases, fill, race_shape
from .task import Slot

if TYPE_CHECKING:
    from torch import Tensor

    from .task import Run

    SpecRun = Callable[[Sequence[Tensor], Tensor], None]
    """Enqueues the work on the current stream: the spec's inputs in order, and the output, which it fills."""


@dataclass(frozen=True, slots=True)
class SpecTask:
    """As `task.Task`."""

    spec: Spec

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def digest(self) -> str:
        return self.spec.digest

    @property
    def feature(self) -> str:
        return feature_name(self.spec)

    @property
    def foreign(self) -> bool:
        return False

    def cases(self, kind: Kind, *, brief: bool = False) -> list[Case]:
        return cases(self.spec, brief=brief)

    def race_case(self, kind: Kind) -> Case:
        return Case(race_shape(self.spec, kind))

    def elements(self, phase: str, kind: Kind) -> int:
        rows, columns = race_shape(self.spec, kind if phase == "race" else "cpu")
        return max(rows * columns, CASE_ELEMENTS)

    def inputs(self, case: Case) -> list[Slot]:
        shapes = [(one.name, self.spec.input_shape(one.layout, case.shape)) for one in self.spec.inputs]
        return [Slot(name, shape, self.spec.dtype) for name, shape in shapes]

    def outputs(self, case: Case) -> list[Slot]:
        return [Slot("out", self.spec.output_shape(case.shape), self.spec.output, self.spec.tolerance)]

    def fill(self, case: Case, inputs: list[Tensor], seed: int) -> None:
        fill(case, self.spec, inputs, seed)

    def reference(self, case: Case, inputs: Sequence[Tensor]) -> list[Tensor]:
        return [reference(self.spec, inputs)]

    def eager(self) -> Run:
        return one_output(eager(self.spec))

    def inductor(self) -> Run:
        return one_output(inductor(self.spec))

    def entry(self, source: Path) -> str:
        read_candidate(source, self.spec)
        return self.spec.entry

    def cuda(self, source: Path) -> Run:
        return one_output(read_candidate(source, self.spec).run)

    def python(self, module: ModuleType, where: str) -> Run:
        run = getattr(module, "run", None)
        if not callable(run):
            raise UsageError(f"{where} has no function run(inputs, output)", "def run(inputs, output): ...")
        return one_output(run)


def feature_name(spec: Spec) -> str:
    """The default flag of a spec's candidates."""
    return f"candidate.{spec.name}"


def eager(spec: Spec) -> SpecRun:
    """PyTorch's operators one by one, in fp32, rounded once at the end: the baseline without any candidate."""

    def run(inputs: Sequence[Tensor], output: Tensor) -> None:
        output.copy_(evaluate(spec, [one.float() for one in inputs]))

    return run


def inductor(spec: Spec) -> SpecRun:
    """The eager chain compiled by torch.compile, for any shape."""
    import torch

    def chain(*inputs: Tensor) -> Tensor:
        return evaluate(spec, [one.float() for one in inputs])

    compiled = torch.compile(chain, dynamic=True, fullgraph=True)

    def run(inputs: Sequence[Tensor], output: Tensor) -> None:
        output.copy_(compiled(*inputs))

    return run


def one_output(run: SpecRun) -> Run:
    """What runs a spec, as a task wants it."""

    def called(case: Case, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        run(inputs, outputs[0])

    return called
