"""What a bundle holds, and that it holds nothing else."""

from __future__ import annotations

import errno
import hashlib
import json
import lzma
import os
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import pytest
from aisp_prof.errors import AispError, UsageError
from aisp_prof.machine import files as scratch
from aisp_prof.profiler.store.captures import Capture
from aisp_prof.profiler.store.leaks import leaks
from aisp_prof.profiler.store.manifest import folder_facts, read_manifest, write_manifest
from aisp_prof.reports.bundle.layout import Pages
from aisp_prof.reports.bundle.verify import verify_bundle
from aisp_prof.reports.bundle.write import write_bundle
from msgspec import structs
from pair_trace import capture_folder, run_pair
from trace_builder import TraceBuilder

HTML_ONLY = Pages("ch11", "en", False)


def built(captures: Path, **changes: object) -> Capture:
    trace = TraceBuilder()
    run_pair(trace)
    folder = capture_folder(captures, trace, ["speedup >= 1.5"], **changes)
    return Capture(folder, read_manifest(folder))


def test_it_holds_everything_and_lists_it(made: Path, streams: Capture) -> None:
    folder = f"captures/{streams.id}"
    with zipfile.ZipFile(made) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert set(files) == {
        *("README.txt", "SHA256SUMS", "proof.json", "environment.json", "ch11.html", "ch11.pdf"),
        *(f"{folder}/manifest.json", f"{folder}/trace.sqlite.xz", "expectations/h200/ch11.json"),
    }
    listed = dict(reversed(line.split("  ")) for line in files["SHA256SUMS"].decode().splitlines())
    assert listed == {n: hashlib.sha256(data).hexdigest() for n, data in files.items() if n != "SHA256SUMS"}
    assert files[f"{folder}/trace.sqlite.xz"] == streams.trace_path.read_bytes()
    assert hashlib.sha256(files["proof.json"]).hexdigest().encode() in files["ch11.html"]
    environment = json.loads(files["environment.json"])
    assert environment["captures"][streams.id]["gpus"][0]["name"] == "NVIDIA H200"
    assert environment["made_by"]["aisp_prof"] == "0.1.0"
    assert environment["printer"]["versions"]["weasyprint"]


def test_the_same_gives_the_same_bytes(made: Path, streams: Capture, expectations: Path, tmp_path: Path) -> None:
    write_bundle(tmp_path / "again.zip", [streams], [], Pages("ch11", "en", True), expectations)
    assert (tmp_path / "again.zip").read_bytes() == made.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["again.zip"]


def test_a_capture_that_is_not_scrubbed_is_scrubbed_on_the_way(tmp_path: Path) -> None:
    capture = built(tmp_path / "captures", command=["/home/ada/bin/aisp-prof", "capture", "ch11"])
    (capture.folder / "run.log").write_text("of /home/ada")
    manifest = capture.manifest.changed(
        files=folder_facts(capture.folder), command=["/home/ada/bin/aisp-prof", "capture", "ch11"]
    )
    write_manifest(manifest, capture.folder)
    target = tmp_path / "out.zip"
    write_bundle(target, [Capture(capture.folder, manifest)], [], HTML_ONLY, tmp_path / "none")
    with zipfile.ZipFile(target) as archive:
        assert not any(b"/home/ada" in archive.read(name) for name in archive.namelist())
        names = archive.namelist()
        archive.extractall(tmp_path / "unpacked")
    assert f"captures/{manifest.id}/trace.sqlite.xz" in names
    assert not any(name.endswith((".log", "trace.sqlite")) for name in names)
    assert not [leak for name in names for leak in leaks(tmp_path / "unpacked" / name, ["/home/ada"])]
    assert verify_bundle(target).exit_code == 0


def test_something_private_in_a_range_s_name_stops_it(tmp_path: Path) -> None:
    trace = TraceBuilder()
    process = run_pair(trace)
    process.range("load /home/ada/weights", 10, 20)
    folder = capture_folder(tmp_path / "captures", trace, ["speedup >= 1.5"])
    with pytest.raises(AispError, match="/home/ada"):
        write_bundle(tmp_path / "out.zip", [Capture(folder, read_manifest(folder))], [], HTML_ONLY, tmp_path)
    assert not (tmp_path / "out.zip").exists()


