"""The command line of a pair module run by itself: `python -m aisp_prof.workloads.ch11.streams --validate`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from math import comb
from pathlib import Path
from statistics import median

from ..declaration import VARIANTS
from ..errors import AispError, UsageError
from .ceilings import read_ridge
from .hardware import choose_size
from .harness import run_pair
from .measure import ITERATIONS
from .pair import Declared, Pair
from .record import Measurement, Record, Validation, check_writable, write_record


def main(pair: Pair, argv: Sequence[str] | None = None) -> int:
    """Run `pair` as the arguments say and return the exit code: 1 if its outputs are not valid."""
    parser = _parser(pair)
    asked = parser.parse_args(argv)
    if asked.profile is not None:
        parser.error(f"it profiles nothing by itself: {_capture(pair)} --profile {asked.profile or 'TIER'}")
    if asked.trace and asked.record is None and not _under_nsys():
        _say(f"no profiler listens, so that times are measured and no trace is made; this makes one: {_capture(pair)}")
    if asked.sizes:
        asked.size = "x".join(map(str, asked.sizes))
    try:
        if asked.summaries:
            print("\n".join(summaries(pair, asked.size, asked.ridge, asked.ceilings)))
            return 0
        if asked.record is not None:
            check_writable(asked.record)
        record = run_pair(
            pair,
            device=asked.device,
            size=asked.size,
            seed=asked.seed,
            iterations=asked.iterations,
            validate_only=asked.validate,
            profiling=asked.profile_mode,
            say=_say,
        )
        if asked.record is not None:
            write_record(record, asked.record)
    except AispError as error:
        _say(f"error: {error}")
        if error.mend:
            _say(f"mend: {error.mend}")
        return error.exit_code
    print("\n".join(report(record)))
    return 0 if record.validation.valid else 1


def _capture(pair: Pair) -> str:
    return f"aisp-prof capture {pair.key.replace('.', ':')}"


def _under_nsys() -> bool:
    """Whether Nsight Systems started this process: it announces its session, or what it puts under CUDA and NVTX."""
    return any(
        name in os.environ for name in ("NSYS_PROFILING_SESSION_ID", "CUDA_INJECTION64_PATH", "NVTX_INJECTION64_PATH")
    )


def report(record: Record) -> list[str]:
    """The record as lines to read: what was checked and, where it was measured, each variant's times."""
    lines = [f"{record.pair}  {record.gpu.name if record.gpu else 'CPU'}  size {record.size}  seed {record.seed}"]
    lines += _validation_lines(record.validation)
    lines += [f"{variant:<9}  {one}" for variant, one in record.chosen.items()]
    return lines + ([] if record.measured is None else [*_time_lines(record), *gains(record.measured)])


def gains(measured: Measurement) -> list[str]:
    """By which factor each variant is faster than the one before, the optimized one than the first, and those beyond it than the
    optimized: the median of the rounds' ratios and its interval, of at least 95 % whatever their distribution (order statistics); none
    where the rounds are too few for one.
    """
    first, last = VARIANTS
    names = list(measured.warmup)
    steps = names[: names.index(last) + 1]
    compared = [*pairwise(steps), *([(first, last)] if len(steps) > 2 else [])]
    compared += [(last, name) for name in names[len(steps) :]]
    return [line for before, after in compared for line in _gain(measured, before, after)]


def _gain(measured: Measurement, before: str, after: str) -> list[str]:
    """A round runs every variant twice, there and back, so that a drift of the clocks cancels."""
    rounds = [
        [sum(pair) for pair in zip(times[::2], times[1::2], strict=True)]
        for times in ([one.event_ns for one in measured.iterations if one.variant == name] for name in (before, after))
    ]
    ratios = sorted(slow / fast for slow, fast in zip(*rounds, strict=True))
    cut = _cut(len(ratios))
    if not cut:
        return []
    low, high = ratios[cut - 1], ratios[-cut]
    return [f"{before} → {after}  {median(ratios):.3f}× the throughput [{low:.3f}, {high:.3f}], {len(ratios)} rounds"]


def _cut(n: int) -> int:
    """The median lies between the k-th smallest and the k-th largest of n with 95 %: the largest such k; 0 where there is none."""
    outside, k = 0.0, 0
    while k < n // 2 and (outside := outside + comb(n, k) / 2**n) <= _OUTSIDE / 2:
        k += 1
    return k


_OUTSIDE = 0.05


