"""Which GPU is meant where an export says it twice, not at all, or wrongly."""

import sqlite3
from pathlib import Path

import pytest
from aisp_prof.profiler.analysis.completeness import attest
from aisp_prof.profiler.assertions.check import Question, check
from aisp_prof.profiler.queries.summary import summary
from aisp_prof.profiler.trace.devices import labels
from aisp_prof.profiler.trace.reader import read_trace
from aisp_prof.reports.terminal.trace_tables import summary_lines
from trace_builder import TraceBuilder

FAULTS = Path(__file__).parents[2] / "traces" / "faults"
NOWHERE = 2**31 - 1
NAMELESS = ("device 0 of process 7", "device 0 of process 8")


def two(hosts=(1, 2), pids=(7, 7), vms=(0, 0)):
    """Two processes that each call their GPU device 0; the export names both GPUs."""
    trace = TraceBuilder()
    for number, (host, pid, vm) in enumerate(zip(hosts, pids, vms, strict=True)):
        p = trace.process(pid, host=host)
        p.sees(trace.gpu(f"uuid-{number}"))
        trace.rows["TARGET_INFO_GPU"][-1]["vmId"] = vm
        p.range("step", 0, 100)
        p.kernel("k", (10, 12), (20 + 10 * number, 60 + 10 * number))
    return trace


def seen(trace, tmp_path):
    read = read_trace(trace.write(tmp_path / "t.sqlite"))
    return [(gpu.uuid, gpu.device) for gpu in read.gpus], summary(read)


def test_two_containers_with_one_pid_have_two_gpus():
    found = summary(read_trace(FAULTS / "two-containers-same-pid.sqlite.xz"))
    assert [(row.gpu_uuid, row.kernels, row.overlap, row.busy) for row in found.devices] == [("", 1, 0, 40)] * 2
    assert [row.label for row in found.devices] == [
        "device 0 of process 7 on host 1",
        "device 0 of process 7 on host 2",
    ]


def test_the_host_of_a_gpu_tells_whose_it_is(tmp_path):
    gpus, _ = seen(two(vms=(1 << 48, 2 << 48)), tmp_path)
    assert gpus == [("uuid-0", 0), ("uuid-1", 0)]


def test_two_hosts_whose_gpus_have_one_number(tmp_path):
    trace = two(vms=(1 << 48, 2 << 48))
    trace.rows["TARGET_INFO_GPU"][1]["id"] = 0
    trace.rows["TARGET_INFO_CUDA_DEVICE"][1]["gpuId"] = 0
    assert seen(trace, tmp_path)[0] == [("uuid-0", 0), ("uuid-1", 0)]


def test_other_pids_are_told_apart_as_ever(tmp_path):
    assert seen(two(pids=(7, 8)), tmp_path)[0] == [("uuid-0", 0), ("uuid-1", 0)]


def test_two_processes_of_one_pid_that_the_export_puts_on_one_gpu(tmp_path):
    trace = two()
    for row in trace.rows["TARGET_INFO_CUDA_DEVICE"]:
        row["gpuId"] = 0
    gpus, found = seen(trace, tmp_path)
    assert gpus == [("uuid-0", 0)]
    assert found.devices[0].overlap == 30


def test_a_gpu_that_has_no_name_is_shown_by_its_ordinal():
    found = summary(read_trace(FAULTS / "devices-without-identity.sqlite.xz"))
    shown = [line for line in summary_lines(found) if line.startswith("unnamed device")]
    assert len(set(shown)) == 2
    assert [name in line for name, line in zip(NAMELESS, shown, strict=True)] == [True, True]
    assert {row.label for row in found.ranges} == {row.label for row in found.kernels} == set(NAMELESS)


def test_a_claim_says_on_which_of_them_it_fares_worst():
    answer = check(read_trace(FAULTS / "devices-without-identity.sqlite.xz"), Question(("span <= 1us",), {"s": "step"}))
    assert answer.gpus == NAMELESS


def test_labels_never_agree(tmp_path):
    trace = TraceBuilder()
    for pid, host in ((7, 1), (7, 2), (8, 1)):
        for device in (0, 1):
            trace.process(pid, host=host).kernel("k", (10, 12), (20, 40), device=device)
    assert len(set(labels(read_trace(trace.write(tmp_path / "t.sqlite")).gpus))) == 6


def test_a_graph_whose_first_node_runs_on_the_host_is_on_its_processs_device():
    read = read_trace(FAULTS / "graph-first-node-on-host.sqlite.xz")
    (device,) = summary(read).devices
    assert (device.device, device.untraced_graphs, device.overlap) == (0, 1, None)
    assert attest(read).status == "complete"


def graphs(nowhere=NOWHERE, devices=(0,), streams=(7,), stream=7):
    trace = TraceBuilder()
    p = trace.process(7)
    for number, (device, mine) in enumerate(zip(devices, streams, strict=True)):
        p.kernel("k", (10 * number + 1, 10 * number + 2), (50, 90), device=device, stream=mine)
    p.graph((40, 42), (60, 100), stream=stream, device=nowhere)
    return trace


@pytest.mark.parametrize("nowhere", [NOWHERE, 2**32 - 1, -1])
def test_every_number_that_is_no_device(tmp_path, nowhere):
    assert seen(graphs(nowhere), tmp_path)[0] == [("", 0)]


def test_its_stream_tells_where_a_process_used_several_devices(tmp_path):
    _, found = seen(graphs(devices=(0, 1), streams=(7, 9), stream=9), tmp_path)
    assert [row.untraced_graphs for row in found.devices] == [0, 1]


@pytest.mark.parametrize("streams", [(7, 7), (8, 9)])
def test_one_that_cannot_be_placed_makes_the_trace_incomplete(tmp_path, streams):
    _, found = seen(graphs(devices=(0, 1), streams=streams), tmp_path)
    assert [row.untraced_graphs for row in found.devices] == [0, 0]
    codes = {finding.code: finding.blocks for finding in found.completeness.findings}
    assert codes["graphs_without_device"] == "range"
    assert found.completeness.status == "incomplete"


def test_a_process_of_graphs_alone_has_the_device_that_it_saw(tmp_path):
    trace = TraceBuilder()
    p = trace.process(7)
    p.sees(trace.gpu("uuid-0"), ordinal=3)
    p.graph((40, 42), (60, 100), device=NOWHERE)
    assert seen(trace, tmp_path)[0] == [("uuid-0", 3)]
    trace = TraceBuilder()
    trace.process(7).graph((40, 42), (60, 100), device=NOWHERE)
    gpus, found = seen(trace, tmp_path)
    assert gpus == []
    assert found.completeness.status == "incomplete"


def test_the_file_still_says_where_the_record_is(tmp_path):
    """The row is the same; what its device was in the file is there for anyone to see."""
    path = graphs().write(tmp_path / "t.sqlite")
    row = int(read_trace(path).operations.row[-1])
    with sqlite3.connect(path) as connection:
        query = "select deviceId from CUPTI_ACTIVITY_KIND_GRAPH_TRACE where rowid = ?"
        assert connection.execute(query, (row,)).fetchone() == (NOWHERE,)
