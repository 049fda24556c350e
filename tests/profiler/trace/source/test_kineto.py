"""Traces of torch.profiler: equal to a brute force on public ones, honest about what they cannot show, bad input named."""

import gzip
import json
import random
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import aisp_prof
import numpy as np
import pytest
from aisp_prof.cli import app
from aisp_prof.errors import TraceError
from aisp_prof.profiler.analysis.completeness import attest
from aisp_prof.profiler.analysis.overlap import busy_time
from aisp_prof.profiler.assertions.check import Question, check
from aisp_prof.profiler.evidence import Verdict
from aisp_prof.profiler.trace.cache.traces import TraceCache
from aisp_prof.profiler.trace.model import COMM, COMPUTE, COPIES, D2H, H2D, KINDS, MEMORY_SET
from aisp_prof.profiler.trace.reader import read_trace
from aisp_prof.profiler.trace.source import kineto_events
from aisp_prof.profiler.trace.source.file import open_source
from aisp_prof.profiler.trace.source.scan import Wanted
from typer.testing import CliRunner

TRACES = Path(__file__).parents[3] / "traces/kineto"
PUBLIC = sorted(TRACES.glob("*.json.gz"))
A100 = TRACES / "a100-two-ranks.json.gz"
MEMORY = (*COPIES, MEMORY_SET)


def written(path):
    """The events as Python's own json reads them, times as decimals."""
    return json.loads(gzip.decompress(path.read_bytes()), parse_float=Decimal)["traceEvents"]


def ns(microseconds):
    whole = Decimal(microseconds) * 1000
    assert whole == int(whole)
    return int(whole)


def union(intervals):
    joined = []
    for start, end in sorted(intervals):
        if joined and start <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([start, end])
    return joined


def length(intervals):
    return sum(end - start for start, end in intervals)


def shared(a, b):
    """How long both run; each a union of intervals."""
    return length(a) + length(b) - length(union([*map(tuple, a), *map(tuple, b)]))


@pytest.mark.parametrize("path", PUBLIC, ids=lambda path: path.stem)
def test_busy_times_equal_a_brute_force(path):
    """`ncclDev…` and the symmetric-memory kernels of the B200 talk; the brute force is told so by their names alone."""
    talks = ("nccl", "multimem_all_reduce_kernel", "two_shot_all_reduce", "one_shot_all_reduce")
    by_class = {"compute": [], "comm": [], "memory": []}
    for event in written(path):
        if event["cat"] not in ("kernel", "gpu_memcpy", "gpu_memset"):
            continue
        talking = any(word in event["name"] for word in talks)
        name = "memory" if event["cat"] != "kernel" else "comm" if talking else "compute"
        by_class[name].append((ns(event["ts"]), ns(event["ts"]) + ns(event["dur"])))
    unions = {name: union(some) for name, some in by_class.items()}
    operations = aisp_prof.open(path).trace.operations
    busy = {
        name: busy_time(operations.of_kind(*kinds))
        for name, kinds in (("compute", (COMPUTE,)), ("comm", (COMM,)), ("memory", MEMORY))
    }
    assert {name: one.length for name, one in busy.items()} == {name: length(one) for name, one in unions.items()}
    assert busy_time(operations).length == length(union(one for some in by_class.values() for one in some))
    assert (busy["comm"] & busy["compute"]).length == shared(unions["comm"], unions["compute"])


def test_the_numbers_of_the_a100():
    """Stated by hand, so that the brute force and the reader cannot be wrong together."""
    summary = aisp_prof.open(A100).summary()
    (device,) = summary.devices
    assert (device.busy, device.compute_time, device.comm_time) == (157_500_014, 115_655_847, 46_876_493)
    assert (device.kernels, device.copies, device.memsets) == (2_700, 960, 114)
    operations = aisp_prof.open(A100).trace.operations
    assert busy_time(operations.of_kind(*MEMORY)).length == 2_653_498
    assert (busy_time(operations.of_kind(COMM)) & busy_time(operations.of_kind(COMPUTE))).length == 7_317_025
    assert {line.code: line.count for line in summary.ledger}["unmatched_calls"] == 3
    assert device.name == "NVIDIA A100-PG509-200"


