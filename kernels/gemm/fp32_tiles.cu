// C = A^T B in fp32 by FMA units alone: tiles in shared memory, tiles in registers, and a ring of asynchronous copies.
//
// A is k x m and B k x n, rows contiguous: what a block needs of a few k lies in rows of both, as FMAs along m and n read it.
// m and n are multiples of 256, k of 16.

#include "ptx/copies.cuh"

constexpr int SMALL = 32;

// A block of 32 x 32 threads, an output each: two reads of shared memory for every FMA.
extern "C" __global__ void __launch_bounds__(SMALL* SMALL)
    sgemm_shared_tiles(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ c, int m, int n, int k) {
    __shared__ float rows[SMALL][SMALL], columns[SMALL][SMALL];
    const int x = threadIdx.x, y = threadIdx.y, row = blockIdx.x * SMALL, column = blockIdx.y * SMALL;
    float sum = 0.0f;
    for (int first = 0; first < k; first += SMALL) {
        const bool inside = first + y < k;
        rows[y][x] = inside ? a[int64_t(first + y) * m + row + x] : 0.0f;
        columns[y][x] = inside ? b[int64_t(first + y) * n + column + x] : 0.0f;
        __syncthreads();
#pragma unroll
        for (int at = 0; at < SMALL; ++at) sum = fmaf(rows[at][y], columns[at][x], sum);
        __syncthreads();
    }
    c[int64_t(row + y) * n + column + x] = sum;
}

// A warp's lanes as 4 x 8, so that what a half reads of B is one row of all banks, and of A the same for eight of its lanes.
struct Lane {
    int row, column;

    __device__ __forceinline__ Lane() {
        const int lane = threadIdx.x % 32;
        row = lane / 16 * 2 + lane % 2;
        column = lane % 16 / 2;
    }
};

// WARPS_M x WARPS_N warps, each of 4 x 8 lanes that hold TM x TN sums: pieces of 4 x 4, so that every read is of 16 bytes.
template <int WARPS_M, int WARPS_N, int TM, int TN, int BLOCK_K>
struct Tile {
    static constexpr int THREADS = 32 * WARPS_M * WARPS_N, M = WARPS_M * 4 * TM, N = WARPS_N * 8 * TN;
    static constexpr int A_COPIES = M * BLOCK_K / 4 / THREADS, B_COPIES = N * BLOCK_K / 4 / THREADS;  // of 16 bytes, a thread

    struct Stage {
        float a[BLOCK_K][M], b[BLOCK_K][N];
    };

    struct Operands {
        float a[TM], b[TN];

        __device__ __forceinline__ void load(const Stage& from, int k, int row, int column) {
#pragma unroll
            for (int i = 0; i < TM; i += 4) reinterpret_cast<float4&>(a[i]) = *reinterpret_cast<const float4*>(&from.a[k][row + 4 * i]);
#pragma unroll
            for (int j = 0; j < TN; j += 4) reinterpret_cast<float4&>(b[j]) = *reinterpret_cast<const float4*>(&from.b[k][column + 8 * j]);
        }
    };

    float sums[TM][TN];
    int row, column;  // of this thread's first sum, in the tile

    __device__ __forceinline__ Tile() {
        const int warp = threadIdx.x / 32;
        const Lane lane;
        row = warp / WARPS_N * 4 * TM + 4 * lane.row;
        column = warp % WARPS_N * 8 * TN + 4 * lane.column;
#pragma unroll
        for (int i = 0; i < TM; ++i) {
#pragma unroll
            for (int j = 0; j < TN; ++j) sums[i][j] = 0.0f;
        }
    }

    __device__ __forceinline__ void add(const Operands& of) {
#pragma unroll
        for (int i = 0; i < TM; ++i) {
#pragma unroll
            for (int j = 0; j < TN; ++j) sums[i][j] = fmaf(of.a[i], of.b[j], sums[i][j]);
        }
    }

    // `each(to, from, number)` for every 16 bytes of a stage that this thread brings.
    template <typename Each>
    static __device__ __forceinline__ void bring(Stage& stage, const float* a, const float* b, int m, int n, Each each) {
#pragma unroll
        for (int i = 0; i < A_COPIES; ++i) {
            const int at = (threadIdx.x + i * THREADS) * 4;
            each(&stage.a[at / M][at % M], a + int64_t(at / M) * m + at % M, i);
        }
#pragma unroll
        for (int i = 0; i < B_COPIES; ++i) {
            const int at = (threadIdx.x + i * THREADS) * 4;
            each(&stage.b[at / N][at % N], b + int64_t(at / N) * n + at % N, A_COPIES + i);
        }
    }

