"""`assert` of the traces of two runs, the case of a pull request: what may be said of their times is less than within one."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from aisp_prof.profiler.assertions.check import Question, check
from aisp_prof.profiler.judging.apart import SESSIONS
from aisp_prof.profiler.proof.sessions import Known
from aisp_prof.profiler.trace.reader import read_trace
from as_typed import aisp
from own_trace import median_by_hand, own_trace
from pair_trace import US, serial
from trace_builder import Process

STEP = ("--range", "*step*")


def slower(by_us: int) -> Any:
    """As `serial`, its last copy longer by so much."""

    def run(p: Process, at: int, wobble: int) -> int:
        return serial(p, at, wobble + by_us * US // 4)

    return run


@pytest.fixture
def before(tmp_path: Path) -> Path:
    return own_trace(tmp_path / "before.sqlite", "A" * 12)


def answered(before: Path, after: Path, *words: str) -> tuple[int, dict[str, Any]]:
    done = aisp("assert", before, after, *words, "--json", cwd=before.parent)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_a_large_difference_is_proven_and_says_that_there_were_two_sessions(before: Path, tmp_path: Path) -> None:
    after = own_trace(tmp_path / "after.sqlite", "B" * 12)
    code, data = answered(before, after, "speedup >= 1.05", *STEP)
    claim = data["claims"][0]["claim"]
    by_hand = _ratio(before, after)
    assert (code, data["verdict"], data["after"]) == (0, "proven", str(after))
    assert claim["measured"] == pytest.approx(by_hand)
    assert claim["low"] < by_hand / (1 + SESSIONS) * 1.001
    assert claim["high"] > by_hand * (1 + SESSIONS) * 0.999
    assert data["sessions"][0]["code"] == "separate_sessions"


def _ratio(before: Path, after: Path) -> float:
    return median_by_hand(before, "*step*") / median_by_hand(after, "*step*")


def test_what_sessions_differ_by_anyway_is_unproven_and_never_refuted(before: Path, tmp_path: Path) -> None:
    """Within one session, 7 % would be proven."""
    after = own_trace(tmp_path / "after.sqlite", "A" * 12, old=slower(80))
    code, data = answered(after, before, "speedup >= 1.05", *STEP)
    assert 1.05 < _ratio(after, before) < 1.05 * (1 + SESSIONS)
    assert (code, data["claims"][0]["claim"]["reasons"][0]["code"]) == (4, "interval_straddles")
    assert [reason["code"] for reason in data["claims"][0]["claim"]["reasons"]] == ["interval_straddles"]
    assert answered(before, after, "speedup >= 0.97", *STEP)[0] == 4


def test_a_large_loss_is_refuted(before: Path, tmp_path: Path) -> None:
    after = own_trace(tmp_path / "after.sqlite", "A" * 12, old=slower(400))
    assert answered(before, after, "speedup >= 1", *STEP)[0] == 1


def test_structure_is_the_second_runs_and_is_compared_exactly(before: Path, tmp_path: Path) -> None:
    after = own_trace(tmp_path / "after.sqlite", "B" * 12)
    code, data = answered(before, after, "kernels_per_iteration == 4", "kernels <= baseline.kernels", *STEP)
    assert (code, [one["claim"]["variant"] for one in data["claims"]]) == (0, ["optimized", "optimized"])
    assert answered(before, after, "kernels <= baseline.kernels")[0] == 0  # the whole traces
    assert answered(before, after, "baseline.hidden(h2d, d2h) > 0", *STEP)[0] == 1


def test_a_time_of_one_is_not_held_against_one_of_the_other(before: Path, tmp_path: Path) -> None:
    after = own_trace(tmp_path / "after.sqlite", "B" * 12)
    code, data = answered(before, after, "span <= 0.9 * baseline.span", *STEP)
    assert (code, data["claims"][0]["claim"]["reasons"][0]["code"]) == (4, "times_of_both")
    assert answered(before, after, "span <= 10 ms", *STEP)[0] == 0


def test_another_gpu_is_not_comparable(before: Path, tmp_path: Path) -> None:
    after = own_trace(tmp_path / "after.sqlite", "B" * 12, gpu="ffffffff-b9e3")
    done = aisp("assert", before, after, "speedup >= 1.05", "kernels == 4", *STEP, cwd=tmp_path)
    assert done.returncode == 4
    assert "The two sessions differ in gpu" in done.stdout
    assert "✓ kernels == 4" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("speedup >= 1.05", "--range", "step=*step*", "--range", "it=*"),
            "the ranges are called baseline and optimized",
        ),
        (("speeedup >= 1.05", *STEP), "speeedup"),
        ((*STEP,), "nothing is asserted"),
    ],
)
def test_a_slip_is_answered(before: Path, words: tuple[str, ...], said: str) -> None:
    done = aisp("assert", before, before, *words, cwd=before.parent)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr


def with_driver(trace: Path, version: str) -> Path:
    """As every export of nsys tells it, among the environment."""
    with sqlite3.connect(trace) as database:
        database.execute("create table TARGET_INFO_SYSTEM_ENV (name text, value text)")
        database.execute("insert into TARGET_INFO_SYSTEM_ENV values ('NvDriverVersion', ?)", (version,))
    return trace


def test_another_driver_is_not_comparable(before: Path, tmp_path: Path) -> None:
    after = with_driver(own_trace(tmp_path / "after.sqlite", "B" * 12), "590.2")
    code, data = answered(with_driver(before, "580.1"), after, "speedup >= 1.05", *STEP)
    (reason,) = data["claims"][0]["claim"]["reasons"]
    assert (code, reason["code"]) == (4, "not_comparable")
    assert reason["values"] == {"what": "driver", "before": "580.1", "after": "590.2"}


@pytest.mark.parametrize(("clock", "verdict"), [(1980.0, "proven"), (1900.0, "proven"), (1500.0, "unproven")])
def test_clocks_that_were_sampled_are_compared(before: Path, tmp_path: Path, clock: float, verdict: str) -> None:
    after = own_trace(tmp_path / "after.sqlite", "B" * 12)
    question = Question(("speedup >= 1.05",), {"range": "*step*"}).of_two_runs()
    known = Known({}, {"baseline": 1980.0, "optimized": clock})
    assert check(read_trace(before), question, read_trace(after), known).verdict == verdict
