"""One program on an H200, by nsys and by torch.profiler (tests/traces/kineto/recorded.py): the same work, as far as two runs can be the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import aisp_prof
import pytest
from aisp_prof.cli import app
from typer.testing import CliRunner

TRACES = Path(__file__).parents[3] / "traces/kineto"
NSYS, KINETO = TRACES / "recorded.sqlite.xz", TRACES / "recorded.json.gz"
STEPS = 8
TICK_NS = 32
"""The clock that CUPTI reads on an H200 goes in steps of 32 ns: a length is off by one at either end."""


@cache
def steps(path: Path) -> list[dict[int, list[dict[str, Any]]]]:
    """Of each step what was launched in it: stream -> operations as they ran."""
    opened = aisp_prof.open(path)
    rows = sorted(opened.operations().rows(), key=lambda row: int(row["start"]))
    return [by_stream(rows, start, end) for start, end in of_the_program(opened.trace)]


def of_the_program(trace: Any) -> Iterator[tuple[int, int]]:
    """torch.profiler lays a range of its own around all; the program's are called `step`."""
    ranges = trace.ranges
    for text, start, end in zip(ranges.text.tolist(), ranges.start.tolist(), ranges.end.tolist(), strict=True):
        if trace.text(text) == "step":
            yield start, end


def by_stream(rows: list[dict[str, Any]], start: int, end: int) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if start <= row["launch_start"] < end:
            found[row["stream"]].append(row)
    return found


def what(operation: dict[str, Any]) -> tuple[str, str, int | None]:
    return operation["kind"], short(operation["name"] or ""), operation["bytes"]


def short(name: str) -> str:
    """`void at::native::f<4, …>(int, …)` -> `f`: nsys' export keeps a kernel's short name beside the whole one."""
    return name.partition("<")[0].partition("(")[0].split("::")[-1].removeprefix("void ")


def lengths(path: Path) -> dict[tuple[int, int], tuple[str, list[int]]]:
    """(stream, place on it) -> kind and the length of that operation in every step, in ns."""
    found: dict[tuple[int, int], tuple[str, list[int]]] = {}
    for step in steps(path):
        for stream, operations in step.items():
            for place, one in enumerate(operations):
                found.setdefault((stream, place), (one["kind"], []))[1].append(one["end"] - one["start"])
    return found


@pytest.mark.parametrize("path", [NSYS, KINETO], ids=["nsys", "torch.profiler"])
def test_every_step_holds_what_the_program_asked_for(path: Path) -> None:
    assert len(steps(path)) == STEPS
    for step in steps(path):
        assert sorted(tuple(one["kind"] for one in operations) for operations in step.values()) == [
            ("compute", "compute"),  # a product and an addition
            ("compute", "compute", "compute"),  # the graph's product and ReLU, and the filling with zeros
            ("d2h",),
            ("h2d",),
        ]
        assert {one["bytes"] for operations in step.values() for one in operations} == {None, 4 * 1024 * 1024}


def test_operations_and_their_order_on_each_stream_agree() -> None:
    by_nsys, by_torch = (
        [{stream: [what(one) for one in operations] for stream, operations in step.items()} for step in steps(path)]
        for path in (NSYS, KINETO)
    )
    assert by_nsys == by_torch


def test_waits_of_the_program_order_both() -> None:
    """The graph is launched when all else of its step has ended."""
    for path in (NSYS, KINETO):
        for step in steps(path):
            last = max(step.values(), key=len)
            others = [one["end"] for operations in step.values() if operations is not last for one in operations]
            assert len(others) == 4
            assert max(others) <= last[0]["launch_start"] <= last[0]["start"]


def test_kernels_take_as_long() -> None:
    """Two runs of one program: medians within 1 % and a step of the clock at each end. A copy's time is the link's that day, and is
    held against it: no more than 60 GB/s."""
    by_nsys, by_torch = lengths(NSYS), lengths(KINETO)
    assert by_nsys.keys() == by_torch.keys()
    for place, (kind, times) in by_nsys.items():
        one, other = median(times), median(by_torch[place][1])
        if kind == "compute":
            assert abs(one - other) <= 0.01 * one + 2 * TICK_NS
        else:
            assert min(one, other) >= 4 * 1024 * 1024 / 60  # bytes over bytes a ns


def test_lengths_are_those_of_a_clock_of_32_ns() -> None:
    """So that the tolerance above is no invention: every length is a multiple of 32 ns, or one beside it."""
    every = [ns for path in (NSYS, KINETO) for _, times in lengths(path).values() for ns in times]
    assert len(every) == 2 * STEPS * 7
    assert all(min(ns % TICK_NS, -ns % TICK_NS) <= 1 for ns in every)


@pytest.mark.parametrize(("claim", "by_nsys", "by_torch"), [("kernels == 5", 0, 4), ("kernels <= 4", 1, 1)])
def test_nsys_proves_and_torch_profiler_only_contradicts(claim: str, by_nsys: int, by_torch: int) -> None:
    for path, code in ((NSYS, by_nsys), (KINETO, by_torch)):
        said = CliRunner().invoke(app, ["assert", str(path), claim, "--range", "step"])
        assert said.exit_code == code, said.output
