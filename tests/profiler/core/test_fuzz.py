"""Mutated pages and slices through the core under AddressSanitizer and UBSan; `scripts/fuzz --core` runs longer."""

from __future__ import annotations

import lzma
import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from aisp_prof.profiler.analysis.overlap import ENGINES
from aisp_prof.profiler.trace.model import KINDS

ROOT = Path(__file__).parents[3]
SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-pthread", "-std=c11")


def table(path: Path, columns: int, page_size: int) -> Path:
    """Rows of every kind of integer, of short and long text, and of NULL; every third column is text."""
    numbers = (None, 0, 1, 77, -5, 1 << 20, -(1 << 40), (1 << 62) + 1)
    texts = (None, "a", "kernel", "x" * 90, "é")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA page_size = {page_size}")
        names = [f"c{i} {'INTEGER' if i % 3 else 'TEXT'}" for i in range(columns)]
        connection.execute(f"CREATE TABLE t ({', '.join(names)})")
        rows = [
            [numbers[(k + i) % 8] if i % 3 else texts[(k * i + k) % 5] for i in range(columns)]
            for k in range(40_000 // columns)
        ]
        connection.executemany(f"INSERT INTO t VALUES ({', '.join('?' * columns)})", rows)
        connection.commit()
    return path


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that mutates, compiled with the core and the sanitizers."""
    compiler, target = shutil.which("cc") or shutil.which("gcc"), tmp_path_factory.mktemp("fuzz") / "fuzz"
    if compiler is None:
        pytest.skip("no C compiler: there is no core to fuzz")
    sources = [*sorted((ROOT / "profiler" / "core").glob("*.c")), ROOT / "tests" / "support" / "fuzz_core.c"]
    command = [compiler, *SANITIZED, *map(str, sources), "-o", str(target)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if "cannot find" in built.stderr:
        pytest.skip(f"this compiler has no sanitizers: {built.stderr[-200:]}")
    assert built.returncode == 0, built.stderr
    return target


def unharmed(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    inputs, decoded, rows, trees, operations, passes, letters = map(int, re.findall(r"\d+", done.stdout))
    assert inputs == 3000
    assert decoded > 500, "hardly anything is decoded: the mutations are refused too early to show anything"
    assert min(rows, trees, operations) > 500
    assert passes > 8 * inputs, "of the passes over columns most are refused too early to show anything"
    assert letters > 50 * inputs, "hardly any line of text is made"


@pytest.mark.parametrize(("columns", "page_size"), [(5, 512), (12, 4096), (30, 1024)])
def test_no_mutation_reaches_beyond_its_page(columns: int, page_size: int, fuzz: Path, tmp_path: Path) -> None:
    unharmed(fuzz, table(tmp_path / "t.sqlite", columns, page_size), "3000", "1", str(columns))


def test_no_mutation_of_a_trace_does_either(fuzz: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace.sqlite"
    trace.write_bytes(lzma.decompress((ROOT / "tests" / "traces" / "two-gpus-node.sqlite.xz").read_bytes()))
    unharmed(fuzz, trace, "3000", "1")


def test_the_core_knows_the_classes_as_the_model_lists_them() -> None:
    """A class more would be written beyond its row."""
    source = (ROOT / "profiler" / "core" / "sweep.c").read_text()
    listed = re.search(r"enum \{ (COMPUTE,[^}]*), KINDS \};", source)
    assert listed
    assert [name.strip("_").lower() for name in listed[1].split(", ")] == list(KINDS)
    assert list(ENGINES) == ["compute", "h2d", "d2h", "peer"]
