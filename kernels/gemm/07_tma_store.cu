// C = A B^T, seventh rung: the copy engine stores the tile too, while the next one is multiplied; and no round goes to waste.
//
// New: a consumer group lays its sums down in shared memory, 64 columns at a time, and goes on; how long device memory takes is
// no longer its concern. And the last round is not wasted: tiles are as wide as suits the sizes; what is left over at the right in
// few columns makes a narrow column; groups whose rows lie outside of C multiply nothing; and such tiles come last.

#include "gemm/cluster.cuh"
#include "gemm/epilogue.cuh"
#include "gemm/order.cuh"
#include "gemm/pieces.cuh"

constexpr int M = 128, N = 256, STAGES = 4, CONSUMERS = 2, THREADS = (1 + CONSUMERS) * ptx::GROUP;
using gemm::PIECE;
constexpr int BUFFERS = 2;  // pieces of a group that the copy engine may still be reading

struct Tiling {
    int width;        // columns of a tile that is not narrow
    gemm::Area area;  // in clusters
};

constexpr int BAND = 8;     // clusters: 2048 rows
constexpr int NARROW = 64;  // columns

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

// A piece by the group's threads, where C ends within 16 bytes: the copy engine would write them whole.
template <typename T>
__device__ __forceinline__ void copy_out(const T* piece, const gemm::Output<T>& out, int row, int column) {
#pragma unroll 1
    for (int at = threadIdx.x % ptx::GROUP; at < 64 * PIECE; at += ptx::GROUP) {
        const int r = at / PIECE, c = at % PIECE;
        if (row + r < out.m && column + c < out.n) {
            out.c[int64_t(row + r) * out.stride + column + c] = piece[r * PIECE + (c / 8 ^ r % 8) * 8 + c % 8];
        }
    }
}

// The last piece begins 64 columns before the end, and may write some columns again: the same numbers.
template <int WIDTH, typename T>
__device__ __forceinline__ void store(const float (&d)[WIDTH / 2], T (&pieces)[BUFFERS][64 * PIECE], const CUtensorMap& c,
                                      const gemm::Output<T>& out, int row, int column) {
    const int group = threadIdx.x / ptx::GROUP;
    const bool leader = threadIdx.x % ptx::GROUP == 0;
#pragma unroll
    for (int number = 0; number * PIECE < WIDTH; ++number) {
        T* const piece = pieces[number % BUFFERS];
        const int first = number * PIECE < WIDTH - PIECE ? number * PIECE : WIDTH - PIECE;
        if (leader) ptx::wait_until_read<BUFFERS - 1>();  // what this buffer held before
        ptx::sync_group(group);  // barrier 1 or 2, the consumer's own
        gemm::lay_down(piece, d, first / 2);
        ptx::publish_to_copy_engine();
        ptx::sync_group(group);
        if (out.n % 8 != 0 && column + first + PIECE > out.n) {
            copy_out(piece, out, row, column + first);
        } else if (leader) {
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
    const int first = blockIdx.x / gemm::CLUSTER, step = gridDim.x / gemm::CLUSTER, own_row = M * ptx::block_in_cluster();
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
#pragma unroll 1
            for (int index = first; index < tiling.area.count(); index += step) {
                const gemm::Tile tile = tiling.area.at(index, BAND);
                gemm::produce_for_cluster(a, b, shared.ring, at, tile.row * gemm::CLUSTER * M + own_row,
                                          tile.column * tiling.width, tiling.width, blocks);
            }
        }
    } else {
        ptx::grow_to<232>();
        const int mine = 64 * (group - 1);
        int index = first;
        const auto each_until = [&](int end, auto width) {
#pragma unroll 1
            for (; index < end; index += step) {
                const gemm::Tile tile = tiling.area.at(index, BAND);
                const int row = tile.row * gemm::CLUSTER * M + own_row + mine, column = tile.column * tiling.width;
                if (row < out.m) {
                    float d[width.value / 2];
                    gemm::consume<width.value>(d, shared.ring, at, mine, blocks, gemm::give_back_to_cluster);
                    gemm::bias_gelu(d, out.bias, out.gelu, column + 2 * (threadIdx.x % 4), out.n);
                    store<width.value>(d, shared.pieces[group - 1], c, out, row, column);
                } else {
                    gemm::pass_by(shared.ring, at, blocks, gemm::give_back_to_cluster);
                }
            }
        };
        with_width(tiling.width, [&](auto width) { each_until(tiling.area.wide_count(), width); });
        each_until(tiling.area.count(), Width<NARROW>());
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
