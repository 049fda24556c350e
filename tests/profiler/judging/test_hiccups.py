"""One stalled iteration of twenty: it refutes no true share, hides no false one, and the trace says what happened in it."""

from __future__ import annotations

import random

import pytest
from aisp_prof.profiler.assertions.check import Question, check
from aisp_prof.profiler.evidence import Verdict
from aisp_prof.profiler.manifest import Manifest
from aisp_prof.profiler.proof.prove import prove
from aisp_prof.profiler.trace.reader import read_trace
from aisp_prof.reports.catalog import catalog
from aisp_prof.reports.terminal.assertion import answer_lines
from pair_trace import US, manifest, overlapped, run_pair
from trace_builder import TraceBuilder

HIDDEN = "hidden(h2d, compute)"
STEPS = 20


def steps(shares, stall_at=None, slow_at=None):
    """A trace of steps: a copy in of 100 us, of which a kernel hides a share, and another kernel when all of that is done.

    In `stall_at` the host makes its last launch 400 us after the GPU has nothing to do; in `slow_at` the copy takes twice as long
    for the same bytes, hidden for half its share.
    """
    return series({"step": shares}, stall_at, slow_at)


def series(named, stall_at=None, slow_at=None):
    """One series of steps after the other, the ranges of each called by its name."""
    trace = TraceBuilder()
    p = trace.process(551)
    p.sees(trace.gpu("a0ae1ff2-b9e3"))
    at = 1000 * US
    for name, shares in named.items():
        for number, share in enumerate(shares):
            length, late = 200 * US if number == slow_at else 100 * US, 400 * US if number == stall_at else 0
            at = step(p, name, at, number, share, length, late) + 100 * US
    p.call("cudaDeviceSynchronize_v3020", (at, at + 10))
    return trace


def step(p, name, at, number, share, length, late):
    begun = at + 20 * US
    p.copy("h2d", 5_000_000, (at + 10, at + 11), (begun, begun + length), stream=7)
    p.kernel("work", (at + 12, at + 13), (begun, begun + round(share * 100 * US)), stream=8)
    launch = begun + length + late if late else at + 14
    run = (max(begun + length + 5 * US, launch + 3 * US), begun + length + late + 50 * US)
    p.kernel("last", (launch, launch + 2 * US), run, stream=7)
    end = begun + length + late + 60 * US
    p.range(name, at, end, domain="user", payload=number)
    return end


@pytest.fixture
def ask(tmp_path):
    def asked(trace, *claims):
        read = read_trace(trace.write(tmp_path / "t.sqlite"))
        return check(read, Question(claims, {"step": "step"})).claims

    return asked


def around(share, seed, low=None):
    """Shares of twenty iterations with a spread of 2 points, one of them another where `low` says so."""
    noise = random.Random(seed)
    found = [min(1.0, noise.gauss(share, 0.02)) for _ in range(STEPS)]
    if low is not None:
        found[noise.randrange(STEPS)] = low
    return found


SEEDS = 100
FORMS = ("median {}." + HIDDEN + " >= 0.8", "90% of iterations: {}." + HIDDEN + " >= 0.8")


def judged(tmp_path, every):
    """The verdicts of both forms on each of these series of twenty."""
    named = {f"s{seed}": shares for seed, shares in enumerate(every)}
    claims = tuple(form.format(name) for name in named for form in FORMS)
    read = read_trace(series(named).write(tmp_path / "t.sqlite"))
    verdicts = [one.claim.verdict for one in check(read, Question(claims, {name: name for name in named})).claims]
    return verdicts[0::2], verdicts[1::2]


def test_how_often_one_hiccup_misleads(tmp_path):
    """Over many seeds, with one iteration of twenty far off: true shares are proven and false ones are not, by the median and by a
    share of the iterations."""
    for verdicts in judged(tmp_path, [around(0.87, seed, low=0.3) for seed in range(SEEDS)]):
        assert Verdict.REFUTED not in verdicts
        assert verdicts.count(Verdict.PROVEN) >= 0.98 * SEEDS
    for verdicts in judged(tmp_path, [around(0.74, seed, low=1.0) for seed in range(SEEDS)]):
        assert Verdict.PROVEN not in verdicts
        assert verdicts.count(Verdict.REFUTED) >= 0.98 * SEEDS


