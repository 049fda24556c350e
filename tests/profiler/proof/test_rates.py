"""Rates of built captures: counted work over traced time, under measured roofs; and every reason for a lower tier."""

from __future__ import annotations

import pytest
from aisp_prof.errors import UsageError
from aisp_prof.profiler.evidence import Verdict
from aisp_prof.profiler.judging.language import parse
from aisp_prof.profiler.proof.prove import prove
from counted_pair import BASELINE, BF16, FFMA, OPTIMIZED, PASS, ceilings, counted_capture

RATES = (
    "optimized.achieved_flops >= 280 TFLOP/s",
    "optimized.flops == 60.4 GFLOP",
    "baseline.dram_bytes <= 1.3 GB",
    "arithmetic_intensity >= 130 FLOP/B",
    "of_roofline >= 0.4",
    "baseline.flops_agreement == 1",
)


@pytest.fixture
def proof(tmp_path):
    def build(claims=RATES, **options):
        return prove(*counted_capture(tmp_path, claims, **options))

    return build


def codes(findings):
    return [finding.code for finding in findings]


def test_counted_work_over_traced_time(proof):
    baseline = proof().rates["baseline"]
    assert baseline.tier == "counted"
    assert (baseline.flops_by_type, baseline.flops_counted) == ({"fp32": 1_600_000_000}, 1_600_000_000)
    assert (baseline.dram_bytes, baseline.l2_bytes) == (4 * 320_000_000, 4 * 330_000_000)
    assert baseline.arithmetic_intensity == 1.25
    assert (len(baseline.busy_ns), min(baseline.busy_ns), max(baseline.busy_ns)) == (8, 400_000, 401_600)
    assert baseline.achieved_flops == pytest.approx(4e12, rel=0.01)
    assert baseline.bytes_per_s == pytest.approx(3.2e12, rel=0.01)
    assert (baseline.bound, baseline.ceiling) == ("memory", 1.25 * 4.2e12)
    assert baseline.of_roofline == pytest.approx(3.2 / 4.2, rel=0.01)


def test_tensor_cores_and_fp32_units_work_at_once(proof):
    """In turn they would be the lower roof; at once memory is."""
    optimized = proof().rates["optimized"]
    assert optimized.flops_by_type == {"fp32": 400_000_000, "tensor_bf16": 60_000_000_000}
    memory = 60.4e9 / optimized.dram_bytes * 4.2e12
    assert 60.4e9 / (60e9 / 8e14 + 0.4e9 / 5e13) < memory < 60.4e9 / (60e9 / 8e14)
    assert (optimized.bound, optimized.ceiling) == ("memory", pytest.approx(memory))


def test_a_row_a_kernel(proof):
    gemm, affine = sorted(proof().rates["optimized"].kernels, key=lambda one: -one.flops)
    assert (gemm.name, gemm.launches, gemm.bound) == ("gemm", 1, "compute")
    assert gemm.achieved_flops == pytest.approx(6e14, rel=0.01)
    assert affine.of_roofline == pytest.approx(3.2 / 4.2, rel=0.01)
    (four,) = proof().rates["baseline"].kernels
    assert (four.launches, four.dram_bytes) == (4, 4 * 320_000_000)


def test_claims_about_rates_are_judged(proof):
    evidence = proof()
    assert {claim.text: claim.verdict for claim in evidence.claims} == dict.fromkeys(RATES, Verdict.PROVEN)
    achieved, flops = evidence.claims[0], evidence.claims[1]
    assert (achieved.unit, achieved.n) == ("FLOP/s", 8)
    assert achieved.low <= achieved.measured <= achieved.high
    assert (flops.values, flops.n) == ((60.4e9, 60.4e9), 2)


def test_claims_about_rates_are_refuted(proof):
    evidence = proof(["optimized.achieved_flops >= 700 TFLOP/s", "baseline.flops <= 1 GFLOP"])
    assert {claim.verdict for claim in evidence.claims} == {Verdict.REFUTED}


@pytest.mark.parametrize(
    ("text", "mend"),
    [("achieved_flops >= 700", "700 TFLOP/s"), ("dram_bytes <= 3", "4 GB"), ("flops <= 7 GB", "")],
)
def test_numbers_of_rates_need_their_unit(text, mend):
    with pytest.raises(UsageError) as error:
        parse(text)
    assert mend in error.value.mend


