"""Claims on ceilings, floors and shares of iterations, all the way: judged, on the page in both languages, in a bundle that verifies."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from aisp_prof.errors import UsageError
from aisp_prof.profiler.evidence import Verdict
from aisp_prof.profiler.expect.observe import observe
from aisp_prof.profiler.proof.prove import prove_capture
from aisp_prof.profiler.store.captures import Capture
from aisp_prof.profiler.store.manifest import read_manifest
from aisp_prof.reports.bundle.layout import Pages
from aisp_prof.reports.bundle.verify import verify_bundle
from aisp_prof.reports.bundle.write import write_bundle
from aisp_prof.reports.page.document import render_html
from aisp_prof.reports.terminal.console import summary
from pair_trace import US, capture_folder, overlapped, record, run_pair
from trace_builder import TraceBuilder

CLAIMS = (
    "speedup >= 0.6 * bound",
    "optimized.rate(h2d) >= 0.9 * ceiling(h2d)",
    "optimized.time <= 1.5 * floor",
    "optimized.of_floor >= 70%",
    "median optimized.hidden(h2d, d2h) >= 0.5",
    "85% of iterations: optimized.span <= 700us",
    "optimized.rate(d2h) >= 0.5 * ceiling(d2h_pageable)",
)
WORK = 5_000_000


def ceilings():
    """50 GB/s each way, and while both ways run."""
    times = [100 * US, 101 * US] * 10
    rows = [
        {
            "name": name,
            "unit": "byte/s",
            "what": "",
            "work": WORK,
            "value": WORK * 1e9 / (100.5 * US),
            "times_ns": times,
        }
        for name in ("h2d", "d2h", "h2d_both", "d2h_both")
    ]
    return {"gpu": {"uuid": "GPU-a0ae1ff2-b9e3"}, "ceilings": rows, "calibration": None}


@pytest.fixture
def capture(tmp_path: Path) -> Capture:
    trace, ran = TraceBuilder(), []

    def one_is_slow(p, at, wobble):
        ran.append(at)
        return overlapped(p, at, wobble + (60 * US if len(ran) == 4 else 0))

    run_pair(trace, rounds=10, optimized=one_is_slow)
    phases = [{"h2d": WORK}, {"h2d": 3 * WORK, "d2h": 3 * WORK}, {"d2h": WORK}]
    runs = {"traced": {**record(), "phases": {"optimized": phases}}, "untraced": {**record(), "iterations": []}}
    folder = capture_folder(tmp_path / "captures", trace, CLAIMS, runs=runs, ceilings=ceilings())
    return Capture(folder, read_manifest(folder))


def test_every_kind_is_judged(capture: Capture) -> None:
    verdicts = {claim.text: claim.verdict for claim in prove_capture(capture).claims}
    assert verdicts == {**dict.fromkeys(CLAIMS[:6], Verdict.PROVEN), CLAIMS[6]: Verdict.UNPROVEN}


@pytest.mark.parametrize(("lang", "said"), [("en", "Copies d2h ran at"), ("ko", "d2h 복사는")])
def test_the_page_shows_the_worst_iteration_and_what_happened_in_it(capture: Capture, lang: str, said: str) -> None:
    html = render_html("ch11", [prove_capture(capture)], lang)
    text = " ".join(re.sub(r"<[^>]+>", " ", html).split())
    assert said in text
    assert "--ceilings ceilings.json" in text  # the mend of the ceiling that nobody measured
    assert "d2h_pageable" in text
    assert not re.search(r"\b(iterations_beyond|copy_rate_fell|no_ceiling)\b", text)


def test_the_terminal_says_it_too(capture: Capture) -> None:
    lines = "\n".join(summary(prove_capture(capture)))
    assert "It does not hold in 1 of 20 iterations; the worst is number 3" in lines
    assert "Nobody measured the ceiling d2h_pageable on this GPU." in lines


def test_the_json_has_the_ends_of_what_was_measured_and_no_others(capture: Capture) -> None:
    claims = json.loads(json.dumps(prove_capture(capture).to_json(), default=str))["claims"]
    by_text = {claim["text"]: claim for claim in claims}
    ceiling = by_text[CLAIMS[1]]
    assert ceiling["threshold_low"] < ceiling["threshold"] < ceiling["threshold_high"]
    assert "threshold_low" not in by_text[CLAIMS[4]]


def test_a_bundle_of_it_verifies_and_notices_a_ceiling_that_was_changed(capture: Capture, tmp_path: Path) -> None:
    out = tmp_path / "out.zip"
    write_bundle(out, [capture], [], Pages("ch11", "en", False), tmp_path)
    found = verify_bundle(out)
    assert {problem.what for problem in found.problems if problem.where != "declaration: claims"} == set()
    assert (found.verdict, found.exit_code != 0) == (Verdict.UNPROVEN, True)
    manifest = capture.folder / "manifest.json"
    data = json.loads(manifest.read_bytes())
    for phases in (5, [{"h2d": -1}], [{"flops": {"bf16": "x"}}]):
        data["runs"]["traced"]["phases"]["optimized"] = phases
        manifest.write_text(json.dumps(data))
        with pytest.raises(UsageError, match="phases"):
            read_manifest(capture.folder)


def test_expectations_hold_the_numbers_of_the_card(capture: Capture) -> None:
    """What is claimed as a multiple is expected as a number on this hardware: no threshold of the claim's stands beside it."""
    seen = {(one.variant, one.metric): one for one in observe(capture).observations.values()}
    rate = seen["optimized", "rate(h2d)"]
    assert (rate.claim, rate.threshold, rate.better) == (CLAIMS[1], None, "more")
    assert rate.measured.value == 50e9
    assert seen["optimized", "span"].threshold == 700_000
    assert seen["", "speedup"].threshold is None
    assert ("baseline", "bound") in seen
