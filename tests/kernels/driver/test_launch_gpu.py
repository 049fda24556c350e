"""Launches on a GPU, of kernels that tell how they were launched."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from aisp_prof.errors import AispError
from aisp_prof.kernels.driver.launch import Kernel, Shape, int32, kernel, pointer, sm_count
from aisp_prof.kernels.driver.tensor_map import tiled

SOURCE = r"""
#include <cooperative_groups.h>
#include <cuda.h>
#include <cstdint>

// every thread writes its number, counted through grid and block
extern "C" __global__ void number_of(int* out) {
    const int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    const int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    out[block * blockDim.x * blockDim.y * blockDim.z + thread] = block * 1000 + thread;
}

extern "C" __global__ void shared_bytes(int* out) {
    extern __shared__ int held[];
    uint32_t bytes;
    asm volatile("mov.u32 %0, %%dynamic_smem_size;" : "=r"(bytes));
    for (int at = threadIdx.x; at < bytes / 4; at += blockDim.x) held[at] = at;
    __syncthreads();
    if (threadIdx.x == 0) *out = held[bytes / 4 - 1];
}

extern "C" __global__ void cluster_of(int* out) {
    uint32_t x, y, rank;
    asm volatile("mov.u32 %0, %%cluster_nctaid.x;" : "=r"(x));
    asm volatile("mov.u32 %0, %%cluster_nctaid.y;" : "=r"(y));
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    if (threadIdx.x == 0) out[blockIdx.x + gridDim.x * blockIdx.y] = x * 10000 + y * 100 + rank;
}

// every block adds one, and sees after the barrier what all have added
extern "C" __global__ void all_of(int* count, int* out) {
    if (threadIdx.x == 0) atomicAdd(count, 1);
    cooperative_groups::this_grid().sync();
    if (threadIdx.x == 0) out[blockIdx.x] = *reinterpret_cast<volatile int*>(count);
}

extern "C" __global__ void slowly(int* out, int value) {
    asm volatile("griddepcontrol.launch_dependents;");
    for (int at = 0; at < 2000; ++at) __nanosleep(1000);
    *out = value;
}

extern "C" __global__ void after(const int* in, int* out) {
    asm volatile("griddepcontrol.wait;" ::: "memory");
    *out = *reinterpret_cast<const volatile int*>(in) + 1;
}

// the box of 8 x 8 at (x, y), as the map says
extern "C" __global__ void box(const __grid_constant__ CUtensorMap map, int x, int y, float* out) {
    __shared__ alignas(128) float held[64];
    __shared__ uint64_t full;
    const uint32_t bar = __cvta_generic_to_shared(&full), to = __cvta_generic_to_shared(held);
    if (threadIdx.x == 0) {
        asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;\nfence.mbarrier_init.release.cluster;" ::"r"(bar) : "memory");
        asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], 256;" ::"r"(bar) : "memory");
        asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];"
                     ::"r"(to), "l"(&map), "r"(x), "r"(y), "r"(bar) : "memory");
    }
    __syncthreads();
    asm volatile("{\n.reg .pred done;\nagain:\nmbarrier.try_wait.parity.shared::cta.b64 done, [%0], 0;\n@!done bra again;\n}"
                 ::"r"(bar) : "memory");
    out[threadIdx.x] = held[threadIdx.x];
}
"""
ON_HOPPER = torch.cuda.is_available() and torch.cuda.get_device_capability() >= (9, 0)
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not ON_HOPPER, reason="no CUDA device of compute capability 9.0 or later"),
]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("kernels") / "told.cu"
    path.write_text(SOURCE)
    return path


def zeros(*shape: int) -> torch.Tensor:
    return torch.zeros(*shape, dtype=torch.int32, device="cuda")


def test_three_dimensions(source: Path) -> None:
    out = zeros(2 * 3 * 4, 5 * 6 * 7)
    kernel(source, "number_of").launch((2, 3, 4), (5, 6, 7), (pointer(out),))
    expected = torch.arange(24)[:, None] * 1000 + torch.arange(210)
    assert torch.equal(out.cpu(), expected.int())


def test_shared_memory_beyond_48_kib_and_too_much(source: Path) -> None:
    out, found = zeros(1), kernel(source, "shared_bytes")
    for kib in (16, 200, 100, 226):
        found.launch(1, Shape(256, kib << 10), (pointer(out),))
        assert out.item() == (kib << 10) // 4 - 1
    with pytest.raises(AispError, match="allowing shared_bytes"):
        found.launch(1, Shape(256, 300 << 10), (pointer(out),))
    found.launch(1, Shape(256, 200 << 10), (pointer(out),))  # the refusal left nothing behind
    assert out.item() == (200 << 10) // 4 - 1


@pytest.mark.parametrize("cluster", [(2, 1), (2, 4), (16, 1)])
def test_clusters_of_any_extent(source: Path, cluster: tuple[int, int]) -> None:
    out = zeros(8, 16)
    kernel(source, "cluster_of").launch((16, 8), Shape(32, cluster=cluster), (pointer(out),))
    x, y = cluster
    assert {value // 100 for value in out.flatten().tolist()} == {x * 100 + y}
    assert sorted(value % 100 for value in out.flatten().tolist()) == sorted(list(range(x * y)) * (128 // (x * y)))


def test_a_cooperative_grid_waits_for_itself(source: Path) -> None:
    blocks, count = sm_count(), zeros(1)
    out = zeros(blocks)
    found = kernel(source, "all_of")
    found.launch(blocks, Shape(1024, cooperative=True), (pointer(count), pointer(out)))
    assert (out == blocks).all()
    with pytest.raises(AispError, match="COOPERATIVE_LAUNCH_TOO_LARGE"):
        found.launch(100 * blocks, Shape(1024, cooperative=True), (pointer(count), pointer(out)))


def test_a_programmatic_launch_starts_early_and_waits_for_the_memory(source: Path) -> None:
    first, second = zeros(1), zeros(1)
    for value in range(1, 20):
        kernel(source, "slowly").launch(1, 1, (pointer(first), int32(value)))
        kernel(source, "after").launch(1, Shape(1, programmatic=True), (pointer(first), pointer(second)))
        assert second.item() == value + 1


@pytest.mark.parametrize(("x", "y"), [(0, 0), (8, 3), (12, 20), (-4, -2)])
def test_a_tensor_map_by_value(source: Path, x: int, y: int) -> None:
    whole = torch.arange(24 * 32, dtype=torch.float32, device="cuda").view(24, 32)[:, :20]
    out = torch.full((8, 8), float("nan"), device="cuda")
    kernel(source, "box").launch(1, 64, (tiled(whole, 8, 8, swizzle=0), int32(x), int32(y), pointer(out)))
    padded = torch.nn.functional.pad(whole, (8, 8, 8, 8))  # what lies outside is read as zeros
    assert torch.equal(out, padded[y + 8 : y + 16, x + 8 : x + 16])


def test_another_stream_and_a_graph(source: Path) -> None:
    found: Kernel = kernel(source, "number_of")
    side, out = torch.cuda.Stream(), zeros(4)
    torch.cuda.synchronize()
    found.launch(1, 4, (pointer(out),), side.cuda_stream)
    side.synchronize()
    assert out.tolist() == [0, 1, 2, 3]
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found.launch(1, Shape(4, cooperative=True), (pointer(out),))
    out.zero_()
    graph.replay()
    torch.cuda.synchronize()
    assert out.tolist() == [0, 1, 2, 3]
