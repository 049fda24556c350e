"""Paged attention against dense attention in fp64; the Triton kernels interpreted on a CPU, and what they become for Hopper."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from aisp_prof.kernels.attention.paged_attention import append, attend, dense, gathered, parts, rotary_tables, rotate
from aisp_prof.kernels.building.contract import Contract, disassemble, find_tools
from triton_offline import since_3_6

SUPPORT = Path(__file__).parents[2] / "support"
has_triton = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")


class Problem:
    """Sequences of several lengths in shuffled pages of a pool that is NaN elsewhere, and a token for each to append."""

    def __init__(self, lengths: tuple[int, ...], kind: str = "cpu", **sizes: int) -> None:
        heads, kv_heads, d, page = (sizes[name] for name in ("heads", "kv_heads", "d", "page"))
        source = torch.Generator().manual_seed(3)
        width = max(lengths) // page + 1
        self.heads, self.kv_heads, self.page = heads, kv_heads, page
        table = torch.randperm(len(lengths) * width + 3, generator=source)[: len(lengths) * width]
        self.table = table.view(len(lengths), width).int().to(kind)
        shape = (len(lengths) * width + 3, kv_heads, page, d)
        self.k, self.v = (torch.full(shape, float("nan"), dtype=torch.bfloat16) for _ in range(2))
        for sequence, length in enumerate(lengths):
            for position in range(length):
                where = int(self.table[sequence, position // page]), slice(None), position % page
                for pool in (self.k, self.v):
                    pool[where] = torch.randn(kv_heads, d, generator=source).bfloat16()
        self.k, self.v = self.k.to(kind), self.v.to(kind)
        self.lengths = torch.tensor(lengths, device=kind)
        tables = rotary_tables(max(lengths) + 1, d)
        self.cosine, self.sine = (t.to(kind, torch.bfloat16) for t in tables)
        tokens = torch.randn(len(lengths), heads + 2 * kv_heads, d, generator=source)
        self.qkv = tokens.bfloat16().to(kind)
        self.q = torch.full((len(lengths), heads, d), float("nan"), dtype=torch.bfloat16, device=kind)
        self.out = self.q.clone()
        self.scratch = parts(len(lengths), kv_heads, heads // kv_heads, d, sizes.get("splits", 4), kind)

    def append(self) -> None:
        append(self.qkv, self.cosine, self.sine, self.lengths, self.table, self.q, self.k, self.v)

    def attend(self) -> None:
        attend(self.q, self.k, self.v, self.table, self.lengths, self.scratch, self.out)

    def expected(self) -> torch.Tensor:
        """Attention in fp64 from what now lies in `q` and in the pages."""
        rows = []
        for n, length in enumerate(self.lengths.tolist()):
            k, v = (gathered(pool, self.table[n], length + 1).double() for pool in (self.k, self.v))
            rows.append(dense(self.q[n].double()[:, None], k, v)[:, 0])
        return torch.stack(rows)


SMALL = {"heads": 8, "kv_heads": 2, "d": 32, "page": 16}


def relative_error(out: torch.Tensor, expected: torch.Tensor) -> float:
    return float((out.double() - expected).norm() / expected.norm())


def test_dense_attention_is_pytorchs_with_a_causal_mask() -> None:
    source = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(4, n, 8, generator=source).double() for n in (3, 10, 10))
    mask = torch.tensor([[at <= 7 + row for at in range(10)] for row in range(3)])
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    torch.testing.assert_close(dense(q, k, v), expected)
    grouped = dense(q, k[:2], v[:2])
    torch.testing.assert_close(grouped[1], dense(q[1:2], k[:1], v[:1])[0])
    torch.testing.assert_close(grouped[2], dense(q[2:3], k[1:2], v[1:2])[0])


def test_rotation_keeps_norms_and_depends_on_distance_alone() -> None:
    cosine, sine = rotary_tables(50, 16)
    a, b = torch.randn(2, 16, generator=torch.Generator().manual_seed(2)).double()

    def product(i: int, j: int) -> float:
        return float(rotate(a, cosine[i], sine[i]) @ rotate(b, cosine[j], sine[j]))

    assert float(rotate(a, cosine[49], sine[49]).norm()) == pytest.approx(float(a.norm()))
    assert product(3, 10) == pytest.approx(product(40, 47))
    assert product(3, 10) != pytest.approx(product(3, 11))
    assert product(0, 0) == pytest.approx(float(a @ b))


def test_append_writes_one_slot_a_sequence_and_nothing_else() -> None:
    problem = Problem((77, 15, 16, 0), **SMALL)
    before = problem.k.clone(), problem.v.clone()
    problem.append()
    changed = [
        ~((new == old) | (new.isnan() & old.isnan())) for new, old in zip((problem.k, problem.v), before, strict=True)
    ]
    expected = {(int(problem.table[n, length // 16]), length % 16) for n, length in enumerate((77, 15, 16, 0))}
    for pool in changed:
        assert {(page, slot) for page, _, slot, _ in pool.nonzero().tolist()} == expected
    turned = rotate(problem.qkv[0, :10].double(), problem.cosine[77].double(), problem.sine[77].double())
    assert relative_error(problem.q[0], turned[:8]) < 4e-3
    assert relative_error(problem.k[int(problem.table[0, 4]), :, 13], turned[8:]) < 4e-3
    assert torch.equal(problem.v[int(problem.table[0, 4]), :, 13], problem.qkv[0, 10:])
    assert problem.lengths.tolist() == [77, 15, 16, 0]


def test_attention_reads_each_sequences_own_pages() -> None:
    problem = Problem((77, 15, 16, 0), **SMALL)
    problem.append()
    problem.attend()
    assert relative_error(problem.out, problem.expected()) < 4e-3


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("q", lambda t: t.float(), "must be contiguous bf16"),
        ("k", lambda t: t[:, :, ::2], "must be contiguous bf16"),
        ("v", lambda t: t[:-1], "do not fit"),
        ("table", lambda t: t.long(), "must be contiguous int32"),
        ("lengths", lambda t: t[:-1], "do not fit"),
        ("qkv", lambda t: t[:, :-1].contiguous(), "does not fit"),
        ("out", lambda t: t[:, :4].contiguous(), "does not fit"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, wrong: Any, message: str) -> None:
    problem = Problem((20, 3), **SMALL)
    setattr(problem, name, wrong(getattr(problem, name)))
    with pytest.raises(ValueError, match=message):
        problem.attend() if name == "out" else problem.append()


@has_triton
def test_the_kernels_interpreted_equal_pytorch() -> None:
    """Groups of 4, 1 and 16 queries; 4, 1 and 8 splits, some of them without a page; NaN wherever nothing may be read."""
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(SUPPORT.parents[1] / ".pythonpath")}
    command = [sys.executable, "-P", str(SUPPORT / "interpreted_attention.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    for errors in json.loads(done.stdout):
        assert set(errors) == {"q", "key", "value", "out"}
        assert max(errors.values()) < 1e-6


ATTEND = Contract(
    "attend_split",
    {},
    must=(r"LDGSTS\.E\.BYPASS\.128", r"HMMA\.16816\.F32\.BF16"),
    must_not=(r"\bLDL", r"\bATOM", r"\bRED\."),  # nothing is added in an order that is not fixed
    max_registers=128,  # four blocks a multiprocessor
)
COMBINE = Contract("combine_splits", {}, (), (r"\bATOM", r"\bRED\."), 64)


@has_triton
@pytest.mark.skipif(find_tools() is None, reason="cuobjdump and nvdisasm are not installed")
@since_3_6
@pytest.mark.parametrize("contract", [ATTEND, COMBINE], ids=lambda contract: contract.kernel)
def test_what_triton_makes_for_hopper(contract: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    path = tmp_path / "kernel.cubin"
    path.write_bytes(compiled_for_hopper(contract is ATTEND))
    assert contract.broken(disassemble(path)[contract.kernel]) == []


def compiled_for_hopper(attending: bool) -> bytes:
    import triton
    from aisp_prof.kernels.attention import paged_attention_triton as kernels
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    scratch = {"sums_ptr": "*fp32", "weights_ptr": "*fp32"}
    constants = {"GROUP": 4, "D": 128, "SPLITS": 8}
    if attending:
        cache = {**dict.fromkeys(("q_ptr", "k_pages_ptr", "v_pages_ptr"), "*bf16"), "table_ptr": "*i32"}
        arguments = {**cache, "lengths_ptr": "*i64", **scratch, "table_width": "i32"}
        constants |= {"KV_HEADS": 8, "PAGE": 64, **{name: kernels.ATTEND[name] for name in ("ROWS", "STAGES")}}
        function, warps = kernels.attend_split, kernels.ATTEND["num_warps"]
    else:
        arguments = {**scratch, "out_ptr": "*bf16"}
        function, warps = kernels.combine_splits, 2
    # the lengths lie behind another number of 8 bytes, so their address is no multiple of 16
    aligned = {
        (at,): [["tt.divisibility", 16]]
        for at, (name, kind) in enumerate(arguments.items())
        if kind.startswith("*") and name != "lengths_ptr"
    }
    signature = {**arguments, **dict.fromkeys(constants, "constexpr")}
    source = ASTSource(function, signature=signature, constexprs=constants, attrs=aligned)
    made = triton.compile(
        source, target=GPUTarget("cuda", 90, 32), options={"num_warps": warps, "enable_fp_fusion": True}
    )
    code: bytes = made.asm["cubin"]
    return code


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: the kernels cannot run here")
@pytest.mark.parametrize("splits", [1, 8])
def test_the_kernels_against_fp64(splits: int) -> None:
    problem = Problem((700, 63, 64, 0, 191), "cuda", heads=32, kv_heads=8, d=128, page=64, splits=splits)
    problem.append()
    problem.attend()
    assert relative_error(problem.out, problem.expected()) < 4e-3
    turned = rotate(problem.qkv[0, :40].double(), problem.cosine[700].double(), problem.sine[700].double())
    assert relative_error(problem.q[0], turned[:32]) < 4e-3
    first = problem.out.clone()
    problem.attend()
    assert torch.equal(problem.out, first)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: the kernels cannot run here")
def test_what_the_kernels_cannot_is_refused() -> None:
    problem = Problem((20, 3), "cuda", heads=8, kv_heads=2, d=32, page=8)
    with pytest.raises(ValueError, match="the kernels cannot"):
        problem.append()
