"""The machine code of CUTLASS's kernels: held to their contracts as it was built, and built again where that takes no minutes.

Compiling all takes nvcc a minute and more and 3 GB, so `machine-code.json` keeps what became of each source, with a hash of it, and
the cheapest is compiled here and compared. `AISP_UPDATE_GOLDEN=1 pytest tests/kernels/cutlass` compiles all and writes the file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from importlib.metadata import version
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from aisp_prof.errors import EnvironmentLacks
from aisp_prof.kernels.building import headers
from aisp_prof.kernels.building.contract import Code, disassemble, find_tools
from aisp_prof.kernels.building.nvcc import FLAGS, LIBRARY_FLAGS, architecture, find_nvcc, said
from aisp_prof.kernels.cutlass import fp8, gemm, opening
from aisp_prof.kernels.rung import Library, libraries
from shared import made_once

KEPT = Path(__file__).with_name("machine-code.json")
LIBRARIES = libraries()
CHEAPEST = "multistage"
each = pytest.mark.parametrize("library", LIBRARIES, ids=lambda one: one.name)


def lacking() -> str:
    """What building needs and is not here; "" where all is."""
    try:
        headers.cutlass()
    except EnvironmentLacks as error:
        return f"{error}: {error.mend}"
    return "" if find_nvcc() and find_tools() else "nvcc, cuobjdump or nvdisasm is not there"


def own(library: Library) -> str:
    """A hash of all that is ours of it: source, what it includes from beside it, and flags."""
    parts = [library.source, *sorted(library.source.parent.glob("*.cuh"))]
    digest = hashlib.sha256(" ".join((*FLAGS, *LIBRARY_FLAGS, library.needs)).encode())
    for path in parts:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def compiled(library: Library) -> dict[str, Any]:
    """What becomes of it here; a library holds one kernel."""

    def make() -> dict[str, Any]:
        path = library.code()
        ((kernel, code),) = disassemble(path).items()
        return {
            "own": own(library),
            "cutlass": version("nvidia-cutlass"),
            "kernel": hashlib.sha256(kernel.encode()).hexdigest()[:16],
            "warnings": sorted({line.partition(" in ")[0] for line in said(path).splitlines() if line}),
            "registers": code.registers,
            "stack_bytes": code.stack_bytes,
            "instructions": code.instructions,
        }

    return made_once(f"library-{library.name}", make)


def kept() -> dict[str, Any]:
    if os.environ.get("AISP_UPDATE_GOLDEN"):
        KEPT.write_text(json.dumps({one.name: compiled(one) for one in LIBRARIES}, indent=1) + "\n")
    found: dict[str, Any] = json.loads(KEPT.read_text())
    return found


def test_all_are_kept() -> None:
    assert list(kept()) == [one.name for one in LIBRARIES]


@each
def test_the_contract_is_kept(library: Library) -> None:
    built = kept()[library.name]
    assert built["own"] == own(library), (
        "its source has changed since: AISP_UPDATE_GOLDEN=1 pytest tests/kernels/cutlass"
    )
    sass = "\n".join(opcode for opcode, count in built["instructions"].items() for _ in range(count))
    assert library.contract.broken(Code(sass, built["registers"], built["stack_bytes"])) == []
    spilled = ["ptxas warning : Registers are spilled to local memory"] if library.contract.stack else []
    assert built["warnings"] == spilled, "wgmma serialized, or a setmaxnreg ignored"


def test_what_a_schedule_says_is_in_the_code() -> None:
    """CUTLASS may make the same code of two schedules of one tile; then a pair of them would compare a kernel with itself."""
    codes = [kept()[way] for way in opening.FP8]
    assert len({one["kernel"] for one in codes}) == len(codes)
    assert all(one["instructions"] != other["instructions"] for one, other in combinations(codes, 2))


def test_it_is_built_as_was_kept() -> None:
    if lacking():
        pytest.skip(lacking())
    (library,) = (one for one in LIBRARIES if one.name == CHEAPEST)
    assert compiled(library) == kept()[CHEAPEST]


@pytest.mark.parametrize(("way", "number"), [("two_sm", "10.0"), ("cooperative", "9.0")])
def test_another_gpu_is_refused_and_nothing_else_run(way: str, number: str) -> None:
    for major, minor in ((8, 0), (9, 0), (10, 0), (12, 0)):
        if f"{major}.{minor}" == number:
            opening.require(way, major, minor)
        else:
            with pytest.raises(EnvironmentLacks, match=f"unsupported: .* needs compute capability {number}") as refused:
                opening.require(way, major, minor)
            assert refused.value.exit_code == 3


def test_missing_headers_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentLacks, match="CUTLASS's headers are not there") as lacks:
        opening.built("cooperative")
    assert lacks.value.mend == "pip install 'aisp-prof[cutlass]'"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dtype": torch.float16}, "must be contiguous, of bf16"),
        ({"columns": 12}, "of a multiple of 8 columns"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    a = torch.zeros(4, change.get("columns", 16), dtype=change.get("dtype", torch.bfloat16))
    with pytest.raises(ValueError, match=message):
        gemm.check(a, torch.zeros(4, 16).bfloat16(), torch.zeros(4, 8).bfloat16())


@pytest.mark.parametrize(("multiply", "way"), [(gemm.matmul, "fp8_fast"), (fp8.matmul, "cooperative")])
def test_a_way_of_another_type_is_refused(multiply: Callable[..., None], way: str) -> None:
    operands = (torch.zeros(16, 16, dtype=torch.bfloat16) for _ in range(3))
    with pytest.raises(ValueError, match=rf"is multiplied by .*, not {way}$"):
        multiply(*operands, way)


def test_rows_of_a_wider_matrix_are_refused_in_fp8() -> None:
    a, b = (torch.zeros(16, 32, dtype=torch.float8_e4m3fn) for _ in range(2))
    c = torch.zeros(16, 16, dtype=torch.bfloat16)
    with pytest.raises(ValueError, match="must be contiguous"):
        fp8.check(a[:, :16], b[:, :16], c)
    with pytest.raises(ValueError, match="must be matrices of e4m3"):
        fp8.matmul(c, c, c, "fp8_auto")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: the kernels cannot run here")
@each
def test_every_kernel_against_fp64(library: Library) -> None:
    if architecture(*torch.cuda.get_device_capability()) != library.needs:
        pytest.skip(f"needs {library.needs}")
    if lacking():
        pytest.skip(lacking())
    for seed in (1, 2):
        trial = library.trial(seed)
        assert trial.error() <= trial.tolerance
