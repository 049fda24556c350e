"""A command reads each thing once, and refuses what it can refuse before it reads anything."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aisp_prof import cli
from aisp_prof.profiler.expect import files as expectations
from aisp_prof.profiler.proof import prove
from aisp_prof.profiler.store import captures
from aisp_prof.profiler.trace.source import file as traces

Run = Callable[..., tuple[int, str]]
PAIRS = pytest.mark.parametrize(("pair", "files"), [("ch20:pipeline_sequential", 1), ("ch10:matmul", 2)])
"""One that is traced alone, and one whose kernels are joined with counters, for which its trace is asked again."""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    def typed(*words: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["aisp-prof", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), capsys.readouterr().err

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AISP_CAPTURES", raising=False)
    return typed


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each thing was read."""
    found: Counter[str] = Counter()
    expectations._decoded.cache_clear()
    for where, name in (
        (prove, "read_trace"),
        (traces, "unpack"),
        (captures, "file_facts"),
        (captures, "decode"),
        (expectations, "parsed"),
    ):
        whole = getattr(where, name)

        def counted(*given: Any, name: str = name, whole: Any = whole, **more: Any) -> Any:
            found[name] += 1
            return whole(*given, **more)

        monkeypatch.setattr(where, name, counted)
    return found


@PAIRS
def test_a_report_reads_manifest_trace_hashes_and_expectations_once(
    run: Run, times: Counter[str], pair: str, files: int
) -> None:
    assert run("report", pair, "--format", "html")[0] == 0
    assert times == {"decode": 1, "file_facts": files, "read_trace": 1, "unpack": 1, "parsed": 1}


@PAIRS
def test_verify_unpacks_and_reads_each_trace_once(run: Run, times: Counter[str], pair: str, files: int) -> None:
    assert run("report", pair, "--format", "html", "--bundle", "b.zip")[0] == 0
    times.clear()
    assert run("verify", "b.zip")[0] == 0
    assert (times["read_trace"], times["unpack"]) == (1, 0)  # what is unpacked to be checked is what is read


def test_list_reads_each_manifest_once(run: Run, times: Counter[str]) -> None:
    shipped = len(captures.shipped_store().captures())
    times.clear()
    assert run("list")[0] == 0
    assert times == {"decode": shipped}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--lang", "xx"), 2, "no page in language 'xx'"),
        (("--format", "doc"), 2, "no report format 'doc'"),
        (("--format", "html", "--out", "file"), 3, "file is no folder"),
        (("--format", "html", "--out", "file/below"), 3, "file is no folder"),
        (("--format", "html", "--bundle", "file/b.zip"), 3, "file is no folder"),
    ],
    ids=str,
)
def test_what_cannot_be_written_is_refused_before_anything_is_read(
    run: Run, times: Counter[str], tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    (tmp_path / "file").write_text("")
    ended, error = run("report", "ch20:pipeline_sequential", *words)
    assert (ended, times) == (code, {})
    assert said in error


def test_a_folder_that_is_not_there_yet_is_made(run: Run, tmp_path: Path) -> None:
    assert run("report", "ch20:pipeline_sequential", "--format", "html", "--out", "new/below")[0] == 0
    assert [path.name for path in (tmp_path / "new" / "below").iterdir()] == ["ch20-pipeline_sequential.html"]
