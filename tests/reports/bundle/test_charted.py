"""Bars and claims left open are held against the evidence too, by nothing that drew them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import pytest
from aisp_prof.profiler.evidence import Evidence, GainTerm, Step, Verdict
from aisp_prof.reports.bundle.drawing import check_drawing
from aisp_prof.reports.bundle.verification import Check
from aisp_prof.reports.page.document import in_order, render_html
from undecided_pair import left_open


def problems(html: str, evidence: Evidence) -> list[str]:
    found = check_drawing("page.html", html, in_order([evidence]))
    assert isinstance(found, Check), found
    return [f"{one.where} {one.what}" for one in found.problems]


@pytest.fixture(scope="module")
def open_claims(samples: ModuleType) -> Evidence:
    evidence = left_open(samples, ("speedup >= 2.17", "median optimized.busy(compute) <= 2 ms", "speedup >= 2.0"))
    assert [claim.verdict for claim in evidence.claims] == [Verdict.UNPROVEN, Verdict.UNPROVEN, Verdict.PROVEN]
    return evidence


@pytest.fixture(scope="module")
def staged(samples: ModuleType) -> Evidence:
    """A step that saves, one that saves nothing, one that loses."""
    evidence = samples.sample()
    whole = evidence.speedup.baseline_ns - evidence.speedup.optimized_ns
    saved = {"first": whole + 400_000, "same": 0, "optimized": -400_000}
    steps = tuple(Step(name, "before", ns, evidence.speedup, ()) for name, ns in saved.items())
    between = tuple(replace(evidence.optimized, name=name) for name in ("first", "same"))
    gain = (
        GainTerm("idle", 2_000_000),
        GainTerm("copy", -900_000),
        GainTerm("memset", 0),
        GainTerm("total", 1_100_000),
    )
    text = {name: {"en": "a variant", "ko": "변형"} for name in ("baseline", "first", "same", "optimized")}
    declaration = replace(evidence.manifest.declaration, variants=text)
    manifest = evidence.manifest.changed(declaration=declaration.to_json())
    return replace(evidence, manifest=manifest, steps=steps, between=between, gain=gain)


def edit(pattern: str, new: str, nth: int = 0) -> Callable[[str], str]:
    def change(html: str) -> str:
        at = list(re.finditer(pattern, html))[nth]
        return html[: at.start()] + at.expand(new) + html[at.end() :]

    return change


def inside(table: str, pattern: str, new: str, nth: int = 0) -> Callable[[str], str]:
    def change(html: str) -> str:
        whole = re.search(rf'<table class="{table}">.*?</table>', html, re.DOTALL)
        return html[: whole.start()] + edit(pattern, new, nth)(whole[0]) + html[whole.end() :]

    return change


def test_each_pair_of_a_page_has_its_own_and_a_brief_page_none(open_claims: Evidence, staged: Evidence) -> None:
    """What lies beneath stands in the appendix, after all pairs."""
    every = in_order([staged, open_claims, replace(staged, gain=())])
    found = check_drawing("page.html", render_html("page", every), every)
    assert isinstance(found, Check), found
    assert found.problems == ()
    assert problems(render_html("page", [staged], brief=True), staged) == []


OPEN: dict[str, tuple[Callable[[str], str], str]] = {
    "a dot left out": (edit(r'(<svg class="undecided.*?)<circle[^>]*/>', r"\1"), "dots"),
    "another threshold": (edit(r'(class="threshold[^>]*x1=")[^"]*', r"\g<1>400"), "its threshold is drawn"),
    "another interval": (edit(r'(class="interval[^>]*width=")[^"]*', r"\g<1>9"), "its interval is drawn"),
    "another axis": (edit(r'data-lowest="[^"]*', 'data-lowest="1"'), "dots"),
    "a claim less": (edit(r'<svg class="undecided wide.*?</svg>', ""), "are drawn, by the evidence"),
    "another claim's picture": (edit(r'(class="undecided[^>]*data-claim=")0', r"\g<1>2"), "are drawn, by the evidence"),
}
STAGED: dict[str, tuple[Callable[[str], str], str]] = {
    "a step that is longer": (inside("waterfall", r'(points=")[\d.]+', r"\g<1>1"), "row 1"),
    "a loss drawn as saved": (inside("waterfall", "f-ground s-step", "f-step"), "points the other way"),
    "a step left out": (inside("waterfall", r"<polygon[^>]*/>", ""), "nothing is drawn"),
    "a row's bar less": (inside("waterfall", r'<td class="bar"><svg.*?</svg>', "<td>", 2), "bars of the waterfall are"),
    "another axis above": (inside("waterfall", r">5<", ">6<"), "their axis says 6"),
    "no axis above": (inside("gain", r'<td class="bar"><svg.*?</svg>', "<td>"), "have no axis"),
    "a term that is shorter": (inside("gain", r'(points=")[\d.]+', r"\g<1>238"), "bars of the gain row 1"),
    "what is left, longer": (inside("gain", r'(<rect[^>]*width=")[^"]*', r"\g<1>240", 1), "bars of the gain row 3"),
    "a table less": (edit(r'<table class="gain">.*?</table>', ""), "there should be those of"),
}


@pytest.mark.parametrize("what", OPEN)
def test_what_is_drawn_of_an_open_claim_is_held_against_its_values(open_claims: Evidence, what: str) -> None:
    _found(open_claims, *OPEN[what])


@pytest.mark.parametrize("what", STAGED)
def test_bars_are_held_against_the_steps_and_terms(staged: Evidence, what: str) -> None:
    _found(staged, *STAGED[what])


def _found(evidence: Evidence, change: Callable[[str], str], said: str) -> None:
    html = render_html("page", [evidence]).replace("\n", " ")
    assert problems(html, evidence) == []
    assert change(html) != html
    assert any(said in one for one in problems(change(html), evidence)), problems(change(html), evidence)
