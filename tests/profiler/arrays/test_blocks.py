"""Items are made ahead of their use, in order, and what fails there fails here."""

import threading

import pytest
from aisp_prof.profiler.arrays import blocks


@pytest.mark.parametrize("cores", [1, 2])
def test_items_come_in_order(monkeypatch, cores):
    monkeypatch.setattr(blocks, "workers", lambda: cores)
    assert list(blocks.ahead(range(5))) == [0, 1, 2, 3, 4]
    assert list(blocks.ahead([])) == []


def test_the_next_one_is_made_while_one_is_in_use(monkeypatch):
    monkeypatch.setattr(blocks, "workers", lambda: 2)
    made = threading.Event()

    def items():
        yield 1
        made.set()
        yield 2

    coming = blocks.ahead(items())
    assert next(coming) == 1
    assert made.wait(10)
    assert list(coming) == [2]


@pytest.mark.parametrize("cores", [1, 2])
def test_a_failure_arrives_where_the_item_was_wanted(monkeypatch, cores):
    monkeypatch.setattr(blocks, "workers", lambda: cores)

    def items():
        yield 1
        raise ValueError("no second")

    coming = blocks.ahead(items())
    assert next(coming) == 1
    with pytest.raises(ValueError, match="no second"):
        next(coming)
