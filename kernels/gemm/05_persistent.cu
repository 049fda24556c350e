// C = A B^T, fifth rung: tiles of 128 x 256, by as many blocks as there are multiprocessors, in an order that suits the L2 cache.
//
// New: a wider tile reads fewer bytes an operation; a block stays and takes tile after tile, so that the ring never runs
// empty: the producer fetches for the next tile while the consumers store this one; tiles worked on at one time lie together.

#include "gemm/epilogue.cuh"
#include "gemm/order.cuh"
#include "gemm/ring.cuh"
#include "ptx/group.cuh"

constexpr int M = 128, N = 256, STAGES = 4, CONSUMERS = 2, THREADS = (1 + CONSUMERS) * ptx::GROUP;
constexpr int BAND = 16;  // tiles, 2048 rows: 132 blocks then work on some 2048 x 2112 of C, nearly a square, which reads least

template <typename T, typename Ring>
__device__ __forceinline__ void produce(const CUtensorMap& a, const CUtensorMap& b, Ring& ring, gemm::Position<STAGES>& at,
                                        int row, int column, int blocks) {
#pragma unroll 1
    for (int block = 0; block < blocks; ++block, at.advance()) {
        ptx::wait(&ring.empty[at.stage], at.parity ^ 1);
        ptx::arrive_expecting(&ring.full[at.stage], Ring::STAGE_BYTES);
        ptx::load_box(ring.a[at.stage], a, block * gemm::BLOCK_K, row, &ring.full[at.stage]);
        ptx::load_box(ring.b[at.stage], b, block * gemm::BLOCK_K, column, &ring.full[at.stage]);
    }
}

template <typename T>
__device__ __forceinline__ void gemm_tiles(const CUtensorMap& a, const CUtensorMap& b, int k, const gemm::Output<T>& out) {
    using Ring = gemm::Ring<T, M, N, STAGES>;
    Ring& ring = gemm::shared_memory<Ring>();
    const int blocks = (k + gemm::BLOCK_K - 1) / gemm::BLOCK_K, group = threadIdx.x / ptx::GROUP;
    const int rows = (out.m + M - 1) / M, columns = (out.n + N - 1) / N;
    if (threadIdx.x == 0) ring.init(CONSUMERS);
    __syncthreads();
    gemm::Position<STAGES> at;  // goes on from tile to tile, in step on both sides
    if (group == 0) {
        ptx::shrink_to<40>();
        if (threadIdx.x != 0) return;  // nothing further is waited for by all
        for (int index = blockIdx.x; index < rows * columns; index += gridDim.x) {
            const gemm::Tile tile = gemm::tile_at(index, rows, columns, BAND);
            produce<T>(a, b, ring, at, tile.row * M, tile.column * N, blocks);
        }
    } else {
        ptx::grow_to<232>();
        const int mine = 64 * (group - 1);
        for (int index = blockIdx.x; index < rows * columns; index += gridDim.x) {
            const gemm::Tile tile = gemm::tile_at(index, rows, columns, BAND);
            float d[N / 2];
            gemm::consume<N>(d, ring, at, mine, blocks, [](uint64_t* empty) {
                if (threadIdx.x % ptx::GROUP == 0) ptx::arrive(empty);
            });
            gemm::store<T, N>(d, out, tile.row * M + mine, tile.column * N);
        }
    }
}

#define KERNEL(name, T)                                                                                           \
    extern "C" __global__ void __launch_bounds__(THREADS, 1)                                                      \
    name(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b, int k,                     \
         const __grid_constant__ gemm::Output<T> out) {                                                           \
        gemm_tiles(a, b, k, out);                                                                                 \
    }

KERNEL(gemm_persistent_bf16, __nv_bfloat16)
KERNEL(gemm_persistent_fp16, __half)
