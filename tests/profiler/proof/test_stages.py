"""Pairs with steps between baseline and optimized, and iterations whose work other threads launch."""

from dataclasses import replace

import pytest
from aisp_prof.errors import UsageError
from aisp_prof.profiler.evidence import Verdict
from aisp_prof.profiler.manifest import Manifest
from aisp_prof.profiler.proof.prove import prove
from aisp_prof.reports.bundle.drawing import check_drawing
from aisp_prof.reports.bundle.verification import Check
from aisp_prof.reports.catalog import catalog
from aisp_prof.reports.page.document import render_html
from aisp_prof.reports.page.waterfall import waterfall
from pair_trace import PAIR, US, manifest, overlapped, run_pair, serial, text
from trace_builder import TraceBuilder

VARIANTS = ("baseline", "halved", "optimized")


def halved(p, at, wobble):
    return serial(p, at, wobble, chunks=2)


@pytest.fixture
def proof(tmp_path):
    def build(claims, variants, order="ABCCBA", rounds=4, **changes):
        trace = TraceBuilder()
        run_pair(trace, rounds, order=order, variants=variants)
        data = manifest(claims)
        data["declaration"] |= {"variants": {name: text(name) for name, _ in variants}, **changes}
        return prove(Manifest.from_json(data), trace.write(tmp_path / "t.sqlite"))

    return build


STEPS = (("baseline", serial), ("halved", halved), ("optimized", lambda p, at, wobble: overlapped(p, at, wobble, 2)))


def test_each_step_is_judged_against_the_one_before(proof):
    evidence = proof(["speedup(baseline, halved) >= 1.8", "speedup(halved, optimized) >= 1.2", "speedup >= 2"], STEPS)
    assert [claim.verdict for claim in evidence.claims] == [Verdict.PROVEN] * 3
    assert [(step.before, step.variant) for step in evidence.steps] == [("baseline", "halved"), ("halved", "optimized")]
    assert evidence.claims[0].measured == evidence.steps[0].speedup.value
    assert evidence.claims[0].n == 8
    assert [variant.name for variant in evidence.between] == ["halved"]


def test_what_the_steps_saved_sums_to_the_whole(proof):
    evidence = proof(["speedup >= 2"], STEPS)
    whole = evidence.speedup.baseline_ns - evidence.speedup.optimized_ns
    assert sum(step.saved_ns for step in evidence.steps) == whole
    for step in evidence.steps:
        terms = {term.code: term.ns for term in step.gain}
        assert sum(ns for code, ns in terms.items() if code != "total") == terms["total"] == step.saved_ns


def test_a_step_beyond_is_judged_and_no_part_of_the_headline(proof):
    further = (("baseline", serial), ("optimized", halved), ("batched", STEPS[-1][1]))
    evidence = proof(["speedup >= 1.8", "speedup(optimized, batched) >= 1.2"], further)
    assert [claim.verdict for claim in evidence.claims] == [Verdict.PROVEN] * 2
    assert [one.name for one in evidence.variants] == ["baseline", "optimized", "batched"]
    assert (evidence.between, [one.name for one in evidence.beyond]) == ((), ["batched"])
    assert [(step.before, step.variant) for step in evidence.steps] == [
        ("baseline", "optimized"),
        ("optimized", "batched"),
    ]
    bare = {
        name: replace(one, untraced_ns=tuple(run.end - run.start for run in one.iterations))
        for name, one in (("baseline", evidence.baseline), ("optimized", evidence.optimized))
    }
    evidence = replace(evidence, **bare)
    drawn = check_drawing("page.html", render_html("ch11", [evidence]), [evidence])
    assert isinstance(drawn, Check), drawn
    assert drawn.problems == ()
    assert evidence.steps_between == evidence.steps[:1]
    assert evidence.steps[0].saved_ns == evidence.speedup.baseline_ns - evidence.speedup.optimized_ns
    table = waterfall(evidence, catalog("en"))
    assert (table.title, table.closes) == ("All steps to optimized", True)
    assert [row.label for row in table.rows] == ["baseline", "optimized", "batched"]


