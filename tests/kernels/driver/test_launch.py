"""Launching without a GPU: what is missing is said, codes are checked, and the driver is asked for what the shape says."""

from __future__ import annotations

import ctypes
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from aisp_prof.errors import AispError, EnvironmentLacks
from aisp_prof.kernels.driver.arguments import TensorMap
from aisp_prof.kernels.driver.binding import binding, checked
from aisp_prof.kernels.driver.launch import Dimensions, Kernel, Shape, int32, int64
from fake_driver import install

SHARED, WIDE_CLUSTER = "shared", "wide cluster"


class Code(int):
    name = "CUDA_ERROR_INVALID_VALUE"


class Driver:
    """Keeps every launch with the values its parameters pointed to, and every attribute that was set."""

    def __init__(self) -> None:
        self.launches: list[tuple[Any, list[int]]] = []
        self.set: list[tuple[str, str, int]] = []
        self.sizes: tuple[int, ...] = ()
        self.CUfunction_attribute = SimpleNamespace(
            CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES=SHARED,
            CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED=WIDE_CLUSTER,
        )
        names = ("CLUSTER_DIMENSION", "COOPERATIVE", "PROGRAMMATIC_STREAM_SERIALIZATION")
        self.CUlaunchAttributeID = SimpleNamespace(**{f"CU_LAUNCH_ATTRIBUTE_{name}": name for name in names})
        self.CUlaunchConfig = SimpleNamespace
        self.CUstream = lambda handle: ("stream", handle)

    def CUlaunchAttribute(self) -> SimpleNamespace:
        return SimpleNamespace(value=SimpleNamespace(clusterDim=SimpleNamespace()))

    def cuFuncSetAttribute(self, function: str, attribute: str, value: int) -> tuple[int]:
        self.set.append((function, attribute, value))
        return (0,)

    def cuLaunchKernelEx(self, config: Any, function: str, table: int, extra: int) -> tuple[int]:
        cells = (ctypes.c_void_p * len(self.sizes)).from_address(table)
        values = [
            int.from_bytes(ctypes.string_at(cell, size), "little") for cell, size in zip(cells, self.sizes, strict=True)
        ]
        self.launches.append((config, values))
        return (0,)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    found = Driver()
    install(monkeypatch, found)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: SimpleNamespace(cuda_stream=55))
    return found


def test_cuda_bindings_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    with pytest.raises(EnvironmentLacks, match="cuda-bindings is not installed"):
        binding()


def test_every_code_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, SimpleNamespace(cuGetErrorString=lambda code: (0, b"invalid argument")))
    assert checked((0,), "launching k") is None
    assert checked((0, "handle"), "loading k") == "handle"
    with pytest.raises(AispError, match=r"launching k: CUDA_ERROR_INVALID_VALUE \(invalid argument\)"):
        checked((Code(1),), "launching k")


@pytest.mark.parametrize(
    ("given", "extent"), [(7, (7, 1, 1)), ((7, 2), (7, 2, 1)), ((7, 2, 3), (7, 2, 3)), ((1, 1, 9), (1, 1, 9))]
)
def test_grids_and_blocks_have_up_to_three_dimensions(
    driver: Driver, given: Dimensions, extent: tuple[int, int, int]
) -> None:
    Kernel("f", "k").launch(given, 128, ())
    Kernel("f", "k").launch(5, given, ())
    (first, _), (second, _) = driver.launches
    assert (first.gridDimX, first.gridDimY, first.gridDimZ) == extent
    assert (first.blockDimX, first.blockDimY, first.blockDimZ) == (128, 1, 1)
    assert (second.gridDimX, second.gridDimY, second.gridDimZ) == (5, 1, 1)
    assert (second.blockDimX, second.blockDimY, second.blockDimZ) == extent


def test_a_plain_launch_asks_for_nothing_else(driver: Driver) -> None:
    Kernel("f", "k").launch(1, 32, ())
    ((config, _),) = driver.launches
    assert (config.numAttrs, config.sharedMemBytes, config.hStream) == (0, 0, ("stream", 55))
    assert driver.set == []


def test_the_stream_may_be_another_than_the_current_one(driver: Driver) -> None:
    for stream in (77, 0):
        Kernel("f", "k").launch(1, 32, (), stream)
    assert [config.hStream for config, _ in driver.launches] == [("stream", 77), ("stream", 0)]


def test_what_the_shape_says_becomes_attributes(driver: Driver) -> None:
    Kernel("f", "k").launch(8, Shape(384, cluster=(2, 1), cooperative=True, programmatic=True), ())
    ((config, _),) = driver.launches
    cluster, cooperative, early = config.attrs
    assert config.numAttrs == 3
    assert (cluster.id, vars(cluster.value.clusterDim)) == ("CLUSTER_DIMENSION", {"x": 2, "y": 1, "z": 1})
    assert (cooperative.id, cooperative.value.cooperative) == ("COOPERATIVE", 1)
    assert early.id == "PROGRAMMATIC_STREAM_SERIALIZATION"
    assert early.value.programmaticStreamSerializationAllowed == 1


def test_limits_are_raised_once_and_only_where_they_must(driver: Driver) -> None:
    kernel = Kernel("f", "k")
    for shared in (48 << 10, 200 << 10, 200 << 10, 64 << 10):
        kernel.launch(1, Shape(128, shared), ())
    assert driver.set == [("f", SHARED, 200 << 10), ("f", SHARED, 64 << 10)]
    assert [config.sharedMemBytes >> 10 for config, _ in driver.launches] == [48, 200, 200, 64]
    driver.set.clear()
    for cluster in (8, 16, (4, 4)):
        kernel.launch(16, Shape(128, cluster=cluster), ())
    assert driver.set == [("f", WIDE_CLUSTER, 1)]


def test_a_tensor_map_is_passed_by_value(driver: Driver) -> None:
    opaque = TensorMap((ctypes.c_uint64 * 16)(*range(1, 17)))
    driver.sizes = (8, 128, 4)
    Kernel("f", "k").launch(1, 32, (int64(1 << 40), opaque, int32(9)))
    ((_, values),) = driver.launches
    assert values == [1 << 40, int.from_bytes(bytes(opaque), "little"), 9]
