"""Every form in which a trace may come, and the cache of those that were read before."""

import gzip
import lzma
import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from aisp_prof.errors import EnvironmentLacks, TraceError
from aisp_prof.machine.child import child_environment
from aisp_prof.profiler.trace.cache import traces as cache_module
from aisp_prof.profiler.trace.cache.fingerprint import READER, fingerprint
from aisp_prof.profiler.trace.cache.stored import ColumnFile
from aisp_prof.profiler.trace.cache.traces import TraceCache
from aisp_prof.profiler.trace.reader import read_trace
from parquet_folder import parquet_of
from trace_builder import GENERATIONS, TraceBuilder


def written(path, generation="2025.3"):
    trace = TraceBuilder(generation=generation)
    p = trace.process(100, host=0x9001)
    p.sees(trace.gpu("aaaa"))
    p.range("outer", 5, 100, domain="aisp", payload=3)
    p.range("inner", 10, 50, domain="aisp", registered=True)
    p.range("late", 60, None, payload=0.5)
    p.kernel("scale", (12, 14), (20, 40), node=(1 << 32) + 5)
    p.kernel("ncclDevKernel_AllReduce", (21, 24), (25, 60), stream=9)
    p.copy("h2d", 1024, (25, 26), (27, 30), stream=8, pageable=True)
    p.memset(64, (27, 28), (29, 30))
    p.mark("here", 33)
    return trace.write(path)


def same(one, other):
    for part in ("operations", "calls", "ranges", "marks"):
        for field in fields(getattr(one, part)):
            a, b = (getattr(getattr(trace, part), field.name) for trace in (one, other))
            assert a.dtype == b.dtype
            if field.name in ("name", "full_name", "text", "domain", "category"):  # the order of the strings is free
                assert [one.text(i) for i in a] == [other.text(i) for i in b]
                continue
            assert np.array_equal(a, b, equal_nan=a.dtype.kind == "f"), (part, field.name)
    assert set(one.strings) == set(other.strings)
    for name in ("gpus", "diagnostics", "rows", "invalid", "start_utc_ns", "end"):
        assert getattr(one, name) == getattr(other, name)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_every_generation_reads_alike(tmp_path, generation):
    newest, older = read_trace(written(tmp_path / "new")), read_trace(written(tmp_path / "old", generation))
    assert older.schema.version == GENERATIONS[generation]
    assert older.schema.known
    for name in ("start", "end", "kind", "launch", "stream", "bytes", "pageable", "gpu"):
        assert np.array_equal(getattr(older.operations, name), getattr(newest.operations, name))
    assert older.ranges.payload.tolist() == newest.ranges.payload.tolist()
    assert (older.diagnostics is None) == (generation in ("2022", "2022.4", "2023.4"))
    assert older.schema.capabilities["graph nodes of kernels"] == (generation != "2022")


@pytest.mark.parametrize("generation", GENERATIONS)
def test_graph_nodes_are_found_by_columns(tmp_path, generation):
    trace = TraceBuilder(generation=generation)
    key = trace.process(1).thread(1)
    row = {"start": 1, "end": 2, "eventClass": 77, "globalTid": key, "nameId": trace.string("n")}
    trace.add("CUDA_GRAPH_NODE_EVENTS", **row, graphNodeId=1)
    nodes = generation in ("2022.4", "2023.4")
    own = {"graphNodeId": 1} if nodes else {"graphId": 1}
    trace.add("CUDA_GRAPH_EVENTS", **row, **own)
    expected = "" if generation == "2022" else "CUDA_GRAPH_EVENTS" if nodes else "CUDA_GRAPH_NODE_EVENTS"
    assert read_trace(trace.write(tmp_path / "t.sqlite")).schema.graph_nodes == expected


def test_zstandard(tmp_path):
    zstandard = pytest.importorskip("zstandard", reason="the zstandard package is not installed")
    plain = written(tmp_path / "t.sqlite")
    packed = tmp_path / "t.sqlite.zst"
    packed.write_bytes(zstandard.compress(plain.read_bytes()))
    same(read_trace(packed), read_trace(plain))
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(TraceError):
        read_trace(packed)


