"""Lanes of one pattern are folded, by a rule that is said, and all their operations stay in the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import ModuleType

import pytest
from aisp_prof.profiler.evidence import Evidence, Op
from aisp_prof.reports.catalog import catalog
from aisp_prof.reports.page.document import render_html
from aisp_prof.reports.page.labels import width, wrapped
from aisp_prof.reports.page.lanes import patterns
from aisp_prof.reports.page.timeline import Track, timeline
from aisp_prof.reports.page.view import WIDE
from many_lanes import on_streams

EN = catalog("en")


def optimized(evidence: Evidence) -> Track:
    drawn = timeline(evidence, EN, WIDE)
    assert drawn is not None
    return drawn.tracks[-1]


def test_lanes_of_one_pattern_fold_between_the_first_and_the_last(samples: ModuleType) -> None:
    evidence = on_streams(samples, 94)
    track = optimized(evidence)
    assert [(fold.label, fold.first, fold.count) for fold in track.folds] == [("92 more like it", 2, 92)]
    assert [lane.label for lane in track.lanes if lane.label] == ["stream 7", "stream 100", "stream 193"]
    assert sum(len(lane.ops) for lane in track.lanes) == len(evidence.optimized.timeline)
    assert track.bottom - track.top < 150
    assert "Of lanes with the same operations in the same order the first" in render_html("ch11", [evidence])


def sizes(ops: Sequence[Op]) -> tuple[str, list[int]]:
    """The rule, and how many lanes each pattern of a variant has."""
    rule, (found,) = patterns([ops])
    return rule, [len(one.streams) for one in found]


def test_another_name_another_order_or_one_operation_more_is_another_pattern(samples: ModuleType) -> None:
    ops = list(on_streams(samples, 30).optimized.timeline)
    assert sizes(ops) == ("order", [1, 30])
    renamed = [replace(op, name="another") if op.stream == 110 and op.kind == "compute" else op for op in ops]
    assert sizes(renamed)[1] == [1, 29, 1]
    turned = [
        replace(op, kind={"h2d": "d2h", "d2h": "h2d"}.get(op.kind, op.kind)) if op.stream == 110 else op for op in ops
    ]
    assert sizes(turned)[1] == [1, 29, 1]
    assert sizes(on_streams(samples, 30, 3).optimized.timeline)[1] == [1, 10, 20]


def test_variants_fold_together_and_one_without_a_fold_stays_as_it_was(samples: ModuleType) -> None:
    many = on_streams(samples, 10).optimized.timeline
    few = [op for op in many if op.stream in (7, 100, 101)]
    mixed = [replace(op, stream=3) if op.kind == "d2h" else op for op in few]
    assert patterns([many])[0] == ""
    rule, (folded, plain) = patterns([many, mixed])
    assert (rule, [len(one.streams) for one in folded]) == ("order", [1, 10])
    assert [one.streams[0][0][1] for one in plain] == list(
        dict.fromkeys(op.stream for op in sorted(mixed, key=lambda op: op.start))
    )


def test_lanes_that_all_differ_fold_by_their_kinds_and_the_caption_says_so(samples: ModuleType) -> None:
    ops = on_streams(samples, 40).optimized.timeline
    named = tuple(replace(op, name=f"of_{op.stream}") for op in ops)
    evidence = samples.sample()
    evidence = replace(evidence, optimized=replace(evidence.optimized, timeline=named))
    assert [fold.count for fold in optimized(evidence).folds] == [38]
    assert "Of lanes with the same kinds of operations the first" in render_html("ch11", [evidence])


@pytest.mark.parametrize(("streams", "folded"), [(9, 0), (10, 0), (11, 9), (12, 10)])
def test_a_dozen_lanes_are_all_drawn_in_full(samples: ModuleType, streams: int, folded: int) -> None:
    track = optimized(on_streams(samples, streams))
    assert sum(fold.count for fold in track.folds) == folded
    assert sum(bool(lane.label) for lane in track.lanes) == streams + 1 - folded


def test_all_steps_of_a_staged_pair_are_drawn_in_their_order(evidence: Evidence) -> None:
    steps = tuple(replace(evidence.optimized, name=name) for name in ("first", "second"))
    drawn = timeline(replace(evidence, between=steps), EN, WIDE)
    assert drawn is not None
    assert [track.name for track in drawn.tracks] == ["baseline", "first", "second", "optimized"]
    assert [track.colour for track in drawn.tracks] == ["baseline", "step", "step", "optimized"]
    assert all(one.bottom < two.y for one, two in zip(drawn.tracks, drawn.tracks[1:], strict=False))


LONG = (
    "Each kernel of the layer is launched by itself, waits for the one before it, and writes what the next one reads back to memory, "
    * 2
)


@pytest.mark.parametrize("wide", [60.0, 200.0, 344.0, 672.0])
@pytest.mark.parametrize("text", [LONG, "커널마다 따로 실행하고 결과를 메모리에 다시 씁니다 " * 4, "short", ""])
def test_captions_break_between_words_only(text: str, wide: float) -> None:
    lines = wrapped(text, wide / 2, wide, 11.0, 3)
    words = text.split()
    shown = " ".join(lines).split()
    whole = shown[-1:] != ["…"]
    assert shown[: None if whole else -1] == words[: len(words) if whole else len(shown) - 1]
    assert all(width(line, 11.0) <= wide for line in lines)
    assert len(lines) <= 3


def test_a_word_wider_than_a_line_ends() -> None:
    assert max(map(len, wrapped("x" * 5_000, 10.0, 100.0, 11.0, 3))) < 12
