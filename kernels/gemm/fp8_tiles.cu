// C = scale A B^T with A and B in e4m3 and C in bf16, by the ladder's seventh rung: clusters of two persistent blocks of 128 x 256,
// which share B, a producer and two consumers each, and stores by the copy engine behind the next tile.
//
// An element of the ring is two e4m3, so a block of k has 128, and a wgmma takes 32 of them. Tiles are always 256 wide.

#include "gemm/cluster.cuh"
#include "gemm/order.cuh"
#include "gemm/pieces.cuh"
#include "ptx/wgmma_fp8.cuh"

constexpr int M = 128, N = 256, STAGES = 4, CONSUMERS = 2, THREADS = (1 + CONSUMERS) * ptx::GROUP;
constexpr int BUFFERS = 2;  // pieces of a group that the copy engine may still be reading
constexpr int BAND = 8;     // clusters: 2048 rows
using C = __nv_bfloat16;
using gemm::PIECE;

struct Shared {
    gemm::Ring<ptx::Fp8Pair, M, N, STAGES> ring;
    alignas(1024) C pieces[CONSUMERS][BUFFERS][64 * PIECE];
};

__device__ __forceinline__ void store(float (&d)[N / 2], C (&pieces)[BUFFERS][64 * PIECE], const CUtensorMap& c, float scale, int row,
                                      int column) {
    const int group = threadIdx.x / ptx::GROUP;
    const bool leader = threadIdx.x % ptx::GROUP == 0;
#pragma unroll
    for (int at = 0; at < N / 2; ++at) d[at] *= scale;
#pragma unroll
    for (int number = 0; number * PIECE < N; ++number) {
        C* const piece = pieces[number % BUFFERS];
        if (leader) ptx::wait_until_read<BUFFERS - 1>();
        ptx::sync_group(group);
        gemm::lay_down(piece, d, number * PIECE / 2);
        ptx::publish_to_copy_engine();
        ptx::sync_group(group);
        if (leader) {
            ptx::store_box(c, column + number * PIECE, row, piece);
            ptx::commit_stores();
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, 1)
    gemm_fp8(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b, const __grid_constant__ CUtensorMap c,
             int pairs, int rows, int columns, float scale) {
    Shared& shared = gemm::shared_memory<Shared>();
    const int blocks = (pairs + gemm::BLOCK_K - 1) / gemm::BLOCK_K, group = threadIdx.x / ptx::GROUP;
    const int first = blockIdx.x / gemm::CLUSTER, step = gridDim.x / gemm::CLUSTER, own_row = M * ptx::block_in_cluster();
    if (threadIdx.x == 0) shared.ring.init(CONSUMERS * gemm::CLUSTER);
    ptx::meet_cluster();
    gemm::Position<STAGES> at;
    if (group == 0) {
        ptx::shrink_to<40>();
        if (threadIdx.x == 0) {
#pragma unroll 1
            for (int index = first; index < rows * columns; index += step) {
                const gemm::Tile tile = gemm::tile_at(index, rows, columns, BAND);
                gemm::produce_for_cluster(a, b, shared.ring, at, tile.row * gemm::CLUSTER * M + own_row, tile.column * N, N, blocks);
            }
        }
    } else {
        ptx::grow_to<232>();
        const int mine = 64 * (group - 1);
#pragma unroll 1
        for (int index = first; index < rows * columns; index += step) {
            const gemm::Tile tile = gemm::tile_at(index, rows, columns, BAND);
            float d[N / 2];
            gemm::consume<N>(d, shared.ring, at, mine, blocks, gemm::give_back_to_cluster);
            store(d, shared.pieces[group - 1], c, scale, tile.row * gemm::CLUSTER * M + own_row + mine, tile.column * N);
        }
        ptx::wait_until_read<0>();  // shared memory goes when the block does
    }
    ptx::sync_cluster();
}
