"""What a trace may hold makes no export slow, and cuts nothing out of it."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from aisp_prof.profiler.assertions.check import Answer, Checked, Question
from aisp_prof.profiler.evidence import Evidence, Finding, Verdict
from aisp_prof.profiler.trace.reader import read_trace
from aisp_prof.reports.export.asked import Asked
from aisp_prof.reports.export.columns import export_trace
from aisp_prof.reports.export.junit import junit
from aisp_prof.reports.export.sarif import sarif
from aisp_prof.reports.hostile import LONGEST_SHOWN
from aisp_prof.reports.terminal.assertion import summary_markdown
from trace_builder import TraceBuilder


@pytest.mark.timeout(20)
def test_a_stream_or_a_lane_an_operation(tmp_path: Path) -> None:
    """Perfetto's tracks: their number is what a trace says, and each took a look at every operation."""
    trace = TraceBuilder()
    process = trace.process(1)
    for k in range(8_000):
        process.kernel("k", None, (k, 10**6 - k), stream=k % 4_000)
    read = read_trace(trace.write(tmp_path / "t.sqlite"))
    begun = time.process_time()
    export_trace(read, "perfetto", tmp_path / "t.json")
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    names = [event for event in events if event["name"] == "thread_name"]
    assert len(names) == 8_000
    assert len({event["tid"] for event in names}) == 8_000
    assert time.process_time() - begun < 4


def test_of_many_long_reasons_none_is_cut_out(evidence: Evidence) -> None:
    """Each text of others is shortened on its own: what is made of them keeps its own words."""
    reasons = tuple(Finding("diagnostic", {"severity": f"reason {n}", "text": "x" * 400}) for n in range(60))
    claim = replace(evidence.claims[0], reasons=reasons, verdict=Verdict.UNPROVEN)
    answer = Answer(Verdict.UNPROVEN, evidence.completeness, "thread", {}, (Checked(claim, "", ()),))
    asked = Asked("t", Question((claim.text,), {"baseline": "a*", "optimized": "b*"}))
    written = (junit(answer, asked), sarif(answer, asked), summary_markdown(answer, "t"))
    for text in written:
        assert len(text) > LONGEST_SHOWN
        assert all(f"reason {n}" in text for n in range(60))
