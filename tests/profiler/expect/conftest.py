"""A pair's built captures, and expectations made of them."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from aisp_prof.profiler.expect.update import Plan, update_expectations
from aisp_prof.profiler.store.captures import Capture, Store
from pair_trace import run_pair
from rewritten import built, rewritten, slower
from trace_builder import TraceBuilder

SHIPPED = Path(__file__).parents[3] / "captures"
RETIRED = Path(__file__).parents[2] / "traces" / "retired"
"""Of pairs that have other steps by now."""
CLAIMS = ("speedup >= 1.5", "hidden(h2d, d2h) >= 0.5", "baseline.overlap_ratio <= 0.01")


class Lab:
    """Captures of ch11:streams below one folder, expectations in another."""

    def __init__(self, tmp_path: Path) -> None:
        self.captures, self.folder = tmp_path / "captures", tmp_path / "expectations"
        self.file = self.folder / "h200" / "ch11.json"

    def capture(self, name: str = "a", day: int = 1, optimized: float = 1, claims: Any = CLAIMS) -> Capture:
        """A capture of a day of February 2027; `optimized` says by which factor that variant is slower than usual."""
        trace = TraceBuilder()
        run_pair(trace)
        usual = built(self.captures.with_name("usual"), trace, claims, name, day)
        return rewritten(usual, self.captures, slower("optimized", optimized), name=name, day=day)

    def update(self, reason: str = "a reason", write: bool = True, **options: Any) -> Plan:
        (plan,) = update_expectations(["ch11.streams"], self.captures, reason, self.folder, write=write, **options)
        return plan


@pytest.fixture(autouse=True)
def five(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As if only five captures shipped, one of a pair and without counters: later ones change none of the numbers here."""
    folder = tmp_path_factory.mktemp("shipped")
    for capture in (*SHIPPED.glob("*-20261120T*"), *RETIRED.iterdir()):
        (folder / capture.name).symlink_to(capture, target_is_directory=True)
    assert len(list(folder.iterdir())) == 5
    for name in ("aisp_prof.profiler.store.captures", "aisp_prof.profiler.expect.update"):
        monkeypatch.setattr(import_module(name), "shipped_store", lambda: Store(folder, shipped=True))
    if hasattr(request.module, "shipped_store"):
        monkeypatch.setattr(request.module, "shipped_store", lambda: Store(folder, shipped=True))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.fixture
def first(lab: Lab) -> Capture:
    """The first capture, with expectations made of it."""
    made = lab.capture()
    assert lab.update("first").changed
    return made
