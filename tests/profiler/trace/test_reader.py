"""The reader against built exports: identity, names, nesting, and everything that a file can have wrong."""

import gzip
import hashlib
import lzma
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from aisp_prof.errors import TraceError
from aisp_prof.profiler.trace.model import KINDS
from aisp_prof.profiler.trace.reader import read_trace
from trace_builder import TraceBuilder


@pytest.fixture
def small(tmp_path: Path) -> Path:
    trace = TraceBuilder()
    p = trace.process(100)
    p.sees(trace.gpu("aaaa"))
    p.range("outer", 0, 100, domain="aisp", payload=3)
    p.range("inner", 10, 50, domain="aisp", registered=True)
    p.kernel("scale", (12, 14), (20, 40))
    p.copy("h2d", 1024, (15, 16), (17, 30), stream=8, pageable=True)
    p.memset(64, (17, 18), (19, 20))
    return trace.write(tmp_path / "t.sqlite")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_names_payloads_and_nesting(small):
    trace = read_trace(small)
    paths = sorted(trace.path_of(i) for i in range(len(trace.ranges)))
    assert paths == ["outer", "outer/inner"]
    outer = paths.index("outer")
    assert (trace.ranges.payload[outer], bool(trace.ranges.has_payload[outer])) == (3, True)
    assert {trace.text(int(d)) for d in trace.ranges.domain} == {"aisp"}


def test_operations_find_their_calls_and_classes(small):
    trace = read_trace(small)
    assert [KINDS[k] for k in trace.operations.kind] == ["compute", "h2d", "memset"]
    assert [trace.text(int(trace.calls.name[i])) for i in trace.operations.launch] == [
        "cudaLaunchKernel_v7000",
        "cudaMemcpyAsync_v3020",
        "cudaMemsetAsync_v3020",
    ]
    assert trace.operations.bytes.tolist() == [-1, 1024, 64]
    assert trace.operations.pageable.tolist() == [False, True, False]
    assert trace.gpus[0].uuid == "aaaa"


@pytest.mark.parametrize(("suffix", "pack"), [(".xz", lzma.compress), (".gz", gzip.compress)])
def test_compressed_traces_read_alike(small, suffix, pack):
    packed = small.with_name(small.name + suffix)
    packed.write_bytes(pack(small.read_bytes()))
    assert np.array_equal(read_trace(packed).operations.start, read_trace(small).operations.start)


def test_the_file_stays_untouched(small):
    before, around = digest(small), sorted(small.parent.iterdir())
    small.chmod(0o444)
    read_trace(small)
    assert (digest(small), sorted(small.parent.iterdir())) == (before, around)


def test_correlation_ids_repeat_over_processes(tmp_path):
    trace = TraceBuilder()
    for pid, host in ((100, 1), (200, 1), (100, 0x8001)):  # the third has a negative key: its top bit is set
        trace.process(pid, host).kernel(f"of_{pid}_{host}", (10, 12), (20, 40), correlation=7)
    found = read_trace(trace.write(tmp_path / "t.sqlite"))
    assert found.operations.process.tolist() == found.calls.process[found.operations.launch].tolist()
    assert len(set(found.operations.process.tolist())) == 3


def test_the_outermost_call_of_several_stands_for_them(tmp_path):
    trace = TraceBuilder()
    p = trace.process(1)
    p.kernel("k", (10, 20), (30, 40), correlation=5)
    p.call("cuLaunchKernel", (12, 18), correlation=5)
    found = read_trace(trace.write(tmp_path / "t.sqlite"))
    assert found.text(int(found.calls.name[found.operations.launch[0]])) == "cudaLaunchKernel_v7000"
    assert found.calls.outermost.sum() == 1
    assert len(found.operations) == 1


def test_two_processes_that_see_device_0_may_mean_two_gpus(tmp_path):
    trace = TraceBuilder()
    for pid, uuid in ((1, "aaaa"), (2, "bbbb"), (3, "aaaa")):
        known = [row["uuid"] for row in trace.rows.get("TARGET_INFO_GPU", [])]
        p = trace.process(pid)
        p.sees(known.index(uuid) if uuid in known else trace.gpu(uuid))
        p.kernel("k", (1, 2), (3, 4))
    found = read_trace(trace.write(tmp_path / "t.sqlite"))
    assert [found.gpus[g].uuid for g in found.operations.gpu] == ["aaaa", "bbbb", "aaaa"]


