"""Claims on anyone's trace: by named ranges or the whole, judged as a pair's are, with what to look up by hand."""

from __future__ import annotations

import pytest
from aisp_prof.errors import UsageError
from aisp_prof.profiler.assertions.check import WHOLE, Question, check
from aisp_prof.profiler.assertions.claims_file import read_claims, with_arguments
from aisp_prof.profiler.evidence import Verdict
from aisp_prof.profiler.trace.reader import read_trace
from aisp_prof.reports.terminal.assertion import answer_lines
from pair_trace import US, overlapped, run_pair, serial
from trace_builder import TraceBuilder

MEASURED = {"optimized": "iter"}


@pytest.fixture
def ask(tmp_path):
    def asked(trace, *claims, **question):
        read = read_trace(trace.write(tmp_path / "t.sqlite"))
        return check(read, Question(claims, question.pop("ranges", {}), **question))

    return asked


def steps(*lengths, overlap=60 * US):
    """A trace with one range `step` for each length: a copy of that length, and a kernel that runs beside its first part."""
    trace = TraceBuilder()
    p = trace.process(551)
    p.sees(trace.gpu("a0ae1ff2-b9e3"))
    at = 1000 * US
    for number, length in enumerate(lengths):
        p.copy("h2d", 1_000_000, (at + 10, at + 11), (at + 20, at + 20 + length), stream=7)
        p.kernel("work", (at + 12, at + 13), (at + 20, at + 20 + overlap), stream=8)
        p.range("step", at, at + 50, domain="user", payload=number)
        at += max(length, overlap) + 100 * US
    p.call("cudaDeviceSynchronize_v3020", (at, at + 10))
    return trace


def test_every_instance_of_a_range_is_an_iteration(ask):
    answer = ask(steps(*[100 * US] * 8), "hidden(h2d, compute) >= 0.6", ranges={"step": "st*"})
    (one,) = answer.claims
    assert (one.claim.verdict, one.claim.n, one.claim.measured) == (Verdict.PROVEN, 8, 0.6)
    assert answer.instances == {"step": 8}
    assert answer.verdict is Verdict.PROVEN


def test_one_bad_instance_refutes_and_is_shown(ask):
    trace = steps(100 * US, 100 * US, 300 * US, 100 * US)
    (one,) = ask(trace, "hidden(h2d, compute) >= 0.6", ranges={"step": "step"}).claims
    assert (one.claim.verdict, one.claim.measured) == (Verdict.REFUTED, 0.2)
    iteration, exposed = one.shown
    assert (iteration.kind, iteration.iteration, iteration.end - iteration.start) == ("iteration", 2, 300 * US)
    assert (exposed.kind, exposed.end - exposed.start) == ("exposed", 240 * US)
    assert exposed.operations[0].kind == "h2d"


def test_a_proof_shows_its_overlaps(ask):
    (one,) = ask(steps(*[100 * US] * 6), "hidden(h2d, compute) >= 0.5", ranges={"step": "step"}).claims
    overlap = one.shown[1]
    assert (overlap.kind, overlap.end - overlap.start) == ("overlap", 60 * US)
    assert {op.kind for op in overlap.operations} == {"h2d", "compute"}


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        ("span <= 150us", Verdict.PROVEN),  # by the median's interval
        ("every span <= 150us", Verdict.REFUTED),
        ("any span >= 200us", Verdict.PROVEN),
        ("any span >= 400us", Verdict.REFUTED),
        ("median overlap_ratio >= 0.5", Verdict.PROVEN),
        ("overlap_ratio >= 0.5", Verdict.REFUTED),
    ],
)
def test_quantifiers(ask, claim, verdict):
    trace = steps(*[100 * US] * 9, 300 * US)
    assert ask(trace, claim, ranges={"step": "step"}).verdict is verdict


def test_times_of_too_few_instances_are_unproven_unless_every_one_is_asked_for(ask):
    trace = steps(100 * US, 100 * US)
    answer = ask(trace, "span <= 1ms", "every span <= 1ms", ranges={"step": "step"})
    assert [one.claim.verdict for one in answer.claims] == [Verdict.UNPROVEN, Verdict.PROVEN]


def test_the_whole_trace_is_one_run_and_its_times_are_facts(ask):
    answer = ask(steps(100 * US, 200 * US), "busy(h2d) == 0.3ms", "kernels_per_iteration == 2", "trace.busy >= 0.3ms")
    assert [one.claim.verdict for one in answer.claims] == [Verdict.PROVEN] * 3
    assert answer.instances == {WHOLE: 1}


