"""Capturing several pairs in one command: ceilings once and for all of them, and only where something is counted."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from dataclasses import replace

import pytest
from aisp_prof import cli
from aisp_prof.cli import counters
from aisp_prof.cli.capturing import hardware
from aisp_prof.declaration import Phase
from aisp_prof.errors import UsageError
from aisp_prof.profiler.capture import run as room
from aisp_prof.profiler.capture.calibrate import read_calibration
from aisp_prof.profiler.judging.language import needs_counters
from aisp_prof.profiler.store.captures import Capture
from aisp_prof.profiler.store.manifest import Manifest
from aisp_prof.workloads.pair import Declared, Memory
from aisp_prof.workloads.registry import find

CEILINGS = {"ceilings": [], "calibration": None}
REFUSED = {"tier": "declared", "files": [], "iterations": 0, "reason": "only root", "mend": "become root"}


@pytest.fixture
def capture(monkeypatch, capsys, tmp_path):
    """Run `aisp-prof capture …` with a capture that only writes down what it was asked: exit code, stdout, what was asked."""
    monkeypatch.setenv("AISP_CAPTURES", str(tmp_path / "captures"))
    asked, measured = [], []

    def fake(
        declaration, module, key, size, folder, iterations, command, timeout_s, progress, profile, ceilings, tracer
    ):
        asked.append((declaration.key, profile.value, iterations, ceilings))
        told = REFUSED if profile.counts else None
        made = Manifest.of(
            id=declaration.key, created_utc="2026", declaration=declaration.to_json(), hardware_key=key, size=size,
            sizes={}, gpus=[], versions={}, command=[], commit=None, conditions=None, runs={}, files={},
            profile=profile.value, counters=told,
        )  # fmt: skip
        return Capture(tmp_path / declaration.name, made)

    def call(*arguments):
        monkeypatch.setattr(room, "capture_pair", fake)
        monkeypatch.setattr(
            counters, "measure_ceilings", lambda timeout, progress, only: measured.append(sorted(only)) or CEILINGS
        )
        monkeypatch.setattr(sys, "argv", ["aisp-prof", "capture", *arguments])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        out, err = capsys.readouterr()
        call.measured = measured
        return exit_.value.code, out, err, asked, len(measured)

    return call


@pytest.fixture
def pairs(monkeypatch):
    """Make `capture ch11` capture streams and gemm_streams with these claims and work."""

    def make(**of_pairs):
        found = [find(f"ch11:{name}")[0] for name in of_pairs]
        changed = [
            replace(pair, declaration=replace(pair.declaration, claims=claims), phases=phases)
            for pair, (claims, phases) in zip(found, of_pairs.values(), strict=True)
        ]
        monkeypatch.setattr("aisp_prof.workloads.registry.find", lambda selector: changed)

    return make


def pipeline(sizes, variant):
    return (Phase(h2d=1), Phase(h2d=3, d2h=3, dram=8), Phase(d2h=1))


def product(sizes, variant):
    return Declared(1, 1, "bf16")


def test_what_floors_and_claims_need_is_measured_once_for_all_pairs(capture, pairs):
    """Some seconds before the captures; those that need none keep none."""
    pairs(
        streams=(("optimized.time <= 1.2 * floor",), pipeline),
        gemm_streams=(("rate(h2d) >= 0.9 * ceiling(h2d_both)",), None),
        adaptive_streams=(("speedup >= 1.2",), None),
    )
    code, _, _, asked, measured = capture("ch11")
    assert (code, measured) == (0, 1)
    assert capture.measured == [["copy", "d2h", "d2h_both", "h2d", "h2d_both", "read"]]
    assert [one[1:] for one in asked] == [("minimal", 20, CEILINGS), ("minimal", 20, CEILINGS), ("minimal", 20, None)]


def test_what_is_declared_without_phases_needs_its_type_and_memory(capture, monkeypatch):
    (pair,) = find("ch11:streams")
    declaration = replace(pair.declaration, claims=("speedup >= 2",))
    found = replace(pair, declaration=declaration, declared=product, phases=None)
    monkeypatch.setattr("aisp_prof.workloads.registry.find", lambda selector: [found])
    capture("ch11")
    assert capture.measured == [["bf16", "copy", "read"]]


def test_a_gpu_with_less_memory_gets_a_smaller_size_and_is_told(capture, monkeypatch):
    class Card:
        def facts(self):
            return {"name": "NVIDIA GeForce RTX 4090", "memory_bytes": 25_250_627_584}

    monkeypatch.setattr("aisp_prof.profiler.capture.conditions.open_gpu", lambda: nullcontext(Card()))
    memory = Memory(lambda sizes: 20 * sizes["sets"] * sizes["rows"] * sizes["columns"], "rows", 4)
    pair = replace(find("ch09:fused_l2norm")[0], memory=memory)
    monkeypatch.setattr("aisp_prof.workloads.registry.find", lambda selector: [pair])
    key, size, why = hardware(pair, "")
    assert (key, size) == ("rtx_4090", "4x65536x4096")
    assert hardware(pair, "default") == ("rtx_4090", "default", ""), "as asked"
    assert hardware(find("ch11:streams")[0], "") == ("rtx_4090", "default", "")
    code, _, err, asked, _ = capture("ch09:fused_l2norm")
    assert (code, len(asked)) == (0, 1)
    assert f"ch09.fused_l2norm: {why}" in err
    assert why.startswith("rows 65536 instead of 131072")


def test_stored_ceilings_serve_floors_too(capture, pairs, tmp_path):
    pairs(streams=(("optimized.time <= 1.2 * floor",), pipeline))
    code, _, _, asked, measured = capture("ch11", "--ceilings", str(stored(tmp_path)))
    assert (code, measured) == (0, 0)
    assert asked[0][3]["ceilings"] == [{"name": "copy", "value": 4.2e12}]


def test_all_are_measured_where_another_pair_is_counted(capture, pairs):
    pairs(streams=(("optimized.time <= 1.2 * floor",), pipeline), gemm_streams=(("of_roofline >= 0.5",), None))
    _, _, _, asked, measured = capture("ch11")
    assert (measured, capture.measured) == (1, [[]])
    assert [one[1] for one in asked] == ["minimal", "roofline"]
    assert [one[3] for one in asked] == [CEILINGS, CEILINGS]


def test_ceilings_are_measured_once_for_all_pairs(capture):
    code, out, _, asked, measured = capture("ch09", "--profile", "roofline", "--iterations", "8")
    assert (code, measured) == (0, 1)
    assert asked == [(pair.key, "roofline", 8, CEILINGS) for pair in find("ch09")]
    assert len(asked) > 3
    assert out.count("captured as") == len(asked)


def test_what_was_not_counted_is_said_with_its_mend(capture):
    _, out, *_ = capture("ch09:triton", "--profile", "deep")
    assert "FLOPs are declared only: only root" in out
    assert "→ become root" in out


@pytest.mark.parametrize(
    ("pair", "options", "profile", "rates"),
    [
        ("streams", (), "minimal", [["d2h", "d2h_both", "h2d", "h2d_both"]]),
        ("streams", ("--profile", "none"), "none", []),
        ("stream_ordered", (), "minimal", []),
    ],
)
def test_without_counting_the_ceilings_of_floors_alone_are_measured(capture, pair, options, profile, rates):
    code, out, _, asked, _ = capture(f"ch11:{pair}", *options, "--json")
    assert (code, capture.measured) == (0, rates)
    assert [one[1] for one in asked] == [profile] * len(asked)
    assert json.loads(out)["rows"][0]["counters"] is None


def test_without_a_profile_each_pair_is_run_as_its_claims_need(capture):
    """`capture ch09` then `report` ended unproven, since counters were never asked for."""
    code, _, _, asked, measured = capture("ch09")
    assert (code, measured) == (0, 1)
    assert asked == [(pair.key, "roofline", 20, CEILINGS) for pair in find("ch09")]


@pytest.mark.parametrize(
    ("claims", "counted"),
    [
        ((), False),
        (("speedup >= 1.5", "hidden(h2d, d2h) >= 0.8", "optimized.rate(h2d) >= 40 GB/s"), False),
        (("speedup >= 1.5", "median baseline.of_roofline <= 0.3"), True),
        (("baseline.dram_bytes >= optimized.dram_bytes",), True),
    ],
)
def test_only_claims_about_work_and_rates_ask_for_counters(claims, counted):
    declaration = replace(find("ch11:streams")[0].declaration, claims=claims)
    assert needs_counters(declaration) is counted


def test_an_unknown_profile_is_refused_before_anything_runs(capture):
    code, _, err, asked, measured = capture("ch11", "--profile", "everything")
    assert (code, asked, measured) == (2, [], 0)
    assert "roofline" in err


def test_a_folder_that_cannot_be_written_is_named_before_anything_is_measured(capture, tmp_path):
    (tmp_path / "file").touch()
    code, _, err, asked, measured = capture("ch11:streams", "--captures", str(tmp_path / "file" / "captures"))
    assert (code, asked, measured) == (3, [], 0)
    assert f"cannot be written to {tmp_path / 'file' / 'captures'}" in err
    assert "--captures" in err


def stored(tmp_path, **changes):
    path = tmp_path / "ceilings.json"
    told = {
        "schema": 1,
        "gpu": {"uuid": "GPU-1"},
        "ceilings": [{"name": "copy", "value": 4.2e12}],
        "calibration": {"rows": []},
        **changes,
    }
    path.write_text(json.dumps(told))
    return path


def test_stored_ceilings_are_not_measured_anew(capture, tmp_path):
    code, _, _, asked, measured = capture("ch09", "--profile", "roofline", "--ceilings", str(stored(tmp_path)))
    assert (code, measured) == (0, 0)
    assert {json.dumps(one[3]["ceilings"]) for one in asked} == {'[{"name": "copy", "value": 4200000000000.0}]'}


@pytest.mark.parametrize(
    ("changes", "uuid", "said"),
    [
        ({}, "GPU-2", "another GPU, GPU-1"),
        ({"ceilings": []}, None, "no ceilings"),
        ({"gpu": 5}, None, "no result"),
        ({"ceilings": [{"name": "copy"}]}, None, r"ceilings\.json\.ceilings\[0\]: value is missing"),
        ({"calibration": {"rows": 5}}, None, r"calibration\.rows is int, not a list"),
    ],
)
def test_ceilings_of_something_else_are_refused(tmp_path, changes, uuid, said):
    """Before minutes are spent on a capture whose manifest nobody could read."""
    with pytest.raises(UsageError, match=said):
        read_calibration(stored(tmp_path, **changes), uuid)


def test_ceilings_of_this_gpu_are_taken(tmp_path):
    assert read_calibration(stored(tmp_path), "GPU-1")["gpu"] == {"uuid": "GPU-1"}
    with pytest.raises(UsageError, match="cannot read"):
        read_calibration(tmp_path / "nothing", None)
