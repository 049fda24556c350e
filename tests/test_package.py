"""What ships: the list of packages is the tree's, and the wheel reports in an environment that holds nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest
from aisp_prof.version import __version__
from own_repository import captured, repository

ROOT = Path(__file__).parents[1]
NOT_SHIPPED = {"tests", "benchmarks", "docs", "scripts", "build", "dist"}


def test_every_folder_with_code_is_in_the_list():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {"aisp_prof"}
    for init in ROOT.rglob("__init__.py"):
        parts = init.parent.relative_to(ROOT).parts
        if parts and parts[0] not in NOT_SHIPPED and not parts[0].startswith("."):
            found.add(".".join(("aisp_prof", *parts)))
    assert sorted(listed) == sorted(found)


def test_nothing_at_the_root_ships_by_mistake():
    assert {path.name for path in ROOT.glob("*.py")} == {
        "__init__.py",
        "__main__.py",
        "declaration.py",
        "errors.py",
        "version.py",
    }


@pytest.mark.parametrize("name", ["aisp-prof", "aisp_prof"])
def test_the_tests_run_in_a_clone_of_any_name(tmp_path, name):
    """pytest took a root that is a package for part of the tests, and could not import it where its name was no identifier."""
    clone = tmp_path / name
    (clone / "tests").mkdir(parents=True)
    for file in ("pyproject.toml", "__init__.py", "errors.py", "version.py"):
        shutil.copy(ROOT / file, clone / file)
    (clone / "tests" / "test_one.py").write_text("def test_one():\n    pass\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q"]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


OWN = (
    ("list", 0, "fused.four_streams"),
    ("check", 2, "ModuleNotFoundError: No module named 'torch' (bench/norms.py:"),
    ("report bench/fused.py --format html --bundle proof.zip", 0, "PROVEN"),
    ("verify proof.zip", 0, "1 files that its pairs are made of are here as they were"),
    ("expect update fused --reason first --write", 0, "written"),
    ("expect check fused", 0, "MET"),
    ("history fused", 0, "fused.four_streams"),
)
"""In a repository of one's own, without PyTorch and without a GPU, one after the other."""


@pytest.mark.timeout(600)
def test_the_wheel_reports_in_a_clean_environment(tmp_path):
    unbuilt = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "aisp-captures")
    shutil.copytree(ROOT, tmp_path / "source", ignore=unbuilt)
    # by way of the source distribution, so that a file missing from it is noticed too
    build = [sys.executable, "-m", "build", "--outdir", str(tmp_path / "dist"), str(tmp_path / "source")]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    assert wheel.name.startswith(f"aisp_prof-{__version__}-")
    venv.create(tmp_path / "clean")
    clean = str(tmp_path / "clean" / "bin" / "python")  # by the pip of this environment: none is unpacked for one use
    pip = [sys.executable, "-m", "pip", "--python", clean, "install", "--quiet", "--no-compile", f"{wheel}[pdf]"]
    subprocess.run(pip, check=True, capture_output=True)
    command = [str(tmp_path / "clean" / "bin" / "aisp-prof"), "report", "--stage", "ch11:streams"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "PROVEN" in done.stdout
    assert (tmp_path / "ch11-streams.html").stat().st_size > 100_000
    assert (tmp_path / "ch11-streams.pdf").read_bytes().startswith(b"%PDF")
    pairs_of_ones_own(command[0], tmp_path / "mine")


def pairs_of_ones_own(program: str, mine: Path) -> None:
    captured(repository(mine))
    subprocess.run([program, "new", "pair", "bench/norms.py"], cwd=mine, check=True)
    for words, code, said in OWN:
        done = subprocess.run([program, *words.split()], cwd=mine, capture_output=True, text=True, check=False)
        assert (words, done.returncode) == (words, code), done.stdout + done.stderr
        assert said in done.stdout + done.stderr, words
    assert [path.name for path in (mine / "expectations" / "h200").iterdir()] == ["fused.json"]
