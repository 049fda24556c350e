"""Memory and prepared launches with a driver that writes down what it is asked; and on a GPU what it does."""

from __future__ import annotations

import ctypes
import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from aisp_prof.errors import AispError, EnvironmentLacks
from aisp_prof.kernels.driver.launch import Kernel, fp32, int64
from aisp_prof.kernels.driver.memory import Immediate, Pool, PoolUse, fill_nan
from aisp_prof.kernels.driver.prepared import Prepared
from fake_driver import install

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: no device memory to take")


class Driver:
    """`asked` holds every call; addresses count up from 1000."""

    def __init__(self, pools: int = 1) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.pools, self.next, self.code = pools, 1000, 0
        self.CUmemAllocationType = SimpleNamespace(CU_MEM_ALLOCATION_TYPE_PINNED="pinned")
        self.CUmemLocationType = SimpleNamespace(CU_MEM_LOCATION_TYPE_DEVICE="device")
        self.CUdevice_attribute = SimpleNamespace(CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED="pools")
        names = ("RELEASE_THRESHOLD", "RESERVED_MEM_CURRENT", "RESERVED_MEM_HIGH", "USED_MEM_CURRENT", "USED_MEM_HIGH")
        self.CUmemPool_attribute = SimpleNamespace(**{f"CU_MEMPOOL_ATTR_{name}": name for name in names})
        self.CUmemPoolProps = lambda: SimpleNamespace(location=SimpleNamespace())
        self.cuuint64_t = int
        self.CUstream = lambda handle: ("stream", handle)

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> tuple[Any, ...]:
            self.asked.append((name, *arguments))
            return self.answer(name, arguments)

        return call

    def answer(self, name: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        if name == "cuGetErrorString":
            return 0, b"out of memory"
        if name == "cuDeviceGetAttribute":
            return 0, self.pools
        if name == "cuMemPoolGetAttribute":
            return 0, {"RESERVED_MEM_CURRENT": 4, "USED_MEM_CURRENT": 1, "RESERVED_MEM_HIGH": 8, "USED_MEM_HIGH": 2}[
                arguments[1]
            ]
        if name.startswith("cuMemAlloc"):
            self.next += 1
            return self.code, self.next
        return (self.code, "pool") if name == "cuMemPoolCreate" else (self.code,)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    found = Driver()
    install(monkeypatch, found)
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    return found


def test_immediate_memory_knows_no_stream(driver: Driver) -> None:
    memory = Immediate()
    memory.give(memory.take(4096, 77), 77)
    assert driver.asked == [("cuMemAlloc", 4096), ("cuMemFree", 1001)]


def test_a_pool_keeps_its_memory_and_follows_the_stream(driver: Driver) -> None:
    pool = Pool()
    driver_calls = {call[0]: call[1:] for call in driver.asked}
    assert driver_calls["cuMemPoolCreate"][0].location.id == 3
    assert driver_calls["cuMemPoolSetAttribute"] == ("pool", "RELEASE_THRESHOLD", 2**64 - 1)
    driver.asked.clear()
    pool.give(pool.take(4096, 77), 77)
    assert driver.asked == [
        ("cuMemAllocFromPoolAsync", 4096, "pool", ("stream", 77)),
        ("cuMemFreeAsync", 1001, ("stream", 77)),
    ]
    assert pool.use() == PoolUse(reserved=4, used=1, reserved_high=8, used_high=2)


def test_no_pools_is_said(driver: Driver) -> None:
    driver.pools = 0
    with pytest.raises(EnvironmentLacks, match="no stream-ordered memory pools"):
        Pool()


def test_no_memory_is_said(driver: Driver) -> None:
    memory = Immediate()
    driver.code = 2
    with pytest.raises(AispError, match=r"cuMemAlloc: 2 \(out of memory\)"):
        memory.take(1 << 60, 0)


def test_nan_is_written_as_bits(driver: Driver) -> None:
    fill_nan(5000, 12, 77)
    ((name, address, bits, n, stream),) = driver.asked
    assert (name, address, n, stream) == ("cuMemsetD32Async", 5000, 12, ("stream", 77))
    assert math.isnan(ctypes.c_float.from_buffer_copy(ctypes.c_uint32(bits)).value)


def test_a_prepared_launch_reads_its_cells_when_it_is_made(driver: Driver) -> None:
    cell, seen = ctypes.c_void_p(), []

    def submit(*call: Any) -> tuple[int]:
        table = (ctypes.c_void_p * 3).from_address(call[9])
        address = ctypes.c_void_p.from_address(table[0]).value
        numbers = ctypes.c_int64.from_address(table[1]).value, ctypes.c_float.from_address(table[2]).value
        seen.append((*call[:9], address, *numbers, call[10]))
        return (0,)

    driver.cuLaunchKernel = submit  # type: ignore[method-assign]
    prepared = Prepared(Kernel("function", "k"), (7, 2), 64, (cell, int64(1 << 40), fp32(0.5)), 77, shared=512)
    for address in (111, 222):
        cell.value = address
        prepared()
    launched = ("function", 7, 2, 1, 64, 1, 1, 512, ("stream", 77))
    assert seen == [(*launched, address, 1 << 40, 0.5, 0) for address in (111, 222)]


def test_a_refused_launch_is_said(driver: Driver) -> None:
    driver.code = 2
    with pytest.raises(AispError, match="launching k: 2"):
        Prepared(Kernel("function", "k"), (1, 1), 32, (), 0)()


@pytest.mark.gpu
@needs_gpu
def test_a_pool_hands_the_same_memory_out_again() -> None:
    pool, stream = Pool(), torch.cuda.Stream()
    for _ in range(100):
        pool.give(pool.take(8 << 20, stream.cuda_stream), stream.cuda_stream)
    torch.cuda.synchronize()
    use = pool.use()
    assert use.used == 0
    assert 8 << 20 <= use.reserved <= 64 << 20


@pytest.mark.gpu
@needs_gpu
def test_memory_of_the_driver_holds_what_is_written() -> None:
    from aisp_prof.kernels.driver.launch import int32, kernel, pointer
    from aisp_prof.kernels.elementwise import affine_chain

    n, stream = 10_000, torch.cuda.Stream()
    x = torch.arange(n, dtype=torch.float32, device="cuda")
    out = torch.empty_like(x)
    chain, cell = kernel(affine_chain.SOURCE, "affine_chain"), ctypes.c_void_p()
    grid = (-(-n // affine_chain.ELEMENTS_PER_BLOCK), 1)
    rest = (int64(n), fp32(2.0), fp32(1.0), int32(1))
    there = Prepared(chain, grid, affine_chain.THREADS, (pointer(x), cell, *rest), stream.cuda_stream)
    back = Prepared(chain, grid, affine_chain.THREADS, (cell, pointer(out), *rest), stream.cuda_stream)
    torch.cuda.synchronize()
    for memory in (Immediate(), Pool()):
        out.zero_()
        torch.cuda.synchronize()
        cell.value = memory.take(4 * n, stream.cuda_stream)
        fill_nan(cell.value, n, stream.cuda_stream)
        there()
        back()
        memory.give(cell.value, stream.cuda_stream)
        torch.cuda.synchronize()
        assert torch.equal(out, 2 * (2 * x + 1) + 1)
