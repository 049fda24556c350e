"""What chapter 10's demo_both_examples.sh runs: the memory pipeline, then the file read through cuFile."""

from __future__ import annotations

import argparse

from ..device import Device
from . import gds, memory_pipeline
from .demo import Demo, positive

PARTS = (memory_pipeline, gds)


def measure(device: Device, asked: argparse.Namespace) -> list[str]:
    """The lines of both, each below its name."""
    lines = []
    for part in PARTS:
        parser = argparse.ArgumentParser()
        part._options(parser)
        own = parser.parse_args(["--mib", str(asked.mib)] if asked.mib else [])
        lines += [part.DEMO.name, *(f"  {line}" for line in part.measure(device, own))]
    return lines


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mib", type=positive, default=None, metavar="N", help="MiB of each (their own)")


DEMO = Demo(
    "ch10-both",
    "The memory pipeline and the file through cuFile, one after the other.",
    ("cuda", "cc>=9.0"),
    _options,
    measure,
)
