"""What every worker of the suite does first: one thread for its arithmetic, and no search for garbage among the tests themselves."""

from __future__ import annotations

import gc
import os

import pytest
import shared
from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
"""Before PyTorch is imported, here or in a child: threads of several workers that wait for each other spin, for twice the work."""

settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")
"""Hypothesis takes a machine that does other work for a slow test."""

gc.disable()
"""While modules are imported and items made, all of which stay."""


def pytest_collection_finish() -> None:
    """Thousands of items and what their modules imported stay to the end: the collector need not walk over them each time, nor
    at every 700th object more than were freed, which takes a fifteenth of the whole run."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _shared(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The folder of the run, which holds that of each worker."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared"
    folder.mkdir(exist_ok=True)
    shared.keep_in(folder)
