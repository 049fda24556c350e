"""What pages of streams, of attention and of CUTLASS's kernels say in words and no claim holds, read from the traces that ship by SQL alone: kernels, blocks,
streams, priorities, order."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter

import pytest
from shared import plain_trace, shipped

IDS = {one.manifest.pair: one for one in shipped()}
"""The oldest capture of each pair."""

OPERATIONS = """
    WITH iteration AS (
        SELECT i.globalTid AS tid, i.start, i.end FROM NVTX_EVENTS m LEFT JOIN StringIds b ON b.id = m.textId
            CROSS JOIN NVTX_EVENTS i LEFT JOIN StringIds a ON a.id = i.textId
        WHERE m.globalTid = i.globalTid AND i.start BETWEEN m.start AND m.end AND i.end <= m.end
            AND COALESCE(i.text, a.value) = 'iter' AND COALESCE(m.text, b.value) = ? || '.measure'
        ORDER BY i.start LIMIT 1)
    SELECT o.deviceId, o.streamId, {0}
    FROM iteration i JOIN CUPTI_ACTIVITY_KIND_RUNTIME r ON r.globalTid = i.tid AND r.start >= i.start AND r.end <= i.end
        JOIN {1} o ON o.correlationId = r.correlationId AND o.globalPid = (r.globalTid & -16777216)
    ORDER BY o.start"""
KERNELS = OPERATIONS.format(
    "(SELECT value FROM StringIds WHERE id = o.shortName), o.gridX * o.gridY * o.gridZ", "CUPTI_ACTIVITY_KIND_KERNEL"
)
COPIES = OPERATIONS.format("o.copyKind, o.bytes", "CUPTI_ACTIVITY_KIND_MEMCPY")
H2D, D2H, MIB = 1, 2, 1 << 20

BLOCKS: dict[tuple[str, str], tuple[int, dict[str, tuple[int, int]]]] = {
    ("tensor_cores_streams", "baseline"): (1, {"nvjet": (128, 512)}),
    ("tensor_cores_streams", "few_blocks"): (1, {"gemm_products": (16, 512)}),
    ("tensor_cores_streams", "optimized"): (8, {"gemm_products": (16, 512)}),
    ("tensor_cores_streams", "library"): (8, {"nvjet": (128, 512)}),
    ("tensor_cores_streams", "batched"): (1, {"nvjet": (128, 64)}),
    ("stream_ordered", "baseline"): (8, {"affine_chain": (16, 128)}),
    ("stream_ordered", "optimized"): (8, {"affine_chain": (16, 128)}),
    ("stream_ordered_kv_cache", "one_stream"): (1, {"kv_append": (8, 64), "kv_attend": (16, 64)}),
    ("stream_ordered_kv_cache", "streams"): (8, {"kv_append": (8, 64), "kv_attend": (16, 64)}),
    ("stream_ordered_kv_cache", "optimized"): (1, {"kv_append": (128, 4), "kv_attend": (256, 4)}),
}
"""Pair and variant -> on how many streams its kernels ran, and kernel -> blocks of each launch, launches in an iteration."""


def ran(trace: sqlite3.Connection, pair: str, variant: str, query: str = KERNELS) -> list[tuple[int, int, str, int]]:
    """Device, stream, what and how many of each operation of the variant's first iteration, in the order in which they began."""
    return trace.execute(query, (f"ch{pair}.{variant}",)).fetchall()


@pytest.mark.parametrize(("case", "said"), BLOCKS.items(), ids=lambda value: "-".join(map(str, value)))
def test_kernels_have_so_many_blocks_on_so_many_streams(
    case: tuple[str, str], said: tuple[int, dict[str, tuple[int, int]]]
) -> None:
    pair, variant = case
    with plain_trace(IDS[f"ch11.{pair}"]) as trace:
        kernels = ran(trace, f"11.{pair}", variant)
    assert len({stream for _, stream, *_ in kernels}) == said[0]
    seen = Counter((name.partition("_sm90")[0], blocks) for *_, name, blocks in kernels)
    assert seen == {(name, blocks): count for name, (blocks, count) in said[1].items()}


@pytest.mark.parametrize(
    ("variant", "streams", "size"), [("baseline", 1, MIB), ("optimized", 8, MIB), ("batched", 2, 8 * MIB)]
)
def test_each_chain_is_copied_in_and_out(variant: str, streams: int, size: int) -> None:
    with plain_trace(IDS["ch11.tensor_cores_streams"]) as trace:
        copies = ran(trace, "11.tensor_cores_streams", variant, COPIES)
    assert len({stream for _, stream, *_ in copies}) == streams
    assert Counter((kind, moved) for *_, kind, moved in copies) == dict.fromkeys(
        [(H2D, size), (D2H, size)], 32 * MIB // size
    )


