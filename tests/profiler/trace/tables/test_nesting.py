"""Nesting against an obvious stack."""

import numpy as np
from aisp_prof.profiler.trace.tables.nesting import nesting
from hypothesis import given
from hypothesis import strategies as st


def by_stack(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Level and parent of properly nested ranges of one thread, found by pushing and popping."""
    order = sorted(range(len(ranges)), key=lambda i: (ranges[i][0], -ranges[i][1], i))
    found, stack = [(0, -1)] * len(ranges), []
    for i in order:
        start = ranges[i][0]
        while stack and ranges[stack[-1]][1] <= start:
            stack.pop()
        found[i] = (len(stack), stack[-1] if stack else -1)
        stack.append(i)
    return found


@st.composite
def nested(draw, low=0, high=40, depth=3):
    """Ranges that nest or follow each other, some empty, some with equal bounds."""
    found, at = [], low
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(at, high))
        end = draw(st.integers(start, high))
        found.append((start, end))
        if depth and end > start:
            found += draw(nested(start, end, depth - 1))
        at = end
    return found


@given(nested(), st.randoms())
def test_levels_and_parents_are_those_of_a_stack(ranges, random):
    random.shuffle(ranges)
    start, end = (np.array([r[k] for r in ranges], np.int64) for k in (0, 1))
    group = np.zeros(len(ranges), np.int64)
    level, parent = nesting(group, start, end, np.arange(len(ranges)))
    assert list(zip(level.tolist(), parent.tolist(), strict=True)) == by_stack(ranges)


def test_groups_do_not_nest_in_each_other():
    level, parent = nesting(np.array([1, 2]), np.array([0, 10]), np.array([100, 20]), np.array([0, 1]))
    assert level.tolist() == [0, 0]
    assert parent.tolist() == [-1, -1]
