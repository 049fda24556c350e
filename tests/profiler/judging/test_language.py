"""The claim language: what it reads, and how it answers a slip."""

from fractions import Fraction

import pytest
from aisp_prof.errors import UsageError
from aisp_prof.profiler.judging.language import parse
from aisp_prof.profiler.judging.terms import Term
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "left", "comparison", "right"),
    [
        ("speedup >= 2", Term("speedup", "", ("baseline", "optimized")), ">=", 2.0),
        ("speedup(tiled, optimized) <= 1.1x", Term("speedup(tiled, optimized)", "", ("tiled", "optimized")), "<=", 1.1),
        ("sum(kernel:nccl*) <= 2ms", Term("sum(kernel:nccl*)", "optimized"), "<=", 2e6),
        ("baseline.count(kernel:*gemm*) == 12", Term("count(kernel:*gemm*)", "baseline"), "==", 12.0),
        ("count(kernel:foo<4>) < 3", Term("count(kernel:foo<4>)", "optimized"), "<", 3.0),
        ("busy(kernel:void f<1>(int*)) > 1us", Term("busy(kernel:void f<1>(int*))", "optimized"), ">", 1e3),
        ("hidden(stream:7, kernel:*gemm*) >= 80%", Term("hidden(stream:7, kernel:*gemm*)", "optimized"), ">=", 0.8),
        (
            "sum(kernel:a) <= baseline.sum(kernel:b<2>)",
            Term("sum(kernel:a)", "optimized"),
            "<=",
            Term("sum(kernel:b<2>)", "baseline"),
        ),
        ("kernels == 80", Term("kernels_per_iteration", "optimized"), "==", 80.0),
        ("baseline.launch_calls >= 2", Term("launch_calls_per_iteration", "baseline"), ">=", 2.0),
        ("tiled.busy <= 2ms", Term("busy", "tiled"), "<=", 2e6),
        ("hidden(h2d, d2h) >= 0.85", Term("hidden(h2d, d2h)", "optimized"), ">=", 0.85),
        ("hidden(copy)>=85%", Term("hidden(copy)", "optimized"), ">=", 0.85),
        ("baseline.idle <= 20us", Term("idle", "baseline"), "<=", 20_000.0),
        ("optimized.rate(h2d) > 48 GB/s", Term("rate(h2d)", "optimized"), ">", 48e9),
        ("optimized.gap_median <= 5us", Term("gap_median", "optimized"), "<=", 5_000.0),
        ("baseline.calls(cuMemAlloc*) >= 1", Term("calls(cuMemAlloc*)", "baseline"), ">=", 1.0),
        ("order_violations(append*, attend*) == 0", Term("order_violations(append*, attend*)", "optimized"), "==", 0.0),
        (
            "optimized.kernels_per_iteration == baseline.kernels_per_iteration",
            Term("kernels_per_iteration", "optimized"),
            "==",
            Term("kernels_per_iteration", "baseline"),
        ),
    ],
)
def test_reads(text, left, comparison, right):
    claim = parse(text, ("baseline", "tiled", "optimized"))
    assert (claim.left, claim.comparison, claim.right, claim.quantifier) == (left, comparison, right, "")


def test_reads_a_quantifier():
    claim = parse("every a.busy <= 2ms", ("a", "b"), "")
    assert (claim.left, claim.quantifier) == (Term("busy", "a"), "every")
    assert parse("median rate(h2d) >= 45 GB/s").quantifier == "median"


def test_a_dot_in_a_glob_names_no_variant():
    assert parse("calls(cu*.x) == 0").left == Term("calls(cu*.x)", "optimized")


@pytest.mark.parametrize(
    ("text", "left", "right", "factor"),
    [
        ("rate(h2d) >= 0.9 * ceiling(h2d)", Term("rate(h2d)", "optimized"), Term("ceiling(h2d)", ""), 0.9),
        (
            "baseline.rate(d2h) >= 9e-1*ceiling( d2h_both )",
            Term("rate(d2h)", "baseline"),
            Term("ceiling(d2h_both)", ""),
            0.9,
        ),
        ("achieved_flops >= 0.8 * ceiling(bf16)", Term("achieved_flops", "optimized"), Term("ceiling(bf16)", ""), 0.8),
        ("rate(h2d) <= ceiling(h2d)", Term("rate(h2d)", "optimized"), Term("ceiling(h2d)", ""), None),
        ("optimized.time <= 1.15 * floor", Term("time", "optimized"), Term("floor", "optimized"), 1.15),
        ("baseline.time <= 2 * floor", Term("time", "baseline"), Term("floor", "baseline"), 2.0),
        ("time <= 2 * baseline.floor", Term("time", "optimized"), Term("floor", "baseline"), 2.0),
        ("speedup >= 0.9 * bound", Term("speedup", "", ("baseline", "optimized")), Term("bound", "baseline"), 0.9),
        (
            "speedup(tiled, optimized) >= 0.9*bound",
            Term("speedup(tiled, optimized)", "", ("tiled", "optimized")),
            Term("bound", "tiled"),
            0.9,
        ),
        ("speedup >= 0.9 * tiled.bound", Term("speedup", "", ("baseline", "optimized")), Term("bound", "tiled"), 0.9),
        ("idle <= 0.5 * baseline.idle", Term("idle", "optimized"), Term("idle", "baseline"), 0.5),
        ("calls(cu*) <= baseline.calls(cu*)", Term("calls(cu*)", "optimized"), Term("calls(cu*)", "baseline"), None),
    ],
)
def test_reads_multiples_of_what_was_measured(text, left, right, factor):
    claim = parse(text, ("baseline", "tiled", "optimized"))
    assert (claim.left, claim.right, claim.factor) == (left, right, factor)