def test_two_ranges_are_compared_by_name(ask):
    trace = TraceBuilder()
    run_pair(trace)
    ranges = {"before": "ch11.streams.baseline.measure", "after": "ch11.streams.optimized.measure"}
    answer = ask(trace, "speedup(before, after) >= 1.5", "after.overlap_ratio >= 0.5", ranges=ranges)
    assert [one.claim.verdict for one in answer.claims] == [Verdict.PROVEN] * 2


def test_ranges_may_nest_and_each_has_its_own_launches(ask):
    trace = steps(*[100 * US] * 3)
    p = trace.process(551)
    p.range("outer", 900 * US, 5000 * US, domain="user")
    answer = ask(trace, "any kernels_per_iteration == 3", "any kernels_per_iteration == 1", ranges={"all": "*"})
    assert answer.instances == {"all": 4}
    assert answer.claims[0].claim.values == (3.0, 1.0, 1.0, 1.0)


def test_an_incomplete_trace_proves_nothing(ask):
    trace = steps(*[100 * US] * 6)
    trace.stated = sum(len(rows) for table, rows in trace.rows.items() if table.startswith("CUPTI"))
    del trace.rows["CUPTI_ACTIVITY_KIND_KERNEL"][::2]
    answer = ask(trace, "hidden(h2d, compute) >= 0", ranges={"step": "step"})
    assert answer.verdict is Verdict.UNPROVEN


def test_a_range_that_is_not_there_proves_nothing(ask):
    answer = ask(steps(100 * US), "hidden(h2d, compute) >= 0", ranges={"step": "stepp"})
    assert answer.verdict is Verdict.UNPROVEN
    assert answer.claims[0].claim.reasons[0].code == "range_not_found"
    assert answer.notes == ("no range is called 'stepp': did you mean step?",)


@pytest.mark.parametrize(("domain", "glob"), [("usr", "step"), (None, "usr:step")])
def test_what_is_there_instead_is_said(ask, domain, glob):
    (note,) = ask(steps(100 * US), "busy >= 0us", ranges={"step": glob}, domain=domain).notes
    assert ("did you mean user?" if domain else "did you mean step?") in note


def test_a_trace_without_gpu_work_proves_nothing(ask):
    trace = TraceBuilder()
    p = trace.process(551)
    p.range("step", 10, 20)
    assert ask(trace, "overlap_ratio >= 0").verdict is Verdict.UNPROVEN


@pytest.mark.parametrize(
    ("claims", "complaint"),
    [((), "nothing is asserted"), (("achieved_flops >= 1 TFLOP/s",), "no counters"), (("hiden(h2d) >= 1",), "hiden")],
)
def test_slips_are_answered_before_the_trace_is_judged(claims, complaint):
    with pytest.raises(UsageError, match=complaint):
        Question(claims, {"step": "step"}).parsed()


def test_several_names_must_be_named():
    with pytest.raises(UsageError, match="of which range"):
        Question(("busy <= 1ms",), {"a": "x", "b": "y"}).parsed()


def test_serial_and_overlapped_differ(ask):
    for run, verdict in ((serial, Verdict.REFUTED), (overlapped, Verdict.PROVEN)):
        trace = TraceBuilder()
        run_pair(trace, optimized=run)
        ranges = {"step": "ch11.streams.optimized.measure"}
        assert ask(trace, "hidden(h2d, d2h) >= 0.5", ranges=ranges, domain="aisp").verdict is verdict


def on_two_gpus(first, second):
    """A trace in which each GPU runs `step`, whose copy a kernel hides by this share, and a range of its own name."""
    trace = TraceBuilder()
    p = trace.process(551)
    for ordinal, uuid in enumerate(("aaaa-1111", "bbbb-2222")):
        p.sees(trace.gpu(uuid), ordinal)
    at = 1000 * US
    for _ in range(6):
        for device, share in enumerate((first, second)):
            p.copy("h2d", 1_000_000, (at + 10, at + 11), (at + 20, at + 20 + 100 * US), 7, device)
            p.kernel("work", (at + 12, at + 13), (at + 20, at + 20 + int(share * 100 * US)), 8, device)
            p.range("step", at, at + 50, domain="user")
            p.range(f"gpu{device}", at, at + 50, domain="user")
            at += 200 * US
    p.call("cudaDeviceSynchronize_v3020", (at, at + 10))
    return trace


def test_a_range_that_is_called_trace_is_still_a_range(ask):
    trace = steps(*[100 * US] * 9, 300 * US)
    assert ask(trace, "any span >= 200us", "span <= 150us", ranges={WHOLE: "step"}).verdict is Verdict.PROVEN


