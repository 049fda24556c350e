"""Mutate a trace's bytes and read it: a named error, a counted finding or right numbers, never a traceback or a hang.

    python tests/support/fuzz.py TRACE.sqlite --count 20000 --seed 1

runs longer than the test-suite does; PYTHONPATH must name .pythonpath. With --readers single fields of pages are mutated, and
what this project and SQLite's library read of them is compared (readers.py).
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import numpy as np
from aisp_prof.errors import TraceError
from aisp_prof.profiler.analysis.completeness import attest
from aisp_prof.profiler.analysis.ledger import closes, ledger
from aisp_prof.profiler.analysis.overlap import concurrency
from aisp_prof.profiler.ranges.table import range_table
from aisp_prof.profiler.trace.reader import read_trace
from one_by_one import by_gpu
from readers import compared, readable

SLOW_S = 10.0
_WORTH = (-1, 0, 1, 2**31, 2**53 + 1, 2**61, 2**62, 2**63 - 1, -(2**63), "text", b"\xff\x00", 1.5, None)


def flipped(content: bytes, random: np.random.Generator) -> bytes:
    """One to eight flipped bits, anywhere."""
    broken = bytearray(content)
    for place in random.integers(0, len(broken), random.integers(1, 9)):
        broken[place] ^= 1 << int(random.integers(8))
    return bytes(broken)


def splattered(content: bytes, random: np.random.Generator) -> bytes:
    """A run of bytes overwritten with zeroes, ones, noise, or bytes of another place."""
    broken, size = bytearray(content), int(random.integers(1, 600))
    at, other = (int(k) for k in random.integers(0, max(1, len(broken) - size), 2))
    noise = random.integers(0, 256, size, np.uint8).tobytes()
    choices = (bytes(size), b"\xff" * size, noise, bytes(broken[other : other + size]))
    broken[at : at + size] = choices[int(random.integers(4))][: len(broken) - at]
    return bytes(broken)


def cut(content: bytes, random: np.random.Generator) -> bytes:
    return content[: int(random.integers(0, len(content)))]


def rewritten(content: bytes, random: np.random.Generator) -> bytes:
    """Values of some rows changed through SQL: absurd times, wrong types, NULLs."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.sqlite"
        path.write_bytes(content)
        with closing(sqlite3.connect(path)) as connection:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for _ in range(int(random.integers(1, 6))):
                table = tables[int(random.integers(len(tables)))]
                columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
                column = columns[int(random.integers(len(columns)))]
                value = _WORTH[int(random.integers(len(_WORTH)))]
                try:
                    connection.execute(
                        f"UPDATE {table} SET {column} = ? WHERE rowid % ? = 0", (value, int(random.integers(1, 9)))
                    )
                except sqlite3.Error:  # NOT NULL, or a key that would repeat
                    continue
            connection.commit()
        return path.read_bytes()


MUTATIONS = (flipped, splattered, cut, rewritten)


def outcome(path: Path) -> str:
    """Read a trace and compute what every command computes; what came out, in a word. Anything else is a bug."""
    try:
        trace = read_trace(path)
    except TraceError:
        return "refused"
    lines = ledger(trace)
    findings = attest(trace).findings
    table = range_table(trace)
    broken = [part for part in by_gpu(trace.operations) if not _holds(concurrency(part))]
    if not closes(lines) or broken or (table.busy + table.idle != table.span).any():
        raise AssertionError("an identity does not hold")
    return "found" if findings else "read"


def _holds(c: object) -> bool:
    busy, span, idle, overlap, total = (getattr(c, name) for name in ("busy", "span", "idle", "overlap", "sum"))
    return bool(busy + idle == span and 0 <= overlap <= busy <= total)


def fuzz(content: bytes, count: int, seed: int) -> Counter[str]:
    """Outcomes of `count` mutations; raises what the reader should not have raised, with the mutation's number."""
    random, outcomes = np.random.default_rng(seed), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mutated.sqlite"
        for number in range(count):
            mutate = MUTATIONS[number % len(MUTATIONS)]
            path.write_bytes(mutate(content, random))
            begin = time.process_time()
            try:
                outcomes[outcome(path)] += 1
            except Exception as error:
                kept = Path(tempfile.gettempdir()) / f"aisp-fuzz-{seed}-{number}.sqlite"
                kept.write_bytes(path.read_bytes())
                raise AssertionError(f"mutation {number} ({mutate.__name__}, seed {seed}), kept as {kept}") from error
            if time.process_time() - begin > SLOW_S:
                raise AssertionError(
                    f"mutation {number} ({mutate.__name__}, seed {seed}) took more than {SLOW_S} CPU s"
                )
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trace", type=Path)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--readers", action="store_true", help="compare both readers")
    parser.add_argument("--page-size", type=int, default=512, help="of the pages that --readers mutates")
    given = parser.parse_args()
    if given.readers:
        content = readable(given.trace.read_bytes(), given.page_size)
        print(dict(compared(content, given.count, given.seed, stop=False)))
        return
    print(dict(fuzz(given.trace.read_bytes(), given.count, given.seed)))


if __name__ == "__main__":
    main()
