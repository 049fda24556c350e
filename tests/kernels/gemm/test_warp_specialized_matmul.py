"""The product against fp64; and what Triton 3.6 makes of a request for warp specialization, compiled without a GPU."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from aisp_prof.kernels.building.contract import Code, Contract, disassemble, find_tools
from aisp_prof.kernels.gemm.warp_specialized_matmul import FORMS, SPECIALIZED, Form, instructions, matmul, reference
from aisp_prof.profiler.store.captures import shipped_store
from triton_offline import TRITON, of_3_6

HOPPER, BLACKWELL = 90, 100
each_form = pytest.mark.parametrize("form", FORMS)


def operands(m: int, n: int, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(5)
    x, w = (torch.randn(shape, generator=source) for shape in ((m, k), (n, k)))
    return x.bfloat16(), (w * k**-0.5).bfloat16()


def relative_error(out: torch.Tensor, expected: torch.Tensor) -> float:
    return float((out.double() - expected).norm() / expected.norm())


@each_form
def test_against_fp64(form: str) -> None:
    x, w = operands(64, 48, 96)
    y = torch.full((64, 48), float("nan"), dtype=torch.bfloat16)
    assert matmul(x, w, y, form) is None
    assert relative_error(y, torch.einsum("mk,nk->mn", x.double(), w.double())) < 2e-3
    torch.testing.assert_close(reference(x, w), torch.einsum("mk,nk->mn", x.double(), w.double()))


@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_what_does_not_fit_is_refused(wrong: int) -> None:
    tensors = [*operands(8, 16, 32), torch.empty(8, 16, dtype=torch.bfloat16)]
    tensors[wrong] = tensors[wrong][:, :-1].contiguous()
    with pytest.raises(ValueError, match="do not fit"):
        matmul(*tensors, "plain")
    tensors[wrong] = tensors[wrong].float()
    with pytest.raises(ValueError, match="must be a contiguous bf16 matrix"):
        matmul(*tensors, "plain")


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(ValueError, match="no form is called 'fast'"):
        matmul(*operands(8, 16, 32), torch.empty(8, 16, dtype=torch.bfloat16), "fast")


Compile = Callable[[Form, int], Any]


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compile:
    """Compiles a form for a compute capability, as `launch` does at 8192 x 8192 x 8192."""
    if find_spec("triton") is None:
        pytest.skip("Triton is not installed")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    import triton
    from aisp_prof.kernels.gemm import warp_specialized_matmul_triton as kernel
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    def compile(form: Form, capability: int) -> Any:
        bm, bn, bk = (kernel.TILES[name] for name in ("BM", "BN", "BK"))
        tensors = {"x": f"tensordesc<bf16[{bm},{bk}]>", "w": f"tensordesc<bf16[{bn},{bk}]>", "y_ptr": "*bf16"}
        constants = {**dict.fromkeys("MNK", 8192), **kernel.TILES, "SPECIALIZE": form.specialize}
        signature = {**tensors, **dict.fromkeys(constants, "constexpr")}
        aligned = {(2,): [["tt.divisibility", 16]]}
        source = ASTSource(kernel.warp_specialized_matmul, signature=signature, constexprs=constants, attrs=aligned)
        options = {"num_warps": form.warps, "num_stages": kernel.STAGES, "enable_fp_fusion": True}
        return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)

    return compile


def code_of(made: Any, tmp_path: Path) -> Code:
    if find_tools() is None:
        pytest.skip("cuobjdump and nvdisasm are not installed")
    path = tmp_path / "kernel.cubin"
    path.write_bytes(made.asm["cubin"])
    (code,) = disassemble(path).values()
    return code


def test_with_eight_warps_hoppers_code_is_the_same_bytes(compiled: Compile) -> None:
    """The request reaches the compiler's IR, and nothing comes of it."""
    plain, asked = (compiled(FORMS[form], HOPPER) for form in ("plain", "asked"))
    assert "tt.warp_specialize" in asked.asm["ttir"]
    assert "tt.warp_specialize" not in plain.asm["ttir"]
    assert asked.asm["cubin"] == plain.asm["cubin"]
    assert asked.metadata.num_warps == plain.metadata.num_warps == 8