@pytest.mark.parametrize("path", PUBLIC, ids=lambda path: path.stem)
def test_every_row_is_the_event_of_its_number(path):
    trace = aisp_prof.open(path)
    events = written(path)
    operations = list(trace.operations().rows())
    assert len(operations) == sum(e["cat"] in ("kernel", "gpu_memcpy", "gpu_memset") for e in events)
    for row in operations[:: max(1, len(operations) // 200)]:
        event = events[row["row"] - 1]
        assert row["table"] == f"traceEvents {event['cat']}"
        assert (row["start"], row["end"]) == (ns(event["ts"]), ns(event["ts"]) + ns(event["dur"]))
        said = event["args"]
        assert (row["stream"], row["correlation"], row["device"]) == (
            said["stream"],
            said["correlation"],
            said["device"],
        )
        assert row["bytes"] == said.get("bytes")
        assert event["cat"] != "kernel" or row["name"] == event["name"]
    ranges = trace.trace.ranges
    names = sorted(e["name"] for e in events if e["cat"] in ("cpu_op", "user_annotation"))
    assert sorted(trace.trace.text(int(text)) for text in ranges.text) == names
    operators = sum(trace.trace.text(int(domain)) == "cpu_op" for domain in ranges.domain)
    assert operators == sum(e["cat"] == "cpu_op" for e in events)


def test_collectives_keep_their_group_and_size():
    with open_source(A100) as source:
        found = source.records(
            "KINETO_COLLECTIVES", ("row", "collective", "group", "ranks", "group_size", "elements_in")
        )
    events = written(A100)
    assert len(found) == sum("Collective name" in e.get("args", {}) for e in events if e["cat"] == "kernel") == 21
    for row, collective, group, ranks, size, elements in found:
        said = events[row - 1]["args"]
        assert (collective, group, ranks) == (
            said["Collective name"],
            said["Process Group Name"],
            said["Process Group Ranks"],
        )
        assert (size, elements) == (said["Group size"], said["In msg nelems"])


def event(cat, name, ts, dur, **args):
    on_gpu = cat in ("kernel", "gpu_memcpy", "gpu_memset")
    return {
        "ph": "X",
        "cat": cat,
        "name": name,
        "pid": 0 if on_gpu else 7,
        "tid": 7,
        "ts": ts,
        "dur": dur,
        "args": args,
    }


def step(at, number, kernel=("k", 4)):
    """A range of 50 µs with a kernel and a copy beside it, each with its launch."""
    name, long = kernel
    on = {"device": 0, "context": 1}
    return [
        event("user_annotation", "step", at, 50),
        event("cuda_runtime", "cudaLaunchKernel", at + 1, 1, correlation=2 * number),
        event("cuda_runtime", "cudaMemcpyAsync", at + 3, 1, correlation=2 * number + 1),
        event("kernel", name, at + 10, long, stream=7, correlation=2 * number, **on),
        event(
            "gpu_memcpy",
            "Memcpy HtoD (Pinned -> Device)",
            at + 11,
            2,
            stream=8,
            correlation=2 * number + 1,
            bytes=64,
            **on,
        ),
    ]


def document(events=None, **said):
    events = [e for i in range(20) for e in step(100.117 * i + 5, i + 1)] if events is None else events
    return {"schemaVersion": 1, "deviceProperties": [{"id": 0, "name": "GPU"}], "traceEvents": events} | said


@pytest.fixture
def put(tmp_path):
    def write(content, name="trace.json"):
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        path = tmp_path / name
        path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
        return path

    return write


def judged(path, claim, **ranges):
    return check(read_trace(path), Question((claim,), ranges))


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        ("kernels_per_iteration == 1", Verdict.UNPROVEN),
        ("hidden(copy, compute) >= 0.5", Verdict.UNPROVEN),
        ("busy >= 1us", Verdict.UNPROVEN),
        ("span <= 1ms", Verdict.UNPROVEN),
        ("kernels_per_iteration <= 0", Verdict.REFUTED),
        ("every overlap <= 1us", Verdict.REFUTED),
        ("max_in_flight <= 1", Verdict.REFUTED),
        ("hidden(copy, compute) <= 0.5", Verdict.UNPROVEN),
        ("kernels_per_iteration >= 2", Verdict.UNPROVEN),
    ],
)
def test_nothing_is_proven_and_what_is_there_can_contradict(put, claim, verdict):
    assert judged(put(document()), claim, s="step").verdict is verdict


def test_messages_that_look_like_counts_attest_nothing(put):
    said = "Number of CUDA events collected: 80."
    trace = read_trace(put(document(WARNING=[said], ERROR=[said])))
    assert attest(trace).events_stated is None
    assert attest(trace).status == "incomplete"  # Kineto's own error
    assert "kineto" in {finding.code for finding in attest(trace).findings}


