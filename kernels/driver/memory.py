"""Device memory from the driver itself: immediately, which may wait for the device, or in stream order from a pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from ...errors import EnvironmentLacks
from .binding import binding, checked

NAN_BITS = 0x7FC00000
"""A NaN of fp32."""


class Memory(Protocol):
    """Where temporaries come from. `stream` is a handle, as `torch.cuda.Stream.cuda_stream` is."""

    def take(self, size: int, stream: int) -> int:
        """The address of `size` bytes that work enqueued on `stream` from now on may use."""
        ...

    def give(self, address: int, stream: int) -> None:
        """Free it once the work now on `stream` is done."""
        ...


class Immediate:
    """cuMemAlloc and cuMemFree: they belong to no stream, so freeing has to wait until the whole device is idle."""

    def __init__(self) -> None:
        self._driver = binding()

    def take(self, size: int, stream: int) -> int:
        return int(checked(self._driver.cuMemAlloc(size), "cuMemAlloc"))

    def give(self, address: int, stream: int) -> None:
        checked(self._driver.cuMemFree(address), "cuMemFree")


@dataclass(frozen=True, slots=True)
class PoolUse:
    """Bytes of a pool: how much device memory it holds, how much of that is allocated, and the peak of each."""

    reserved: int
    used: int
    reserved_high: int
    used_high: int


class Pool:
    """A pool of the current device that never returns memory on its own (its release threshold is the largest number).

    Raises:
        EnvironmentLacks: no cuda-bindings, or the device has no memory pools.
    """

    def __init__(self) -> None:
        import torch

        torch.cuda.init()
        self._driver = binding()
        self._streams: dict[int, Any] = {}
        device = torch.cuda.current_device()
        self._require(device)
        driver, properties = self._driver, self._driver.CUmemPoolProps()
        properties.allocType = driver.CUmemAllocationType.CU_MEM_ALLOCATION_TYPE_PINNED
        properties.location.type = driver.CUmemLocationType.CU_MEM_LOCATION_TYPE_DEVICE
        properties.location.id = device
        self._pool = checked(driver.cuMemPoolCreate(properties), "cuMemPoolCreate")
        threshold = driver.CUmemPool_attribute.CU_MEMPOOL_ATTR_RELEASE_THRESHOLD
        largest = driver.cuuint64_t(2**64 - 1)
        checked(driver.cuMemPoolSetAttribute(self._pool, threshold, largest), "cuMemPoolSetAttribute")

    def take(self, size: int, stream: int) -> int:
        answer = self._driver.cuMemAllocFromPoolAsync(size, self._pool, self._stream(stream))
        return int(checked(answer, "cuMemAllocFromPoolAsync"))

    def give(self, address: int, stream: int) -> None:
        checked(self._driver.cuMemFreeAsync(address, self._stream(stream)), "cuMemFreeAsync")

    def use(self) -> PoolUse:
        """What the pool holds now."""
        names = ("RESERVED_MEM_CURRENT", "USED_MEM_CURRENT", "RESERVED_MEM_HIGH", "USED_MEM_HIGH")
        return PoolUse(*(self._attribute(f"CU_MEMPOOL_ATTR_{name}") for name in names))

    def _attribute(self, name: str) -> int:
        attribute = getattr(self._driver.CUmemPool_attribute, name)
        return int(checked(self._driver.cuMemPoolGetAttribute(self._pool, attribute), "cuMemPoolGetAttribute"))

    def _stream(self, handle: int) -> Any:
        if handle not in self._streams:
            self._streams[handle] = self._driver.CUstream(handle)
        return self._streams[handle]

    def _require(self, device: int) -> None:
        supported = self._driver.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED
        if not checked(self._driver.cuDeviceGetAttribute(supported, device), "cuDeviceGetAttribute"):
            raise EnvironmentLacks("this GPU has no stream-ordered memory pools", "use one with a newer driver")


def fill_nan(address: int, n: int, stream: int) -> None:
    """Enqueue n fp32 NaNs at an address of the device."""
    driver = binding()
    checked(driver.cuMemsetD32Async(address, NAN_BITS, n, driver.CUstream(stream)), "cuMemsetD32Async")


def clear(address: int, n: int, stream: int) -> None:
    """Enqueue n fp32 or int32 elements of nought from `address` on."""
    driver = binding()
    checked(driver.cuMemsetD32Async(address, 0, n, driver.CUstream(stream)), "cuMemsetD32Async")
