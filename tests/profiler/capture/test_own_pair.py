"""A pair of the user's own is captured by real children, under an nsys that stands in; the device is the host."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from aisp_prof.cli.capturing import capture_pairs
from aisp_prof.errors import AispError
from aisp_prof.workloads.registry import find
from own_repository import repository

PAIR = """
import sys

import aisp_prof
import torch
from aisp_prof.workloads import harness
from aisp_prof.workloads.device import CpuDevice
from factor import TWO

harness.open_device = lambda kind: CpuDevice()  # this machine has no GPU


@aisp_prof.pair(claims=["speedup >= 1.1"], sizes={"n": 4096})
class Twice:
    def inputs(self, seed):
        self.x = torch.randn(self.n, generator=torch.Generator().manual_seed(seed))

    def baseline(self):
        return self.x + self.x

    def optimized(self):
        return self.x * TWO

    def reference(self):
        return self.x.double() * 2
"""
Capture = Callable[[], object]


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake_nsys: Callable[..., Path]) -> Path:
    fake_nsys()
    monkeypatch.chdir(tmp_path)
    return repository(tmp_path, bench__twice=PAIR, bench__factor="TWO = 2\n")


def test_the_capture_holds_what_the_pair_states_and_what_it_is_made_of(repo: Path) -> None:
    (made,) = capture_pairs(find("bench/twice.py:Twice"), repo / "captures", "", 2, "", 120)
    manifest = made.manifest
    assert (manifest.pair, manifest.size, manifest.sizes, manifest.profile) == (
        "twice.twice", "default", {"n": 4096}, "minimal",
    )  # fmt: skip
    assert set(manifest.runs) == {"untraced", "traced"}
    assert [one.variant for one in manifest.iterations("traced")] == ["baseline", "optimized", "optimized", "baseline"]
    assert manifest.runs["traced"].validation is not None
    assert manifest.runs["traced"].validation.valid is True
    files = {name: hashlib.sha256((repo / name).read_bytes()).hexdigest() for name in manifest.sources}
    assert manifest.sources == files
    assert sorted(files) == ["bench/factor.py", "bench/twice.py"]
    assert str(repo) not in (made.folder / "manifest.json").read_text()


def test_wrong_outputs_are_a_capture_that_says_so(repo: Path) -> None:
    (repo / "bench" / "factor.py").write_text("TWO = 3\n")
    (made,) = capture_pairs(find("twice"), repo / "captures", "", 2, "", 120)
    assert made.manifest.runs["untraced"].validation is not None
    assert made.manifest.runs["untraced"].validation.valid is False
    assert made.trace_path is None


def test_what_a_variant_raises_is_told(repo: Path) -> None:
    (repo / "bench" / "factor.py").write_text("TWO = None\n")
    with pytest.raises(AispError, match=r"twice\.twice failed with exit code 1(.|\n)*TypeError"):
        capture_pairs(find("twice"), repo / "captures", "", 2, "", 120)
    assert list((repo / "captures").iterdir()) == []
