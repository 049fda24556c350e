// C = A B^T, seventh rung: the copy engine stores the tile too, while the next one is multiplied.
//
// New: a consumer group lays its sums down in shared memory, 64 columns at a time, and goes on; how long device memory takes is
// no longer its concern. Tiles are 256, 192 or 128 columns wide, whichever leaves fewest multiprocessors idle in the last round.

#include "gemm/cluster.cuh"
#include "gemm/epilogue.cuh"
#include "gemm/order.cuh"
#include "ptx/warp_mma.cuh"

#ifndef GEMM_STAGES
#define GEMM_STAGES 4
#define GEMM_BUFFERS 2
#endif
#ifndef GEMM_BAND
#define GEMM_BAND 8
#endif

constexpr int M = 128, CONSUMERS = 2, THREADS = (1 + CONSUMERS) * ptx::GROUP;
constexpr int BAND = GEMM_BAND;          // clusters
constexpr int PIECE = 64;                // columns: a row of a piece is 128 bytes
constexpr int BUFFERS = GEMM_BUFFERS;    // pieces of a group that the copy engine may still be reading

template <typename T, int N, int STAGES>
struct Shared {
    gemm::Ring<T, M, N, STAGES> ring;
    alignas(1024) T pieces[CONSUMERS][BUFFERS][64 * PIECE];
};

// 64 x 64 of the sums, from column 64 * `number` of `d` on, with the swizzle that the map of C undoes.
template <typename T, int COUNT>
__device__ __forceinline__ void lay_down(T* piece, const float (&d)[COUNT], int number) {
    const int lane = threadIdx.x % 32, row = threadIdx.x / 32 % 4 * 16 + lane % 16;
#pragma unroll
    for (int chunk = 0; chunk < 8; chunk += 2) {  // of 8 columns; a thread's four pairs are those of 16 x 16
        const float* const from = d + 4 * (8 * number + chunk);
        ptx::store_matrices(piece + row * PIECE + ((chunk + lane / 16) ^ row % 8) * 8, gemm::pair<T>(from[0], from[1]),
                            gemm::pair<T>(from[2], from[3]), gemm::pair<T>(from[4], from[5]),
                            gemm::pair<T>(from[6], from[7]));
    }
}

template <typename T, int N>
__device__ __forceinline__ void store(float (&d)[N / 2], T (&pieces)[BUFFERS][64 * PIECE], const CUtensorMap& c,
                                      const gemm::Output<T>& out, int row, int column) {
    const int group = threadIdx.x / ptx::GROUP;
    const bool leader = threadIdx.x % ptx::GROUP == 0;
    gemm::bias_gelu(d, out.bias, out.gelu, column + 2 * (threadIdx.x % 4), out.n);
#pragma unroll
    for (int number = 0; number < N / PIECE; ++number) {
        T* const piece = pieces[number % BUFFERS];
        if (leader) ptx::wait_until_read<BUFFERS - 1>();
        ptx::sync_group(group);
        lay_down(piece, d, number);
        ptx::publish_to_copy_engine();
        ptx::sync_group(group);
        if (leader) {
            ptx::store_box(c, column + number * PIECE, row, piece);
            ptx::commit_stores();
        }
    }
}

template <int N, int STAGES, typename T>
__device__ __forceinline__ void gemm_tiles(const CUtensorMap& a, const CUtensorMap& b, const CUtensorMap& c, int k,
                                           const gemm::Output<T>& out) {
    auto& shared = gemm::shared_memory<Shared<T, N, STAGES>>();
    const int blocks = (k + gemm::BLOCK_K - 1) / gemm::BLOCK_K, group = threadIdx.x / ptx::GROUP;
    const int rows = (out.m + gemm::CLUSTER * M - 1) / (gemm::CLUSTER * M), columns = (out.n + N - 1) / N;
    const int first = blockIdx.x / gemm::CLUSTER, step = gridDim.x / gemm::CLUSTER, own_row = M * ptx::block_in_cluster();
    if (threadIdx.x == 0) shared.ring.init(CONSUMERS * gemm::CLUSTER);
    ptx::sync_cluster();
    gemm::Position<STAGES> at;
    if (group == 0) {
        ptx::shrink_to<40>();
        if (threadIdx.x == 0) {
            for (int index = first; index < rows * columns; index += step) {
                const gemm::Tile tile = gemm::tile_at(index, rows, columns, BAND);
                gemm::produce_for_cluster(a, b, shared.ring, at, tile.row * gemm::CLUSTER * M + own_row, tile.column * N,
                                          blocks);
            }
        }
    } else {
        ptx::grow_to<232>();
        const int mine = 64 * (group - 1);
        for (int index = first; index < rows * columns; index += step) {
            const gemm::Tile tile = gemm::tile_at(index, rows, columns, BAND);
            float d[N / 2];
            gemm::consume<T, M, N>(d, shared.ring, at, mine, blocks, gemm::give_back_to_cluster);
            store<T, N>(d, shared.pieces[group - 1], c, out, tile.row * gemm::CLUSTER * M + own_row + mine,
                        tile.column * N);
        }
        ptx::wait_until_read<0>();  // shared memory goes when the block does
    }
    ptx::sync_cluster();
}

#define KERNEL(name, T, N, STAGES)                                                                                \
    extern "C" __global__ void __launch_bounds__(THREADS, 1)                                                      \
    name(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b,                            \
         const __grid_constant__ CUtensorMap c, int k, const __grid_constant__ gemm::Output<T> out) {             \
        gemm_tiles<N, STAGES>(a, b, c, k, out);                                                                   \
    }

KERNEL(gemm_tma_store_256_bf16, __nv_bfloat16, 256, GEMM_STAGES)
KERNEL(gemm_tma_store_256_fp16, __half, 256, GEMM_STAGES)
KERNEL(gemm_tma_store_192_bf16, __nv_bfloat16, 192, GEMM_STAGES)
KERNEL(gemm_tma_store_192_fp16, __half, 192, GEMM_STAGES)
KERNEL(gemm_tma_store_128_bf16, __nv_bfloat16, 128, GEMM_STAGES)
KERNEL(gemm_tma_store_128_fp16, __half, 128, GEMM_STAGES)
