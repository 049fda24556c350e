"""The machine code that every CUDA kernel promises, built and disassembled here; no GPU is needed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
from aisp_prof import kernels
from aisp_prof.kernels.building.contract import Code, Contract, disassemble, find_tools
from aisp_prof.kernels.building.nvcc import cubin, find_nvcc, said
from aisp_prof.kernels.rung import Rung, libraries, rungs
from shared import fresh_cubins, made_once

ARCHS = ("90a", "100a")
"""Hopper, and Blackwell, of which nothing was run yet."""
SHARED_LIMIT = 227 << 10
"""A block's most, in bytes, on both."""
SLOWED = re.compile(r"\(C75\d\d\).*")
"""ptxas's words on wgmma that it made wait for one another, and on a setmaxnreg that it ignored (C7508, C7510, C7511, C7517)."""
RUNGS = rungs()
COMPILED = [(rung, arch) for rung in RUNGS for arch in ARCHS if rung.runs_on(arch)]

builds = pytest.mark.skipif(find_nvcc() is None, reason="nvcc is not on PATH, below CUDA_HOME or /usr/local/cuda")
disassembles = pytest.mark.skipif(find_tools() is None, reason="cuobjdump and nvdisasm are not installed")


@cache
def compiled(source: Path, arch: str) -> tuple[Mapping[str, Code], str]:
    """The machine code of a source, and what nvcc said of it: compiled once a run, whichever worker asks."""

    def make() -> tuple[Mapping[str, Code], str]:
        made = cubin(source, arch)
        return disassemble(made), said(made)

    return made_once(f"code-{arch}-{source.parent.name}-{source.stem}", make)


@pytest.fixture(autouse=True, scope="module")
def _fresh_cache() -> Iterator[None]:
    with fresh_cubins():
        yield


def named(value: object) -> str | None:
    return f"{value.operation}-{value.name}" if isinstance(value, Rung) else None


def test_every_source_has_a_rung() -> None:
    assert {one.source for one in (*RUNGS, *libraries())} == set(Path(kernels.__file__).parent.rglob("*.cu"))


@builds
@disassembles
@pytest.mark.parametrize(("rung", "arch"), COMPILED, ids=named)
def test_the_contract_is_kept(rung: Rung, arch: str) -> None:
    codes, words = compiled(rung.source, arch)
    code = codes[rung.entry]
    assert rung.contract.broken(code) == []
    assert code.shared_bytes + rung.launch.shared <= SHARED_LIMIT
    assert SLOWED.search(words) is None, words


@builds
@disassembles
@pytest.mark.parametrize("arch", ARCHS)
def test_every_kernel_has_a_rung(arch: str) -> None:
    mine = [rung for rung in RUNGS if rung.runs_on(arch)]
    found = {(source, name) for source in {rung.source for rung in mine} for name in compiled(source, arch)[0]}
    assert found == {(rung.source, rung.entry) for rung in mine}


def test_what_is_broken_is_said() -> None:
    contract = Contract("k", {"LDG": 2}, must=("FFMA",), must_not=("FMUL",), max_registers=32)
    assert contract.broken(Code("LDG\nLDG\nFFMA\n", 32, 0, 64)) == []
    assert contract.broken(Code("LDG\nFMUL\n", 40, 8)) == [
        "1 instructions match LDG, 2 promised",
        "no instruction matches FFMA",
        "an instruction matches FMUL",
        "40 registers, 32 promised",
        "8 bytes of stack",
    ]
    assert Contract("k", {}, (), (), 32, static_shared=0).broken(Code("", 32, 0, 64)) == [
        "64 bytes of static shared memory, 0 promised"
    ]


SLOW_SOURCE = """
#include <cstdint>
__device__ __noinline__ float outside(float x) { return x * 2.0f; }
extern "C" __global__ void __launch_bounds__(128) k(uint64_t a, uint64_t b, float* out, int n) {
    float d[4] = {};
    for (int i = 0; i < n; ++i) {
        asm volatile("wgmma.fence.sync.aligned;");
        asm volatile("wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%0, %1, %2, %3}, %4, %5, 1, 1, 1, 0, 0;"
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "l"(a), "l"(b));
        asm volatile("wgmma.commit_group.sync.aligned;");
        d[0] = outside(d[0]);
    }
    asm volatile("wgmma.wait_group.sync.aligned 0;");
    out[threadIdx.x] = d[0] + d[1] + d[2] + d[3];
}
"""


@builds
def test_wgmma_that_was_serialized_is_seen(tmp_path: Path) -> None:
    source = tmp_path / "serializing.cu"
    source.write_text(SLOW_SOURCE)
    assert SLOWED.search(said(cubin(source, "90a")))
