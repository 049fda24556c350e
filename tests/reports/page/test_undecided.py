"""A claim that is not decided is drawn: its iterations, the interval, the threshold, and what it would take."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import pytest
from aisp_prof.profiler.evidence import Evidence, Finding, Verdict
from aisp_prof.profiler.judging.enough import surely
from aisp_prof.reports.catalog import catalog
from aisp_prof.reports.page.document import render_html
from aisp_prof.reports.page.undecided import Undecided, undecided
from aisp_prof.reports.page.view import WIDE
from undecided_pair import left_open

EN = catalog("en")


@pytest.fixture(scope="module")
def evidence(samples: ModuleType) -> Evidence:
    return left_open(samples, ("speedup >= 2.17", "median optimized.busy(compute) <= 2 ms", "speedup >= 2.0"))


def drawn(evidence: Evidence) -> tuple[Undecided, ...]:
    return undecided(evidence, EN, WIDE)


def value(picture: Undecided, x: float) -> float:
    return picture.lowest + (x - picture.left) / picture.span * (picture.highest - picture.lowest)


def test_what_is_left_open_is_drawn_and_nothing_else(evidence: Evidence) -> None:
    assert [one.text for one in drawn(evidence)] == ["speedup >= 2.17", "median optimized.busy(compute) <= 2 ms"]
    html = render_html("ch11", [evidence])
    assert html.count('<svg class="undecided') == 4
    assert EN("undecided.title") in html


def test_each_iteration_the_interval_and_the_threshold_lie_where_they_are(evidence: Evidence) -> None:
    picture, claim = drawn(evidence)[1], evidence.claims[1]
    exact = pytest.approx([*claim.values, claim.low, claim.high, 2e6, claim.measured], rel=1e-4)
    places = [x for x, _ in picture.dots] + [picture.low_x, picture.high_x, picture.threshold[0], picture.middle_x]
    assert [value(picture, x) for x in places] == exact
    assert picture.lowest < min(claim.values)
    assert picture.highest > max(claim.values)


def test_of_a_speedup_each_dot_is_a_run_over_the_run_of_the_same_place(evidence: Evidence) -> None:
    picture = drawn(evidence)[0]
    runs = [[run.end - run.start for run in one.iterations] for one in (evidence.baseline, evidence.optimized)]
    assert [value(picture, x) for x, _ in picture.dots] == pytest.approx(
        [a / b for a, b in zip(*runs, strict=True)], rel=1e-4
    )


def test_a_speedup_between_steps_is_drawn_as_any_other(evidence: Evidence) -> None:
    """Seen: a page with such a claim left open ended with "no variant is called 'kept'"."""
    kept = replace(evidence.baseline, name="kept")
    claim = replace(evidence.claims[0], text="speedup(kept, optimized) >= 2.17")
    (picture,) = drawn(replace(evidence, between=(kept,), claims=(claim,)))
    assert [x for x, _ in picture.dots] == [x for x, _ in drawn(evidence)[0].dots]
    assert picture.about == drawn(evidence)[0].about


def test_it_says_how_many_more_iterations_would_decide(evidence: Evidence) -> None:
    claim = evidence.claims[0]
    needed = next(reason.values["needed"] for reason in claim.reasons if reason.code == "more_iterations")
    assert f"{needed - 20:,} more iterations of each variant, {needed:,} in all" in drawn(evidence)[0].more
    assert f"{surely(needed):,} in all in at least four of five" in drawn(evidence)[0].more
    certain = replace(claim, reasons=tuple(one for one in claim.reasons if one.code != "more_iterations"))
    silent = replace(evidence, claims=(certain, *evidence.claims[1:]))
    assert drawn(silent)[0].more == EN("undecided.none")


def test_what_no_iteration_mends_has_no_picture(evidence: Evidence, samples: ModuleType) -> None:
    assert drawn(samples.judged(Verdict.UNPROVEN)) == ()
    missing = Finding("events_missing", {"stated": 9, "found": 8}, "range")
    blocked = replace(evidence.claims[0], reasons=(missing,), low=None, high=None)
    assert len(drawn(replace(evidence, claims=(blocked, *evidence.claims[1:])))) == 1
    for verdict in (Verdict.PROVEN, Verdict.REFUTED, Verdict.INVALID):
        assert EN("undecided.title") not in render_html("ch11", [samples.judged(verdict)])


def test_runs_that_do_not_vary_have_an_axis(evidence: Evidence) -> None:
    claim = replace(evidence.claims[1], values=(2e6,) * 20, low=2e6, high=2e6, measured=2e6)
    (picture,) = drawn(replace(evidence, claims=(claim,)))
    assert picture.lowest < 2e6 < picture.highest
    assert len({round(x) for x, _ in picture.dots}) == 1