def test_every_iteration_is_what_every_says(ask):
    (every,) = ask(steps(around(0.87, 0, low=0.3)), f"{HIDDEN} >= 0.8")
    assert every.claim.verdict is Verdict.REFUTED


@pytest.mark.parametrize(("good", "verdict"), [(20, Verdict.PROVEN), (18, Verdict.PROVEN), (17, Verdict.REFUTED)])
def test_a_share_counts_the_measured_iterations(ask, good, verdict):
    """90 % of twenty are eighteen; the value that decides is the worst of the eighteen best."""
    shares = [0.9 - 0.001 * i for i in range(good)] + [0.5] * (STEPS - good)
    (one,) = ask(steps(shares), f"90% of iterations: {HIDDEN} >= 0.8")
    assert (one.claim.verdict, one.claim.n) == (verdict, STEPS)
    assert one.claim.measured == pytest.approx(sorted(shares)[2])
    told = [reason for reason in one.claim.reasons if reason.code == "too_few_hold"]
    assert [dict(reason.values) for reason in told] == ([{"count": 17, "of": 20, "needed": 18}] if good == 17 else [])


def test_upper_limits_have_their_worst_on_the_other_side(ask):
    shares = [0.5] * 18 + [0.9, 0.95]
    (one,) = ask(steps(shares), f"90% of iterations: {HIDDEN} <= 0.6")
    assert (one.claim.verdict, one.claim.measured) == (Verdict.PROVEN, pytest.approx(0.5))
    beyond = next(reason for reason in one.claim.reasons if reason.code == "iterations_beyond")
    assert (beyond.values["count"], beyond.values["index"]) == (2, 19)


def test_of_few_iterations_a_share_is_each_of_them(ask):
    (one,) = ask(steps([0.9] * 7 + [0.5]), f"95% of iterations: {HIDDEN} >= 0.8")
    assert one.claim.verdict is Verdict.REFUTED


def codes(one):
    return [reason.code for reason in one.claim.reasons]


def test_a_host_that_stalled_is_named_by_the_call_that_came_late(ask):
    (one,) = ask(steps([0.9] * STEPS, stall_at=11), "95% of iterations: span <= 200us")
    assert (one.claim.verdict, codes(one)) == (Verdict.PROVEN, ["iterations_beyond", "host_stalled"])
    beyond, stalled = one.claim.reasons
    assert (beyond.values["index"], beyond.values["count"]) == (11, 1)
    assert stalled.values["ms"] == pytest.approx(0.402)
    assert stalled.values["name"].startswith("cudaLaunchKernel")


def test_the_late_call_is_the_row_that_it_names(tmp_path):
    import sqlite3

    file = steps([0.9] * STEPS, stall_at=3).write(tmp_path / "t.sqlite")
    (one,) = check(read_trace(file), Question(("every span <= 200us",), {"step": "step"})).claims
    assert (one.claim.verdict, codes(one)) == (Verdict.REFUTED, ["worst_iteration", "host_stalled"])
    told = one.claim.reasons[1].values
    with sqlite3.connect(file) as database:
        (start, end) = database.execute(
            f"select start, end from {told['table']} where rowid = ?", (told["row"],)
        ).fetchone()
        idle = database.execute("select max(end) from CUPTI_ACTIVITY_KIND_MEMCPY where end <= ?", (start,)).fetchone()[
            0
        ]
    assert end - idle == round(told["ms"] * 1e6)


