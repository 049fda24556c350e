"""Softmax of long rows in fp32: by a block that reads each row twice, and by teams of blocks that hold a row in their shared memory.

A team's blocks tell each other the largest element and the sum of their share: through distributed shared memory (DSMEM), through
device memory and the cluster's barrier, or, where they are no cluster, through device memory in a cooperative launch.
"""

from __future__ import annotations

import ctypes
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..building.contract import Contract
from ..building.nvcc import architecture
from ..driver.arguments import Argument, Cell
from ..driver.launch import Shape, int32, loaded, pointer, sm_count
from ..rung import Rung, Trial

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = Path(__file__).parent
SHARE = 32768
"""Elements of a row that a block of a team holds, 128 KiB."""
TEAMS = (2, 4, 8, 16)
"""Blocks of a team; 16 are more than every GPU with clusters promises, and an H200 can."""
THREADS, MOST = 1024, 16
_CHUNK, _KIB = THREADS * 16, 1 << 10
_ONLINE = Shape(THREADS)
_TEAM = Shape(THREADS, 13 * _CHUNK)
_SOURCES = {
    "online": FOLDER / "online.cu",
    "cluster": FOLDER / "cluster.cu",
    "cluster_memory": FOLDER / "cluster.cu",
    "cooperative": FOLDER / "cooperative.cu",
}
WAYS = tuple(_SOURCES)


class RowsCell(ctypes.Structure):
    """`softmax::Rows` of include/softmax/shared_rows.cuh."""

    _fields_ = (("x", ctypes.c_void_p), ("y", ctypes.c_void_p), ("rows", ctypes.c_int32), ("columns", ctypes.c_int32))


class MeetingCell(ctypes.Structure):
    """`Meeting` of cooperative.cu."""

    _fields_ = (
        ("parts", ctypes.c_void_p),
        ("arrived", ctypes.c_void_p),
        ("left", ctypes.c_void_p),
        ("blocks", ctypes.c_int32),
    )


