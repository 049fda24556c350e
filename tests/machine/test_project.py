"""`[tool.aisp-prof]` of the nearest pyproject.toml: found from below, and refused where it says what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest
from aisp_prof.errors import UsageError
from aisp_prof.machine.project import Project, find_project


def test_the_nearest_table_counts_and_a_pyproject_without_one_does_not(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.aisp-prof]\npairs = ["a.b", "c/*.py"]\nexpectations = "kept"\n')
    below = tmp_path / "package" / "deep"
    below.mkdir(parents=True)
    (tmp_path / "package" / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    assert find_project(below) == Project(tmp_path, ("a.b", "c/*.py"), tmp_path / "kept")


def test_an_empty_table_is_a_project_and_no_table_is_none(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.aisp-prof]\n")
    assert find_project(tmp_path) == Project(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.other]\n")
    assert find_project(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tool.aisp-prof]\npair = []\n", "has no 'pair'"),
        ('[tool.aisp-prof]\npairs = "a"\n', "pairs is a list"),
        ("[tool.aisp-prof]\npairs = [1]\n", "pairs is a list"),
        ("[tool.aisp-prof]\nexpectations = ['a']\n", "expectations is the name of a folder"),
        ("[tool]\naisp-prof = 3\n", "is no table"),
        ("[tool.aisp-prof\n", "pyproject.toml: "),
        ("tool = 3\n[a]\nb = '\xff\n", "pyproject.toml: "),
    ],
)
def test_what_the_table_may_not_say(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text, "latin-1")
    with pytest.raises(UsageError, match=said):
        find_project(tmp_path)