    __device__ __forceinline__ void store(float* c, int n) const {
#pragma unroll
        for (int i = 0; i < TM; ++i) {
            float* const to = c + int64_t(row + 16 * (i / 4) + i % 4) * n + column;
#pragma unroll
            for (int j = 0; j < TN; j += 4) {
                *reinterpret_cast<float4*>(to + 8 * j) = make_float4(sums[i][j], sums[i][j + 1], sums[i][j + 2], sums[i][j + 3]);
            }
        }
    }
};

// One stage: read it through registers, meet, multiply, meet.
template <typename T, int BLOCK_K>
__device__ __forceinline__ void in_turn(const float* a, const float* b, float* c, int m, int n, int k) {
    __shared__ alignas(16) typename T::Stage stage;
    T tile;
    a += blockIdx.x * T::M;
    b += blockIdx.y * T::N;
#pragma unroll 1
    for (int first = 0; first < k; first += BLOCK_K) {
        float4 held[T::A_COPIES + T::B_COPIES];
        T::bring(stage, a + int64_t(first) * m, b + int64_t(first) * n, m, n,
                 [&](float*, const float* from, int at) { held[at] = *reinterpret_cast<const float4*>(from); });
        __syncthreads();
        T::bring(stage, a, b, m, n, [&](float* to, const float*, int at) { *reinterpret_cast<float4*>(to) = held[at]; });
        __syncthreads();
#pragma unroll
        for (int at = 0; at < BLOCK_K; ++at) {
            typename T::Operands operands;
            operands.load(stage, at, tile.row, tile.column);
            tile.add(operands);
        }
    }
    tile.store(c + int64_t(blockIdx.x) * T::M * n + blockIdx.y * T::N, n);
}

// A ring: copies of STAGES - 1 blocks of k are on their way while one is multiplied, and operands of the next k while those of
// this one are.
template <typename T, int BLOCK_K, int STAGES>
__device__ __forceinline__ void by_ring(const float* a, const float* b, float* c, int m, int n, int k) {
    extern __shared__ __align__(16) uint8_t raw[];
    auto* const stages = reinterpret_cast<typename T::Stage*>(raw);
    T tile;
    a += blockIdx.x * T::M;
    b += blockIdx.y * T::N;
    int asked = 0;
    const auto ask = [&](int stage) {
        if (asked < k) {
            T::bring(stages[stage], a + int64_t(asked) * m, b + int64_t(asked) * n, m, n,
                     [&](float* to, const float* from, int) { ptx::copy_16(to, from); });
        }
        asked += BLOCK_K;
        ptx::commit_group();
    };
#pragma unroll
    for (int stage = 0; stage < STAGES - 1; ++stage) ask(stage);
    ptx::wait_group<STAGES - 2>();
    __syncthreads();
    typename T::Operands operands[2];
    operands[0].load(stages[0], 0, tile.row, tile.column);
    int now = 0, free = STAGES - 1;
#pragma unroll 1
    for (int first = 0; first < k; first += BLOCK_K) {
        ask(free);
        free = now;
#pragma unroll
        for (int at = 0; at < BLOCK_K; ++at) {
            if (at + 1 < BLOCK_K) {
                operands[(at + 1) % 2].load(stages[now], at + 1, tile.row, tile.column);
            } else {
                now = now + 1 == STAGES ? 0 : now + 1;
                ptx::wait_group<STAGES - 2>();
                __syncthreads();
                operands[(at + 1) % 2].load(stages[now], 0, tile.row, tile.column);
            }
            tile.add(operands[at % 2]);
        }
    }
    tile.store(c + int64_t(blockIdx.x) * T::M * n + blockIdx.y * T::N, n);
}

extern "C" __global__ void __launch_bounds__(256, 2)
    sgemm_register_tiles(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ c, int m, int n, int k) {
    in_turn<Tile<4, 2, 8, 8, 16>, 16>(a, b, c, m, n, k);
}

extern "C" __global__ void __launch_bounds__(256, 1)
    sgemm_ring(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ c, int m, int n, int k) {
    by_ring<Tile<4, 2, 16, 8, 8>, 8, 4>(a, b, c, m, n, k);
}