def test_reads_a_share_of_the_iterations():
    claim = parse("95% of iterations hidden(h2d) >= 0.8")
    assert (claim.left, claim.right, claim.quantifier) == (Term("hidden(h2d)", "optimized"), 0.8, "share")
    assert claim.share == Fraction(19, 20)
    assert parse("99.9 % of iterations: baseline.idle <= 1ms").share == Fraction(999, 1000)


NAMES = ("baseline", "tiled", "optimized")
_metrics = st.sampled_from(
    [
        ("hidden(h2d, d2h)", "ratio"),
        ("busy", "ns"),
        ("rate(h2d)", "B/s"),
        ("kernels_per_iteration", "count"),
        ("bound", "x"),
        ("busiest", "ratio"),
        ("time", "ns"),
        ("of_floor", "ratio"),
        ("achieved_flops", "FLOP/s"),
        ("flops", "FLOP"),
    ]
)
_UNITS = {"ratio": ("", "%"), "ns": ("ns", "us", "ms", "s"), "B/s": ("GB/s", "MB/s"), "count": ("",), "x": ("", "x")}
_UNITS |= {"FLOP/s": ("GFLOP/s", "TFLOP/s"), "FLOP": ("GFLOP", "TFLOP")}
_FIXED = {
    "B/s": ("ceiling(h2d)", "ceiling(copy)"),
    "FLOP/s": ("ceiling(bf16)", "ceiling(fp8_sustained)"),
    "ns": ("floor",),
}
_numbers = st.decimals(min_value="0.001", max_value=1000, places=3)


@st.composite
def written(draw):
    """A claim as it is written, of all parts of the grammar, with what it says."""
    space = draw(st.sampled_from(["", " ", "  "]))
    metric, unit = draw(_metrics)
    variant, comparison = draw(st.sampled_from(NAMES)), draw(st.sampled_from([">=", "<=", ">", "<", "=="]))
    share = draw(_numbers.filter(lambda number: number <= 100))
    spelled = {
        "": "",
        "every": "every ",
        "any": "any ",
        "median": "median ",
        "share": f"{share}% of iterations{space}: ",
    }
    quantifier = draw(st.sampled_from(list(spelled)))
    said = Fraction(share) / 100 if quantifier == "share" else None
    head = f"{spelled[quantifier]}{variant}{space}.{space}{metric}{space}{comparison}{space}"
    if draw(st.booleans()) and unit in _FIXED:
        factor, right = draw(st.none() | _numbers), draw(st.sampled_from(_FIXED[unit]))
        limit = Term(right, "" if right.startswith("ceiling") else variant)
        text = head + (right if factor is None else f"{factor}{space}*{space}{right}")
        return text, (
            Term(metric, variant),
            comparison,
            limit,
            quantifier,
            None if factor is None else float(factor),
            said,
        )
    number, ending = draw(_numbers), draw(st.sampled_from(_UNITS[unit]))
    scale = {
        "%": 0.01,
        "us": 1e3,
        "ms": 1e6,
        "s": 1e9,
        "GB/s": 1e9,
        "MB/s": 1e6,
        "GFLOP": 1e9,
        "TFLOP": 1e12,
        "GFLOP/s": 1e9,
        "TFLOP/s": 1e12,
    }
    limit = float(number) * scale.get(ending, 1.0)
    return f"{head}{number}{space}{ending}", (Term(metric, variant), comparison, limit, quantifier, None, said)


@settings(max_examples=400)
@given(written())
def test_every_claim_that_can_be_written_is_read_as_what_it_says(claim):
    text, meant = claim
    found = parse(text, NAMES)
    assert (found.left, found.comparison, found.right, found.quantifier, found.factor, found.share) == meant
    assert parse(found.text, NAMES) == found


