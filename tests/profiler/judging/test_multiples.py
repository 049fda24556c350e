"""Claims against multiples of what was measured too: both sides' intervals decide, and what nobody measured is named."""

from __future__ import annotations

import json
import random
from statistics import median

import pytest
from aisp_prof.errors import UsageError
from aisp_prof.machine.records import convert
from aisp_prof.profiler.assertions.check import Question, check
from aisp_prof.profiler.evidence import Verdict
from aisp_prof.profiler.judging.limits import Estimate, ceilings_of
from aisp_prof.profiler.manifest import Ceilings, Manifest
from aisp_prof.profiler.proof.prove import prove
from aisp_prof.profiler.trace.reader import read_trace
from pair_trace import US, manifest, record, run_pair
from trace_builder import TraceBuilder

WORK = 5_000_000


def ceiling(name, *times_ns, work=WORK):
    return {"name": name, "work": work, "value": work * 1e9 / median(times_ns), "times_ns": list(times_ns)}


EXACT = ceiling("h2d", *[100 * US] * 20)
"""50 GB/s, the rate of every copy of the built pair."""
WIDE = ceiling("h2d", *[90 * US, 110 * US] * 10)
"""45.5 to 55.6 GB/s, as often the one as the other."""


@pytest.fixture
def proof(tmp_path):
    run_pair(TraceBuilder())  # a test may ask for its `record` before it builds it

    def build(*claims, ceilings=(), **changes):
        trace = TraceBuilder()
        run_pair(trace)
        given = {"ceilings": list(ceilings)} if ceilings else None
        told = Manifest.from_json(manifest(claims, ceilings=given, **changes))
        return prove(told, trace.write(tmp_path / "t.sqlite"))

    return build


def rates(*ceilings):
    return ceilings_of(convert({"ceilings": list(ceilings)}, Ceilings, "a test"))


def outcome(evidence):
    (claim,) = evidence.claims
    return claim.verdict, [reason.code for reason in claim.reasons]


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        ("rate(h2d) >= 0.99 * ceiling(h2d)", Verdict.PROVEN),
        ("rate(h2d) <= 1.01 * ceiling(h2d)", Verdict.PROVEN),
        ("rate(h2d) >= 1.01 * ceiling(h2d)", Verdict.REFUTED),
        ("every rate(h2d) >= 0.99 * ceiling(h2d)", Verdict.PROVEN),
        ("90% of iterations: rate(h2d) >= 0.99 * ceiling(h2d)", Verdict.PROVEN),
        ("any rate(h2d) >= 1.01 * ceiling(h2d)", Verdict.REFUTED),
    ],
)
def test_a_rate_against_its_ceiling(proof, claim, verdict):
    assert outcome(proof(claim, ceilings=[EXACT]))[0] is verdict


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(0.85, Verdict.PROVEN), (0.95, Verdict.UNPROVEN), (1.05, Verdict.UNPROVEN), (1.15, Verdict.REFUTED)],
)
@pytest.mark.parametrize("quantifier", ["", "every ", "median ", "any ", "95% of iterations: "])
def test_a_ceiling_that_was_measured_with_a_spread_leaves_what_lies_inside_it_unproven(
    proof, quantifier, factor, verdict
):
    evidence = proof(f"{quantifier}rate(h2d) >= {factor} * ceiling(h2d)", ceilings=[WIDE])
    assert outcome(evidence)[0] is verdict
    (claim,) = evidence.claims
    low, high = rates(WIDE)["h2d"].low, rates(WIDE)["h2d"].high
    assert (claim.threshold_low, claim.threshold_high) == (low * factor, high * factor)
    if verdict is Verdict.UNPROVEN:
        assert outcome(evidence)[1] == ["limit_uncertain"]


def test_an_equality_inside_a_wide_ceiling_is_not_refuted(proof):
    """Wholly inside: both ends differ from the value, on different sides of it."""
    assert outcome(proof("rate(h2d) == ceiling(h2d)", ceilings=[WIDE]))[0] is Verdict.UNPROVEN
    assert outcome(proof("rate(h2d) == 0.5 * ceiling(h2d)", ceilings=[WIDE]))[0] is Verdict.REFUTED


def test_a_ceiling_that_nobody_measured_leaves_its_claim_unproven_with_the_mend(proof):
    evidence = proof("rate(h2d) >= 0.9 * ceiling(d2h)", ceilings=[EXACT])
    assert outcome(evidence) == (Verdict.UNPROVEN, ["no_ceiling"])
    assert dict(evidence.claims[0].reasons[0].values) == {"name": "d2h"}
    assert evidence.claims[0].threshold is None


def test_the_interval_of_a_ceiling_is_that_of_the_median_of_its_runs():
    noise = random.Random(7)
    times = [noise.gauss(100 * US, US) for _ in range(20)]
    found = rates(ceiling("copy", *times))["copy"]
    assert min(times) < WORK * 1e9 / found.high < median(times) < WORK * 1e9 / found.low < 102 * US
    assert found.value == pytest.approx(WORK * 1e9 / median(times))
    assert rates({"name": "copy", "value": 5.0})["copy"] == Estimate.exactly(5.0)


