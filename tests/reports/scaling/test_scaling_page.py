"""The page of a sweep: what it says in both languages, that nothing foreign gets through, and where its marks lie."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from aisp_prof.profiler.queries.scaling import Scaling, read_scaling
from aisp_prof.reports.catalog import catalog
from aisp_prof.reports.scaling.chart import Panel, chart
from aisp_prof.reports.scaling.document import render_scaling
from aisp_prof.reports.terminal.scaling_lines import as_rate, in_ps, scaling_data, scaling_lines
from sweeps import SIZES, TERMS, stored, sweep


def found(folder: Path, data: Any = None) -> Scaling:
    return read_scaling(stored(folder, data))


@pytest.mark.parametrize(("lang", "nears"), [("en", "optimized nears"), ("ko", "최적화:")])
def test_the_page_says_what_the_fit_says(lang: str, nears: str, tmp_path: Path) -> None:
    data = found(tmp_path)
    html = render_scaling(data, tmp_path / "sweep.json", lang)
    said = re.sub("\u00a0", " ", re.sub(r"<[^>]+>", "", html.partition("</style>")[2]))
    assert nears in said
    for growth in data.growths:
        for cell in (in_ps(growth.linear), in_ps(growth.square), as_rate(growth.rate)):
            assert cell.replace("\u00a0", " ") in said
    assert "aisp-prof bench scaling sweep.json" in said
    assert f'<html lang="{lang}">' in html
    assert "NVIDIA &lt;H200&gt;" in html
    assert "http" not in re.sub(r"data:font[^)]*", "", html).replace("http-equiv", "")


def test_foreign_text_is_harmless(tmp_path: Path) -> None:
    data = sweep({"<b>x</b>\u202e": (3.0, 0.02)})
    html = render_scaling(found(tmp_path, data))
    assert "<b>x" not in html
    assert "\u202e" not in html
    assert "\u202e" not in "\n".join(scaling_lines(found(tmp_path, data)))


def centres(panel: Panel, curve: int) -> list[tuple[float, float]]:
    """Where the marks of a curve lie: the middle of each closed path's box."""
    marks = []
    for path in re.findall(r"M[^zh]*z", str(panel.curves[curve].marks)):
        corners = [tuple(map(float, pair.split())) for pair in re.findall(r"[\d.]+ [\d.]+", path)]
        xs, ys = zip(*corners, strict=True)
        marks.append(((min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2))
    return marks


def test_marks_lie_where_the_axes_say(tmp_path: Path) -> None:
    """Between two ticks a mark's value is that of its place, for times on a logarithmic axis and rates on a linear one."""
    data = found(tmp_path)
    times, rates = chart(data, catalog("en")).panels
    points = data.growths[0].points
    assert [tick.label for tick in times.x_ticks] == ["512", "1k", "2k", "4k", "8k"]
    for panel in (times, rates):
        assert [x for x, _ in centres(panel, 0)] == pytest.approx([tick.x for tick in panel.x_ticks], abs=0.05)
    decade = times.y_ticks[0].x - times.y_ticks[1].x
    assert (times.y_ticks[0].label, times.y_ticks[1].label) == ("10\u00a0µs", "100\u00a0µs")
    for (_, y), point in zip(centres(times, 0), points, strict=True):
        assert 10 ** (4 + (times.y_ticks[0].x - y) / decade) == pytest.approx(point.median_ns, rel=5e-3)
    nought, step = rates.y_ticks[0].x, rates.y_ticks[0].x - rates.y_ticks[1].x
    each = float(rates.y_ticks[1].label) * 1e12
    for (_, y), point in zip(centres(rates, 0), points, strict=True):
        assert (nought - y) / step * each == pytest.approx(point.rate, rel=5e-3)


def test_what_has_no_rate_is_drawn_without_one(tmp_path: Path) -> None:
    data = sweep(TERMS)
    for record in data["records"]:
        record["declared"] = {}
    none = found(tmp_path, data)
    assert len(chart(none, catalog("en")).panels) == 1
    assert "cannot be told" in render_scaling(none)
    assert all(point["rate"] is None for growth in scaling_data(none)["growths"] for point in growth["points"])
    assert "FLOP/s" not in "\n".join(scaling_lines(none))


def test_the_terminal_shows_every_size_twice(tmp_path: Path) -> None:
    lines = scaling_lines(found(tmp_path))
    assert lines[0] == "ch10.flash_attention over seq, divided by batch, on NVIDIA <H200>"
    bars = [line for line in lines if "█" in line]
    assert len(bars) == 2 * len(SIZES)
    full = max(line.count("█") for line in bars)
    assert full == 40
    assert bars[-1].split()[:2] == ["8,192", "optimized"]
    assert len([line for line in lines if "…" in line]) == 2 * len(SIZES)
