"""The floor: against schedules tried one by one, in exact fractions, and against what counters saw in captures that ship."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from statistics import median

import pytest
from aisp_prof.declaration import Phase
from aisp_prof.machine.records import convert
from aisp_prof.profiler.counters.roofline import compute_ceiling
from aisp_prof.profiler.judging.floor import BANDWIDTHS, IMPLAUSIBLE, floor_of, phases_of
from aisp_prof.profiler.judging.limits import Estimate, ceilings_of
from aisp_prof.profiler.manifest import Phase as StatedPhase
from aisp_prof.profiler.manifest import Work
from aisp_prof.profiler.proof.rates import declared_work
from aisp_prof.profiler.store.captures import shipped_store
from hypothesis import given
from hypothesis import strategies as st
from shared import proven

NAMES = ("copy", "read", "h2d", "d2h", "h2d_both", "d2h_both", "bf16", "fp32", "launch")
rates = st.fixed_dictionaries({name: st.integers(1, 1000) for name in NAMES})
amounts = st.integers(0, 10_000)
phases = st.builds(
    Phase,
    h2d=amounts,
    d2h=amounts,
    dram=amounts,
    flops=st.dictionaries(st.sampled_from(["bf16", "fp32"]), amounts),
    launches=st.integers(0, 50),
)


def exactly(**given):
    return {name: Estimate.exactly(float(rate)) for name, rate in given.items()}


def by_hand(phase, rate):
    """Seconds of one phase as a fraction. The link is simulated: both ways run until the first is empty, then the other alone."""
    products = sum((Fraction(flops, rate[name]) for name, flops in phase.flops.items()), Fraction())
    memory = Fraction(phase.dram, max(rate[name] for name in BANDWIDTHS))
    left, link = {"h2d": Fraction(phase.h2d), "d2h": Fraction(phase.d2h)}, Fraction()
    while any(left.values()):
        running = [way for way, moved in left.items() if moved]
        speed = {way: rate[f"{way}_both" if len(running) == 2 else way] for way in running}
        until = min(left[way] / speed[way] for way in running)
        left = {way: moved - until * speed.get(way, 0) for way, moved in left.items()}
        link += until
    return max(products, memory, link) + Fraction(phase.launches, rate["launch"])


@given(st.lists(phases, max_size=4), rates)
def test_the_floor_is_that_of_exact_fractions(given_phases, rate):
    found = floor_of(given_phases, exactly(**rate))
    seconds = sum((by_hand(phase, rate) for phase in given_phases), Fraction())
    if not seconds:
        assert [reason.code for reason in found.reasons] == ["no_work_declared"]
        return
    assert found.ns.value == pytest.approx(float(seconds * 10**9), rel=1e-12)
    assert found.ns.low == found.ns.high == found.ns.value


@given(st.lists(phases, min_size=1, max_size=3), rates, st.floats(0.5, 1.0), st.floats(1.0, 2.0))
def test_its_interval_is_that_of_all_rates_at_their_ends(given_phases, rate, low, high):
    spread = {name: Estimate(float(one), one * low, one * high) for name, one in rate.items()}
    found = floor_of(given_phases, spread)
    if found.ns is not None:
        assert found.ns.high == pytest.approx(found.ns.value / low)
        assert found.ns.low == pytest.approx(found.ns.value / high)


@given(rates, st.integers(1, 500), st.integers(1, 500), st.integers(1, 5))
def test_no_schedule_of_chunks_is_faster(rate, size_in, size_out, chunks):
    """A pipeline over chunks, its operations placed one by one at the ceilings' rates: a copy out follows its copy in."""
    rate |= {"h2d_both": rate["h2d"], "d2h_both": rate["d2h"]}  # a link whose ways do not slow each other
    arrived, done = Fraction(), Fraction()
    for _ in range(chunks):
        arrived += Fraction(size_in, rate["h2d"])
        done = max(arrived, done) + Fraction(size_out, rate["d2h"])
    rest = chunks - 1
    pipeline = (Phase(h2d=size_in), Phase(h2d=rest * size_in, d2h=rest * size_out), Phase(d2h=size_out))
    found = floor_of(pipeline, exactly(**rate))
    assert found.ns.value == pytest.approx(float(done * 10**9))