def test_a_copy_that_was_slower_is_named_with_its_rate(ask):
    (one,) = ask(steps([0.9] * STEPS, slow_at=4), f"median {HIDDEN} >= 0.8")
    assert (one.claim.verdict, codes(one)) == (Verdict.PROVEN, ["iterations_beyond", "copy_rate_fell"])
    assert dict(one.claim.reasons[1].values) == {"way": "h2d", "gbps": 25.0, "usual_gbps": 50.0}


def test_what_no_row_tells_is_said(ask):
    (one,) = ask(steps([0.9] * 9 + [0.3] + [0.9] * 10), f"median {HIDDEN} >= 0.8")
    assert codes(one) == ["iterations_beyond", "nothing_explains"]
    text = "\n".join(answer_lines(_answer(one)))
    assert "the worst is number 9, with 30.0%" in text
    assert "Nothing in the trace explains it." in text


def _answer(one):
    from aisp_prof.profiler.assertions.check import Answer
    from aisp_prof.profiler.evidence import Completeness

    return Answer(one.claim.verdict, Completeness("complete", None, 0, ()), "thread", {"step": STEPS}, (one,))


def test_a_claim_that_most_iterations_break_has_no_exceptions(ask):
    (one,) = ask(steps(around(0.7, 0, low=0.95)), f"median {HIDDEN} >= 0.8")
    assert (one.claim.verdict, codes(one)) == (Verdict.REFUTED, ["contradicted"])


def test_a_count_is_explained_by_no_hiccup(ask):
    """A kernel more is another program, whatever the host did meanwhile; a time in the same iteration is explained."""
    trace = steps([0.9] * STEPS, stall_at=11)
    p = next(iter([trace.process(551)]))
    (start,) = [
        one["start"] for one in trace.rows["NVTX_EVENTS"] if one.get("uint64Value") == 11 or one.get("int64Value") == 11
    ]
    p.kernel("more", (start + 20, start + 21), (start + 30 * US, start + 40 * US), stream=9)
    count, time = ask(trace, "kernels_per_iteration == 2", "every span <= 200us")
    assert (count.claim.verdict, codes(count)) == (Verdict.REFUTED, ["worst_iteration"])
    assert (time.claim.verdict, codes(time)) == (Verdict.REFUTED, ["worst_iteration", "host_stalled"])


def test_a_clock_that_was_lower_about_then_is_named(tmp_path):
    """Samples in the iteration, or the one before and the one after it."""
    trace = TraceBuilder()

    def slower(p, at, wobble):
        longer = len(ran) == 5
        ran.append(at)
        return overlapped(p, at, wobble + (80 * US if longer else 0))

    ran = []
    run_pair(trace, optimized=slower)
    path = trace.write(tmp_path / "t.sqlite")
    begun = read_trace(path).start_utc_ns

    def conditions(low):
        during = [{"utc_ns": begun + at, "sm_mhz": 1300 if low and i == 5 else 1980} for i, at in enumerate(ran)]
        return {"before": None, "during": during, "after": None}

    claims = ("90% of iterations: optimized.span <= 600us", "85% of iterations: optimized.span <= 700us")
    found = [
        prove(Manifest.from_json(manifest(claims, conditions=conditions(low))), path).claims[1] for low in (True, False)
    ]
    assert [reason.code for reason in found[0].reasons] == ["iterations_beyond", "copy_rate_fell", "clocks_fell"]
    assert dict(found[0].reasons[2].values) == {"low_mhz": 1300, "usual_mhz": 1980}
    assert [reason.code for reason in found[1].reasons] == ["iterations_beyond", "copy_rate_fell"]


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_every_reason_has_words(ask, lang):
    say = catalog(lang)
    for one in (
        *ask(steps([0.9] * STEPS, stall_at=11), "95% of iterations: span <= 200us"),
        *ask(steps([0.9] * 9 + [0.3] * 11), f"80% of iterations: {HIDDEN} >= 0.8"),
    ):
        for reason in one.claim.reasons:
            text = say.finding(reason, one.claim.unit)
            assert text.why
            assert text.mend
            assert "{" not in text.seen
