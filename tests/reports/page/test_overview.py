"""The first page of a stage: what ran, the best and the worst, what was not shown, and that no pair without a gain is a win."""

from __future__ import annotations

import re
from dataclasses import replace
from types import ModuleType

import pytest
from aisp_prof.profiler.evidence import Evidence, Finding, Verdict
from aisp_prof.reports.catalog import LANGUAGES, catalog
from aisp_prof.reports.page.claims import MOST_CLAIMS, outcome, told_first
from aisp_prof.reports.page.document import render_html
from aisp_prof.reports.page.overview import overview
from aisp_prof.reports.page.view import proof
from aisp_prof.reports.terminal.console import told
from msgspec import structs

EN = catalog("en")


def at(evidence: Evidence, value: float, claimed: float, comparison: str = ">=") -> Evidence:
    """The pair with this speedup, known to a thousandth, and this claim on it."""
    assert evidence.speedup is not None
    speedup = replace(evidence.speedup, value=value, low=value - 0.001, high=value + 0.001)
    claim = replace(
        evidence.claims[0],
        text=f"speedup {comparison} {claimed}",
        comparison=comparison,
        threshold=claimed,
        measured=value,
    )
    return replace(evidence, speedup=speedup, claims=(claim, *evidence.claims[1:]))


def bounded(evidence: Evidence) -> Evidence:
    """One that claims no difference, from both sides, and shows it."""
    below = at(evidence, 1.0, 0.95)
    above = replace(below.claims[0], text="speedup <= 1.05", comparison="<=", threshold=1.05)
    return replace(below, claims=(*below.claims, above))


def titled(evidence: Evidence, title: str) -> Evidence:
    declaration = replace(evidence.manifest.declaration, title={"en": title})
    return replace(evidence, manifest=structs.replace(evidence.manifest, declaration=declaration))


def of(*evidences: Evidence) -> dict[str, Evidence]:
    return {f"pair-{place}": one for place, one in enumerate(evidences, 1)}


def test_what_is_no_win_is_counted_as_what_it_is(evidence: Evidence, samples: ModuleType) -> None:
    same, lost = bounded(evidence), at(evidence, 1.0, 0.98)
    pairs = (evidence, same, lost, samples.judged(Verdict.REFUTED), samples.judged(Verdict.UNPROVEN))
    assert [outcome(one) for one in pairs] == ["proven", "alike", "not_slower", "refuted", "unproven"]
    shown = overview(of(*pairs), {}, EN)
    assert shown.title == (
        "1 of 5 pairs proven; 1 no difference, as claimed; 1 not slower, as claimed; 1 refuted; 1 unproven"
    )
    assert [row.verdict_word for row in shown.rows[1:3]] == ["No difference, as claimed", "Not slower, as claimed"]


def test_the_terminal_says_it_too(evidence: Evidence) -> None:
    assert told(at(evidence, 1.0, 0.98), EN) == "NOT SLOWER, AS CLAIMED"
    assert told(bounded(evidence), EN) == "NO DIFFERENCE, AS CLAIMED"
    assert told(evidence, EN) == "PROVEN"


@pytest.mark.parametrize(("value", "claimed"), [(1.30, 0.98), (1.0, 1.02)])
def test_a_gain_beside_a_claim_of_none_and_a_claim_of_a_gain_are_told_as_ever(
    evidence: Evidence, value: float, claimed: float
) -> None:
    assert outcome(at(evidence, value, claimed)) == Verdict.PROVEN


def test_the_best_and_the_least_are_of_pairs_that_claim_a_gain(evidence: Evidence, samples: ModuleType) -> None:
    named = [
        titled(one, title)
        for title, one in {
            "Big": at(evidence, 9.0, 2.0),
            "Small": at(evidence, 1.2, 1.1),
            "Same": bounded(evidence),
        }.items()
    ]
    first, second, third = overview(of(*named), {}, EN).summary
    assert first == "Most: Big, 9.00× (8.999× to 9.001×). Least: Small, 1.20× (1.199× to 1.201×)."
    assert second == f"Of {sum(len(one.claims) for one in named)} claims 16 are proven."
    assert third == "Times come from the trace in 3 pairs and from an untraced run in 0; 3 of 3 traces are complete."
    assert "Refuted: " in overview(of(samples.judged(Verdict.REFUTED), evidence), {}, EN).summary[0]


def test_no_pair_is_named_beside_a_sentence_about_another(evidence: Evidence) -> None:
    """Of one kind of finding the worst is told, and its numbers are no other pair's."""

    def off_by(percent: float) -> Evidence:
        values = {"variant": "compiled", "percent": percent, "band_percent": 5}
        return replace(evidence, caveats=(Finding("flops_disagree", values),))

    html = render_html("ch20", [off_by(498), off_by(9), off_by(498)])
    (item,) = re.findall(r"<li><strong.*?</li>", html[: html.index("<article")])
    said, alike = item.split("likewise, with numbers of their own:")
    assert "compiled: the counted FLOPs differ from the declared ones by 498%" in said
    assert [re.findall(r'href="#(pair-\d)"', part) for part in (said, alike)] == [["pair-1", "pair-3"], ["pair-2"]]


