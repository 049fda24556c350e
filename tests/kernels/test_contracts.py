"""The machine code that every CUDA kernel promises, built and disassembled here; no GPU is needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from aisp_prof import kernels
from aisp_prof.kernels import affine_chain, cubic_passes, l2norm
from aisp_prof.kernels.build import cubin, find_nvcc
from aisp_prof.kernels.contract import Code, Contract, disassemble, find_tools

MODULES = (affine_chain, cubic_passes, l2norm)
CONTRACTS = [(module.SOURCE, contract) for module in MODULES for contract in module.CONTRACTS]

builds = pytest.mark.skipif(find_nvcc() is None, reason="nvcc is not on PATH, below CUDA_HOME or /usr/local/cuda")
disassembles = pytest.mark.skipif(find_tools() is None, reason="cuobjdump and nvdisasm are not installed")


@pytest.fixture(scope="module", params=["90a", "100a"])
def compiled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[Path, Mapping[str, Code]]:
    """Every source as compiled for Hopper, and for Blackwell, of which nothing was run yet."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AISP_CACHE", str(tmp_path_factory.mktemp("cache")))
        return {module.SOURCE: disassemble(cubin(module.SOURCE, request.param)) for module in MODULES}


def test_every_source_has_contracts() -> None:
    assert {module.SOURCE for module in MODULES} == set(Path(kernels.__file__).parent.glob("*.cu"))


@builds
@disassembles
@pytest.mark.parametrize(("source", "contract"), CONTRACTS, ids=lambda value: getattr(value, "kernel", None))
def test_the_contract_is_kept(compiled: Mapping[Path, Mapping[str, Code]], source: Path, contract: Contract) -> None:
    assert contract.broken(compiled[source][contract.kernel]) == []


@builds
@disassembles
def test_every_kernel_has_a_contract(compiled: Mapping[Path, Mapping[str, Code]]) -> None:
    found = {(source, name) for source, codes in compiled.items() for name in codes}
    assert found == {(source, contract.kernel) for source, contract in CONTRACTS}


def test_what_is_broken_is_said() -> None:
    contract = Contract("k", {"LDG": 2}, must=("FFMA",), must_not=("FMUL",), max_registers=32)
    assert contract.broken(Code("LDG\nLDG\nFFMA\n", 32, 0)) == []
    assert contract.broken(Code("LDG\nFMUL\n", 40, 8)) == [
        "1 instructions match LDG, 2 promised",
        "no instruction matches FFMA",
        "an instruction matches FMUL",
        "40 registers, 32 promised",
        "8 bytes of stack",
    ]
