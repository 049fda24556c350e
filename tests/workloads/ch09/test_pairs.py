"""Chapter 9's pairs at their small size on a CPU: valid, and wrong when they are made wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from aisp_prof.declaration import VARIANTS
from aisp_prof.workloads.annotate import Notes
from aisp_prof.workloads.bare import main
from aisp_prof.workloads.device import CpuDevice
from aisp_prof.workloads.pair import Pair
from aisp_prof.workloads.registry import find
from aisp_prof.workloads.validate import validate

PAIRS = find("ch09")
each_pair = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.key)


def small(pair: Pair) -> Any:
    return pair.build(CpuDevice(), pair.declaration.sizes["small"])


def test_the_chapter_is_complete() -> None:
    names = [
        "compute_bound",
        "cublaslt_gemm",
        "cute_dsl_nvfp4_gemm",
        "cutlass_gemm",
        "cutlass_gemm_fp4",
        "fused_l2norm",
        "memory_bound",
        "micro_tiling_matmul",
        "tcgen05_tma_pipeline",
        "triton",
    ]
    assert [pair.declaration.name for pair in PAIRS] == names


@each_pair
def test_the_pair_is_valid(pair: Pair, notes: Notes) -> None:
    found = validate(pair.declaration, small(pair), CpuDevice(), notes, 11)
    assert found.valid
    assert found.bitwise is (True if pair.declaration.bitwise else None)


@each_pair
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_wrong_row_is_seen(pair: Pair, variant: str, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    work = small(pair)
    run = work.run

    def wrong(asked: str) -> None:
        run(asked)
        if asked == variant:
            work.output.view(-1)[:64] *= 1.25

    monkeypatch.setattr(work, "run", wrong)
    found = validate(pair.declaration, work, CpuDevice(), notes, 11)
    assert not found.valid


@each_pair
def test_poison_reaches_all_that_a_variant_writes(pair: Pair) -> None:
    work = small(pair)
    work.inputs(3)
    work.poison()
    assert work.output.isnan().all()
    for variant in pair.declaration.names:
        work.poison()
        work.run(variant)
        assert work.output.isfinite().all()


@each_pair
def test_inputs_come_from_the_seed(pair: Pair) -> None:
    work = small(pair)
    results = []
    for seed in (1, 1, 2):
        work.inputs(seed)
        results.append(work.reference())
    assert torch.equal(results[0], results[1])
    assert float((results[0] - results[2]).norm() / results[0].norm()) > 0.1


@each_pair
def test_summaries_print_what_is_declared(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(pair, ["--summaries", "--ridge", "184"]) == 0
    title, *lines = capsys.readouterr().out.splitlines()
    assert "declared by formula, not counted" in title
    assert [line.split()[0] for line in lines] == list(pair.declaration.names)
    assert all("FLOP/B" in line and "of the ridge, 184" in line for line in lines)


def test_chapter_nines_checklist(capsys: pytest.CaptureFixture[str]) -> None:
    """memory_bound lies left of an H200's ridge, compute_bound right of it, by the formulas."""
    by_name = {pair.declaration.name: pair for pair in PAIRS}
    for name, limit in (("memory_bound", "memory-bound"), ("compute_bound", "compute-bound")):
        assert main(by_name[name], ["--summaries", "--ridge", "184"]) == 0
        assert capsys.readouterr().out.count(limit) == len(by_name[name].declaration.names)
    memory, compute = (by_name[name].declared for name in ("memory_bound", "compute_bound"))
    assert memory is not None
    assert compute is not None
    sizes = {name: pair.declaration.sizes["h200"] for name, pair in by_name.items()}
    assert memory(sizes["memory_bound"], "optimized").intensity == 4.0
    assert memory(sizes["memory_bound"], "baseline").intensity == 0.25
    assert compute(sizes["compute_bound"], "optimized").intensity > 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--size", "huge"], "no size 'huge'"), (["--ridge", "0"], "a ridge of 0")],
)
def test_summaries_of_nothing_are_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(PAIRS[0], ["--summaries", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.fixture
def ceilings(tmp_path: Path) -> Path:
    """Ceilings as `aisp-prof calibrate -o` stores them, with the figures of one H200."""
    rates = {"copy": 4.284e12, "read": 4.388e12, "bf16": 803e12, "fp32": 51.3e12}
    path = tmp_path / "ceilings.json"
    path.write_text(json.dumps({"schema": 1, "ceilings": [{"name": n, "value": v} for n, v in rates.items()]}))
    return path


@pytest.mark.parametrize(
    ("name", "ridge", "rate"), [("memory_bound", "11.69", "fp32 51.3"), ("compute_bound", "183", "bf16 803")]
)
def test_the_checklist_against_measured_ceilings(
    name: str, ridge: str, rate: str, ceilings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = find(f"ch09:{name}")[0]
    assert main(pair, ["--summaries", "--ceilings", str(ceilings)]) == 0
    _, *lines = capsys.readouterr().out.splitlines()
    limit = name.replace("_", "-")
    for line in lines:
        assert f"of the ridge, {ridge} FLOP/B: {limit} ({rate} TFLOP/s over 4.388 TB/s, measured)" in line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "holds no ceilings"),
        ('{"ceilings": []}', "no bandwidth"),
        ('{"ceilings": [{"name": "copy", "value": 1}]}', "'fp32'"),
    ],
)
def test_what_is_no_file_of_ceilings_is_refused(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.json"
    path.write_text(text)
    assert main(find("ch09:memory_bound")[0], ["--summaries", "--ceilings", str(path)]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "aisp-prof calibrate" in err


def test_a_pair_that_declares_no_work_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(find("ch11:streams")[0], ["--summaries"]) == 2
    assert "declares no FLOPs" in capsys.readouterr().err
