"""A packed capture is published as it is: only where scrubbing it once more would change nothing."""

from __future__ import annotations

import json
import lzma
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aisp_prof.profiler.store.captures import Capture, shipped_store
from aisp_prof.profiler.store.manifest import Manifest, encode, folder_facts, write_manifest
from aisp_prof.profiler.store.published import published
from aisp_prof.profiler.store.scrubbed import leftovers, trace_leftovers

SMALL = ("ch09.triton", "ch09.fused_l2norm", "ch11.streams", "ch11.warp_specialized_triton", "ch20.memory_standard")


@pytest.fixture(scope="module")
def counted() -> Capture:
    """A small shipped capture with counters."""
    capture = shipped_store().newest("ch09.triton")
    assert capture is not None
    return capture


def forged(capture: Capture, folder: Path, change: Callable[[Path], None] | None = None, **fields: Any) -> Capture:
    """A copy of the capture with its trace unpacked, changed and packed again, or with other fields in its manifest."""
    folder.mkdir()
    for name in capture.manifest.files:
        (folder / name).write_bytes((capture.folder / name).read_bytes())
    if change:
        plain = folder / "plain"
        plain.write_bytes(lzma.decompress((folder / "trace.sqlite.xz").read_bytes()))
        change(plain)
        (folder / "trace.sqlite.xz").write_bytes(lzma.compress(plain.read_bytes(), preset=0))
        plain.unlink()
    manifest = capture.manifest.changed(**fields, files=folder_facts(folder))
    write_manifest(manifest, folder)
    return Capture(folder, manifest)


def sql(*statements: str) -> Callable[[Path], None]:
    def change(plain: Path) -> None:
        with closing(sqlite3.connect(plain)) as database:
            for statement in statements:
                database.execute(statement)
            database.commit()

    return change


def behind(data: bytes) -> Callable[[Path], None]:
    return lambda plain: plain.write_bytes(plain.read_bytes() + data)


def at(byte: int, data: bytes) -> Callable[[Path], None]:
    def change(plain: Path) -> None:
        whole = plain.read_bytes()
        plain.write_bytes(whole[:byte] + data + whole[byte + len(data) :])

    return change


def vacuumed(plain: Path) -> None:
    sql("vacuum")(plain)


@pytest.mark.parametrize("pair", SMALL)
def test_shipped_captures_are_scrubbed(pair: str) -> None:
    capture = shipped_store().newest(pair)
    assert capture is not None
    assert list(leftovers(capture)) == []


def test_another_layout_of_the_same_rows_is_scrubbed(counted: Capture, tmp_path: Path) -> None:
    assert list(leftovers(forged(counted, tmp_path / "c", vacuumed))) == []


TRACES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a table": (sql("create table OSRT_API (x)"), "table OSRT_API"),
    "a table by an allowed name": (
        sql("create table PROFILER_OVERHEAD_V7 (x)", "insert into PROFILER_OVERHEAD_V7 values ('of ada')"),
        "PROFILER_OVERHEAD_V7 row 1 ",
    ),
    "a column of text": (
        sql("alter table NVTX_EVENTS add column note TEXT", "update NVTX_EVENTS set note = 'of ada'"),
        "NVTX_EVENTS row 1 ",
    ),
    "an index": (sql("create index StringIds_i on StringIds (value)"), "index StringIds_i"),
    "a view": (sql("create view v as select 1"), "v"),
    "a trigger": (sql("create trigger t after insert on NVTX_EVENTS begin select 1; end"), "trigger t"),
    "a row that names a thread": (sql("insert into ThreadNames values (1, 0, 1)"), "ThreadNames row 1 "),
    "a string that nothing refers to": (
        sql("insert into StringIds values (999999, 'the queue of ada')"),
        "StringIds row 999999 ",
    ),
    "a text where a number belongs": (
        sql("update CUPTI_ACTIVITY_KIND_KERNEL set graphNodeId = 'of ada' where rowid = 5"),
        "CUPTI_ACTIVITY_KIND_KERNEL row 5 ",
    ),
    "a blob": (sql("update NVTX_EVENTS set text = x'00' where rowid = 3"), "NVTX_EVENTS row 3 "),
    "an argument": (
        sql("insert into META_DATA_CAPTURE (rowid, name, value) values (7777, 'PROCESS_0:ARGUMENT_1', 'x')"),
        "META_DATA_CAPTURE row 7777 ",
    ),
    "a host": (
        sql("insert into META_DATA_EXPORT (rowid, name, value) values (7777, 'EXPORT_HOST', 'h')"),
        "META_DATA_EXPORT row 7777 ",
    ),
    "a harmless message": (
        sql(
            "insert into DIAGNOSTIC_EVENT (timestamp, timestampType, source, severity, text) values (1, 0, 0, 1, 'Loaded x')"
        ),
        "DIAGNOSTIC_EVENT row ",
    ),
    "free pages": (sql("create table t (x)", "insert into t values (zeroblob(20000))", "drop table t"), "no table"),
    "bytes behind the last page": (behind(b"of ada"), "behind its last page"),
    "bytes in the header": (at(72, b"of ada"), "byte 72 of its header"),
    "an application's number": (sql("pragma application_id = 7"), "of its header"),
    "another size of pages": (sql("pragma page_size = 8192", "vacuum"), "of its header"),
}


