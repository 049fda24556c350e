"""The document: its order, its verdicts, its languages, and that it loads nothing."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from aisp_prof.errors import CannotTell, UsageError
from aisp_prof.profiler.evidence import Evidence, Finding, Verdict
from aisp_prof.reports.page.document import render_html
from aisp_prof.reports.terminal.console import summary
from msgspec import structs

GOLDEN = Path(__file__).with_name("golden")


def text_of(html: str) -> str:
    """The words of the document without markup, style, scripts, pictures' titles and the side list."""
    body = re.sub(r"<(style|script|title|nav)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", body)).replace("&#34;", '"')


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_the_page_is_the_golden_page(evidence: Evidence, lang: str) -> None:
    """Regenerate after looking at the page: AISP_UPDATE_GOLDEN=1 pytest tests/reports/page/test_page.py"""
    html = render_html("ch11", [evidence], lang)
    found = html[html.index("<main>") : html.index("</main>")]
    golden = GOLDEN / f"proven.{lang}.html"
    if os.environ.get("AISP_UPDATE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(found, "utf-8")
    assert found == golden.read_text("utf-8")


def test_two_renderings_are_equal(samples: ModuleType) -> None:
    assert render_html("ch11", [samples.sample()]) == render_html("ch11", [samples.sample()])


def test_the_document_names_nothing_to_load(evidence: Evidence) -> None:
    html = render_html("ch11", [evidence])
    assert not re.search(
        r"""(?:src|href|action|poster|data)\s*=\s*["']?(?!#)[a-z/]""", re.sub("data-[a-z]+=", "", html)
    )
    assert "@import" not in html
    assert {url[:23] for url in re.findall(r"url\(([^)]*)", html)} == {'"data:font/woff2;base64'}
    assert set(re.findall(r"https?://[^\s\"'<]*", html)) <= {"http://www.w3.org/2000/svg"}


def test_the_policy_allows_only_the_pages_own_style_and_script(evidence: Evidence) -> None:
    html = render_html("ch11", [evidence])
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert policy[1].startswith("default-src &#39;none&#39;; ")
    for tag in ("style", "script"):
        inner = re.search(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        assert inner is not None
        digest = base64.b64encode(hashlib.sha256(inner[1].encode()).digest()).decode()
        assert f"{tag}-src &#39;sha256-{digest}&#39;" in policy[1]
    assert "unsafe" not in policy[1]


def test_the_order_is_that_of_a_proof(evidence: Evidence) -> None:
    text = text_of(render_html("ch11", [evidence]))
    parts = [
        "Streams and overlap",
        "Proven",
        "Four streams finish the same iteration 2.18× as fast as one.",
        "Claimed against measured.",
        "Every run.",
        "Why.",
        "The numbers.",
        "What could make this wrong",
        "Appendix",
        "Where the time went.",
        "Every launch accounted for.",
        "Witnesses.",
        "Why it matters, and what to do.",
        "Check it yourself",
        "What this page rests on",
        "Terms.",
    ]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_the_proof_states_n_and_the_interval(evidence: Evidence) -> None:
    text = text_of(render_html("ch11", [evidence]))
    assert "Claimed: at least 2.10×. Measured in this session: 2.18×, 95% interval 2.18× to 2.19×." in text
    assert "(n = 20)" in text
    assert "The trace is complete. 6,184 events stated, 6,184 found." in text


def test_a_reader_can_check_it(evidence: Evidence) -> None:
    text = text_of(render_html("ch11", [evidence]))
    assert f"aisp-prof report --stage ch11:streams --capture {evidence.capture_id}" in text
    assert "aisp-prof capture ch11:streams" in text
    witness = evidence.optimized.witnesses[0]
    assert f"from {witness.a.table} where rowid = {witness.a.row} union all" in text
    assert all(entry.sha256 in text for entry in evidence.manifest.files.values())


@pytest.mark.parametrize(
    ("verdict", "headline"),
    [
        (Verdict.PROVEN, "Four streams finish the same iteration 2.18× as fast as one."),
        (Verdict.REFUTED, "Four streams finish the same iteration 0.84× as fast as one."),
        (Verdict.UNPROVEN, "This capture cannot tell whether “One stream against four” delivers what it claims."),
        (Verdict.INVALID, "The results of “One stream against four” cannot be trusted, so no speedup is stated."),
        (Verdict.UNSUPPORTED, "This hardware lacks what “One stream against four” needs, so nothing was measured."),
    ],
)
def test_each_verdict_has_its_sentence_and_its_mark(samples: ModuleType, verdict: Verdict, headline: str) -> None:
    html = render_html("ch11", [samples.judged(verdict)])
    assert f"<title>ch11: {headline}</title>" in html
    shown = re.search(r'<p class="verdict v-(\w+)">', html)
    assert shown is not None
    assert shown[1] == verdict


@pytest.mark.parametrize(
    ("value", "low", "high", "noise_floor", "words"),
    [
        (1.004, 0.998, 1.010, 0.001, "no faster than"),  # the interval holds 1
        (1.004, 1.002, 1.006, 0.005, "no faster than"),  # the baseline differs as much from itself
        (0.997, 0.996, 0.998, 0.005, "no faster than"),
        (1.014, 1.012, 1.016, 0.005, "1.01× as fast as"),
        (0.952, 0.950, 0.954, 0.005, "0.95× as fast as"),
    ],
)
def test_a_difference_that_may_be_none_is_no_gain(
    evidence: Evidence, value: float, low: float, high: float, noise_floor: float, words: str
) -> None:
    assert evidence.speedup is not None
    found = replace(evidence.speedup, value=value, low=low, high=high, noise_floor=noise_floor)
    html = render_html("ch11", [replace(evidence, speedup=found)])
    assert f"<title>ch11: Four streams finish the same iteration {words} one.</title>" in html


def test_what_is_compared_with_a_way_has_one_as(evidence: Evidence) -> None:
    pair = evidence.manifest.declaration
    ways = replace(pair, sentence={"en": "Four streams finish the iteration {speedup} than as one stream would."})
    html = render_html("ch11", [replace(evidence, manifest=structs.replace(evidence.manifest, declaration=ways))])
    assert "<title>ch11: Four streams finish the iteration 2.18× as fast as one stream would.</title>" in html


def without_difference(evidence: Evidence, low: float = 0.99, high: float = 1.01, comparison: str = "<=") -> Evidence:
    """The pair as if it claimed that its speedup is at most 1.05, and had shown it."""
    assert evidence.speedup is not None
    bound = replace(evidence.claims[0], comparison=comparison, threshold=1.05, text=f"speedup {comparison} 1.05")
    speedup = replace(evidence.speedup, value=1.0, low=low, high=high)
    return replace(evidence, claims=(evidence.claims[0], bound), speedup=speedup)


@pytest.mark.parametrize(
    ("lang", "word", "sentence"),
    [
        ("en", "No difference, as claimed", "Four streams finish the same iteration in the same time as one."),
        ("ko", "주장대로 차이 없음", "같은 시간에"),
    ],
)
def test_a_claim_of_no_difference_is_no_win(evidence: Evidence, lang: str, word: str, sentence: str) -> None:
    same = without_difference(evidence)
    html = render_html("ch11", [same, evidence], lang)
    assert [
        found.strip() for found in re.findall(r'<td class="v-proven">.*?</svg>\s*([^<]+)</td>', html, re.DOTALL)
    ] == [
        word,
        "Proven" if lang == "en" else "증명됨",
    ]
    assert f"<strong>{word}</strong>" in html
    assert sentence in text_of(html)
    (line, *_) = summary(same, lang)
    assert word.upper() in line
    assert "PROVEN" not in line


@pytest.mark.parametrize(("low", "high", "comparison"), [(0.99, 1.01, ">="), (1.02, 1.08, "<="), (0.90, 1.01, "<=")])
def test_what_differs_or_is_claimed_from_below_alone_is_told_as_ever(
    evidence: Evidence, low: float, high: float, comparison: str
) -> None:
    (line, *_) = summary(without_difference(evidence, low, high, comparison))
    assert line.startswith("ch11.streams  PROVEN  ")


def test_runs_that_count_for_fewer_say_so(evidence: Evidence) -> None:
    claim = replace(evidence.claims[0], metric="span", n=20, low=1.0, high=2.0, autocorrelation=0.6, effective_n=3.7)
    for lang, words in (("en", "20, worth 3"), ("ko", "20 (유효 3)")):
        assert words in text_of(render_html("ch11", [replace(evidence, claims=(claim,))], lang))


def test_a_number_of_this_session_is_called_that(evidence: Evidence) -> None:
    assert "Measured in this session: " in text_of(render_html("ch11", [evidence]))
    assert "이 세션의 측정: " in text_of(render_html("ch11", [evidence], "ko"))


@pytest.mark.parametrize("verdict", [Verdict.UNPROVEN, Verdict.INVALID, Verdict.UNSUPPORTED])
def test_what_is_not_proven_states_no_speedup(samples: ModuleType, verdict: Verdict) -> None:
    text = text_of(render_html("ch11", [samples.judged(verdict)]))
    assert "2.18×" not in text
    assert "as fast as one" not in text


def test_a_wrong_answer_has_no_time(samples: ModuleType) -> None:
    text = text_of(render_html("ch11", [samples.judged(Verdict.INVALID)]))
    assert "12.65 ms" not in text
    assert "The outputs are off by 0.0312; the pair accepts 1e−6." in text


def test_claims_in_a_row_say_their_common_reason_once_below_the_last(evidence: Evidence) -> None:
    moved, engine = (Finding("file_changed", {"file": name}) for name in ("a.sqlite", "b.sqlite"))
    reasons = (moved, moved, None, moved, engine)
    claims = [
        replace(claim, reasons=(reason,) if reason else (), verdict=Verdict.UNPROVEN if reason else Verdict.PROVEN)
        for claim, reason in zip(evidence.claims, reasons, strict=True)
    ]
    judged = replace(evidence, claims=tuple(claims))
    words = [re.search(r"Not as it was captured: (\w)", row) for row in claims_rows(render_html("ch11", [judged]))]
    assert [word and word[1] for word in words] == [None, None, "a", None, None, "a", None, "b"]
    lines = [line for line in summary(judged) if line.startswith("  ") and not line.startswith("  capture")]
    assert [line.rpartition(": ")[2] for line in lines if "Not as" in line] == ["a.sqlite.", "a.sqlite.", "b.sqlite."]
    assert ["Not as" in line for line in lines[:4]] == [False, False, True, False]


def claims_rows(html: str) -> list[str]:
    (body,) = re.findall(r'<table class="claims">.*?<tbody>(.*?)</tbody>', html, flags=re.DOTALL)
    return re.findall(r"<tr.*?</tr>", body, flags=re.DOTALL)


def control(evidence: Evidence, **numbers: float) -> str:
    """The words under "Witnesses" where neither variant has one, and each iteration of both has these numbers."""
    variants = {
        name: replace(variant, witnesses=(), iterations=tuple(replace(i, numbers=numbers) for i in variant.iterations))
        for name, variant in (("baseline", evidence.baseline), ("optimized", evidence.optimized))
    }
    text = text_of(render_html("ch11", [replace(evidence, **variants)]))
    return text[text.index("Witnesses.") : text.index("Why it matters")]


def test_no_overlap_is_said_only_where_none_was_measured(evidence: Evidence) -> None:
    none = control(evidence, overlap=0)
    assert "No two operations of different streams were in flight together" in none
    assert "Control: the baseline has no overlap." in none
    some = control(evidence, overlap=2_500_000)
    assert "No two operations" not in some
    assert "in flight together for 2.50 ms of the optimized iteration" in some
    assert "Control: in the baseline's iteration operations of different streams" in some.replace("&#39;", "'")
    assert control(evidence).count("is not known") == 2


def by_events(evidence: Evidence) -> Evidence:
    assert evidence.speedup is not None
    return replace(evidence, speedup=replace(evidence.speedup, source="events"))


def test_times_of_a_trace_that_the_speedup_does_not_rest_on_are_named(evidence: Evidence) -> None:
    word = "Times here are of the traced run; the speedup is of the untraced one."
    assert text_of(render_html("ch11", [by_events(evidence)])).count(word) == 3
    assert word not in text_of(render_html("ch11", [evidence]))


def test_an_overview_draws_the_runs_that_the_speedup_rests_on(evidence: Evidence) -> None:
    html = render_html("ch11", [evidence, by_events(evidence)])
    rows = re.findall(r"<tr><td class=\"v-.*?</tr>", html, re.DOTALL)
    assert ["untraced" in row for row in rows] == [False, True]


def test_an_overview_states_no_pairs_topic_as_the_stages(evidence: Evidence) -> None:
    html = render_html("ch11", [evidence, evidence])
    assert "Streams and overlap" not in html[html.index('class="overview"') : html.index("</section>")]


def test_one_pair_has_no_overview(evidence: Evidence) -> None:
    assert 'class="overview"' not in render_html("ch11", [evidence])


def test_a_stage_opens_with_its_pairs_refuted_ones_first(samples: ModuleType) -> None:
    html = render_html("ch11", [samples.judged(verdict) for verdict in Verdict])
    rows = re.findall(r'<tr><td class="v-(\w+)">', html)
    assert rows == ["refuted", "invalid", "unproven", "unsupported", "proven"]
    assert "1 of 5 pairs proven" in text_of(html)
    assert re.findall(r'<article class="proof" id="([^"]+)"', html) == [f"pair-{n}" for n in range(1, 6)]
    assert re.findall(r'<th scope="row"><a href="#([^"]+)"', html) == [f"pair-{n}" for n in range(1, 6)]


def test_ids_are_unique(samples: ModuleType) -> None:
    ids = re.findall(r'\sid="([^"]+)"', render_html("ch11", [samples.sample(), samples.sample()]))
    assert len(ids) == len(set(ids))


def test_the_page_speaks_korean(evidence: Evidence) -> None:
    html = render_html("ch11", [evidence], "ko")
    text = text_of(html)
    assert '<html lang="ko">' in html
    assert "스트림 네 개는 같은 반복을 하나보다 2.18배 빠르게 끝냅니다." in text
    assert "주장과 측정." in text


def test_every_picture_is_said_in_words(evidence: Evidence) -> None:
    for picture in re.findall(r"<svg[^>]*>\s*<title>[^<]*</title>|<svg[^>]*>", render_html("ch11", [evidence])):
        assert 'role="img"' in picture
        assert re.search(r'aria-label="[^"]+"', picture)
        assert "<title>" in picture


def test_nothing_to_report_is_said() -> None:
    with pytest.raises(CannotTell, match="ch11 has no capture"):
        render_html("ch11", [])


def test_an_unknown_language_is_refused(evidence: Evidence) -> None:
    with pytest.raises(UsageError):
        render_html("ch11", [evidence], "xx")