@pytest.mark.parametrize(
    ("text", "complaint", "mend"),
    [
        ("rate(h2d) >= 0.9 * ceilng(h2d)", "no metric is called 'ceilng'", "ceiling"),
        ("rate(h2d) >= 0.9 * ceiling(h2b)", "no ceiling is called 'h2b'", "h2d"),
        ("rate(h2d) >= ceiling", "the ceiling of what?", "h2d_both"),
        ("rate(h2d) >= ceiling(h2d) * 0.9", "a factor comes first", "0.9 * ceiling(h2d)"),
        ("rate(h2d) >= 90% * ceiling(h2d)", "a factor has no unit", "0.9 * ceiling(h2d)"),
        ("rate(h2d) >= -1 * ceiling(h2d)", "a factor is above 0", "0.9 * ceiling(h2d)"),
        ("rate(h2d) >= 1e999 * ceiling(h2d)", "a factor is above 0", "0.9 * ceiling(h2d)"),
        ("rate(h2d) >= 0.9 * ceiling(bf16)", "B/s cannot be compared with FLOP/s", ""),
        ("rate(h2d) >= 0.9 * floor", "B/s cannot be compared with ns", ""),
        ("time <= 1.15", "time needs a unit", "20us"),
        ("time <= 1.15 * flor", "no metric is called 'flor'", "floor"),
        ("tme <= 1.15 * floor", "no metric is called 'tme'", "time"),
        ("floor >= 2ms", "is what a metric is held against", "time <= 1.15 * floor"),
        ("ceiling(h2d) >= 40 GB/s", "is what a metric is held against", "0.9 * ceiling(h2d)"),
        ("0.9 * ceiling(h2d) <= rate(h2d)", "the left side is a number", "left"),
        ("speedup >= 0.9 * busiest", "x cannot be compared with ratio", ""),
        ("95% of hidden(h2d) >= 0.8", "95% of what?", "95% of iterations: hidden(h2d) >= 0.8"),
        ("0% of iterations: hidden(h2d) >= 0.8", "no 0% of the iterations", "more than 0%"),
        ("120% of iterations: hidden(h2d) >= 0.8", "no 120% of the iterations", "at most 100%"),
        ("90% of iterations: speedup >= 2", "of all iterations", "leave out the share"),
        ("90% of iterations: busy <= baseline.busy", "compared with a number", "ceiling"),
    ],
)
def test_answers_a_slip_about_what_was_measured(text, complaint, mend):
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert complaint in str(caught.value)
    assert mend in caught.value.mend


@pytest.mark.parametrize(
    ("text", "complaint", "mend"),
    [
        ("busy <= 2ms", "of which range?", "a.busy"),
        ("speedup >= 2", "the speedup of what?", "speedup(before, after)"),
        ("every speedup(a, b) >= 2", "of all iterations", "leave out 'every'"),
        ("median a.busy <= b.busy", "compared with a number", "speedup(a, b)"),
        ("speedup(a, c) >= 1", "no variant is called 'c'", "there are: a, b"),
    ],
)
def test_answers_a_slip_about_named_ranges(text, complaint, mend):
    with pytest.raises(UsageError) as caught:
        parse(text, ("a", "b"), "")
    assert complaint in str(caught.value)
    assert mend in caught.value.mend


@pytest.mark.parametrize(
    ("text", "complaint", "mend"),
    [
        ("hiden(copy) >= 1", "no metric is called 'hiden'", "hidden"),
        ("iteration <= 2ms", "no metric is called 'iteration'", "span"),
        ("hidden(h2b) >= 1", "no operations are called 'h2b'", "h2d"),
        ("hidden(a, b, c) >= 1", "takes 1 or 2 arguments, not 3", ""),
        ("optimised.busy >= 1ms", "no variant is called 'optimised'", "optimized"),
        ("speedup(baseline, optimised) >= 2", "no variant is called 'optimised'", "optimized"),
        ("hidden(copy)", "no comparison", "hidden(h2d, d2h)"),
        ("1 <= speedup", "the left side is a number", "left"),
        ("busy >= 3", "needs a unit", "20us"),
        ("busy <= 1e999 s", "beyond all numbers", "can be met"),
        ("kernels_per_iteration <= 1e400", "beyond all numbers", "can be met"),
        ("busy >= 3 GB/s", "is not measured in GB/s", ""),
        ("busy >= 3 parsec", "no unit is called 'parsec'", "ns"),
        ("busy >= baseline.kernels_per_iteration", "cannot be compared", ""),
    ],
)
def test_answers_a_slip(text, complaint, mend):
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert complaint in str(caught.value)
    assert mend in caught.value.mend
