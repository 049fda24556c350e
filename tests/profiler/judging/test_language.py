"""The claim language: what it reads, and how it answers a slip."""

import pytest
from aisp_prof.errors import UsageError
from aisp_prof.profiler.judging.language import Term, parse


@pytest.mark.parametrize(
    ("text", "left", "comparison", "right"),
    [
        ("speedup >= 2", Term("speedup", "", ("baseline", "optimized")), ">=", 2.0),
        ("speedup(tiled, optimized) <= 1.1x", Term("speedup(tiled, optimized)", "", ("tiled", "optimized")), "<=", 1.1),
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
