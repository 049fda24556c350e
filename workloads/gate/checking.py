"""In the child: a candidate's outputs against the reference, its guards, its inputs, and whether it reads them at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...kernels.emit.reference import torch_dtype
from ..device import Device
from .buffers import INPUT_GUARD, OUTPUT_GUARD, POISON, POISON_BITS, Guarded, Memory
from .cases import Case
from .contender import Contender
from .job import Job, Results
from .mismatch import mismatch
from .task import Slot, Task

if TYPE_CHECKING:
    from torch import Tensor


def check(job: Job, device: Device, contender: Contender, results: Results, memory: Memory) -> None:
    """Examine every case; stop at the first failure, because a candidate that is wrong once must not be used."""
    brief = job.phase == "brief"
    for number, case in enumerate(job.task.cases(job.device, brief=brief)):
        wrong = Examination(Bench(job.task, device, contender, results, memory), case, guards=not brief).result(
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

    task: Task
    device: Device
    contender: Contender
    results: Results
    memory: Memory


@dataclass(frozen=True, slots=True)
class _Run:
    """What one run left: each output's bytes and reference, and what was touched or left alone against the rules."""

    bits: Sequence[Tensor]
    references: Sequence[Tensor]
    untouched: Sequence[bool]
    outside: bool
    inputs_changed: bool


class Examination:
    """One case: two runs on different inputs in the same memory, so that a candidate that remembers the first is wrong
    the second time.

    Before a run the outputs are poisoned: with NaN, or, if NaN may be a right result, with a number.
    """

    def __init__(self, bench: Bench, case: Case, *, guards: bool) -> None:
        self._bench, self._task, self._case = bench, bench.task, case
        self._slots = self._task.outputs(case)
        self._inputs = [self._guarded(one, INPUT_GUARD, guards) for one in self._task.inputs(case)]
        self._outputs = [self._guarded(one, OUTPUT_GUARD, guards) for one in self._slots]

    def _guarded(self, slot: Slot, guard: int, guards: bool) -> Guarded:
        shift = 1 if guards and self._case.misaligned else 0
        return Guarded(slot.shape, torch_dtype(slot.dtype), self._bench.memory, guard, guards=guards, shift=shift)

    def result(self, seed: int) -> str:
        """Why the candidate is wrong here; "" if it is right."""
        first, second = self._once(seed), self._once(seed + 1)
        if first.outside or second.outside:
            return "it wrote outside its output"
        if first.inputs_changed or second.inputs_changed:
            return "it changed its inputs"
        for number, slot in enumerate(self._slots):
            if words := self._of_output(number, first, second):
                return f"{slot.name}: {words}" if len(self._slots) > 1 else words
        return ""

    def _of_output(self, number: int, first: _Run, second: _Run) -> str:
        if first.untouched[number] and second.untouched[number]:
            return "it wrote nothing"
        bits = first.bits[number]
        same = bool((bits == second.bits[number]).all()) and not bool(self._typed(number, bits).isnan().all())
        if same and not self._same_reference(number, first, second):
            return "it returned the same output for two different inputs: it is stale or constant"
        return self._wrong(number, first) or self._wrong(number, second)

    def _once(self, seed: int) -> _Run:
        inputs, outputs = ([one.tensor for one in held] for held in (self._inputs, self._outputs))
        bench, case = self._bench, self._case
        bench.results.own()
        bench.contender.show(case, inputs, outputs)
        self._task.fill(case, inputs, seed)
        before = [one.bits() for one in self._inputs]
        references = self._task.reference(case, inputs)
        for one in self._outputs:
            one.poison(finite=case.values == "non-finite")
        poison = [one.bits() for one in self._outputs]
        bench.device.synchronize()
        bench.results.step(f"running the candidate at {case}")
        bench.contender.run()
        bench.device.synchronize()
        bench.results.own()
        bits = [one.bits() for one in self._outputs]
        return _Run(
            bits=bits,
            references=references,
            untouched=[bool((one == before).all()) for one, before in zip(bits, poison, strict=True)],
            outside=not all(one.intact() for one in (*self._outputs, *self._inputs)),
            inputs_changed=any(not bool((one.bits() == b).all()) for one, b in zip(self._inputs, before, strict=True)),
        )

    def _wrong(self, number: int, one: _Run) -> str:
        output, slot = self._typed(number, one.bits[number]), self._slots[number]
        differing = mismatch(output, one.references[number], slot.tolerance)
        if not differing.wrong:
            return ""
        left = int(self._left(output).sum())
        note = f"; {left} elements hold what was there before, or NaN" if left else ""
        return differing.words(slot.shape) + note

    def _left(self, output: Tensor) -> Tensor:
        """Which elements still hold the poison, or NaN."""
        if not output.is_floating_point():
            return output == POISON_BITS[output.element_size()]
        return output == POISON if self._case.values == "non-finite" else output.isnan()

    def _typed(self, number: int, bits: Tensor) -> Tensor:
        held = self._outputs[number].tensor
        return bits.view(held.dtype).view(held.shape)

    def _same_reference(self, number: int, first: _Run, second: _Run) -> bool:
        kind, tolerance = self._outputs[number].tensor.dtype, self._slots[number].tolerance
        return not mismatch(first.references[number].to(kind), second.references[number], tolerance).wrong
