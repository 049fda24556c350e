"""Tensor maps as the driver is asked for them, and what the copy engine cannot do."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from aisp_prof.kernels.driver.tensor_map import heads, tiled
from fake_driver import install


class Names:
    def __getattr__(self, name: str) -> str:
        return name


class Driver(SimpleNamespace):
    """Answers with 128 bytes that count up."""

    def __init__(self) -> None:
        super().__init__(cuuint64_t=int, cuuint32_t=int, asked=[], opaque=(ctypes.c_uint8 * 128)(*range(128)))
        for name in ("DataType", "Interleave", "Swizzle", "L2promotion", "FloatOOBfill"):
            setattr(self, f"CUtensorMap{name}", Names())

    def cuTensorMapEncodeTiled(self, *arguments: Any) -> tuple[int, Any]:
        self.asked.append(arguments)
        return 0, SimpleNamespace(getPtr=lambda: ctypes.addressof(self.opaque))


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    found = Driver()
    install(monkeypatch, found)
    return found


def matrix(rows: int, columns: int, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    return torch.empty(rows, columns, dtype=dtype)


def test_what_the_driver_is_asked_for(driver: Driver) -> None:
    x = matrix(100, 72)[:, :40]
    made = tiled(x, 128, 64)
    assert bytes(made) == bytes(range(128))
    kind, rank, address, extents, strides, box, steps, _, swizzle, promotion, fill = driver.asked[0]
    assert (kind, rank, address) == ("CU_TENSOR_MAP_DATA_TYPE_BFLOAT16", 2, x.data_ptr())
    assert (extents, strides, box, steps) == ([40, 100], [144], [64, 128], [1, 1])
    assert swizzle == "CU_TENSOR_MAP_SWIZZLE_128B"
    assert (promotion, fill) == ("CU_TENSOR_MAP_L2_PROMOTION_NONE", "CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE")
    tiled(matrix(8, 8, torch.float32), 8, 8, swizzle=0)
    assert driver.asked[1][0] == "CU_TENSOR_MAP_DATA_TYPE_FLOAT32"
    assert driver.asked[1][8] == "CU_TENSOR_MAP_SWIZZLE_NONE"


def test_the_cache_fetches_ahead_where_rows_begin_at_its_lines(driver: Driver) -> None:
    whole = torch.empty(64 * 1024, dtype=torch.bfloat16)
    begin = -whole.data_ptr() % 256 // 2
    for first, stride in ((begin, 512), (begin + 8, 512), (begin, 520), (begin, 192)):
        tiled(whole.as_strided((8, 128), (stride, 1), first), 8, 64)
    asked = [arguments[9].removeprefix("CU_TENSOR_MAP_L2_PROMOTION_") for arguments in driver.asked]
    assert asked == ["L2_256B", "NONE", "NONE", "NONE"]


@pytest.mark.parametrize(
    ("tensor", "box", "said"),
    [
        (matrix(8, 12), (8, 8), "16-byte aligned"),  # 24 bytes a row
        (matrix(8, 16)[:, 1:9], (8, 8), "16-byte aligned"),
        (matrix(8, 16).t(), (8, 8), "contiguous"),
        (matrix(8, 16, torch.float64), (8, 8), "bf16, fp16 or fp32"),
        (matrix(0, 16), (8, 8), "made of a matrix"),
        (matrix(8, 16).view(2, 4, 16), (8, 8), "made of a matrix"),
        (matrix(512, 64), (257, 64), "1 to 256"),
        (matrix(512, 64), (0, 64), "1 to 256"),
        (matrix(512, 128), (64, 128), "beyond a swizzle of 128"),
        (matrix(512, 128), (64, 4), "not a multiple of 16"),
    ],
)
def test_what_the_copy_engine_cannot_do_is_refused(
    driver: Driver, tensor: torch.Tensor, box: tuple[int, int], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        tiled(tensor, *box)
    assert driver.asked == []


def test_heads_come_as_panels_of_64_columns(driver: Driver) -> None:
    x = torch.empty(2, 100, 3, 128, dtype=torch.float16).transpose(1, 2)  # as [batch, length, heads, columns] lies
    heads(x, 176)
    _, rank, address, extents, strides, box, *_ = driver.asked[0]
    assert (rank, address) == (5, x.data_ptr())
    assert (extents, box) == ([64, 100, 2, 3, 2], [64, 176, 2, 1, 1])
    assert strides == [2 * 3 * 128, 2 * 64, 2 * 128, 2 * 100 * 3 * 128]


def test_the_stride_of_a_single_head_does_not_matter(driver: Driver) -> None:
    x = torch.empty(1, 8, 64, dtype=torch.bfloat16).as_strided((1, 1, 8, 64), (3, 5, 64, 1))
    heads(x, 64)
    assert driver.asked[0][4] == [128, 128, 128, 128]


@pytest.mark.parametrize(
    "x",
    [
        torch.empty(1, 2, 8, 96, dtype=torch.bfloat16),
        torch.empty(2, 8, 64, dtype=torch.bfloat16),
        torch.empty(1, 2, 8, 64),
        torch.empty(1, 1, 8, 64, dtype=torch.bfloat16).expand(1, 4, 8, 64),
        torch.empty(1, 2, 8, 68, dtype=torch.bfloat16)[..., :64],
        torch.empty(1, 2, 64, 8, dtype=torch.bfloat16).transpose(2, 3),
    ],
)
def test_heads_that_the_copy_engine_cannot_take(driver: Driver, x: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"map of heads|columns must be"):
        heads(x, 64)
    assert not driver.asked