def test_a_claim_is_judged_on_the_gpus_where_its_ranges_ran(ask):
    ranges = {"a": "gpu0", "b": "gpu1"}
    answer = ask(on_two_gpus(0.9, 0.5), "a.hidden(copy) >= 0.9", "b.hidden(copy) >= 0.5", ranges=ranges)
    assert [(one.claim.verdict, one.gpu) for one in answer.claims] == [
        (Verdict.PROVEN, "aaaa-1111"),
        (Verdict.PROVEN, "bbbb-2222"),
    ]


def test_ranges_that_never_ran_on_one_gpu_are_not_compared(ask):
    answer = ask(on_two_gpus(0.9, 0.5), "speedup(a, b) >= 0.5", ranges={"a": "gpu0", "b": "gpu1"})
    assert answer.verdict is Verdict.UNPROVEN


@pytest.mark.parametrize(
    ("claim", "measured", "gpu"),
    [
        ("hidden(copy) >= 0.4", 0.5, "bbbb-2222"),  # proven on both, and least well on the second
        ("hidden(copy) >= 0.95", 0.5, "bbbb-2222"),  # refuted on both
        ("hidden(copy) <= 0.95", 0.9, "aaaa-1111"),
        ("hidden(copy) == 0.6", 0.9, "aaaa-1111"),
    ],
)
def test_the_gpu_on_which_a_claim_fares_worst_is_shown(ask, claim, measured, gpu):
    (one,) = ask(on_two_gpus(0.9, 0.5), claim, ranges={"step": "step"}).claims
    assert (one.claim.measured, one.gpu) == (measured, gpu)


def test_the_iteration_that_is_named_is_the_one_that_is_shown(ask):
    trace = steps(100 * US, 300 * US, 100 * US, 300 * US)
    (one,) = ask(trace, "hidden(h2d) >= 0.6", ranges={"step": "step"}).claims
    assert one.claim.reasons[0].values["index"] == one.shown[0].iteration


@pytest.mark.parametrize(
    ("claim", "verdict", "kind"),
    [
        ("hidden(copy) <= 0.5", Verdict.REFUTED, "overlap"),  # too much runs side by side: that is what to look at
        ("hidden(copy) <= 0.7", Verdict.PROVEN, "exposed"),
        ("every overlap(h2d, compute) == 0us", Verdict.REFUTED, "overlap"),
        ("every exposed(copy) <= 50us", Verdict.PROVEN, "overlap"),
        ("every exposed(copy) <= 10us", Verdict.REFUTED, "exposed"),
        ("every exposed(copy) >= 50us", Verdict.REFUTED, "overlap"),
        ("overlap_ratio >= 0.5", Verdict.PROVEN, "overlap"),
        ("overlap_ratio >= 0.9", Verdict.REFUTED, "exposed"),
        ("every overlap <= 10us", Verdict.REFUTED, "overlap"),
        ("syncs_per_iteration == 0", Verdict.REFUTED, "call"),
        ("calls(cudaMemcpy*) == 0", Verdict.REFUTED, "call"),
        ("launch_calls_per_iteration == 0", Verdict.REFUTED, "call"),
    ],
)
def test_what_is_shown_is_what_decided(ask, claim, verdict, kind):
    trace = steps(100 * US)
    trace.process(551).call("cudaStreamSynchronize_v3020", (1000 * US + 30, 1000 * US + 40))
    (one,) = ask(trace, claim, ranges={"step": "step"}).claims
    assert (one.claim.verdict, {shown.kind for shown in one.shown[1:]}) == (verdict, {kind})


def test_two_ranges_of_one_name_are_refused():
    for ranges in (["a", "b"], ["x=a", "x=b"]):
        with pytest.raises(UsageError, match="two ranges"):
            with_arguments(Question((), {}), ["busy <= 1ms"], ranges, None, None)


@pytest.mark.parametrize("name", ["", "a b", "a.b"])
def test_a_range_is_called_by_a_word(name):
    with pytest.raises(UsageError, match="may be called"):
        Question(("busy <= 1ms",), {name: "step"}).parsed()


def test_a_bound_shows_its_runs_as_factors(ask):
    """A speedup's runs are times, those of a bound are the bound itself."""
    trace = TraceBuilder()
    p = trace.process(551)
    for i in range(12):
        at = 1000 * US * (i + 1)
        p.copy("h2d", 1_000_000, (at + 10, at + 11), (at + 20, at + 20 + 100 * US), stream=7)
        p.kernel("work", (at + 12, at + 13), (at + 20 + 100 * US, at + 20 + (200 if i % 2 else 150) * US), stream=7)
        p.range("step", at, at + 50)
    answer = ask(trace, "bound >= 1.75", ranges={"step": "step"})
    assert answer.claims[0].claim.verdict is Verdict.UNPROVEN
    assert any("runs of step: 1.50×, 2.00×, 1.50×" in line for line in answer_lines(answer))


