"""Choosing among cuBLASLt's algorithms, on an nvmath-python that proposes three: timed once, and kept for whoever comes after."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from aisp_prof.errors import EnvironmentLacks
from aisp_prof.kernels.gemm import cublaslt

KIND = np.dtype([("number", "<i8"), ("cluster", "<i8")])


class Algorithm:
    """`number` is all that it is; nvmath-python has no name for the cluster 7."""

    def __init__(self, number: int, cluster: int = 1) -> None:
        self.algorithm_id, self.tile, self.stages, self._cluster = number, (256, 128), "AUTO", cluster
        self.algorithm = SimpleNamespace(workspace_size=4)

    @property
    def cluster_shape(self) -> tuple[int, int]:
        return {1: (2, 1)}[self._cluster]

    def as_numpy(self) -> Any:
        return np.array([(self.algorithm_id, self._cluster)], KIND)

    @classmethod
    def from_numpy(cls, array: Any) -> Algorithm:
        return cls(int(array[0]["number"]), int(array[0]["cluster"]))


class Matmul:
    """Timing puts the last of the three first."""

    timed = 0

    def __init__(self, *operands: Any, **options: Any) -> None:
        self.operands, self.options = operands, options
        self.algorithms: tuple[Algorithm, ...] = ()

    def plan(self, preferences: Any, algorithms: Any, epilog: Any, epilog_inputs: Any) -> None:
        self.epilogue = epilog
        proposed = [Algorithm(1), Algorithm(2), Algorithm(3, cluster=7)][: preferences["limit"]]
        self.algorithms = tuple(algorithms or proposed)

    def autotune(self, iterations: int) -> None:
        Matmul.timed += 1
        self.algorithms = self.algorithms[::-1]


@pytest.fixture(autouse=True)
def nvmath(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    epilogues, compute = SimpleNamespace(BIAS=4, GELU_BIAS=36), SimpleNamespace(COMPUTE_32F_FAST_TF32=77)
    api = cublaslt._Api(Matmul, epilogues, compute, Algorithm, KIND, lambda: 130100)
    monkeypatch.setattr(cublaslt, "_api", lambda: api)
    monkeypatch.setattr(Matmul, "timed", 0)
    monkeypatch.setenv("AISP_CACHE", str(tmp_path))


def layer(dtype: cublaslt.Dtype = "bf16", **options: Any) -> cublaslt.Layer:
    x, w, y = torch.zeros(4, 8), torch.zeros(6, 8), torch.zeros(4, 6)
    return cublaslt.Layer(x, w, torch.zeros(6), y, dtype, **options)


def test_without_timing_the_first_is_taken() -> None:
    made = layer()
    assert made.chosen == cublaslt.Chosen(1, "256x128", "AUTO", "2x1", 4, 1, 1)
    assert str(made.chosen) == "algorithm 1, tile 256x128, stages AUTO, cluster 2x1, workspace 4 B, 1 of 1"


def test_the_fastest_is_kept_for_the_next_process_and_the_next_set(tmp_path: Path) -> None:
    first = layer(timed=True)
    first.tune("here")
    assert first.chosen == cublaslt.Chosen(3, "256x128", "AUTO", "id 7", 4, 3, 3)
    again = layer(timed=True)
    again.tune("here")
    assert Matmul.timed == 1
    assert again.chosen == first.chosen
    assert [one.algorithm_id for one in again._matmul.algorithms] == [3]
    assert layer(timed=True, like=again).chosen == first.chosen
    layer(timed=True).tune("elsewhere")
    assert Matmul.timed == 2


@pytest.mark.parametrize("text", ["", "{}", '{"data": "00", "chosen": {}}', '{"data": "zz"}'])
def test_what_another_version_kept_is_timed_again(tmp_path: Path, text: str) -> None:
    path = tmp_path / "algorithms" / "here.json"
    path.parent.mkdir()
    path.write_text(text)
    layer(timed=True).tune("here")
    assert Matmul.timed == 1
    layer(timed=True).tune("here")
    assert Matmul.timed == 1


def test_what_cublaslt_is_asked_for() -> None:
    plain, tf32, fp8 = layer(), layer("tf32"), layer("fp8", gelu=True, scale=0.5)
    assert [one._matmul.epilogue for one in (plain, fp8)] == [4, 36]
    assert tf32._matmul.options["options"]["compute_type"] == 77
    assert [one._matmul.options["options"]["fast_accumulation"] for one in (plain, fp8)] == [False, True]
    assert fp8._matmul.options["quantization_scales"] == {"a": 0.5, "b": 1.0}
    weights, rows, out = plain._matmul.operands
    assert (weights.shape, rows.shape, out.shape) == ((6, 8), (8, 4), (6, 4))


def test_a_missing_nvmath_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "nvmath", None)
    with pytest.raises(EnvironmentLacks, match="nvmath-python cannot be imported") as lacks:
        layer()
    assert lacks.value.mend == "pip install 'aisp-prof[cublaslt]'"
