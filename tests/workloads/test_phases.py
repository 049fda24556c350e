"""What pairs state of their variants' work: against the copies and counters of captures that ship, and against times measured."""

from __future__ import annotations

from functools import cache
from statistics import median

import pytest
from aisp_prof.declaration import Phase
from aisp_prof.profiler.evidence import Evidence
from aisp_prof.profiler.judging.floor import BANDWIDTHS, IMPLAUSIBLE, floor_of, rates_of
from aisp_prof.profiler.judging.limits import Estimate, ceilings_of
from aisp_prof.workloads.chunks import in_turn, overlapped
from aisp_prof.workloads.pair import Pair
from aisp_prof.workloads.registry import pairs
from hypothesis import given
from hypothesis import strategies as st
from shared import proven, shipped

STATED = [pair for pair in pairs() if pair.phases]
WITHOUT = {"ch11.stream_ordered", "ch11.distributed_streams_nccl"}
"""Bound by a chain of dependent operations in few blocks, and by the link between GPUs: no ceiling is measured of either."""

SCALARS = 64
"""Bytes: three peaks, a loss."""

LEAST = {
    "ch11.streams": 0.9,
    "ch11.gemm_streams": 0.9,
    "ch11.distributed_streams": 0.9,
    "ch11.stream_ordered_kv_cache": 0.9,
    "ch11.tensor_cores_streams": 0.5,
    "ch11.adaptive_streams": 0.25,
    "ch20.end_to_end_bandwidth": 0.9,
    "ch20.integrated_kv_cache": 0.7,
    "ch20.memory_standard": 0.75,
    "ch20.multiple_unoptimized": 0.84,
    "ch20.pipeline_sequential": 0.9,
    "ch20.training_single": 0.6,
}
"""Pair -> the share of the time of its optimized variant that the floor explains at the least, H200."""


CAPTURED = pytest.mark.parametrize(
    ("pair", "capture"),
    [(pair, one.id) for one in shipped() for pair in STATED if pair.key == one.manifest.pair],
    ids=[one.id for one in shipped() if one.manifest.pair in LEAST],
)


@cache
def best() -> dict[str, Estimate]:
    """The highest rate of each kind that a capture that ships measured, all on H200s: no floor by others is higher. Launches are in
    none of them, and are taken as 1 µs each."""
    found: dict[str, Estimate] = {"launch": Estimate.exactly(1e6)}
    for capture in shipped():
        for name, rate in ceilings_of(capture.manifest.ceilings or {}).items():
            found[name] = max(rate, found.get(name, rate), key=lambda one: one.value)
    return found


def phases_of(pair: Pair, evidence: Evidence, variant: str) -> tuple[Phase, ...]:
    assert pair.phases is not None
    return pair.phases(next(iter(evidence.manifest.runs.values())).sizes, variant)


def test_every_pair_states_its_work_or_is_known_not_to() -> None:
    declared = {
        pair.key
        for pair in pairs()
        if pair.declared and pair.declared(pair.declaration.sizes["default"], "baseline").ceiling
    }
    assert {pair.key for pair in pairs()} - {pair.key for pair in STATED} - declared == WITHOUT
    assert set(LEAST) == {pair.key for pair in STATED}


@CAPTURED
def test_the_link_carries_what_is_stated(pair: Pair, capture: str) -> None:
    """Byte for byte in the iteration that is drawn, but for scalars that the host reads, and by rate and time in every other."""
    evidence = proven(capture)
    for variant in evidence.variants:
        for way in ("h2d", "d2h"):
            needed = sum(getattr(phase, way) for phase in phases_of(pair, evidence, variant.name))
            drawn = sum(op.bytes for op in variant.timeline if op.kind == way)
            assert needed <= drawn <= needed + SCALARS, (variant.name, way)
            for one in variant.iterations if needed else ():
                moved = one.numbers[f"rate({way})"] * one.numbers[f"busy({way})"] / 1e9
                assert moved == pytest.approx(needed), (variant.name, way)


@CAPTURED
def test_no_variant_is_faster_than_its_floor(pair: Pair, capture: str) -> None:
    evidence, shares = proven(capture), {}
    for variant in evidence.variants:
        floor = floor_of(phases_of(pair, evidence, variant.name), best()).ns
        assert floor is not None
        times = variant.untraced_ns or [one.end - one.start for one in variant.iterations]
        shares[variant.name] = floor.value / median(times)
    assert max(shares.values()) < IMPLAUSIBLE
    assert shares["optimized"] > LEAST[pair.key]


@CAPTURED
def test_counters_saw_no_less_than_what_is_stated(pair: Pair, capture: str) -> None:
    """FLOPs to a part in a thousand, where they were counted; of bytes caches keep one in fifty."""
    evidence = proven(capture)
    for variant, rates in evidence.rates.items():
        stated = phases_of(pair, evidence, variant)
        flops = sum(sum(phase.flops.values()) for phase in stated)
        if rates.flops_counted is not None:
            assert sum(rates.flops_by_type.values()) >= 0.999 * flops
        if rates.dram_bytes is not None:
            assert rates.dram_bytes >= 0.98 * sum(phase.dram for phase in stated), variant


@pytest.mark.parametrize("pair", STATED, ids=lambda pair: pair.key)
def test_every_size_has_work_whose_rates_are_measured(pair: Pair) -> None:
    assert pair.phases is not None
    for sizes in pair.declaration.sizes.values():
        for variant in pair.declaration.names:
            needed = rates_of(pair.phases(sizes, variant))
            assert needed
            assert needed <= set(best()) | set(BANDWIDTHS)


chunk = st.builds(
    Phase, h2d=st.integers(0, 99), d2h=st.integers(0, 99), flops=st.fixed_dictionaries({"bf16": st.integers(1, 99)})
)


@given(chunk, st.integers(1, 6))
def test_chunks_placed_one_by_one_are_never_faster(part: Phase, count: int) -> None:
    """Each as early as its engine and the chunk's own step before allow, at a rate of one a second, ways that do not slow each other."""
    rates = {name: Estimate.exactly(1.0) for name in ("h2d", "d2h", "h2d_both", "d2h_both", "bf16")}
    steps = (part.h2d, part.flops["bf16"], part.d2h)
    free = [0, 0, 0]
    for _ in range(count):
        ended = 0
        for engine, length in enumerate(steps):
            ended = free[engine] = max(free[engine], ended) + length
    beside, after = floor_of(overlapped(part, count), rates).ns, floor_of(in_turn(part, count), rates).ns
    assert beside is not None
    assert after is not None
    assert after.value == pytest.approx(count * sum(steps) * 1e9)
    assert beside.value <= free[-1] * 1e9 * (1 + 1e-12)
    assert beside.value >= max(steps) * count * 1e9 * (1 - 1e-12)