@of_3_6
@pytest.mark.skipif(find_tools() is None, reason="cuobjdump and nvdisasm are not installed")
@pytest.mark.parametrize(("variant", "form"), [("baseline", "plain"), ("optimized", "asked")])
def test_the_shipped_captures_code_is_what_this_machine_compiles(variant: str, form: str, compiled: Compile) -> None:
    """What the capture says of the code on the GPU's host, a stranger finds without a GPU."""
    from aisp_prof.kernels.gemm.warp_specialized_matmul_triton import described

    newest = shipped_store().newest("ch11.warp_specialized_triton")
    assert newest is not None
    recorded = (newest.manifest.runs["traced"].code or {})[variant]
    made = described(compiled(FORMS[form], HOPPER))
    assert recorded.compiler.startswith("Triton 3.6.")
    assert (recorded.warps, recorded.instructions) == (made.warps, dict(instructions(made)))


@of_3_6
def test_what_is_told_of_a_compiled_form(compiled: Compile) -> None:
    from aisp_prof.kernels.gemm.warp_specialized_matmul_triton import described

    plain, asked, specialized = (described(compiled(form, HOPPER)) for form in (*FORMS.values(), SPECIALIZED))
    assert plain == asked
    assert plain.warps == 8
    assert specialized.warps == 12
    assert specialized.cubin != plain.cubin


PLAIN_ON_HOPPER = Contract(
    "warp_specialized_matmul",
    {r"HGMMA\.64x256x16\.F32\.BF16": 4},
    must=(r"UTMALDG\.2D",),
    must_not=("USETMAXREG", "LDGSTS"),
    max_registers=168,
)
SPECIALIZED_ON_HOPPER = Contract(
    "warp_specialized_matmul",
    {r"HGMMA\.64x256x16\.F32\.BF16": 8},  # each of the two computing groups has code of its own
    must=(r"UTMALDG\.2D", r"USETMAXREG\.DEALLOC", r"USETMAXREG\.TRY_ALLOC"),
    must_not=("LDGSTS",),
    max_registers=168,  # 12 warps share 64 Ki registers
)


@pytest.mark.parametrize(
    ("form", "contract"),
    [
        pytest.param(FORMS["plain"], PLAIN_ON_HOPPER, id="plain"),
        pytest.param(SPECIALIZED, SPECIALIZED_ON_HOPPER, id="specialized", marks=of_3_6),
    ],
)
def test_what_triton_makes_for_hopper(form: Form, contract: Contract, compiled: Compile, tmp_path: Path) -> None:
    assert contract.broken(code_of(compiled(form, HOPPER), tmp_path)) == []


@pytest.mark.skipif(TRITON < (3, 9), reason="Triton 3.6 compiles it")
def test_four_warps_fail_to_compile_with_newer_ones(compiled: Compile) -> None:
    """As the pair's page says."""
    with pytest.raises(RuntimeError, match="PassManager"):
        compiled(SPECIALIZED, HOPPER)


@of_3_6
def test_shared_memory_fits_a_hopper_block(compiled: Compile) -> None:
    assert all(compiled(form, HOPPER).metadata.shared <= 227 * 1024 for form in (*FORMS.values(), SPECIALIZED))


@of_3_6
def test_on_hopper_computing_warps_free_a_slot_only_when_its_product_is_done(compiled: Compile) -> None:
    """Were a product still in flight, the loading warps could overwrite what it reads."""
    ptx = compiled(SPECIALIZED, HOPPER).asm["ptx"]
    waits = re.findall(r"wgmma\.wait_group\.sync\.aligned\s+(\d+)", ptx)
    assert waits
    assert set(waits) == {"0"}


def test_for_blackwell_eight_warps_are_specialized(compiled: Compile, tmp_path: Path) -> None:
    plain, asked = (compiled(FORMS[form], BLACKWELL) for form in ("plain", "asked"))
    assert asked.asm["cubin"] != plain.asm["cubin"]
    assert (plain.metadata.num_warps, asked.metadata.num_warps) == (8, 12)
    before, after = (code_of(made, tmp_path).sass for made in (plain, asked))
    assert "USETMAXREG" not in before
    assert "USETMAXREG" in after
    assert "UTCHMMA" in before
    assert "UTCHMMA" in after


@pytest.mark.gpu
@pytest.mark.skipif(
    not torch.cuda.is_available() or torch.cuda.get_device_capability() < (9, 0),
    reason="no CUDA device of 9.0 or newer",
)
@pytest.mark.timeout(60)
@each_form
def test_the_kernel_against_fp64(form: str) -> None:
    x, w = (tensor.cuda() for tensor in operands(384, 512, 256))
    y = torch.full((384, 512), float("nan"), dtype=torch.bfloat16, device="cuda")
    made = matmul(x, w, y, form)
    assert made is not None
    assert relative_error(y, reference(x, w)) < 2e-3
