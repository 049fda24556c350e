// C = A B^T, second rung: the copy engine (TMA) brings a block of k, and a warp group multiplies it where it lies (wgmma).
//
// New: no fragments, no addresses, no bounds in the main loop; a tensor map knows the matrix, a descriptor the tile. There is
// one stage: copy, wait, multiply, wait. Only another block on the same multiprocessor fills the gaps (two fit, by registers).
//
// New because of that: the tile is 128 x 128, of one warp group, which has 128 sums a thread as before.

#include "gemm/epilogue.cuh"
#include "gemm/ring.cuh"
#include "ptx/group.cuh"

constexpr int M = 128, N = 128;

template <typename T>
__device__ __forceinline__ void gemm_tile(const CUtensorMap& a, const CUtensorMap& b, int k, const gemm::Output<T>& out) {
    using Stage = gemm::Ring<T, M, N, 1>;
    Stage& stage = gemm::shared_memory<Stage>();
    const int row = blockIdx.x * M, column = blockIdx.y * N, blocks = (k + gemm::BLOCK_K - 1) / gemm::BLOCK_K;
    if (threadIdx.x == 0) stage.init(1);
    __syncthreads();
    float d[2][N / 2];  // 64 rows each
#pragma unroll 1
    for (int block = 0; block < blocks; ++block) {
        if (threadIdx.x == 0) {
            ptx::arrive_expecting(&stage.full[0], Stage::STAGE_BYTES);
            ptx::load_box(stage.a[0], a, block * gemm::BLOCK_K, row, &stage.full[0]);
            ptx::load_box(stage.b[0], b, block * gemm::BLOCK_K, column, &stage.full[0]);
        }
        ptx::wait(&stage.full[0], block % 2);  // one phase a block
        ptx::wgmma_begin();
        gemm::multiply<T, N>(d[0], stage.a[0], stage.b[0], block > 0);
        gemm::multiply<T, N>(d[1], stage.a[0] + 64 * gemm::BLOCK_K, stage.b[0], block > 0);
        ptx::wgmma_commit();
        ptx::wgmma_wait<0>();
        __syncthreads();  // all four warps have read the stage
    }
    gemm::store<T, N>(d[0], out, row, column);
    gemm::store<T, N>(d[1], out, row + 64, column);
}

#define KERNEL(name, T)                                                                                           \
    extern "C" __global__ void __launch_bounds__(ptx::GROUP)                                                      \
    name(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b, int k,                     \
         const __grid_constant__ gemm::Output<T> out) {                                                           \
        gemm_tile(a, b, k, out);                                                                                  \
    }

KERNEL(gemm_wgmma_bf16, __nv_bfloat16)
KERNEL(gemm_wgmma_fp16, __half)
