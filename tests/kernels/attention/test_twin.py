"""Attention by operators; the Triton twin interpreted on a CPU, and what it becomes for Hopper."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from aisp_prof.kernels.attention import dense, twin
from aisp_prof.kernels.attention.flash_operands import reference
from aisp_prof.kernels.building.contract import Contract, disassemble
from triton_offline import needs_tools, needs_triton, of_3_6

SUPPORT = Path(__file__).parents[2] / "support"
RUN = "import runpy, sys; sys.path.insert(0, sys.argv[1]); runpy.run_module('interpreted_flash', run_name='__main__')"
each_mask = pytest.mark.parametrize("causal", [False, True], ids=["full", "causal"])


def operands(heads: int = 4, kv_heads: int = 2, seq: int = 24, dim: int = 16, kind: str = "cpu") -> Any:
    source = torch.Generator().manual_seed(seq)
    return [torch.randn(2, n, seq, dim, generator=source).bfloat16().to(kind) for n in (heads, kv_heads, kv_heads)]


def relative_error(out: torch.Tensor, expected: torch.Tensor) -> float:
    return float((out.double() - expected).norm() / expected.norm())


@each_mask
def test_the_operators_compute_it(causal: bool) -> None:
    q, k, v = operands(kv_heads=4)
    out = dense.eager(q, k, v, dense.future(24, "cpu") if causal else None)
    assert out.dtype == torch.bfloat16
    assert relative_error(out, reference(q, k, v, causal=causal)[0]) < 5e-3


@needs_triton
def test_the_twin_interpreted_equals_fp64() -> None:
    """Groups of heads, several tiles, causal and not; NaN where nothing was written."""
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(SUPPORT.parents[1] / ".pythonpath")}
    command = [sys.executable, "-P", "-c", RUN, str(SUPPORT)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    for errors in json.loads(done.stdout):
        assert errors["out"] < 1e-6
        assert errors["lse"] < 1e-5


ON_HOPPER = Contract(
    "flash_triton",
    {},
    must=(r"UTMALDG\.2D", r"UTMASTG\.2D", r"HGMMA\.64x64x16\.F32\.BF16", r"HGMMA\.64x128x16\.F32\.BF16", r"MUFU\.EX2"),
    must_not=("LDGSTS", r"\bSTL\b", r"\bLDL\b", "USETMAXREG", r"\bHMMA\b"),
    max_registers=255,
)


@needs_triton
@needs_tools
@of_3_6
@each_mask
def test_what_triton_makes_for_hopper(causal: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    made = compiled_for_hopper(causal)
    path = tmp_path / "kernel.cubin"
    path.write_bytes(made.asm["cubin"])
    assert ON_HOPPER.broken(disassemble(path)["flash_triton"]) == []
    assert made.metadata.shared <= 227 << 10


def compiled_for_hopper(causal: bool) -> Any:
    import triton
    from aisp_prof.kernels.attention import flash_triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    bm, bn = flash_triton.TILES["BM"], flash_triton.TILES["BN"]
    tall, wide = (f"tensordesc<bf16[{rows},128]>" for rows in (bm, bn))
    types = {"queries": tall, "keys": wide, "values": wide, "out": tall, "lse_ptr": "*fp32", "scale": "fp32"}
    constants = {"HEADS": 16, "GROUP": 1, "S": 8192, "D": 128, **flash_triton.TILES, "CAUSAL": causal}
    signature = {**types, **dict.fromkeys(constants, "constexpr")}
    aligned = {(4,): [["tt.divisibility", 16]]}
    source = ASTSource(flash_triton.flash_triton, signature=signature, constexprs=constants, attrs=aligned)
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=flash_triton.OPTIONS)


def test_tensors_that_are_not_on_cuda_are_refused() -> None:
    q, k, v = operands()
    with pytest.raises(ValueError, match="on CUDA, not"):
        twin.attend(q, k, v, torch.empty_like(q))


@pytest.mark.gpu
@pytest.mark.skipif(
    not torch.cuda.is_available() or torch.cuda.get_device_capability() < (9, 0),
    reason="no CUDA device of 9.0 or newer",
)
@each_mask
@pytest.mark.parametrize("dim", twin.DIMS)
def test_the_twin_against_fp64(causal: bool, dim: int) -> None:
    q, k, v = operands(8, 2, 1024, dim, "cuda")
    out = torch.full_like(q, float("nan"))
    lse = twin.attend(q, k, v, out, causal)
    assert relative_error(out, reference(q, k, v, causal=causal)[0]) < 4e-3
    assert bool(lse.isfinite().all())
    with pytest.raises(ValueError, match="do not fit"):
        twin.attend(q[:, :, :100].contiguous(), k, v, out, causal)
