"""Chapter 10's pairs, and chapter 9's ring, at their small size on a CPU: declared well, valid, and wrong when made wrong."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from aisp_prof.errors import EnvironmentLacks, UsageError
from aisp_prof.kernels.attention import flash
from aisp_prof.kernels.gemm import ladder
from aisp_prof.profiler.judging.language import parse
from aisp_prof.workloads.annotate import Notes
from aisp_prof.workloads.ch10 import attentions, batch, cooperative_persistent, products
from aisp_prof.workloads.ch10.matmul import Formats
from aisp_prof.workloads.device import CpuDevice
from aisp_prof.workloads.harness import run_pair
from aisp_prof.workloads.pair import Pair
from aisp_prof.workloads.registry import find
from aisp_prof.workloads.validate import validate

PAIRS = (*find("ch10"), *find("ch09:tcgen05_tma_pipeline"))
each_pair = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.key)
HOPPER = (
    "matmul_tcgen05",
    "tcgen05_tma_pipeline",
    "tcgen05_warp_specialization",
    "tcgen05_warp_specialization_cutlass",
)


def small(pair: Pair) -> Any:
    return pair.build(CpuDevice(), pair.declaration.sizes["small"])


@each_pair
def test_claims_can_be_read_and_every_text_is_in_both_languages(pair: Pair) -> None:
    told = pair.declaration
    assert all(parse(claim, told.names) for claim in told.claims)
    texts = (told.topic, told.title, told.sentence, told.compares, *told.variants.values())
    assert all(set(text) == {"en", "ko"} and all(text.values()) for text in texts)
    assert all("{speedup}" in one for one in told.sentence.values())


@each_pair
def test_an_analogue_says_that_it_is_one(pair: Pair) -> None:
    told = pair.declaration
    analogue = told.name in HOPPER
    assert ("Hopper's analogue" in told.title["en"] and "Hopper 대응" in told.title["ko"]) is analogue
    assert ("of which this GPU has none" in told.compares["en"]) is analogue


@each_pair
def test_the_pair_runs_on_a_cpu(pair: Pair) -> None:
    record = run_pair(pair, device="cpu", iterations=2, seed=3)
    assert record.validation.valid
    assert tuple(record.validation.max_relative_error) == pair.declaration.names


@each_pair
def test_a_wrong_row_of_any_variant_is_seen(pair: Pair, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    for variant in pair.declaration.names:
        work = small(pair)
        run = work.run

        def wrong(asked: str, run: Any = run, work: Any = work, variant: str = variant) -> None:
            run(asked)
            if asked == variant:
                (work._c if hasattr(work, "_c") else work.output).view(-1)[:64] *= 1.25

        monkeypatch.setattr(work, "run", wrong)
        assert not validate(pair.declaration, work, CpuDevice(), notes, 11).valid


@each_pair
def test_poison_reaches_all_of_the_output(pair: Pair) -> None:
    work = small(pair)
    work.inputs(3)
    work.poison()
    assert work.output.isnan().all()


@each_pair
def test_operations_declared_are_those_of_the_products(pair: Pair) -> None:
    sizes = pair.declaration.sizes["h200"]
    assert pair.declared is not None
    flops = {pair.declared(sizes, name).flops for name in pair.declaration.names}
    seen = 4096 * 4097 // 2
    expected = {
        "attention": {4 * 128 * 4096**2 * 128, 4 * 128 * seen * 128},
        "flash_attention": {4 * 64 * 8192**2 * 128},
        "flash_attn_tma_micro_pipeline": {4 * 32 * 8192**2 * 128},
        "batch": {2 * 1024 * 8192**2},
        "cooperative_persistent": {2 * 2048 * 512**3 + 2 * 2048 * 512**2},
        "cluster_group": {27 * 2048 * 262144 // 4},
        "cluster_group_no_dsmem": {27 * 2048 * 262144 // 4},
        "double_buffered_pipeline": {2 * 32 * (2 << 30) // 4},
    }.get(pair.declaration.name, {2 * 8192**3})
    assert flops == expected


def test_the_counted_operations_claimed_are_those_declared() -> None:
    assert products.FLOPS == 2 * 8192**3
    counted = 0
    for pair in PAIRS:
        sizes, names = pair.declaration.sizes["h200"], pair.declaration.names
        for claim in pair.declaration.claims:
            if re.search(r"mma_flops [=>]= [1-9]", claim) and pair.declared is not None:
                counted += 1
                assert parse(claim, names).right == pair.declared(sizes, claim.partition(".")[0]).flops
    assert counted >= 13


def test_formats_take_their_own_operands(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Formats(CpuDevice(), {"m": 16, "n": 24, "k": 32})
    work.inputs(5)
    assert torch.equal(work._narrow[1], work._wide[1].bfloat16())
    kinds = {}
    for variant in ("baseline", "tf32", "bf16", "optimized"):
        work.run(variant)
        kinds[variant] = work.output.dtype
    wide, narrow = torch.float32, torch.bfloat16
    assert kinds == {"baseline": wide, "tf32": wide, "bf16": narrow, "optimized": narrow}


def test_tf32_is_allowed_in_its_step_alone() -> None:
    seen = {}
    work = Formats(CpuDevice(), {"m": 16, "n": 24, "k": 32})

    original = torch.mm
    for variant in ("baseline", "tf32", "bf16"):

        def spy(*args: Any, variant: str = variant, **kwargs: Any) -> Any:
            seen[variant] = torch.backends.cuda.matmul.allow_tf32
            return original(*args, **kwargs)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch, "mm", spy)
            work.run(variant)
    assert seen == {"baseline": False, "tf32": True, "bf16": False}
    assert torch.backends.cuda.matmul.allow_tf32 is False


def test_a_product_for_every_group_of_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    work = small(batch.PAIR)
    rows: list[int] = []
    monkeypatch.setattr(batch, "cublas", lambda x, w, y: rows.append(x.shape[0]))
    counts = {}
    for variant in batch.PAIR.declaration.names:
        rows.clear()
        work.run(variant)
        counts[variant] = (len(rows), set(rows))
    assert counts == {"baseline": (32, {2}), "four": (8, {8}), "sixteen": (2, {32}), "optimized": (1, {64})}


def test_requests_must_divide_into_groups() -> None:
    odd = replace(batch.PAIR.declaration, sizes={"default": {"requests": 8, "rows": 2, "n": 8, "k": 8}})
    with pytest.raises(UsageError, match="do not divide into groups of sixteen"):
        run_pair(Pair(odd, batch.Requests), device="cpu", size="default")


def test_a_wrong_norm_is_seen(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    work = small(cooperative_persistent.PAIR)
    run = work.run

    def wrong(asked: str) -> None:
        run(asked)
        work._norm.mul_(1.01)

    monkeypatch.setattr(work, "run", wrong)
    assert not validate(cooperative_persistent.PAIR.declaration, work, CpuDevice(), notes, 11).valid


def test_every_rung_of_the_ladder_is_a_step() -> None:
    from aisp_prof.workloads.ch10 import matmul_tcgen05

    assert tuple(matmul_tcgen05._RUNGS.values()) == ladder.NAMES
    assert tuple(matmul_tcgen05._RUNGS) == matmul_tcgen05.PAIR.declaration.names


def test_the_attention_ladders_rungs_are_steps_in_their_order() -> None:
    from aisp_prof.workloads.ch10 import flash_attn_tma_micro_pipeline as pair

    rungs = list(pair._RUNGS.values())
    assert rungs == [name for name in flash.NAMES if name in rungs]
    assert [name for name in pair.PAIR.declaration.names if name in pair._RUNGS] == list(pair._RUNGS)


def test_a_path_that_pytorch_lacks_is_named_and_nothing_runs_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    one = small(find("ch10:flash_attention")[0])._operands
    monkeypatch.setattr(attentions.Operands, "on_cuda", True)
    ran: list[str] = []

    def refuse(asked: Any) -> Any:
        ran.append("sdpa")
        raise RuntimeError("No available kernel. Aborting execution.")

    monkeypatch.setattr(attentions, "sdpa", refuse)
    with pytest.raises(EnvironmentLacks, match="has no CUDNN_ATTENTION for these tensors"):
        attentions.pinned("CUDNN_ATTENTION")(one)
    assert ran == ["sdpa"]


def test_scores_that_go_through_memory_are_declared() -> None:
    from aisp_prof.workloads.ch10 import attention

    sizes = {"batch": 2, "heads": 3, "seq": 8, "dim": 4}
    scores = 2 * 2 * 3 * 8 * 8
    fused, eager, compiled = (attention.declared(sizes, name) for name in ("optimized", "baseline", "compiled"))
    assert (eager.bytes - fused.bytes, compiled.bytes - fused.bytes) == (6 * scores, 4 * scores)
    assert (eager.flops, fused.flops) == (4 * 2 * 3 * 4 * 64, 4 * 2 * 3 * 4 * 36)
