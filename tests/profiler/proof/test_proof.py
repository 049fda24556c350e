"""Whole proofs from built traces: what is proven, what is refuted, and everything that must stay unproven."""

from copy import deepcopy

import pytest
from aisp_prof.profiler.analysis.ledger import closes
from aisp_prof.profiler.evidence import Verdict
from aisp_prof.profiler.manifest import Manifest
from aisp_prof.profiler.proof.prove import prove
from pair_trace import PAIR, US, manifest, overlapped, run_pair, runs, serial
from trace_builder import TraceBuilder

STREAMS = (
    "speedup >= 1.5",
    "hidden(compute, copy) >= 0.9",
    "hidden(h2d, d2h) >= 0.5",
    "baseline.overlap_ratio <= 0.01",
    "optimized.kernels_per_iteration == baseline.kernels_per_iteration",
    "rate(h2d) >= 45 GB/s",
)


@pytest.fixture
def proof(tmp_path):
    """Prove claims on a built trace; `trace` may be changed by the caller before."""

    def build(claims=STREAMS, trace=None, **changes):
        if trace is None:
            trace = TraceBuilder()
            run_pair(trace)
        return prove(Manifest.from_json(manifest(claims, **changes)), trace.write(tmp_path / "t.sqlite"))

    return build


def verdicts(evidence):
    return {claim.text: claim.verdict for claim in evidence.claims}


def reasons(evidence):
    return {finding.code for claim in evidence.claims for finding in claim.reasons}


def test_overlapped_streams_are_proven(proof):
    evidence = proof()
    assert set(verdicts(evidence).values()) == {Verdict.PROVEN}
    assert evidence.verdict is Verdict.PROVEN
    assert evidence.completeness.status == "complete"
    assert closes(evidence.ledger)


def test_the_numbers_are_those_that_were_built(proof):
    evidence = proof()
    base, opt = evidence.baseline.iterations[0].numbers, evidence.optimized.iterations[0].numbers
    assert base["busy(h2d)"] == 4 * 100 * US
    assert (base["overlap"], base["idle"]) == (0, 0)
    assert base["rate(h2d)"] == pytest.approx(50e9)
    assert opt["hidden(compute, copy)"] == 1.0
    assert opt["busy(d2h)"] == opt["sum"] - 4 * 160 * US
    assert (base["kernels_per_iteration"], base["copies_per_iteration"], base["syncs_per_iteration"]) == (4, 8, 1)
    assert base["launch_calls_per_iteration"] == 4


def test_the_speedup_is_the_ratio_of_medians(proof):
    evidence = proof()
    speedup = evidence.speedup
    spans = [sorted(i.end - i.start for i in v.iterations) for v in (evidence.baseline, evidence.optimized)]
    medians = [(s[3] + s[4]) / 2 for s in spans]
    assert speedup.value == medians[0] / medians[1]
    assert speedup.low <= speedup.value <= speedup.high
    assert (speedup.n_baseline, speedup.n_optimized, speedup.source) == (8, 8, "trace")


def test_the_gain_ledger_sums_to_the_difference(proof):
    evidence = proof()
    terms = {term.code: term.ns for term in evidence.gain}
    total = terms.pop("total")
    assert sum(terms.values()) == total
    assert total == evidence.speedup.baseline_ns - evidence.speedup.optimized_ns
    assert terms["overlap"] > 0.9 * total


def test_witnesses_can_be_looked_up(proof, tmp_path):
    import sqlite3

    evidence = proof()
    assert evidence.optimized.witnesses
    assert not evidence.baseline.witnesses
    with sqlite3.connect(tmp_path / "t.sqlite") as connection:
        for witness in evidence.optimized.witnesses:
            for op in (witness.a, witness.b):
                query = f"SELECT start, end, streamId FROM {op.table} WHERE rowid = ?"
                assert connection.execute(query, (op.row,)).fetchone() == (op.start, op.end, op.stream)
            assert witness.a.stream != witness.b.stream
            assert max(witness.a.start, witness.b.start) == witness.start < witness.end


def side_by_side(p, at, wobble):
    """Four kernels on four streams, each a microsecond later than the one before."""
    for stream in range(4):
        begin = at + (20 + stream) * US
        p.kernel("chain", (at + stream, at + stream + 1), (begin, begin + 100 * US + wobble), 13 + stream)
    return at + 123 * US + wobble


