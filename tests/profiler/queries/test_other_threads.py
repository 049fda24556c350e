"""Launches inside a range from another thread are not counted in silence."""

import engines
import pytest
from aisp_prof.cli import app
from aisp_prof.errors import UsageError
from aisp_prof.profiler.assertions.check import Question, check
from aisp_prof.profiler.queries.other_threads import other_threads
from aisp_prof.profiler.queries.overlap import overlap
from aisp_prof.profiler.queries.summary import summary
from aisp_prof.profiler.ranges.attribution import Attribution, operations_inside
from aisp_prof.profiler.ranges.chosen import chosen_ranges
from aisp_prof.profiler.ranges.uncounted import covers, launched_inside, uncounted
from aisp_prof.profiler.trace.reader import read_trace
from busy_trace import busy_trace
from trace_builder import TraceBuilder
from typer.testing import CliRunner


def training(path, backward, steps=6):
    """Steps of ten kernels on the range's thread and of `backward` ones on another."""
    trace = TraceBuilder()
    p = trace.process(7)
    for step in range(steps):
        at = 1_000 * step
        p.range("train_step", at, at + 900)
        for i in range(10 + backward):
            tid = 1 if i < 10 else 2
            p.kernel("k", (at + 10 + 2 * i, at + 11 + 2 * i), (at + 100 + 10 * i, at + 105 + 10 * i), tid=tid)
    return trace.write(path / "t.sqlite")


def test_the_numbers_are_told(tmp_path):
    trace = read_trace(training(tmp_path, backward=20))
    (note,) = other_threads(trace, "train_step", "thread")
    assert "of 180 operations" in note
    assert "120 came from other threads" in note
    assert other_threads(trace, "train_step", "process") == []


@pytest.mark.parametrize(("backward", "told"), [(0, False), (1, False), (2, True)])
def test_a_tenth_is_passed_over(tmp_path, backward, told):
    trace = read_trace(training(tmp_path, backward))
    assert bool(other_threads(trace, "*", "thread")) is told


@pytest.mark.parametrize("command", [
    ["trace", "summary", "{}"],
    ["trace", "ranges", "{}"],
    ["trace", "export", "{}", "--to", "perfetto", "--output", "{}.json"],
    ["trace", "overlap", "{}", "--a", "range:train_step", "--b", "compute"],
    ["trace", "diff", "{}", "--range-a", "train_step", "--range-b", "train_step"],
    ["assert", "{}", "kernels_per_iteration == 10", "--range", "train_step"],
])  # fmt: skip
def test_every_answer_on_ranges_says_so(tmp_path, command):
    path = str(training(tmp_path, backward=20))
    answer = CliRunner().invoke(app, [part.format(path) for part in command])
    assert answer.exit_code == 0, answer.output
    assert "--attribution process" in " ".join(answer.output.split())
    if command[0] == "trace":
        answer = CliRunner().invoke(app, [*(part.format(path) for part in command), "--attribution", "process"])
        assert answer.exit_code == 0, answer.output
        assert "--attribution process" not in answer.output
    path = str(training(tmp_path, backward=0))
    answer = CliRunner().invoke(app, [part.format(path) for part in command])
    assert "--attribution process" not in answer.output


def test_an_assertion_of_the_whole_trace_or_by_process_says_nothing(tmp_path):
    trace = read_trace(training(tmp_path, backward=20))
    assert check(trace, Question(("kernels_per_iteration == 180",), {})).notes == ()
    by_process = Question(("kernels_per_iteration == 30",), {"s": "train_step"}, attribution="process")
    assert check(trace, by_process).notes == ()


@pytest.mark.parametrize("attribution", list(Attribution))
@pytest.mark.parametrize("name", ["*", "step", "async", "data", "forward*"])
def test_what_is_inside_equals_what_ranges_launched(tmp_path, name, attribution, monkeypatch):
    """Each launch once, however many ranges hold it."""
    trace = read_trace(busy_trace().write(tmp_path / "t.sqlite"))
    chosen = chosen_ranges(trace, name=name)
    assert len(chosen)
    held = set(operations_inside(trace, chosen, attribution)[1].tolist())
    by_process = set(operations_inside(trace, chosen, Attribution.PROCESS)[1].tolist())
    own, whole = (covers(trace, chosen, one) for one in (attribution, Attribution.PROCESS))
    for engine in engines.ENGINES:
        engines.choose(monkeypatch, engine)
        assert launched_inside(trace, own, []) == (len(held), len(held))
        assert launched_inside(trace, [], own) == (0, len(held))
        assert launched_inside(trace, own, whole) == (len(held), len(by_process))
        told = (0, 0) if attribution is Attribution.PROCESS else (len(by_process - held), len(by_process))
        assert uncounted(trace, chosen, attribution) == told


def test_by_process_an_overlap_counts_them(tmp_path):
    trace = read_trace(training(tmp_path, backward=20))
    by_thread, by_process = (
        overlap(trace, "range:train_step", "compute", 0, one)[0].a_ops for one in ("thread", "process")
    )
    assert (by_thread, by_process) == (60, 180)
    with pytest.raises(UsageError, match="no attribution"):
        overlap(trace, "range:train_step", "compute", 0, "threads")


def test_a_summary_of_the_process_counts_every_thread(tmp_path):
    trace = read_trace(training(tmp_path, backward=20))
    (of_thread,), (of_process,) = summary(trace).ranges, summary(trace, attribution="process").ranges
    assert (of_thread.ops, of_process.ops) == (60, 180)
    assert summary(trace, attribution="process").notes == ()
    with pytest.raises(UsageError, match="no attribution is called"):
        summary(trace, attribution="threads")