@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".xz", lzma.compress), (".gz", gzip.compress)])
def test_a_report_is_exported_first(tmp_path, suffix, pack):
    plain = written(tmp_path / "t.sqlite")
    report = tmp_path / f"r.nsys-rep{suffix}"
    report.write_bytes(pack(b"a report"))
    seen = []

    def export(source, target):
        seen.append(source.read_bytes())
        shutil.copy(plain, target)

    same(read_trace(report, export=export), read_trace(plain))
    assert seen == [b"a report"]
    with pytest.raises(TraceError, match="not an SQLite file"):
        read_trace(report)


def test_a_folder_of_parquet_files(tmp_path):
    plain = written(tmp_path / "t.sqlite")
    same(read_trace(parquet_of(plain, tmp_path / "p")), read_trace(plain))


def test_a_folder_without_parquet_and_a_damaged_file_are_refused(tmp_path):
    pytest.importorskip("pyarrow", reason="the pyarrow package is not installed")
    with pytest.raises(TraceError, match="a folder without"):
        read_trace(tmp_path)
    (tmp_path / "StringIds.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(TraceError, match="cannot be read"):
        read_trace(tmp_path)


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(EnvironmentLacks) as caught:
        read_trace(tmp_path)
    assert "aisp-prof[parquet]" in caught.value.mend


@pytest.fixture
def kept(tmp_path):
    return TraceCache(tmp_path / "cache", least=0)


def test_a_cached_trace_is_the_trace(tmp_path, kept):
    path = written(tmp_path / "t.sqlite")
    first, again = read_trace(path, cache=kept), read_trace(path, cache=kept)
    assert kept.get(kept.key(path, ()), path) is not None
    same(first, again)
    same(again, read_trace(path))
    assert again.schema == first.schema


def test_the_key_is_the_content(tmp_path, kept):
    path = written(tmp_path / "t.sqlite")
    before, stat = kept.key(path, ()), path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert kept.key(path, ()) != before
    assert kept.key(path, ("^my_",)) != kept.key(path, ())
    assert fingerprint(path) == fingerprint(path)


def test_all_that_reads_is_part_of_the_key():
    """Another way to decode, match or code a column must not be answered with what the former one has cached."""
    names = (
        "import sys; from aisp_prof.profiler.trace import reader; print(*[m.__file__ for n, m in sys.modules.items()"
    )
    code = f"{names} if n.startswith('aisp_prof.profiler.')], sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], env=child_environment("m"), capture_output=True, check=True)
    read = {Path(line).resolve() for line in done.stdout.decode().splitlines()}
    rooms = {path for folder in READER for path in folder.resolve().rglob("*.py")}
    assert len(read) > 20
    assert {path for path in read if path.name != "__init__.py"} <= rooms


def test_a_damaged_cache_is_no_cache(tmp_path, kept):
    path = written(tmp_path / "t.sqlite")
    whole = read_trace(path)
    read_trace(path, cache=kept)
    folder = tmp_path / "cache" / "traces" / kept.key(path, ())
    for file in sorted(folder.iterdir()):
        content = file.read_bytes()
        file.write_bytes(content[:-1])
        assert kept.get(folder.name, path) is None
        same(read_trace(path, cache=kept), whole)
        file.write_bytes(content)


def test_zeros_that_are_cut_off_the_columns_are_missed(tmp_path):
    """They weigh nothing, but the file's length does."""
    path = tmp_path / "columns"
    path.write_bytes(b"\1" + bytes(63))
    whole = ColumnFile(path).sums()
    for left in (63, 60, 8, 1):
        path.write_bytes(b"\1" + bytes(left - 1))
        assert ColumnFile(path).sums() != whole


@pytest.mark.parametrize("name", ["columns", "trace.json"])
def test_bytes_overwritten_in_the_cache_are_not_believed(tmp_path, kept, capsys, name):
    """Wherever they lie: the entry is dropped, that is said, and the next reading finds a whole one again."""
    path = written(tmp_path / "t.sqlite")
    whole = read_trace(path)
    read_trace(path, cache=kept)
    file = tmp_path / "cache" / "traces" / kept.key(path, ()) / name
    size = file.stat().st_size
    for at in range(0, size, max(1, size // 40)):
        content = bytearray(file.read_bytes())
        content[at : at + 64] = bytes(byte ^ 0x11 for byte in content[at : at + 64])
        file.write_bytes(content)
        same(read_trace(path, cache=kept), whole)
        assert "dropped from the cache" in capsys.readouterr().err
    same(read_trace(path, cache=kept), whole)
    assert capsys.readouterr().err == ""


def test_a_file_that_lacks_is_made_again(tmp_path, kept):
    path = written(tmp_path / "t.sqlite")
    read_trace(path, cache=kept)
    for file in list((tmp_path / "cache" / "traces" / kept.key(path, ())).iterdir()):
        file.unlink()
        read_trace(path, cache=kept)
        assert file.exists()


def test_the_cache_is_bounded_and_private(tmp_path):
    small = TraceCache(tmp_path / "cache", least=0, limit=12_000)
    for number in range(5):
        path = written(tmp_path / f"{number}.sqlite")
        with sqlite3.connect(path) as connection:
            connection.execute("INSERT INTO META_DATA_EXPORT VALUES ('N', ?)", (str(number),))
        read_trace(path, cache=small)
    kept = list((tmp_path / "cache" / "traces").iterdir())
    assert 1 <= len(kept) < 5
    assert (tmp_path / "cache" / "traces").stat().st_mode & 0o077 == 0


def test_traces_are_kept_in_the_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("AISP_CACHE", str(tmp_path / "own"))
    kept, path = TraceCache(least=0), written(tmp_path / "t.sqlite")
    read_trace(path, cache=kept)
    assert [entry.name for entry in (tmp_path / "own" / "traces").iterdir()] == [kept.key(path, ())]


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    path = written(tmp_path / "t.sqlite")
    same(read_trace(path, cache=TraceCache(tmp_path / "file", least=0)), read_trace(path))


@pytest.mark.parametrize("room", range(4))
def test_a_full_disk_is_no_error_and_leaves_nothing(tmp_path, kept, monkeypatch, room):
    written_parts, store = [], cache_module.store

    def scarce(rows, file):
        if len(written_parts) == room:
            raise OSError(28, "No space left on device")
        written_parts.append(rows)
        return store(rows, file)

    monkeypatch.setattr(cache_module, "store", scarce)
    path = written(tmp_path / "t.sqlite")
    same(read_trace(path, cache=kept), read_trace(path))
    assert list((tmp_path / "cache" / "traces").iterdir()) == []


def test_what_a_killed_reader_kept_halfway_is_removed(tmp_path, kept):
    path, folder = written(tmp_path / "t.sqlite"), tmp_path / "cache" / "traces"
    code = (
        "import os; from pathlib import Path; from aisp_prof.profiler.trace.cache.traces import TraceCache\n"
        f"TraceCache(Path({str(folder.parent)!r}), least=0).keep('key', lambda put: os.kill(os.getpid(), 9))"
    )
    subprocess.run([sys.executable, "-c", code], env=child_environment("m"), check=False)
    assert len(list(folder.iterdir())) == 2
    read_trace(path, cache=kept)
    assert [entry.name for entry in folder.iterdir()] == [kept.key(path, ())]


def test_small_traces_are_not_cached(tmp_path, monkeypatch):
    monkeypatch.setenv("AISP_CACHE", str(tmp_path / "own"))
    read_trace(written(tmp_path / "t.sqlite"))
    assert not (tmp_path / "own").exists()
    assert cache_module.LEAST > 1 << 20


def test_the_profiled_environment_is_not_kept(tmp_path):
    trace = TraceBuilder()
    trace.add("META_DATA_CAPTURE", name="PROCESS_0:ENVIRONMENT_VARIABLE", value="TOKEN=secret")
    trace.string("UNUSED=secret")
    found = read_trace(trace.write(tmp_path / "t.sqlite"))
    assert "secret" not in repr((found.schema, found.strings))
