"""The memory pair: all variants have the same bits, and each step changes one thing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from aisp_prof.kernels.elementwise import cubic_passes
from aisp_prof.workloads.annotate import Notes
from aisp_prof.workloads.bare import main
from aisp_prof.workloads.ch20.memory_standard import PAIR, CubicOverArray
from aisp_prof.workloads.device import CpuDevice
from aisp_prof.workloads.harness import run_pair
from aisp_prof.workloads.validate import validate

NAMES = PAIR.declaration.names
SMALL = PAIR.declaration.sizes["small"]


def test_the_pair_runs_from_validation_to_times(notes: Notes) -> None:
    record = run_pair(PAIR, device="cpu", iterations=2, notes=notes, seed=5)
    assert record.validation.valid
    assert record.validation.bitwise is True
    assert record.measured is not None
    assert len(record.measured.iterations) == 2 * len(NAMES)


@pytest.mark.parametrize("variant", NAMES)
def test_one_wrong_bit_is_seen(variant: str, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    work = CubicOverArray(CpuDevice(), SMALL)
    run = work.run

    def wrong(asked: str) -> None:
        run(asked)
        if asked == variant:
            work.output.view(torch.int32)[12345] ^= 1

    monkeypatch.setattr(work, "run", wrong)
    found = validate(PAIR.declaration, work, CpuDevice(), notes, 11)
    assert found.bitwise is False
    assert not found.valid


def test_each_step_changes_one_thing(monkeypatch: pytest.MonkeyPatch) -> None:
    work = CubicOverArray(CpuDevice(), SMALL)
    work.inputs(1)
    seen: list[Any] = []
    in_passes, fused = cubic_passes.in_passes, cubic_passes.fused

    def note_passes(x: Any, out: Any, memory: Any, access: str) -> None:
        seen.append((type(memory).__name__, access))
        in_passes(x, out, memory, access)  # type: ignore[arg-type]

    monkeypatch.setattr(cubic_passes, "in_passes", note_passes)
    monkeypatch.setattr(cubic_passes, "fused", lambda x, out: seen.append("fused") or fused(x, out))
    for name in NAMES:
        work.run(name)
    assert seen == [("FreshMemory", "strided"), ("FreshMemory", "coalesced"), ("Arena", "coalesced"), "fused"]


def test_poison_reaches_all_that_a_variant_writes() -> None:
    work = CubicOverArray(CpuDevice(), SMALL)
    work.inputs(3)
    for name in NAMES:
        work.poison()
        assert work.output.isnan().all()
        assert all(array.isnan().all() for array in work._arena.arrays)
        work.run(name)
        assert work.output.isfinite().all()


def test_the_arena_is_whole_again_after_every_run() -> None:
    work = CubicOverArray(CpuDevice(), SMALL)
    work.inputs(3)
    for _ in range(3):
        work.run("arena")
        assert len(work._arena._free) == 2


def test_summaries_print_the_traffic(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(PAIR, ["--summaries"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "19.327 GB" in lines[1]
    assert "4.295 GB" in lines[-1]
