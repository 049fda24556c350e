"""A stand-in for the CUDA driver, where cuda-bindings is not installed."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest


def install(monkeypatch: pytest.MonkeyPatch, driver: Any) -> None:
    """`import cuda.bindings.driver` gives `driver` until the test ends."""
    bindings = ModuleType("cuda.bindings")
    bindings.driver = driver  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cuda.bindings", bindings)
