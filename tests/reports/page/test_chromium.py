"""The page in headless Chromium, driven by Playwright: zoom, keyboard, both grounds, phone width, silence, accessibility."""

from __future__ import annotations

import re
import shutil
import statistics
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest
from aisp_prof.profiler.evidence import Evidence, Op, Verdict
from aisp_prof.profiler.expect.check import Checked, Row, Status
from aisp_prof.profiler.expect.files import expectations_folder, read_pair
from aisp_prof.profiler.store.captures import shipped_store
from aisp_prof.reports.catalog import catalog
from aisp_prof.reports.page.document import render_html
from axe_playwright_python.sync_playwright import Axe
from many_lanes import on_streams
from playwright.sync_api import Browser, Page, sync_playwright
from shared import proven

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [pytest.mark.chromium, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH")]

CHART = "svg.timeline.wide"
OPERATIONS = 20_000
FLUID_MS = 100.0
"""What a zoom step may take for the eye to take it for the answer to the key (Nielsen, "Response Times"). Measured: 19 to
91 ms with the wait for the next frame, on two shared cores without a GPU, 2026-11-21."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


class Opened:
    """A page and what it did that nobody saw: requests that left it, and complaints in its console."""

    def __init__(self, browser: Browser, folder: Path, html: str, **options: object) -> None:
        self.requests, self.complaints = list[str](), list[str]()
        path = folder / "page.html"
        path.write_text(html, "utf-8")
        context = browser.new_context(**{"viewport": {"width": 1100, "height": 1400}, **options})  # type: ignore[arg-type]
        self.page: Page = context.new_page()
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(path.as_uri())

    @property
    def outside(self) -> list[str]:
        return [url for url in self.requests if not url.startswith(("file:", "data:"))]

    def marks(self) -> str:
        return str(self.page.eval_on_selector(f"{CHART} path[data-kind]", "path => path.getAttribute('d')"))


@pytest.fixture
def opened(browser: Browser, tmp_path: Path, evidence: Evidence) -> Iterator[Opened]:
    made = Opened(browser, tmp_path, render_html("ch11", [evidence]))
    yield made
    made.page.context.close()


TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def axe(page: Page, *rules: str, without: tuple[str, ...] = ()) -> tuple[list[object], int]:
    """What axe has to say against the page, opened with `bypass_csp`, and how many of its rules the page keeps."""
    asked = {"type": "rule", "values": list(rules)} if rules else {"type": "tag", "values": TAGS}
    off = {rule: {"enabled": False} for rule in without}
    found = Axe().run(page, options={"runOnly": asked, "rules": off, "resultTypes": ["violations"]})
    said = [
        (one["id"], one["help"], [(node["target"], node.get("failureSummary", "")) for node in one["nodes"]][:3])
        for one in found.response["violations"]
    ]
    return said, len(found.response["passes"])


def until(page: Page, condition: Callable[[], bool], limit_ms: int = 5000) -> None:
    """Polled from here: the page's own policy forbids what Playwright would have it evaluate."""
    for _ in range(limit_ms // 20):
        if condition():
            return
        page.wait_for_timeout(20)
    raise AssertionError(f"not within {limit_ms} ms")


def test_keys_zoom_move_visit_and_go_back(opened: Opened) -> None:
    page, whole = opened.page, opened.marks()
    page.focus(CHART)
    page.keyboard.press("+")
    zoomed = opened.marks()
    page.keyboard.press("ArrowRight")
    moved = opened.marks()
    page.keyboard.press(".")
    tip = page.locator(".tip")
    assert tip.is_visible()
    assert re.search(r"[µm]s", tip.inner_text())
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    page.keyboard.press("0")
    assert len({whole, zoomed, moved}) == 3
    assert opened.marks() == whole
    assert opened.complaints == []
    assert opened.outside == []


def test_a_zoom_is_a_link_that_shows_the_same(browser: Browser, tmp_path: Path, evidence: Evidence) -> None:
    """On a page of two pairs, from a file: the second one's view is kept in the address, by which a new tab shows it."""
    made = Opened(browser, tmp_path, render_html("ch11", [evidence, evidence]))
    page, marks = made.page, "#pair-2 svg.timeline.wide path[data-kind]"
    whole = page.locator(marks).first.get_attribute("d")
    page.focus("#pair-2 svg.timeline.wide")
    for key in ("+", "+", "ArrowRight"):
        page.keyboard.press(key)
    zoomed = page.locator(marks).first.get_attribute("d")
    until(page, lambda: "#" in page.url)
    assert re.fullmatch(r"file://.*page\.html#pair-2@\d+-\d+", page.url)
    other = page.context.new_page()
    other.goto(page.url)
    assert zoomed != whole
    assert rounded(other.locator(marks).first.get_attribute("d")) == pytest.approx(rounded(zoomed), abs=0.02)
    assert other.locator("#pair-1 svg.timeline.wide path[data-kind]").first.get_attribute("d") == whole
    assert 0 < other.locator("#pair-2 svg.timeline.wide").bounding_box()["y"] < 1000
    page.keyboard.press("0")
    until(page, lambda: "#" not in page.url)
    for odd in ("pair-2@9-9", "pair-2@5-", "pair-9@1-2", "@", "pair-2@99999999999999999999-1"):
        other.goto(f"{page.url}#{odd}")
    other.goto(f"{page.url}#pair-2@0-999999999999999")
    assert other.locator(marks).first.get_attribute("d") == whole
    assert made.complaints == []


def rounded(path: str | None) -> list[float]:
    return [float(one) for one in re.findall(r"-?\d+(?:\.\d+)?", path or "")]


def test_folded_lanes_unfold_in_place_and_fold_again(browser: Browser, tmp_path: Path, samples: ModuleType) -> None:
    evidence = on_streams(samples, 60)
    made = Opened(browser, tmp_path, render_html("ch11", [evidence]))
    page, lanes = made.page, f'{CHART} rect.f-lane[data-track="1"]'
    before = [one.bounding_box() for one in page.locator(lanes).all()]
    text = page.locator(CHART).inner_html()
    assert sum(box["height"] < 3 for box in before if box) == 58
    page.click("button.unfold")
    after = [one.bounding_box() for one in page.locator(lanes).all()]
    assert all(box and box["height"] > 9 for box in after)
    assert all(one["y"] + one["height"] <= two["y"] for one, two in pairwise(after))
    names = page.locator(f"{CHART} text").all_text_contents()
    assert {f"stream {100 + stream}" for stream in range(60)} <= set(names)
    drawn = page.locator(f'{CHART} path[data-track="1"][data-lane="31"][data-kind="compute"]')
    drawn.scroll_into_view_if_needed()
    operation, lane = drawn.bounding_box(), page.locator(lanes).nth(31).bounding_box()
    assert operation is not None
    assert lane["y"] - 0.5 <= operation["y"] <= operation["y"] + operation["height"] <= lane["y"] + lane["height"] + 0.5
    page.mouse.move(operation["x"] + 2, operation["y"] + operation["height"] / 2)
    row = next(op.row for op in evidence.optimized.timeline if op.stream == 130 and op.kind == "compute")
    assert page.locator(".tip").first.inner_text().endswith(f" {row}")
    page.click("button.unfold")
    assert [one.bounding_box()["height"] for one in page.locator(lanes).all()] == pytest.approx(
        [one["height"] for one in before], abs=0.01
    )
    assert page.locator(CHART).inner_html().count("<text") == text.count("<text")
    assert made.complaints == []


def test_the_chart_is_reached_by_tab_and_the_focus_is_seen(opened: Opened) -> None:
    for _ in opened.page.query_selector_all("a, button, summary, [tabindex]"):
        opened.page.keyboard.press("Tab")
        if opened.page.evaluate(f"document.activeElement === document.querySelector('{CHART}')"):
            break
    outline = opened.page.eval_on_selector(CHART, "chart => getComputedStyle(chart).outlineStyle")
    assert outline not in ("none", "")


def test_the_wheel_scrolls_the_page_and_zooms_only_with_control(opened: Opened) -> None:
    page, whole = opened.page, opened.marks()
    page.set_viewport_size({"width": 1100, "height": 500})
    page.locator(CHART).scroll_into_view_if_needed()
    box = page.locator(CHART).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    before = page.evaluate("scrollY")
    page.mouse.wheel(0, 60)
    until(page, lambda: page.evaluate("scrollY") != before)
    assert opened.marks() == whole
    box = page.locator(CHART).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, max(5, box["y"] + box["height"] / 2))
    page.keyboard.down("Control")
    page.mouse.wheel(0, -120)
    page.keyboard.up("Control")
    until(page, lambda: opened.marks() != whole)


def test_hovering_names_an_operation(opened: Opened) -> None:
    box = opened.page.locator(f"{CHART} path[data-kind]").first.bounding_box()
    assert box is not None
    opened.page.mouse.move(box["x"] + 2, box["y"] + box["height"] / 2)
    assert opened.page.locator(".tip").first.is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_grounds(browser: Browser, tmp_path: Path, evidence: Evidence, scheme: str) -> None:
    made = Opened(browser, tmp_path, render_html("ch11", [evidence]), color_scheme=scheme)
    ground = made.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    body = made.page.evaluate("getComputedStyle(document.body).backgroundColor")
    shown = body if "rgba(0, 0, 0, 0)" in ground else ground
    assert (sum(map(int, re.findall(r"\d+", shown)[:3])) < 200) == (scheme == "dark")
    assert made.complaints == []
    made.page.context.close()


def unqualified(evidence: Evidence) -> Checked:
    """Expectations of which one has the longest outcome that there is."""
    kept = read_pair(expectations_folder(), "h200", "ch20.integrated_kv_cache")
    assert kept is not None
    entry = next(one for one in kept.entries if one.metric.startswith("speedup("))
    row = Row(entry.variant, entry.metric, entry.tier, entry.unit, entry, Status.UNQUALIFIED)
    return Checked("ch11.streams", evidence.capture_id, "h200", evidence.verdict, Status.UNQUALIFIED, (row,))


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("width", [360, 412])
def test_a_phone_need_not_scroll_sideways(
    browser: Browser, tmp_path: Path, evidence: Evidence, width: int, lang: str
) -> None:
    html = render_html("ch11", [evidence], lang, expected={evidence.capture_id: unqualified(evidence)})
    assert catalog(lang)("outcome.unqualified") in html
    made = Opened(browser, tmp_path, html, viewport={"width": width, "height": 800}, is_mobile=True, has_touch=True)
    assert made.page.evaluate("document.documentElement.scrollWidth") <= width
    assert made.page.locator("svg.timeline:visible").count() >= 1
    small = made.page.evaluate(
        "[...document.querySelectorAll('p, td, th, li')].filter(e => e.offsetParent && "
        "parseFloat(getComputedStyle(e).fontSize) < 11).length"
    )
    assert small == 0
    assert made.complaints == []
    made.page.context.close()


@pytest.fixture
def stage(browser: Browser, tmp_path: Path, samples: ModuleType) -> Iterator[Opened]:
    """A page of several pairs, beside its list."""
    html = render_html("ch11", [samples.sample(), samples.judged(Verdict.REFUTED)])
    made = Opened(browser, tmp_path, html, viewport={"width": 1440, "height": 900})
    yield made
    made.page.context.close()


def current(page: Page) -> str | None:
    return page.locator("nav.contents [aria-current]").get_attribute("href")


def test_the_side_list_stays_in_sight_and_marks_where_the_reader_is(stage: Opened) -> None:
    page = stage.page
    listed = page.eval_on_selector_all("nav.contents ol a", "links => links.map(link => link.hash)")
    shown = page.eval_on_selector_all("main [id]:is(article, section)", "places => places.map(place => '#' + place.id)")
    assert len(listed) == len(set(listed))
    assert set(listed) == {"#overview", "#appendix", *(one for one in shown if not one.endswith("-details"))}
    assert current(page) == "#overview"
    page.locator("#pair-2-numbers").evaluate("place => place.scrollIntoView()")
    until(page, lambda: current(page) == "#pair-2-numbers")
    box = page.locator("nav.contents [aria-current]").bounding_box()
    assert box is not None
    assert 0 <= box["y"] < 900
    visible = page.locator("nav.contents ol a:visible").evaluate_all("links => links.map(link => link.hash)")
    assert visible == [one for one in listed if not one.startswith("#pair-1-")]
    page.locator("#pair-1-identity").evaluate("place => place.scrollIntoView()")
    until(page, lambda: (current(page) or "").startswith("#pair-1-"))
    assert stage.complaints == []


def test_a_section_folds_by_keyboard_and_opens_for_a_link_and_for_print(stage: Opened) -> None:
    page = stage.page
    numbers, fold = page.locator("#pair-2-numbers table").first, page.locator("#pair-2-numbers summary")
    fold.focus()
    page.keyboard.press("Enter")
    assert not numbers.is_visible()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert numbers.is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert not numbers.is_visible()
    page.locator("nav.contents a[href='#pair-2']").last.focus()
    page.keyboard.press("Enter")
    page.locator("nav.contents a[href='#pair-2-numbers']").click()
    assert numbers.is_visible()
    page.get_by_role("button", name="Fold all").click()
    assert page.locator("main details[open]").count() == 0
    page.evaluate("location.hash = '#pair-2-gain'")
    until(page, lambda: page.locator("#pair-2-gain table").is_visible())
    assert not numbers.is_visible()


def test_on_a_phone_the_overview_reflows_and_wide_tables_say_so(
    browser: Browser, tmp_path: Path, samples: ModuleType
) -> None:
    html = render_html("ch11", [samples.sample(), samples.judged(Verdict.REFUTED)])
    phone = {"viewport": {"width": 360, "height": 800}, "is_mobile": True, "has_touch": True}
    page = Opened(browser, tmp_path, html, bypass_csp=True, **phone).page
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    cut = page.eval_on_selector_all(
        ".pairs td, .pairs tbody th", "cells => cells.filter(cell => cell.getBoundingClientRect().right > 360).length"
    )
    assert cut == 0
    wide = page.eval_on_selector_all(
        ".scroll",
        "boxes => boxes.filter(box => box.scrollWidth > box.clientWidth)"
        ".map(box => [getComputedStyle(box, '::before').content, box.tabIndex])",
    )
    assert len(wide) > 2
    assert {(text, place) for text, place in wide} == {('"Scroll sideways to see all columns →"', 0)}
    listed = page.locator("nav.contents ol").first
    assert not listed.is_visible()
    page.locator("nav.contents summary").tap()
    page.locator("nav.contents a[href='#pair-2']").last.tap()
    until(page, lambda: current(page) in ("#pair-2", "#pair-2-claims"))
    assert not listed.is_visible()
    assert axe(page)[0] == []
    page.context.close()


def test_without_script_the_page_says_the_same(browser: Browser, tmp_path: Path, evidence: Evidence) -> None:
    html = render_html("ch11", [evidence])
    with_script, without = (
        Opened(browser, tmp_path, html, java_script_enabled=enabled).page.locator("main").inner_text()
        for enabled in (True, False)
    )
    hint = re.compile(r"^.*(?:zoom|Zoom).*$", re.MULTILINE)
    assert hint.sub("", without).split() == hint.sub("", with_script).split()


def test_a_page_cannot_call_out(browser: Browser, tmp_path: Path, evidence: Evidence) -> None:
    """The policy of the page forbids it, whatever stands in it."""
    html = render_html("ch11", [evidence]).replace("</body>", '<img src="https://example.org/x.png"></body>')
    made = Opened(browser, tmp_path, html)
    assert made.page.evaluate("fetch('https://example.org/y').then(() => 'sent', () => 'refused')") == "refused"
    assert len(made.complaints) >= 2
    assert all("Content Security Policy" in text or "Failed to" in text for text in made.complaints), made.complaints
    made.page.context.close()


@cache
def shipped(chapter: str) -> list[Evidence]:
    """The newest capture of each pair of a chapter."""
    newest = {capture.manifest.pair: capture for capture in shipped_store().captures()}
    return [proven(capture.id) for pair, capture in newest.items() if pair.startswith(f"{chapter}.")]


CHAPTERS = sorted({capture.manifest.pair.partition(".")[0] for capture in shipped_store().captures()})


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_no_chapter_has_anything_to_complain_of(browser: Browser, tmp_path: Path, chapter: str, lang: str) -> None:
    """Chromium says in its console what it cannot draw, and each path reaches as far as its data says."""
    made = Opened(browser, tmp_path, render_html(chapter, shipped(chapter), lang))
    charts = made.page.locator(CHART)
    assert charts.count() == len(shipped(chapter)) > 1
    for place in range(charts.count()):
        charts.nth(place).focus()
        for key in ("+", "ArrowRight", ".", "0"):
            made.page.keyboard.press(key)
    short = made.page.evaluate(
        """() => [...document.querySelectorAll("svg.timeline.wide path[data-kind]")].filter(path => {
          const last = path.getAttribute("d").match(/M([\\d.]+) [\\d.]+h([\\d.]+)v[^M]*$/), box = path.getBBox();
          return Math.abs(box.x + box.width - Number(last[1]) - Number(last[2])) > 0.1;
        }).length"""
    )
    assert short == 0
    made.page.set_viewport_size({"width": 400, "height": 800})
    assert made.complaints == []
    assert made.outside == []
    made.page.context.close()


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_nothing_that_axe_knows_of_keeps_anybody_out_of_a_chapter(
    browser: Browser, tmp_path: Path, chapter: str
) -> None:
    """In one language and without colours, which the page with every verdict has all: those are two thirds of the time."""
    made = Opened(browser, tmp_path, render_html(chapter, shipped(chapter)), bypass_csp=True)
    said, kept = axe(made.page, without=("color-contrast",))
    assert said == []
    assert kept > 20
    made.page.context.close()


def test_geometry_that_is_cut_makes_chromium_complain(browser: Browser, tmp_path: Path, evidence: Evidence) -> None:
    """Else the test above shows nothing."""
    html = re.sub(r'd="(M[^"]{30})[^"]*"([^>]*data-kind)', r'd="\1…"\2', render_html("ch11", [evidence]), count=1)
    made = Opened(browser, tmp_path, html)
    assert any("attribute d" in text for text in made.complaints)
    made.page.context.close()


def crowded(evidence: Evidence, count: int) -> Evidence:
    """The evidence with `count` operations in its drawn iterations, evenly on the streams that it has."""

    def filled(timeline: tuple[Op, ...], most: int) -> tuple[Op, ...]:
        begin, end = min(op.start for op in timeline), max(op.end for op in timeline)
        step = max(2, (end - begin) // most)
        return tuple(
            replace(timeline[k % len(timeline)], start=begin + k * step, end=begin + k * step + step - 1, row=k + 1)
            for k in range(most)
        )

    each = count // 2
    return replace(
        evidence,
        baseline=replace(evidence.baseline, timeline=filled(evidence.baseline.timeline, each)),
        optimized=replace(evidence.optimized, timeline=filled(evidence.optimized.timeline, each)),
    )


def test_twenty_thousand_operations_stay_fluid(browser: Browser, tmp_path: Path, evidence: Evidence) -> None:
    made = Opened(browser, tmp_path, render_html("ch11", [crowded(evidence, OPERATIONS)]))
    held = made.page.evaluate(
        "JSON.parse(document.getElementById('pair-1-replay').textContent).tracks"
        ".flatMap(track => track.lanes).reduce((all, lane) => all + lane.length, 0)"
    )
    assert held == OPERATIONS
    steps = made.page.evaluate(
        """async () => {
          const chart = document.querySelector("svg.timeline.wide"), times = [];
          for (const key of ["+", "+", "ArrowRight", "ArrowRight", "+", "+", "+", ".", "-", "-", "-", "-", "-", "0"]) {
            const begun = performance.now();
            chart.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
            chart.getBoundingClientRect();
            await new Promise(requestAnimationFrame);
            times.push(performance.now() - begun);
          }
          return times;
        }"""
    )
    print(f"zoom steps on {OPERATIONS} operations, ms: {[round(step, 1) for step in steps]}")
    assert statistics.median(steps) < FLUID_MS
    assert max(steps) < 5 * FLUID_MS
    made.page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("lang", ["en", "ko"])
def test_nothing_that_axe_knows_of_keeps_anybody_out(
    browser: Browser, tmp_path: Path, samples: ModuleType, lang: str, scheme: str
) -> None:
    """axe-core: WCAG 2.2 A and AA and its best practices, on a page with every verdict, in both languages, its colours on both
    grounds.
    """
    html = render_html("ch11", [samples.judged(verdict) for verdict in Verdict], lang)
    made = Opened(browser, tmp_path, html, color_scheme=scheme, bypass_csp=True)
    said, kept = axe(made.page, *(["color-contrast"] if scheme == "dark" else []))
    assert said == []
    assert kept == 1 if scheme == "dark" else kept > 20
    made.page.context.close()
