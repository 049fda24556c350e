"""Bars have an axis, changes a sign, and numbers a unit that shows them."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from aisp_prof.profiler.evidence import Evidence, GainTerm, Iteration
from aisp_prof.reports.catalog import catalog
from aisp_prof.reports.page.bars import change, rules, signed_time
from aisp_prof.reports.page.document import render_html
from aisp_prof.reports.page.figures import FigureGroup, figure_groups

EN = catalog("en")


@pytest.mark.parametrize(
    ("whole", "labels"),
    [(47.92, ["0", "20", "40"]), (9.99, ["0", "5"]), (0.77, ["0.0", "0.5"]), (1.0, ["0.0", "0.5", "1.0"]), (0.0, [])],
)
def test_an_axis_has_round_ticks_where_they_are(whole: float, labels: list[str]) -> None:
    found = rules(whole, 3)
    assert [rule.label for rule in found] == labels
    assert all(rule.share * whole == pytest.approx(float(rule.label), abs=whole / 5_000) for rule in found)


def test_a_change_points_where_it_goes() -> None:
    saved, lost = change(40, 30, 50), change(30, 40, 50)
    assert (saved.start, saved.end, saved.sign, saved.saved) == (0.6, 0.8, "−", True)
    assert (lost.start, lost.end, lost.sign, lost.saved) == (0.6, 0.8, "+", False)
    assert change(30, 30, 50).sign == ""


@pytest.mark.parametrize(
    ("ns", "said"),
    [(-11_070_000, "−11.07"), (6_420_000, "+6.42"), (4_700, "+4.70\u00a0µs"), (-90, "−90\u00a0ns"), (0, "0")],
)
def test_a_change_that_the_column_would_not_show_has_its_own_unit(ns: int, said: str) -> None:
    assert signed_time(ns, 2) == said


def group(evidence: Evidence, unit: str) -> FigureGroup:
    return next(one for one in figure_groups(evidence, EN) if one.unit == unit)


def changed(evidence: Evidence, **numbers: float) -> Evidence:
    """Both variants with other numbers in every iteration; `_` stands for the brackets of a metric's name."""
    named = {re.sub(r"^(\w+?)_(\w+)$", r"\1(\2)", name): value for name, value in numbers.items()}

    def other(iteration: Iteration) -> Iteration:
        return replace(iteration, numbers={**iteration.numbers, **named})

    baseline, optimized = (
        replace(one, iterations=tuple(map(other, one.iterations))) for one in (evidence.baseline, evidence.optimized)
    )
    return replace(evidence, baseline=baseline, optimized=optimized)


def test_no_row_reads_zero_that_is_not(evidence: Evidence) -> None:
    small = changed(evidence, busy_d2h=4_700, rate_d2h=2_600_000, rate_h2d=2_600_000, busy_h2d=0, idle=0)
    rows = {row.label: (row.baseline, row.optimized) for row in group(small, "Milliseconds").rows}
    assert rows["Copying out"] == ("4.70\u00a0µs", "4.70\u00a0µs")
    assert rows["Nothing running"] == ("0", "0")
    assert "Copying in" not in rows
    rates = group(small, "GB/s")
    assert {row.baseline for row in rates.rows} == {"2.60\u00a0MB/s"}
    assert rates.rules == ()
    assert all(row.bars is None for row in rates.rows)


def test_steps_are_drawn_on_the_axis_that_is_labelled(evidence: Evidence) -> None:
    gain = (GainTerm("idle", 2_000_000), GainTerm("copy", -1_000_000), GainTerm("total", 1_000_000))
    html = render_html("ch11", [replace(evidence, gain=gain)])
    table = re.search(r'<table class="gain">.*?</table>', html, re.DOTALL)[0]
    ticks = re.findall(r'<text[^>]* x="([\d.]+)"[^>]*>([\d.]+)<', table.partition("</thead>")[0])
    longest = 240 * 5 / next(float(x) for x, label in ticks if label == "5")
    saved, lost = re.findall(r'<polygon class="([^"]*)" points="([^"]*)"', table)
    assert (saved[0], lost[0]) == ("f-step", "f-ground s-step")
    spans = [sorted(map(float, points.split()[::2])) for _, points in (saved, lost)]
    widths = [(one[-1] - one[0]) / 240 * longest for one in spans]
    assert widths == pytest.approx([2, 1], abs=0.02)
    assert spans[0][0] == pytest.approx(spans[1][0], abs=0.1)


def test_a_change_that_would_read_as_zero_is_said_in_one_unit(evidence: Evidence) -> None:
    gain = (GainTerm("idle", 999_695), GainTerm("residual", 305), GainTerm("total", 1_000_000))
    said = re.findall(r"<title>(Residual: [^<]*)</title>", render_html("ch11", [replace(evidence, gain=gain)]))
    assert said == ["Residual: −305\u00a0ns"]