def layers(gemms=12):
    """A step of `gemms` products, whose library names them in their template arguments alone, beside two collectives."""
    trace = TraceBuilder()
    p = trace.process(551)
    p.sees(trace.gpu("a0ae1ff2-b9e3"))
    at = 1000 * US
    for _ in range(6):
        p.range("step", at, at + 900 * US)
        for i in range(gemms):
            p.kernel("Kernel2", (at + 2 * i, at + 2 * i + 1), (at + 100 + 20 * i, at + 110 + 20 * i), stream=7)
        for i in range(2):
            p.kernel(
                "ncclDevKernel_AllReduce", (at + 50 + i, at + 51 + i), (at + 100 + 40 * i, at + 120 + 40 * i), stream=8
            )
        p.kernel("ring_exchange", (at + 60, at + 61), (at + 400, at + 430), stream=8)
        at += 1000 * US
    p.call("cudaDeviceSynchronize_v3020", (at, at + 10))
    return trace


NAMED = [
    ("count(kernel:Kernel2) == 12", 12),
    ("count(kernel:*(float \\*)) == 15", 15),
    ("count(kernel:nccl*) == 2", 2),
    ("every sum(kernel:nccl*) <= 40ns", 40),
    ("every busy(stream:8) <= 70ns", 70),
    ("hidden(kernel:nccl*, kernel:Kernel2) >= 0.5", 0.5),
    ("hidden(stream:8, stream:7) >= 20%", 20 / 70),
    ("count(compute) == 13", 13),
]


@pytest.mark.parametrize(("claim", "value"), NAMED)
def test_claims_reach_kernels_by_name_and_streams(ask, claim, value):
    answer = ask(layers(), claim.replace("\\*", "[*]"), ranges={"step": "step"})
    assert answer.verdict is Verdict.PROVEN
    assert answer.claims[0].claim.measured == pytest.approx(value)
    assert answer.notes == ()


def test_a_kernel_that_is_not_there_is_named_beside_the_verdict(ask):
    answer = ask(layers(), "count(kernel:*gem) == 0", "count(stream:9) == 0", ranges={"step": "step"})
    assert answer.verdict is Verdict.PROVEN
    assert answer.notes[0].startswith("no kernel is called '*gem'")
    assert answer.notes[1].startswith("no operation ran on stream 9: there are: 7, 8")


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        ("sum(kernel:) <= 1ms", "no operations are selected by 'kernel:'"),
        ("sum(stream:x) <= 1ms", "a stream is chosen by its number"),
        ("sum(kernels:a) <= 1ms", "no operations are selected by 'kernels:a'"),
        ("sum(range:step) <= 1ms", "no operations are selected by 'range:step'"),
        ("sum(kernel:f<1, 2>) <= 1ms", "sum takes 0 or 1 arguments, not 2"),
    ],
)
def test_what_no_claim_can_name(ask, claim, reason):
    with pytest.raises(UsageError, match=reason):
        ask(layers(), claim)


def test_a_claims_file_names_further_communication(tmp_path):
    path = tmp_path / "claims.toml"
    path.write_text('schema = 1\nclaims = ["count(comm) == 3"]\ncommunication = ["^ring_"]\n[ranges]\nstep = "step"\n')
    question = read_claims(path)
    assert question.communication == ("^ring_",)
    trace = layers().write(tmp_path / "t.sqlite")
    assert check(read_trace(trace, question.communication), question).verdict is Verdict.PROVEN
    assert check(read_trace(trace), question).verdict is Verdict.REFUTED
    from aisp_prof.cli import app
    from typer.testing import CliRunner

    assert CliRunner().invoke(app, ["assert", str(trace), "--claims", str(path)]).exit_code == 0
    path.write_text('schema = 1\nclaims = ["count(comm) == 3"]\ncommunication = "ring"\n')
    with pytest.raises(UsageError, match="communication is list"):
        read_claims(path)


@pytest.mark.parametrize(("runs", "reason"), [(5, "few_iterations"), (0, "metric_missing")])
def test_a_speedup_of_too_few_iterations_says_so(ask, runs, reason):
    answer = ask(steps(*[100 * US] * runs), "speedup(a, b) >= 1", ranges={"a": "step", "b": "step"})
    (found,) = answer.claims[0].claim.reasons[-1:]
    assert answer.verdict is Verdict.UNPROVEN
    assert found.code == reason or runs == 0
    if runs:
        assert found.values == {"n": 5, "least": 6}
        assert "Iterations measured: 5; needed: at least 6." in "\n".join(answer_lines(answer))
