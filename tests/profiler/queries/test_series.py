"""Steps that are numbered in their names are one row of a summary."""

import pytest
from aisp_prof.profiler.analysis.names import series
from aisp_prof.profiler.queries.summary import summary, top_ranges
from aisp_prof.profiler.ranges.chosen import chosen_ranges
from aisp_prof.profiler.trace.reader import read_trace
from trace_builder import TraceBuilder


@pytest.mark.parametrize(
    ("names", "globs"),
    [
        ([f"train_step_{i}" for i in range(12)], {"train_step_*"}),
        ([f"ProfilerStep#{i}" for i in (4, 5, 6)], {"ProfilerStep#*"}),
        (["v1", "v2"], set()),
        (["1", "2", "3"], set()),
        (["step_1", "step_2", "stride_3"], set()),
        (["step 1", "step 2", "step 3", "step", "step 4 of 9"], {"step *"}),
        (["a\n1", "a\n2", "a\n3"], {"a\n*"}),
        ([], set()),
    ],
)
def test_three_names_that_differ_by_their_number_are_a_series(names, globs):
    assert set(series(names).values()) == globs


def test_a_row_sums_its_series_and_its_glob_finds_all_of_it(tmp_path):
    builder = TraceBuilder()
    p = builder.process(7)
    p.sees(builder.gpu("aaaa"))
    for step in range(20):
        at = 1_000 * step
        p.range(f"train_step_{step}", at, at + 900, domain="train" if step < 15 else "")
        p.range("forward", at + 5, at + 400)
        p.kernel("k", (at + 10, at + 11), (at + 20, at + 30 + step))
    trace = read_trace(builder.write(tmp_path / "t.sqlite"))
    rows = {(row.domain, row.name): row for row in top_ranges(trace, 10)}
    assert set(rows) == {("train", "train_step_*"), ("", "train_step_*"), ("", "forward")}
    steps = rows["train", "train_step_*"]
    assert (steps.instances, steps.ops, steps.span, steps.longest) == (15, 15, sum(10 + i for i in range(15)), 24)
    assert len(chosen_ranges(trace, name="train:train_step_*")) == 15
    assert summary(trace).ranges[0].name == "forward"
