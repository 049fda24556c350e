"""NVTX in all its forms, and more of it than anybody should write."""

import time

import pytest
from aisp_prof.profiler.trace.reader import read_trace
from trace_builder import TraceBuilder


@pytest.fixture
def trace():
    return TraceBuilder()


def read(trace, tmp_path):
    return read_trace(trace.write(tmp_path / "t.sqlite"))


@pytest.mark.parametrize(
    ("column", "value", "integer", "real"),
    [
        ("uint64Value", 2**63 - 1, 2**63 - 1, None),
        ("uint64Value", -1, -1, None),  # 2^64 - 1: SQLite's integers are signed
        ("int64Value", -(2**63), -(2**63), None),
        ("uint32Value", 4294967293, 4294967293, None),
        ("int32Value", -3, -3, None),
        ("doubleValue", 0.1, None, 0.1),
        ("floatValue", 2.5, None, 2.5),
        ("int64Value", None, None, None),
    ],
)
def test_payloads_of_every_kind(trace, tmp_path, column, value, integer, real):
    p = trace.process(1)
    p.range("bare", 1, 2)
    p.range("r", 3, 4, payload=value, payload_as=column)
    ranges = read(trace, tmp_path).ranges
    assert ranges.has_payload.tolist() == [False, integer is not None]
    assert ranges.payload[1] == (integer or 0)
    assert (
        (ranges.payload_float[1] == real) if real is not None else (ranges.payload_float[1] != ranges.payload_float[1])
    )


def test_imported_ranges_marks_and_categories(trace, tmp_path):
    p = trace.process(1)
    p.category(5, "io", domain="d")
    p.range("push", 1, 9, domain="d", category=5, imported=True)
    p.range("start", 2, 8, domain="d", start_end=True, imported=True)
    p.mark("here", 4, domain="d", tid=3)
    found = read(trace, tmp_path)
    assert found.ranges.start_end.tolist() == [False, True]
    assert [found.text(int(c)) for c in found.ranges.category] == ["io", ""]
    marks = found.marks
    assert (marks.time.tolist(), found.text(int(marks.text[0])), found.text(int(marks.domain[0]))) == ([4], "here", "d")
    assert marks.thread.tolist() == [p.thread(3)]


def test_domains_are_those_of_their_process(trace, tmp_path):
    for pid, name in ((1, "one"), (2, "two")):
        trace.process(pid).range("r", 1, 2, domain=name)
    found = read(trace, tmp_path)
    assert [found.text(int(d)) for d in found.ranges.domain] == ["one", "two"]


def test_neither_text_nor_registered_string(trace, tmp_path):
    p = trace.process(1)
    trace.add("NVTX_EVENTS", start=1, end=2, eventType=59, globalTid=p.thread(1))
    trace.add("NVTX_EVENTS", start=1, end=2, eventType=59, globalTid=p.thread(1), textId=12345)
    trace.add("NVTX_EVENTS", start=3, end=4, eventType=59, globalTid=p.thread(1), text="", textId=trace.string("id"))
    found = read(trace, tmp_path)
    assert found.ranges.text.tolist()[:2] == [-1, -1]
    assert found.text(int(found.ranges.text[2])) == ""


def test_ten_thousand_domains_and_threads(trace, tmp_path):
    p = trace.process(1)
    for k in range(10_000):
        p.range("outer", k, k + 50, domain=f"domain {k}", tid=k)
        p.range("inner", k + 1, k + 40, domain=f"domain {k}", tid=k)
    begin = time.process_time()
    found = read(trace, tmp_path)
    assert len({int(d) for d in found.ranges.domain}) == 10_000
    assert found.ranges.level.tolist() == [0, 1] * 10_000
    assert time.process_time() - begin < 20


def test_ten_thousand_levels(trace, tmp_path):
    p = trace.process(1)
    for k in range(10_000):
        p.range(f"level {k % 50}", k, 50_000 - k)
    begin = time.process_time()
    found = read(trace, tmp_path)
    assert found.ranges.level.tolist() == list(range(10_000))
    assert found.ranges.parent.tolist() == list(range(-1, 9_999))
    assert time.process_time() - begin < 20


def test_strings_of_a_megabyte(trace, tmp_path):
    p = trace.process(1)
    texts = ["x" * 1_000_000, "x" * 999_999 + "y", "<b>\n\u202e", "\0nul", "x" * 600 + "a", "x" * 600 + "b"]
    for k, text in enumerate(texts):
        p.range(text, k, k + 1, domain=f"d{k}", registered=k % 2 == 1)
    found = read(trace, tmp_path)
    assert [found.text(int(t)) for t in found.ranges.text] == texts
    assert [found.text(int(d)) for d in found.ranges.domain] == [f"d{k}" for k in range(len(texts))]
