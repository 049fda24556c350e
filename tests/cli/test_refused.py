"""A capture that cannot be read or judged is named and refused; the rest of its stage is judged all the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aisp_prof.profiler.store.captures import shipped_store

Run = Callable[..., tuple[int, str, str]]
GOOD, HOSTILE = "ch11.gemm_streams", "ch11.streams"


def no_claim(data: dict[str, Any]) -> None:
    data["declaration"]["claims"] = ["faster!"]


def no_time(data: dict[str, Any]) -> None:
    data["runs"]["untraced"]["iterations"][0]["event_ns"] = 0


@pytest.fixture(params=[no_claim, no_time, None], ids=["claim", "time", "json"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with a good capture of one pair and a hostile one of another."""
    folder = tmp_path / "captures"
    for pair in (GOOD, HOSTILE):
        capture = shipped_store().newest(pair)
        assert capture is not None
        target = folder / capture.id
        target.mkdir(parents=True)
        for path in capture.folder.iterdir():
            (target / path.name).symlink_to(path) if path.suffix == ".xz" else None
        data = json.loads((capture.folder / "manifest.json").read_text("utf-8"))
        data["files"] = {}
        data["runs"] = {"untraced": data["runs"]["untraced"]}
        data["declaration"]["claims"] = ["speedup >= 1.5"]
        if pair == HOSTILE and request.param:
            request.param(data)
        text = json.dumps(data) if request.param or pair == GOOD else "{"
        (target / "manifest.json").write_text(text, encoding="utf-8")
    return folder


def test_compare_names_it_and_goes_on(run: Run, stage: Path) -> None:
    code, out, err = run("compare", "ch11", "--examples", "streams,gemm_streams", "--captures", stage)
    assert (code, err) == (4, "")
    (line,) = (line for line in out.splitlines() if "REFUSED" in line)
    assert line.startswith(HOSTILE)
    assert "proven" in out.lower()
    code, out, _ = run("compare", "ch11", "--examples", "streams,gemm_streams", "--captures", stage, "--json")
    data = json.loads(out)
    assert (code, list(data["refused"])) == (4, [HOSTILE])
    assert {row["pair"] for row in data["rows"]} == {GOOD}


def test_report_writes_the_others(run: Run, stage: Path, tmp_path: Path) -> None:
    code, out, err = run("report", "--stage", "ch11", "--captures", stage, "--format", "html", "--out", tmp_path)
    assert (code, err) == (4, "")
    assert [line.split()[:2] for line in out.splitlines() if "REFUSED" in line] == [[HOSTILE, "REFUSED"]]
    page = (tmp_path / "ch11.html").read_text("utf-8")
    assert "ch11.gemm_streams" in page


def test_expect_check_is_unproven_of_it(run: Run, stage: Path) -> None:
    code, out, err = run("expect", "check", "ch11", "--captures", stage, "--json")
    rows = {row["pair"]: row for row in json.loads(out)["rows"]}
    assert (code, err, rows[HOSTILE]["status"]) == (4, "", "unproven")
    assert "refused" in rows[HOSTILE]["reasons"][0]
    assert rows[GOOD]["capture"]


def test_where_nothing_else_is_left_the_refusal_is_the_answer(run: Run, stage: Path) -> None:
    code, out, err = run("compare", "ch11:streams", "--captures", stage)
    assert code in (2, 4)
    assert (out, "Traceback" in err) == ("", False)
    assert HOSTILE in err


@pytest.mark.parametrize("stage", [no_claim, None], ids=["claim", "json"], indirect=True)
def test_history_names_it_and_shows_the_others(run: Run, stage: Path) -> None:
    code, out, err = run("history", "ch11:streams", "--captures", stage)
    assert (code, err) == (4, "")
    assert len([line for line in out.splitlines() if line.startswith("REFUSED") and HOSTILE in line]) == 1
    assert "ch11.streams: " in out
    code, out, _ = run("history", "ch11:streams", "--captures", stage, "--json")
    data = json.loads(out)
    assert (code, list(data["refused"])) == (4, [HOSTILE])
    assert data["rows"][0]["captures"]


@pytest.mark.parametrize("stage", [no_claim], ids=["claim"], indirect=True)
def test_update_refuses_its_pair_and_plans_the_others(run: Run, stage: Path) -> None:
    code, out, err = run("expect", "update", "ch11", "--reason", "a new driver", "--captures", stage, "--json")
    rows = {row["pair"]: row for row in json.loads(out)["rows"]}
    assert (code, err) == (4, "")
    assert rows[HOSTILE]["refused"].startswith("a capture cannot be judged: ")
    assert len(rows) > 5
