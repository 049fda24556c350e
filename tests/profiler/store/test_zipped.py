"""One form of zip is written, and no other is read."""

from __future__ import annotations

import io
import lzma
import os
import signal
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from aisp_prof.errors import UsageError
from aisp_prof.profiler.store import zipped
from aisp_prof.profiler.store.zipped import check_packed, first_difference, unzipped, write_zip

CONTENTS = {"b/inside.txt": b"two", "a.txt": b"one" * 1000, "b/other": b""}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "source").mkdir()
    paths = {name: tmp_path / "source" / str(place) for place, name in enumerate(CONTENTS)}
    for name, path in paths.items():
        path.write_bytes(CONTENTS[name])
    return paths


def test_what_is_written_is_read_and_is_sorted_dated_and_stored(files: dict[str, Path], tmp_path: Path) -> None:
    target = tmp_path / "out.zip"
    write_zip(target, files)
    with zipfile.ZipFile(target) as archive:
        assert archive.namelist() == sorted(CONTENTS)
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.testzip() is None
    with unzipped(target) as found:
        assert {name: (found.folder / name).read_bytes() for name in found.sha256} == CONTENTS
        assert first_difference(target, found) == ""
        folder = found.folder
    assert not folder.exists()


def test_times_and_order_make_no_difference(files: dict[str, Path], tmp_path: Path) -> None:
    write_zip(tmp_path / "one.zip", files)
    for path in files.values():
        path.touch()
        path.chmod(0o600)
    write_zip(tmp_path / "two.zip", dict(reversed(files.items())))
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.zip", "source", "two.zip"]


def what_is_wrong(path: Path) -> str:
    """Why the zip is refused, or where it differs from what is written; "" when nothing is."""
    try:
        with unzipped(path) as found:
            return first_difference(path, found)
    except UsageError as error:
        return str(error)


def test_every_single_byte_of_it_is_compared(files: dict[str, Path], tmp_path: Path) -> None:
    target = tmp_path / "out.zip"
    write_zip(target, {name: path for name, path in files.items() if name != "a.txt"})
    good = target.read_bytes()
    assert what_is_wrong(target) == ""
    for place in range(len(good)):
        bad = bytearray(good)
        bad[place] ^= 1
        target.write_bytes(bad)
        assert what_is_wrong(target), place


def entry(name: str, **fields: object) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.create_system, made.external_attr = 3, 0o100644 << 16
    for field, value in fields.items():
        setattr(made, field, value)
    return made


def packed(*entries: zipfile.ZipInfo, data: bytes = b"x", before: bytes = b"", comment: bytes = b"") -> bytes:
    target = io.BytesIO()
    target.write(before)
    with zipfile.ZipFile(target, "a" if before else "w") as archive:
        archive.comment = comment
        for one in entries:
            archive.writestr(one, data)
    return target.getvalue()


NAMES = [
    "/etc/passwd",
    "../up",
    "a/../../up",
    "a//b",
    "a/./b",
    "C:\\x",
    "a\\b",
    ".hidden",
    "a/",
    "a b",
    "é",
    "a\nb",
    "~",
    "n" * 201,
]
HOSTILE = {
    **{f"name {name!r}": (packed(entry(name)), "entry is called|folder|NUL|no bundle") for name in NAMES},
    "a link": (packed(entry("a", external_attr=(stat.S_IFLNK | 0o777) << 16)), "link"),
    "a device": (packed(entry("a", external_attr=(stat.S_IFCHR | 0o644) << 16)), "link"),
    "compressed": (packed(entry("a", compress_type=zipfile.ZIP_DEFLATED), data=b"0" * 10_000), "compressed"),
    "bzip2": (packed(entry("a", compress_type=zipfile.ZIP_BZIP2), data=b"0" * 10_000), "compressed"),
    "by case alone": (packed(entry("a"), entry("A")), "there twice"),
    "a file as a folder": (packed(entry("a"), entry("a/b")), "what is a file"),
    "something before": (packed(entry("a"), before=b"#!/bin/sh\n"), "begins at byte"),
    "a comment": (packed(entry("a"), comment=b"hello"), "does not end"),
    "further data": (packed(entry("a", extra=b"\x99\x99\x02\x00xx")), "further data"),
    "too many": (packed(*(entry(f"f{i}") for i in range(zipped.MAX_ENTRIES + 1))), "at most 1000"),
    "zip64": (packed(entry("a"))[:-22] + b"PK\x06\x07" + bytes(16) + packed(entry("a"))[-22:], "does not end"),
    "empty": (b"", "no bundle"),
    "no zip": (b"PK\x03\x04" + b"x" * 500, "no bundle"),
    "cut": (packed(entry("a"))[:-10], "no bundle"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_never_written_is_refused(name: str, tmp_path: Path) -> None:
    data, complaint = HOSTILE[name]
    (tmp_path / "hostile.zip").write_bytes(data)
    with pytest.raises(UsageError, match=complaint), unzipped(tmp_path / "hostile.zip"):
        pytest.fail("it was opened")
    assert [path.name for path in tmp_path.iterdir()] == ["hostile.zip"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "hostile.zip").write_bytes(packed(entry("a"), entry("a")))
    with pytest.raises(UsageError, match="there twice"), unzipped(tmp_path / "hostile.zip"):
        pytest.fail("it was opened")


def changed(data: bytes, record: bytes, offset: int, value: bytes) -> bytes:
    """A field of the first record with this signature overwritten."""
    at = data.index(record) + offset
    return data[:at] + value + data[at + len(value) :]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (changed(packed(entry("a")), b"PK\x01\x02", 8, b"\x01\x00"), "encrypted"),
        (
            changed(packed(entry("a"), entry("b")), b"PK\x01\x02", 42, b"\x20\x00\x00\x00"),
            "begins at byte 32, not at 0",
        ),
        (changed(packed(entry("a")), b"PK\x01\x02", 20, b"\xff\xff\xff\x7f" * 2), "at most 1073741824"),
    ],
    ids=["encrypted", "overlapping", "huge"],
)
def test_a_list_that_lies_is_refused(data: bytes, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "hostile.zip").write_bytes(data)
    with pytest.raises(UsageError, match=complaint), unzipped(tmp_path / "hostile.zip"):
        pytest.fail("it was opened")


