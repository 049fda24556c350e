"""What ships: the list of packages is the tree's, and the wheel reports in an environment that holds nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import engines
import pytest
from aisp_prof.version import __version__
from own_repository import captured, repository
from setuptools import Distribution

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
    assert wheel.name.startswith(f"aisp_prof-{__version__}-py3-none-")
    _installed(wheel, tmp_path / "clean", "[pdf]")
    compiled = not wheel.name.endswith("-any.whl")
    assert _engine(tmp_path / "clean") == ("core" if compiled else "numpy")
    assert _tracer(tmp_path / "clean") is compiled
    _installed(_pure_wheel(tmp_path), tmp_path / "pure", beside=tmp_path / "clean")
    assert _engine(tmp_path / "pure") == "numpy"
    assert not _tracer(tmp_path / "pure")
    assert _summary(tmp_path / "pure") == _summary(tmp_path / "clean")
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


def test_a_wheel_has_the_core_where_it_compiles(tmp_path):
    """Else it is the pure one, which installs everywhere."""
    building = engines.building()
    why = building.build(tmp_path / "_core.so")
    assert (tmp_path / "_core.so").is_file() is not bool(why), why
    assert (building.compiler() is None) is (why == "no C compiler"), why


def test_a_pure_wheel_holds_no_core_of_an_earlier_build(tmp_path, monkeypatch):
    monkeypatch.setenv("AISP_PURE", "1")
    stale = tmp_path / "aisp_prof" / "profiler" / "core" / "_core.so"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"\x7fELF")
    command = engines.building().BuildWithCore(Distribution({"packages": []}))
    command.ensure_finalized()
    command.build_lib = str(tmp_path)
    command.run()
    assert not stale.exists()


def _pure_wheel(tmp_path: Path) -> Path:
    """From the same source distribution, as where there is no compiler."""
    (source,) = (tmp_path / "dist").glob("*.tar.gz")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", str(source)]
    subprocess.run(
        [*command, "-w", str(tmp_path / "any")], check=True, capture_output=True, env={**os.environ, "AISP_PURE": "1"}
    )
    (wheel,) = (tmp_path / "any").glob("*-py3-none-any.whl")
    return wheel


def _installed(wheel: Path, folder: Path, extras: str = "", beside: Path | None = None) -> None:
    """In an environment of its own, with what it requires, or with what is installed in the one named `beside`."""
    venv.create(folder)
    clean = str(folder / "bin" / "python")  # by the pip of this environment: none is unpacked for one use
    only = ["--no-deps"] if beside else []
    pip = [sys.executable, "-m", "pip", "--python", clean, "install", "--quiet", "--no-compile", *only]
    subprocess.run([*pip, f"{wheel}{extras}"], check=True, capture_output=True)
    if beside:
        (_site(folder) / "requirements.pth").write_text(
            f"{_site(beside)}\n"
        )  # read after its own, and after pip, which would find it there


def _site(folder: Path) -> Path:
    (found,) = (folder / "lib").glob("python3*/site-packages")
    return found


def _engine(folder: Path) -> str:
    asked = (
        "import aisp_prof; from aisp_prof.profiler.core.library import core; print(aisp_prof.__file__, bool(core()))"
    )
    done = subprocess.run(
        [str(folder / "bin" / "python"), "-c", asked], cwd=folder, capture_output=True, text=True, check=True
    )
    file, compiled = done.stdout.split()
    assert file == str(_site(folder) / "aisp_prof" / "__init__.py")
    return "core" if compiled == "True" else "numpy"


def _tracer(folder: Path) -> bool:
    """Whether the tracer's library came with the wheel, and of these sources."""
    asked = "from aisp_prof.profiler.tracer.library import FILE, TRACER, up_to_date; print(up_to_date(FILE, TRACER))"
    done = subprocess.run(
        [str(folder / "bin" / "python"), "-c", asked], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip() == "True"


def _summary(folder: Path) -> str:
    trace = ROOT / "tests" / "traces" / "two-gpus-node.sqlite.xz"
    command = [str(folder / "bin" / "aisp-prof"), "trace", "summary", str(trace), "--json"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
