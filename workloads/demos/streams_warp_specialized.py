"""The pair ch11.warp_specialization_multistream by itself: one pass by warps with roles, on one stream and on four."""

from __future__ import annotations

import argparse
from functools import partial

from ...kernels.stencil import gelu
from ..ch11.warp_specialization_multistream import PAIR, Arrays
from ..device import Device, Stream
from .demo import Demo, positive
from .turns import check, in_turn, table

_PASSES = {"baseline": 2}


def measure(device: Device, asked: argparse.Namespace) -> list[str]:
    """Times of all variants forwards and backwards, after each was checked against fp64."""
    quad = gelu.CLUSTER * gelu.TILE
    quads = max((asked.mib << 18) // quad, 1)
    work, names = Arrays(device, {"arrays": asked.streams, "quads": quads}), PAIR.declaration.names
    work.inputs(7)
    device.synchronize()
    wide = work.reference()
    for name in names:
        work.poison()
        device.synchronize()
        work.run(name)
        device.synchronize()
        check(name, float((work.output.double() - wide).norm() / wide.norm()), 1e-6)
    del wide
    first = work.streams[0]
    ways = {PAIR.declaration.variants[name]["en"]: partial(_joined, device, work, first, name) for name in names}
    moved = {
        caption: 2 * _PASSES.get(name, 1) * 4 * work.output.numel() for caption, name in zip(ways, names, strict=True)
    }
    lines = table(in_turn(device, first, ways, asked.rounds), moved)
    return [f"{asked.streams} arrays of {quads * quad >> 18} MiB fp32: a stencil of three, GELU, a factor", *lines]


def _joined(device: Device, work: Arrays, first: Stream, name: str) -> None:
    """The variant between two points of the first stream, whatever streams it uses."""
    begun = device.event()
    begun.record(first)
    for stream in work.streams[1:]:
        stream.wait_event(begun)
    work.run(name)
    for stream in work.streams[1:]:
        ended = device.event()
        ended.record(stream)
        first.wait_event(ended)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--streams", type=positive, default=4, metavar="N", help="arrays, and streams (4)")
    parser.add_argument("--mib", type=positive, default=512, metavar="N", help="MiB of an array (512)")
    parser.add_argument("--rounds", type=positive, default=10, metavar="N", help="rounds, forwards and backwards (10)")


DEMO = Demo(
    "ch11-streams-warp-specialized",
    "Producer, compute and store warps in clusters, on one stream and on four, beside plain kernels.",
    ("cuda", "cc>=9.0", "cc<10.0"),
    _options,
    measure,
)
