// C = A B^T in tiles of 128 x 256 by two warp groups of 64 rows each, a tile a block: with roles, and without.
//
// The two differ in one thing. Without roles the groups meet after every block of k, and a thread of theirs asks for the copies;
// with a producer group nobody waits for the whole block, and each consumer gives a stage back by itself. Tiles, stages and the
// order of tiles are those of the ladder's fifth rung, whose blocks stay besides.

#include "gemm/epilogue.cuh"
#include "gemm/order.cuh"
#include "gemm/ring.cuh"
#include "ptx/group.cuh"

constexpr int M = 128, N = 256, STAGES = 4, GROUPS = 2, BAND = 16;

template <typename Ring>
__device__ __forceinline__ void request(const CUtensorMap& a, const CUtensorMap& b, Ring& ring, int stage, int block, int row,
                                        int column) {
    ptx::arrive_expecting(&ring.full[stage], Ring::STAGE_BYTES);
    ptx::load_box(ring.a[stage], a, block * gemm::BLOCK_K, row, &ring.full[stage]);
    ptx::load_box(ring.b[stage], b, block * gemm::BLOCK_K, column, &ring.full[stage]);
}

__device__ __forceinline__ gemm::Tile own_tile(int m, int n) {
    return gemm::tile_at(blockIdx.x, (m + M - 1) / M, (n + N - 1) / N, BAND);
}

// Without bias and GELU, for which there is no register left.
__device__ __forceinline__ void store(float (&d)[N / 2], const gemm::Output<__nv_bfloat16>& out, int row, int column) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32 % 4;
    row += 16 * warp + lane / 4;
    column += 2 * (lane % 4);
#pragma unroll
    for (int at = 0; at < N / 2; at += 4) {
        gemm::store_pair(out, row, column + 2 * at, d[at], d[at + 1]);
        gemm::store_pair(out, row + 8, column + 2 * at, d[at + 2], d[at + 3]);
    }
}

extern "C" __global__ void __launch_bounds__(GROUPS* ptx::GROUP, 1)
    gemm_wide_ring(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b, int k,
                   const __grid_constant__ gemm::Output<__nv_bfloat16> out) {
    using Ring = gemm::Ring<__nv_bfloat16, M, N, STAGES>;
    Ring& ring = gemm::shared_memory<Ring>();
    const gemm::Tile tile = own_tile(out.m, out.n);
    const int row = tile.row * M, column = tile.column * N, mine = 64 * (threadIdx.x / ptx::GROUP);
    const int blocks = (k + gemm::BLOCK_K - 1) / gemm::BLOCK_K;
    if (threadIdx.x == 0) ring.init(1);
    __syncthreads();
#pragma unroll 1
    for (int block = 0; block < STAGES - 1; ++block) {
        if (threadIdx.x == 0 && block < blocks) request(a, b, ring, block, block, row, column);
    }
    float d[N / 2];
    gemm::Position<STAGES> at;
#pragma unroll 1
    for (int block = 0; block < blocks; ++block, at.advance()) {
        ptx::wait(&ring.full[at.stage], at.parity);
        ptx::wgmma_begin();
        gemm::multiply<__nv_bfloat16, N>(d, ring.a[at.stage] + mine * gemm::BLOCK_K, ring.b[at.stage], block > 0);
        ptx::wgmma_commit();
        ptx::wgmma_wait<1>();  // the block before is done in both groups after the barrier: its stage is the next to be filled
        __syncthreads();
        const int next = block + STAGES - 1;
        if (threadIdx.x == 0 && next < blocks) request(a, b, ring, next % STAGES, next, row, column);
    }
    ptx::wgmma_wait<0>();
    store(d, out, row + mine, column);
}

extern "C" __global__ void __launch_bounds__((1 + GROUPS) * ptx::GROUP, 1)
    gemm_wide_roles(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b, int k,
                    const __grid_constant__ gemm::Output<__nv_bfloat16> out) {
    using Ring = gemm::Ring<__nv_bfloat16, M, N, STAGES>;
    Ring& ring = gemm::shared_memory<Ring>();
    const gemm::Tile tile = own_tile(out.m, out.n);
    const int row = tile.row * M, column = tile.column * N, group = threadIdx.x / ptx::GROUP;
    const int blocks = (k + gemm::BLOCK_K - 1) / gemm::BLOCK_K;
    if (threadIdx.x == 0) ring.init(GROUPS);
    __syncthreads();
    gemm::Position<STAGES> at;
    if (group == 0) {
        ptx::shrink_to<40>();
        if (threadIdx.x != 0) return;
#pragma unroll 1
        for (int block = 0; block < blocks; ++block, at.advance()) {
            ptx::wait(&ring.empty[at.stage], at.parity ^ 1);
            request(a, b, ring, at.stage, block, row, column);
        }
    } else {
        ptx::grow_to<232>();
        const int mine = 64 * (group - 1);
        float d[N / 2];
        gemm::consume<N>(d, ring, at, mine, blocks, [](uint64_t* empty) {
            if (threadIdx.x % ptx::GROUP == 0) ptx::arrive(empty);
        });
        store(d, out, row + mine, column);
    }
}
