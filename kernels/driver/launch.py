"""Loads cubins and launches their kernels through the CUDA driver, on PyTorch's streams and tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ..building.nvcc import architecture, cubin
from .arguments import Argument, Cell, Table, fp32, int32, int64, pointer
from .binding import binding, checked

__all__ = [
    "Argument",
    "Cell",
    "Dimensions",
    "Kernel",
    "Shape",
    "fp32",
    "int32",
    "int64",
    "kernel",
    "loaded",
    "pointer",
    "sm_count",
]

Dimensions = int | tuple[int, int] | tuple[int, int, int]
"""A grid's, block's or cluster's extent in x, in x and y, or in x, y and z."""

STATIC_SHARED_BYTES = 48 << 10
"""The shared memory that a block gets without asking for more."""
PORTABLE_CLUSTER = 8
"""How many blocks a cluster may have on every GPU that supports clusters."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How blocks are launched, whatever their number.

    Args:
        block: threads.
        shared: dynamic shared memory of a block in bytes, up to what the device allows (227 KiB on Hopper).
        cluster: blocks that run at the same time on neighbouring multiprocessors; each extent divides the grid's.
        cooperative: all blocks run at the same time, so that the grid may wait for itself.
        programmatic: may start before the kernel ahead of it on the stream has ended; griddepcontrol.wait waits for its memory.
    """

    block: Dimensions
    shared: int = 0
    cluster: Dimensions = 1
    cooperative: bool = False
    programmatic: bool = False


class Kernel:
    """A kernel of a loaded cubin, on the device that was current when it was loaded."""

    def __init__(self, function: Any, name: str) -> None:
        self._function, self.name = function, name
        self._allowed: set[tuple[int, int]] = set()

    def launch(
        self,
        grid: Dimensions,
        shape: Shape | Dimensions,
        arguments: Sequence[Argument | Cell],
        stream: int | None = None,
    ) -> None:
        """Enqueue `grid` blocks on `stream`, a handle as `torch.cuda.Stream.cuda_stream` is; None is PyTorch's current one.

        On a stream that is capturing, the launch becomes part of the graph. `arguments` must be those of the kernel's
        signature, in order and
        type: the driver cannot check them. `shape` may be the block's extent alone.

        Raises:
            AispError: the driver refuses the launch.
        """
        shape = shape if isinstance(shape, Shape) else Shape(shape)
        self._allow(shape)
        config, table = self._config(grid, shape, stream), Table(arguments)
        checked(binding().cuLaunchKernelEx(config, self._function, table.address, 0), f"launching {self.name}")

    def clusters_at_once(self, shape: Shape) -> int:
        """How many clusters of this shape can run at the same time on the device: they lie within its groups of multiprocessors.

        Raises:
            AispError: the driver cannot tell.
        """
        self._allow(shape)
        config = self._config(shape.cluster, shape, None)
        doing = f"asking how many clusters of {self.name} run at once"
        return int(checked(binding().cuOccupancyMaxActiveClusters(self._function, config), doing))

    def _config(self, grid: Dimensions, shape: Shape, stream: int | None) -> Any:
        driver = binding()
        config = driver.CUlaunchConfig()
        config.gridDimX, config.gridDimY, config.gridDimZ = _extent(grid)
        config.blockDimX, config.blockDimY, config.blockDimZ = _extent(shape.block)
        config.sharedMemBytes = shape.shared
        config.hStream = driver.CUstream(_current_stream() if stream is None else stream)
        attributes = list(_attributes(driver, shape))
        if attributes:
            config.attrs = attributes
        config.numAttrs = len(attributes)
        return config

    def _allow(self, shape: Shape) -> None:
        """Raise the function's limits once, if the shape exceeds what every device grants by default."""
        blocks = _blocks(shape.cluster)
        wanted = shape.shared * (shape.shared > STATIC_SHARED_BYTES), blocks * (blocks > PORTABLE_CLUSTER)
        if wanted in self._allowed:
            return
        driver = binding()
        names = driver.CUfunction_attribute
        if wanted[0]:
            self._set(names.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, shape.shared)
        if wanted[1]:
            self._set(names.CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1)
        self._allowed.add(wanted)

    def _set(self, attribute: Any, value: int) -> None:
        doing = f"allowing {self.name} {getattr(attribute, 'name', attribute)} {value}"
        checked(binding().cuFuncSetAttribute(self._function, attribute, value), doing)


def kernel(source: Path, name: str) -> Kernel:
    """The `extern "C"` kernel `name` of a CUDA source, compiled for PyTorch's current device and loaded once.

    Raises:
        EnvironmentLacks: cuda-bindings is missing, or as `building.nvcc.cubin`.
        AispError: nvcc rejects the source, or the driver the cubin.
    """
    import torch

    torch.cuda.init()  # makes current the device's primary context, into which the library is loaded
    device = torch.cuda.current_device()
    return _loaded(cubin(source, architecture(*torch.cuda.get_device_capability(device))), name, device)


def loaded(source: Path, name: str) -> Kernel:
    """`kernel`, looked up once for each device: that reads all sources, and takes a millisecond."""
    import torch

    return _looked_up(source, name, torch.cuda.current_device())


def sm_count() -> int:
    """Multiprocessors of PyTorch's current CUDA device."""
    import torch

    return int(torch.cuda.get_device_properties(torch.cuda.current_device()).multi_processor_count)


def _extent(dimensions: Dimensions) -> tuple[int, int, int]:
    x, y, z = (*((dimensions,) if isinstance(dimensions, int) else dimensions), 1, 1)[:3]
    return x, y, z


def _blocks(cluster: Dimensions) -> int:
    x, y, z = _extent(cluster)
    return x * y * z


def _attributes(driver: Any, shape: Shape) -> Iterator[Any]:
    names = driver.CUlaunchAttributeID
    if _blocks(shape.cluster) > 1:
        cluster = driver.CUlaunchAttribute()
        cluster.id = names.CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION
        cluster.value.clusterDim.x, cluster.value.clusterDim.y, cluster.value.clusterDim.z = _extent(shape.cluster)
        yield cluster
    if shape.cooperative:
        cooperative = driver.CUlaunchAttribute()
        cooperative.id, cooperative.value.cooperative = names.CU_LAUNCH_ATTRIBUTE_COOPERATIVE, 1
        yield cooperative
    if shape.programmatic:
        early = driver.CUlaunchAttribute()
        early.id = names.CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION
        early.value.programmaticStreamSerializationAllowed = 1
        yield early


def _current_stream() -> int:
    import torch

    return int(torch.cuda.current_stream().cuda_stream)


@cache
def _looked_up(source: Path, name: str, device: int) -> Kernel:
    return kernel(source, name)


@cache
def _loaded(path: Path, name: str, device: int) -> Kernel:
    driver = binding()
    library = checked(driver.cuLibraryLoadData(path.read_bytes(), None, None, 0, None, None, 0), f"loading {path.name}")
    handle = checked(driver.cuLibraryGetKernel(library, name.encode()), f"finding {name} in {path.name}")
    return Kernel(checked(driver.cuKernelGetFunction(handle), f"loading {name}"), name)
