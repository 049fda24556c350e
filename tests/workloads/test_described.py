"""Pairs outside the package are found by children that import them; what a module does to its process harms no other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from aisp_prof.errors import UsageError
from aisp_prof.workloads import described
from aisp_prof.workloads.registry import find, known, own_pairs
from own_repository import KEY, PAIR, PYPROJECT, repository


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return repository(tmp_path)


def described_here() -> tuple[list[str], dict[str, str]]:
    """The keys of the pairs that are found, and why other modules have none."""
    found = own_pairs()
    return [pair.key for pair in found.pairs], {one.place: one.why for one in found.broken}


def keys() -> list[str]:
    return described_here()[0]


def why() -> dict[str, str]:
    return described_here()[1]


def test_no_module_of_the_users_is_imported_here(repo: Path) -> None:
    before = set(sys.modules)
    assert keys() == [KEY]
    assert known().pairs[-1].key == KEY
    assert {name for name in set(sys.modules) - before if not name.startswith("aisp_prof.")} & {
        "fused",
        "bench",
    } == set()
    assert str(repo) not in sys.path


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise SystemExit(0)", "SystemExit: 0 (bench/bad.py:1)"),
        ("raise SystemExit", "SystemExit (bench/bad.py:1)"),
        ("1 / 0", "ZeroDivisionError: division by zero (bench/bad.py:1)"),
        ("def (", "SyntaxError: invalid syntax (bad.py, line 1) (bench/bad.py:1)"),
        ("import os; print('so long', flush=True); os._exit(0)", "ended the process with exit code 0: so long"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "ended the process with exit code 137"),
        ("import os; os.abort()", "ended the process with exit code 134"),
        ("PAIR = 3", "PAIR of bad is no Pair but a int"),
        (PAIR.replace("def reference", "def other"), "it has no method reference"),
    ],
    ids=["exit", "bare exit", "raises", "syntax", "ends", "killed", "aborts", "no pair", "no reference"],
)
def test_a_module_that_goes_wrong_is_named(repo: Path, body: str, said: str) -> None:
    repository(repo, bench__bad=body, bench__zlast=PAIR)
    found, broken = described_here()
    assert found == [KEY, "zlast.four_streams"]
    assert said in broken["bench/bad.py"]


def test_a_module_that_never_returns_is_named(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(described, "LIMIT_S", 8.0)
    repository(repo, bench__bad="import time\ntime.sleep(600)\n", bench__zlast=PAIR)
    found, broken = described_here()
    assert found == [KEY, "zlast.four_streams"]
    assert "took more than 8 s" in broken["bench/bad.py"]


def test_what_a_module_prints_or_leaves_running_is_no_answer(repo: Path) -> None:
    noise = 'import threading, time, sys\nprint("{}")\nsys.stderr.write("x" * 100000)\n'
    repository(repo, bench__noisy=f"{noise}threading.Thread(target=time.sleep, args=(600,)).start()\n{PAIR}")
    assert keys() == [KEY, "noisy.four_streams"]


def test_files_of_a_pattern_need_hold_no_pair_and_one_that_is_named_must(repo: Path) -> None:
    repository(repo, bench__tables="ROWS = 3\n")
    assert why() == {}
    with pytest.raises(UsageError, match=r"no pair in bench/tables\.py"):
        find("bench/tables.py")


def test_a_file_sees_what_lies_beside_it_and_the_project(repo: Path) -> None:
    repository(repo, bench__helper="import mine\n", bench__uses=f"import helper\n{PAIR}", src__mine="")
    assert keys() == [KEY, "uses.four_streams"]


def test_a_file_of_a_package_is_imported_as_its_module(repo: Path) -> None:
    files = {"bench____init__": "", "bench__part": "", "bench__inner": f"from .part import *\n{PAIR}"}
    for name, text in files.items():
        (repo / f"{name.replace('bench__', 'bench/')}.py").write_text(text)
    assert keys() == [KEY, "inner.four_streams"]


def test_two_files_of_one_name_are_two_modules(repo: Path) -> None:
    (repo / "pyproject.toml").write_text(PYPROJECT.replace('"bench/*.py"', '"*/bench.py"'))
    one, other = PAIR, PAIR.replace("@aisp_prof.pair(", '@aisp_prof.pair(group="other", ').replace("four", "two")
    repository(
        repo, (repo / "pyproject.toml").read_text(), a__bench=f"import at\n{one}", b__bench=f"import at\n{other}"
    )
    (repo / "a" / "at.py").write_text("")
    (repo / "b" / "at.py").write_text("")
    assert keys() == ["bench.four_streams", "other.four_streams"]


def test_a_file_called_as_a_module_of_pythons_own_is_itself(repo: Path) -> None:
    repository(repo, bench__json=PAIR)
    assert "json.four_streams" in keys()


def test_a_pattern_that_fits_nothing_and_a_file_that_is_not_there_are_named(repo: Path) -> None:
    (repo / "pyproject.toml").write_text('[tool.aisp-prof]\npairs = ["none/*.py", "gone.py", "no-module"]\n')
    assert set(why()) == {"none/*.py", "gone.py", "no-module"}
    assert "no such file" in why()["gone.py"]


def test_what_is_installed_may_name_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entry points: of a module, and of one class in it; both are the same pair."""
    site = tmp_path / "site"
    info = site / "mine-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
    points = "[aisp_prof.pairs]\nall = mine_bench\none = mine_bench:FourStreams\nlost = nowhere.at_all\n"
    (info / "entry_points.txt").write_text(points)
    (site / "mine_bench.py").write_text(PAIR)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert keys() == ["mine_bench.four_streams"]
    assert "ModuleNotFoundError" in why()["nowhere.at_all"]
    assert [pair.key for pair in find("mine_bench:four_streams")] == ["mine_bench.four_streams"]


