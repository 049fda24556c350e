"""Tiles through shared memory in turn, in two and three stages, and by the copy engine; with one block a multiprocessor, and more."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from ...kernels.elementwise import tile_pipeline
from ..device import Device
from .demo import Demo, positive
from .turns import Ways, check, in_turn, table

if TYPE_CHECKING:
    from torch import Tensor

WAYS = {"in turn": "in_turn", "two stages": "two_stages", "three stages": "three_stages", "copy engine": "bulk"}
BLOCKS = {"in turn": (1, 2, 4), "two stages": (1, 2, 4), "three stages": (1, 2, 4), "copy engine": (1, 2)}
"""Of a multiprocessor, as its shared memory and threads have room."""


def measure(device: Device, asked: argparse.Namespace) -> list[str]:
    """Times of all, and of a copy, after each was checked against fp64."""
    n = -(-(asked.mib << 18) // tile_pipeline.TILE) * tile_pipeline.TILE
    x, y, stream = device.normal(n, 7), device.empty(n), device.stream()
    for way in WAYS.values():
        y.fill_(float("nan"))
        tile_pipeline.chain(x, y, asked.steps, way)
        wide = tile_pipeline.reference(x, asked.steps)
        check(way, float((y.double() - wide).norm() / wide.norm()), 1e-6)
        del wide
    device.synchronize()
    ways = _ways(x, y, asked.steps)
    lines = table(in_turn(device, stream, ways, asked.rounds), dict.fromkeys(ways, 2 * 4 * n))
    return [f"{n >> 18} MiB in tiles of 8 KiB, {asked.steps} FMAs an element; read and written once by all", *lines]


def _ways(x: Tensor, y: Tensor, steps: int) -> Ways:
    def copy() -> None:
        y.copy_(x)

    found = {
        f"{name}, {blocks} a multiprocessor": partial(tile_pipeline.chain, x, y, steps, way, blocks)
        for name, way in WAYS.items()
        for blocks in BLOCKS[name]
    }
    return {**found, "copy": copy}


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mib", type=positive, default=1024, metavar="N", help="MiB of fp32 (1024)")
    parser.add_argument("--steps", type=positive, default=32, metavar="N", help="FMAs an element (32)")
    parser.add_argument("--rounds", type=positive, default=10, metavar="N", help="rounds, forwards and backwards (10)")


DEMO = Demo(
    "ch10-memory-pipeline",
    "Tiles through shared memory: in turn, two and three stages of cp.async, and the copy engine.",
    ("cuda", "cc>=9.0"),
    _options,
    measure,
)