def test_kernels_beside_kernels_have_witnesses_each_pair_once(proof):
    trace = TraceBuilder()
    run_pair(trace, optimized=side_by_side)
    found = proof(["optimized.max_in_flight >= 4"], trace).optimized.witnesses
    assert len(found) == len({frozenset((w.a.row, w.b.row)) for w in found}) == 3
    assert {(w.a.kind, w.b.kind) for w in found} == {("compute", "compute")}
    assert [w.end - w.start for w in found] == [found[0].end - found[0].start] * 3


def test_serial_streams_are_refuted(proof):
    trace = TraceBuilder()
    run_pair(trace, optimized=serial)
    evidence = proof(trace=trace)
    assert verdicts(evidence)["hidden(h2d, d2h) >= 0.5"] is Verdict.REFUTED
    assert verdicts(evidence)["speedup >= 1.5"] is Verdict.REFUTED
    assert evidence.verdict is Verdict.REFUTED


def test_a_against_a_is_no_win(proof):
    trace = TraceBuilder()
    run_pair(trace, optimized=serial)
    assert verdicts(proof(["speedup > 1"], trace))["speedup > 1"] is not Verdict.PROVEN


def test_one_bad_iteration_refutes_what_must_hold_in_each(proof):
    trace, calls = TraceBuilder(), []

    def once_serial(p, at, wobble):
        calls.append(at)
        return (serial if len(calls) == 3 else overlapped)(p, at, wobble)

    run_pair(trace, optimized=once_serial)
    (claim,) = proof(["hidden(h2d, d2h) >= 0.5"], trace).claims
    assert claim.verdict is Verdict.REFUTED
    assert (claim.measured, claim.reasons[0].values["index"]) == (0.0, 2)


def test_too_few_iterations_leave_times_unproven(proof):
    trace = TraceBuilder()
    run_pair(trace, rounds=1)
    evidence = proof(trace=trace)
    assert verdicts(evidence)["speedup >= 1.5"] is Verdict.UNPROVEN
    assert verdicts(evidence)["hidden(h2d, d2h) >= 0.5"] is Verdict.PROVEN
    assert "few_iterations" in reasons(evidence)


def test_dropped_kernels_leave_everything_unproven(proof):
    trace = TraceBuilder()
    run_pair(trace)
    stated = sum(len(rows) for table, rows in trace.rows.items() if table.startswith("CUPTI"))
    trace.stated = stated
    del trace.rows["CUPTI_ACTIVITY_KIND_KERNEL"][::2]
    evidence = proof(trace=trace)
    assert set(verdicts(evidence).values()) == {Verdict.UNPROVEN}
    assert {"events_missing", "launch_without_operation"} <= reasons(evidence)
    assert evidence.speedup is None
    assert evidence.completeness.status == "incomplete"


def lost(trace, inside):
    """A launch whose kernel is not there, in an optimized iteration or before all of them; nsys states as many events."""
    p = run_pair(trace)
    first = next(row for row in trace.rows["NVTX_EVENTS"] if "optimized" in (row.get("text") or ""))
    at = first["start"] + 50 if inside else 10
    p.kernel("lost", (at, at + 1), None)
    return trace


def test_a_launch_without_work_counts_where_it_was_made(proof):
    within, elsewhere = proof(trace=lost(TraceBuilder(), True)), proof(trace=lost(TraceBuilder(), False))
    held_back = {text for text, verdict in verdicts(within).items() if verdict is Verdict.UNPROVEN}
    of_kernels = {"hidden(compute, copy) >= 0.9", "optimized.kernels_per_iteration == baseline.kernels_per_iteration"}
    assert held_back == {"speedup >= 1.5", *of_kernels}  # a lost kernel leaves alone what is said of copies
    assert "launch_without_operation" in reasons(within)
    assert elsewhere.verdict is Verdict.PROVEN
    assert "launch_without_operation" in {finding.code for finding in elsewhere.completeness.findings}


def test_an_unattested_trace_proves_nothing(proof):
    trace = TraceBuilder(attested=False)
    run_pair(trace)
    evidence = proof(trace=trace)
    assert evidence.verdict is Verdict.UNPROVEN
    assert reasons(evidence) == {"unattested"}