def test_what_was_not_shown_is_named_at_its_worst_with_its_pairs(evidence: Evidence) -> None:
    def perturbed(percent: float) -> Finding:
        return Finding("perturbed", {"variant": "optimized", "percent": percent, "band_percent": 5})

    missing = Finding("events_missing", {"stated": 10, "found": 9}, "range")
    clean = replace(evidence, caveats=(Finding("same_engine_bound", {"ms": 4.99}),))  # no doubt, but a limit of gain
    page = proof(clean, EN, "pair-1")
    assert page.doubts == () != page.caveats
    pairs = of(
        replace(clean, caveats=(perturbed(7), perturbed(9))), replace(clean, caveats=(perturbed(60), missing)), clean
    )
    doubts = overview(pairs, {}, EN).doubts
    assert [doubt.text for doubt in doubts] == [
        "The trace states 10 events and holds 9.",
        "Tracing changed the optimized iteration by 60%; the pair accepts 5%.",
    ]
    assert [[anchor for anchor, _ in doubt.pairs] for doubt in doubts] == [["pair-2"], ["pair-2"]]
    assert [[anchor for anchor, _ in doubt.alike] for doubt in doubts] == [[], ["pair-1"]]
    html = render_html("ch11", list(pairs.values()))
    said = re.sub(r"<[^>]*>", "", html.partition("the pair accepts 5%.")[2])
    assert said.lstrip().startswith("streams; likewise, with numbers of their own: streams.")
    assert overview(of(clean, clean), {}, EN).doubts == ()
    assert EN("overview.nothing_limits") in render_html("ch11", [clean, clean])


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_first_page_says_what_ran_where_and_when(evidence: Evidence, lang: str) -> None:
    later = replace(evidence, manifest=structs.replace(evidence.manifest, created_utc="2026-11-25T01:02:03Z"))
    html = render_html("ch11", [evidence, later], lang)
    first = html[html.index('class="overview"') : html.index("<article")]
    for fact in ("NVIDIA H200", "580.159.04", "2026-11-20", "2026-11-25", "c5f0489d2b7f"):
        assert fact in first
    assert re.findall(r'<a class="page" href="#(pair-\d)"></a>', first) == ["pair-1", "pair-2"]


def test_the_claims_of_a_page_are_all_that_are_not_proven_and_the_first_others(evidence: Evidence) -> None:
    numbered = tuple(replace(evidence.claims[1], text=f"kernels == {n}") for n in range(9))
    open_ones = {3: Verdict.UNPROVEN, 8: Verdict.REFUTED}
    claims = [replace(claim, verdict=open_ones.get(n, claim.verdict)) for n, claim in enumerate(numbered)]
    first, further = told_first(replace(evidence, claims=(*claims, evidence.claims[0])))
    assert [claim.text for claim in first] == [*(f"kernels == {n}" for n in (0, 1, 2, 3, 4, 8)), "speedup >= 2.1"]
    assert len(first) == MOST_CLAIMS + len(open_ones)
    assert [claim.text for claim in further] == [f"kernels == {n}" for n in (5, 6, 7)]
    assert all(claim.verdict is Verdict.PROVEN for claim in further)


def test_a_brief_report_is_the_whole_one_without_its_appendix(evidence: Evidence) -> None:
    whole, brief = (render_html("ch11", [evidence, evidence], brief=short) for short in (False, True))
    assert "Appendix" in whole
    assert "Appendix" not in brief
    assert not set(re.findall(r'href="#([^"]+)"', brief)) - set(re.findall(r'id="([^"]+)"', brief))
    assert "Witnesses." not in brief
    assert brief.count("<article") == 2


def test_links_lead_to_the_appendix_and_back(evidence: Evidence) -> None:
    html = render_html("ch11", [evidence, evidence])
    assert not set(re.findall(r'href="#([^"]+)"', html)) - set(re.findall(r'id="([^"]+)"', html))
    page, appendix = (
        html[html.index("<article") : html.index('class="appendix"')],
        html[html.index('class="appendix"') :],
    )
    for place in (1, 2):
        assert f'<a href="#pair-{place}-details">' in page
        assert f'<a href="#pair-{place}">' in appendix


@pytest.mark.parametrize("pairs", [1, 2])
def test_pairs_without_evidence_are_named(evidence: Evidence, pairs: int) -> None:
    html = render_html("ch11", [evidence] * pairs, missing=["ch11.absent", "ch11.damaged"])
    before = html[html.index("<main") : html.index("<article")]
    assert "nothing is shown: ch11.absent, ch11.damaged." in before
    assert ("2 of 4 pairs proven; 2 without evidence" in before) == (pairs > 1)