def unproven(evidence, code):
    """Every claim on rates is unproven for this reason, and the page says so; times are as good as ever."""
    assert evidence.rates["optimized"].tier == "declared"
    assert codes(evidence.rates["optimized"].reasons) == [code]
    rates = [claim for claim in evidence.claims if claim.metric != "speedup"]
    assert {claim.verdict for claim in rates} == {Verdict.UNPROVEN}
    assert {code for claim in rates for code in codes(claim.reasons)} == {code}
    assert evidence.speedup is not None
    return evidence.rates["optimized"]


@pytest.mark.parametrize("seen", [BASELINE[:1] + OPTIMIZED, OPTIMIZED[:1], (("other", PASS), OPTIMIZED[1])])
def test_other_kernels_under_ncu_are_refused_and_said(proof, seen):
    evidence = proof(
        ["optimized.flops >= 1 GFLOP", "speedup >= 1.5"], counted={"baseline": BASELINE, "optimized": seen}
    )
    rates = unproven(evidence, "kernels_differ")
    assert "in the trace" in rates.reasons[0].values["difference"]
    assert rates.achieved_flops == rates.achieved_declared == pytest.approx(60.4e9 / 200e-6, rel=0.01)
    assert (rates.flops_counted, rates.of_roofline, rates.kernels) == (None, None, ())
    assert "kernels_differ" in codes(evidence.caveats)
    assert evidence.rates["baseline"].tier == "counted"


def test_a_counter_that_the_chip_lacks(proof):
    rates = unproven(proof(["optimized.flops >= 1 GFLOP"], absent=BF16), "counter_missing")
    assert rates.reasons[0].values["metric"] == BF16
    assert rates.dram_bytes == 340_000_000


def test_without_permission_the_reason_and_the_mend_are_kept(proof):
    refused = {"tier": "declared", "files": [], "iterations": 0, "reason": "only root", "mend": "become root"}
    rates = unproven(proof(["optimized.flops >= 1 GFLOP"], counters=refused), "not_counted")
    assert rates.reasons[0].values == {"reason": "only root", "mend": "become root"}


def test_a_capture_that_was_not_to_count(proof):
    evidence = proof(["achieved_flops >= 1 GFLOP/s"], counters=None, ceilings=None)
    unproven(evidence, "no_counters")
    assert "no_counters" not in codes(evidence.caveats)


def test_counters_that_miscount_a_known_product_are_refused(proof):
    wrong = {"type": "bf16", "counted": 985, "declared": 1000, "ratio": 0.985, "ok": False}
    evidence = proof(["flops >= 1 GFLOP"], ceilings=ceilings(calibration={"reason": "", "rows": [wrong]}))
    unproven(evidence, "calibration_off")
    assert evidence.rates["baseline"].tier == "counted"  # it has no bf16 products


def test_counters_that_nobody_checked_are_refused(proof):
    without = {"reason": "ncu is not there", "mend": "", "rows": []}
    unproven(proof(["flops >= 1 GFLOP"], ceilings=ceilings(calibration=without)), "not_calibrated")


def test_without_ceilings_there_is_a_rate_but_no_share(proof):
    evidence = proof(["achieved_flops >= 280 TFLOP/s", "of_roofline >= 0.5"], ceilings=ceilings(ceilings=[]))
    assert [claim.verdict for claim in evidence.claims] == [Verdict.PROVEN, Verdict.UNPROVEN]
    assert codes(evidence.claims[1].reasons) == ["no_ceilings"]


def test_more_than_the_roof_is_invalid_and_not_clamped(proof):
    impossible = {FFMA: 200_000_000, BF16: 300_000_000_000}
    seen = {"baseline": BASELINE, "optimized": (("affine", PASS), ("gemm", impossible))}
    evidence = proof(["speedup >= 1.5"], counted=seen)
    assert evidence.rates["optimized"].of_roofline > 1.05
    assert (evidence.verdict, evidence.speedup) == (Verdict.INVALID, None)
    assert "implausible" in codes(evidence.caveats)


def test_counted_and_declared_that_disagree_are_a_caveat(proof):
    more = {"baseline": (("affine", {**PASS, FFMA: 240_000_000}),) * 4, "optimized": OPTIMIZED}
    evidence = proof(["speedup >= 1.5"], counted=more)
    (finding,) = [one for one in evidence.caveats if one.code == "flops_disagree"]
    assert (finding.values["variant"], finding.values["percent"]) == ("baseline", 20.0)
    assert evidence.rates["baseline"].flops_agreement == pytest.approx(1.2)


def test_old_captures_have_no_rates(proof):
    assert proof(["speedup >= 1.5"], counters=None, ceilings=None, runs={"untraced": {}, "traced": {}}).rates == {}