@pytest.mark.parametrize("step_us", [1, 0.25])
@pytest.mark.parametrize("base", [0, 1_700_000_000_000_000])
def test_coarse_times_say_so_and_contradict_nothing(put, step_us, base):
    """Whole µs, as Kineto wrote them once, and what is left of finer ones in a double of µs since 1970."""
    events = [e for i in range(20) for e in step(0, i + 1)]
    for i, one in enumerate(events):
        one["ts"] = base + round((one["ts"] + 100 * (i // 5) + 0.137 * (i // 5)) / step_us) * step_us
    path = put(document(events))
    (finding,) = [f for f in attest(read_trace(path)).findings if f.code == "coarse_times"]
    assert finding.values["step"] >= 100  # the shortest digits of …5.25 are …5.2
    for claim in ("overlap <= 1us", "kernels_per_iteration <= 0"):
        assert judged(path, claim, s="step").verdict is Verdict.UNPROVEN


def test_fine_times_are_not_called_coarse(put):
    assert "coarse_times" not in {f.code for f in attest(read_trace(put(document()))).findings}
    for path in PUBLIC:
        assert "coarse_times" not in {f.code for f in attest(read_trace(path)).findings}


@pytest.mark.parametrize("base", [0, 4_458_676_522_690, 2**43 - 10, 2**43, 1_700_000_000_000_000])
def test_times_are_the_digits_that_stand_there(put, base):
    """From 2^43 µs on a double no longer tells thousandths apart, and the text does."""
    digits = [f"{base + i}.{(7 * i) % 1000:03d}" for i in range(50)]
    events = [event("kernel", "k", 0, 1.001, stream=7, device=0, correlation=i) for i in range(50)]
    text = json.dumps(document(events)).replace('"ts": 0,', '"ts": @,')
    for one in digits:
        text = text.replace("@", one, 1)
    operations = read_trace(put(text.encode())).operations
    assert operations.start.tolist() == [ns(one) for one in digits]
    assert set((operations.end - operations.start).tolist()) == {1001}


def test_copies_graph_nodes_and_devices(put):
    copies = {
        "Memcpy HtoD (Pageable -> Device)": (H2D, True),
        "Memcpy DtoH (Device -> Pinned)": (D2H, False),
        "Memcpy DtoH (Device Static -> Pageable)": (D2H, True),
        "Memcpy DtoD (Device -> Device)": (KINDS.index("d2d"), False),
        "Memcpy PtoP (Device -> Device)": (KINDS.index("p2p"), False),
        "Memcpy HtoH (Pageable -> Pageable)": (KINDS.index("other"), True),
        "Memcpy of a later Kineto": (KINDS.index("other"), False),
    }
    events = [
        event("gpu_memcpy", name, 10 * i, 1, stream=7, device=1, correlation=i, bytes=8)
        for i, name in enumerate(copies)
    ]
    events += [event("kernel", "k", 100 + i, 1, stream=7, device=0, correlation=99) | {} for i in range(2)]
    for i, one in enumerate(events[-2:]):
        one["args"]["graph node id"] = 40 + i
    two = [{"id": i, "name": f"GPU {i}", "numSms": 100 + i} for i in range(2)]
    trace = read_trace(put(document(events, deviceProperties=two)))
    found = trace.operations
    moved = found.take(found.bytes >= 0)
    assert list(zip(moved.kind.tolist(), moved.pageable.tolist(), strict=True)) == list(copies.values())
    assert found.take(found.bytes < 0).graph_node.tolist() == [40, 41]
    assert {(gpu.name, gpu.sm_count) for gpu in trace.gpus} == {("GPU 0", 100), ("GPU 1", 101)}


def test_events_of_other_kinds_may_hold_anything(put):
    others = [
        {"ph": "X", "cat": "Trace", "pid": "Spans", "tid": "PyTorch Profiler", "ts": "now", "dur": None, "args": 3},
        {"ph": "M", "cat": "kernel", "name": "process_name", "args": {"stream": "seven"}},
        {
            "ph": "X",
            "cat": "python_function",
            "name": "f",
            "pid": 0,
            "tid": 0,
            "ts": 1,
            "dur": 2,
            "args": {"device": "cpu"},
        },
    ]
    path = put(document([*others, *document()["traceEvents"]]))
    assert read_trace(path).operations.row.min() == 3 + 4


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "cut one"),
        (b"{", "cut one"),
        (b"[1, 2]", "no trace of torch.profiler"),
        (b'{"nodes": []}', "traceEvents"),
        (b'{"traceEvents": 3}', "traceEvents"),
        (b'\xff\xfe{"traceEvents": []}', "no trace of torch.profiler"),
        (b'{"traceEvents": []}', "no event is a kernel"),
        (json.dumps(document([event("cpu_op", "aten::mm", 1, 2)])).encode(), "ProfilerActivity.CUDA"),
        (json.dumps(document([event("kernel", "k", "12", 3)])).encode(), "event 1 of traceEvents"),
        (
            json.dumps(document([event("kernel", "k", 1, 3), event("kernel", "k", 1, 3, stream="7")])).encode(),
            "event 2",
        ),
        (json.dumps(document([event("kernel", "k", 1, 3, correlation=1.5)])).encode(), "event 1"),
        (json.dumps(document([event("kernel", "k", 1, 3)])).replace('"ts": 1', '"ts": 1e400').encode(), "event 1"),
        (json.dumps(document([event("kernel", "k", 1e17, 3)])).encode(), "1e+17"),
        (json.dumps(document([event("kernel", "k" * 2_000_000, 1, 3)])).encode(), "2,000,000 characters"),
        (b"[" * 100_000, "cut one"),
    ],
)
@pytest.mark.parametrize("name", ["t.json", "t.pt.trace.json.gz"])
def test_bad_input_is_named(put, content, said, name):
    path = put(content, name)
    with pytest.raises(TraceError) as error:
        read_trace(path)
    assert said in f"{error.value} {error.value.mend}"
    assert str(path) in str(error.value)
    assert len(str(error.value)) < 1000
    assert error.value.exit_code == 2