def test_sizes_in_all_are_limited(files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_zip(tmp_path / "out.zip", files)
    monkeypatch.setattr(zipped, "MAX_TOTAL_BYTES", 2000)
    with pytest.raises(UsageError, match="at most 2000"), unzipped(tmp_path / "out.zip"):
        pytest.fail("it was opened")
    with pytest.raises(UsageError, match="at most 2000"):
        write_zip(tmp_path / "other.zip", files)
    assert not (tmp_path / "other.zip").exists()


def test_a_zip_that_is_not_there_or_no_file(tmp_path: Path) -> None:
    for path in (tmp_path / "none.zip", tmp_path):
        with pytest.raises(UsageError), unzipped(path):
            pytest.fail("it was opened")


def test_nothing_is_left_where_it_cannot_be_written(files: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        write_zip(tmp_path / "nowhere" / "out.zip", files)
    files["gone"] = tmp_path / "gone"
    with pytest.raises(FileNotFoundError):
        write_zip(tmp_path / "out.zip", files)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (lzma.compress(bytes(80 << 20)), "more than"),
        (lzma.compress(b"a") + lzma.compress(b"b"), "goes on"),
        (lzma.compress(b"a") + b"\0\0\0\0", "goes on"),
        (lzma.compress(b"a" * 1000)[:-8], "too early"),
        (b"no xz at all", "cannot be unpacked"),
        (b"", "too early"),
        (lzma.compress(b"a", filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 29}]), "cannot be unpacked"),
    ],
    ids=["a bomb", "two streams", "padding", "cut", "garbage", "empty", "memory"],
)
def test_a_packed_file_that_means_harm(data: bytes, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "trace.sqlite.xz").write_bytes(data)
    with pytest.raises(UsageError, match=complaint):
        check_packed(tmp_path / "trace.sqlite.xz")


def test_a_packed_file_of_good_will(tmp_path: Path) -> None:
    (tmp_path / "trace.sqlite.xz").write_bytes(lzma.compress(bytes(range(256)) * 100_000))
    check_packed(tmp_path / "trace.sqlite.xz")


KILLED = """
import os, signal, sys
from pathlib import Path
from aisp_prof.profiler.store import zipped
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
zipped.write_zip(Path(sys.argv[1]), {"a": Path(sys.argv[2])})
"""


def test_a_killed_process_leaves_the_old_one_and_nothing_for_good(files: dict[str, Path], tmp_path: Path) -> None:
    target, source = tmp_path / "out" / "b.zip", next(iter(files.values()))
    target.parent.mkdir()
    target.write_bytes(b"old")
    paths = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / ".pythonpath")}
    done = subprocess.run([sys.executable, "-c", KILLED, target, source], env=paths, check=False)
    assert done.returncode == -signal.SIGKILL
    assert target.read_bytes() == b"old"
    assert len(list(target.parent.iterdir())) > 1
    write_zip(target, files)
    assert [path.name for path in target.parent.iterdir()] == ["b.zip"]


def test_a_list_of_too_many_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a list of millions would take gigabytes."""
    (tmp_path / "hostile.zip").write_bytes(HOSTILE["too many"][0])
    monkeypatch.setattr(zipped.zipfile, "ZipFile", lambda *_: pytest.fail("the list was read"))
    with pytest.raises(UsageError, match="at most 1000"), unzipped(tmp_path / "hostile.zip"):
        pytest.fail("it was opened")