@pytest.mark.parametrize("what", TRACES)
def test_what_scrubbing_leaves_out_of_a_trace_is_found(what: str, counted: Capture, tmp_path: Path) -> None:
    change, named = TRACES[what]
    capture = forged(counted, tmp_path / "c", change)
    assert capture.trace_path is not None
    found = list(trace_leftovers(capture.trace_path))
    assert any(named in one for one in found), found
    assert "ada" not in str(found)
    assert len(list(leftovers(capture))) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"command": ("/home/ada/bin/aisp-prof", "capture")},
        {"command": ("aisp-prof", "capture", "--captures=/data7/ada")},
        {"versions": {"nsys": "2025.3", "hostname": "gpu-host-7"}},
        {"versions": {"nsys": "2025.3 of /opt/ada"}},
        {"gpus": ({"name": "NVIDIA H200", "serial": "1654322"},)},
        {"conditions": {"before": {"utc_ns": 1, "user": "ada"}, "during": [], "after": None}},
        {"runs": {"untraced": {"argv": ["train.py"]}}},
        {"runs": {"untraced": {"validation": {"valid": True, "log": "of ada"}}}},
        {"runs": {"untraced": {"warmup": {"/home/ada": 3}}}},
        {"commit": {"sha": None, "dirty": False, "author": "ada"}},
        {"ceilings": {"ceilings": [], "host": "gpu-host-7"}},
        {"ceilings": {"ceilings": [], "calibration": {"reason": "no /opt/ada/ncu"}}},
    ],
    ids=str,
)
def test_what_scrubbing_leaves_out_of_a_manifest_is_found(
    fields: dict[str, Any], counted: Capture, tmp_path: Path
) -> None:
    capture = forged(counted, tmp_path / "c", **fields)
    (found,) = leftovers(capture)
    assert found.startswith("manifest.json: line ")
    assert "ada" not in found
    shown = encode(published(capture.manifest))
    assert not any(text in shown for text in ("ada", "gpu-host-7", "1654322", "train.py"))
    assert encode(published(published(capture.manifest))) == shown


def test_counters_with_more_than_counters_are_found(counted: Capture, tmp_path: Path) -> None:
    capture = forged(counted, tmp_path / "c")
    path = capture.folder / "counters.csv"
    lines = path.read_text().splitlines()
    told = ['"Host Name"', '""', *['"gpu-host-7"'] * (len(lines) - 2)]
    path.write_text("".join(f"{line},{more}\n" for line, more in zip(lines, told, strict=True)))
    write_manifest(manifest := capture.manifest.changed(files=folder_facts(capture.folder)), capture.folder)
    assert list(leftovers(Capture(capture.folder, manifest))) == [
        "counters.csv: line 1 holds what scrubbing leaves out"
    ]


def test_a_file_that_no_scrubbed_capture_has_is_found(counted: Capture, tmp_path: Path) -> None:
    capture = forged(counted, tmp_path / "c")
    (capture.folder / "run.log").write_text("of ada")
    manifest = capture.manifest.changed(files=folder_facts(capture.folder))
    assert list(leftovers(Capture(capture.folder, manifest))) == ["run.log: no file of a scrubbed capture"]


def test_what_captures_write_is_published(manifest: Manifest) -> None:
    assert json.loads(encode(published(manifest))) == json.loads(encode(manifest))
