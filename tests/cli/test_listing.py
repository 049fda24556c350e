"""`aisp-prof list` of what was captured besides the pairs, and with verdicts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]
PROGRAMS = Path(__file__).parents[1] / "traces" / "programs"
ID = "program.train_both-20261130T122713Z-4c0209"


def test_programs_follow_the_pairs(run: Run) -> None:
    code, out, _ = run("list", "--captures", str(PROGRAMS), "--json")
    rows = json.loads(out)["rows"]
    assert (code, rows[-1]["pair"], rows[-1]["captures"]) == (0, "program.train_both", [ID])
    assert rows[0]["pair"].startswith("ch09.")
    assert "verdict" not in rows[0]


@pytest.mark.parametrize("selector", ["program", "program:train_both"])
def test_a_program_is_listed_by_its_name_with_what_its_newest_capture_proves(run: Run, selector: str) -> None:
    code, out, _ = run("list", selector, "--captures", str(PROGRAMS), "--verdicts")
    head, line, name = out.splitlines()
    assert (code, head.split()[:4], line.split()[:4]) == (
        0,
        ["pair", "verdict", "speedup", "needs"],
        ["program.train_both", "✓", "proven", "1.25×"],
    )
    assert name.strip() == ID
    code, out, _ = run("list", selector, "--captures", str(PROGRAMS), "--verdicts", "--json")
    (row,) = json.loads(out)["rows"]
    assert (row["verdict"], row["refused"], round(row["speedup"], 2)) == ("proven", "", 1.25)


def test_a_pair_that_claims_no_gain_is_not_listed_as_a_win(run: Run) -> None:
    code, out, _ = run("list", "ch09:triton", "--verdicts")
    line = next(line for line in out.splitlines() if line.startswith("ch09.triton "))
    assert (code, "✓ not slower, as claimed  1.02×" in line) == (0, True), line


def test_what_cannot_be_judged_is_named_and_not_called_proven(run: Run, tmp_path: Path) -> None:
    shutil.copytree(PROGRAMS / ID, tmp_path / ID)
    (trace,) = (tmp_path / ID).glob("trace.sqlite*")
    trace.write_bytes(trace.read_bytes()[:-1])
    code, out, _ = run("list", "program", "--captures", str(tmp_path), "--verdicts")
    assert code == 0
    assert "proven" not in out
    assert f"program.train_both  REFUSED  {ID}: " in out


def test_a_program_that_was_never_captured_is_no_pair_either(run: Run) -> None:
    code, _, err = run("list", "program:other", "--captures", str(PROGRAMS))
    assert (code, "program:other" in err) == (2, True)


def test_chapters_stand_apart_and_are_chosen_by_either_word(run: Run) -> None:
    _, out, _ = run("list")
    groups = [{line.partition(".")[0] for line in part.splitlines()} for part in out.partition("\n")[2].split("\n\n")]
    assert [len(one) for one in groups] == [1] * len(groups)
    assert {"ch09"} in groups
    assert run("list", "--chapter", "ch09")[1] == run("list", "ch09")[1] != out
    assert run("list", "ch09", "--chapter", "ch09")[0] == 2
