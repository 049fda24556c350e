"""What a bundle's pair claims less than this code's own pair of that name is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aisp_prof.declaration import Declaration
from aisp_prof.errors import UsageError
from aisp_prof.profiler.expect.files import expectations_folder
from aisp_prof.profiler.store.captures import Capture, shipped_store
from aisp_prof.reports.bundle import declared
from aisp_prof.reports.bundle.declared import Own
from aisp_prof.reports.bundle.header import MadeBy, read_maker
from aisp_prof.reports.bundle.layout import Pages
from aisp_prof.reports.bundle.verification import Status, Verification
from aisp_prof.reports.bundle.verify import verify_bundle
from aisp_prof.reports.bundle.write import write_bundle
from aisp_prof.workloads.registry import find, pairs

(KNOWN,) = (pair.declaration for pair in find("ch11:streams"))
FIRST = KNOWN.claims[0]


def weaker(**changes: Any) -> list[str]:
    theirs: Declaration = replace(KNOWN, **changes)
    found = [*declared._claims(theirs, KNOWN), *declared._limits(theirs, KNOWN), *declared._texts(theirs, KNOWN)]
    return [where for where, _ in found]


def test_the_same_is_no_weaker() -> None:
    assert weaker() == []


def claims(first: str) -> list[str]:
    return weaker(claims=(first, *KNOWN.claims[1:]))


@pytest.mark.parametrize("text", ["speedup >= 2.1", "speedup > 2", "speedup  >=  2.00"])
def test_a_claim_that_asks_for_more_is_no_weaker(text: str) -> None:
    assert FIRST == "speedup >= 2.0"
    assert claims(text) == []


@pytest.mark.parametrize(
    "text",
    [
        *("speedup >= 1.9", "speedup > 1.9", "speedup <= 2", "speedup == 2", "optimized.overlap_ratio >= 0.80"),
        *("speedup(baseline, optimized) >= 0.5", "optimized.rate(h2d) >= 45 GB/s"),
    ],
)
def test_a_claim_that_asks_for_less_is_named(text: str) -> None:
    assert claims(text) == ["declaration: claims"]


def test_of_upper_bounds_the_larger_is_weaker() -> None:
    known = "baseline.overlap_ratio <= 0.01"
    for text, found in (("0.005", []), ("0.02", ["declaration: claims"])):
        changed = tuple(f"baseline.overlap_ratio <= {text}" if one == known else one for one in KNOWN.claims)
        assert weaker(claims=changed) == found


def test_a_quantifier_makes_another_claim() -> None:
    changed = tuple(f"any {one}" if one.startswith("optimized.hidden(h2d") else one for one in KNOWN.claims)
    assert weaker(claims=changed) == ["declaration: claims"]


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"tolerance": KNOWN.tolerance * 2}, "declaration: tolerance"),
        ({"perturbation_band": 0.2}, "declaration: perturbation_band"),
        ({"bitwise": False}, "declaration: bitwise"),
        ({"queued": False}, "declaration: queued"),
        ({"attribution": "process"}, "declaration: attribution"),
        ({"sentence": {"en": "9.99 times", "ko": KNOWN.sentence["ko"]}}, "declaration: sentence: en"),
        ({"title": {"en": KNOWN.title["en"]}}, "declaration: title: ko"),
        ({"variants": {**KNOWN.variants, "baseline": {"en": "x"}}}, "declaration: variants: baseline: en"),
    ],
)
def test_limits_and_texts(changes: dict[str, Any], where: str) -> None:
    assert where in weaker(**changes)


@pytest.mark.parametrize("changes", [{"tolerance": KNOWN.tolerance / 2}, {"perturbation_band": 0.01}])
def test_a_tighter_limit_is_no_weaker(changes: dict[str, Any]) -> None:
    assert weaker(**changes) == []


def verified(capture: Capture, target: Path, own: Own | None) -> Verification:
    write_bundle(target, [capture], [], Pages(capture.manifest.declaration.chapter, "en", False), expectations_folder())
    return verify_bundle(target, own=own)


def declared_check(found: Verification) -> Status:
    return next(check.status for check in found.checks if check.name == "declared")


def test_an_older_capture_of_a_pair_that_claims_more_today(tmp_path: Path) -> None:
    """It was proven of what was claimed then; of what is claimed now it proves nothing."""
    oldest = shipped_store().captures("ch11.streams")[-1]
    own = Own({pair.key: pair.declaration for pair in pairs()}, expectations_folder())
    found = verified(oldest, tmp_path / "out.zip", own)
    (problem,) = found.problems
    assert "claims 'optimized.hidden(h2d, d2h) >= 0.70', where this code claims" in problem.what
    assert (declared_check(found), found.verdict.value, found.exit_code) == (Status.UNPROVEN, "proven", 4)
    assert verify_bundle(tmp_path / "out.zip").exit_code == 0  # asked of nobody's pairs
    unknown = verify_bundle(tmp_path / "out.zip", own=Own({}, expectations_folder()))
    assert (declared_check(unknown), unknown.exit_code) == (Status.ABSENT, 0)
    word = next(check.about for check in found.checks if check.name == "word")
    assert "only a signature shows" in word


MADE = {"aisp_prof": "0.1.0", "code_sha256": "0" * 64, "numpy": "2.3.1"}


@pytest.mark.parametrize("version", ["2.3.1", "2.0.0rc1", "1.26.4+cu130", "0.1.dev3"])
def test_a_version_is_a_version(version: str) -> None:
    made = {**MADE, "numpy": version}
    assert read_maker({"schema": 1, "made_by": made, "printer": None}).made_by == MadeBy(**made)


@pytest.mark.parametrize(
    ("made", "printer"),
    [
        ({"numpy": "2.0; audited, 111 times faster"}, None),
        ({"numpy": ""}, None),
        ({"aisp_prof": "0.1.0 (audited)"}, None),
        ({"code_sha256": "audited by ada"}, None),
        ({}, {"versions": {"pango": "audited by ada"}, "fonts": []}),
        ({}, {"versions": {"audited by ada": "1"}, "fonts": []}),
        ({}, {"versions": {"pango": "15012"}, "fonts": ["audited by ada"]}),
    ],
)
def test_free_text_of_a_maker_is_refused(made: dict[str, str], printer: Any) -> None:
    """It was printed beside a check mark."""
    with pytest.raises(UsageError, match=r"made_by|printer"):
        read_maker({"schema": 1, "made_by": {**MADE, **made}, "printer": printer})
