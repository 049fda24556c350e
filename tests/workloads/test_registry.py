"""Pairs are found by where their module lies, without importing torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import aisp_prof
import pytest
from aisp_prof import workloads
from aisp_prof.errors import UsageError
from aisp_prof.workloads.bare import main
from aisp_prof.workloads.registry import find, pairs

DROPPED = """
from dataclasses import replace

from ..ch11.streams import PAIR as STREAMS
from ..pair import Pair

PAIR = Pair(replace(STREAMS.declaration, chapter="ch42", name="{name}"), STREAMS.build)
"""


def drop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str = "answer", source: str = DROPPED) -> None:
    """Put a chapter with one pair and one module that is none where workloads are looked for."""
    chapter = tmp_path / "ch42"
    chapter.mkdir()
    (chapter / "__init__.py").write_text("")
    (chapter / "answer.py").write_text(source.replace("{name}", name))
    (chapter / "demo.py").write_text("NO_PAIR = True\n")
    (tmp_path / "chx").mkdir()
    monkeypatch.setattr(workloads, "__path__", [*workloads.__path__, str(tmp_path)])
    for module in ("", ".answer", ".demo"):
        monkeypatch.delitem(sys.modules, f"aisp_prof.workloads.ch42{module}", raising=False)
    monkeypatch.setattr(workloads, "ch42", None, raising=False)


def test_streams_is_found_and_knows_its_module() -> None:
    pair = next(pair for pair in pairs() if pair.key == "ch11.streams")
    assert pair.module == "aisp_prof.workloads.ch11.streams"


@pytest.mark.parametrize("selector", ["ch11", "ch11:streams", "ch11.streams"])
def test_selectors(selector: str) -> None:
    assert "ch11.streams" in [pair.key for pair in find(selector)]


def test_a_chapter_leaves_out_what_needs_several_gpus_and_its_name_does_not() -> None:
    """`capture ch11` and `report ch11` could not succeed on a machine with one."""
    name = "ch11.distributed_streams_nccl"
    assert name not in [pair.key for pair in find("ch11")]
    assert name in [pair.key for pair in find("ch11", several_gpus=True)]
    assert [pair.key for pair in find("ch11:distributed_streams_nccl")] == [name]


@pytest.mark.parametrize(
    ("selector", "hint"),
    [
        ("ch11:stream", "ch11.streams"),
        ("streams", "ch11.streams"),
        ("ch12", "ch11"),
        ("zzz", "there are: ch09"),
        ("", "there are: ch09"),
    ],
)
def test_an_unknown_selector_says_what_comes_nearest(selector: str, hint: str) -> None:
    with pytest.raises(UsageError, match="no pair or chapter") as caught:
        find(selector)
    assert hint in caught.value.mend


def test_a_module_dropped_in_is_a_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {pair.key for pair in pairs()}
    drop(tmp_path, monkeypatch)
    assert {pair.key for pair in pairs()} - before == {"ch42.answer"}
    assert [pair.key for pair in find("ch42")] == ["ch42.answer"]


def test_a_pair_that_bears_another_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(tmp_path, monkeypatch, name="question")
    with pytest.raises(UsageError, match=r"belongs into aisp_prof.workloads.ch42.question"):
        pairs()


def test_a_declaration_alone_is_no_pair_and_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(tmp_path, monkeypatch, source="from ..ch11.streams import PAIR as STREAMS\n\nPAIR = STREAMS.declaration\n")
    with pytest.raises(UsageError, match=r"PAIR of aisp_prof.workloads.ch42.answer is no Pair but a Declaration"):
        pairs()


def test_the_pair_that_the_docs_show_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As docs/pairs.md has it, but for its place."""
    blocks = (Path(__file__).parents[2] / "docs" / "pairs.md").read_text().split("```python\n")[1:]
    (shown,) = (block.partition("```")[0] for block in blocks if "PAIR = Pair(" in block)
    moved = shown.replace('chapter="ch09"', 'chapter="ch42"').replace('name="double_add"', 'name="answer"')
    drop(tmp_path, monkeypatch, source=moved)
    (pair,) = find("ch42")
    assert main(pair, ["--device", "cpu", "--size", "small"]) == 0
    printed = capsys.readouterr().out
    assert "outputs: valid" in printed
    assert "permuted rejected" in printed


def test_listing_imports_nothing_heavy() -> None:
    code = (
        "import sys; from aisp_prof.workloads.registry import pairs; assert pairs();"
        "print([m for m in ('torch', 'triton', 'nvtx', 'numpy', 'pandas') if m in sys.modules])"
    )
    root = Path(aisp_prof.__file__).parent / ".pythonpath"
    env = {**os.environ, "PYTHONPATH": str(root), "PYTHONSAFEPATH": "1"}
    found = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
