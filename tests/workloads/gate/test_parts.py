"""The gate's parts: comparing, the cases, guards, times into a verdict, and what is read of a child."""

from __future__ import annotations

import json
from math import comb
from pathlib import Path

import pytest
import torch
from aisp_prof.kernels.emit.spec import parse_spec
from aisp_prof.workloads.gate.buffers import INPUT_GUARD, OUTPUT_GUARD, Guarded, Plain
from aisp_prof.workloads.gate.cases import CASE_ELEMENTS, Case, cases, fill
from aisp_prof.workloads.gate.job import read_results
from aisp_prof.workloads.gate.mismatch import mismatch
from aisp_prof.workloads.gate.verdict import Timing, judge, timing

INF, NAN = float("inf"), float("nan")


def spec(shape: str, more: str = "", op: str = "softmax"):
    return parse_spec(
        f'version = 1\nname = "s"\ndtype = "bf16"\nshape = {shape}\n{more}\n[[steps]]\nop = "{op}"\n', "s"
    )


@pytest.mark.parametrize(
    ("got", "expected", "wrong"),
    [
        (1.0, 1.0, 0),
        (1.003, 1.0, 0),
        (1.02, 1.0, 1),
        (NAN, 1.0, 1),
        (INF, 1.0, 1),
        (NAN, NAN, 0),
        (1.0, NAN, 1),
        (INF, INF, 0),
        (-INF, INF, 1),
        (NAN, INF, 1),
        (3.38e38, INF, 1),
        (INF, 1e60, 0),
        (-INF, -1e60, 0),
        (0.0, 0.0, 0),
        (1e-3, 0.0, 0),
        (1e-1, 0.0, 1),
    ],
)
def test_one_element(got: float, expected: float, wrong: int) -> None:
    others = torch.ones(99)
    output = torch.cat([others, torch.tensor([got])]).bfloat16()
    reference = torch.cat([others.double(), torch.tensor([expected], dtype=torch.float64)])
    found = mismatch(output, reference, 4e-3)
    assert (found.wrong, found.first) == (wrong, 99 if wrong else -1)
    assert (found.worst > 4e-3) == bool(wrong)


def test_one_wrong_element_of_many_is_found_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aisp_prof.workloads.gate.mismatch._CHUNK", 1000)
    reference = torch.randn(50, 101, dtype=torch.float64)
    output = reference.float()
    output[31, 100] += 0.5
    found = mismatch(output, reference, 1e-5)
    assert (found.wrong, found.first) == (1, 31 * 101 + 100)
    assert found.words((50, 101)).startswith("1 elements are wrong, the first at [31, 100]: ")


def test_huge_references_do_not_overflow_the_scale() -> None:
    reference = torch.full((8,), 1e200, dtype=torch.float64)
    assert mismatch(torch.full((8,), INF), reference, 1e-5).wrong == 0
    assert mismatch(torch.zeros(8), reference, 1e-5).wrong == 8
    assert mismatch(torch.zeros(8), torch.zeros(8, dtype=torch.float64), 1e-5).wrong == 0


def test_cases_hold_the_edges() -> None:
    found = cases(spec("[131072, 4096]", "magnitudes = [1e19]"))
    shapes = {case.shape for case in found}
    assert {(1, 4096), (3, 1), (3, 7), (3, 4095), (3, 4097), (3, 8197)} <= shapes
    assert max(rows * columns for rows, columns in shapes) <= CASE_ELEMENTS
    assert {case.values for case in found} == {"normal", "non-finite"}
    assert [case.shape for case in found if case.misaligned] == [(7, 4096)]
    assert [case.magnitude for case in found if case.magnitude != 1] == [1e19]
    assert not any(case.misaligned for case in cases(spec("[9, 64]", "aligned = true")))
    declared = cases(spec("[9, 64]", "edges = [[1, 64], [2, 64]]"))
    assert {case.shape[1] for case in declared} == {64}
    flat = {case.shape for case in cases(spec("[100000]", op="relu"))}
    assert {(1, 1), (1, 7), (1, 99999), (1, 100000)} <= flat
    assert all(
        rows * columns <= 1 << 17 for rows, columns in (case.shape for case in cases(spec("[9, 64]"), brief=True))
    )


