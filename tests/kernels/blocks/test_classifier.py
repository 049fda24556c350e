"""The image classifier's parts: both ways against fp64; the Triton kernels interpreted, and as machine code."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from aisp_prof.kernels.blocks.classifier import Classifier, bias_relu
from aisp_prof.kernels.building.contract import Contract
from triton_offline import interpreted, needs_tools, needs_triton, on_hopper

ROWS, WIDTHS = 12, (40, 24, 24, 6)


def normal(*shape: int, seed: int = 5) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def classifier() -> Classifier:
    matrices = tuple(normal(a, b, seed=a + b) / a**0.5 for a, b in pairwise(WIDTHS))
    biases = tuple(normal(width, seed=width) for width in WIDTHS[1:])
    return Classifier(normal(WIDTHS[0], seed=1), normal(WIDTHS[0], seed=2).exp(), matrices, biases)


def error(out: torch.Tensor, expected: torch.Tensor) -> float:
    return float((out.double() - expected).norm() / expected.norm())


def test_the_reference_is_the_formula() -> None:
    known, images = classifier(), normal(ROWS, WIDTHS[0])
    first, second, third = (matrix.double() for matrix in known.matrices)
    hidden = ((images.double() - known.mean) * known.scale) @ first + known.biases[0]
    hidden = hidden.clamp(min=0) @ second + known.biases[1]
    torch.testing.assert_close(known.reference(images), hidden.clamp(min=0) @ third + known.biases[2])


@pytest.mark.parametrize("fused", [False, True])
def test_against_fp64(fused: bool) -> None:
    known, images = classifier(), normal(ROWS, WIDTHS[0])
    kept, between = images.clone(), torch.full_like(images, float("nan"))
    outputs = [torch.full((ROWS, width), float("nan")) for width in WIDTHS[1:]]
    (known.normalise if fused else known.normalise_in_steps)(images, between)
    (known.layers if fused else known.layers_in_steps)(between, outputs)
    assert error(outputs[-1], known.reference(images)) < 1e-6
    assert torch.equal(images, kept)


def test_bf16_images_are_taken_as_they_are() -> None:
    known, images = classifier(), normal(ROWS, WIDTHS[0]).bfloat16()
    out = torch.empty(ROWS, WIDTHS[0])
    known.normalise(images, out)
    assert error(out, (images.double() - known.mean) * known.scale) < 1e-6


@pytest.mark.parametrize(
    ("u", "bias"),
    [
        (torch.zeros(4, 8, dtype=torch.float64), torch.zeros(8)),
        (torch.zeros(4, 8, dtype=torch.bfloat16), torch.zeros(8)),
        (torch.zeros(8, 4).T, torch.zeros(8)),
        (torch.zeros(4, 8), torch.zeros(7)),
        (torch.zeros(0, 8), torch.zeros(8)),
    ],
    ids=["fp64", "bf16", "strided", "bias", "empty"],
)
def test_what_does_not_fit_is_refused(u: torch.Tensor, bias: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"fp32 out|contiguous|do not fit"):
        bias_relu(u, bias, True)


INTERPRETED = """
import torch
from aisp_prof.kernels.blocks import classifier, classifier_triton as kernels
torch.manual_seed(0)
for columns in (64, 96):
    for dtype in (torch.float32, torch.bfloat16):
        images, mean, scale = torch.randn(53, columns).to(dtype), torch.randn(columns), torch.randn(columns)
        known = classifier.Classifier(mean, scale, (), ())
        got, wanted = torch.empty(53, columns), torch.empty(53, columns)
        kernels.launch_normalise(images, mean, scale, got)
        known.normalise(images, wanted)
        torch.testing.assert_close(got, wanted)
        got[3, 5] = wanted[3, 5] = float("nan")
        for relu in (False, True):
            kernels.launch_bias_relu(got, mean, relu)
            classifier.bias_relu(wanted, mean, relu)
            torch.testing.assert_close(got, wanted, equal_nan=True)
print("equal")
"""


@needs_triton
def test_the_triton_kernels_interpreted() -> None:
    assert interpreted(INTERPRETED) == "equal\n"


@needs_triton
@needs_tools
@pytest.mark.parametrize(
    ("name", "constants", "loads"),
    # a thread has 16 elements; a wire of bf16 needs half the loads of fp32 for them
    [
        ("normalise_images_kernel", {"COLUMNS": 1024}, 10),
        ("bias_relu_kernel", {"COLUMNS": 256, "RELU": True}, 8),
    ],
)
def test_machine_code(
    name: str, constants: dict[str, int], loads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    from aisp_prof.kernels.blocks import classifier_triton as kernels

    kernel: Any = getattr(kernels, name)
    types = dict.fromkeys(("mean_ptr", "scale_ptr", "out_ptr", "u_ptr", "bias_ptr"), "*fp32")
    sizes = {**constants, "BLOCK": kernels.BLOCK}
    code = on_hopper(kernel, {**types, "images_ptr": "*bf16", "n": "i32"}, sizes, tmp_path, num_warps=4)
    contract = Contract(name, {r"LDG\.E\.128": loads, r"STG\.E\.128": 4}, (), (r"LDG\.E [^1]",), 80)
    assert contract.broken(code) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: the Triton kernels cannot run here")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_kernels_against_fp64(dtype: torch.dtype) -> None:
    known = classifier()
    on_device = Classifier(
        known.mean.cuda(),
        known.scale.cuda(),
        tuple(matrix.cuda() for matrix in known.matrices),
        tuple(bias.cuda() for bias in known.biases),
    )
    images = normal(ROWS, WIDTHS[0]).to("cuda", dtype)
    between, outputs = (
        torch.empty(images.shape, device="cuda"),
        [torch.empty(ROWS, w, device="cuda") for w in WIDTHS[1:]],
    )
    on_device.normalise(images, between)
    on_device.layers(between, outputs)
    assert error(outputs[-1], on_device.reference(images)) < 1e-5
