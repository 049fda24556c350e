"""Matrix product, bias and GELU against fp64; and the machine code that the Triton kernels become, compiled without a GPU."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from aisp_prof.kernels.building.contract import Contract, disassemble, find_tools
from aisp_prof.kernels.gemm.matmul_gelu import declared_bytes, declared_flops, descriptors, pointers, reference

BOTH = pytest.mark.parametrize("matmul", [pointers, descriptors])


def operands(m: int, n: int, k: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(5)
    x, w, bias = (torch.randn(shape, generator=source) for shape in ((m, k), (n, k), (n,)))
    return x.bfloat16(), (w * k**-0.5).bfloat16(), bias.bfloat16()


def relative_error(out: torch.Tensor, expected: torch.Tensor) -> float:
    return float((out.double() - expected).norm() / expected.norm())


def test_the_reference_is_the_formula() -> None:
    x, w, bias = operands(4, 6, 8)
    u = x.double() @ w.double().T + bias.double()
    z = (2 / torch.pi) ** 0.5 * (u + 0.044715 * u**3)
    torch.testing.assert_close(reference(x, w, bias), u / 2 * (1 + torch.tanh(z)))


@BOTH
def test_against_fp64(matmul: Any) -> None:
    x, w, bias = operands(64, 48, 96)
    y = torch.full((64, 48), float("nan"), dtype=torch.bfloat16)
    matmul(x, w, bias, y)
    assert relative_error(y, reference(x, w, bias)) < 2e-3


@BOTH
@pytest.mark.parametrize("wrong", [0, 1, 2, 3])
def test_what_does_not_fit_is_refused(matmul: Any, wrong: int) -> None:
    tensors = [*operands(8, 16, 32), torch.empty(8, 16, dtype=torch.bfloat16)]
    tensors[wrong] = tensors[wrong][:-1].contiguous()
    with pytest.raises(ValueError, match="do not fit"):
        matmul(*tensors)
    tensors[wrong] = tensors[wrong].float()
    with pytest.raises(ValueError, match="must be contiguous bf16"):
        matmul(*tensors)


def test_what_is_declared() -> None:
    assert declared_flops(8192, 8192, 8192) == 1_099_511_627_776
    assert declared_bytes(8192, 8192, 8192) == 3 * 2**27 + 2**14


POINTERS = Contract(
    "matmul_gelu_pointers",
    {},
    must=(r"LDGSTS\.E\.BYPASS\.128", r"HGMMA\.64x256x16\.F32\.BF16"),
    must_not=("UTMA",),
    max_registers=255,
)
DESCRIPTORS = Contract(
    "matmul_gelu_descriptors",
    {},
    must=(r"UTMALDG\.2D", r"UTMASTG\.2D", r"HGMMA\.64x256x16\.F32\.BF16"),
    must_not=("LDGSTS",),
    max_registers=255,
)


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
@pytest.mark.skipif(find_tools() is None, reason="cuobjdump and nvdisasm are not installed")
@pytest.mark.parametrize("contract", [POINTERS, DESCRIPTORS], ids=lambda contract: contract.kernel)
def test_what_triton_makes_for_hopper(contract: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    path = tmp_path / "kernel.cubin"
    path.write_bytes(compiled_for_hopper(contract is POINTERS))
    assert contract.broken(disassemble(path)[contract.kernel]) == []


def compiled_for_hopper(by_pointers: bool) -> bytes:
    import triton
    from aisp_prof.kernels.gemm import matmul_gelu_triton as kernels
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    options = kernels.POINTERS if by_pointers else kernels.DESCRIPTORS
    bm, bn, bk = (kernels.TILES[name] for name in ("BM", "BN", "BK"))
    matrices = dict.fromkeys(("x_ptr", "w_ptr", "bias_ptr", "y_ptr"), "*bf16")
    if not by_pointers:
        blocks = {"x": (bm, bk), "w": (bn, bk), "y": (bm, bn // 2)}
        described = {name: f"tensordesc<bf16[{rows},{columns}]>" for name, (rows, columns) in blocks.items()}
        matrices = {"x": described["x"], "w": described["w"], "bias_ptr": "*bf16", "y": described["y"]}
    constants = {**dict.fromkeys("MNK", 8192), **options, **({} if by_pointers else {"PROGRAMS": 132})}
    compiler = {name: constants.pop(name) for name in ("num_warps", "num_stages", "enable_fp_fusion")}
    aligned = {(at,): [["tt.divisibility", 16]] for at, kind in enumerate(matrices.values()) if kind.startswith("*")}
    signature = {**matrices, **dict.fromkeys(constants, "constexpr")}
    function = kernels.matmul_gelu_pointers if by_pointers else kernels.matmul_gelu_descriptors
    source = ASTSource(function, signature=signature, constexprs=constants, attrs=aligned)
    code: bytes = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=compiler).asm["cubin"]
    return code


@pytest.mark.gpu
@pytest.mark.skipif(
    not torch.cuda.is_available() or torch.cuda.get_device_capability() < (9, 0),
    reason="no CUDA device of 9.0 or newer",
)
@BOTH
def test_the_kernels_against_fp64(matmul: Any) -> None:
    x, w, bias = (tensor.cuda() for tensor in operands(384, 512, 256))
    y = torch.full((384, 512), float("nan"), dtype=torch.bfloat16, device="cuda")
    matmul(x, w, bias, y)
    assert relative_error(y, reference(x, w, bias)) < 2e-3
