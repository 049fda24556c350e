// C_i = A_i B_i^T for many small matrices of one shape, by blocks that stay: the ring of copies runs on from product to product.
//
// Tiles, roles and stores are those of the ladder (docs/gemm.md); m is a multiple of 128 and n of 256, so that no tile has a
// ragged edge and all products are one tall matrix each for the copy engine. The second kernel also leaves the Frobenius norm of
// all C_i: each consumer squares its sums while it still has them, and block 0 waits for all others. They must all be running
// then, which a cooperative launch promises.

#include "gemm/pieces.cuh"
#include "gemm/ring.cuh"
#include "ptx/group.cuh"

constexpr int M = 128, N = 256, STAGES = 4, CONSUMERS = 2, THREADS = (1 + CONSUMERS) * ptx::GROUP;
constexpr int BUFFERS = 2, WARPS = CONSUMERS * 4;  // pieces of a group on their way out; warps that hold sums
using T = __nv_bfloat16;

struct Work {
    int first, count;  // products
    int m, n, k;       // of each
};

// In the order of blocks: one `squares` for each consumer warp, and how many of them have arrived, 0 before and after.
struct Norm {
    float* squares;
    int* arrived;
    float* norm;
};

struct Shared {
    gemm::Ring<T, M, N, STAGES> ring;
    alignas(1024) T pieces[CONSUMERS][BUFFERS][64 * gemm::PIECE];
};

struct Place {
    int row, b_row, column;  // of the tile, in all of A and C, in all of B, in C

    __device__ __forceinline__ Place(const Work& work, int index) {
        const int rows = work.m / M, tiles = rows * (work.n / N), product = work.first + index / tiles, tile = index % tiles;
        row = product * work.m + tile % rows * M;
        column = tile / rows * N;
        b_row = product * work.n + column;
    }
};

__device__ __forceinline__ int tiles_of(const Work& work) { return work.count * (work.m / M) * (work.n / N); }

__device__ __forceinline__ void produce(const CUtensorMap& a, const CUtensorMap& b, Shared& shared, const Work& work) {
    gemm::Position<STAGES> at;
    const int blocks = (work.k + gemm::BLOCK_K - 1) / gemm::BLOCK_K;
#pragma unroll 1
    for (int index = blockIdx.x; index < tiles_of(work); index += gridDim.x) {
        const Place place(work, index);
#pragma unroll 1
        for (int block = 0; block < blocks; ++block, at.advance()) {
            uint64_t* const full = &shared.ring.full[at.stage];
            ptx::wait(&shared.ring.empty[at.stage], at.parity ^ 1);
            ptx::arrive_expecting(full, shared.ring.STAGE_BYTES);
            ptx::load_box(shared.ring.a[at.stage], a, block * gemm::BLOCK_K, place.row, full);
            ptx::load_box(shared.ring.b[at.stage], b, block * gemm::BLOCK_K, place.b_row, full);
        }
    }
}

__device__ __forceinline__ void store(const float (&d)[N / 2], T (&pieces)[BUFFERS][64 * gemm::PIECE], const CUtensorMap& c,
                                      int row, int column) {
    const int group = threadIdx.x / ptx::GROUP;
    const bool leader = threadIdx.x % ptx::GROUP == 0;
#pragma unroll
    for (int number = 0; number * gemm::PIECE < N; ++number) {
        T* const piece = pieces[number % BUFFERS];
        if (leader) ptx::wait_until_read<BUFFERS - 1>();
        ptx::sync_group(group);
        gemm::lay_down(piece, d, number * gemm::PIECE / 2);
        ptx::publish_to_copy_engine();
        ptx::sync_group(group);
        if (leader) {
            ptx::store_box(c, column + number * gemm::PIECE, row, piece);
            ptx::commit_stores();
        }
    }
}

// Of this thread's sums; zero where nobody asked.
template <bool SQUARE>
__device__ __forceinline__ float consume(const CUtensorMap& c, Shared& shared, const Work& work) {
    gemm::Position<STAGES> at;
    const int blocks = (work.k + gemm::BLOCK_K - 1) / gemm::BLOCK_K, group = threadIdx.x / ptx::GROUP, mine = 64 * (group - 1);
    float squares = 0.0f;
#pragma unroll 1
    for (int index = blockIdx.x; index < tiles_of(work); index += gridDim.x) {
        const Place place(work, index);
        float d[N / 2];
        gemm::consume<N>(d, shared.ring, at, mine, blocks, [](uint64_t* empty) {
            if (threadIdx.x % ptx::GROUP == 0) ptx::arrive(empty);
        });
        if constexpr (SQUARE) {
            float tile = 0.0f;
#pragma unroll
            for (int i = 0; i < N / 2; ++i) tile = fmaf(d[i], d[i], tile);
            squares += tile;
        }
        store(d, shared.pieces[group - 1], c, place.row + mine, place.column);
    }
    ptx::wait_until_read<0>();  // shared memory goes when the block does
    return squares;
}

__device__ __forceinline__ float over_warp(float value) {
#pragma unroll
    for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffff, value, step);
    return value;
}

// By the consumers: every warp leaves its part, and the first warp of block 0 adds all of them, in one order, once they are there.
__device__ __forceinline__ void finish(float squares, const Norm& norm) {
    const int warp = threadIdx.x / 32 - 4, lane = threadIdx.x % 32, parts = gridDim.x * WARPS;
    squares = over_warp(squares);
    if (lane == 0) {
        norm.squares[blockIdx.x * WARPS + warp] = squares;
        __threadfence();
        atomicAdd(norm.arrived, 1);
    }
    if (blockIdx.x != 0 || warp != 0) return;
    while (*static_cast<volatile int*>(norm.arrived) != parts) __nanosleep(100);
    __threadfence();
    float sum = 0.0f;
    for (int part = lane; part < parts; part += 32) sum += static_cast<volatile float*>(norm.squares)[part];
    sum = over_warp(sum);
    if (lane == 0) {
        *norm.norm = sqrtf(sum);
        *norm.arrived = 0;
    }
}

template <bool NORM>
__device__ __forceinline__ void products(const CUtensorMap& a, const CUtensorMap& b, const CUtensorMap& c, const Work& work,
                                         const Norm& norm) {
    Shared& shared = gemm::shared_memory<Shared>();
    if (threadIdx.x == 0) shared.ring.init(CONSUMERS);
    __syncthreads();
    if (threadIdx.x < ptx::GROUP) {
        ptx::shrink_to<40>();
        if (threadIdx.x == 0) produce(a, b, shared, work);
    } else {
        ptx::grow_to<232>();
        const float squares = consume<NORM>(c, shared, work);
        if constexpr (NORM) finish(squares, norm);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, 1)
    gemm_products(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b,
                  const __grid_constant__ CUtensorMap c, const __grid_constant__ Work work) {
    products<false>(a, b, c, work, {});
}

extern "C" __global__ void __launch_bounds__(THREADS, 1)
    gemm_products_norm(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b,
                       const __grid_constant__ CUtensorMap c, const __grid_constant__ Work work,
                       const __grid_constant__ Norm norm) {
    products<true>(a, b, c, work, norm);
}
