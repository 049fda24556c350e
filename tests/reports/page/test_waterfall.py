"""A staged pair's page: a row a step, sums that close, and nothing where steps may not be compared."""

from __future__ import annotations

from dataclasses import replace

import pytest
from aisp_prof.profiler.evidence import Evidence
from aisp_prof.profiler.manifest import Manifest
from aisp_prof.profiler.proof.prove import prove
from aisp_prof.reports.catalog import catalog
from aisp_prof.reports.page.document import render_html
from aisp_prof.reports.page.waterfall import waterfall
from pair_trace import manifest, overlapped, run_pair, serial, text
from trace_builder import TraceBuilder


@pytest.fixture
def staged(tmp_path) -> Evidence:
    """Four chunks in turn, two in turn, then two side by side; the last step's caption is hostile."""
    variants = (
        ("baseline", serial),
        ("halved", lambda p, at, wobble: serial(p, at, wobble, 2)),
        ("optimized", lambda p, at, wobble: overlapped(p, at, wobble, 2)),
    )
    trace = TraceBuilder()
    run_pair(trace, order="ABCCBA", variants=variants)
    data = manifest(["speedup >= 2", "speedup(baseline, halved) >= 1.5"])
    data["declaration"]["variants"] = {
        "baseline": text("four chunks"),
        "halved": text("two chunks"),
        "optimized": text("<script>two</script> streams"),
    }
    return prove(Manifest.from_json(data), trace.write(tmp_path / "t.sqlite"))


def test_a_row_a_variant_with_its_own_speedup(staged):
    table = waterfall(staged, catalog("en"))
    assert [row.label for row in table.rows] == ["baseline", "halved", "optimized"]
    assert [row.change for row in table.rows] == ["", "−0.52", "−0.16"]
    assert (table.whole, table.closes) == ("−0.68", True)
    assert table.rows[1].faster.startswith("2.00×")
    assert [row.counts[0] for row in table.rows] == ["4", "2", "2"]


def test_bars_hang_below_one_another(staged):
    first, *steps = waterfall(staged, catalog("en")).rows
    assert (first.bar.start, first.bar.end) == (0.0, 1.0)
    for above, below in zip((first, *steps), steps, strict=False):
        assert below.bar.end == pytest.approx(above.bar.start if above is not first else 1.0, abs=1e-4)


def test_a_step_that_lost_time_rises(staged):
    steps = (replace(staged.steps[0], saved_ns=-100_000), staged.steps[1])
    rows = waterfall(replace(staged, steps=steps), catalog("en")).rows
    assert not rows[1].bar.saved
    assert rows[1].bar.sign == "+"
    assert rows[1].bar.end == 1.0


def test_sums_that_do_not_close_are_said(staged):
    steps = (replace(staged.steps[0], saved_ns=staged.steps[0].saved_ns + 1), staged.steps[1])
    broken = replace(staged, steps=steps)
    assert not waterfall(broken, catalog("en")).closes
    assert catalog("en")("waterfall.open") in render_html("ch11", [broken])


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_the_page_shows_the_steps_and_escapes_them(staged, lang):
    page = render_html("ch11", [staged], lang)
    assert catalog(lang)("waterfall.title") in page
    assert "&lt;script&gt;two&lt;/script&gt;" in page


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_only_up_to_the_optimized_variant_each_is_said_to_add_a_change(staged, lang):
    say, beyond = catalog(lang), replace(staged, beyond=(staged.baseline,))
    assert waterfall(staged, say).about == say("waterfall.about")
    assert waterfall(beyond, say).about == say("waterfall.about_to", variant="optimized") != say("waterfall.about")


def test_a_pair_without_steps_has_no_such_table(evidence):
    assert waterfall(evidence, catalog("en")) is None
    assert catalog("en")("waterfall.title") not in render_html("ch11", [evidence])


@pytest.mark.parametrize(("lang", "said"), [("en", "3 of 7 proposed, by time"), ("ko", "제안된 7개 중 3번째")])
def test_what_a_library_chose_stands_beside_its_step(staged, lang, said):
    chosen = {"algorithm": 66, "tile": "<b>256x128", "stages": "64x4", "cluster": "2x1x1", "workspace": 4}
    runs = {"traced": {"chosen": {"halved": {**chosen, "rank": 3, "candidates": 7}}}}
    declared = staged.manifest.declaration.to_json()
    told = Manifest.from_json({**manifest([]), "declaration": declared, "runs": runs})
    first, halved, last = waterfall(replace(staged, manifest=told), catalog(lang)).rows
    assert "64x4" in halved.note
    assert said in halved.note
    assert "64x4" not in first.note + last.note
    page = render_html("ch11", [replace(staged, manifest=told)], lang)
    assert "66" in halved.note
    assert "&lt;b&gt;256x128" in page
