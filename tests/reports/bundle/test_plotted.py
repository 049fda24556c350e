"""Strips, bars of single numbers and rooflines are held against the evidence too, by nothing that drew them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import pytest
from aisp_prof.profiler.evidence import Evidence
from aisp_prof.reports.bundle.drawing import check_drawing
from aisp_prof.reports.bundle.verification import Check
from aisp_prof.reports.page.document import render_html
from rated import MEMORY, counted, declared, kernel, with_rates

Change = Callable[[str], str]


@pytest.fixture(scope="module")
def rated(samples: ModuleType) -> list[Evidence]:
    """A counted variant of two kernels and a declared one; and a pair without counters, so that there is an overview."""
    flops = {"fp32": 17_179_869_184}
    kernels = [kernel("one", flops, 4 * 10**9, 10**6), kernel("two", flops, 10**9, 10**6)]
    rates = {"baseline": counted(flops, 4 * 10**9, 10**6, kernels), "optimized": declared(10**10, 10**9, 10**6)}
    return [with_rates(samples.sample(), rates), samples.sample()]


def edit(picture: str, pattern: str, new: str, nth: int = 0) -> Change:
    """The n-th of a pattern within the first picture, or table, that begins so."""

    def change(html: str) -> str:
        whole = re.search(rf"{picture}.*?</{picture[1:].split()[0]}>", html, re.DOTALL)
        assert whole is not None
        at = list(re.finditer(pattern, whole[0]))[nth]
        changed = whole[0][: at.start()] + at.expand(new) + whole[0][at.end() :]
        return html[: whole.start()] + changed + html[whole.end() :]

    return change


STRIP, SMALL, ROOF = '<svg class="strip wide', '<svg class="strip small', '<svg class="roofline wide'
TABLE = '<table class="figures'
FORGED: dict[str, tuple[Change, str]] = {
    "a run left out": (edit(STRIP, "<circle[^>]*/>", ""), "dots, by the evidence"),
    "a run that is faster": (edit(STRIP, r'cx="[^"]*', 'cx="150"'), "a dot is drawn at 150"),
    "a median that is faster": (edit(STRIP, r'(class="median[^>]*x1=")[^"]*', r"\g<1>150"), "its medians are drawn"),
    "another axis of runs": (edit(STRIP, r'(class="tick[^>]*>)2<', r"\g<1>1<"), "its axis says 1"),
    "no axis of runs": (lambda h: h.replace('class="tick ', 'class="'), "has no axis"),
    "a picture of runs less": (
        lambda h: re.sub(f"{STRIP}.*?</svg>", "", h, count=1, flags=re.DOTALL),
        "runs 1 pictures",
    ),
    "a run of the overview": (edit(SMALL, r'cx="[^"]*', 'cx="95"'), "overview, row 1"),
    "a row of the overview": (
        lambda h: re.sub(f"{SMALL}.*?</svg>", "", h, count=1, flags=re.DOTALL),
        "overview 1 pictures",
    ),
    "a bar that is longer": (edit(TABLE, r'(f-optimized[^>]*width=")[^"]*', r"\g<1>140"), "optimized: is drawn 140"),
    "a bar of another row": (edit(TABLE, r'(f-baseline[^>]*width=")[^"]*', r"\g<1>1", 1), "row 1, baseline"),
    "a bar left out": (edit(TABLE, r"<rect[^>]*/>", ""), "row 0, baseline: is drawn 0.00"),
    "a row less": (edit(TABLE, r'(?s)<td class="bar">\s*<svg.*?</svg>', "<td>", 1), "by the evidence"),
    "another axis of bars": (edit(TABLE, r">[^<]+</text>", ">99</text>", 1), "their axis says 99"),
    "a bar beside 0": (edit(TABLE, r'(f-optimized[^>]*x=")0', r"\g<1>4"), "does not begin at 0"),
    "a mark nearer its roof": (edit(ROOF, r'(<circle class="f-baseline[^>]*cy=")[^"]*', r"\g<1>60"), "its marks are"),
    "a declared mark filled": (edit(ROOF, 'class="f-ground s-optimized', 'class="f-optimized'), "its marks are"),
    "a mark left out": (edit(ROOF, r'<circle class="f-baseline[^>]*/>', ""), "its marks are"),
    "its roof elsewhere": (edit(ROOF, r'(class="own-roof[^>]*y2=")[^"]*', r"\g<1>100"), "its marks are"),
    "a kernel elsewhere": (edit(ROOF, r'(class="ring[^>]*cx=")[^"]*', r"\g<1>200"), "rings are not the 2 kernels"),
    "a flat roof lower": (
        edit(ROOF, r'(class="roof [^>]*y1=")([^"]*)("[^>]*y2=")\2"', r'\g<1>99\g<3>99"'),
        "its flat roofs",
    ),
    "a roof left out": (edit(ROOF, r'<line class="roof s-soft[^>]*/>', ""), "its flat roofs"),
    "a slope that is steeper": (edit(ROOF, r'(class="roof [^>]*y1=")[^"]*', r"\g<1>200"), "its slope is at"),
    "another axis of bytes": (edit(ROOF, r'(class="tick-x[^>]*>)10<', r"\g<1>20<"), "its axis says 20"),
    "another axis of rates": (edit(ROOF, r'(class="tick-y[^>]*>)10\u00a0T', "\\g<1>20\u00a0T"), "its axis says 20"),
    "a roofline less": (lambda h: re.sub(f"{ROOF}.*?</svg>", "", h, count=1, flags=re.DOTALL), "roofline 1 pictures"),
}


def said(html: str, evidences: list[Evidence]) -> list[str]:
    found = check_drawing("page.html", html, evidences)
    return [f"{one.where} {one.what}" for one in found.problems] if isinstance(found, Check) else [found]


@pytest.fixture(scope="module")
def page(rated: list[Evidence]) -> str:
    return render_html("page", rated)


def test_an_honest_page_is_let_through(rated: list[Evidence], page: str) -> None:
    assert said(page, rated) == []
    assert page.count("roofline wide") == 1
    assert said(render_html("page", rated, brief=True), rated) == []
    declared_only = with_rates(rated[1], {"baseline": MEMORY["baseline"]}, ceilings={})
    assert said(render_html("page", [declared_only]), [declared_only]) == []
    empty = replace(rated[1], rates={}, speedup=None)
    assert said(render_html("page", [empty]), [empty]) == []


@pytest.mark.parametrize("what", FORGED)
def test_what_is_drawn_of_values_is_held_against_them(rated: list[Evidence], page: str, what: str) -> None:
    change, why = FORGED[what]
    assert change(page) != page
    assert any(why in one for one in said(change(page), rated)), said(change(page), rated)