@pytest.mark.parametrize("lacking", ["h2d", "d2h", "h2d_both", "d2h_both", "bf16", "launch"])
def test_without_a_rate_there_is_no_floor(lacking):
    whole = (Phase(h2d=5, d2h=5, dram=5, flops={"bf16": 5}, launches=1),)
    given_rates = exactly(**{name: 10 for name in NAMES if name != lacking})
    found = floor_of(whole, given_rates)
    assert (found.ns, [dict(reason.values) for reason in found.reasons]) == (None, [{"name": lacking}])


def test_a_rate_that_nothing_needs_may_lack():
    assert floor_of((Phase(h2d=5), Phase(d2h=5, flops={"bf16": 0})), exactly(h2d=1, d2h=1)).ns.value == 10e9
    assert floor_of((Phase(dram=5),), exactly(read=5)).ns.value == 1e9


def test_what_older_declarations_say_is_one_phase():
    assert phases_of((), Work(7, 3, "bf16")) == (Phase(dram=3, flops={"bf16": 7}),)
    assert phases_of((), Work(7, 3, "")) == phases_of((), Work(7, 3)) == phases_of((), None) == ()
    stated = convert([{"h2d": 4, "later": 1}], list[StatedPhase], "a test")
    assert phases_of(stated, Work(7, 3, "bf16")) == (Phase(h2d=4),)


@cache
def counted():
    """(floor in ns, times in ns, rates, ceilings, name) of every variant that ships with declared work of a known type and counters."""
    found = []
    for capture in shipped_store().captures():
        if not (capture.manifest.ceilings and capture.manifest.counters):
            continue
        ceilings, declared = ceilings_of(capture.manifest.ceilings), declared_work(capture.manifest)
        evidence = proven(capture.id)
        for variant in evidence.variants:
            floor = floor_of(phases_of((), declared.get(variant.name)), ceilings).ns
            if floor is not None:
                times = [one.end - one.start for one in variant.iterations]
                name = f"{capture.manifest.pair}.{variant.name}"
                found.append((floor.value, times, evidence.rates[variant.name], ceilings, name))
    return found


def test_no_shipped_variant_is_faster_than_its_floor():
    assert len(counted()) >= 36
    shares = [(floor / median(times), name) for floor, times, _, _, name in counted()]
    assert max(share for share, _ in shares) < IMPLAUSIBLE
    assert {name for share, name in shares if share <= 0.4} == FAR_FROM_IT


FAR_FROM_IT = {
    "ch09.micro_tiling_matmul.baseline",
    "ch10.attention.baseline",
    "ch10.double_buffered_pipeline.baseline",
    "ch10.flash_attn_tma_micro_pipeline.baseline",
}
"""An output a thread; PyTorch's own softmax; one block that waits for each tile; scores in memory, of which the declared work has none:
what the steps after them mend."""
L2_BYTES = 60 << 20
"""Of an H200: at the end of each kernel so much, at the most, is not written yet."""
MANY_WRITERS = "ch11.warp_specialization_multistream"
"""Four kernels, or eight, that write 512 MiB each: ncu counts each by itself, without what it leaves in the L2 cache."""


def test_the_floor_of_declared_work_is_that_of_the_counted_work():
    """Counted FLOPs by type and DRAM bytes, put at the same ceilings: never below the floor by more than 2 % (caches keep some bytes),
    and within 2 % of it where what decides was counted within 2 % of what is declared."""
    alike = 0
    for floor, _, rates, ceilings, name in counted():
        bandwidth = max(ceilings[name].value for name in BANDWIDTHS)
        left = sum(kernel.launches for kernel in rates.kernels) * L2_BYTES if name.startswith(MANY_WRITERS) else 0
        memory = (rates.dram_bytes + left) / bandwidth
        products = sum(rates.flops_by_type.values()) / compute_ceiling(rates.flops_by_type, values(ceilings))
        assert floor <= 1.02 * max(memory, products) * 1e9
        decides = memory > products
        ratio = (rates.dram_bytes + left) / rates.bytes_declared if decides else rates.flops_agreement
        if abs(ratio - 1) < 0.02 and (decides or len([one for one in rates.flops_by_type.values() if one]) == 1):
            assert floor == pytest.approx(max(memory, products) * 1e9, rel=0.02)
            alike += 1
    assert alike >= 25


def values(ceilings):
    return {name: one.value for name, one in ceilings.items()}
