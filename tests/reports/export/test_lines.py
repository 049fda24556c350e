"""Lines of text by either engine: as Python's csv and json modules write and read them, and the same bytes."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import engines
import numpy as np
import pytest
from aisp_prof.profiler.core.library import MICRO
from aisp_prof.profiler.queries.table import Column, Table
from aisp_prof.profiler.trace.reader import read_trace
from aisp_prof.reports.export.columns import export_trace, neutral, write_csv
from aisp_prof.reports.export.lines import Part, micro, real, rendered
from aisp_prof.reports.export.perfetto import _lowest_free, lanes
from busy_trace import busy_trace
from hypothesis import example, given, settings
from hypothesis import strategies as st

TEXTS = ("", 'a "b"', "x,y", "two\r\nlines", "=1+1", " blank", "이름", "\ud800", "%s%%", "'", "\n")
integers = st.integers(-(2**63), 2**63 - 1)
reals = st.one_of(
    st.floats(), st.floats(1e-4, 1e16), st.integers(-(2**60), 2**60).map(lambda n: math.ldexp(n, -40)), st.just(-0.0)
)


def by_each_engine(write):
    """What `write` returns by the core and by Python alone."""
    written = []
    for engine in engines.ENGINES:
        with pytest.MonkeyPatch.context() as patch:
            engines.choose(patch, engine)
            written.append(write())
    return written


def text_of(rows, *parts):
    return b"".join(bytes(piece) for piece in rendered([(rows, parts)], str.encode)).decode()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(integers, reals, st.integers(-1, len(TEXTS) - 1), st.booleans(), st.booleans())))
def test_csv_is_what_pythons_module_writes(rows):
    whole, fraction, text, flag, gone = (list(column) for column in zip(*rows, strict=True)) if rows else ([],) * 5
    missing = np.array(gone, bool)
    table = Table(
        {
            "whole": Column(np.array(whole, np.int64), missing=missing),
            "name": Column(np.array(text, np.int64), TEXTS),
            "inner": Table({"real": Column(np.array(fraction, np.float64)), "flag": Column(np.array(flag, bool))}),
            "narrow": Column(np.array(text, np.int8), missing=missing),
            "same": Column(np.broadcast_to(np.int64(7), (len(rows),))),
            "maybe": Column(np.array(text, np.int64), TEXTS, missing),
        }
    )
    expected = io.StringIO(newline="")
    writer = csv.writer(expected)
    writer.writerow(["whole", "name", "inner.real", "inner.flag", "narrow", "same", "maybe"])
    for w, f, t, yes, no in rows:
        spelled = neutral(TEXTS[t] if t >= 0 else "")
        writer.writerow([None if no else w, spelled, f, yes, None if no else t, 7, None if no else spelled])

    def write():
        out = io.BytesIO()
        halves = [table.take(np.arange(len(rows)) < 2), table.take(np.arange(len(rows)) >= 2)]
        assert write_csv(halves, out) == len(rows)
        return out.getvalue()

    for written in by_each_engine(write):
        assert written == expected.getvalue().encode("utf-8", "backslashreplace")


@pytest.mark.parametrize("engine", engines.ENGINES)
def test_reals_are_as_python_writes_them(monkeypatch, engine):
    """Of every exponent that is written without one, at both ends of every power of two and ten."""
    engines.choose(monkeypatch, engine)
    rng = np.random.default_rng(7)
    exact = np.concatenate([np.ldexp(1.0, np.arange(-13, 53)), 10.0 ** np.arange(-4, 16)])
    some = np.concatenate(
        [
            *(np.nextafter(exact, towards) for towards in (0, 1e300)),
            exact,
            rng.integers(1, 10**6, 20_000) / rng.integers(1, 10**6, 20_000),
            rng.random(20_000) * 10.0 ** rng.integers(-3, 16, 20_000),
            rng.integers(1, 2**40, 20_000) / 2.0 ** rng.integers(0, 45, 20_000),
        ]
    )
    shown = some[(some >= 1e-4) & (some < 1e16)]
    assert text_of(len(shown), *real("", shown), Part("\n")).split("\n")[:-1] == [repr(x) for x in shown.tolist()]


@given(st.lists(integers, min_size=1))
@example([0, -1, 999, -1000, -(2**63), 2**63 - 1])
def test_no_nanosecond_is_lost(values):
    parts = (Part("at ", np.array(values), MICRO), Part(";", where=np.array(values) >= 0))
    expected = "".join(f"at {micro(value)}{';' if value >= 0 else ''}" for value in values)
    assert by_each_engine(lambda: text_of(len(values), *parts)) == [expected, expected]
    assert [round(float(micro(value)) * 1000) for value in values if abs(value) < 2**43] == [
        value for value in values if abs(value) < 2**43
    ]


def test_a_line_may_be_longer_than_a_piece(monkeypatch):
    engines.choose(monkeypatch, "core")
    before = "x" * (3 << 20)
    assert text_of(3, Part(before, np.arange(3))) == f"{before}0{before}1{before}2"


def test_a_code_without_a_text_is_refused(monkeypatch):
    engines.choose(monkeypatch, "core")
    for code in (2, -1):
        with pytest.raises(IndexError, match="a code without a text"):
            text_of(2, Part("", np.array([0, code]), 3, ("a", "b")))


@pytest.mark.parametrize(("to", "files"), [("perfetto", 1), ("csv", 3)])
def test_exports_are_the_same_by_either_engine(tmp_path: Path, to: str, files: int) -> None:
    trace = read_trace(busy_trace().write(tmp_path / "t.sqlite"))
    out = iter((tmp_path / "core", tmp_path / "numpy"))

    def write():
        written = export_trace(trace, to, next(out))
        return [(one.rows, Path(one.file).read_bytes()) for one in written]

    one, two = by_each_engine(write)
    assert one == two
    assert len(one) == files


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 20))), st.booleans())
def test_lanes_of_nested_intervals_are_those_found_one_by_one(pairs, nest):
    """`nest` cuts each where the one around it ends, so that many examples are nested."""
    spans: list[tuple[int, int]] = []
    around: list[int] = []
    for start, length in sorted(pairs, key=lambda pair: (pair[0], -pair[1])):
        while around and around[-1] <= start:
            around.pop()
        end = min([start + length, *around[-1:]]) if nest else start + length
        around.append(end)
        spans.append((start, end))
    spans.sort(key=lambda span: (span[0], -span[1]))
    start, end = (np.array([span[k] for span in spans], np.int64) for k in (0, 1))
    assert lanes(start, end).tolist() == _lowest_free(start, end)
