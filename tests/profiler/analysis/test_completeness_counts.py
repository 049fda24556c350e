"""What nsys states against what is there, in every reading that its versions have."""

import pytest
from aisp_prof.profiler.analysis.completeness import attest
from aisp_prof.profiler.trace.reader import read_trace
from trace_builder import TraceBuilder


def built(tmp_path, stated):
    trace = TraceBuilder(stated=stated)
    p = trace.process(1)
    p.kernel("k", (1, 2), (3, 4))
    p.graph((5, 6), (7, 8))
    return attest(read_trace(trace.write(tmp_path / "t.sqlite")))


@pytest.mark.parametrize("stated", [3, 4])  # two calls and a kernel, without or with the graph
def test_graph_rows_may_be_counted_or_not(tmp_path, stated):
    found = built(tmp_path, stated)
    assert (found.status, found.events_found) == ("complete", stated)


@pytest.mark.parametrize(("stated", "code"), [(5, "events_missing"), (2, "event_count_differs")])
def test_another_number_is_a_finding(tmp_path, stated, code):
    found = built(tmp_path, stated)
    assert found.status == "incomplete"
    assert code in {finding.code for finding in found.findings}
