"""A task of one's own for the gate: the inputs file and the reference beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import msgspec

from ....errors import AispError, UsageError
from ....kernels.emit.artifacts import digest
from ....kernels.emit.reference import torch_dtype
from ....machine.files import read_whole
from ...device import Kind
from ..cases import Case
from ..runners import module_of
from ..task import ReferenceFails, Slot
from .functions import Called, function_of, named
from .inputs_file import InputsFile, Option, Stated, read_inputs_file
from .launch_lines import read_launch
from .sizes import evaluate

if TYPE_CHECKING:
    from torch import Tensor

    from ..task import Run

BRIEF_ELEMENTS = 1 << 17
MOST_REFERENCE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class OwnTask:
    """As `..task.Task`. `source` is the reference's file, `code` its bytes, which are what runs."""

    stated: InputsFile
    source: Path
    code: bytes

    @property
    def name(self) -> str:
        return self.stated.name

    @property
    def digest(self) -> str:
        return hashlib.sha256(msgspec.json.encode(self.stated, order="sorted") + digest(self.code).encode()).hexdigest()

    @property
    def feature(self) -> str:
        return ""  # who names candidate and reference has said that they shall run

    @property
    def foreign(self) -> bool:
        return True

    def cases(self, kind: Kind, *, brief: bool = False) -> list[Case]:
        """Those of the file, then the sizes that it is timed at, and the smallest of all at pointers without alignment.

        `brief` keeps those of few elements, one at least.
        """
        listed = [self._case(kind, changed) for changed in self.stated.cases]
        every = list(dict.fromkeys([*listed, self.race_case(kind)]))
        every.sort(key=self._elements)
        few = [one for one in every if self._elements(one) <= BRIEF_ELEMENTS] or every[:1]
        chosen = few if brief else every
        return chosen if self.stated.aligned else [*chosen, Case(settings=every[0].settings, misaligned=True)]

    def race_case(self, kind: Kind) -> Case:
        return self._case(kind, {})

    def elements(self, phase: str, kind: Kind) -> int:
        cases = [self.race_case(kind)] if phase == "race" else self.cases(kind, brief=phase == "brief")
        return max(map(self._elements, cases))

    def inputs(self, case: Case) -> list[Slot]:
        settings = dict(case.settings)
        return [
            Slot(name, self.stated.shape(one, settings, name), one.dtype) for name, one in self.stated.inputs.items()
        ]

    def outputs(self, case: Case) -> list[Slot]:
        settings = dict(case.settings)
        return [
            Slot(name, self.stated.shape(one, settings, name), one.dtype, self.stated.tolerance_of(one))
            for name, one in self.stated.outputs.items()
        ]

    def fill(self, case: Case, inputs: list[Tensor], seed: int) -> None:
        import torch

        source = torch.Generator(device=inputs[0].device).manual_seed(seed)
        sizes = self.stated.sizes_in(dict(case.settings))
        for (name, one), tensor in zip(self.stated.inputs.items(), inputs, strict=True):
            tensor.copy_(_values(one, tensor, source, evaluate(one.below, sizes, name)))

    def reference(self, case: Case, inputs: Sequence[Tensor]) -> list[Tensor]:
        """In fp64: floating-point inputs are converted, integers are copies.

        Raises:
            ReferenceFails: it raises, or gives other outputs than the file states.
        """
        import torch

        wide = [one.double() if one.is_floating_point() else one.clone() for one in inputs]
        outputs = []
        for slot in self.outputs(case):
            kind: Any = torch_dtype(slot.dtype)
            exact = torch.float64 if kind.is_floating_point else kind
            outputs.append(torch.zeros(slot.shape, dtype=exact, device=inputs[0].device))
        try:
            self._reference()(dict(case.settings), *self._named(wide, outputs))
        except AispError:
            raise
        except Exception as error:
            raise ReferenceFails(
                f"the reference {self.source} fails at {case}: {type(error).__name__}: {error}"[:1000],
                f"it is called with tensors in fp64; run it alone first: {self.source}",
            ) from error
        return outputs

    def eager(self) -> Run:
        """The reference on the inputs as they are, in their own dtypes."""
        return self._run(self._reference())

    def inductor(self) -> Run:
        import torch

        found = self._reference()
        return self._run(Called(torch.compile(found.function, dynamic=False), found.parameters, found.filled))

    def entry(self, source: Path) -> str:
        return read_launch(source, self.stated).entry

    def cuda(self, source: Path) -> Run:
        from ....kernels.driver.launch import kernel

        launch, where = read_launch(source, self.stated), source.name
        loaded = kernel(source, launch.entry)

        def run(case: Case, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
            settings = dict(case.settings)
            sizes, tensors = self.stated.sizes_in(settings), self._named(inputs, outputs)
            values = launch.values(settings, {**tensors[0], **tensors[1]})
            loaded.launch(launch.grid_of(sizes, where), launch.shape_of(sizes, where), values)

        return run

    def python(self, module: ModuleType, where: str) -> Run:
        return self._run(function_of(module, self.stated, where))

    def _case(self, kind: Kind, changed: Mapping[str, Option]) -> Case:
        base = self.stated.cpu if kind == "cpu" else {}
        return Case(settings=tuple(self.stated.settings({**base, **changed}).items()))

    def _elements(self, case: Case) -> int:
        return self.stated.elements(dict(case.settings))

    def _named(
        self, inputs: Sequence[Tensor], outputs: Sequence[Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        return named([*self.stated.inputs], inputs), named([*self.stated.outputs], outputs)

    def _run(self, called: Called) -> Run:
        def run(case: Case, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
            called(dict(case.settings), *self._named(inputs, outputs))

        return run

    def _reference(self) -> Called:
        try:
            return function_of(_imported(self.source, self.code), self.stated, f"the reference {self.source}")
        except UsageError as error:
            raise ReferenceFails(str(error), error.mend) from error


def read_task(reference: Path, inputs: Path) -> OwnTask:
    """The task of an inputs file and a reference; nothing of the reference is run.

    Raises:
        UsageError: one of them cannot be read, or the inputs file is malformed.
    """
    if reference.suffix != ".py":
        raise UsageError(f"{reference} is no reference", "a .py file with a function that gives the outputs in PyTorch")
    stated = read_inputs_file(inputs)
    try:
        return OwnTask(stated, reference.resolve(), read_whole(reference, MOST_REFERENCE_BYTES))
    except OSError as error:
        raise UsageError(f"cannot read {reference}: {error.strerror or error}") from error


@cache
def _imported(source: Path, code: bytes) -> ModuleType:
    try:
        return module_of(source, code, "aisp_reference")
    except AispError:
        raise
    except Exception as error:
        raise ReferenceFails(
            f"the reference {source} cannot be imported: {type(error).__name__}: {error}"[:1000]
        ) from error


def _values(one: Stated, tensor: Tensor, source: Any, below: int) -> Tensor:
    import torch

    if tensor.is_floating_point():
        values = torch.randn(tensor.shape, generator=source, device=tensor.device) * one.scale
        return values.abs() if one.positive else values
    return torch.randint(0, below, tensor.shape, generator=source, device=tensor.device)