def test_ranges_without_an_end_end_with_the_trace(tmp_path):
    trace = TraceBuilder(null_ends=True)
    p = trace.process(1)
    p.range("open", 5, None)
    p.kernel("k", (10, 12), (20, 90))
    found = read_trace(trace.write(tmp_path / "t.sqlite"))
    assert (found.ranges.end[0], bool(found.ranges.is_open[0])) == (90, True)


def test_rows_without_meaning_are_left_out_and_counted(tmp_path):
    trace = TraceBuilder()
    p = trace.process(1)
    p.kernel("backwards", (10, 12), (40, 20))
    p.kernel("never", (13, 14), (0, 0))
    p.kernel("instant", (15, 16), (50, 50))
    found = read_trace(trace.write(tmp_path / "t.sqlite"))
    assert len(found.operations) == 1
    table = "CUPTI_ACTIVITY_KIND_KERNEL"
    assert found.invalid == {("reversed_times", table): 1, ("zero_timestamps", table): 1}


def test_suffixed_tables_are_found(small):
    with sqlite3.connect(small) as connection:
        connection.execute("ALTER TABLE CUPTI_ACTIVITY_KIND_KERNEL RENAME TO CUPTI_ACTIVITY_KIND_KERNEL_V3")
    assert len(read_trace(small).operations) == 3


def test_communication_kernels_are_a_class_of_their_own(tmp_path):
    trace = TraceBuilder()
    p = trace.process(1)
    for name in ("ncclDevKernel_AllReduce_Sum_f32_RING_LL", "my_exchange", "gemm"):
        p.kernel(name, (1, 2), (3, 4))
    path = trace.write(tmp_path / "t.sqlite")
    assert [KINDS[k] for k in read_trace(path).operations.kind] == ["comm", "compute", "compute"]
    assert [KINDS[k] for k in read_trace(path, ["^my_"]).operations.kind] == ["comm", "comm", "compute"]


def test_text_of_any_bytes_is_read(tmp_path, small):
    with sqlite3.connect(small) as connection:
        connection.execute("UPDATE NVTX_EVENTS SET text = CAST(X'FF3C623E0A' AS TEXT) WHERE text = 'outer'")
    assert "\ufffd<b>\n" in read_trace(small).strings


def refusal(path: Path) -> str:
    with pytest.raises(TraceError) as caught:
        read_trace(path)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_what_is_no_trace_is_refused_with_its_reason(tmp_path, small):
    cases = {"empty": b"", "text": b"hello\n" * 100, "nsys-rep": b"\x1f\x8bsomething" * 50}
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
    assert "empty" in refusal(tmp_path / "empty")
    assert "not an SQLite file" in refusal(tmp_path / "text")
    assert "not an SQLite file" in refusal(tmp_path / "nsys-rep")
    assert "no such file" in refusal(tmp_path / "absent")
    (tmp_path / "cut").write_bytes(small.read_bytes()[:-4096])
    assert "truncated" in refusal(tmp_path / "cut")
    (tmp_path / "cut.xz").write_bytes(lzma.compress(small.read_bytes())[:-40])
    assert "cannot be unpacked" in refusal(tmp_path / "cut.xz")


def test_damaged_pages_are_named(tmp_path, small):
    content = bytearray(small.read_bytes())
    content[4096:8192] = b"\xaa" * 4096
    (tmp_path / "damaged").write_bytes(content)
    assert "damaged" in refusal(tmp_path / "damaged") or "no export" in refusal(tmp_path / "damaged")


def test_another_programs_database_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / "other.sqlite") as connection:
        connection.execute("CREATE TABLE users (name TEXT)")
    assert "no export of Nsight Systems" in refusal(tmp_path / "other.sqlite")


def test_a_missing_column_and_a_wrong_type_name_their_place(tmp_path, small):
    with sqlite3.connect(small) as connection:
        connection.execute("UPDATE CUPTI_ACTIVITY_KIND_KERNEL SET start = 'soon'")
    assert "CUPTI_ACTIVITY_KIND_KERNEL, row 1: start" in refusal(small)
    with sqlite3.connect(small) as connection:
        connection.execute("ALTER TABLE CUPTI_ACTIVITY_KIND_KERNEL DROP COLUMN streamId")
    assert "no column streamId" in refusal(small)


def test_an_export_without_cuda_or_nvtx_has_no_rows(tmp_path):
    found = read_trace(TraceBuilder().write(tmp_path / "t.sqlite"))
    assert (len(found.operations), len(found.calls), len(found.ranges)) == (0, 0, 0)
