"""Tensor maps, which describe to the copy engine (TMA) a tensor in device memory, and the box that each copy moves."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from .arguments import TensorMap
from .binding import binding, checked

if TYPE_CHECKING:
    from torch import Tensor

Swizzle = Literal[0, 32, 64, 128]
"""Bytes of a row within which 16-byte pieces are permuted from row to row, so that columns spread over the banks."""

_LARGEST_BOX = 256
_TYPES = {"bfloat16": "BFLOAT16", "float16": "FLOAT16", "float32": "FLOAT32"}


def tiled(tensor: Tensor, rows: int, columns: int, swizzle: Swizzle = 128) -> TensorMap:
    """The map of a matrix for boxes of `rows` × `columns`; parts of a box outside the matrix read as zeros and are not
    written.

    The kernel takes it as `const __grid_constant__ CUtensorMap`. The tensor must not move while the map is in use.

    Args:
        tensor: bf16, fp16 or fp32 [m, n] on CUDA, rows of contiguous elements, 16-byte aligned, as is each row.

    Raises:
        ValueError: the copy engine cannot handle it.
        AispError: the driver refuses.
    """
    _check(tensor, rows, columns, swizzle)
    step = tensor.stride(0)
    return _encoded(
        tensor, (tensor.shape[1], tensor.shape[0]), (step,), (columns, rows), swizzle, _promotion(tensor, step)
    )


PANEL = 64
"""Columns that `heads` puts side by side in shared memory: of 16 bits, a row of the widest swizzle."""


def heads(tensor: Tensor, rows: int) -> TensorMap:
    """The map of heads for boxes of `rows` whole rows of one head, which come as panels of 64 columns, one after the other.

    Rows outside read as zeros. Coordinates are 0, the row, 0, the head and the batch.

    Args:
        tensor: bf16 or fp16 [batch, heads, length, columns] on CUDA, columns contiguous and a multiple of 64, 16-byte aligned
            as is each row; in what order the other three lie does not matter.

    Raises:
        ValueError: the copy engine cannot handle it.
        AispError: the driver refuses.
    """
    _check_heads(tensor, rows)
    batch, count, length, columns = tensor.shape
    strides = [
        step if size > 1 else columns for size, step in zip(tensor.shape[:3], tensor.stride()[:3], strict=True)
    ]  # where there is one of something, its stride is never taken and may be anything
    panels = columns // PANEL
    return _encoded(
        tensor,
        (PANEL, length, panels, count, batch),
        (strides[2], PANEL, strides[1], strides[0]),
        (PANEL, rows, panels, 1, 1),
        128,
        _promotion(tensor, strides[2]),
    )


def _encoded(
    tensor: Tensor, extents: Sequence[int], strides: Sequence[int], box: Sequence[int], swizzle: Swizzle, promotion: str
) -> TensorMap:
    """`strides` are of all dimensions but the first, in elements."""
    driver, size = binding(), tensor.element_size()
    kind = _TYPES[str(tensor.dtype).removeprefix("torch.")]
    made = checked(
        driver.cuTensorMapEncodeTiled(
            getattr(driver.CUtensorMapDataType, f"CU_TENSOR_MAP_DATA_TYPE_{kind}"),
            len(extents),
            tensor.data_ptr(),
            [driver.cuuint64_t(one) for one in extents],
            [driver.cuuint64_t(one * size) for one in strides],
            [driver.cuuint32_t(one) for one in box],
            [driver.cuuint32_t(1)] * len(extents),
            driver.CUtensorMapInterleave.CU_TENSOR_MAP_INTERLEAVE_NONE,
            getattr(driver.CUtensorMapSwizzle, f"CU_TENSOR_MAP_SWIZZLE_{f'{swizzle}B' if swizzle else 'NONE'}"),
            getattr(driver.CUtensorMapL2promotion, f"CU_TENSOR_MAP_L2_PROMOTION_{promotion}"),
            driver.CUtensorMapFloatOOBfill.CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
        ),
        "cuTensorMapEncodeTiled",
    )
    return TensorMap.from_buffer_copy(ctypes.string_at(made.getPtr(), ctypes.sizeof(TensorMap)))


def _promotion(tensor: Tensor, step: int) -> str:
    """The least that the L2 cache fetches: 256 bytes bring a row's next box too, if rows begin at a multiple of that.
    Otherwise half of what they bring is not wanted: a product of 5000³ was 9 % slower with them, and one of 8192³ with
    a single
    stage 9 % faster (H200, 2026-11-30).
    """
    row = step * tensor.element_size()
    return "NONE" if row % 256 or tensor.data_ptr() % 256 else "L2_256B"


def _check(tensor: Tensor, rows: int, columns: int, swizzle: Swizzle) -> None:
    size = tensor.element_size()
    if str(tensor.dtype).removeprefix("torch.") not in _TYPES or tensor.dim() != 2 or not tensor.numel():
        raise ValueError(
            f"a tensor map is made of a matrix of bf16, fp16 or fp32, not of {tensor.dtype}, {tensor.dim()}-D"
        )
    if tensor.stride(1) != 1 or tensor.stride(0) * size % 16 or tensor.data_ptr() % 16:
        raise ValueError(f"rows must be contiguous and each 16-byte aligned, not {tensor.stride(0) * size} bytes apart")
    if not (0 < rows <= _LARGEST_BOX and 0 < columns <= _LARGEST_BOX):
        raise ValueError(f"a box has 1 to {_LARGEST_BOX} rows and columns, not {rows} × {columns}")
    if columns * size % 16 or (swizzle and columns * size > swizzle):
        raise ValueError(
            f"a row of the box has {columns * size} bytes: not a multiple of 16, or beyond a swizzle of {swizzle}"
        )


def _check_heads(tensor: Tensor, rows: int) -> None:
    if str(tensor.dtype) not in ("torch.bfloat16", "torch.float16") or tensor.dim() != 4 or not tensor.numel():
        raise ValueError(
            f"a map of heads is made of bf16 or fp16 [batch, heads, length, columns], not of {tensor.dtype}, {tensor.dim()}-D"
        )
    steps = [step for size, step in zip(tensor.shape[:3], tensor.stride()[:3], strict=True) if size > 1]
    if tensor.stride(3) != 1 or tensor.shape[3] % PANEL or tensor.data_ptr() % 16 or any(s % 8 or not s for s in steps):
        raise ValueError(
            f"{PANEL}s of columns must be contiguous, each row 16-byte aligned and none expanded, not "
            f"{tuple(tensor.shape)} of strides {tensor.stride()}"
        )
    if not 0 < rows <= _LARGEST_BOX:
        raise ValueError(f"a box has 1 to {_LARGEST_BOX} rows, not {rows}")
