"""The geometry of the pictures: axes, strips, lanes and marks."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

from aisp_prof.profiler.evidence import Evidence
from aisp_prof.reports.catalog import catalog
from aisp_prof.reports.page.axis import Axis, round_step
from aisp_prof.reports.page.document import render_html
from aisp_prof.reports.page.marks import MOST_MARKS, merged, parted
from aisp_prof.reports.page.replay import MOST_OPERATIONS, replay
from aisp_prof.reports.page.strips import strip_plot, swarm
from aisp_prof.reports.page.timeline import timeline
from aisp_prof.reports.page.view import NARROW, WIDE

EN = catalog("en")


def test_ticks_are_round_and_the_last_has_the_unit() -> None:
    labels = [tick.label for tick in Axis(12_660_000, 0, 100).ticks(8)]
    assert labels == ["0", "2", "4", "6", "8", "10", "12\u00a0ms"]
    assert [tick.label for tick in Axis(1_500, 0, 100).ticks(4)][-1] == "1.5\u00a0µs"
    assert [tick.label for tick in Axis(2_100_000, 0, 100).ticks(8)][1] == "0.5"


def test_an_axis_has_more_than_its_zero() -> None:
    for limit in (4_100_000, 9_990_000, 1_001, 3):
        assert len(Axis(limit, 0, 100).ticks(2)) > 1
    assert [tick.label for tick in Axis(4_100_000, 0, 100).ticks(2)] == ["0", "2", "4\u00a0ms"]


def test_steps_are_one_two_five() -> None:
    assert [round(round_step(length, 8), 6) for length in (12.66, 5.8, 80, 0.9)] == [2, 1, 10, 0.2]


def test_a_strip_shows_every_run(evidence: Evidence) -> None:
    plot = strip_plot(evidence, EN, WIDE)
    assert plot is not None
    assert [len(strip.dots) for strip in plot.strips] == [20, 20, 20, 20]
    assert [strip.note for strip in plot.strips] == [*["n\u00a0=\u00a020"] * 2, *["untraced, n\u00a0=\u00a020"] * 2]
    assert plot.sentence.startswith("baseline, n\u00a0=\u00a020: median 12.65\u00a0ms.")


def test_steps_are_drawn_with_the_runs_that_the_speedup_rests_on(evidence: Evidence) -> None:
    step = replace(evidence.baseline, name="halved", untraced_ns=(9_000_000,) * 8)
    staged = replace(evidence, between=(step,))
    assert evidence.speedup is not None
    events = replace(staged, speedup=replace(evidence.speedup, source="events"))
    for shown, traced in ((staged, True), (events, False)):
        plot = strip_plot(shown, EN, WIDE)
        assert plot is not None
        assert [(strip.label, strip.traced) for strip in plot.strips] == [
            ("baseline", traced),
            ("halved", traced),
            ("optimized", traced),
        ]


def test_dots_at_one_place_are_moved_apart_within_their_row() -> None:
    dots = swarm([10.0] * 5, 15.0)
    assert len(set(dots)) == 5
    assert all(abs(y - 15) <= 9 for _, y in dots)


def test_lanes_are_in_order_of_first_activity(evidence: Evidence) -> None:
    drawn = timeline(evidence, EN, WIDE)
    assert drawn is not None
    assert [lane.label for lane in drawn.tracks[1].lanes] == ["stream 13", "stream 17", "stream 25", "stream 21"]
    assert drawn.kinds == ("compute", "h2d", "d2h")
    assert not drawn.merged


def test_kinds_differ_in_shape(evidence: Evidence) -> None:
    drawn = timeline(evidence, EN, WIDE)
    assert drawn is not None
    lane = drawn.tracks[0].lanes[0]
    band = {band.kind: (band.y - lane.y, band.height / lane.height) for band in lane.bands}
    assert band["compute"] == (0.0, 1.0)
    assert band["h2d"][0] == 0
    assert band["h2d"][1] < 0.6
    assert abs(band["d2h"][0] / lane.height + band["d2h"][1] - 1) < 0.01


def test_below_the_limit_every_operation_is_a_mark(evidence: Evidence) -> None:
    drawn = timeline(evidence, EN, WIDE)
    assert drawn is not None
    paths = [band.path for track in drawn.tracks for lane in track.lanes for band in lane.bands]
    assert sum(path.count("M") for path in paths) == drawn.marks == 96


def many(samples: ModuleType, count: int) -> Evidence:
    evidence: Evidence = samples.sample()
    ops = tuple(samples.op("compute", row, 13, 2_000_000_000 + row * 100, 90) for row in range(count))
    return replace(evidence, optimized=replace(evidence.optimized, timeline=ops))


def test_above_the_limit_close_operations_merge_and_the_caption_says_so(samples: ModuleType) -> None:
    crowded = many(samples, MOST_MARKS + 1)
    drawn = timeline(crowded, EN, WIDE)
    assert drawn is not None
    assert drawn.merged
    assert sum(band.path.count("M") for lane in drawn.tracks[1].lanes for band in lane.bands) < 10
    assert "2,049 operations are drawn; those closer than a third of a pixel are drawn as one." in render_html(
        "ch11", [crowded]
    )


def test_far_apart_operations_never_merge() -> None:
    assert merged([(0, 1), (1.2, 2), (3, 4)]) == [(0, 2), (3, 1)]
    assert parted([(0, 3), (3, 6)]) == [(0, 2.5), (3, 3)]


def test_a_huge_timeline_stays_a_picture(samples: ModuleType) -> None:
    drawn = timeline(many(samples, MOST_OPERATIONS), EN, NARROW)
    assert drawn is not None
    assert replay(drawn, EN) is None
