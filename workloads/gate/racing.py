"""In the judge: a candidate against the current best in rounds of A B B A, on inputs that neither has seen, every output compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter_ns
from typing import TYPE_CHECKING

from ...declaration import VARIANTS
from ...kernels.emit.reference import torch_dtype
from ..device import Device, Stream
from ..measure import HOLD_CAP_NS, HOLD_FACTOR, IterationTimer, order
from .buffers import OUTPUT_GUARD, Guarded, Memory
from .contender import Contender
from .hosted import Hosted
from .job import Job, Results
from .mismatch import mismatch
from .task import Slot

if TYPE_CHECKING:
    from torch import Tensor

WARMUP = 4

_NAMES = {"baseline": "the current best", "optimized": "the candidate"}


class _Race:
    """Both contenders on the same memory at one shape; before each run fresh inputs and a poisoned output."""

    def __init__(self, job: Job, device: Device, contenders: Mapping[str, Contender], memory: Memory) -> None:
        def held(slot: Slot) -> Guarded:
            return Guarded(slot.shape, torch_dtype(slot.dtype), memory, OUTPUT_GUARD, guards=False, shift=0)

        self._task, self._case = job.task, job.task.race_case(job.device)
        self._slots = self._task.outputs(self._case)
        self._inputs = [held(one).tensor for one in self._task.inputs(self._case)]
        self._held = [held(one) for one in self._slots]
        self._outputs = [one.tensor for one in self._held]
        self._seed, self._count = job.seed + 1000, 0
        self._device, self._contenders = device, contenders
        self._stream = device.stream()
        self._timer = IterationTimer(device, self)  # type: ignore[arg-type]

    @property
    def streams(self) -> Sequence[Stream]:
        return (self._stream,)

    def run(self, variant: str) -> None:
        with self._device.on(self._stream):
            self._contenders[variant].run()

    def prepare(self, variant: str) -> Sequence[Tensor]:
        """Inputs that were never there before, and their reference: remembering an output by its inputs gains nothing."""
        self._contenders[variant].show(self._case, self._inputs, self._outputs)
        self._device.synchronize()
        self._task.fill(self._case, self._inputs, self._seed + self._count)
        self._count += 1
        for one in self._held:
            one.poison(finite=False)
        expected = self._task.reference(self._case, self._inputs)
        self._device.synchronize()
        return expected

    def once(self, variant: str, hold_ns: int) -> tuple[int, int, Sequence[Tensor]]:
        """Time and submission in ns, and a copy of every output.

        A contender in a process of its own is timed by this one's clock, from the request to its answer. Otherwise events
        time it, and the output is copied on the same stream right after the end event: work that a contender left running
        elsewhere is not waited for, and is then missing.
        """
        contender = self._contenders[variant]
        if isinstance(contender, Hosted):
            contender.run()
            return contender.took_ns, 0, [one.clone() for one in self._outputs]
        if hold_ns:
            self._timer.hold(hold_ns)
        begun = perf_counter_ns()
        self._timer.submit(variant)
        submitted_ns = perf_counter_ns() - begun
        with self._device.on(self._stream):
            copies = [one.clone() for one in self._outputs]
        took_ns = self._timer.wait()
        self._device.synchronize()
        return took_ns, submitted_ns, copies

    def wrong(self, outputs: Sequence[Tensor], expected: Sequence[Tensor]) -> str:
        """What is wrong with the first wrong output; "" if all are right."""
        for slot, output, one in zip(self._slots, outputs, expected, strict=True):
            differing = mismatch(output, one, slot.tolerance)
            if differing.wrong:
                return f"{slot.name}: " * (len(self._slots) > 1) + differing.words(slot.shape)
        return ""


def race(job: Job, device: Device, contenders: Mapping[str, Contender], results: Results, memory: Memory) -> None:
    """Warm up, then time `job.iterations` of each; every time goes into the results."""
    results.step("preparing the race")
    ground = _Race(job, device, contenders, memory)
    longest_ns = 0
    for variant in VARIANTS:
        for number in range(WARMUP):
            submitted_ns = _step(ground, variant, 0, results)[1]
            longest_ns = max(longest_ns, submitted_ns if number else 0)  # the first compiles
    hold_ns = min(HOLD_FACTOR * longest_ns, HOLD_CAP_NS)
    for variant in order(job.iterations):
        took_ns = _step(ground, variant, hold_ns, results)[0]
        results.write(timed=variant, ns=took_ns)


def _step(ground: _Race, variant: str, hold_ns: int, results: Results) -> tuple[int, int]:
    results.own()
    expected = ground.prepare(variant)
    results.step(f"timing {_NAMES[variant]}")
    took_ns, submitted_ns, outputs = ground.once(variant, hold_ns)
    results.own()
    if wrong := ground.wrong(outputs, expected):
        results.write(wrong=variant, words=wrong)
        raise SystemExit(0)
    return took_ns, submitted_ns
