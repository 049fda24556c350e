"""The section of a page that holds a pair against what is expected of it on its hardware."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from aisp_prof.profiler.expect.check import Status, held_against
from aisp_prof.profiler.expect.files import expectations_folder
from aisp_prof.profiler.expect.observe import Observed, observe
from aisp_prof.profiler.store.captures import shipped_store
from aisp_prof.reports.catalog import catalog
from aisp_prof.reports.page.document import render_html

PAIR = "ch11.streams"


@pytest.fixture(scope="module")
def observed() -> Observed:
    capture = shipped_store().newest(PAIR)
    assert capture is not None
    return observe(capture)


@pytest.fixture
def section(observed: Observed, tmp_path: Path) -> Callable[..., list[str]]:
    """The section's texts, its title first, then cell by cell; nothing where there is no such section."""

    def of(change: Callable[[Any], None] | None = None, lang: str = "en", key: str = "h200") -> list[str]:
        data = json.loads((expectations_folder() / "h200" / "ch11.json").read_text("utf-8"))
        if change:
            change(data["pairs"][PAIR])
        path = tmp_path / key / "ch11.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({**data, "hardware_key": key}))
        expected = {observed.capture: held_against(observed, PAIR, tmp_path)}
        return texts(render_html("ch11", [observed.evidence], lang, expected=expected))

    return of


def texts(html: str) -> list[str]:
    title = r"Against expectations\.|기대치와의 비교\."
    for part in re.findall(r"<section.*?</section>", html, flags=re.DOTALL):
        if re.search(title, part):
            words = re.split(r"\s*<[^>]+>\s*", re.sub(r"<svg.*?</svg>", "", part, flags=re.DOTALL))
            return [unescape(word).replace("\u00a0", " ") for word in words if word.strip()]
    return []


def bound(pair: Any, variant: str, metric: str, tier: str = "trace") -> Any:
    (entry,) = (e for e in pair["entries"] if (e["variant"], e["metric"], e["tier"]) == (variant, metric, tier))
    return entry["bound"]


def test_times_and_speedup_are_told_and_the_others_counted(section: Callable[..., list[str]]) -> None:
    found = section()
    entries = json.loads((expectations_folder() / "h200" / "ch11.json").read_text("utf-8"))["pairs"][PAIR]["entries"]
    count = len(entries)
    assert found[1] == f"Of what this pair must show on h200, {count} of {count} hold."
    rows = [found[i : i + 5] for i in range(6, 21, 5)]
    assert [row[0] for row in rows] == ["baseline.iteration", "optimized.iteration", "speedup"]
    assert {(row[1], row[4]) for row in rows} == {("traced", "met")}
    least = bound({"entries": entries}, "", "speedup")["low"]
    assert rows[2][2:4] == [f"≥ {least:.2f}×", "2.20×"]
    assert found[-1] == f"The {count - 3} others hold."


def test_what_regressed_is_told_whatever_it_is(section: Callable[..., list[str]]) -> None:
    def tighter(pair: Any) -> None:
        bound(pair, "optimized", "iteration")["high"] = 5.0e6
        bound(pair, "baseline", "kernels_per_iteration").update(low=17, high=17)

    found = section(tighter)
    assert re.fullmatch(r"Of what this pair must show on h200, (\d+) of (\d+) hold\.", found[1])
    held, count = map(int, re.findall(r"\d+", found[1])[1:])
    assert held == count - 2
    assert found[found.index("optimized.iteration") + 4] == "regressed"
    assert found[found.index("baseline.kernels_per_iteration") + 2 :][:3] == ["= 17", "16", "regressed"]


def test_of_other_conditions_nothing_is_told(section: Callable[..., list[str]]) -> None:
    found = section(lambda pair: pair["context"].update(driver="570"))
    assert len(found) == 2
    assert found[1].startswith("What this pair must show on h200 is of other conditions: driver")


def test_nothing_expected_is_said(section: Callable[..., list[str]]) -> None:
    assert section(key="b200")[1:] == [
        'Nothing is expected of this pair on h200 yet → aisp-prof expect update ch11:streams --reason "…" --write'
    ]


def test_in_korean(section: Callable[..., list[str]]) -> None:
    found = section(lang="ko")
    assert found[0] == "기대치와의 비교."
    assert "충족" in found


def test_a_page_that_nobody_held_against_anything_says_nothing(observed: Observed) -> None:
    assert texts(render_html("ch11", [observed.evidence])) == []


@pytest.mark.parametrize(("lang", "word"), [("en", "accepted"), ("ko", "승인됨")])
def test_an_accepted_regression_is_told_as_one(section: Callable[..., list[str]], lang: str, word: str) -> None:
    """As one of a bound that stands; of another one nothing is accepted."""

    def accepted(pair: Any) -> None:
        kernels = bound(pair, "optimized", "kernels_per_iteration")
        seen = kernels["high"]
        kernels.update(low=seen - 1, high=seen - 1)
        told = dict.fromkeys(("capture", "created_utc", "since", "by", "reason"), "x")
        number = {"variant": "optimized", "metric": "kernels_per_iteration", "tier": "trace", "unit": "count"}
        allowed = {"kind": "range", "low": seen - 1, "high": seen}
        pair["accepted"] = [{**number, **told, "value": seen, "expected": {**kernels}, "bound": allowed}]

    def refused(pair: Any) -> None:
        accepted(pair)
        pair["accepted"][0]["expected"].update(low=0, high=0)  # of another bound: it says nothing of this one

    assert word in section(accepted, lang)
    assert word not in section(refused, lang)


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("status", [one for one in Status if one not in (Status.REFUTED, Status.INVALID)])
def test_whatever_may_become_of_an_expectation_has_words(status: Status, lang: str) -> None:
    """A whole capture may be refuted or invalid too, one number of it not."""
    assert catalog(lang)(f"outcome.{status.value}")
