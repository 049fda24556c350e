"""Sizes that a kernel and the module that launches it must agree on: what the CUDA source says, and what Python says."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import pytest
from aisp_prof.kernels.attention import cluster_decode
from aisp_prof.kernels.building.nvcc import INCLUDE
from aisp_prof.kernels.driver import cufile
from aisp_prof.kernels.elementwise import tile_pipeline
from aisp_prof.kernels.gemm import fp32_tiles
from aisp_prof.kernels.softmax import rows
from aisp_prof.kernels.stencil import gelu


def constants(source: Path) -> dict[str, int]:
    """The integers that a source names: `constexpr int A = 4, B = 2 * 8;`."""
    found: dict[str, int] = {}
    for line in re.findall(r"constexpr int ([^;]+);", source.read_text("utf-8")):
        for part in line.split(","):
            name, _, value = part.partition("=")
            if re.fullmatch(r"\s*\d+\s*", value):
                found[name.strip()] = int(value)
    return found


def test_the_decode_kernel() -> None:
    told = constants(cluster_decode.SOURCE)
    names = ("CLUSTER", "GROUP", "D", "PAGE", "THREADS")
    assert {name: told[name] for name in names} == {name: getattr(cluster_decode, name) for name in names}
    pages = 2 * told["STAGES"] * told["PAGE"] * told["D"] * 2
    assert pages < cluster_decode.SHAPE.shared < pages + 8192
    assert [name for name, _ in cluster_decode.CacheCell._fields_[:6]] == [
        "q", "keys", "values", "out", "table", "lengths"
    ]  # fmt: skip


def test_the_stencil() -> None:
    told = constants(gelu.SOURCE)
    assert (told["TILE"], told["CLUSTER"]) == (gelu.TILE, gelu.CLUSTER)
    barriers = 4 * told["STAGES"] + 2 * told["RESULTS"]
    tiles = told["STAGES"] * (told["TILE"] + 8) + told["RESULTS"] * told["TILE"]
    assert gelu.ROLES.shared == 4 * tiles + 8 * barriers
    assert gelu.ROLES.cluster == told["CLUSTER"]


def test_the_tiles() -> None:
    told = constants(tile_pipeline.SOURCE)
    assert (told["TILE"], told["THREADS"]) == (tile_pipeline.TILE, tile_pipeline.THREADS)
    stages = dict(re.findall(r"tiles_(\w+)\([^{]+\{\s+by_\w+<(\d)>", tile_pipeline.SOURCE.read_text("utf-8")))
    assert {way: int(n) for way, n in stages.items()} == {"two_stages": 2, "three_stages": 3, "bulk": 8}
    for way, n in stages.items():
        assert tile_pipeline.SHAPES[way].shared == int(n) * told["TILE"] * 4


def test_the_rows() -> None:
    part, shared = constants(INCLUDE / "softmax" / "part.cuh"), constants(INCLUDE / "softmax" / "shared_rows.cuh")
    assert part["THREADS"] == rows.THREADS
    assert part["THREADS"] * 4 * shared["CHUNKS"] == rows.SHARE
    told = constants(rows.FOLDER / "cluster.cu")
    assert told["MOST"] == rows.MOST == max(rows.TEAMS)
    assert rows._TEAM.shared == told["SLOTS"] * part["THREADS"] * 16


@pytest.mark.parametrize(("target", "slots", "most"), [("80", 9, 163), ("86", 5, 99), ("89", 5, 99), ("90a", 13, 227)])
def test_chunks_of_a_cooperative_team_fit_the_gpu(target: str, slots: int, most: int) -> None:
    assert rows._cooperative_bytes(target) == slots * rows.THREADS * 16 <= most << 10
    source = (rows.FOLDER / "cooperative.cu").read_text("utf-8")
    assert "__CUDA_ARCH__ >= 900 ? 13 : 9" in source
    assert "SLOTS = 5;" in source


def test_the_fp32_ring() -> None:
    source = fp32_tiles.SOURCE.read_text("utf-8")
    found = re.search(r"by_ring<Tile<(\d), (\d), (\d+), (\d+), (\d+)>, (\d+), (\d+)>", source)
    assert found is not None
    warps_m, warps_n, tm, tn, block_k, same, stages = map(int, found.groups())
    assert block_k == same
    m, n = fp32_tiles.TILES["ring"]
    assert (m, n) == (warps_m * 4 * tm, warps_n * 8 * tn)
    assert fp32_tiles.SHAPES["ring"].shared == stages * block_k * (m + n) * 4


def test_structures_of_cufile_are_laid_out_as_in_c() -> None:
    fields = {name: getattr(cufile.Descriptor, name).offset for name, _ in cufile.Descriptor._fields_}
    assert fields == {"type": 0, "handle": 8, "fs_ops": 16}
    assert (ctypes.sizeof(cufile.Descriptor), ctypes.sizeof(cufile.Status)) == (24, 8)


@pytest.mark.parametrize(
    ("cell", "size"),
    [
        (rows.RowsCell, 24),
        (rows.MeetingCell, 32),
        (tile_pipeline.WorkCell, 24),
        (gelu.ArrayCell, 24),
        (gelu.WeightsCell, 16),
        (cluster_decode.CacheCell, 64),
    ],
)
def test_structures_of_kernels_are_laid_out_as_in_cuda(cell: type[ctypes.Structure], size: int) -> None:
    assert ctypes.sizeof(cell) == size
