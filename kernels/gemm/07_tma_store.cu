// C = A B^T, seventh rung: the copy engine stores the tile too, while the next one is multiplied; and no round goes to waste.
//
// New: a consumer group lays its sums down in shared memory, 64 columns at a time, and goes on; how long device memory takes is
// no longer its concern. And tiles are as wide as suits the sizes, 128 to 256 columns, with the two of a cluster one above the other
// or side by side: whichever leaves fewest multiprocessors idle in the last round.

#include "gemm/cluster.cuh"
#include "gemm/epilogue.cuh"
#include "gemm/order.cuh"
#include "ptx/warp_mma.cuh"

constexpr int M = 128, N = 256, STAGES = 4, CONSUMERS = 2, THREADS = (1 + CONSUMERS) * ptx::GROUP;
constexpr int PIECE = 64;   // columns: a row of a piece is 128 bytes
constexpr int BUFFERS = 2;  // pieces of a group that the copy engine may still be reading

struct Tiling {
    int width;          // columns of a tile
    int aside;          // the tiles of a cluster lie side by side
    int rows, columns;  // of clusters
    int band;           // rows of clusters, see order.cuh
};

template <typename T>
struct Shared {
    gemm::Ring<T, M, N, STAGES> ring;
    alignas(1024) T pieces[CONSUMERS][BUFFERS][64 * PIECE];
};

// Calls `body` with the width as a constant: wgmma, and the registers that it writes, are fixed in the code.
template <int WIDTH>
struct Width {
    static constexpr int value = WIDTH;
};

template <typename Body>
__device__ __forceinline__ void with_width(int width, Body body) {
    switch (width) {
        case 128: return body(Width<128>());
        case 160: return body(Width<160>());
        case 192: return body(Width<192>());
        case 208: return body(Width<208>());
        case 224: return body(Width<224>());
        default: return body(Width<256>());
    }
}

// 64 x 64 of the sums, from register `first` on, with the swizzle that the map of C undoes.
template <typename T>
__device__ __forceinline__ void lay_down(T* piece, const float* d, int first) {
    const int lane = threadIdx.x % 32, row = threadIdx.x / 32 % 4 * 16 + lane % 16;
#pragma unroll
    for (int chunk = 0; chunk < 8; chunk += 2) {  // of 8 columns; a thread's four pairs are those of 16 x 16
        const float* const from = d + first + 4 * chunk;
        ptx::store_matrices(piece + row * PIECE + ((chunk + lane / 16) ^ row % 8) * 8, gemm::pair<T>(from[0], from[1]),
                            gemm::pair<T>(from[2], from[3]), gemm::pair<T>(from[4], from[5]),
                            gemm::pair<T>(from[6], from[7]));
    }
}

// The last piece begins 64 columns before the end, and may write some columns again: the same numbers.
template <int WIDTH, typename T>
__device__ __forceinline__ void store(const float (&d)[WIDTH / 2], T (&pieces)[BUFFERS][64 * PIECE], const CUtensorMap& c, int row,
                                      int column) {
    const int group = threadIdx.x / ptx::GROUP;
    const bool leader = threadIdx.x % ptx::GROUP == 0;
#pragma unroll
    for (int number = 0; number * PIECE < WIDTH; ++number) {
        T* const piece = pieces[number % BUFFERS];
        const int first = number * PIECE < WIDTH - PIECE ? number * PIECE : WIDTH - PIECE;
        if (leader) ptx::wait_until_read<BUFFERS - 1>();
        ptx::sync_group(group);
        lay_down(piece, d, first / 2);
        ptx::publish_to_copy_engine();
        ptx::sync_group(group);
        if (leader) {
            ptx::store_box(c, column + first, row, piece);
            ptx::commit_stores();
        }
    }
}

template <typename T>
__device__ __forceinline__ void gemm_tiles(const CUtensorMap& a, const CUtensorMap& b, const CUtensorMap& c, int k,
                                           const Tiling& tiling, const gemm::Output<T>& out) {
    auto& shared = gemm::shared_memory<Shared<T>>();
    const int blocks = (k + gemm::BLOCK_K - 1) / gemm::BLOCK_K, group = threadIdx.x / ptx::GROUP;
    const int first = blockIdx.x / gemm::CLUSTER, step = gridDim.x / gemm::CLUSTER, rank = ptx::block_in_cluster();
    const auto own_row = [&](gemm::Tile tile) { return (tiling.aside ? tile.row : tile.row * gemm::CLUSTER + rank) * M; };
    const auto own_column = [&](gemm::Tile tile) {
        return (tiling.aside ? tile.column * gemm::CLUSTER + rank : tile.column) * tiling.width;
    };
    const auto each = [&](auto body) {
        for (int index = first; index < tiling.rows * tiling.columns; index += step) {
            const gemm::Tile tile = gemm::tile_at(index, tiling.rows, tiling.columns, tiling.band);
            body(own_row(tile), own_column(tile));
        }
    };
    if (threadIdx.x == 0) {
        ptx::prefetch(a);
        ptx::prefetch(b);
        ptx::prefetch(c);
        shared.ring.init(CONSUMERS * gemm::CLUSTER);
    }
    ptx::meet_cluster();
    gemm::Position<STAGES> at;
    if (group == 0) {
        ptx::shrink_to<40>();
        if (threadIdx.x == 0) {
            if (tiling.aside) {
                each([&](int row, int column) {
                    gemm::produce_for_cluster<true>(a, b, shared.ring, at, row, column, tiling.width, blocks);
                });
            } else {
                each([&](int row, int column) {
                    gemm::produce_for_cluster<false>(a, b, shared.ring, at, row, column, tiling.width, blocks);
                });
            }
        }
    } else {
        ptx::grow_to<232>();
        const int mine = 64 * (group - 1);
        with_width(tiling.width, [&](auto width) {
            each([&](int row, int column) {
                float d[width.value / 2];
                gemm::consume<width.value>(d, shared.ring, at, mine, blocks, gemm::give_back_to_cluster);
                gemm::bias_gelu(d, out.bias, out.gelu, column + 2 * (threadIdx.x % 4), out.n);
                store<width.value>(d, shared.pieces[group - 1], c, row + mine, column);
            });
        });
        ptx::wait_until_read<0>();  // shared memory goes when the block does
    }
    ptx::sync_cluster();
}

#define KERNEL(name, T)                                                                                           \
    extern "C" __global__ void __launch_bounds__(THREADS, 1)                                                      \
    name(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b,                            \
         const __grid_constant__ CUtensorMap c, int k, const __grid_constant__ Tiling tiling,                     \
         const __grid_constant__ gemm::Output<T> out) {                                                           \
        gemm_tiles(a, b, c, k, tiling, out);                                                                      \
    }

KERNEL(gemm_tma_store_bf16, __nv_bfloat16)
KERNEL(gemm_tma_store_fp16, __half)
