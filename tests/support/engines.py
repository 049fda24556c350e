"""Both engines for tests: the compiled core is built from the tree once a run, whatever lies beside its sources."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import shared
from aisp_prof.profiler.core import library

ROOT = Path(__file__).parents[2]
ENGINES = ("core", "numpy")


def building() -> object:
    """The module that compiles the core, which is no part of what runs."""
    spec = importlib.util.spec_from_file_location("building", ROOT / "profiler" / "core" / "building.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def built() -> Path:
    """The core; without a compiler the test is skipped, which says so."""
    target = shared._folders[0] / "_core.so"
    if why := shared.made_once("core", lambda: building().build(target)):  # type: ignore[attr-defined]
        pytest.skip(f"the compiled core cannot be built here: {why}")
    return target


def choose(patch: pytest.MonkeyPatch, engine: str) -> None:
    """Have this engine do the work."""
    if engine == "core":
        patch.setattr(library, "FILE", built())
    patch.setenv("AISP_ENGINE", engine)