def test_something_private_in_expectations_stops_it(streams: Capture, expectations: Path, tmp_path: Path) -> None:
    (tmp_path / "expectations" / "h200").mkdir(parents=True)
    text = (expectations / "h200" / "ch11.json").read_text("utf-8")
    assert '"driver": "580"' in text
    (tmp_path / "expectations" / "h200" / "ch11.json").write_text(
        text.replace('"driver": "580"', '"driver": "/home/ada/x"')
    )
    with pytest.raises(AispError, match="/home/ada"):
        write_bundle(tmp_path / "out.zip", [streams], [], HTML_ONLY, tmp_path / "expectations")
    assert not (tmp_path / "out.zip").exists()


def test_a_changed_capture_is_not_packed(tmp_path: Path, streams: Capture) -> None:
    capture = built(tmp_path / "captures")
    (capture.folder / "trace.sqlite").write_bytes(b"other")
    with pytest.raises(UsageError, match="was changed"):
        write_bundle(tmp_path / "out.zip", [capture], [], HTML_ONLY, tmp_path)
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in streams.folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / "trace.sqlite.xz").write_bytes(b"other")
    with pytest.raises(UsageError, match="was changed"):
        write_bundle(tmp_path / "out.zip", [Capture(copy, streams.manifest)], [], HTML_ONLY, tmp_path)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("create table OSRT_API (x)", "table OSRT_API"),
        ("insert into StringIds values (999999, 'the queue of ada')", "StringIds row 999999"),
        ("insert into META_DATA_CAPTURE values ('PROCESS_0:ARGUMENT_1', '--user=ada')", "META_DATA_CAPTURE row"),
    ],
)
def test_a_raw_trace_that_was_only_packed_is_not_taken_for_a_scrubbed_one(
    statement: str, named: str, tmp_path: Path
) -> None:
    capture = built(tmp_path / "captures")
    plain = capture.folder / "trace.sqlite"
    with closing(sqlite3.connect(plain)) as database:
        database.execute(statement)
        database.commit()
    (capture.folder / "trace.sqlite.xz").write_bytes(lzma.compress(plain.read_bytes()))
    plain.unlink()
    manifest = capture.manifest.changed(files=folder_facts(capture.folder))
    with pytest.raises(UsageError, match=f"packed but not scrubbed: trace.sqlite.xz: {named}"):
        write_bundle(tmp_path / "out.zip", [Capture(capture.folder, manifest)], [], HTML_ONLY, tmp_path)
    assert not (tmp_path / "out.zip").exists()


def test_a_manifest_that_was_not_scrubbed_is_not_packed(streams: Capture, tmp_path: Path) -> None:
    odd = streams.manifest.changed(command=["aisp-prof", "capture", "--captures=/data7/ada"])
    with pytest.raises(UsageError, match=r"not scrubbed: manifest.json: line \d+"):
        write_bundle(tmp_path / "out.zip", [Capture(streams.folder, odd)], [], HTML_ONLY, tmp_path)


@pytest.mark.parametrize("name", ["../up", "a b", "", "x" * 101])
def test_a_name_that_no_file_should_have_is_refused(name: str, tmp_path: Path, streams: Capture) -> None:
    with pytest.raises(UsageError, match="no plain name"):
        write_bundle(tmp_path / "out.zip", [streams], [], Pages(name, "en", False), tmp_path)
    odd = Capture(streams.folder, structs.replace(streams.manifest, id=name))
    with pytest.raises(UsageError, match="no plain name"):
        write_bundle(tmp_path / "out.zip", [odd], [], HTML_ONLY, tmp_path)


def test_where_it_cannot_be_written(tmp_path: Path, streams: Capture) -> None:
    with pytest.raises(AispError, match="No such file") as raised:
        write_bundle(tmp_path / "nowhere" / "out.zip", [streams], [], HTML_ONLY, tmp_path)
    assert raised.value.mend


def test_a_full_disk_leaves_the_bundle_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    capture, target = built(tmp_path / "captures"), tmp_path / "out" / "ch11.zip"
    target.parent.mkdir()
    target.write_bytes(b"the bundle of yesterday")

    def full(descriptor: int) -> None:
        if target.parent.samefile(Path(os.readlink(f"/proc/self/fd/{descriptor}")).parents[1]):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(scratch.os, "fsync", full)
    with pytest.raises(AispError, match="No space left") as caught:
        write_bundle(target, [capture], [], HTML_ONLY, tmp_path)
    assert "folder that can be written" in caught.value.mend
    assert target.read_bytes() == b"the bundle of yesterday"
    assert list(target.parent.iterdir()) == [target]