def test_several_processes_in_one_file_are_refused(put):
    events = document()["traceEvents"]
    events[2] = events[2] | {"pid": 8}
    with pytest.raises(TraceError, match=r"several processes in one file \(7, 8\)"):
        read_trace(put(document(events)))


def test_every_cut_of_a_packed_trace_is_refused(put, tmp_path):
    whole = put(document(), "t.json.gz").read_bytes()
    for size in range(0, len(whole), 97):
        path = tmp_path / "cut.json.gz"
        path.write_bytes(whole[:size])
        with pytest.raises(TraceError):
            read_trace(path)


@pytest.mark.parametrize("seed", range(4))
def test_damage_is_named_or_read(put, seed):
    """Flipped bytes, as in test_fuzz: a named error, or a trace whose operations end no earlier than they start."""
    rng = random.Random(seed)
    whole = json.dumps(document()).encode()
    for _ in range(50):
        text = bytearray(whole)
        for _ in range(rng.randrange(1, 6)):
            text[rng.randrange(len(text))] = rng.randrange(256)
        with suppress(TraceError):
            operations = read_trace(put(bytes(text))).operations
            assert (operations.end >= operations.start).all()


def test_batches_do_not_show(put, monkeypatch):
    path = put(document())
    whole = read_trace(path)
    monkeypatch.setattr(kineto_events, "BATCH", 3)
    parts = read_trace(path)
    for rows in ("operations", "calls", "ranges"):
        for column in getattr(whole, rows).__slots__:
            np.testing.assert_array_equal(getattr(getattr(whole, rows), column), getattr(getattr(parts, rows), column))
    assert whole.strings == parts.strings


def test_it_is_cached_as_any_trace(tmp_path):
    cache = TraceCache(tmp_path, least=0)
    first, again = (read_trace(A100, cache=cache) for _ in range(2))
    assert list((tmp_path / "traces").iterdir())
    assert first.schema == again.schema
    assert first.schema.kineto
    assert first.operations.start.tolist() == again.operations.start.tolist()
    assert attest(first) == attest(again)


@pytest.mark.parametrize(
    "command",
    [
        ["trace", "summary"],
        ["trace", "ranges", "--name", "ProfilerStep*"],
        ["trace", "kernels"],
        ["trace", "copies"],
        ["trace", "launches"],
        ["trace", "gaps"],
        ["trace", "overlap", "--a", "comm", "--b", "compute"],
    ],
)
def test_every_command_answers(command):
    result = CliRunner().invoke(app, [command[0], command[1], str(A100), *command[2:], "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)


def test_a_diff_and_an_export(tmp_path):
    run = CliRunner()
    result = run.invoke(app, ["trace", "diff", str(A100), str(A100), "--json"])
    assert result.exit_code == 0, result.output
    result = run.invoke(app, ["trace", "export", str(A100), "--to", "perfetto", "-o", str(tmp_path / "t.json")])
    assert result.exit_code == 0, result.output


def test_assert_ends_with_4_where_it_would_need_a_whole_trace_and_with_1_where_the_trace_contradicts():
    run = CliRunner()
    assert run.invoke(app, ["assert", str(A100), "hidden(comm) >= 0.1"]).exit_code == 4
    assert run.invoke(app, ["assert", str(A100), "overlap <= 1ms"]).exit_code == 1
    assert run.invoke(app, ["assert", str(A100), "kernels_per_iteration <= 100"]).exit_code == 1


def test_the_small_tables_scan_as_their_records(put):
    with open_source(put(document())) as source:
        rows = source.scan("TARGET_INFO_GPU", Wanted(("id",), (), ("name",)))
        assert rows.integers["id"].values.tolist() == [0]
        assert rows.texts["name"].values == [b"GPU"]
        assert source.records("TARGET_INFO_GPU", ("name", "id")) == [("GPU", 0)]
