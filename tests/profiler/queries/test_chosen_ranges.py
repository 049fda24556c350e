"""Which ranges a name means: a plain name, nested ones from the outside in, either behind its domain."""

from pathlib import Path

import pytest
from aisp_prof.profiler.assertions.check import Question, check
from aisp_prof.profiler.queries.ranges import why_none
from aisp_prof.profiler.ranges.chosen import chosen_ranges
from aisp_prof.profiler.trace.reader import read_trace
from trace_builder import TraceBuilder

CAPTURES = Path(__file__).parents[3] / "captures"


@pytest.fixture
def trace(tmp_path):
    """Two epochs of two steps each, a step outside of them, and another domain whose names look like paths."""
    builder = TraceBuilder()
    p = builder.process(7)
    for epoch in range(2):
        at = 1_000 * epoch
        p.range(f"epoch {epoch}", at, at + 900)
        for step in range(2):
            start = at + 100 + 400 * step
            p.range("step", start, start + 300)
            p.range("forward", start + 10, start + 100)
            p.kernel("k", (start + 20, start + 21), (start + 30, start + 40))
    p.range("step", 5_000, 5_100)
    p.range("a/b", 6_000, 6_100)
    p.range("a", 6_200, 6_300)
    p.range("b", 6_210, 6_290)
    p.range("step", 7_000, 7_100, domain="train")
    p.range("loss", 7_010, 7_020, domain="train")
    return read_trace(builder.write(tmp_path / "t.sqlite"))


@pytest.mark.parametrize(
    ("name", "starts"),
    [
        ("step", [100, 500, 1_100, 1_500, 5_000, 7_000]),
        ("epoch */step", [100, 500, 1_100, 1_500]),
        ("epoch 1/step", [1_100, 1_500]),
        ("epoch 1/step/forward", [1_110, 1_510]),
        ("step/forward", [110, 510, 1_110, 1_510]),
        ("epoch 1/*", [1_100, 1_500]),
        ("epoch 1/forward", []),
        ("step/step", []),
        ("/step", []),
        ("a/b", [6_000]),
        ("a/b*", [6_000]),
        ("?/b", [6_000]),
        ("a/[b]", [6_000]),
        ("train:step", [7_000]),
        ("train:s*", [7_000]),
        ("train:step/loss", [7_010]),
        ("train:epoch 1/step", []),
        ("other:step", []),
    ],
)
def test_the_plainest_reading_that_any_range_fits_counts(trace, name, starts):
    chosen = chosen_ranges(trace, name=name)
    assert sorted(trace.ranges.start[chosen].tolist()) == starts
    if not starts:
        assert f"no range is called {name!r}" in why_none(trace, None, name)


def test_a_domain_that_is_asked_for_holds_for_every_reading(trace):
    assert len(chosen_ranges(trace, "train", "step")) == 1
    assert len(chosen_ranges(trace, "train", "train:step")) == 1
    assert not len(chosen_ranges(trace, "", "train:step"))
    assert not len(chosen_ranges(trace, "train", "epoch 1/step"))


def test_every_range_is_found_by_the_path_that_it_has(trace):
    """Against `path_of`, which walks up from one range; a range that is called as the path is comes before it."""
    names = {trace.text(int(text)) for text in trace.ranges.text}
    paths = {i: trace.path_of(i) for i in range(len(trace.ranges))}
    nested = {i: path for i, path in paths.items() if path not in names}
    assert set(paths.values()) - set(nested.values()) == {"step", "epoch 0", "epoch 1", "a/b", "a"}
    for i, path in nested.items():
        assert i in chosen_ranges(trace, name=path).tolist()


def test_of_a_pair_the_iterations_inside_show_what_its_report_shows():
    """The range around an iteration also holds the kernel that keeps the GPU busy until all is queued: 1.4 instead of 2.2."""
    trace = read_trace(next(CAPTURES.glob("ch11.streams-20261120*")) / "trace.sqlite.xz")

    def speedup(inner):
        names = {name: f"ch11.streams.{name}.measure{inner}" for name in ("baseline", "optimized")}
        (answer,) = check(trace, Question(("speedup(baseline, optimized) >= 1.05",), names)).claims
        return round(answer.claim.measured, 2)

    assert speedup("") == 1.4
    assert speedup("/iter") == 2.2