def test_a_ceiling_that_drifted_is_no_wider_than_its_runs():
    """Clocks fall while a matrix rate is measured: neighbours are alike, and the interval of a median would leave what was seen."""
    found = rates(ceiling("bf16", *range(100 * US, 110 * US, US // 2)))["bf16"]
    assert (WORK * 1e9 / found.high, WORK * 1e9 / found.low) == (pytest.approx(100 * US), pytest.approx(109.5 * US))


def test_the_speedup_against_the_bound_of_what_it_begins_from(proof):
    """The serial variant's span is 1040 us, its copies in take 400: no more than a factor of 2.6 is to be had by overlap."""
    assert outcome(proof("baseline.bound >= 2.58"))[0] is Verdict.PROVEN
    reached = proof("speedup >= 0.6 * bound").claims[0]
    assert reached.verdict is Verdict.PROVEN
    assert 0.6 * 2.58 <= reached.threshold_low <= reached.threshold <= reached.threshold_high < 0.6 * 2.61
    assert outcome(proof("speedup >= 0.9 * bound"))[0] is Verdict.REFUTED
    assert outcome(proof("speedup >= 0.6 * optimized.bound"))[0] is Verdict.PROVEN


def test_times_and_rates_of_two_variants_by_the_intervals_of_both_medians(proof):
    assert outcome(proof("time <= 0.7 * baseline.time"))[0] is Verdict.PROVEN
    assert outcome(proof("time <= 0.5 * baseline.time"))[0] is Verdict.REFUTED
    assert outcome(proof("rate(h2d) >= 0.99 * baseline.rate(h2d)"))[0] is Verdict.PROVEN
    assert outcome(proof("median hidden(copy) >= 2 * baseline.hidden(copy)"))[0] is Verdict.PROVEN


def test_the_time_of_a_pair_that_tracing_slowed_is_that_of_the_bare_run(proof):
    """Where the tracer changed the times, what is claimed of `time` is judged by the run without it."""
    evidence = proof("optimized.time <= 1us", runs={"traced": record(), "untraced": record(0.8)})
    (claim,) = evidence.claims
    assert [round(value) for value in claim.values] == list(evidence.optimized.untraced_ns)
    usual = proof("optimized.time <= 1us", runs={"traced": record(), "untraced": record(0.99)}).claims[0]
    assert list(usual.values) == [run.end - run.start for run in evidence.optimized.iterations]


def phases(**of_variants):
    """A record that states phases for its variants."""
    run = {**record(), "phases": {name: list(given) for name, given in of_variants.items()}}
    return {"traced": run, "untraced": {**record(), "iterations": []}}


SERIAL = ({"h2d": 4 * WORK}, {"d2h": 4 * WORK})
AT_ONCE = ({"h2d": WORK}, {"h2d": 3 * WORK, "d2h": 3 * WORK}, {"d2h": WORK})
LINK = [ceiling(name, *[100 * US] * 20) for name in ("h2d", "d2h", "h2d_both", "d2h_both")]


def test_the_time_against_the_floor_of_its_own_work(proof):
    """Copies at the ceilings' rate: 8 x 100 us one after the other, 5 x 100 us where both ways run at once."""
    declared = phases(baseline=SERIAL, optimized=AT_ONCE)
    for claim, verdict in {
        "baseline.time <= 1.31 * floor": Verdict.PROVEN,
        "baseline.time <= 1.29 * floor": Verdict.REFUTED,
        "baseline.of_floor >= 76%": Verdict.PROVEN,
        "baseline.of_floor >= 78%": Verdict.REFUTED,
        "optimized.time <= 1.14 * floor": Verdict.PROVEN,
        "optimized.of_floor >= 90%": Verdict.REFUTED,
    }.items():
        assert outcome(proof(claim, ceilings=LINK, runs=declared))[0] is verdict, claim


def test_without_declared_work_or_a_rate_there_is_no_floor(proof):
    assert outcome(proof("time <= 2 * floor", ceilings=LINK)) == (Verdict.UNPROVEN, ["no_work_declared"])
    lacking = proof("of_floor >= 0.5", ceilings=LINK[:3], runs=phases(optimized=AT_ONCE))
    assert outcome(lacking) == (Verdict.UNPROVEN, ["no_ceiling"])
    assert dict(lacking.claims[0].reasons[0].values) == {"name": "d2h_both"}


def test_a_floor_whose_rates_were_not_steady_accuses_nobody(proof):
    """Both ways at once took 100 us or 180, as on hosts where one direction slows: the median's floor is 1.09 of the time, the one at
    the rates' upper ends 0.88."""
    unsteady = [*LINK[:2], *(ceiling(name, *[100 * US, 180 * US] * 10) for name in ("h2d_both", "d2h_both"))]
    declared = phases(optimized=AT_ONCE)
    assert outcome(proof("speedup >= 1.2", ceilings=unsteady, runs=declared))[0] is Verdict.PROVEN
    assert outcome(proof("of_floor >= 50%", ceilings=unsteady, runs=declared))[0] is Verdict.PROVEN
    assert outcome(proof("of_floor >= 95%", ceilings=unsteady, runs=declared))[0] is Verdict.UNPROVEN
    slow = [*LINK[:2], *(ceiling(name, *[180 * US] * 20) for name in ("h2d_both", "d2h_both"))]
    evidence = proof("speedup >= 1.2", ceilings=slow, runs=declared)
    assert outcome(evidence) == (Verdict.INVALID, ["implausible"])
    shaky = [*LINK[:2], *(ceiling(name, *[165 * US, 185 * US] * 10) for name in ("h2d_both", "d2h_both"))]
    said = [
        one.claims[0].reasons[0].values["percent"]
        for one in (proof("speedup >= 1.2", ceilings=shaky, runs=declared), evidence)
    ]
    middle, steady = 2 * 100 + 3 * (2 / (1 / 165 + 1 / 185)), 2 * 100 + 3 * 180
    assert said[0] / said[1] == pytest.approx(middle / steady, rel=1e-2), (
        "the metric's own value, not that of the upper ends"
    )


def test_less_time_than_the_floor_allows_is_no_success(proof):
    too_much = phases(optimized=({"h2d": 7 * WORK},))
    evidence = proof("speedup >= 1.5", ceilings=LINK, runs=too_much)
    assert outcome(evidence) == (Verdict.INVALID, ["implausible"])
    assert evidence.claims[0].reasons[0].values["metric"] == "optimized.of_floor"
    assert (
        outcome(proof("speedup >= 1.5", ceilings=LINK, runs=phases(optimized=({"h2d": 5 * WORK},))))[0]
        is Verdict.PROVEN
    )


def test_false_verdicts_are_rarer_than_one_in_twenty(tmp_path):
    """A rate that is the ceiling exactly, both measured with the same noise of 1 %: neither above nor below it is the truth."""
    from aisp_prof.profiler.evidence import Iteration, VariantEvidence
    from aisp_prof.profiler.judging.grounds import Grounds
    from aisp_prof.profiler.judging.judge import judge
    from aisp_prof.profiler.judging.language import parse

    noise, wrong, seeds = random.Random(3), 0, 400
    claims = [parse("rate(h2d) > 1 * ceiling(h2d)"), parse("rate(h2d) < 1 * ceiling(h2d)")]
    for _ in range(seeds):
        runs = tuple(Iteration(i, i, i + 1, None, {"rate(h2d)": 50e9 * noise.gauss(1, 0.01)}) for i in range(20))
        variant = VariantEvidence("optimized", runs, None, (), (), ())
        measured = rates(ceiling("h2d", *(100 * US / noise.gauss(1, 0.01) for _ in range(20))))
        grounds = Grounds({"optimized": variant}, {}, {"optimized": ()}, {"optimized": ()}, (), ceilings=measured)
        wrong += sum(judge(claim, grounds).verdict is Verdict.PROVEN for claim in claims)
    assert wrong <= 0.05 * seeds


@pytest.fixture
def ask(tmp_path):
    def asked(*claims, gpu="a0ae1ff2-b9e3", stored=True):
        trace = TraceBuilder()
        run_pair(trace)
        file = tmp_path / "ceilings.json"
        file.write_text(json.dumps({"gpu": {"uuid": f"GPU-{gpu}"}, "ceilings": [EXACT], "calibration": {}}))
        read = read_trace(trace.write(tmp_path / "t.sqlite"))
        return check(read, Question(claims, {"step": "iter"}, ceilings=file if stored else None))

    return asked


def test_anyones_trace_is_held_against_the_ceilings_of_its_gpu(ask):
    assert ask("rate(h2d) >= 0.99 * ceiling(h2d)", "every time <= 2ms").verdict is Verdict.PROVEN
    assert ask("rate(h2d) >= 1.01 * ceiling(h2d)").verdict is Verdict.REFUTED
    (one,) = ask("rate(h2d) >= 0.99 * ceiling(h2d)", stored=False).claims
    assert (one.claim.verdict, one.claim.reasons[0].code) == (Verdict.UNPROVEN, "no_ceiling")


def test_the_ceilings_of_another_gpu_are_refused(ask):
    with pytest.raises(UsageError, match="another GPU") as caught:
        ask("rate(h2d) >= 0.99 * ceiling(h2d)", gpu="bbbb")
    assert "aisp-prof calibrate" in caught.value.mend


def test_a_trace_has_no_floor(ask):
    with pytest.raises(UsageError, match="does not say what its work needs"):
        ask("step.time <= 1.2 * floor")
