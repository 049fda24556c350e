"""Several questions of a packed trace unpack it once, and a file that has changed anew."""

from __future__ import annotations

import lzma
from pathlib import Path
from typing import IO

import pytest
from aisp_prof.profiler.trace.source import file as module
from aisp_prof.profiler.trace.source.file import plain_file, unpacked_once
from aisp_prof.profiler.trace.source.limits import UNPACK_VARIABLE


@pytest.fixture
def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[Path]]:
    """A packed file, and what was unpacked so far."""
    path, seen, whole = tmp_path / "trace.sqlite.xz", list[Path](), module.unpack
    path.write_bytes(lzma.compress(b"first"))
    monkeypatch.setattr(module, "unpack", lambda source, to: (seen.append(source), whole(source, to))[1])
    return path, seen


def read(path: Path) -> bytes:
    with plain_file(path) as plain:
        return plain.read_bytes()


def first(out: IO[bytes]) -> None:
    out.write(b"first")


def test_once_within_and_anew_without(packed: tuple[Path, list[Path]]) -> None:
    path, seen = packed
    with unpacked_once():
        assert [read(path) for _ in range(3)] == [b"first"] * 3
        assert seen == [path]
        path.write_bytes(lzma.compress(b"another"))
        assert read(path) == b"another"
    assert len(seen) == 2
    assert (read(path), read(path), len(seen)) == (b"another", b"another", 4)


def test_what_somebody_else_unpacked_is_used_and_removed(packed: tuple[Path, list[Path]]) -> None:
    path, seen = packed
    with unpacked_once() as kept:
        kept.fill(path, first)
        with plain_file(path) as plain:
            assert plain.read_bytes() == b"first"
    assert seen == []
    assert not plain.exists()


def test_a_copy_of_what_was_unpacked_is_not_unpacked_again(packed: tuple[Path, list[Path]], tmp_path: Path) -> None:
    path, seen = packed
    copy, other = tmp_path / "copy.xz", tmp_path / "other.xz"
    with unpacked_once() as kept:
        copy.write_bytes(path.read_bytes())
        kept.copied(path, copy)  # before it was unpacked there is nothing to share
        assert [read(copy), read(path)] == [b"first"] * 2
        other.write_bytes(path.read_bytes())
        kept.copied(path, other)
        assert read(other) == b"first"
        assert seen == [copy, path]
        other.write_bytes(lzma.compress(b"another"))
        assert read(other) == b"another"


def test_what_failed_or_is_too_large_is_not_kept(
    packed: tuple[Path, list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, seen = packed

    def fail(out: IO[bytes]) -> None:
        out.write(b"half")
        raise ValueError("a fault in the middle")

    with unpacked_once() as kept:
        with pytest.raises(ValueError, match="middle"):
            kept.fill(path, fail)
        assert read(path) == b"first"
    monkeypatch.setenv(UNPACK_VARIABLE, "0.000000002")
    with unpacked_once() as kept:
        kept.fill(path, first)
        with pytest.raises(module.TraceError, match="unpacked, it is more than"):
            read(path)
    assert len(seen) == 2
