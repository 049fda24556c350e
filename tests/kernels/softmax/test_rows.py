"""Softmax of long rows: the reference, how many instructions cross between blocks, and what is refused."""

from __future__ import annotations

import math

import pytest
import torch
from aisp_prof.kernels.building.contract import Contract, disassemble, find_tools
from aisp_prof.kernels.building.nvcc import cubin, find_nvcc
from aisp_prof.kernels.softmax import rows


def test_the_reference_is_the_formula() -> None:
    x = [[0.5, -2.0, 3.0], [100.0, 100.0, 99.0]]
    wanted = [[math.exp(v - max(row)) / sum(math.exp(w - max(row)) for w in row) for v in row] for row in x]
    found = rows.reference(torch.tensor(x)).tolist()
    assert [number for row in found for number in row] == pytest.approx([number for row in wanted for number in row])


def test_on_a_cpu_the_compiled_form_is_pytorchs() -> None:
    x = torch.randn(3, 50)
    y, z = torch.empty_like(x), torch.empty_like(x)
    rows.compiled(x, y)
    rows.eager(x, z)
    assert torch.equal(y, z)
    torch.testing.assert_close(y, rows.reference(x).float())


def test_what_crosses_between_blocks_is_what_the_pairs_claim() -> None:
    from aisp_prof.workloads.ch10 import cluster_group, cluster_group_no_dsmem, softmax_rows

    sizes = softmax_rows.FULL
    crossing = rows.exchanges(sizes["rows"], sizes["columns"] // rows.SHARE)
    assert f"optimized.dsmem_operations == {crossing}" in cluster_group.PAIR.declaration.claims
    assert f"dsmem.dsmem_operations == {crossing}" in cluster_group_no_dsmem.PAIR.declaration.claims


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (torch.empty(2, 2 * rows.SHARE), "must be contiguous fp32 rows on CUDA"),
        (torch.empty(2, 2 * rows.SHARE, dtype=torch.float64), "must be contiguous fp32 rows on CUDA"),
    ],
)
def test_what_does_not_fit_is_refused(x: torch.Tensor, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        rows.Softmax(x, torch.empty_like(x))


@pytest.mark.parametrize("columns", [1024, 3 * rows.SHARE, 32 * rows.SHARE])
def test_rows_that_no_team_holds_are_refused(columns: int) -> None:
    class Shaped:
        dtype, is_cuda, device = torch.float32, True, "cuda"

        def __init__(self) -> None:
            self.shape = torch.Size((2, columns))

        def dim(self) -> int:
            return 2

        def is_contiguous(self) -> bool:
            return True

        def numel(self) -> int:
            return 2 * columns

    with pytest.raises(ValueError, match="of 32768 columns by 2, 4, 8 or 16"):
        rows._check(Shaped(), Shaped())  # type: ignore[arg-type]


@pytest.mark.skipif(find_nvcc() is None or find_tools() is None, reason="nvcc or cuobjdump is not installed")
@pytest.mark.parametrize("arch", ["80", "86"])
def test_what_needs_no_cluster_compiles_for_ampere(arch: str) -> None:
    """No cluster, no copy engine and no barrier of shared memory, in chunks that fit."""
    rung = next(rung for rung in rows.RUNGS if rung.name == "cooperative")
    assert rung.runs_on(arch)
    code = disassemble(cubin(rung.source, arch))[rung.entry]
    copies = r"\bLDGSTS\.E\.BYPASS\.128\b"
    assert Contract(rung.entry, {}, (copies,), rung.contract.must_not, 64).broken(code) == []
    shared = {"80": 163, "86": 99}[arch] << 10
    assert code.shared_bytes + rows._cooperative_bytes(arch) <= shared
