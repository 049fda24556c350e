"""In the child: a candidate against the current best in rounds of A B B A, every output of a timed run compared."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter_ns
from typing import TYPE_CHECKING

from ...declaration import VARIANTS
from ...kernels.emit.reference import reference, torch_dtype
from ..device import Device, Stream
from ..measure import HOLD_CAP_NS, HOLD_FACTOR, IterationTimer, order
from .cases import Case, fill, race_shape
from .compare import difference
from .job import Job, Results

if TYPE_CHECKING:
    from torch import Tensor

    from .runners import Run

SETS = 2
WARMUP = 4

_NAMES = {"baseline": "the current best", "optimized": "the candidate"}


class _Race:
    """Both contenders on the same memory at one shape; before each run other inputs and a poisoned output."""

    def __init__(self, job: Job, device: Device, contenders: dict[str, Run]) -> None:
        import torch

        spec, case = job.spec, Case(race_shape(job.spec, job.device))
        kind, out_kind = torch_dtype(spec.dtype), torch_dtype(spec.output)
        shapes = [spec.input_shape(one.layout, case.shape) for one in spec.inputs]
        self._sets = [[torch.empty(s, dtype=kind, device=device.kind) for s in shapes] for _ in range(SETS)]
        for number, tensors in enumerate(self._sets):
            fill(case, spec, tensors, job.seed + 1000 + number)
        self._expected = [reference(spec, tensors) for tensors in self._sets]
        self._inputs = [torch.empty_like(one) for one in self._sets[0]]
        self._output: Tensor = torch.empty(spec.output_shape(case.shape), dtype=out_kind, device=device.kind)
        self._spec, self._device, self._contenders, self._count = spec, device, contenders, 0
        self._stream = device.stream()
        self._timer = IterationTimer(device, self)  # type: ignore[arg-type]

    @property
    def streams(self) -> Sequence[Stream]:
        return (self._stream,)

    def run(self, variant: str) -> None:
        with self._device.on(self._stream):
            self._contenders[variant](self._inputs, self._output)

    def once(self, variant: str, hold_ns: int) -> tuple[int, int, str]:
        """Time and submission in ns, and what is wrong with the output.

        The output is copied on the same stream right after the end event: work that a contender left running elsewhere is
        not waited for, and is then missing.
        """
        number = self._count % SETS
        self._count += 1
        self._device.synchronize()
        for to, source in zip(self._inputs, self._sets[number], strict=True):
            to.copy_(source)
        self._output.fill_(float("nan"))
        self._device.synchronize()
        if hold_ns:
            self._timer.hold(hold_ns)
        begun = perf_counter_ns()
        self._timer.submit(variant)
        submitted_ns = perf_counter_ns() - begun
        with self._device.on(self._stream):
            copy = self._output.clone()
        took_ns = self._timer.wait()
        self._device.synchronize()
        found = difference(copy, self._expected[number], self._spec.tolerance)
        columns = 1 if self._spec.reduces else self._spec.shape[1]
        return took_ns, submitted_ns, found.words(columns) if found.wrong else ""


def race(job: Job, device: Device, contenders: dict[str, Run], results: Results) -> None:
    """Warm up, then time `job.iterations` of each; every time goes into the results."""
    results.step("preparing the race")
    ground = _Race(job, device, contenders)
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
    results.step(f"timing {_NAMES[variant]}")
    took_ns, submitted_ns, wrong = ground.once(variant, hold_ns)
    if wrong:
        results.write(wrong=variant, words=wrong)
        raise SystemExit(0)
    return took_ns, submitted_ns


def contenders(job: Job, results: Results) -> dict[str, Run]:
    """The loaded runners by the harness's names: the current best as baseline."""
    results.step("loading the current best")
    current = job.against.load(job.spec)
    results.step("loading the candidate")
    return {"baseline": current, "optimized": job.candidate.load(job.spec)}
