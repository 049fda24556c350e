"""Measures the ceilings of the device in front of it: `python -m aisp_prof.workloads.calibration --record FILE`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

from ..errors import AispError
from .annotate import Notes, open_notes
from .device import Device, Stream, enough_memory, open_device
from .hardware import present_gpu, versions
from .record import check_writable, write_text

if TYPE_CHECKING:
    from torch import Tensor

SCHEMA = 1
SEED = 9
WARM_UP = 3

MATRIX_TYPES = ("bf16", "fp16", "tf32", "fp32", "fp8")
LINK = ("h2d", "d2h", "h2d_both", "d2h_both", "h2d_pageable", "d2h_pageable")
CEILINGS = ("copy", "read", *MATRIX_TYPES, *(f"{kind}_sustained" for kind in MATRIX_TYPES), *LINK, "launch")
GEMM_TYPES = (*MATRIX_TYPES, "fp64")
_FP8_SINCE = (8, 9)


@dataclass(frozen=True, slots=True)
class Size:
    """How large the work of one run is, and how often it is done.

    Args:
        elements: fp32 elements of the array that is copied or read; far larger than any L2.
        matrix: edge of the square matrices whose rate is measured; `gemm`, of those whose operations are counted.
        link_elements: fp32 elements of one copy over the link between host and device.
        runs: measured runs.
        rest_s: how long the device rests before a matrix product, so that each starts as cool as the others.
        settle_ns: how long work runs beforehand if clocks and power are to have settled.
        launches: kernels of one run of launches.
    """

    elements: int
    matrix: int
    gemm: int
    link_elements: int
    runs: int
    rest_s: float
    settle_ns: int
    launches: int


SIZES = {
    "full": Size(1 << 30, 8192, 2048, 1 << 26, 20, 0.5, 500_000_000, 1000),
    "tiny": Size(1 << 12, 32, 32, 1 << 10, 3, 0.0, 0, 10),
}


@dataclass(frozen=True, slots=True)
class Ceiling:
    """One measured rate: `work` bytes or FLOP in each of `times_ns`; all runs are kept.

    The moments (ns since 1970) bound the measured runs, so that clocks sampled elsewhere can be assigned to them.
    """

    name: str
    unit: str
    what: str
    work: int
    times_ns: tuple[int, ...]
    began_utc_ns: int
    ended_utc_ns: int

    def rate(self, ns: float) -> float:
        return self.work / max(ns, 1) * 1e9

    @property
    def value(self) -> float:
        """The median rate, in `unit`."""
        return self.rate(median(self.times_ns))

    @property
    def spread(self) -> tuple[float, float]:
        """The 5th and 95th percentile of the rate, in `unit`."""
        cuts = quantiles(self.times_ns, n=20, method="inclusive")
        return self.rate(cuts[-1]), self.rate(cuts[0])

    def to_json(self) -> dict[str, Any]:
        low, high = self.spread
        return {**asdict(self), "value": self.value, "n": len(self.times_ns), "p5": low, "p95": high}


Run = Callable[[], object]


@dataclass(slots=True)
class Bench:
    """Times work on one stream of a device by its events, after `WARM_UP` runs of it or more; `only` names the ceilings that are
    wanted, where not all are."""

    device: Device
    size: Size
    only: frozenset[str] = frozenset()

    def wants(self, *names: str) -> bool:
        return not self.only or any(name in self.only for name in names)

    def ceiling(
        self, name: str, unit: str, what: str, work: int, run: Run, settle_ns: int = 0, on: Stream | None = None
    ) -> Ceiling:
        stream = on or self.device.stream()
        with self.device.on(stream):
            self._warm(run, settle_ns)
            began = time.time_ns()
            events = [(self.device.event(), self.device.event()) for _ in range(self.size.runs)]
            for start, end in events:
                start.record(stream)
                run()
                end.record(stream)
            self.device.synchronize()
        times = tuple(self.device.elapsed_ns(start, end) for start, end in events)
        return Ceiling(name, unit, what, work, times, began, time.time_ns())

    def _warm(self, run: Run, settle_ns: int) -> None:
        until = time.perf_counter_ns() + settle_ns
        for i in count():
            if i >= WARM_UP and time.perf_counter_ns() >= until:
                return
            run()
            self.device.synchronize()


def memory(bench: Bench) -> Iterator[Ceiling]:
    """Copy bandwidth (bytes read and written) and read bandwidth (a sum) of the device's memory, fp32 of N(0, 1)."""
    if not bench.wants("copy", "read"):
        return
    device, n = bench.device, fitting(bench.device, bench.size.elements)
    source, target = device.normal(n, SEED), device.empty(n)
    yield bench.ceiling("copy", "byte/s", "device copy, bytes read and written", 8 * n, lambda: target.copy_(source))
    yield bench.ceiling("read", "byte/s", "sum of an array", 4 * n, source.sum)