@pytest.mark.parametrize(("pair", "query"), [("distributed_streams", COPIES), ("distributed_streams_nccl", KERNELS)])
def test_buckets_travel_on_a_second_stream_of_high_priority(pair: str, query: str) -> None:
    """Of the lower number: priorities are stored without a sign."""
    with plain_trace(IDS[f"ch11.{pair}"]) as trace:
        sent = ran(trace, f"11.{pair}", "optimized", query)
        products = {where[:2] for where in ran(trace, f"11.{pair}", "optimized") if where[2].startswith("nvjet")}
        buckets = {one[:2] for one in sent if not str(one[2]).startswith("nvjet")}
        told = trace.execute("SELECT streamId, priority FROM TARGET_INFO_CUDA_STREAM").fetchall()
    priority = {stream: value - (1 << 32) if value >> 31 else value for stream, value in told}
    assert len(products) == len(buckets) == (2 if pair.endswith("nccl") else 1)
    assert not products & buckets
    assert {priority[stream] for _, stream in products} == {0}
    assert {priority[stream] < 0 for _, stream in buckets} == {True}


def test_stages_run_the_same_kernels_in_the_same_order() -> None:
    """The first of a stage's two products and the second of it, in turn, by the names of their kernels."""
    with plain_trace(IDS["ch20.pipeline_sequential"]) as trace:
        names = {
            v: [one[2] for one in ran(trace, "20.pipeline_sequential", v)]
            for v in ("baseline", "resident", "optimized")
        }
    assert len(set(names["baseline"])) == 2
    assert names["baseline"] == names["resident"] == names["optimized"]


def kernels_of(name: str, variant: str) -> list[str]:
    with plain_trace(IDS[f"ch10.{name}"]) as trace:
        return [str(one[2]) for one in ran(trace, f"10.{name}", variant)]


def test_a_block_of_keys_takes_three_launches_in_turn() -> None:
    chain = kernels_of("flash_attn_tma_micro_pipeline", "baseline")
    assert [name.split("_")[1] for name in chain] == ["scores", "softmax", "values"] * 8


def test_the_eager_formula_is_an_operator_each_and_the_mask_no_copy_of_scores() -> None:
    """The mask's addition takes two launches, since PyTorch counts 2^31 elements in 32 bits; nothing else passes over the scores."""
    scale, scores, *mask, softmax, product = kernels_of("attention", "baseline")
    assert (scale, mask) == ("vectorized_elementwise_kernel", ["elementwise_kernel"] * 2)
    assert softmax == "cunn_SoftMaxForwardReg"
    assert {one.partition("_")[0] for one in (scores, product)} == {"nvjet"}
    with plain_trace(IDS["ch10.attention"]) as trace:
        assert ran(trace, "10.attention", "baseline", COPIES) == []


def test_pytorch_chose_cudnns_kernel_by_itself() -> None:
    chosen, pinned = (kernels_of("attention", variant) for variant in ("sdpa", "cudnn"))
    assert chosen == pinned
    assert chosen == kernels_of("flash_attention", "cudnn")
    assert chosen[0].startswith("cudnn_generated_fort_native_sdpa_sm90_flash_fprop_wgmma")


SCHEDULES = {
    ("cutlass_gemm", "baseline"): "Sm80",
    ("cutlass_gemm", "cp_async"): "MainloopSm90CpAsyncGmmaWarpSpecialized",
    ("cutlass_gemm", "pingpong"): "KernelTmaWarpSpecializedPingpong",
    ("cutlass_gemm", "optimized"): "KernelTmaWarpSpecializedCooperative",
    ("cutlass_gemm_fp4", "baseline"): "KernelTmaWarpSpecializedCooperative",
    ("cutlass_gemm_fp4", "fast"): "KernelTmaWarpSpecializedCooperativeFP8FastAccum",
    ("cutlass_gemm_fp4", "pingpong"): "KernelTmaWarpSpecializedPingpongFP8FastAccum",
    ("cutlass_gemm_fp4", "optimized"): "KernelTmaWarpSpecializedCooperativeFP8FastAccum",
}
"""Pair and variant -> the schedule in the name of its kernel, of which a page shows `Kernel2` or `device_kernel` alone."""
WHOLE = KERNELS.replace("o.shortName", "o.demangledName")


@pytest.mark.parametrize(("case", "schedule"), SCHEDULES.items(), ids=str)
def test_cutlass_ran_the_schedule_that_the_page_names(case: tuple[str, str], schedule: str) -> None:
    pair, variant = case
    with plain_trace(IDS[f"ch09.{pair}"]) as trace:
        ((*_, kernel, _),) = ran(trace, f"09.{pair}", variant, WHOLE)
    assert re.search(rf"\b{schedule}\b", kernel)


@pytest.mark.parametrize(("variant", "epilogue", "apart"), [("baseline", "bias", 4), ("fused", "gelubias", 0)])
def test_cublaslt_has_the_gelu_in_the_products_or_apart(variant: str, epilogue: str, apart: int) -> None:
    with plain_trace(IDS["ch09.cublaslt_gemm"]) as trace:
        names = Counter(str(one[2]) for one in ran(trace, "09.cublaslt_gemm", variant))
    product = f"nvjet_sm90_tst_256x128_64x4_1x2_h_bz_coopA_{epilogue}_TNT"
    assert names == Counter({product: 4}) + Counter({"vectorized_elementwise_kernel": apart})
