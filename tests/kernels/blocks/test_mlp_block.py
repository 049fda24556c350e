"""The parts of an MLP block: both ways against fp64, peaks included; the Triton kernels interpreted, and as machine code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from aisp_prof.kernels.blocks import mlp_block
from aisp_prof.kernels.blocks.mlp_block import add_residual, bias_gelu, gelu_in_steps, normalise, normalise_in_steps
from aisp_prof.kernels.building.contract import Contract
from triton_offline import interpreted, needs_tools, needs_triton, on_hopper

ROWS, COLUMNS = 12, 96


def normal(*shape: int, seed: int = 5) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def empty(name: str, shape: Sequence[int]) -> torch.Tensor:
    return torch.full(tuple(shape), float("nan"))


def error(out: torch.Tensor, expected: torch.Tensor) -> float:
    return float((out.double() - expected).norm() / expected.norm())


def normalised(x: torch.Tensor, gain: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    centred = x.double() - x.double().mean(1, keepdim=True)
    return centred / (centred.square().mean(1, keepdim=True) + mlp_block.EPS).sqrt() * gain + shift


def gelu(u: torch.Tensor) -> torch.Tensor:
    return u / 2 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u**3)))


def test_parts_in_single_operators() -> None:
    x, gain, shift = normal(ROWS, COLUMNS), normal(COLUMNS), normal(COLUMNS, seed=6)
    kept = x.clone()
    assert error(normalise_in_steps(x, gain, shift, empty), normalised(x, gain, shift)) < 3e-7
    assert error(gelu_in_steps(x, empty), gelu(x.double())) < 3e-7
    peak = torch.empty(())
    mlp_block.peak_in_steps(x, peak, empty)
    assert peak == x.abs().max()
    assert torch.equal(x, kept)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 3e-7), (torch.bfloat16, 3e-3)])
def test_fused_parts(dtype: torch.dtype, tolerance: float) -> None:
    x, gain, shift = normal(ROWS, COLUMNS), normal(COLUMNS), normal(COLUMNS, seed=6)
    out, peaks = torch.empty(ROWS, COLUMNS, dtype=dtype), torch.zeros(3)
    normalise(x, gain, shift, out, peaks[0])
    assert error(out, normalised(x, gain, shift)) < tolerance
    u = x.to(dtype, copy=True)
    activated = gelu(u.double() + gain)
    bias_gelu(u, gain, peaks[1])
    assert error(u, activated) < tolerance
    y = torch.empty(ROWS, COLUMNS)
    sums = x.double() + u.double() + shift
    add_residual(u, shift, x, y, peaks[2])
    assert error(y, sums) < 3e-7
    expected = [float(values.abs().max()) for values in (normalised(x, gain, shift), activated, sums)]
    assert peaks.tolist() == pytest.approx(expected, rel=1e-5)


def test_peaks_only_rise_and_keep_nan() -> None:
    x, bias, y = normal(4, 8), torch.zeros(8), torch.empty(4, 8)
    for start, least in ((100.0, 100.0), (0.0, float(x.abs().max()))):
        peak = torch.tensor(start)
        add_residual(torch.zeros(4, 8), bias, x, y, peak)
        assert float(peak) == least
    x[1, 1] = float("nan")
    add_residual(torch.zeros(4, 8), bias, x, y, peak)
    assert peak.isnan()


def test_the_reference_is_the_formula() -> None:
    x, norm = normal(ROWS, 8), (normal(8), normal(8, seed=6))
    up, down = (normal(8, 24), normal(24)), (normal(24, 8), normal(8))
    hidden = gelu(normalised(x, *norm) @ up[0].double() + up[1])
    expected = x.double() + hidden @ down[0].double() + down[1]
    torch.testing.assert_close(mlp_block.reference(x, norm, up, down), expected)


@pytest.mark.parametrize(
    ("x", "gain", "out"),
    [
        (torch.zeros(4, 8, dtype=torch.float64), torch.zeros(8), torch.zeros(4, 8)),
        (torch.zeros(8, 4).T, torch.zeros(8), torch.zeros(4, 8)),
        (torch.zeros(4, 8), torch.zeros(7), torch.zeros(4, 8)),
        (torch.zeros(4, 8), torch.zeros(8).double(), torch.zeros(4, 8)),
        (torch.zeros(4, 8), torch.zeros(8), torch.zeros(5, 8)),
        (torch.zeros(0, 8), torch.zeros(8), torch.zeros(0, 8)),
    ],
    ids=["fp64", "strided", "vector", "vector-fp64", "rows", "empty"],
)
def test_what_does_not_fit_is_refused(x: torch.Tensor, gain: torch.Tensor, out: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"not a contiguous|do not fit|must be fp32"):
        normalise(x, gain, torch.zeros(8), out, torch.zeros(()))


INTERPRETED = """
import torch
from aisp_prof.kernels.blocks import mlp_block, mlp_block_triton as kernels
torch.manual_seed(0)
for columns in (96, 5000):
    for dtype in (torch.float32, torch.bfloat16):
        x, gain, shift = torch.randn(3, columns), torch.randn(columns), torch.randn(columns)
        out, u, y = torch.empty(3, columns, dtype=dtype), torch.randn(3, columns).to(dtype), torch.empty(3, columns)
        results = []
        for parts in ("triton", "torch"):
            o, v, z, peaks = out.clone(), u.clone(), y.clone(), torch.zeros(4)
            if parts == "triton":
                kernels.launch_normalise(x, gain, shift, o, peaks[0], mlp_block.EPS)
                kernels.launch_bias_gelu(v, gain, peaks[1])
                kernels.launch_add_residual(v, shift, x, z, peaks[2])
                kernels.launch_add_residual(v, shift, x / 0, z.clone(), peaks[3])
            else:
                mlp_block.normalise(x, gain, shift, o, peaks[0])
                mlp_block.bias_gelu(v, gain, peaks[1])
                mlp_block.add_residual(v, shift, x, z, peaks[2])
                mlp_block.add_residual(v, shift, x / 0, z.clone(), peaks[3])
            results.append((o.float(), v.float(), z, peaks))
        (*got, got_peaks), (*wanted, wanted_peaks) = results
        # the interpreter rounds to bf16 by cutting off
        limits = (1e-6 if dtype is torch.float32 else 8e-3), (1e-5 if dtype is torch.float32 else 1e-2)
        assert all((a - b).norm() < limits[0] * b.norm() for a, b in zip(got, wanted, strict=True))
        torch.testing.assert_close(got_peaks, wanted_peaks, rtol=limits[1], atol=0)
