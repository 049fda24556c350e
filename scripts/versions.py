"""What `scripts/test-versions` installs and runs: the oldest, the newest, or a pytest below what the plugin supports; and the same of Triton."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
EXTRAS = ("pytest", "parquet")
BESIDE = (
    "hypothesis",
    "nvtx",
    "pytest-timeout",
    "pytest-xdist",
    "pytest-rerunfailures",
    "pytest-repeat",
    "pyyaml",
    "jsonschema",
)
"""For the tests themselves: of these the newest that goes with the others."""
SHOWN = ("pytest", "typer", "click", "numpy", "pandas", "rich", "jinja2", "sqlite-utils", "pyarrow")
TESTS = (
    "tests/testing/test_plugin.py",
    "tests/cli/test_assert.py",
    "tests/cli/test_ci_systems.py",
    "tests/cli/test_cli.py",
    "tests/cli/test_trace.py",
    "tests/profiler/trace/test_reader.py",
    "tests/profiler/trace/source/test_source.py",
    "tests/reports/export/test_export.py",
    "tests/profiler/queries/test_tables.py",
    "tests/profiler/judging/test_bootstrap.py",
)
GPU = ("torch", "triton")
"""Of the extra for GPUs what decides the machine code of our Triton kernels; they compile without a GPU."""
TOOLS = ("nvidia-cuda-cuobjdump>=13,<14", "nvidia-cuda-nvdisasm>=13,<14")
TRITON_TESTS = (
    "tests/kernels/test_fp_fusion.py",
    "tests/kernels/gemm/test_matmul_gelu.py",
    "tests/kernels/gemm/test_warp_specialized_matmul.py",
    "tests/kernels/attention",
    "tests/kernels/blocks",
    "tests/kernels/elementwise",
    "tests/workloads/ch11/test_warp_specialized_triton.py",
)
CHOICES = ("oldest", "newest", "too-old", "triton-oldest", "triton-newest")
TOO_OLD = """
import pytest

def test_other(tmp_path):
    pass

@pytest.mark.parametrize("x", [1, 2])
def test_with_a_mark(x):
    pass

@pytest.mark.nsys
def test_ours():
    pass
"""


def requirements(which: str) -> list[str]:
    """Every dependency at its floor, or without any bound; of pytest one that is too old."""
    extras = PROJECT["project"]["optional-dependencies"]
    allowed = [*PROJECT["project"]["dependencies"], *(one for name in EXTRAS for one in extras[name])]
    bounds = [re.fullmatch(r"([\w-]+)>=([\d.]+)", one) for one in allowed]
    floors = {one[1]: one[2] for one in bounds if one}
    if len(floors) < len(allowed):
        raise SystemExit(f"not understood: {allowed}")
    if which == "too-old":
        return ["pytest==6.2.5"]
    if which.startswith("triton"):
        own = [one for one in extras["gpu"] if re.match(rf"(?:{'|'.join(GPU)})>=", one)]
        wanted = own if which == "triton-newest" else [one.replace(">=", "==", 1) for one in own]
        return [*PROJECT["project"]["dependencies"], "pytest", *BESIDE, *TOOLS, *wanted]
    return [f"{name}=={floor}" if which == "oldest" else name for name, floor in floors.items()] + list(BESIDE)


def run(which: str) -> int:
    """The tests, in this environment; 0 when they pass."""
    if which == "too-old":
        return _others_are_left_alone()
    shown, tests = (GPU, TRITON_TESTS) if which.startswith("triton") else (SHOWN, TESTS)
    print(f"{which}: " + ", ".join(f"{name} {_version(name)}" for name in shown), flush=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".pythonpath")}  # of xdist's workers too
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def _version(name: str) -> str:
    """Of what others need: newer ones may do without (Typer 0.29 has no Click any more)."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def _others_are_left_alone() -> int:
    """A session of a pytest that the plugin does not support: what does not use it passes, what does says why not."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "test_it.py").write_text(TOO_OLD)
        command = [sys.executable, "-m", "pytest", "-p", "aisp_prof.testing.plugin", "--strict-markers"]
        environment = {"PYTHONPATH": str(ROOT / ".pythonpath"), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    print(f"{which_pytest()}: {done.stdout.splitlines()[-1]}", flush=True)
    well = "3 passed, 1 error" in done.stdout and "aisp-prof needs pytest 7.0" in done.stdout
    if not well:
        print(done.stdout, done.stderr)
    return not well


def which_pytest() -> str:
    return f"too old: pytest {version('pytest')}"


if __name__ == "__main__":
    which = sys.argv[1]
    if which not in CHOICES:
        raise SystemExit(" or ".join(CHOICES))
    if sys.argv[2:] == ["run"]:
        raise SystemExit(run(which))
    print("\n".join(requirements(which)))
