"""Loads cubins and launches their kernels through the CUDA driver, on PyTorch's current stream and tensors."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import AispError, EnvironmentLacks
from .build import architecture, cubin

Argument = tuple[Any, type[Any]]
"""A kernel's argument and its C type, as `pointer`, `int64`, `int32` and `fp32` make them."""


def pointer(tensor: Any) -> Argument:
    """The address of a CUDA tensor's first element."""
    return tensor.data_ptr(), ctypes.c_void_p


def int64(value: int) -> Argument:
    return value, ctypes.c_int64


def int32(value: int) -> Argument:
    return value, ctypes.c_int32


def fp32(value: float) -> Argument:
    return value, ctypes.c_float


class Kernel:
    """A kernel of a loaded cubin, on the device that was current when it was loaded."""

    def __init__(self, function: Any, name: str) -> None:
        self._function, self.name = function, name

    def launch(self, grid: int, block: int, arguments: Sequence[Argument]) -> None:
        """Enqueue `grid` blocks of `block` threads on PyTorch's current stream.

        `arguments` must be those of the kernel's signature, in order and type: the driver cannot check them.

        Raises:
            AispError: the driver refuses the launch.
        """
        import torch

        driver = _driver()
        config = driver.CUlaunchConfig()
        config.gridDimX, config.gridDimY, config.gridDimZ = grid, 1, 1
        config.blockDimX, config.blockDimY, config.blockDimZ = block, 1, 1
        config.hStream = driver.CUstream(torch.cuda.current_stream().cuda_stream)
        config.numAttrs = 0
        packed = (tuple(value for value, _ in arguments), tuple(kind for _, kind in arguments))
        _checked(driver.cuLaunchKernelEx(config, self._function, packed, 0), f"launching {self.name}")


def kernel(source: Path, name: str) -> Kernel:
    """The `extern "C"` kernel `name` of a CUDA source, compiled for PyTorch's current device and loaded once.

    Raises:
        EnvironmentLacks: cuda-bindings is missing, or as `build.cubin`.
        AispError: nvcc refuses the source, or the driver the cubin.
    """
    import torch

    torch.cuda.init()  # makes the device's primary context current, into which the library is loaded
    device = torch.cuda.current_device()
    return _loaded(cubin(source, architecture(*torch.cuda.get_device_capability(device))), name, device)


def sm_count() -> int:
    """Multiprocessors of PyTorch's current CUDA device."""
    import torch

    return int(torch.cuda.get_device_properties(torch.cuda.current_device()).multi_processor_count)


@cache
def _loaded(path: Path, name: str, device: int) -> Kernel:
    driver = _driver()
    library = _checked(
        driver.cuLibraryLoadData(path.read_bytes(), None, None, 0, None, None, 0), f"loading {path.name}"
    )
    found = _checked(driver.cuLibraryGetKernel(library, name.encode()), f"finding {name} in {path.name}")
    return Kernel(_checked(driver.cuKernelGetFunction(found), f"loading {name}"), name)


@cache
def _driver() -> Any:
    try:
        from cuda.bindings import driver
    except ImportError as error:
        raise EnvironmentLacks(
            "the Python package cuda-bindings is not installed", "pip install 'aisp-prof[gpu]'"
        ) from error
    return driver


def _checked(answer: tuple[Any, ...], doing: str) -> Any:
    """The driver's result (None, or what follows its code).

    Raises:
        AispError: the code is not CUDA_SUCCESS; named with the driver's own explanation.
    """
    code, *results = answer
    if int(code) != 0:
        _, words = _driver().cuGetErrorString(code)
        said = words.decode() if isinstance(words, bytes) else "no explanation"
        raise AispError(f"{doing}: {getattr(code, 'name', code)} ({said})")
    return results[0] if results else None