def fitting(device: Device, elements: int) -> int:
    """The elements of an array of which two fill no more than half of the memory that is free: halved as often as that needs."""
    if device.kind == "cpu":
        return elements
    import torch

    free, _ = torch.cuda.mem_get_info()
    while elements > 1 << 20 and 8 * elements > free // 2:
        elements //= 2
    return elements


def launches(bench: Bench) -> Iterator[Ceiling]:
    """Launches that follow each other in one stream, of kernels that do next to nothing, from one graph: no program launches with
    less between them."""
    if not bench.wants("launch"):
        return
    device, count, tiny = bench.device, bench.size.launches, bench.device.empty(1)
    stream = device.stream()

    def in_turn() -> None:
        for _ in range(count):
            tiny.fill_(1.0)

    replay = device.graph(stream, in_turn)
    yield bench.ceiling(
        "launch", "launch/s", f"{count} kernels of one graph, one after the other", count, replay, on=stream
    )


def matrices(bench: Bench) -> Iterator[Ceiling]:
    """Rates of a square matrix product in PyTorch, for every type that the device supports, on data of N(0, 1).

    2*n^3 FLOP each. Zeros would be faster: they draw less power, and the clocks stay higher. The ceiling is the rate of
    the first runs after a rest; `…_sustained` is the rate once power and heat have brought the clocks down.
    """
    n, size = bench.size.matrix, bench.size
    for kind in MATRIX_TYPES:
        if lacking(bench.device, kind) or not bench.wants(kind, f"{kind}_sustained"):
            continue
        with product(bench.device, kind, n) as run:
            time.sleep(size.rest_s)
            what = f"{n}x{n}x{n} matrix product, {kind}"
            yield bench.ceiling(kind, "flop/s", what, 2 * n**3, run)
            if not bench.wants(f"{kind}_sustained"):
                continue
            settled = f"{what}, after {size.settle_ns / 1e9:g} s of it"
            yield bench.ceiling(f"{kind}_sustained", "flop/s", settled, 2 * n**3, run, size.settle_ns)


def lacking(device: Device, kind: str) -> str:
    """Why the device has no matrix product of this type; "" if it has one."""
    if kind != "fp8":
        return ""
    import torch

    if device.kind == "cpu":
        return "fp8 products are measured on GPUs only"
    capability = torch.cuda.get_device_capability()
    return (
        ""
        if capability >= _FP8_SINCE
        else f"compute capability {capability[0]}.{capability[1]} has no fp8; 8.9 is the first"
    )


@contextmanager
def product(device: Device, kind: str, n: int) -> Iterator[Run]:
    """A function that multiplies two n x n matrices of N(0, 1), with its output already allocated where that is possible."""
    import torch

    a, b = (device.normal(n * n, SEED + i).view(n, n) for i in (1, 2))
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if kind == "tf32" else "highest")
    try:
        yield _fp8_product(a, b) if kind == "fp8" else _product(a, b, kind)
    finally:
        torch.set_float32_matmul_precision(before)


def _product(a: Tensor, b: Tensor, kind: str) -> Run:
    import torch

    types = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp64": torch.float64}
    left, right = (matrix.to(types.get(kind, torch.float32)) for matrix in (a, b))
    out = torch.empty_like(left)
    return lambda: torch.mm(left, right, out=out)


def _fp8_product(a: Tensor, b: Tensor) -> Run:
    """e4m3 times e4m3 with one scale each, bf16 out, as PyTorch's float8 linear layers do it."""
    import torch

    left, right = a.to(torch.float8_e4m3fn), b.to(torch.float8_e4m3fn).t()
    one = torch.ones((), device=a.device)
    return lambda: torch._scaled_mm(
        left, right, scale_a=one, scale_b=one, out_dtype=torch.bfloat16, use_fast_accum=True
    )


def link(bench: Bench) -> Iterator[Ceiling]:
    """Copies between host and device: each way pinned, both ways at once, each way pageable."""
    if not bench.wants(*LINK):
        return
    import torch

    device, n = bench.device, bench.size.link_elements
    here, there = device.normal(n, SEED), device.empty(n)
    pinned_in, pinned_out, pageable = device.pinned(n), device.pinned(n), torch.empty(n)
    pinned_in.copy_(here)
    pageable.copy_(here)

    def to_device() -> object:
        return there.copy_(pinned_in, non_blocking=True)

    def to_host() -> object:
        return pinned_out.copy_(here, non_blocking=True)

    yield bench.ceiling("h2d", "byte/s", "host to device, pinned", 4 * n, to_device)
    yield bench.ceiling("d2h", "byte/s", "device to host, pinned", 4 * n, to_host)
    yield from both_ways(bench, to_device, to_host)
    if not bench.wants("h2d_pageable", "d2h_pageable"):
        return
    yield bench.ceiling("h2d_pageable", "byte/s", "host to device, pageable", 4 * n, lambda: there.copy_(pageable))
    yield bench.ceiling("d2h_pageable", "byte/s", "device to host, pageable", 4 * n, lambda: pageable.copy_(here))


