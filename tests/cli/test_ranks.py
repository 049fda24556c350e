"""`aisp-prof ranks …` and `assert --ranks` as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import aisp_prof
import pytest
from aisp_prof.cli import app
from typer.testing import CliRunner

TRACES = Path(__file__).parents[1] / "traces"
SLOW, EVEN = (str(TRACES / "ranks" / f"{name}-rank*.sqlite.xz") for name in ("slow", "even"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AISP_CACHE", str(tmp_path / "cache"))


def output(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.stdout


def test_the_summary_of_two_processes() -> None:
    data = json.loads(output("ranks", "summary", str(TRACES / "two-gpus-node.sqlite.xz"), "--json"))
    assert data["schema"] == 1
    assert [one["pid"] for one in data["ranks"]] == [641, 642]
    assert (data["collectives"]["matched"], data["collectives"]["left"]) == (6, 0)
    assert data["collectives"]["shortest"] == [271392, 247136, 214144, 246432, 245824, 256512]
    assert [one["comm"] for one in data["ranks"]] == [9341251, 1481440]
    assert [one["wait_low"] for one in data["ranks"]] == [7859811, 0]


def test_the_slow_rank_is_named_in_words() -> None:
    said = output("ranks", "summary", SLOW)
    assert "held the others up most: rank 1" in said
    assert "(proven)" in said


def test_collectives_are_listed_the_longest_wait_first() -> None:
    said = output("ranks", "collectives", SLOW, "--limit", "3").splitlines()
    assert [line.split()[0] for line in said[3:6]] == ["AllReduce"] * 3
    assert "96 more" in said[-1]
    data = json.loads(output("ranks", "collectives", SLOW, "--json"))
    assert len(data["rows"]) == 99
    assert [row["at"] for row in data["rows"]] == sorted(row["at"] for row in data["rows"])
    assert {row["last"] for row in data["rows"] if row["last_proven"]} == {"rank 0", "rank 1"}


def test_a_difference_has_bounds() -> None:
    data = json.loads(output("ranks", "diff", EVEN, SLOW, "--json"))
    first, second = data["ranks"]
    assert first["wait"]["low"] == first["wait"]["after_low"] - first["wait"]["before_high"] > 15_000_000
    assert first["wait"]["proven"]
    assert second["late"]["proven"]
    assert not second["wait"]["proven"]
    same = json.loads(output("ranks", "diff", SLOW, SLOW, "--json"))
    assert not any(one["wait"]["proven"] or one["comm"]["low"] for one in same["ranks"])
    assert "rank 0" in output("ranks", "diff", EVEN, SLOW)


def test_claims_on_ranks_decide_the_exit_code() -> None:
    said = output("assert", "--ranks", SLOW, "every rank hidden(comm) >= 0.8", "comm_wait <= 2ms", code=1)
    assert said.startswith("REFUTED  2 ranks")
    data = json.loads(output("assert", "--ranks", SLOW, "clock_error <= 20us", "--json"))
    assert (data["verdict"], data["claims"][0]["claim"]["high"]) == ("proven", 7777)
    assert output("assert", "--ranks", SLOW, "comm_wait <= 23ms", code=4).startswith("UNPROVEN")


def test_slips_are_usage_errors(tmp_path: Path) -> None:
    for words in (
        ("ranks", "summary", str(tmp_path / "none*")),
        ("ranks", "summary", SLOW, "--rank-pattern", "("),
        ("ranks", "summary", SLOW, "--rank-pattern", "rank"),
        ("ranks", "summary", SLOW, "--workers", "1", "--scheduler", "tcp://x:1"),
        ("assert", "--ranks", SLOW),
        ("assert", "--ranks", SLOW, "comm_wait <= 2ms", "--junit", "x.xml"),
        ("assert",),
    ):
        done = CliRunner().invoke(app, list(words))
        assert isinstance(done.exception, aisp_prof.UsageError), (words, done.output)


def test_from_python() -> None:
    ranks = aisp_prof.open_ranks(SLOW)
    assert ranks.summary().latest == "rank 1"
    assert ranks.check("clock_error <= 20us").verdict.value == "proven"
    assert len(ranks.collectives().rows) == 99
    assert ranks.diff(aisp_prof.open_ranks(EVEN)).latest_after == "rank 0"
