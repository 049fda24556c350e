"""Profile mode: what a profiler that replays kernels needs of a pair; and the declared work that every record carries."""

from __future__ import annotations

import json

from aisp_prof.workloads import harness
from aisp_prof.workloads.bare import main
from aisp_prof.workloads.ch09.memory_bound import PAIR as DECLARED
from aisp_prof.workloads.ch11.streams import PAIR
from aisp_prof.workloads.device import CpuDevice
from aisp_prof.workloads.harness import run_pair

CPU = ["--device", "cpu", "--iterations", "2"]


def test_memory_is_given_back_between_the_check_and_what_is_counted(monkeypatch, domain, notes):
    seen = []
    monkeypatch.setattr(CpuDevice, "release", lambda self: seen.append(list(domain.calls)))
    record = run_pair(PAIR, device="cpu", iterations=2, profiling=True, notes=notes)
    (before,) = seen
    assert ("pop", "ch11.streams.verify", "verify", None) in before
    assert not any("warmup" in name for _, name, *_ in before)
    assert record.validation.valid
    assert record.measured.warmup == {"baseline": 1, "optimized": 1}


def test_the_gpu_is_not_held_back(notes):
    assert PAIR.declaration.queued
    assert run_pair(PAIR, device="cpu", iterations=2, profiling=True, notes=notes).measured.hold_ns == 0


def test_an_ordinary_run_keeps_its_memory(monkeypatch, notes):
    monkeypatch.setattr(CpuDevice, "release", lambda self: 1 / 0)
    assert harness.run_pair(PAIR, device="cpu", iterations=2, notes=notes).measured.warmup["baseline"] > 1


def test_the_command_line_asks_for_it_and_writes_the_declared_work(tmp_path, capsys):
    path = tmp_path / "record.json"
    assert main(DECLARED, [*CPU, "--profile-mode", "--record", str(path)]) == 0
    record = json.loads(path.read_text())
    names = DECLARED.declaration.names
    assert record["warmup"] == dict.fromkeys(names, 1)
    work = {v: DECLARED.declared(DECLARED.declaration.sizes["small"], v) for v in names}
    assert record["declared"] == {v: {"flops": w.flops, "bytes": w.bytes, "ceiling": "fp32"} for v, w in work.items()}


def test_a_pair_that_declares_no_work_says_so():
    assert run_pair(PAIR, device="cpu", iterations=2).to_json()["declared"] == {}
