"""The paged KV cache against loops over tokens; its Triton kernels interpreted, compiled for Hopper, and on a GPU."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from aisp_prof.kernels.attention.paged_kv import Decode, on_host, reference
from aisp_prof.kernels.building.contract import Contract, disassemble, find_tools
from triton_offline import since_3_6

ROOT = Path(__file__).parents[3]
SEQUENCES, HEADS, GROUP, DIM, PAGE, STEPS = 3, 2, 2, 16, 16, 3
needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")


def decode(tokens: int = 30, device: str = "cpu") -> Decode:
    """What a sequence does not have is NaN."""
    source = torch.Generator().manual_seed(3)
    each = -(-(tokens + STEPS) // PAGE)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=source).bfloat16()

    table = torch.randperm(SEQUENCES * each, generator=source).int().view(SEQUENCES, each)
    caches = [normal(SEQUENCES * each, HEADS, PAGE, DIM) for _ in range(2)]
    new = [normal(STEPS, SEQUENCES, HEADS, DIM) for _ in range(2)]
    q = normal(STEPS, SEQUENCES, HEADS, GROUP, DIM)
    positions = torch.arange(tokens, each * PAGE)
    for cache in caches:
        cache[table[:, positions // PAGE].long(), :, positions % PAGE] = math.nan
    tensors = (*caches, table, *new, q, torch.full_like(q, math.nan))
    return Decode(*(tensor.to(device) for tensor in tensors), tokens)


def run(d: Decode, append: Any, attend: Any) -> torch.Tensor:
    for step in range(STEPS):
        for sequence in range(SEQUENCES):
            append(step, sequence)
            attend(step, sequence)
    return d.out


def error(out: torch.Tensor, expected: torch.Tensor) -> float:
    return float((out.cpu().double() - expected.cpu()).norm() / expected.cpu().norm())


def by_loops(d: Decode, step: int, sequence: int, head: int, row: int) -> list[float]:
    """One query's output, token by token, from where the table says that each token lies."""
    keys, values = [], []
    for position in range(d.tokens):
        at = int(d.table[sequence, position // PAGE]), head, position % PAGE
        keys.append(d.k_cache[at].double())
        values.append(d.v_cache[at].double())
    for appended in range(step + 1):
        keys.append(d.k_new[appended, sequence, head].double())
        values.append(d.v_new[appended, sequence, head].double())
    q = d.q[step, sequence, head, row].double()
    weights = [math.exp(float(q @ key) / math.sqrt(DIM)) for key in keys]
    total = sum(weight * value for weight, value in zip(weights, values, strict=True))
    return [float(x) / sum(weights) for x in total]


@pytest.mark.parametrize("tokens", [0, 15, 16, 30])
def test_the_reference_is_attention_token_by_token(tokens: int) -> None:
    d = decode(tokens)
    found = reference(d)
    for step, sequence, head, row in ((0, 0, 0, 0), (1, 2, 1, 0), (2, 1, 0, 1)):
        expected = torch.tensor(by_loops(d, step, sequence, head, row), dtype=torch.float64)
        torch.testing.assert_close(found[step, sequence, head, row], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("tokens", [0, 15, 16, 30])
def test_append_and_attend_against_fp64(tokens: int) -> None:
    d = decode(tokens)
    assert error(run(d, *on_host(d)), reference(d)) < 3e-3


def test_appending_touches_one_token_of_one_sequence() -> None:
    d = decode()
    before = d.k_cache.clone()
    append, _ = on_host(d)
    append(1, 2)
    changed = (before.view(torch.int16) != d.k_cache.view(torch.int16)).any(-1).nonzero().tolist()
    position = d.tokens + 1
    assert changed == [[int(d.table[2, position // PAGE]), head, position % PAGE] for head in range(HEADS)]


def test_attending_without_appending_shows() -> None:
    d = decode()
    assert run(d, lambda step, sequence: None, on_host(d)[1]).isnan().all()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda d: {"k_cache": d.k_cache.float()},
        lambda d: {"table": d.table.long()},
        lambda d: {"table": d.table[:, :1].contiguous()},
        lambda d: {"v_new": d.v_new[:1]},
        lambda d: {"out": d.out.transpose(0, 1).contiguous().transpose(0, 1)},
        lambda d: {"q": d.q[..., :8].contiguous(), "out": d.out[..., :8].contiguous()},
    ],
    ids=["fp32", "table-int64", "too-few-pages", "steps", "strided", "dim"],
)
def test_what_does_not_fit_is_refused(wrong: Any) -> None:
    d = decode()
    with pytest.raises(ValueError, match=r"do not fit|must be"):
        replace(d, **wrong(d))


@needs_triton
def test_the_kernels_in_tritons_interpreter() -> None:
    """One program after the other: the arithmetic, the paging, the masks and the combination, but no race."""
    script = ROOT / "tests" / "support" / "interpreted.py"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".pythonpath"), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        [sys.executable, str(script)], check=False, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    cases = [json.loads(line) for line in done.stdout.splitlines()]
    assert [case["together"] for case in cases] == [1] * 7 + [3] * 3
    for case in cases:
        assert case["error"] < 7e-3, case
        assert (case["appended"], case["arrivals"]) == (True, 0), case


ATTEND = Contract(
    "kv_attend",
    {},
    # pages on their way while one is worked on, and partial results read past the L1 cache
    must=(r"LDGSTS\.E\.BYPASS\.128", r"HMMA\.16816\.F32\.BF16", r"DEPBAR\.LE SB0, 0x4", r"LDG\.E\.128\.STRONG\.GPU"),
    must_not=(),
    max_registers=255,
)


@needs_triton
@pytest.mark.skipif(find_tools() is None, reason="cuobjdump and nvdisasm are not installed")
def test_what_triton_makes_for_hopper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    compiled = compiled_for_hopper()
    path = tmp_path / "kernel.cubin"
    path.write_bytes(compiled.asm["cubin"])
    assert ATTEND.broken(disassemble(path)["kv_attend"]) == []
    assert compiled.metadata.shared > 3 * 2 * 64 * 128 * 2, "three pages of keys and values"
    assert compiled.metadata.global_scratch_size == 0


@needs_triton
@since_3_6
def test_parameters_of_a_compiled_kernel_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight tensors and three numbers; Triton 3.6 adds two addresses of scratch memory."""
    from aisp_prof.kernels.attention.paged_kv_triton import parameters

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    assert parameters(compiled_for_hopper().asm["ptx"]) == 8 + 3 + 2


def compiled_for_hopper() -> Any:
    """The attending kernel for the sizes of the pair on an H200."""
    import triton
    from aisp_prof.kernels.attention import paged_kv_triton as kernels
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    pointers = {**dict.fromkeys(("k_cache", "v_cache", "q", "out"), "*bf16"), "table": "*i32"}
    pointers |= {"sums": "*fp32", "extremes": "*fp32", "arrivals": "*i32"}
    constants = {"SEQUENCES": 64, "PAGES": 129, "HEADS": 8, "PAGE": 64, "D": 128}
    constants |= {"GROUP": 4, "SPLITS": 2, "SCALE": kernels._LOG2_E * 128**-0.5}
    names = kernels.kv_attend.arg_names
    signature = {name: pointers.get(name, "constexpr" if name in constants else "i32") for name in names}
    aligned = {(names.index(name),): [["tt.divisibility", 16]] for name in pointers}
    source = ASTSource(kernels.kv_attend, signature=signature, constexprs=constants, attrs=aligned)
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=kernels.OPTIONS)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: the Triton kernels cannot run here")
@pytest.mark.parametrize("splits", [1, 2, 5])
@pytest.mark.parametrize("tokens", [0, 15, 16, 300])
def test_the_kernels_against_fp64(tokens: int, splits: int) -> None:
    from aisp_prof.kernels.attention.paged_kv_triton import Scratch, on_stream

    d = decode(tokens, "cuda")
    scratch, stream = Scratch(d, splits), torch.cuda.Stream()
    steps = on_stream(d, scratch, stream.cuda_stream)
    outputs = []
    for _ in range(2):
        scratch.poison()
        torch.cuda.synchronize()
        run(d, *steps)
        torch.cuda.synchronize()
        outputs.append(d.out.clone())
    assert error(outputs[0], reference(d)) < 4e-3
    assert torch.equal(*outputs)
    assert not scratch.arrivals.any()
