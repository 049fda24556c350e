// y = a chain of FMAs of x, tile by tile through shared memory, by one block a multiprocessor: what stands idle between copy,
// computation and store, and how copies of the next tiles fill it.
//
// A block takes every gridDim.x-th tile of TILE elements; x and y are 16-byte aligned and hold whole tiles. Each element's FMAs are
// the same everywhere, so all agree bit for bit.

#include "ptx/copies.cuh"
#include "ptx/tma.cuh"

constexpr int TILE = 2048, THREADS = 512, PIECES = TILE / 4 / THREADS;  // of 16 bytes, a thread's
constexpr uint32_t TILE_BYTES = TILE * sizeof(float);

struct Work {
    const float* x;
    float* y;
    int tiles, steps;
};

__device__ __forceinline__ float4 chain(float4 t, int steps) {
#pragma unroll 8
    for (int step = 0; step < steps; ++step) {
        t.x = fmaf(t.x, 0.999f, 0.001f);
        t.y = fmaf(t.y, 0.999f, 0.001f);
        t.z = fmaf(t.z, 0.999f, 0.001f);
        t.w = fmaf(t.w, 0.999f, 0.001f);
    }
    return t;
}

__device__ __forceinline__ float4* pieces_of(const float* tile) {
    return reinterpret_cast<float4*>(const_cast<float*>(tile)) + threadIdx.x;
}

__device__ __forceinline__ void compute(const float* tile, float* y, int steps) {
#pragma unroll
    for (int i = 0; i < PIECES; ++i) __stcs(pieces_of(y) + i * THREADS, chain(pieces_of(tile)[i * THREADS], steps));
}

// Load, barrier, compute, store; nothing of one tile runs beside anything of another.
extern "C" __global__ void __launch_bounds__(THREADS, 1) tiles_in_turn(const __grid_constant__ Work work) {
    extern __shared__ __align__(128) float tile[];
    for (int number = blockIdx.x; number < work.tiles; number += gridDim.x) {
        const float* const from = work.x + int64_t(number) * TILE;
        float4 held[PIECES];
#pragma unroll
        for (int i = 0; i < PIECES; ++i) held[i] = __ldcs(pieces_of(from) + i * THREADS);
#pragma unroll
        for (int i = 0; i < PIECES; ++i) pieces_of(tile)[i * THREADS] = held[i];
        __syncthreads();
        compute(tile, work.y + int64_t(number) * TILE, work.steps);
        __syncthreads();
    }
}

// cp.async: copies of STAGES - 1 tiles are on their way while one is computed.
template <int STAGES>
__device__ __forceinline__ void by_threads(const Work& work) {
    extern __shared__ __align__(128) float stages[];
    int asked = blockIdx.x, free = 0, now = 0;
    const auto ask = [&] {
        if (asked < work.tiles) {
            const float* const from = work.x + int64_t(asked) * TILE;
#pragma unroll
            for (int i = 0; i < PIECES; ++i) {
                ptx::copy_16(pieces_of(stages + free * TILE) + i * THREADS, pieces_of(from) + i * THREADS);
            }
        }
        asked += gridDim.x;
        free = free + 1 == STAGES ? 0 : free + 1;
        ptx::commit_group();
    };
#pragma unroll
    for (int ahead = 0; ahead < STAGES - 1; ++ahead) ask();
    for (int number = blockIdx.x; number < work.tiles; number += gridDim.x) {
        ask();
        ptx::wait_group<STAGES - 1>();
        __syncthreads();
        compute(stages + now * TILE, work.y + int64_t(number) * TILE, work.steps);
        __syncthreads();
        now = now + 1 == STAGES ? 0 : now + 1;
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) tiles_two_stages(const __grid_constant__ Work work) {
    by_threads<2>(work);
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) tiles_three_stages(const __grid_constant__ Work work) {
    by_threads<3>(work);
}

// The copy engine loads and stores whole tiles at one thread's word; a tile is computed where it lies.
template <int STAGES>
__device__ __forceinline__ void by_engine(const Work& work) {
    extern __shared__ __align__(128) float stages[];
    __shared__ uint64_t full[STAGES];
    const bool leader = threadIdx.x == 0;
    if (leader) {
        for (int stage = 0; stage < STAGES; ++stage) ptx::init(&full[stage], 1);
        ptx::publish_inits();
    }
    __syncthreads();
    int asked = blockIdx.x, free = 0, now = 0;
    uint32_t parity = 0;
    const auto ask = [&] {  // by the leader
        if (asked < work.tiles) {
            ptx::arrive_expecting(&full[free], TILE_BYTES);
            ptx::load_bulk(stages + free * TILE, work.x + int64_t(asked) * TILE, TILE_BYTES, &full[free]);
        }
        asked += gridDim.x;
        free = free + 1 == STAGES ? 0 : free + 1;
    };
    if (leader) {
        for (int ahead = 0; ahead < STAGES - 1; ++ahead) ask();
    }
    for (int number = blockIdx.x; number < work.tiles; number += gridDim.x) {
        float* const tile = stages + now * TILE;
        ptx::wait(&full[now], parity);
#pragma unroll
        for (int i = 0; i < PIECES; ++i) pieces_of(tile)[i * THREADS] = chain(pieces_of(tile)[i * THREADS], work.steps);
        ptx::publish_to_copy_engine();
        __syncthreads();
        if (leader) {
            ptx::store_bulk(work.y + int64_t(number) * TILE, tile, TILE_BYTES);
            ptx::commit_stores();
            ptx::wait_until_read<1>();  // the tile before has left its stage, which is the next to be filled
            ask();
        }
        now = now + 1 == STAGES ? 0 : now + 1;
        parity ^= now == 0;
    }
    if (leader) ptx::wait_until_read<0>();  // shared memory goes when the block does
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) tiles_bulk(const __grid_constant__ Work work) {
    by_engine<8>(work);
}
