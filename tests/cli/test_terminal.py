"""What a person at a terminal sees, and a program that reads JSON: colours, width, progress, failures, ids."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from aisp_prof.profiler.store.captures import shipped_store
from aisp_prof.reports.terminal.colour import coloured

Run = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parents[2]
GREEN, RED = "\x1b[32m", "\x1b[31m"


def on_a_terminal(*arguments: str, cwd: Path, columns: int = 80, **more: str) -> str:
    """All that appears on a terminal of so many columns while a command runs."""
    ours, theirs = pty.openpty()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / ".pythonpath"),
        "TERM": "xterm",
        "COLUMNS": str(columns),
        **more,
    }
    environment.pop("NO_COLOR", None) if "NO_COLOR" not in more else None
    command = [sys.executable, "-P", "-m", "aisp_prof", *arguments]
    with subprocess.Popen(command, cwd=cwd, env=environment, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        while True:
            ended = process.poll() is not None  # asked first: what it wrote at last is there by then
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    seen += os.read(ours, 65536)
                except OSError:  # the other end is closed
                    break
            elif ended:
                break
    os.close(ours)
    return seen.decode("utf-8").replace("\r\n", "\n")


@pytest.fixture(scope="module")
def streams() -> str:
    return next(str(one.trace_path) for one in shipped_store().captures("ch11.streams"))


@pytest.mark.parametrize(("limit", "colour", "word"), [("100%", RED, "REFUTED"), ("1%", GREEN, "PROVEN")])
def test_verdicts_have_colours_on_a_terminal(tmp_path: Path, streams: str, limit: str, colour: str, word: str) -> None:
    asked = ("assert", streams, f"hidden(h2d, d2h) >= {limit}", "--range", "ch11.streams.optimized.measure")
    seen = on_a_terminal(*asked, cwd=tmp_path)
    assert f"{colour}{word}" in seen
    assert "\x1b" not in on_a_terminal(*asked, cwd=tmp_path, NO_COLOR="1")
    assert "\x1b" not in on_a_terminal(*asked, cwd=tmp_path, TERM="dumb")


def test_nothing_is_coloured_in_a_pipe(run: Run, streams: str) -> None:
    assert "\x1b" not in run("assert", streams, "hidden(h2d, d2h) >= 100%", "--range", "*.optimized.measure")[1]


@pytest.mark.parametrize("line", ["a_kernel_PROVEN  3", "  PROVEN_kernel  3", "not proven", "range  3 ✓ proven it"])
def test_a_name_that_looks_like_a_verdict_is_none(line: str) -> None:
    assert coloured(line) == line


def test_a_table_fits_the_terminal_and_names_its_rows_whole(tmp_path: Path) -> None:
    seen = on_a_terminal("list", "ch11", cwd=tmp_path, columns=90)
    lines = seen.splitlines()
    assert max(map(len, lines)) <= 90
    assert "…" in seen
    assert any(line.startswith("ch11.distributed_streams_nccl ") for line in lines)
    wide = on_a_terminal("list", "ch11", cwd=tmp_path, columns=300)
    assert "…" not in wide


def test_a_report_says_what_it_does(tmp_path: Path) -> None:
    seen = on_a_terminal("report", "ch11:streams", "--format", "html", cwd=tmp_path)
    assert re.search(r"judging ch11\.streams-\d+T", seen)
    assert seen.index("judging") < seen.index("PROVEN")


def test_list_names_captures_where_it_is_told_where_they_are(run: Run) -> None:
    code, out, _ = run("list", "ch11:streams", "--captures", str(shipped_store().folder))
    ids = [one.id for one in shipped_store().captures("ch11.streams")]
    assert (code, [line.strip() for line in out.splitlines()[2:]]) == (0, ids)
    assert ids[0] not in run("list", "ch11:streams")[1]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("report", "ch11:streams", "--captures", "none", "--json"), 4, "no capture of ch11.streams"),
        (("compare", "ch11", "--captures", "none", "--json"), 4, "no capture of"),
        (("roofline", "ch09.nothing", "--captures", "none", "--json"), 2, "no capture"),
        (("trace", "summary", "none.sqlite", "--json"), 2, "none.sqlite"),
        (("assert", "none.sqlite", "hiden(copy) >= 1", "--json"), 2, "hiden"),
    ],
)
def test_json_is_printed_where_there_is_no_answer(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    found, out, err = run(*arguments)
    data = json.loads(out)
    assert (found, data["exit_code"], data["schema"]) == (code, code, 1)
    assert words in data["error"]
    assert data["error"].splitlines()[0] in err.replace("\n", " ") or words in err


def test_a_report_whose_files_cannot_be_written_prints_one_document(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ch11-streams.html").mkdir()  # a folder stands where the page should be
    code, out, _ = run("report", "ch11:streams", "--format", "html", "--json")
    assert code in (2, 3)
    assert json.loads(out)["schema"] == 1


def test_scrub_finds_captures_that_came_with_aisp_prof(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = shipped_store().captures("ch09.triton")[0]
    code, _, err = run("scrub", shipped.id, "-o", "copy")
    assert (code, "is scrubbed already" in err) == (2, True)  # found, and of no further use
    assert run("scrub", shipped.id, "--captures", str(tmp_path), "-o", "other")[0] == 2


@pytest.mark.parametrize("pair", ["ch09.memory_bound", "ch09:memory_bound"])
def test_roofline_of_a_pair_is_of_its_newest_capture(run: Run, pair: str) -> None:
    """Help names the pair as the example, and two of its captures ship."""
    newest, *older = (one.id for one in shipped_store().captures("ch09.memory_bound"))
    code, out, err = run("roofline", pair)
    assert (code, older != [], err) == (0, True, "")
    assert newest in out


def test_doctor_begins_with_what_one_can_do(run: Run) -> None:
    code, out, _ = run("doctor")
    lines = out.splitlines()
    assert (code, lines[0]) == (0, "On this machine one can:")
    assert lines[1].startswith("✓ read any trace")
    data = json.loads(run("doctor", "--json")[1])
    lacking = {row["name"] for row in data["rows"] if row["status"] != "ok"}
    for one in data["can"]:
        assert set(one["lacks"]) <= lacking
        assert ("✗ not " if one["lacks"] else "✓ ") + one["what"] in out
    assert "optional" in out