def test_a_step_that_adds_nothing_is_no_win(proof):
    evidence = proof(["speedup(baseline, halved) > 1"], (("baseline", serial), ("halved", serial), STEPS[2]))
    assert evidence.claims[0].verdict is not Verdict.PROVEN


def test_a_claim_that_nothing_was_lost_needs_no_win(proof):
    evidence = proof(["speedup >= 0.9", "speedup <= 1.1"], (("baseline", serial), ("optimized", serial)), "ABBA")
    assert [claim.verdict for claim in evidence.claims] == [Verdict.PROVEN] * 2


def test_three_variants_that_do_not_take_turns_are_named(proof):
    for order, named in (("ABCCBA", False), ("AAAABC", True)):
        evidence = proof(["speedup >= 1"], STEPS, order, rounds=3)
        assert ("not_interleaved" in {finding.code for finding in evidence.caveats}) is named


def test_a_missing_step_is_named_and_nothing_is_compared(tmp_path):
    trace = TraceBuilder()
    run_pair(trace)
    data = manifest(["speedup(baseline, halved) >= 1"])
    data["declaration"]["variants"] = {name: text(name) for name in VARIANTS}
    evidence = prove(Manifest.from_json(data), trace.write(tmp_path / "t.sqlite"))
    assert evidence.claims[0].verdict is Verdict.UNPROVEN
    assert "range_not_found" in {finding.code for finding in evidence.claims[0].reasons}
    assert evidence.steps == ()


@pytest.mark.parametrize(("attribution", "kernels"), [("thread", 4), ("process", 5)])
def test_other_threads_work_counts_where_the_pair_says_so(proof, attribution, kernels):
    def with_backward(p, at, wobble):
        end = serial(p, at, wobble)
        p.kernel("backward", (at + 50, at + 51), (end + 1 * US, end + 2 * US), tid=2)
        return end + 2 * US

    evidence = proof(
        ["speedup >= 0.5"],
        (("baseline", with_backward), ("optimized", with_backward)),
        "ABBA",
        attribution=attribution,
    )
    assert {i.numbers["kernels_per_iteration"] for i in evidence.baseline.iterations} == {kernels}


def test_variants_begin_with_baseline_and_have_an_optimized_one(proof):
    with pytest.raises(UsageError, match=f"{PAIR}: its variants begin with baseline"):
        proof(["speedup >= 1"], (("halved", halved), *STEPS[::2]))


def test_each_claim_is_that_of_the_gpu_on_which_it_fares_worst(tmp_path):
    def on_both(slow):
        def run(p, at, wobble):
            end = serial(p, at, wobble, 2)
            busy = end if slow else at + 40 * US
            p.kernel("reduce", (at + 50, at + 51), (busy, busy + 10 * US), device=1)
            return max(end, busy + 10 * US)

        return run

    trace = TraceBuilder()
    run_pair(trace, gpus=("a0ae1ff2-b9e3", "b1bf2003-c0f4"), baseline=on_both(False), optimized=on_both(True))
    claims = ["optimized.kernels_per_iteration == 2", "optimized.busy(copy) >= 0.3ms", "optimized.idle <= 1us"]
    evidence = prove(Manifest.from_json(manifest(claims)), trace.write(tmp_path / "t.sqlite"))
    assert [claim.verdict for claim in evidence.claims] == [Verdict.REFUTED, Verdict.REFUTED, Verdict.PROVEN]
    assert [claim.measured for claim in evidence.claims[:2]] == [1, 0]
    (caveat,) = (finding for finding in evidence.caveats if finding.code == "mixed_devices")
    assert (caveat.values["count"], "b1bf2003" in caveat.values["gpu"], caveat.blocks) == (2, True, "")
    assert evidence.optimized.iterations[0].numbers["kernels_per_iteration"] == 1
