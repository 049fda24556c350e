"""Every number of a proof is listed, and its rows show it by plain SQL."""

from __future__ import annotations

import json
import lzma
import sqlite3
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from aisp_prof.profiler.manifest import Manifest
from aisp_prof.profiler.proof.prove import prove
from aisp_prof.reports.bundle.numbers import numbers
from counted_pair import counted_capture
from pair_trace import manifest, run_pair
from shared import proven, shipped
from trace_builder import TraceBuilder


def leaves(value: Any) -> Iterator[int | float]:
    if isinstance(value, dict):
        for one in value.values():
            yield from leaves(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from leaves(one)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def of_evidence(evidence: Any) -> Counter[Any]:
    """Every number of an evidence but those of operations, which are rows and not numbers."""
    data = asdict(evidence)
    del data["manifest"]
    for variant in (data["baseline"], data["optimized"], *data["between"], *data["beyond"]):
        del variant["timeline"], variant["witnesses"]
    return Counter(leaves(data))


@pytest.mark.parametrize("capture", shipped(), ids=lambda capture: capture.manifest.pair)
def test_no_number_of_a_shipped_proof_is_left_out(capture: Any) -> None:
    evidence = proven(capture.id)
    found = list(numbers(evidence))
    assert not of_evidence(evidence) - Counter(number.value for number in found)
    assert len({number.name for number in found}) == len(found)
    assert all(number.metric and number.of and number.source for number in found)


def test_no_number_of_a_counted_or_a_staged_proof_is_left_out(tmp_path: Path) -> None:
    counted = prove(*counted_capture(tmp_path, ["optimized.achieved_flops >= 1 TFLOP/s"]))
    assert counted.rates
    trace = TraceBuilder()
    from pair_trace import overlapped, serial

    run_pair(trace, order="ABCCBA", variants=(("baseline", serial), ("half", serial), ("optimized", overlapped)))
    data = manifest(["speedup >= 1.5", "speedup(half, optimized) >= 1.2"])
    text = {"en": "x"}
    data["declaration"]["variants"] = [{"name": n, "caption": text} for n in ("baseline", "half", "optimized")]
    staged = prove(Manifest.from_json(data), trace.write(tmp_path / "staged.sqlite"))
    assert staged.steps
    for evidence in (counted, staged):
        found = list(numbers(evidence))
        assert not of_evidence(evidence) - Counter(number.value for number in found)
        assert len({number.name for number in found}) == len(found)


@pytest.fixture(scope="module")
def proof(made: Path) -> dict[str, Any]:
    with zipfile.ZipFile(made) as archive:
        (found,) = json.loads(archive.read("proof.json"))["proofs"].values()
    return found


@pytest.fixture
def trace(made: Path, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with zipfile.ZipFile(made) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".xz")]
        (tmp_path / "trace.sqlite").write_bytes(lzma.decompress(archive.read(name)))
    with closing(sqlite3.connect(tmp_path / "trace.sqlite")) as database:
        yield database


def test_the_rows_of_a_selector_give_its_numbers(proof: dict[str, Any], trace: sqlite3.Connection) -> None:
    assert len(proof["selectors"]) == 40
    for name, selector in proof["selectors"].items():
        found: list[tuple[int, int]] = []
        for table, spans in selector["operations"].items():
            for first, last in spans:
                query = f"select start, end from {table} where rowid between ? and ?"
                found += trace.execute(query, (first, last)).fetchall()

        def value(metric: str, of: str = name) -> float:
            return proof["numbers"][f"{of}.{metric}"]["value"]

        assert value("sum") == sum(end - start for start, end in found)
        assert value("span") == max(end for _, end in found) - min(start for start, _ in found)
        assert value("copies_per_iteration") + value("kernels_per_iteration") == len(found)
        query = (
            f"select value from {selector['range']['table']} n join StringIds s on s.id = n.textId where n.rowid = ?"
        )
        assert trace.execute(query, (selector["range"]["row"],)).fetchone() == ("iter",)
        assert selector["path"].endswith(".measure/iter")
        calls = sum(last - first + 1 for spans in selector["calls"].values() for first, last in spans)
        assert calls >= value("launch_calls_per_iteration")


def test_a_witness_is_found_by_its_rows(proof: dict[str, Any], trace: sqlite3.Connection) -> None:
    assert proof["witnesses"]["optimized"]
    for witness in proof["witnesses"]["optimized"]:
        rows = [
            trace.execute(f"select start, end, streamId from {op['table']} where rowid = ?", (op["row"],)).fetchone()
            for op in (witness["a"], witness["b"])
        ]
        assert rows == [(op["start"], op["end"], op["stream"]) for op in (witness["a"], witness["b"])]
        shared = min(rows[0][1], rows[1][1]) - max(rows[0][0], rows[1][0])
        assert shared == witness["shared_ns"] > 0


def test_sources_name_the_trace_by_its_hash(proof: dict[str, Any], streams: Any) -> None:
    assert proof["sources"]["trace"]["sha256"] == streams.manifest.files["trace.sqlite.xz"].sha256
    used = {number["source"] for number in proof["numbers"].values()}
    assert used <= {"trace", "manifest", "claim", "capture"}
    assert {"trace", "manifest", "claim"} <= used
