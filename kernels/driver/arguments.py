"""A kernel's arguments as the driver takes them: a table of addresses, each of a value in the parameter's C type."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

Argument = tuple[Any, type[Any]]
"""A kernel's argument and its C type, as `pointer`, `int64`, `int32` and `fp32` make them."""


class TensorMap(ctypes.Structure):
    """A CUtensorMap: what the copy engine must know about a tensor, in 128 bytes that a kernel takes by value."""

    _fields_ = (("opaque", ctypes.c_uint64 * 16),)


Cell = ctypes.c_void_p | ctypes.c_int32 | ctypes.Structure
"""An argument that is already in memory, as a structure is; several launches may share it, and a number can be changed
through its `value`."""


def pointer(tensor: Any) -> Argument:
    """The address of a CUDA tensor's first element."""
    return tensor.data_ptr(), ctypes.c_void_p


def int64(value: int) -> Argument:
    return value, ctypes.c_int64


def int32(value: int) -> Argument:
    return value, ctypes.c_int32


def fp32(value: float) -> Argument:
    return value, ctypes.c_float


class Table:
    """The driver's `void** kernelParams`, which reads the cells at every launch; it must live until the call returns,
    no longer."""

    def __init__(self, arguments: Sequence[Argument | Cell]) -> None:
        self._cells = [one[1](one[0]) if isinstance(one, tuple) else one for one in arguments]
        self._table = (ctypes.c_void_p * len(arguments))(*map(ctypes.addressof, self._cells))
        self.address = ctypes.addressof(self._table)
