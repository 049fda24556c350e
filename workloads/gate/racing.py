"""In the judge: a candidate against the current best in rounds of A B B A, on inputs that neither has seen, every output compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from ...declaration import VARIANTS
from ...kernels.emit.reference import reference, torch_dtype
from ..device import Device, Stream
from ..measure import HOLD_CAP_NS, HOLD_FACTOR, IterationTimer, order
from .buffers import OUTPUT_GUARD, Guarded, Memory
from .cases import Case, fill, race_shape
from .contender import Contender
from .hosted import Hosted
from .job import Job, Results
from .mismatch import mismatch

if TYPE_CHECKING:
    from torch import Tensor

WARMUP = 4

_NAMES = {"baseline": "the current best", "optimized": "the candidate"}


class _Race:
    """Both contenders on the same memory at one shape; before each run fresh inputs and a poisoned output."""

    def __init__(self, job: Job, device: Device, contenders: Mapping[str, Contender], memory: Memory) -> None:
        spec, case = job.spec, Case(race_shape(job.spec, job.device))
        kind, out_kind = torch_dtype(spec.dtype), torch_dtype(spec.output)
        plain: dict[str, Any] = {"guards": False, "shift": 0}
        self._inputs = [
            Guarded(spec.input_shape(one.layout, case.shape), kind, memory, OUTPUT_GUARD, **plain).tensor
            for one in spec.inputs
        ]
        self._output = Guarded(spec.output_shape(case.shape), out_kind, memory, OUTPUT_GUARD, **plain).tensor
        self._case, self._seed, self._count = case, job.seed + 1000, 0
        self._spec, self._device, self._contenders = spec, device, contenders
        self._stream = device.stream()
        self._timer = IterationTimer(device, self)  # type: ignore[arg-type]

    @property
    def streams(self) -> Sequence[Stream]:
        return (self._stream,)

    def run(self, variant: str) -> None:
        with self._device.on(self._stream):
            self._contenders[variant].run()

    def prepare(self, variant: str) -> Tensor:
        """Inputs that were never there before, and their reference: remembering an output by its inputs gains nothing."""
        self._contenders[variant].show(self._inputs, self._output)
        self._device.synchronize()
        fill(self._case, self._spec, self._inputs, self._seed + self._count)
        self._count += 1
        self._output.fill_(float("nan"))
        expected = reference(self._spec, self._inputs)
        self._device.synchronize()
        return expected

    def once(self, variant: str, hold_ns: int) -> tuple[int, int, Tensor]:
        """Time and submission in ns, and a copy of the output.

        A contender in a process of its own is timed by this one's clock, from the request to its answer. Otherwise events
        time it, and the output is copied on the same stream right after the end event: work that a contender left running
        elsewhere is not waited for, and is then missing.
        """
        contender = self._contenders[variant]
        if isinstance(contender, Hosted):
            contender.run()
            return contender.took_ns, 0, self._output.clone()
        if hold_ns:
            self._timer.hold(hold_ns)
        begun = perf_counter_ns()
        self._timer.submit(variant)
        submitted_ns = perf_counter_ns() - begun
        with self._device.on(self._stream):
            copy = self._output.clone()
        took_ns = self._timer.wait()
        self._device.synchronize()
        return took_ns, submitted_ns, copy

    def wrong(self, output: Tensor, expected: Tensor) -> str:
        """What is wrong with an output; "" if it is right."""
        differing = mismatch(output, expected, self._spec.tolerance)
        return differing.words(1 if self._spec.reduces else self._spec.shape[1]) if differing.wrong else ""


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
    took_ns, submitted_ns, output = ground.once(variant, hold_ns)
    results.own()
    if wrong := ground.wrong(output, expected):
        results.write(wrong=variant, words=wrong)
        raise SystemExit(0)
    return took_ns, submitted_ns