class Softmax:
    """y = softmax of each row of x, and what the ways to it need besides; tensors that stay where they are.

    Args:
        x, y: contiguous fp32 [rows, columns] on the current CUDA device, not overlapping; columns a multiple of `SHARE` by one
            of `TEAMS`.

    Raises:
        ValueError: dtype, layout, shape or device is not as above.
    """

    def __init__(self, x: Tensor, y: Tensor) -> None:
        import torch

        _check(x, y)
        self._x, self._y = x, y
        self._rows, self._columns = x.shape
        self.blocks = self._columns // SHARE
        self._architecture = architecture(*torch.cuda.get_device_capability(x.device))
        teams = sm_count()  # more than there are
        self._parts = torch.empty(teams * 2 * MOST * 2, dtype=torch.float32, device=x.device)
        self._arrivals = torch.zeros(2, teams, dtype=torch.int32, device=x.device)

    def run(self, way: str) -> None:
        """Enqueue it on PyTorch's current stream, by one of `WAYS`.

        Raises:
            EnvironmentLacks: the GPU has no clusters or no cp.async, which the way needs; nothing else is run instead.
            EnvironmentLacks, AispError: as `driver.launch.kernel`.
        """
        rung = next(rung for rung in RUNGS if rung.name == way)
        rung.require(self._architecture)
        entry = loaded(rung.source, rung.entry)
        if way == "online":
            return entry.launch(self._rows, _ONLINE, (pointer(self._x), pointer(self._y), int32(self._columns)))
        cells: tuple[Argument | Cell, ...] = (
            RowsCell(self._x.data_ptr(), self._y.data_ptr(), self._rows, self._columns),
        )
        if way == "cooperative":
            shape = replace(_TEAM, shared=_cooperative_bytes(self._architecture), cooperative=True)
            teams = min(sm_count() // self.blocks, self._rows)
            cells = (*cells, self._meeting())
        else:
            shape = replace(_TEAM, cluster=self.blocks)
            teams = min(entry.clusters_at_once(shape), self._rows)
            cells = (*cells, pointer(self._parts)) if way == "cluster_memory" else cells
        entry.launch(teams * self.blocks, shape, cells)

    def _meeting(self) -> MeetingCell:
        arrived, left = (row.data_ptr() for row in self._arrivals)
        return MeetingCell(self._parts.data_ptr(), arrived, left, self.blocks)


def reference(x: Tensor) -> Tensor:
    """In fp64, on the device of `x`."""
    import torch

    return torch.softmax(x.double(), dim=-1)


def compiled(x: Tensor, y: Tensor) -> None:
    """PyTorch's softmax as torch.compile fuses it, enqueued on the current stream; on a CPU PyTorch's own."""
    if x.device.type != "cuda":
        return eager(x, y)
    from ..building.compiled import compiled

    compiled(eager)(x, y)


def eager(x: Tensor, y: Tensor) -> None:
    import torch

    y.copy_(torch.softmax(x, dim=-1))


def exchanges(rows: int, blocks: int) -> int:
    """Instructions of warps that write into other blocks' shared memory: each block of a row's cluster sends all its parts by one."""
    return rows * blocks


def _cooperative_bytes(target: str) -> int:
    """Chunks that fit, as SLOTS in cooperative.cu: 227 KiB on Hopper, 163 on 8.0, 99 on other Ampere and Ada GPUs."""
    return {"80": 9, "86": 5, "89": 5}.get(target, 13) * _CHUNK


def _check(x: Tensor, y: Tensor) -> None:
    import torch

    for name, tensor in (("x", x), ("y", y)):
        if tensor.dtype != torch.float32 or tensor.dim() != 2 or not tensor.is_contiguous() or not tensor.is_cuda:
            raise ValueError(
                f"{name} must be contiguous fp32 rows on CUDA, not {tuple(tensor.shape)} {tensor.dtype} on {tensor.device}"
            )
    if x.shape != y.shape or x.shape[1] not in {SHARE * blocks for blocks in TEAMS} or not x.numel():
        raise ValueError(
            f"x {tuple(x.shape)} and y {tuple(y.shape)} must be alike, of {SHARE} columns by 2, 4, 8 or 16"
        )


_COPIES = {r"\bLDGSTS\.E\.BYPASS\.128\b": 21, r"\bSTG\.E\.128\b": 8}
_SLOW = (r"\bSTL\b", r"\bLDL\b")
CONTRACTS = {
    "online": Contract(
        "softmax_online", {}, (r"\bLDG\.E\.128\b", r"\bSTG\.E\.EF\.128\b"), (*_SLOW, "LDGSTS", "STAS"), 32
    ),
    "cluster": Contract(
        "softmax_cluster",
        {**_COPIES, r"\bSTAS\.64\b": 1, r"\bSTAS\b": 1, r"\bUCGABAR_ARV\b": 2},
        (r"\bSYNCS\.PHASECHK\.TRANS64\.TRYWAIT\b",),
        (*_SLOW, r"\bLD\.E\b", r"\bATOM"),
        64,
    ),
    "cluster_memory": Contract(
        "softmax_cluster_memory",
        {**_COPIES, r"\bUCGABAR_ARV\b": 1, r"\bLDG\.E\.64\.STRONG\.GPU\b": 1, r"\bSTG\.E\.64\.STRONG\.GPU\b": 1},
        (),
        (*_SLOW, "STAS", r"\bSYNCS\b", "0x654", r"\bATOM"),
        64,
    ),
    "cooperative": Contract(
        "softmax_cooperative",
        _COPIES,
        (r"\bATOMG?\b|\bRED\b|\bREDG\b",),
        (*_SLOW, "STAS", r"\bSYNCS\b", "0x654", "UCGABAR"),
        64,
    ),
}


def _trial(seed: int, way: str) -> Trial:
    import torch

    source = torch.Generator("cuda").manual_seed(seed)
    shape = 3 + 40 * (seed % 2), SHARE * TEAMS[seed % len(TEAMS)]
    x = 3 * torch.randn(*shape, generator=source, device="cuda")
    y = torch.full_like(x, float("nan"))
    Softmax(x, y).run(way)
    return Trial(y, reference(x), 1e-6)


_NEEDS = {"online": "80", "cluster": "90", "cluster_memory": "90", "cooperative": "80"}
_SHAPES = {
    "online": _ONLINE,
    "cluster": replace(_TEAM, cluster=8),
    "cluster_memory": replace(_TEAM, cluster=8),
    "cooperative": replace(_TEAM, cooperative=True),
}
RUNGS = tuple(
    Rung("softmax", way, _SOURCES[way], _SHAPES[way], CONTRACTS[way], _NEEDS[way], partial(_trial, way=way))
    for way in WAYS
)
