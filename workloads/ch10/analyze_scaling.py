"""How attention's time grows with the length of its sequences: `python -m aisp_prof.workloads.ch10.analyze_scaling --record FILE`.

Each length is a run of `ch10:flash_attention` with its checks, batches chosen so that all runs hold as many tokens: operands never fit
into the L2 cache, and what grows is the work of a token. Fit and chart: `aisp-prof bench scaling FILE`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from ...errors import AispError, UsageError
from ..device import Kind
from ..harness import run_pair
from ..measure import ITERATIONS
from ..record import Record, check_writable, write_text
from . import flash_attention

SCHEMA = 1
OVER, PER = "seq", "batch"
"""The size that grows, and the one by which times are divided: a sequence's time over its length."""
LENGTHS = (512, 1024, 2048, 4096, 8192, 16384, 32768)
TOKENS, HEADS, DIM = 32768, 16, 128


def sweep(
    lengths: Sequence[int], tokens: int, heads: int, dim: int, device: Kind, iterations: int, say: Callable[[str], None]
) -> list[Record]:
    """A record a length, each of `tokens` in all, checked against fp64.

    Raises:
        UsageError: a length does not divide the tokens.
        AispError: outputs of a length are not right; what was measured before them is not used either.
        EnvironmentLacks: as `run_pair`.
    """
    if odd := [length for length in lengths if length < 1 or tokens % length]:
        raise UsageError(f"{tokens} tokens do not divide into sequences of {odd[0]}", "--lengths 512 1024 2048 4096")
    records = []
    for length in lengths:
        size = f"{tokens // length}x{heads}x{length}x{dim}"
        record = run_pair(flash_attention.PAIR, device=device, size=size, iterations=iterations)
        if record.measured is None:
            raise AispError(f"outputs at {size} are not right: {record.validation.max_relative_error}")
        say("  ".join([f"{length:>6}", *(f"{name} {ms:.4g} ms" for name, ms in _medians(record).items())]))
        records.append(record)
    return records


def to_json(records: Sequence[Record]) -> dict[str, Any]:
    """With every measured run, so that fit and chart can be made again."""
    return {
        "schema": SCHEMA,
        "pair": flash_attention.PAIR.key,
        "over": OVER,
        "per": PER,
        "records": [one.to_json() for one in records],
    }


def _medians(record: Record) -> dict[str, float]:
    timed = record.measured.iterations if record.measured else ()
    return {
        name: median(one.event_ns for one in timed if one.variant == name) / 1e6
        for name in flash_attention.PAIR.declaration.names
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run as the arguments say; the exit code is 0, or that of the error."""
    asked = _parser().parse_args(argv)
    try:
        if asked.record is not None:
            check_writable(asked.record)
        records = sweep(asked.lengths, asked.tokens, asked.heads, asked.dim, asked.device, asked.iterations, _say)
        if asked.record is not None:
            write_text(asked.record, json.dumps(to_json(records), allow_nan=False) + "\n")
    except AispError as error:
        _say(f"error: {error}")
        if error.mend:
            _say(f"mend: {error.mend}")
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m aisp_prof.workloads.ch10.analyze_scaling",
        description="Measure ch10:flash_attention over lengths of sequences; fit and chart by aisp-prof bench scaling FILE.",
    )
    parser.add_argument("--record", type=Path, metavar="FILE", help="write every run as JSON to FILE")
    parser.add_argument(
        "--lengths", type=int, nargs="+", default=LENGTHS, metavar="N", help="of a sequence (512 … 32768)"
    )
    for name, value in (("tokens", TOKENS), ("heads", HEADS), ("dim", DIM)):
        parser.add_argument(f"--{name}", type=int, default=value, metavar="N", help=f"({value})")
    parser.add_argument("--iterations", type=int, default=ITERATIONS, metavar="N", help=f"of each, even ({ITERATIONS})")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu checks the code (cuda)")
    return parser


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
