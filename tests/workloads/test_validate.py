"""The check accepts the real pair, and refuses every fault planted into it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from aisp_prof.declaration import VARIANTS
from aisp_prof.workloads import validate as validate_module
from aisp_prof.workloads.annotate import Notes
from aisp_prof.workloads.ch11.streams import PAIR, ChunkedChain
from aisp_prof.workloads.device import CpuDevice
from aisp_prof.workloads.pair import Workload
from aisp_prof.workloads.record import Validation
from aisp_prof.workloads.validate import relative_error, same_bits, validate

SMALL = PAIR.declaration.sizes["small"]


class Faulty(ChunkedChain):
    """The real work, after which `fault` changes the output of the variants named."""

    def __init__(self, fault: Callable[[Faulty], None], variants: tuple[str, ...]) -> None:
        super().__init__(CpuDevice(), SMALL)
        self.fault, self.variants = fault, variants
        self.kept: torch.Tensor | None = None

    def run(self, variant: str) -> None:
        super().run(variant)
        if variant in self.variants:
            self.fault(self)


def leave_poison(work: Faulty) -> None:
    work.poison()


def zeros(work: Faulty) -> None:
    work.output.zero_()


def first_result_for_ever(work: Faulty) -> None:
    work.kept = work.output.clone() if work.kept is None else work.kept
    work.output.copy_(work.kept)


def two_chunks_swapped(work: Faulty) -> None:
    chunks = work.output.chunk(SMALL["chunks"])
    first = chunks[0].clone()
    chunks[0].copy_(chunks[1])
    chunks[1].copy_(first)


def last_element_missing(work: Faulty) -> None:
    work.output[-1] = float("nan")


def one_element_off_by_one_bit(work: Faulty) -> None:
    work.output.view(torch.int32)[4321] ^= 1


def input_copied_through(work: Faulty) -> None:
    work.output.copy_(work._host_in)


def check(workload: Workload, notes: Notes, seed: int = 11) -> Validation:
    return validate(PAIR.declaration, workload, CpuDevice(), notes, seed)


def test_the_real_pair_is_valid(workload: Workload, notes: Notes) -> None:
    found = check(workload, notes)
    assert found.valid
    assert found.bitwise is True
    assert found.rejects == {"zeros": True, "stale": True, "permuted": True}
    assert all(error is not None and error < 1e-7 for error in found.max_relative_error.values())


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    "fault",
    [leave_poison, zeros, first_result_for_ever, two_chunks_swapped, last_element_missing, input_copied_through],
)
def test_a_planted_fault_in_either_variant_is_seen_by_the_tolerance(
    fault: Callable[[Faulty], None], variant: str, notes: Notes
) -> None:
    found = check(Faulty(fault, (variant,)), notes)
    error = found.max_relative_error[variant]
    assert not found.valid
    assert error is None or error > 100 * found.tolerance


def test_one_bit_of_one_element_is_seen_by_the_bitwise_check(notes: Notes) -> None:
    found = check(Faulty(one_element_off_by_one_bit, ("optimized",)), notes)
    assert found.bitwise is False
    assert not found.valid
    assert all(error is not None and error < found.tolerance for error in found.max_relative_error.values())


def test_a_check_too_wide_to_refuse_anything_is_not_valid(workload: Workload, notes: Notes) -> None:
    wide = replace(PAIR.declaration, tolerance=2.0)
    found = validate(wide, workload, CpuDevice(), notes, 11)
    assert found.bitwise is True
    assert found.rejects["zeros"] is False
    assert not found.valid


def test_a_result_that_forgets_its_inputs_is_not_valid(notes: Notes) -> None:
    """If every element comes out alike, a stale or permuted output passes any reference: such a pair shows nothing."""

    class Constant(ChunkedChain):
        def run(self, variant: str) -> None:
            self.output.fill_(0.6757)

        def reference(self) -> torch.Tensor:
            return torch.full(self.output.shape, 0.6757, dtype=torch.float32).double()

        def exact(self) -> torch.Tensor:
            return torch.full(self.output.shape, 0.6757)

    found = check(Constant(CpuDevice(), SMALL), notes)
    assert found.bitwise is True
    assert found.rejects == {"zeros": True, "stale": False, "permuted": False}
    assert not found.valid


def test_bitwise_is_not_claimed_where_it_is_not_declared(workload: Workload, notes: Notes) -> None:
    found = validate(replace(PAIR.declaration, bitwise=False), workload, CpuDevice(), notes, 11)
    assert found.bitwise is None
    assert found.valid


def test_declared_bitwise_without_an_exact_run_is_a_bug(notes: Notes) -> None:
    class Inexact(ChunkedChain):
        def exact(self) -> None:
            return None

    with pytest.raises(ValueError, match="no exact run"):
        check(Inexact(CpuDevice(), SMALL), notes)


def test_inputs_are_fresh_and_come_from_the_seed(workload: Workload) -> None:
    def drawn(seed: int) -> torch.Tensor:
        workload.inputs(seed)
        return workload.reference()

    assert torch.equal(drawn(1), drawn(1))
    assert relative_error(drawn(2), drawn(1)) > 0.5


def test_relative_error_needs_equal_shapes() -> None:
    with pytest.raises(ValueError, match="shape"):
        relative_error(torch.zeros(3), torch.zeros(4).double())


def test_same_bits_tells_zeros_apart_and_takes_equal_nans() -> None:
    assert not same_bits(torch.tensor([0.0]), torch.tensor([-0.0]))
    assert same_bits(torch.tensor([float("nan")]), torch.tensor([float("nan")]))
    assert not same_bits(torch.zeros(2), torch.zeros(3))


class Rounded(ChunkedChain):
    """The optimized variant's format holds a thousandth more than what the inputs are, and that is what it computes with."""

    def __init__(self, wrong: float = 1.0) -> None:
        super().__init__(CpuDevice(), SMALL)
        self.wrong = wrong

    def run(self, variant: str) -> None:
        super().run(variant)
        if variant == "optimized":
            self.output.mul_(1.001 * self.wrong)

    def reference_of(self, variant: str) -> torch.Tensor:
        return self.reference() * (1.001 if variant == "optimized" else 1.0)


def test_each_format_is_held_against_its_own_operands(notes: Notes) -> None:
    declaration = replace(PAIR.declaration, bitwise=False, tolerance=1e-5)
    assert validate(declaration, Rounded(), CpuDevice(), notes, 11).valid
    found = validate(declaration, Rounded(wrong=1.0001), CpuDevice(), notes, 11)
    assert not found.valid
    assert found.max_relative_error["baseline"] <= 1e-5 < found.max_relative_error["optimized"]


@pytest.mark.parametrize("shape", [(5, 4), (20,), (2, 3, 4)])
def test_the_error_is_that_of_the_whole_output_however_it_is_cut(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validate_module, "_PIECE", 7)
    right = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    output = (right + 1e-3).float()
    whole = (output.double() - right).norm() / right.norm()
    assert relative_error(output, right) == pytest.approx(float(whole), rel=1e-12)
    output.view(-1)[-1] = torch.nan
    assert math.isnan(relative_error(output, right)), "in the last piece"
