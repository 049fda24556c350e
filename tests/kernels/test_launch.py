"""Launching without a GPU: what is missing is said; the driver's codes are checked."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from aisp_prof.errors import AispError, EnvironmentLacks
from aisp_prof.kernels import launch


class Code(int):
    name = "CUDA_ERROR_INVALID_VALUE"


def test_cuda_bindings_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    launch._driver.cache_clear()
    with pytest.raises(EnvironmentLacks, match="cuda-bindings is not installed"):
        launch._driver()


def test_every_code_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = SimpleNamespace(cuGetErrorString=lambda code: (0, b"invalid argument"))
    monkeypatch.setattr(launch, "_driver", lambda: driver)
    assert launch._checked((0,), "launching k") is None
    assert launch._checked((0, "handle"), "loading k") == "handle"
    with pytest.raises(AispError, match=r"launching k: CUDA_ERROR_INVALID_VALUE \(invalid argument\)"):
        launch._checked((Code(1),), "launching k")
