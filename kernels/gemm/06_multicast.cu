// C = A B^T, sixth rung: clusters of two blocks that share what they read.
//
// New: two blocks, one above the other, need the same block of B. Each fetches one half of it and the copy engine writes it
// into both (multicast), so that a block of 128 x 256 reads 32 instead of 48 KiB a block of k from the L2 cache. A stage is free
// once the consumers of both have read it, and no block may leave while the other still writes to it or reports to it.

#include "gemm/cluster.cuh"
#include "gemm/epilogue.cuh"
#include "gemm/order.cuh"

constexpr int M = 128, N = 256, STAGES = 4, CONSUMERS = 2, THREADS = (1 + CONSUMERS) * ptx::GROUP;
constexpr int BAND = 8;  // clusters, of two tiles each: 2048 rows as before

template <typename T>
__device__ __forceinline__ void gemm_tiles(const CUtensorMap& a, const CUtensorMap& b, int k, const gemm::Output<T>& out) {
    using Ring = gemm::Ring<T, M, N, STAGES>;
    Ring& ring = gemm::shared_memory<Ring>();
    const int blocks = (k + gemm::BLOCK_K - 1) / gemm::BLOCK_K, group = threadIdx.x / ptx::GROUP;
    const int rows = (out.m + gemm::CLUSTER * M - 1) / (gemm::CLUSTER * M), columns = (out.n + N - 1) / N;
    const int first = blockIdx.x / gemm::CLUSTER, step = gridDim.x / gemm::CLUSTER, own_row = M * ptx::block_in_cluster();
    if (threadIdx.x == 0) ring.init(CONSUMERS * gemm::CLUSTER);
    ptx::meet_cluster();
    gemm::Position<STAGES> at;
    if (group == 0) {
        ptx::shrink_to<40>();
        if (threadIdx.x == 0) {
            for (int index = first; index < rows * columns; index += step) {
                const gemm::Tile tile = gemm::tile_at(index, rows, columns, BAND);
                gemm::produce_for_cluster(a, b, ring, at, tile.row * gemm::CLUSTER * M + own_row, tile.column * N, N, blocks);
            }
        }
    } else {
        ptx::grow_to<232>();
        const int mine = 64 * (group - 1) + own_row;
        for (int index = first; index < rows * columns; index += step) {
            const gemm::Tile tile = gemm::tile_at(index, rows, columns, BAND);
            float d[N / 2];
            gemm::consume<N>(d, ring, at, 64 * (group - 1), blocks, gemm::give_back_to_cluster);
            gemm::store<T, N>(d, out, tile.row * gemm::CLUSTER * M + mine, tile.column * N);
        }
    }
    ptx::sync_cluster();  // all threads, so that none returns early
}

#define KERNEL(name, T)                                                                                           \
    extern "C" __global__ void __launch_bounds__(THREADS, 1)                                                      \
    name(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b, int k,                     \
         const __grid_constant__ gemm::Output<T> out) {                                                           \
        gemm_tiles(a, b, k, out);                                                                                 \
    }

KERNEL(gemm_multicast_bf16, __nv_bfloat16)
KERNEL(gemm_multicast_fp16, __half)