def both_ways(bench: Bench, to_device: Run, to_host: Run, copies: int = 4) -> Iterator[Ceiling]:
    """The rate of each direction while both run: `copies` each way, started by one event, each timed to its own end."""
    device, work = bench.device, 4 * bench.size.link_elements * copies
    main, streams, ways = device.stream(), (device.stream(), device.stream()), (to_device, to_host)
    rounds = [(device.event(), (device.event(), device.event())) for _ in range(bench.size.runs + 1)]
    began = time.time_ns()
    for start, ends in rounds:
        start.record(main)
        for stream, end, way in zip(streams, ends, ways, strict=True):
            stream.wait_event(start)
            with device.on(stream):
                for _ in range(copies):
                    way()
            end.record(stream)
        device.synchronize()
    measured = rounds[1:]  # the first run is the warm-up
    for i, name in enumerate(("h2d_both", "d2h_both")):
        times = tuple(device.elapsed_ns(start, ends[i]) for start, ends in measured)
        what = f"{'host to device' if i == 0 else 'device to host'}, pinned, while both ways run"
        yield Ceiling(name, "byte/s", what, work, times, began, time.time_ns())


def ceilings(device: Device, size: Size, say: Callable[[str], None], only: Collection[str] = ()) -> list[Ceiling]:
    """Measure them all, or those that are named with what is measured along with them; `say` is told each as it is done."""
    bench, done = Bench(device, size, frozenset(only)), []
    for part in (memory, matrices, link, launches):
        for ceiling in part(bench):
            low, high = ceiling.spread
            say(f"{ceiling.name:<15} {ceiling.value:.4g} {ceiling.unit}  n {size.runs}  {low:.4g} to {high:.4g}")
            done.append(ceiling)
    return done


def gemms(device: Device, n: int, notes: Notes) -> dict[str, int]:
    """One n x n x n product of each type in a range `calibration.TYPE.measure`, for a counter tool; FLOP declared by type."""
    declared = {}
    for kind in GEMM_TYPES:
        if lacking(device, kind):
            continue
        with product(device, kind, n) as run:
            run()
            device.synchronize()
            with notes.range(f"calibration.{kind}.measure", "measure"):
                run()
                device.synchronize()
        declared[kind] = 2 * n**3
    return declared


def record(device: Device, size: Size, say: Callable[[str], None], only: Collection[str] = ()) -> dict[str, Any]:
    """The ceilings with what they were measured on, as JSON data."""
    gpu = present_gpu(device)
    with enough_memory():
        measured = ceilings(device, size, say, only)
    reasons = {kind: lacking(device, kind) for kind in MATRIX_TYPES}
    return {
        "device": device.kind,
        "gpu": None if gpu is None else asdict(gpu),
        "versions": versions(),
        "ceilings": [ceiling.to_json() for ceiling in measured],
        "unsupported": [{"name": kind, "reason": reason} for kind, reason in reasons.items() if reason],
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run as the arguments say; the exit code is 0, or that of the error."""
    asked = _parser().parse_args(argv)
    try:
        if asked.record is not None:
            check_writable(asked.record)
        result = _result(asked)
        _write(result, asked.record)
    except AispError as error:
        _say(f"error: {error}")
        if error.mend:
            _say(f"mend: {error.mend}")
        return error.exit_code
    return 0


def _result(asked: argparse.Namespace) -> dict[str, Any]:
    device, size = open_device(asked.device), SIZES[asked.size]
    if asked.gemms:
        return {"schema": SCHEMA, "declared": gemms(device, size.gemm, open_notes())}
    return {"schema": SCHEMA, **record(device, size, _say, asked.only)}


def _write(result: dict[str, Any], path: Path | None) -> None:
    text = json.dumps(result, indent=1, allow_nan=False) + "\n"
    if path is None:
        sys.stdout.write(text)
        return
    write_text(path, text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m aisp_prof.workloads.calibration", description=__doc__)
    parser.add_argument("--record", type=Path, metavar="FILE", help="write the result as JSON to FILE, not to stdout")
    parser.add_argument("--gemms", action="store_true", help="only run one known product of each type, to be counted")
    parser.add_argument(
        "--only", nargs="+", default=(), choices=CEILINGS, metavar="NAME", help="these ceilings alone (all)"
    )
    parser.add_argument("--size", choices=tuple(SIZES), default="full", help="tiny checks the code (full)")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu checks the code (cuda)")
    return parser


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
