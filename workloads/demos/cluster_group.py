"""Softmax by teams of 2, 4, 8 and 16 blocks, each row as long as the team can hold; through DSMEM, through the L2 cache, without clusters."""

from __future__ import annotations

import argparse
from functools import partial

from ...kernels.softmax import rows
from ..device import Device
from ..hardware import present_gpu
from .demo import Demo, positive
from .turns import Ways, check, in_turn, table

NAMES = {
    "online": "a block a row, read twice",
    "cluster": "cluster, DSMEM",
    "cluster_memory": "cluster, through L2",
    "cooperative": "no cluster, through L2",
}


def measure(device: Device, asked: argparse.Namespace) -> list[str]:
    """A table for each size of team, of the same bytes; without clusters what needs none."""
    ways = [way for way in NAMES if not (asked.no_cluster and way.startswith("cluster"))]
    lines = [f"{asked.mib} MiB of fp32 rows, of {rows.SHARE} elements for each block of a team"]
    for blocks in asked.teams:
        lines += [f"teams of {blocks}: rows of {blocks * rows.SHARE} elements", *_of_team(device, asked, blocks, ways)]
    return lines


def _of_team(device: Device, asked: argparse.Namespace, blocks: int, ways: list[str]) -> list[str]:
    columns = blocks * rows.SHARE
    n, stream = max((asked.mib << 18) // columns, 1) * columns, device.stream()
    x, y = device.normal(n, 7).view(-1, columns), device.empty(n).view(-1, columns)
    softmax: Ways
    if present_gpu(device) is None:
        softmax = {NAMES[way]: partial(rows.eager, x, y) for way in ways}
    else:
        work = rows.Softmax(x, y)
        softmax = {NAMES[way]: partial(work.run, way) for way in ways}
    wide = rows.reference(x)
    for name, run in softmax.items():
        y.fill_(float("nan"))
        run()
        check(name, float((y.double() - wide).norm() / wide.norm()), 1e-6)
    del wide
    device.synchronize()
    moved = {name: (3 if name == NAMES["online"] else 2) * 4 * n for name in softmax}
    return table(in_turn(device, stream, softmax, asked.rounds), moved)


def _team(text: str) -> int:
    blocks = positive(text)
    if blocks not in rows.TEAMS:
        raise argparse.ArgumentTypeError(f"{blocks} is none of {', '.join(map(str, rows.TEAMS))}")
    return blocks


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--teams", type=_team, nargs="+", default=rows.TEAMS, metavar="N", help="blocks: 2 4 8 16 (all)"
    )
    parser.add_argument(
        "--no-cluster", action="store_true", help="only what needs no cluster: runs from compute capability 8.0 on"
    )
    parser.add_argument("--mib", type=positive, default=2048, metavar="N", help="MiB of fp32 (2048)")
    parser.add_argument("--rounds", type=positive, default=5, metavar="N", help="rounds, forwards and backwards (5)")


DEMO = Demo(
    "ch10-cluster-group",
    "Softmax by teams of 2 to 16 blocks: DSMEM, the L2 cache, and --no-cluster.",
    ("cuda", "cc>=8.0"),
    _options,
    measure,
)
