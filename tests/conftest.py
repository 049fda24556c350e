"""What every worker of the suite does first: one thread for its arithmetic, and no search for garbage among the tests themselves."""

from __future__ import annotations

import gc
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
"""Before PyTorch is imported, here or in a child: threads of several workers that wait for each other spin, for twice the work."""


def pytest_collection_finish() -> None:
    """Thousands of items and what their modules imported stay to the end: the collector need not walk over them each time."""
    gc.collect()
    gc.freeze()