def summaries(pair: Pair, size: str | None, ridge: float | None, ceilings: Path | None = None) -> list[str]:
    """Each variant's declared work at `size` (`default` where None), against `ridge` in FLOP/B where it is given, or against
    that of the measured `ceilings`.

    Nothing is run and nothing is counted: the numbers come from the pair's formulas.

    Raises:
        UsageError: no such size, the pair declares no work, the ridge is not positive, or there are no such ceilings.
    """
    key, sizes = choose_size(pair.declaration, None, size or "default")
    if pair.declared is None:
        raise UsageError(f"{pair.key} declares no FLOPs and bytes", "ask a pair of ch09")
    if ridge is not None and ridge <= 0:
        raise UsageError(f"a ridge of {ridge:g} FLOP/B", "matrix rate / memory bandwidth, e.g. 184")
    lines = [f"{pair.key}  size {key}  declared by formula, not counted"]
    for variant in pair.declaration.names:
        work = pair.declared(sizes, variant)
        numbers = f"{work.flops / 1e9:.6g} GFLOP  {work.bytes / 1e9:.5g} GB  {work.intensity:.4g} FLOP/B"
        lines.append(f"{variant:<9}  {numbers}{_against(work.intensity, ridge)}{_measured(work, ceilings)}")
    return lines


def _against(intensity: float, ridge: float | None) -> str:
    if ridge is None:
        return ""
    limit = "compute" if intensity >= ridge else "memory"
    return f"  {intensity / ridge:.3g} of the ridge, {ridge:g} FLOP/B: {limit}-bound"


def _measured(work: Declared, ceilings: Path | None) -> str:
    if ceilings is None:
        return ""
    if not work.ceiling:
        return ""
    ridge = read_ridge(ceilings, work.ceiling)
    return f"{_against(work.intensity, float(f'{ridge.intensity:.4g}'))} ({ridge})"


def _validation_lines(validation: Validation) -> list[str]:
    lines = [f"outputs: {'valid' if validation.valid else 'NOT VALID, so nothing was timed'}"]
    for variant, error in validation.max_relative_error.items():
        shown = "not finite" if error is None else f"{error:.2e}"
        lines.append(f"  {variant:<9}  relative error {shown} (tolerance {validation.tolerance:.0e})")
    if validation.bitwise is not None:
        lines.append(f"  bit for bit equal to the exact run: {'yes' if validation.bitwise else 'NO'}")
    shown = ", ".join(f"{name} {'rejected' if hit else 'ACCEPTED'}" for name, hit in validation.rejects.items())
    return [*lines, f"  the check itself: {shown}"]


def _time_lines(record: Record) -> list[str]:
    lines, measured = [], record.measured or Measurement({}, 0, ())
    for variant in measured.warmup:
        times = sorted(timed.event_ns for timed in measured.iterations if timed.variant == variant)
        ms = [time / 1e6 for time in times]
        spread = f"min {ms[0]:.3f}, max {ms[-1]:.3f}"
        work = record.declared.get(variant)
        rate = f"  {work.flops / median(times) / 1e3:.4g} TFLOP/s" if work and work.flops else ""
        lines.append(
            f"{variant:<9}  median {median(ms):.3f} ms  n {len(ms)}  {spread}  warm-up {measured.warmup[variant]}{rate}"
        )
    return lines


def _parser(pair: Pair) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m {pair.module}" if pair.place is None else f"python -m {__package__}.outside … {pair.key}",
        description=f"{pair.declaration.title['en']}. {pair.declaration.compares['en']}",
        epilog="Exit codes: 0 done, 1 outputs not valid, 2 usage, 3 the machine lacks something.",
        allow_abbrev=False,  # --profile, which aisp-prof capture has, would be --profile-mode
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--validate", action="store_true", help="only check the outputs; measure nothing")
    mode.add_argument("--trace", action="store_true", help="check, then measure with NVTX ranges (the default)")
    mode.add_argument("--summaries", action="store_true", help="print declared FLOPs, bytes and intensity; run nothing")
    against = parser.add_mutually_exclusive_group()
    against.add_argument(
        "--ridge", type=float, metavar="FLOP/B", help="with --summaries: compare the intensities with it"
    )
    against.add_argument(
        "--ceilings",
        type=Path,
        metavar="FILE",
        help="with --summaries: with the ridge that aisp-prof calibrate measured",
    )
    parser.add_argument(
        "--profile-mode",
        action="store_true",
        help="for a profiler that replays kernels: one warm-up, and no memory kept that is not needed",
    )
    parser.add_argument("--profile", nargs="?", const="", metavar="TIER", help=argparse.SUPPRESS)
    parser.add_argument("--record", type=Path, metavar="FILE", help="write the result as JSON to FILE")
    parser.add_argument(
        "--iterations", type=int, default=ITERATIONS, metavar="N", help=f"of each variant, even ({ITERATIONS})"
    )
    parser.add_argument("--size", metavar="KEY", help=f"one of: {', '.join(pair.declaration.sizes)} (by the hardware)")
    names = [name.upper() for name in pair.declaration.sizes["default"]]
    parser.set_defaults(sizes=None)
    if names:
        parser.add_argument(
            "--sizes", type=int, nargs=len(names), metavar=tuple(names), help="instead of a key: these numbers"
        )
    parser.add_argument(
        "--device", choices=("cuda", "cpu"), default="cuda", help="cpu runs the same code without a GPU (cuda)"
    )
    parser.add_argument("--seed", type=int, help="of the inputs (fresh at random, and recorded)")
    return parser


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