def test_a_full_pair_is_one_outside_too_with_its_formulas(repo: Path) -> None:
    full = """
from aisp_prof.declaration import Declaration, Phase
from aisp_prof.workloads.pair import Declared, Pair

text = {"en": "x {speedup}"}
PAIR = Pair(
    Declaration("whole", "one", text, text, text, text, {"baseline": text, "optimized": text}, ("speedup >= 2",),
                {"default": {"n": 8}}, 1e-6, False, 0.1, False, ("cuda",)),
    build=lambda device, sizes: None,
    declared=lambda sizes, variant: Declared(sizes["n"], 16, "fp32"),
    phases=lambda sizes, variant: (Phase(h2d=sizes["n"]), Phase(flops={"bf16": 3})),
)
"""
    repository(repo, bench__whole=full)
    (pair,) = find("whole")
    assert pair.declared is not None
    assert pair.declared({}, "baseline").flops == 8
    assert pair.phases is not None
    assert pair.phases({}, "optimized")[1].flops == {"bf16": 3}


def test_the_program_of_a_pair_runs_it_and_tells_what_it_is_made_of(repo: Path) -> None:
    runs = """
import aisp_prof
import torch
from helper import TWO


@aisp_prof.pair(claims=[], files=["twice.cu"])
class Twice:
    def inputs(self, seed):
        self.x = torch.randn(64, generator=torch.Generator().manual_seed(seed))

    def baseline(self):
        return self.x + self.x

    def optimized(self):
        return self.x * TWO

    def reference(self):
        import later

        return self.x.double() * 2
"""
    repository(repo, bench__helper="TWO = 2\n", bench__runs=runs, later="")
    (repo / "bench" / "twice.cu").write_text("// none\n")
    (pair,) = find("bench/runs.py")
    command = [sys.executable, "-P", "-m", *pair.program, "--device", "cpu", "--record", "r.json", "--validate"]
    root = str(Path(described.__file__).parents[1] / ".pythonpath")
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    record = json.loads((repo / "r.json").read_text())
    assert (record["pair"], record["validation"]["valid"]) == ("runs.twice", True)
    assert [one["file"] for one in record["sources"]] == [
        "bench/helper.py",
        "bench/runs.py",
        "bench/twice.cu",
        "later.py",
    ]


def test_a_key_that_its_place_does_not_hold(repo: Path) -> None:
    (pair,) = find("fused")
    module, place, _ = pair.program
    command = [sys.executable, "-P", "-m", module, place, "fused.nothing"]
    root = str(Path(described.__file__).parents[1] / ".pythonpath")
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "holds no pair fused.nothing" in done.stderr
