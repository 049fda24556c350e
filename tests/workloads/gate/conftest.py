"""One process a worker that has imported PyTorch, of which the gate's processes are copies where a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from nursery import Nursery


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


@pytest.fixture
def forked(nursery: Nursery) -> Iterator[None]:
    with nursery.serving():
        yield
