"""In the child: a candidate's outputs against the reference, its guards, its inputs, and whether it reads them at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...kernels.emit.reference import reference, torch_dtype
from ...kernels.emit.spec import Spec
from ..device import Device
from .buffers import INPUT_GUARD, OUTPUT_GUARD, POISON, Guarded, Memory
from .cases import Case, cases, fill
from .contender import Contender
from .job import Job, Results
from .mismatch import mismatch

if TYPE_CHECKING:
    from torch import Tensor


def check(job: Job, device: Device, contender: Contender, results: Results, memory: Memory) -> None:
    """Examine every case; stop at the first failure, because a candidate that is wrong once must not be used."""
    brief = job.phase == "brief"
    for number, case in enumerate(cases(job.spec, brief=brief)):
        wrong = Examination(Bench(job.spec, device, contender, results, memory), case, guards=not brief).result(
            job.seed + 10 * number
        )
        results.check(str(case), wrong or "right", not wrong)
        contender.forget()
        memory.clear()
        if wrong:
            return


@dataclass(frozen=True, slots=True)
class Bench:
    """What every case is examined with."""

    spec: Spec
    device: Device
    contender: Contender
    results: Results
    memory: Memory


@dataclass(frozen=True, slots=True)
class _Run:
    """What one run left: the output's bytes, the reference, and what was touched or left alone against the rules."""

    bits: Tensor
    reference: Tensor
    untouched: bool
    outside: bool
    inputs_changed: bool


class Examination:
    """One case: two runs on different inputs in the same memory, so that a candidate that remembers the first is wrong
    the second time.

    Before a run the output is poisoned: with NaN, or, if NaN may be a right result, with a number.
    """

    def __init__(self, bench: Bench, case: Case, *, guards: bool) -> None:
        spec, memory = bench.spec, bench.memory
        kind: Any = torch_dtype(spec.dtype)
        shift = 1 if case.misaligned else 0
        where: dict[str, Any] = {"guards": guards, "shift": shift if guards else 0}
        self._bench, self._spec, self._case = bench, spec, case
        self._inputs = [
            Guarded(spec.input_shape(one.layout, case.shape), kind, memory, INPUT_GUARD, **where) for one in spec.inputs
        ]
        shape, out_kind = spec.output_shape(case.shape), torch_dtype(spec.output)
        self._output = Guarded(shape, out_kind, memory, OUTPUT_GUARD, **where)

    def result(self, seed: int) -> str:
        """Why the candidate is wrong here; "" if it is right."""
        first, second = self._once(seed), self._once(seed + 1)
        if first.outside or second.outside:
            return "it wrote outside its output"
        if first.inputs_changed or second.inputs_changed:
            return "it changed its inputs"
        if first.untouched and second.untouched:
            return "it wrote nothing"
        same = bool((first.bits == second.bits).all()) and not bool(self._typed(first.bits).isnan().all())
        if same and not self._same_reference(first.reference, second.reference):
            return "it returned the same output for two different inputs: it is stale or constant"
        for one in (first, second):
            if words := self._wrong(one):
                return words
        return ""

    def _once(self, seed: int) -> _Run:
        tensors, bench = [one.tensor for one in self._inputs], self._bench
        bench.results.own()
        bench.contender.show(tensors, self._output.tensor)
        fill(self._case, self._spec, tensors, seed)
        before = [one.bits() for one in self._inputs]
        expected = reference(self._spec, tensors)
        self._output.poison(finite=self._case.values == "non-finite")
        poison = self._output.bits()
        bench.device.synchronize()
        bench.results.step(f"running the candidate at {self._case}")
        bench.contender.run()
        bench.device.synchronize()
        bench.results.own()
        bits = self._output.bits()
        return _Run(
            bits=bits,
            reference=expected,
            untouched=bool((bits == poison).all()),
            outside=not all(one.intact() for one in (self._output, *self._inputs)),
            inputs_changed=any(not bool((one.bits() == b).all()) for one, b in zip(self._inputs, before, strict=True)),
        )

    def _wrong(self, one: _Run) -> str:
        output = self._typed(one.bits)
        differing = mismatch(output, one.reference, self._spec.tolerance)
        if not differing.wrong:
            return ""
        left = int((output == POISON).sum() if self._case.values == "non-finite" else output.isnan().sum())
        columns = 1 if self._spec.reduces else self._case.shape[1]
        note = f"; {left} elements hold what was there before, or NaN" if left else ""
        return differing.words(columns) + note

    def _typed(self, bits: Tensor) -> Tensor:
        return bits.view(self._output.tensor.dtype).view(self._output.tensor.shape)

    def _same_reference(self, first: Tensor, second: Tensor) -> bool:
        kind = self._output.tensor.dtype
        return not mismatch(first.to(kind), second, self._spec.tolerance).wrong
