"""Ranges that were never closed: real exports of 2022 to 2025 write the session's end, and never NULL."""

import lzma
import sqlite3
from pathlib import Path

import pytest
from aisp_prof.profiler.assertions.check import Question, check
from aisp_prof.profiler.evidence import Verdict
from aisp_prof.profiler.queries.ranges import ranges
from aisp_prof.profiler.trace.reader import read_trace
from trace_builder import GENERATIONS, TraceBuilder

TRACES = Path(__file__).parents[3] / "traces"
FAULTS = TRACES / "faults"


def opened(path):
    trace = read_trace(path)
    return sorted(trace.text(int(i)) for i in trace.ranges.text[trace.ranges.is_open])


def asserted(path, name, *claims):
    return check(read_trace(path), Question(claims, {"r": name}))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("faults/open-range-real-nsys-2023.4", ["left open", "never ended se"]),
        ("faults/real-nsys-2022.4-export-meta-data", ["also open", "left open"]),
        ("h200-unified-memory", ["open"]),  # nsys 2025.3 on an H200: the program pushes once more before it ends
        ("h200-capture-range", []),
        ("h200-killed", ["it"]),  # its pop was lost with the program
    ],
)
def test_real_exports(name, expected):
    assert opened(TRACES / f"{name}.sqlite.xz") == expected


def test_a_claim_on_one_is_unproven_in_a_real_trace():
    answer = asserted(FAULTS / "open-range-real-nsys-2023.4.sqlite.xz", "left open", "kernels_per_iteration == 3")
    assert answer.verdict is Verdict.UNPROVEN
    assert "open_range" in {reason.code for reason in answer.claims[0].claim.reasons}


def test_the_end_stays_what_the_file_says():
    trace = read_trace(FAULTS / "open-range-real-nsys-2023.4.sqlite.xz")
    assert trace.ranges.end[trace.ranges.is_open].tolist() == [395837770, 395837770]


def built(tmp_path, generation="2025.3", **options):
    trace = TraceBuilder(generation=generation, **options)
    p = trace.process(7)
    for step in range(3):
        p.range("step", 100 * step, None if step == 2 else 100 * step + 90)
        p.kernel("k", (100 * step + 10, 100 * step + 12), (100 * step + 20, 100 * step + 80))
    p.range("crossing", 5, None, tid=1, start_end=True)
    return trace.write(tmp_path / "t.sqlite")


@pytest.mark.parametrize("generation", GENERATIONS)
def test_every_generation_and_the_null_of_the_schema(tmp_path, generation):
    assert opened(built(tmp_path, generation)) == ["crossing", "step"]
    assert opened(built(tmp_path, generation, null_ends=True)) == ["crossing", "step"]


def test_the_last_step_that_was_cut_proves_nothing_and_those_before_it_neither(tmp_path):
    """What every instance of a name must show, an unfinished one cannot."""
    path = built(tmp_path)
    assert asserted(path, "step", "kernels_per_iteration == 1").verdict is Verdict.UNPROVEN
    rows = list(ranges(read_trace(path), name="step").rows())
    assert [row["open"] for row in rows] == [False, False, True]


def moved(path, shift, **export):
    """The export moved by `shift`, as --ts-shift and --ts-normalize move all times but the duration (seen with 2023.4)."""
    with sqlite3.connect(path) as connection:
        tables = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
        for table in tables:
            columns = {row[1] for row in connection.execute(f"pragma table_info({table})")}
            for column in {"start", "end"} & columns:
                connection.execute(f"update {table} set {column} = {column} + {shift}")
        for name, value in export.items():
            connection.execute("insert into META_DATA_EXPORT values (?, ?)", (name, str(value)))
    return path


def test_an_export_whose_times_were_moved(tmp_path):
    assert opened(moved(built(tmp_path), 1_000_000, EXPORT_CONFIG_TIME_SHIFT=1_000_000)) == ["crossing", "step"]
    assert opened(moved(built(tmp_path), -50, EXPORT_PARAM_TIME_SHIFT=-50)) == ["crossing", "step"]
    utc = read_trace(built(tmp_path)).start_utc_ns
    assert opened(moved(built(tmp_path), utc, EXPORT_PARAM_TIME_NORMALIZE="true")) == ["crossing", "step"]
    assert opened(moved(built(tmp_path), 77)) == []  # a shift that nothing states


def test_one_that_was_closed_elsewhere_is_closed(tmp_path):
    path = built(tmp_path)
    with sqlite3.connect(path) as connection:
        connection.execute("update NVTX_EVENTS set end = end - 1 where end = (select duration from ANALYSIS_DETAILS)")
    assert opened(path) == []


def test_several_sessions_and_odd_values_of_the_duration(tmp_path):
    path = built(tmp_path)
    with sqlite3.connect(path) as connection:
        connection.execute("insert into ANALYSIS_DETAILS select globalVid, duration + 5, 0, 0 from ANALYSIS_DETAILS")
        connection.execute("insert into ANALYSIS_DETAILS values (1, 'text', 0, 0), (1, 0, 0, 0), (1, -5, 0, 0)")
        connection.execute("update NVTX_EVENTS set end = end + 5 where text = 'crossing'")
    assert opened(path) == ["crossing", "step"]


def test_no_shipped_capture_has_one():
    """Their sessions ended a second after the last range; a scrubbed trace keeps the duration that tells."""
    for path in sorted((TRACES.parents[1] / "captures").glob("ch11.streams-*/trace.sqlite.xz")):
        plain = sqlite3.connect(":memory:")
        plain.deserialize(lzma.decompress(path.read_bytes()))
        ((duration,),) = plain.execute("select duration from ANALYSIS_DETAILS").fetchall()
        assert duration > 0
        assert opened(path) == []
