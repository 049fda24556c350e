"""A capture of the profile `none`: right outputs and CUDA-event times, and nothing that only a trace can show."""

from __future__ import annotations

import pytest
from aisp_prof.profiler.evidence import Verdict
from aisp_prof.profiler.manifest import Manifest
from aisp_prof.profiler.proof.prove import prove
from aisp_prof.reports.page.document import render_html
from aisp_prof.reports.terminal.console import summary
from pair_trace import manifest, validation

CLAIMS = ("speedup >= 1.5", "hidden(h2d, d2h) >= 0.5", "achieved_flops >= 1 GFLOP/s")


def record(valid=True):
    times = {"baseline": 200_000, "optimized": 100_000}
    ran = [{"variant": v, "index": i, "event_ns": ns + i} for i in range(8) for v, ns in times.items()]
    return {"validation": validation(valid=valid), "iterations": ran}


@pytest.fixture
def evidence():
    return prove(Manifest.from_json(manifest(CLAIMS, runs={"untraced": record()}, profile="none")), None)


def test_the_speedup_is_that_of_the_events(evidence):
    assert (evidence.speedup.source, evidence.speedup.value) == ("events", pytest.approx(2, rel=1e-3))
    assert [claim.verdict for claim in evidence.claims] == [Verdict.PROVEN, Verdict.UNPROVEN, Verdict.UNPROVEN]
    assert evidence.verdict is Verdict.UNPROVEN
    assert (evidence.gain, evidence.ledger, evidence.rates) == ((), (), {})


def test_that_there_is_no_trace_is_said(evidence):
    assert evidence.completeness.status == "incomplete"
    assert [finding.code for finding in evidence.completeness.findings] == ["not_traced"]
    assert any("not traced" in line for line in summary(evidence))
    html = render_html("ch11", [evidence])
    assert "--profile minimal" in html
    assert html.count("untraced, n") >= 2


def test_wrong_outputs_have_no_times_without_a_trace_either():
    evidence = prove(Manifest.from_json(manifest(CLAIMS, runs={"untraced": record(valid=False)}, profile="none")), None)
    assert (evidence.speedup, evidence.verdict) == (None, Verdict.INVALID)
