"""The roofline section: its picture, its table, its tiers, in both languages; and labels that hide nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import pytest
from aisp_prof.profiler.evidence import Finding, Verdict
from aisp_prof.reports.catalog import catalog
from aisp_prof.reports.page.document import render_html
from aisp_prof.reports.page.labels import Rect, beside, width
from aisp_prof.reports.page.log_axis import LogAxis
from aisp_prof.reports.page.roofline import measured_roofs, roofline_section
from aisp_prof.reports.page.roofline_chart import MOST_SMALL
from aisp_prof.reports.page.view import NARROW, WIDE
from aisp_prof.reports.terminal.console import summary
from rated import MEMORY, PRODUCTS, counted, declared, kernel, with_rates
from shared import proven

EN = catalog("en")


def section(evidence, rates, **more):
    return roofline_section(with_rates(evidence, rates, **more), EN, WIDE, NARROW)


def text_of(html):
    body = re.sub(r"<(style|script|title)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", body))


def test_without_counters_and_claims_there_is_no_section(evidence):
    assert roofline_section(evidence, EN, WIDE, NARROW) is None
    quiet = replace(with_rates(evidence, MEMORY), manifest=evidence.manifest)
    assert roofline_section(quiet, EN, WIDE, NARROW) is None
    asking = replace(quiet, claims=(replace(evidence.claims[0], metric="achieved_flops"),))
    assert roofline_section(asking, EN, WIDE, NARROW) is not None


def test_marks_lie_where_their_numbers_are(evidence):
    chart = section(evidence, MEMORY).charts[0]
    baseline, optimized = chart.points
    per_decade = chart.x_ticks[1].x - chart.x_ticks[0].x
    assert optimized.x - baseline.x == pytest.approx(per_decade * 1.2171, abs=0.1)  # log10 of 4.148 / 0.2515
    assert baseline.y - baseline.roof_y == pytest.approx(optimized.y - optimized.roof_y, abs=3)
    assert (baseline.colour, optimized.colour) == ("baseline", "optimized")
    (arrow,) = chart.arrows
    assert baseline.x < arrow.x1 < arrow.x2 < optimized.x


def test_roofs_are_those_that_were_measured_and_no_rate_after_the_clocks_fell(evidence):
    roofs = measured_roofs(with_rates(evidence, MEMORY))
    assert roofs.bandwidth == 4.388e12
    assert set(roofs.compute) == {"bf16", "fp16", "tf32", "fp32", "fp8"}
    assert roofs.own == {"fp32"}
    chart = section(evidence, MEMORY).charts[0]
    slope, *flat = chart.roofs
    assert slope.label == "DRAM 4.39\u00a0TB/s"
    labels = [roof.label for roof in flat if roof.label]
    assert "bf16 803, fp16 765\u00a0TFLOP/s" in labels
    assert all(roof.x2 == chart.right for roof in flat)


def test_every_flat_roof_begins_on_the_slope(evidence):
    slope, *flat = section(evidence, PRODUCTS).charts[0].roofs
    for roof in flat:
        share = (roof.x1 - slope.x1) / (slope.x2 - slope.x1)
        assert roof.y1 == pytest.approx(slope.y1 + share * (slope.y2 - slope.y1), abs=0.1)


@pytest.mark.parametrize("rates", [MEMORY, PRODUCTS], ids=["far", "near"])
@pytest.mark.parametrize("place", [0, 1])
def test_labels_stay_in_the_picture_and_apart(evidence, rates, place):
    chart = section(evidence, rates).charts[place]
    one, two = (point.at.room for point in chart.points)
    frame = Rect(chart.left, 0, chart.right, chart.bottom)
    assert not one.meets(two)
    assert one.inside(frame)
    assert two.inside(frame)
    assert bool(chart.arrows) == (rates is MEMORY)


def test_what_is_declared_only_is_hollow_and_named(evidence):
    reason = Finding("not_counted", {"reason": "only root", "mend": "become root"})
    rates = {v: declared(17_179_869_184, 4_294_967_296, 1_000_000, reason) for v in ("baseline", "optimized")}
    found = section(evidence, rates, tier="declared")
    assert not any(point.counted for point in found.charts[0].points)
    assert "declared by the pair" in found.tier
    assert {row.label for row in found.rows} == {
        "FLOPs declared", "Traffic declared", "Kernels running, median", "Achieved, by declared FLOPs"
    }  # fmt: skip
    html = text_of(render_html("ch11", [with_rates(evidence, rates, tier="declared")]))
    assert "declared by the pair&#39;s formula, not counted" in html


def test_variants_of_different_tiers_are_told_apart(evidence):
    rates = {"baseline": MEMORY["baseline"], "optimized": declared(17_179_869_184, 4_294_967_296, 1_000_000)}
    assert "baseline counted by Nsight Compute, optimized declared" in section(evidence, rates).tier


def test_without_ceilings_there_are_numbers_and_no_picture(evidence):
    found = section(evidence, MEMORY, ceilings={})
    assert found.charts == ()
    assert found.rows


def test_the_table_has_one_unit_a_row(evidence):
    rows = {row.label: (row.note, row.cells) for row in section(evidence, MEMORY).rows}
    assert rows["DRAM traffic counted"] == ("GB", ("68.30", "4.27"))
    assert rows["Intensity"] == ("FLOP/B", ("0.252", "4.15"))
    assert rows["Share of roof"][1] == ("97.2%", "95.2%")
    assert rows["Lower roof"][1] == ("memory", "memory")
    assert rows["FLOPs by type"][1] == ("fp32 100%", "fp32 97.0%, half 3.0%")


def test_a_type_without_a_ceiling_is_said(evidence):
    assert "half" in section(evidence, MEMORY).remarks
    assert section(evidence, PRODUCTS).remarks == ""


def test_kernels_have_a_row_each_and_a_bounded_number_of_marks(evidence):
    many = [kernel(f"k{i}", {"fp32": 10**9}, 10**8 * (i + 1), 100_000) for i in range(MOST_SMALL + 20)]
    rates = {"baseline": MEMORY["baseline"], "optimized": counted({"fp32": 17_179_869_184}, 4 * 10**9, 10**6, many)}
    found = section(evidence, rates)
    assert len(found.charts[0].kernels) == MOST_SMALL
    assert (len(found.kernels), found.left_out) == (6, MOST_SMALL + 14)


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_the_page_has_the_section_between_the_numbers_and_the_witnesses(evidence, lang):
    say = catalog(lang)
    text = text_of(render_html("ch11", [with_rates(evidence, MEMORY)], lang))
    places = [text.index(say(key)) for key in ("ledger.title", "roofline.title", "witness.title")]
    assert places == sorted(places)
    assert "4.39 TB/s" in text.replace("\u00a0", " ")


def test_the_picture_uses_nothing_that_paper_cannot_show(evidence):
    html = render_html("ch11", [with_rates(evidence, MEMORY)])
    start = html.index(EN("roofline.title"))
    picture = html[start : html.index("</figure>", start)]
    assert picture.count("<svg") == 2
    assert "var(" not in picture
    assert "style=" not in picture
    assert all('fill="' in tag for tag in re.findall(r"<(?:circle|path|rect)[^>]*>", picture))
    assert picture.count("aria-label=") == 2


def test_wrong_outputs_show_no_rates(samples):
    wrong = with_rates(samples.judged(Verdict.INVALID), MEMORY)
    assert EN("roofline.title") not in render_html("ch11", [wrong])


def test_a_hostile_kernel_name_is_harmless(evidence):
    bad = "k<script>alert(1)</script>\u202e" + "x" * 100
    kernels = [kernel(bad, {"fp32": 10**9}, 10**8, 10**5)]
    rates = {"baseline": MEMORY["baseline"], "optimized": counted({"fp32": 10**9}, 10**8, 10**5, kernels)}
    html = render_html("ch11", [with_rates(evidence, rates)])
    assert "<script>alert" not in html
    assert "\u202e" not in html


def test_the_page_and_the_console_say_how_to_look_and_what_was_not_counted(evidence):
    reason = Finding("not_counted", {"reason": "only root may", "mend": "become root"})
    rates = {v: declared(10**9, 10**9, 10**6, reason) for v in ("baseline", "optimized")}
    refused = replace(with_rates(evidence, rates, tier="declared"), caveats=(reason,))
    text = text_of(render_html("ch11", [refused]))
    assert f"aisp-prof roofline {evidence.capture_id}" in text
    assert "aisp-prof capture ch11:streams --profile roofline" in text
    assert "Nothing was counted: only root may" in text
    assert "become root" in text
    lines = [line.strip() for line in summary(refused)]
    assert "FLOPs: baseline declared, optimized declared" in lines
    assert lines.count("Nothing was counted: only root may → become root") == 1
    assert not any("FLOPs" in line for line in summary(evidence))


def test_a_logarithmic_axis():
    axis = LogAxis(-1, 3, 100, 500)
    assert [axis.at(10.0**power) for power in (-1, 0, 3, 9)] == [100, 200, 500, 500]
    assert list(axis.decades) == [-1, 0, 1, 2, 3]
    assert list(LogAxis(-0.5, 1.5, 0, 1).decades) == [0, 1]


def test_a_mark_below_another_shows_as_a_ring(evidence):
    baseline, optimized = section(evidence, PRODUCTS).charts[0].points
    assert baseline.radius > optimized.radius + 2
    assert len({point.radius for point in section(evidence, MEMORY).charts[0].points}) == 1


def test_labels_avoid_what_is_taken():
    frame = Rect(0, 0, 400, 200)
    first = beside(200, 100, "some words", 10, frame, [], [])
    second = beside(200, 100, "some words", 10, frame, [first.room], [])
    assert not first.room.meets(second.room)
    at_the_edge = beside(395, 100, "some words", 10, frame, [], [])
    assert at_the_edge.anchor == "end"
    assert width("커널", 10) == 20


def test_a_pair_with_many_steps_has_two_columns_and_all_points() -> None:
    """Eight columns left each label a letter wide."""
    from aisp_prof.profiler.store.captures import shipped_store
    from aisp_prof.reports.catalog import catalog
    from aisp_prof.reports.page.roofline import roofline_section
    from aisp_prof.reports.page.view import NARROW, WIDE

    evidence = proven(shipped_store().captures("ch20.multiple_unoptimized")[-1].id)
    section = roofline_section(evidence, catalog("en"), WIDE, NARROW)
    assert section is not None
    assert len(evidence.rates) == 8
    assert {len(row.cells) for row in section.rows} == {len(section.variants)} == {2}
    assert {row.variant for row in section.kernels} == {"baseline", "optimized"}
    assert section.left_out == sum(len(rate.kernels) for rate in evidence.rates.values()) - len(section.kernels)
    charts = {"wide": section.charts[0], "narrow": section.charts[1]}
    for name, chart in charts.items():
        rooms = [point.at.room for point in chart.points]
        assert not any(one.meets(two) for i, one in enumerate(rooms) for two in rooms[i + 1 :]), name
        labels = [(tick.x, width(tick.label, 10)) for tick in chart.x_ticks if tick.label]
        assert all(two - one > (a + b) / 2 for (one, a), (two, b) in pairwise(labels)), name
        assert labels[-1][0] - labels[-1][1] > labels[-2][0] + labels[-2][1] / 2 or labels[-1][0] < chart.right - 10
    slope, *flat = charts["wide"].roofs
    assert slope.room is None
    assert all(roof.room for roof in flat if roof.label)


def crowded():
    """Seven variants within a few pixels, under several roofs, as ch10.matmul_tcgen05 has them."""
    names = ("baseline", "wgmma", "ring", "roles", "persistent", "multicast", "optimized")
    times = (2_260_000, 2_230_000, 1_830_000, 1_840_000, 1_470_000, 1_450_000, 1_392_000)
    moved = (2_700, 2_500, 4_500, 4_490, 1_210, 1_200, 1_190)
    return {
        name: counted({"tensor_bf16": 1_099_500_000_000}, mega * 1_000_000, ns)
        for name, mega, ns in zip(names, moved, times, strict=True)
    }


@pytest.mark.parametrize("place", [0, 1])
def test_no_label_of_seven_points_lies_over_a_roof_or_another_label(evidence, place):
    chart = section(evidence, crowded()).charts[place]
    rooms = [point.at.room for point in chart.points]
    marks = [Rect(point.x - 4, point.y - 4, point.x + 4, point.y + 4) for point in chart.points]
    assert len(rooms) == 7
    for i, room in enumerate(rooms):
        assert room.inside(Rect(chart.left, 0, chart.right, chart.bottom))
        assert not any(room.meets(other) for other in (*rooms[i + 1 :], *marks))
        for roof in chart.roofs:
            steps = range(2001)
            across = [
                (roof.x1 + (roof.x2 - roof.x1) * s / 2000, roof.y1 + (roof.y2 - roof.y1) * s / 2000) for s in steps
            ]
            assert not any(room.holds(*at) for at in across), (chart.points[i].name, roof.label)
            assert roof.room is None or not room.meets(roof.room)
    assert all(point.at.far == (point.at.room.distance(point.x, point.y) > 12) for point in chart.points)
    assert chart == section(evidence, crowded()).charts[place]


def test_kernels_are_named_by_numbers_of_the_table_and_hollow_marks_by_a_legend(evidence):
    few = [kernel(f"gemm_{i}", {"fp32": 10**10}, 10**8 * (i + 1) ** 2, 100_000 * (i + 1)) for i in range(4)]
    few.append(replace(few[0], name="twin"))
    rates = {"baseline": MEMORY["baseline"], "optimized": counted({"fp32": 5 * 10**10}, 3 * 10**9, 10**6, few)}
    found = section(evidence, rates)
    assert [(row.number, row.name) for row in found.kernels] == [
        ("1", "gemm_0"), ("2", "gemm_1"), ("3", "gemm_2"), ("4", "gemm_3"), ("5", "twin")
    ]  # fmt: skip
    by_name = {one.name: (one.x, one.y) for one in found.charts[0].kernels}
    assert {one.text: (one.x, one.y) for one in found.charts[0].numbers} == {
        "1, 5": by_name["twin"], "2": by_name["gemm_1"], "3": by_name["gemm_2"], "4": by_name["gemm_3"]
    }  # fmt: skip
    assert [(key.filled, key.text) for key in found.keys] == [
        (True, "a variant, its work counted"), (False, "a kernel of it; the table beneath names the numbers")
    ]  # fmt: skip
    assert section(evidence, MEMORY).keys == ()
    rooms = [one.at.room for one in (*found.charts[0].numbers, *found.charts[0].points)]
    assert not any(one.meets(two) for i, one in enumerate(rooms) for two in rooms[i + 1 :])