@pytest.mark.parametrize("shape", [(7, 64), (7, 3), (1, 1001), (1, 2)])
def test_non_finite_cases_have_what_they_say(shape: tuple[int, int]) -> None:
    x = torch.empty(shape)
    fill(Case(shape, "non-finite"), spec("[9, 64]"), [x], 1)
    assert x[:, -1].isnan().any()
    if x.numel() > 4:
        assert (x == INF).any()
        assert (x == -INF).any()
    if shape[0] > 4:
        assert x[4:].isfinite().all()


def test_inputs_come_of_the_seed() -> None:
    one, same, other = (torch.empty(4, 8) for _ in range(3))
    for tensor, seed in ((one, 1), (same, 1), (other, 2)):
        fill(Case((4, 8), magnitude=1e6), spec("[9, 64]"), [tensor], seed)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.abs().max() > 1e5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_guards(dtype: torch.dtype) -> None:
    for shift in (0, 1):
        held = Guarded((3, 5), dtype, Plain("cpu"), OUTPUT_GUARD, guards=True, shift=shift)
        assert held.tensor.data_ptr() % 16 == (dtype.itemsize * shift)
        held.poison(finite=False)
        assert held.tensor.isnan().all()
        held.poison(finite=True)
        assert held.tensor.isfinite().all()
        assert held.intact()
        for place in (-1, 15):
            held = Guarded((3, 5), dtype, Plain("cpu"), OUTPUT_GUARD, guards=True, shift=shift)
            beyond = held.tensor.as_strided((1,), (1,), held.tensor.storage_offset() + place)
            beyond.zero_()
            assert not held.intact()
    around = Guarded((3, 5), dtype, Plain("cpu"), INPUT_GUARD, guards=True, shift=0)
    assert around.tensor.as_strided((1,), (1,), around.tensor.storage_offset() + 15).isnan().all()


def rounds(ratios: list[float]) -> Timing:
    return timing(
        {"baseline": [int(1000 * one) for one in ratios for _ in "ab"], "optimized": [1000] * (2 * len(ratios))}
    )


def test_the_interval_of_the_rounds() -> None:
    found = rounds([1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9])
    assert (found.low, found.speedup, found.high) == (1.1, pytest.approx(1.45), 1.8)
    six = rounds([1.0, 1.1, 1.2, 1.3, 1.4, 9.0])
    assert (six.low, six.high) == (1.0, 9.0)
    with pytest.raises(ValueError, match="do not bound"):
        rounds([1.0] * 5)


@pytest.mark.parametrize("n", range(6, 60))
def test_the_interval_covers_at_least_95_per_cent_and_no_narrower_one_does(n: int) -> None:
    found = rounds([float(i + 1) for i in range(n)])
    k = int(found.low) - 1

    def outside(k: int) -> float:
        return 2 * sum(comb(n, i) for i in range(k + 1)) / 2**n

    assert outside(k) <= 0.05 < outside(k + 1)
    assert found.high == n - k


def test_the_rule_of_admission() -> None:
    assert judge(rounds([1.2] * 8), 1.0)[0] == "admitted"
    assert judge(rounds([1.2] * 8), 1.3)[0] == "refused"
    assert judge(rounds([0.9, 0.9, 0.9, 1.2, 1.2, 1.2]), 1.0)[0] == "unknown"


def test_a_childs_lines_are_read_as_far_as_they_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "results"
    assert read_results(path) == []
    path.write_text('{"step": "one"}\n[1]\n{"check": "a", "passed": true, "words": "right"}\n{"st')
    assert [set(one) for one in read_results(path)] == [{"step"}, {"check", "passed", "words"}]
    path.write_text(json.dumps({"step": "x" * 10_000}) + "\n")
    assert read_results(path) == []
