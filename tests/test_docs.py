"""What README.md and docs/ tell a reader to type or to open is there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aisp_prof.cli import app
from aisp_prof.profiler.store.captures import shipped_store
from typer.main import get_command

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
EVERYTHING = "\n".join(page.read_text("utf-8") for page in PAGES)


def section(title: str) -> str:
    return (ROOT / "docs" / "json.md").read_text("utf-8").partition(f"## `{title}`\n")[2].partition("\n## ")[0]


def with_json(command: Any, name: str = "") -> Iterator[str]:
    """The names of all commands that take --json."""
    for word, below in getattr(command, "commands", {}).items():
        yield from with_json(below, f"{name} {word}".strip())
    if any("--json" in parameter.opts for parameter in command.params):
        yield name


def test_what_every_command_prints_as_json_is_documented() -> None:
    names = list(with_json(get_command(app)))
    assert {"report", "list", "trace ranges"} <= set(names)
    assert [name for name in names if not section(name)] == []


def test_the_evidence_of_a_report_is_documented(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "aisp_prof", "report", "--stage", "ch20:memory_standard", "--format", "html"]
    done = subprocess.run(
        [*command, "--json"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT / ".pythonpath")},
        capture_output=True,
        check=True,
    )
    data = json.loads(done.stdout)
    (proof,) = data["proofs"]
    records = [data, proof, proof["speedup"], proof["claims"][0], proof["baseline"], proof["steps"][0]]
    told = section("report")
    assert [f for record in records for f in record if f"`{f}`" not in told] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_captures_that_are_named_ship_and_are_one() -> None:
    globs = re.findall(r"(captures/ch\S*-2\S+?)/", EVERYTHING)
    assert globs
    assert {glob: len(list(ROOT.glob(glob))) for glob in globs} == dict.fromkeys(globs, 1)
    ids = [capture.id for capture in shipped_store().captures()]
    named = set(re.findall(r"--capture (ch\S+)", EVERYTHING)) | set(
        re.findall(r"`(ch\d\d\.\w+-2\d{7}T\w+-\w+)`", EVERYTHING)
    )
    assert len(named) > 1
    assert {name: sum(id_.startswith(name) for id_ in ids) for name in named} == dict.fromkeys(named, 1)


def test_files_that_code_refers_to_exist() -> None:
    code = [
        path
        for room in ("cli", "profiler", "reports", "workloads", "kernels", "testing")
        for path in (ROOT / room).rglob("*.py")
    ]
    texts = [path.read_text("utf-8") for path in (*code, *ROOT.glob("*.py"), ROOT / "action.yml")]
    pages = {name for text in texts for name in re.findall(r"docs/[\w-]+\.md", text)}
    assert "docs/metrics.md" in pages
    assert sorted(name for name in pages if not (ROOT / name).exists()) == []