print("equal")
"""


@needs_triton
def test_the_triton_kernels_interpreted() -> None:
    assert interpreted(INTERPRETED) == "equal\n"


POINTERS = dict.fromkeys(("gain_ptr", "shift_ptr", "bias_ptr", "x_ptr", "y_ptr"), "*fp32")
TYPES = {**POINTERS, "peak_bits_ptr": "*i32", "eps": "fp32"}
PEAK = r"RED[G]?\.E\.MAX\.S32"


@needs_triton
@needs_tools
@pytest.mark.parametrize(
    ("name", "columns", "loads", "stores"),
    # a thread has 16 elements: four accesses of 16 bytes an array of fp32, two an array of bf16
    [("normalise_kernel", 4096, 12, 2), ("bias_gelu_kernel", 16384, 6, 2), ("add_residual_kernel", 4096, 10, 4)],
)
def test_machine_code_with_bf16_operands(
    name: str, columns: int, loads: int, stores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    from aisp_prof.kernels.blocks import mlp_block_triton as kernels

    kernel: Any = getattr(kernels, name)
    narrow = dict.fromkeys(("out_ptr", "u_ptr", "product_ptr"), "*bf16")
    code = on_hopper(
        kernel, {**TYPES, **narrow}, {"COLUMNS": columns, "BLOCK": kernels.PIECE}, tmp_path, ("peak_bits_ptr",)
    )
    contract = Contract(name, {r"LDG\.E\.128": loads, r"STG\.E\.128": stores}, (PEAK,), (r"LDG\.E [^1]",), 80)
    assert contract.broken(code) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: the Triton kernels cannot run here")
@pytest.mark.parametrize("columns", [96, 4096, 5000])
def test_the_kernels_against_fp64(columns: int) -> None:
    x, gain, shift = (tensor.cuda() for tensor in (normal(64, columns), normal(columns), normal(columns, seed=6)))
    out, y, peaks = torch.empty_like(x), torch.empty_like(x), torch.zeros(3, device="cuda")
    normalise(x, gain, shift, out, peaks[0])
    assert error(out, normalised(x, gain, shift)) < 1e-6
    u = x.clone()
    bias_gelu(u, gain, peaks[1])
    assert error(u, gelu(x.double() + gain)) < 1e-6
    add_residual(u, shift, x, y, peaks[2])
    assert error(y, x.double() + u + shift) < 1e-6
    assert peaks.tolist() == pytest.approx([float(t.abs().max()) for t in (out, u, y)], rel=1e-5)
