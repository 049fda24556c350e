"""A baseline that leaves the GPU partly idle is named: kernels of few blocks, and kernels far below their own measured roofs."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import pytest
from aisp_prof.profiler.evidence import Evidence, Finding
from aisp_prof.profiler.manifest import Manifest
from aisp_prof.profiler.proof.prove import prove
from aisp_prof.profiler.store.captures import Capture, shipped_store
from counted_pair import BASELINE, OPTIMIZED, PASS, counted_capture
from pair_trace import US, manifest, run_pair
from shared import plain_trace, proven
from trace_builder import Process, TraceBuilder

CODES = FEW, BELOW = ("baseline_few_blocks", "baseline_below_roof")
Kernel = tuple[str, int, tuple[int, int, int] | None]
"""Name, duration in us and grid."""


def weak(evidence: Evidence, *codes: str) -> list[Finding]:
    return [finding for finding in evidence.caveats if finding.code in (codes or CODES)]


def running(*kernels: Kernel) -> Callable[[Process, int, int], int]:
    """An iteration of these kernels, one after the other."""

    def run(p: Process, at: int, wobble: int) -> int:
        busy = at + 20 * US
        for i, (name, us, grid) in enumerate(kernels):
            end = busy + us * US + wobble
            p.kernel(name, (at + 2 * i, at + 2 * i + 1), (busy, end), grid=grid, block=(256, 1, 1))
            busy = end
        return busy

    return run


def judged(
    folder: Path, baseline: tuple[Kernel, ...], optimized: tuple[Kernel, ...] = (), gpu: bool = True
) -> Evidence:
    """A built capture on a GPU of 132 multiprocessors, or on one that the trace does not describe."""
    trace = TraceBuilder()
    fast = optimized or (("fast", 50, (132, 1, 1)),)
    gpus = ("a0ae1ff2-b9e3",) if gpu else ()
    run_pair(trace, baseline=running(*baseline), optimized=running(*fast), gpus=gpus)
    return prove(Manifest.from_json(manifest(["speedup >= 1.5"])), trace.write(folder / "trace.sqlite"))


def test_a_grid_of_fewer_blocks_than_multiprocessors_is_named(tmp_path: Path) -> None:
    found = weak(judged(tmp_path, (("thin", 100, (4, 4, 1)), ("wide", 100, (66, 2, 1)))))
    assert [finding.code for finding in found] == [FEW]
    values = found[0].values
    assert (values["kernel"], values["blocks"], values["sms"]) == ("thin", 16, 132)
    assert values["of_time"] == pytest.approx(50, abs=0.2)
    assert not found[0].blocks, "a caveat, and no reason against a verdict"


def test_as_many_blocks_as_multiprocessors_fill_the_gpu(tmp_path: Path) -> None:
    assert weak(judged(tmp_path, (("full", 100, (132, 1, 1)),))) == []


def test_the_optimized_variant_is_not_asked(tmp_path: Path) -> None:
    assert weak(judged(tmp_path, (("full", 100, (132, 1, 1)),), (("thin", 50, (4, 1, 1)),))) == []


def test_a_kernel_that_hardly_takes_time_is_passed_over(tmp_path: Path) -> None:
    assert weak(judged(tmp_path, (("full", 100, (132, 1, 1)), ("thin", 4, (1, 1, 1))))) == []


@pytest.mark.parametrize("gpu", [True, False])
def test_nothing_is_said_where_grid_or_multiprocessors_are_not_known(tmp_path: Path, gpu: bool) -> None:
    grid = None if gpu else (4, 1, 1)
    assert weak(judged(tmp_path, (("thin", 100, grid),), gpu=gpu)) == []


def test_a_kernel_below_three_tenths_of_its_roof_is_named(tmp_path: Path) -> None:
    """A pass moves 320 MB in 100 us, 3.2 of 4.2 TB/s; with a third of the bytes it reaches a quarter of the roof."""
    slow = {name: count // 3 for name, count in PASS.items()}
    counted = {"baseline": (("affine", slow),) * 4, "optimized": OPTIMIZED}
    found = weak(prove(*counted_capture(tmp_path, counted=counted)), BELOW)
    assert [finding.code for finding in found] == [BELOW]
    assert found[0].values["percent"] == pytest.approx(100 * 3.2 / 3 / 4.2, abs=0.3)
    assert found[0].values["of_time"] == 100


def test_a_kernel_near_its_roof_is_not(tmp_path: Path) -> None:
    evidence = prove(*counted_capture(tmp_path, counted={"baseline": BASELINE, "optimized": OPTIMIZED}))
    assert evidence.rates["baseline"].kernels[0].of_roofline == pytest.approx(3.2 / 4.2, rel=0.01)
    assert weak(evidence, BELOW) == []


BASELINE_KERNELS = """
    WITH measured AS (
        SELECT n.start, n.end FROM NVTX_EVENTS n LEFT JOIN StringIds s ON s.id = n.textId
        WHERE n.eventType = 59 AND coalesce(n.text, s.value) = ? || '.baseline.measure'
    ), iteration AS (
        SELECT n.start, n.end FROM NVTX_EVENTS n LEFT JOIN StringIds s ON s.id = n.textId
        JOIN measured m ON n.start >= m.start AND n.end <= m.end
        WHERE n.eventType = 59 AND coalesce(n.text, s.value) = 'iter'
    ), call AS (
        SELECT r.correlationId FROM CUPTI_ACTIVITY_KIND_RUNTIME r JOIN iteration i ON r.start >= i.start AND r.end <= i.end
    )
    SELECT s.value, k.gridX * k.gridY * k.gridZ, k.end - k.start, (SELECT smCount FROM TARGET_INFO_GPU)
    FROM CUPTI_ACTIVITY_KIND_KERNEL k JOIN StringIds s ON s.id = k.shortName
    WHERE k.correlationId IN (SELECT correlationId FROM call)"""


@pytest.mark.parametrize(
    ("pair", "named"),
    [
        ("ch10.batch", 1),
        ("ch10.cluster_multicast", 1),
        ("ch20.pipeline_sequential", 1),
        ("ch20.end_to_end_bandwidth", 1),
        ("ch09.memory_bound", 0),
        ("ch10.matmul", 0),
    ],
)
def test_sql_finds_the_same_in_captures_that_ship(pair: str, named: int) -> None:
    capture = shipped_store().newest(pair)
    assert capture is not None
    with plain_trace(capture) as trace:
        rows = trace.execute(BASELINE_KERNELS, (pair,)).fetchall()
    whole = sum(ns for *_, ns, _ in rows)
    expected = set()
    for kernel in {name for name, *_ in rows}:
        few = [(blocks, ns, sms) for name, blocks, ns, sms in rows if name == kernel and blocks < sms]
        if few and sum(ns for _, ns, _ in few) >= 0.05 * whole:
            percent = round(100 * sum(ns for _, ns, _ in few) / whole, 1)
            expected.add((kernel, max(blocks for blocks, *_ in few), few[0][2], percent))
    found = {tuple(finding.values.values()) for finding in weak(proven(capture.id), FEW)}
    assert found == expected
    assert len(found) == named


COUNTED = tuple(one for one in shipped_store().scan().captures() if (one.folder / "counters.csv").is_file())
FP32 = {"fadd": 1, "fmul": 1, "ffma": 2}
PATH = "sm__ops_path_tensor_src_"
TENSOR = {"bf16_dst_fp32": "bf16", "fp16": "fp16", "fp8": "fp8", "tf32_dst_fp32": "tf32"}


def counted_kernels(capture: Capture) -> dict[str, tuple[float, int, float]]:
    """kernel -> least seconds that a launch can take on average by the ceilings, FLOPs, by csv alone: of what it computes and of what it
    moves the one that needs longer."""
    assert capture.manifest.ceilings is not None
    rate = {one.name: one.value for one in capture.manifest.ceilings.ceilings}
    with (capture.folder / "counters.csv").open(newline="") as file:
        _, *launches = csv.DictReader(file)
    found: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for row in launches:
        if (
            f"{capture.manifest.pair}.baseline.measure"
            not in row["thread Domain:Push/Pop_Range:PL_Type:PL_Value:CLR_Type:Color:Msg_Type:Msg"]
        ):
            continue
        number = {name: float(value) for name, value in row.items() if value and name.endswith(".sum")}
        fp32 = sum(n * number.get(f"smsp__sass_thread_inst_executed_op_{op}_pred_on.sum", 0) for op, n in FP32.items())
        work = {"fp32": fp32} | {kind: number.get(f"{PATH}{name}.sum", 0) for name, kind in TENSOR.items()}
        moved = number["dram__bytes_read.sum"] + number["dram__bytes_write.sum"]
        short = (
            row["Kernel Name"]
            .replace("<unnamed>::", "")
            .partition("<")[0]
            .partition("(")[0]
            .split("::")[-1]
            .removeprefix("void ")
        )
        found[short].append((sum(n / rate[kind] for kind, n in work.items() if n), moved, sum(work.values())))
    bandwidth = max(rate["copy"], rate["read"])
    return {
        name: (
            max(fmean(c for c, *_ in every), fmean(m for _, m, _ in every) / bandwidth),
            len(every),
            sum(w for *_, w in every),
        )
        for name, every in found.items()
    }


@pytest.mark.parametrize("capture", COUNTED, ids=lambda capture: capture.id)
def test_sql_finds_the_same_shares_of_roofs(capture: Capture) -> None:
    with plain_trace(capture) as trace:
        rows = trace.execute(BASELINE_KERNELS, (capture.manifest.pair,)).fetchall()
    times: dict[str, list[int]] = defaultdict(list)
    for name, _, ns, _ in rows:
        times[name].append(ns)
    counted = counted_kernels(capture)
    whole = sum(sum(times[name]) for name in counted)
    expected = {
        name: (100 * least / (fmean(times[name]) / 1e9), 100 * sum(times[name]) / whole)
        for name, (least, _, flops) in counted.items()
        if flops
    }
    weak_ones = {name: told for name, told in expected.items() if told[0] < 30 and told[1] >= 5}
    found = {
        str(one.values["kernel"]): (one.values["percent"], one.values["of_time"])
        for one in weak(proven(capture.id), BELOW)
    }
    assert found.keys() == weak_ones.keys()
    for name, told in found.items():
        assert told == pytest.approx(weak_ones[name], abs=0.3)


def test_captures_with_a_weak_baseline_are_among_them() -> None:
    named = {one.manifest.pair for one in COUNTED if weak(proven(one.id), BELOW)}
    assert named == {"ch09.compute_bound", "ch09.micro_tiling_matmul", "ch10.attention", "ch20.memory_standard"}
