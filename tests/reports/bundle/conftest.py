"""One bundle of a shipped capture for all tests here, and what they do with it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from aisp_prof.profiler.store.captures import Capture, shipped_store
from aisp_prof.reports.bundle.layout import Pages
from aisp_prof.reports.bundle.write import write_bundle


@pytest.fixture(scope="session")
def streams() -> Capture:
    """The shipped capture with the most to say: copies, kernels, overlaps, witnesses."""
    capture = shipped_store().newest("ch11.streams")
    assert capture is not None
    return capture


@pytest.fixture(scope="session")
def expectations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of expectations, of which one file applies to the capture."""
    folder = tmp_path_factory.mktemp("package") / "expectations"
    for name in ("h200/ch11.json", "h200/ch09.json", "b200/ch11.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text('{"speedup": {"least": 2.0}}\n')
    return folder


@pytest.fixture(scope="session")
def made(streams: Capture, expectations: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with HTML and PDF, made once; not to be written to."""
    target = tmp_path_factory.mktemp("bundle") / "made.zip"
    write_bundle(target, [streams], [], Pages("ch11", "en", True), expectations)
    return target


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Path:
    """A copy of the bundle for one test."""
    return Path(shutil.copy(made, tmp_path / "bundle.zip"))
