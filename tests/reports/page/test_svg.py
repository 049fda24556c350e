"""Geometry is drawn whole, however much of it there is, and is grammatical."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import pytest
from aisp_prof.profiler.evidence import Evidence
from aisp_prof.reports.hostile import LONGEST_SHOWN
from aisp_prof.reports.page.document import render_html
from aisp_prof.reports.page.marks import MOST_MARKS
from aisp_prof.reports.page.svg import boxes, polygon
from svg_grammar import (
    NotGrammatical,
    Pictures,
    check_marks,
    check_points,
    check_transform,
    path_commands,
    subpaths,
)


@pytest.mark.parametrize(
    "data",
    ["M1 2h3v4h-3z", "M1,2L3,4Z", "m.5.5-1-1", "M1 2 3 4 5 6", "M0 0a1 1 0 01 2 2", "M1e2-3E-1", "", "  "],
)
def test_the_grammar_knows_what_is_one(data: str) -> None:
    list(path_commands(data))


@pytest.mark.parametrize(
    "data", ["M1 2h3…M4 5", "M1", "L1 2", "M1 2x", "M1 2h", "M1 2hnan", "M0 0a1 1 0 2 1 2 2", "M1 2z3"]
)
def test_the_grammar_knows_what_is_none(data: str) -> None:
    with pytest.raises(NotGrammatical):
        list(path_commands(data))


def test_point_lists_and_transforms() -> None:
    check_points("0 0 672 120")
    check_transform("translate(3 0) rotate(-30 1 2)")
    for check, text in ((check_points, "0 0 1"), (check_points, "0 …"), (check_transform, "rotate(1 2)")):
        with pytest.raises(NotGrammatical):
            check(text)


def test_geometry_is_made_of_numbers() -> None:
    assert boxes([(1.5, 2), (4, 0.25)], 3, 10) == "M1.5 3h2v10h-2zM4 3h0.25v10h-0.25z"
    assert polygon([(0, 0), (1, 2), (3, 4)]) == "M0.00 0.00L1.00 2.00L3.00 4.00z"
    for odd in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="no place in a picture"):
            boxes([(odd, 1)], 0, 1)


def crowded(samples: ModuleType, count: int, apart: int = 1_000, kind: str = "compute") -> Evidence:
    """The sample with `count` operations in one lane of its optimized iteration."""
    evidence: Evidence = samples.sample()
    begin = evidence.optimized.iterations[evidence.optimized.median_index].start
    ops = tuple(samples.op(kind, row, 13, begin + row * apart, apart // 2) for row in range(count))
    return replace(evidence, optimized=replace(evidence.optimized, timeline=ops))


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize(("count", "apart"), [(305, 40_000), (1_900, 7_000), (MOST_MARKS + 1, 7_000), (12_000, 400)])
def test_a_lane_of_many_marks_is_whole(samples: ModuleType, count: int, apart: int, lang: str) -> None:
    """A lane of more than about 305 lost its middle: what shortens names took its path for one."""
    evidence = crowded(samples, count, apart)
    rows = [(op.start, op.end) for op in evidence.optimized.timeline]
    every = (evidence.baseline, evidence.optimized)
    starts = [one.iterations[one.median_index].start for one in every]
    limit = max(op.end - start for one, start in zip(every, starts, strict=True) for op in one.timeline)
    drawn = Pictures(render_html("ch11", [evidence], lang))
    for kind in ("wide", "narrow"):
        found = drawn.timelines["pair-1", kind]
        merge = sum(len(one.timeline) for one in every) > MOST_MARKS
        check_marks(
            found.bands[1, 0, "compute"], found, [(a - starts[1], b - starts[1]) for a, b in rows], limit, merge
        )


def test_long_geometry_is_longer_than_the_longest_text(samples: ModuleType) -> None:
    """Else the test above shows nothing."""
    html = render_html("ch11", [crowded(samples, 1_900, apart=40_000)])
    assert max(len(one) for one in html.split('"') if one.startswith("M")) > 3 * LONGEST_SHOWN
    assert len(subpaths("M0 0h1v1h-1z" * 5)) == 5