def test_an_unknown_schema_proves_nothing(proof):
    trace = TraceBuilder(version="9.0.0")
    run_pair(trace)
    assert reasons(proof(trace=trace)) == {"unknown_schema"}


def test_graphs_traced_as_a_whole_hide_their_kernels(proof):
    trace = TraceBuilder()

    def as_graph(p, at, wobble):
        p.graph((at, at + 1), (at + 20 * US, at + 500 * US + wobble))
        return at + 500 * US + wobble

    run_pair(trace, optimized=as_graph)
    evidence = proof(["hidden(h2d, d2h) >= 0.5", "kernels_per_iteration >= 0"], trace)
    assert set(verdicts(evidence).values()) == {Verdict.UNPROVEN}
    assert "graph_level_tracing" in reasons(evidence)


def test_pageable_copies_are_no_evidence_of_overlap(proof):
    trace = TraceBuilder()
    run_pair(trace)
    for row in trace.rows["CUPTI_ACTIVITY_KIND_MEMCPY"]:
        row["srcKind"] = 0 if row["copyKind"] == 1 else row["srcKind"]
    evidence = proof((*STREAMS, "overlap_ratio >= 0.1"), trace)
    assert verdicts(evidence)["hidden(h2d, d2h) >= 0.5"] is Verdict.UNPROVEN
    assert verdicts(evidence)["overlap_ratio >= 0.1"] is Verdict.UNPROVEN
    assert verdicts(evidence)["speedup >= 1.5"] is Verdict.PROVEN


def test_pageable_copies_say_nothing_against_work_that_is_no_copy(proof):
    """A loss that each step reads by `.item()` left communication under kernels unproven."""

    def step(p, at, wobble):
        p.copy("d2h", 4, (at, at + 1), (at + 5 * US, at + 6 * US), 7, pageable=True)
        p.kernel("gemm", (at + 1, at + 2), (at + 10 * US, at + 110 * US + wobble), 7)
        p.kernel("ncclDevKernel_AllReduce", (at + 2, at + 3), (at + 20 * US, at + 70 * US), 13)
        return at + 110 * US + wobble

    trace = TraceBuilder()
    run_pair(trace, baseline=step, optimized=step)
    claims = ("hidden(comm) >= 0.9", "exposed(comm) <= 1us", "hidden(copy) <= 0.1", "overlap_ratio >= 0.1")
    outcome = verdicts(proof(claims, trace))
    assert [outcome[claim] for claim in claims] == [Verdict.PROVEN, Verdict.PROVEN, Verdict.UNPROVEN, Verdict.UNPROVEN]


def test_launches_under_capture_are_excused(proof):
    trace = TraceBuilder()
    p = run_pair(trace)
    p.call("cudaStreamBeginCapture_v10000", (10, 11))
    p.kernel("captured", (12, 13), None)
    p.call("cudaStreamEndCapture_v10000", (14, 15))
    evidence = proof(trace=trace)
    assert evidence.verdict is Verdict.PROVEN
    assert {line.code: line.count for line in evidence.ledger}["captured_calls"] == 1


def test_invalid_outputs_make_everything_invalid(proof):
    bad = {
        "validation": {"valid": False, "max_relative_error": {"optimized": 0.5}, "tolerance": 1e-6},
        "iterations": [],
    }
    evidence = proof(runs={"untraced": bad})
    assert evidence.verdict is Verdict.INVALID
    assert evidence.speedup is None
    assert not evidence.gain


def test_a_changed_file_is_named(tmp_path):
    trace = TraceBuilder()
    run_pair(trace)
    evidence = prove(
        Manifest.from_json(manifest(STREAMS)), trace.write(tmp_path / "t.sqlite"), changed=["trace.sqlite"]
    )
    assert evidence.verdict is Verdict.UNPROVEN
    assert reasons(evidence) == {"file_changed"}


def test_a_missing_range_is_named(proof):
    evidence = proof(trace=TraceBuilder())
    assert evidence.verdict is Verdict.UNPROVEN
    assert {"range_not_found", "no_cuda_activity"} <= reasons(evidence)


