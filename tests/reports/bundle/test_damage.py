"""A bundle whose trace SQLite calls malformed is not verified, whatever its hashes: by hand it gives other numbers, or none."""

from __future__ import annotations

import lzma
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from aisp_prof.profiler.expect.files import expectations_folder
from aisp_prof.profiler.store.captures import Capture
from aisp_prof.reports.bundle.layout import Pages
from aisp_prof.reports.bundle.verification import Status
from aisp_prof.reports.bundle.verify import verify_bundle
from aisp_prof.reports.bundle.write import write_bundle
from forgery import pack, read, rehashed
from page_mutations import Change, Database, cell_pointer, free_block, interior_key, rowid


def malformed(content: bytes) -> bool:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(content)
        try:
            return connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]
        except sqlite3.DatabaseError:
            return True


def broken(content: bytes, change: Change) -> bytes:
    """The first of such changes that SQLite calls malformed."""
    db, random = Database.read(content), np.random.default_rng(14)
    while True:
        made = bytearray(content)
        change(db, random, made)
        if malformed(bytes(made)):
            return bytes(made)


@pytest.fixture(scope="module")
def packed(streams: Capture, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("bundle") / "out.zip"
    write_bundle(path, [streams], [], Pages("ch11", "en", False), expectations_folder())
    return path.read_bytes()


@pytest.mark.parametrize("change", [free_block, cell_pointer, rowid, interior_key])
def test_a_malformed_database_is_found_and_named(change: Change, packed: bytes, tmp_path: Path) -> None:
    path, files = tmp_path / "out.zip", read(packed)
    (name,) = (name for name in files if name.endswith(".sqlite.xz"))
    changed = {**files, name: lzma.compress(broken(lzma.decompress(files[name]), change), preset=0)}
    path.write_bytes(pack(rehashed(files, changed)))
    found = verify_bundle(path)
    assert found.status is Status.WRONG
    named = [problem.what for problem in found.problems if problem.file == name]
    assert any(what.startswith("SQLite's integrity check: ") for what in named), named
