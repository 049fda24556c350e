// C = A B^T, third rung: a ring of four stages, so that copies run ahead of the multiplication.
//
// New: while one block of k is multiplied, the next ones are on their way. A stage's barrier says when it is full; that it is
// empty again the group knows itself, for it waits for its own wgmma of one block before. Four stages are 128 KiB: there is
// no room for a second block on the multiprocessor any more, nor need of one.

#include "gemm/epilogue.cuh"
#include "gemm/ring.cuh"
#include "ptx/group.cuh"

constexpr int M = 128, N = 128, STAGES = 4;

template <typename T>
__device__ __forceinline__ void gemm_tile(const CUtensorMap& a, const CUtensorMap& b, int k, const gemm::Output<T>& out) {
    using Ring = gemm::Ring<T, M, N, STAGES>;
    Ring& ring = gemm::shared_memory<Ring>();
    const int row = blockIdx.x * M, column = blockIdx.y * N, blocks = (k + gemm::BLOCK_K - 1) / gemm::BLOCK_K;
    const auto request = [&](int block) {
        if (threadIdx.x == 0 && block < blocks) {
            const int stage = block % STAGES;
            ptx::arrive_expecting(&ring.full[stage], Ring::STAGE_BYTES);
            ptx::load_box(ring.a[stage], a, block * gemm::BLOCK_K, row, &ring.full[stage]);
            ptx::load_box(ring.b[stage], b, block * gemm::BLOCK_K, column, &ring.full[stage]);
        }
    };
    if (threadIdx.x == 0) ring.init(1);
    __syncthreads();
#pragma unroll 1
    for (int block = 0; block < STAGES - 1; ++block) request(block);
    float d[2][N / 2];
    gemm::Position<STAGES> at;
#pragma unroll 1
    for (int block = 0; block < blocks; ++block, at.advance()) {
        ptx::wait(&ring.full[at.stage], at.parity);
        ptx::wgmma_begin();
        gemm::multiply<T, N>(d[0], ring.a[at.stage], ring.b[at.stage], block > 0);
        gemm::multiply<T, N>(d[1], ring.a[at.stage] + 64 * gemm::BLOCK_K, ring.b[at.stage], block > 0);
        ptx::wgmma_commit();
        ptx::wgmma_wait<1>();  // the block before is done in all warps after the barrier: its stage is the next to be filled
        __syncthreads();
        request(block + STAGES - 1);
    }
    ptx::wgmma_wait<0>();
    gemm::store<T, N>(d[0], out, row, column);
    gemm::store<T, N>(d[1], out, row + 64, column);
}

#define KERNEL(name, T)                                                                                           \
    extern "C" __global__ void __launch_bounds__(ptx::GROUP)                                                      \
    name(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b, int k,                     \
         const __grid_constant__ gemm::Output<T> out) {                                                           \
        gemm_tile(a, b, k, out);                                                                                  \
    }

KERNEL(gemm_ring_bf16, __nv_bfloat16)
KERNEL(gemm_ring_fp16, __half)