def test_times_come_from_the_untraced_run_when_tracing_changed_them(proof):
    run_pair(TraceBuilder())
    near, far = proof(runs=runs(1 / 0.99)), proof(runs=runs(1.25))
    assert (near.speedup.source, far.speedup.source) == ("trace", "events")
    assert far.perturbation["baseline"] == pytest.approx(1.25, abs=0.001)
    assert "perturbed" in {finding.code for finding in far.caveats}


def test_the_order_of_runs_is_checked(proof):
    trace = TraceBuilder()
    run_pair(trace, rounds=1, order="AAAAAAAABBBBBBBB")
    assert "not_interleaved" in {finding.code for finding in proof(trace=trace).caveats}


def conditions(clock=1980, others=0, reasons=()):
    start = 1_795_209_738_000_000_000
    one = {"utc_ns": start + 2_000 * US, "sm_mhz": 1980, "throttle_reasons": [], "other_processes": 0}
    two = {**one, "utc_ns": start + 3_000 * US, "sm_mhz": clock, "throttle_reasons": list(reasons)}
    late = {**one, "utc_ns": start + 10**12, "sm_mhz": 345}
    return {"before": {**one, "other_processes": others}, "during": [one, two, late], "after": one}


def test_conditions_become_caveats(proof):
    def codes(**seen):
        return {f.code for f in proof(conditions=conditions(**seen)).caveats}

    assert not codes() & {"clocks_moved", "throttled", "other_processes", "no_conditions"}
    assert "clocks_moved" in codes(clock=1500)
    assert "throttled" in codes(reasons=["hw_thermal_slowdown"])
    assert "other_processes" in codes(others=1)
    assert "no_conditions" in {f.code for f in proof().caveats}


def test_conditions_are_those_of_the_measured_runs(proof):
    evidence = proof(conditions=conditions(clock=1950))
    assert evidence.conditions == {"sm_mhz": (1950, 1980)}  # 345 MHz was seen long after


def test_hostile_names_pass_through_unchanged(proof):
    trace = TraceBuilder()
    p = run_pair(trace)
    p.range("<script>alert(1)</script>", 1, 2, domain="aisp")
    assert proof(trace=trace).verdict is Verdict.PROVEN
    assert PAIR in deepcopy(trace.rows["NVTX_EVENTS"])[1]["text"]


def cached(late: int):
    """Two sequences: each an allocation and an append, then a read that begins as the append ends, or `late` before it."""

    def iteration(p, at, wobble):
        for sequence in range(2):
            call, begin = at + 10 * sequence, at + (20 + 100 * sequence) * US
            p.call("cuMemAllocAsync_v2", (call, call + 1))
            p.kernel("append_kv", (call + 2, call + 3), (begin, begin + 10 * US), 13 + sequence)
            read = (begin + 10 * US - late, begin + 90 * US + wobble)
            p.kernel("attend_kv", (call + 4, call + 5), read, 23 + sequence)
        return at + 220 * US

    return iteration


ORDERED = (
    "order_violations(append*, attend*) == 0",
    "calls(cuMemAllocAsync) == 2",
    "calls(cuMemAlloc) == 0",
    "gap_max <= 10us",
)


def test_order_calls_and_gaps_are_proven_from_a_trace(proof):
    trace = TraceBuilder()
    run_pair(trace, 10, baseline=cached(0), optimized=cached(0))
    evidence = proof(ORDERED, trace)
    assert set(verdicts(evidence).values()) == {Verdict.PROVEN}
    assert {claim.metric: claim.measured for claim in evidence.claims}["gap_max"] <= 10 * US


def test_a_read_that_begins_a_nanosecond_early_is_refuted(proof):
    trace = TraceBuilder()
    run_pair(trace, baseline=cached(0), optimized=cached(1))
    (claim,) = proof(ORDERED[:1], trace).claims
    assert (claim.verdict, claim.measured) == (Verdict.REFUTED, 2)


def test_an_order_of_kernels_that_are_not_there_is_unproven(proof):
    trace = TraceBuilder()
    run_pair(trace)
    evidence = proof(ORDERED[:1], trace)
    assert set(verdicts(evidence).values()) == {Verdict.UNPROVEN}
    assert "metric_missing" in reasons(evidence)
