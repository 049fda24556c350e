from __future__ import annotations

from pathlib import Path

import pytest
import traced


@pytest.fixture
def machine(tmp_path: Path) -> traced.Traced:
    """A machine with the tracer's library, a stand-in for CUPTI and a program."""
    return traced.make(tmp_path)
