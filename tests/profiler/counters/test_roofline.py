"""Achieved rates against measured ceilings."""

from __future__ import annotations

import pytest
from aisp_prof.profiler.counters.roofline import achieved, compute_ceiling
from hypothesis import given
from hypothesis import strategies as st

H200 = {"copy": 4.28e12, "bf16": 8.0e14, "fp32": 5.13e13}


def test_a_product_is_bound_by_compute():
    found = achieved({"tensor_bf16": 2 * 8192**3}, 3 * 2 * 8192**2, 1_400_000, H200)
    assert (found.bound, found.lacking, found.implausible) == ("compute", (), False)
    assert found.flop_per_s == pytest.approx(785.4e12, rel=1e-3)
    assert found.of_roofline == pytest.approx(0.982, abs=1e-3)


def test_an_elementwise_kernel_is_bound_by_memory():
    found = achieved({"fp32": 2 * 2**29}, 8 * 2**29, 1_010_000, H200)
    assert (found.bound, found.intensity) == ("memory", 0.25)
    assert found.of_roofline == pytest.approx(found.bytes_per_s / H200["copy"])


def test_more_than_the_ceiling_is_implausible_and_not_clamped():
    found = achieved({"tensor_bf16": 2 * 8192**3}, 3 * 2 * 8192**2, 1_000_000, H200)
    assert found.implausible
    assert found.of_roofline == pytest.approx(1.374, abs=1e-3)


def test_what_has_no_ceiling_is_named_and_only_raises_the_roof():
    """A roof that is too high makes the share too low: a claim of "at least" stays sound, and so does `implausible`."""
    found = achieved({"tensor_bf16": 1000, "half": 4}, 10, 10, {"copy": 1e15, "bf16": 1e12})
    assert (found.without_ceiling, found.lacking, found.bound) == (("half",), (), "compute")
    assert found.flop_per_s == pytest.approx(1.004e11)
    assert found.ceiling_flop_per_s == pytest.approx(1.004e12)


def test_where_most_has_no_ceiling_it_is_not_said_what_binds():
    found = achieved({"fp64": 100, "fp32": 10}, 100, 10, H200)
    assert (found.bound, found.without_ceiling) == ("", ("fp64",))
    assert found.ceiling_flop_per_s == pytest.approx(1.1 * 4.28e12)
    assert achieved({"fp64": 100}, 0, 10, H200).lacking == ("a ceiling of fp64",)


def test_without_a_bandwidth_there_is_no_roofline():
    assert achieved({"fp32": 1}, 1, 1, {"fp32": 1.0}).lacking == ("a ceiling of the bandwidth",)


def test_a_kernel_that_only_reads_may_be_faster_than_a_copy():
    found = achieved({"fp32": 10}, 10 * 2**30, 2_400_000, {**H200, "read": 4.39e12})
    assert found.bytes_per_s / H200["copy"] > 1.04
    assert (found.implausible, found.of_roofline) == (False, pytest.approx(found.bytes_per_s / 4.39e12))


def test_no_work_and_no_traffic():
    assert achieved({}, 10, 10, H200).of_roofline is None
    assert achieved({"fp32": 10}, 0, 10, H200).bound == "compute"


@given(st.integers(0, 10**15), st.integers(1, 10**15))
def test_a_mixture_is_at_least_as_fast_as_its_slower_part_and_at_most_as_both(tensor, simd):
    mixed = compute_ceiling({"tensor_bf16": tensor, "fp32": simd}, H200)
    assert H200["fp32"] * (1 - 1e-9) <= mixed <= (H200["fp32"] + H200["bf16"]) * (1 + 1e-9)


def test_a_kernel_that_hides_its_exponentials_under_its_products_is_plausible():
    """Attention of 2.22 TFLOP by tensor cores beside 16.7 GFLOP: 2.775 ms and 0.326 ms, and 2.9 ms is 95.7 % of what both at once
    allow. In turn they take 3.1 ms, of which that would be 107 %, and the capture invalid."""
    found = achieved({"tensor_bf16": 2_220_000_000_000, "fp32": 16_700_000_000}, 535_000_000, 2_900_000, H200)
    assert (found.bound, found.implausible) == ("compute", False)
    assert found.of_roofline == pytest.approx(0.957, abs=1e-3)


def test_formats_of_the_tensor_cores_take_turns():
    assert compute_ceiling({"tensor_bf16": 800, "tensor_fp16": 400}, {**H200, "fp16": 4.0e14}) == pytest.approx(6.0e14)


def test_what_has_no_ceiling_takes_no_time():
    assert compute_ceiling({"half": 5}, H200) == compute_ceiling({}, H200) == float("inf")
    assert compute_ceiling({"fp32": 10, "half": 10}, H200) == pytest.approx(2 * H200["fp32"])
