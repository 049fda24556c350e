// y = a chain of FMAs of x, tile by tile through shared memory: copy, wait, compute; and with cuda::pipeline, which copies one tile
// while the one before is computed.
//
// A block takes every gridDim.x-th tile of TILE elements; n is a multiple of TILE.

#include <cooperative_groups.h>
#include <cuda/pipeline>

#pragma nv_diag_suppress static_var_with_dynamic_init  // the state, which make_pipeline initializes

namespace cg = cooperative_groups;

constexpr int TILE = 4096, THREADS = 256, STAGES = 2;

__device__ __forceinline__ void compute(float* y, const float* tile, int steps) {
    for (int at = threadIdx.x; at < TILE; at += THREADS) {
        float value = tile[at];
#pragma unroll 8
        for (int step = 0; step < steps; ++step) value = fmaf(value, 0.999f, 0.001f);
        y[at] = value;
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) one_stage(const float* __restrict__ x, float* __restrict__ y, int tiles,
                                                                int steps) {
    __shared__ alignas(16) float tile[TILE];
    for (int number = blockIdx.x; number < tiles; number += gridDim.x) {
        const float4* const from = reinterpret_cast<const float4*>(x + size_t(number) * TILE);
        for (int at = threadIdx.x; at < TILE / 4; at += THREADS) reinterpret_cast<float4*>(tile)[at] = from[at];
        __syncthreads();
        compute(y + size_t(number) * TILE, tile, steps);
        __syncthreads();
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) two_stages(const float* __restrict__ x, float* __restrict__ y, int tiles,
                                                                 int steps) {
    __shared__ alignas(16) float stage[STAGES][TILE];
    __shared__ cuda::pipeline_shared_state<cuda::thread_scope_block, STAGES> state;
    const auto block = cg::this_thread_block();
    auto pipeline = cuda::make_pipeline(block, &state);
    int asked = blockIdx.x;
    const auto ask = [&] {  // for what is waited for below, and nothing beyond: the pipeline ends empty
        if (asked >= tiles) return;
        pipeline.producer_acquire();
        float* const to = stage[(asked - blockIdx.x) / gridDim.x % STAGES];
        cuda::memcpy_async(block, to, x + size_t(asked) * TILE, cuda::aligned_size_t<16>(TILE * sizeof(float)), pipeline);
        pipeline.producer_commit();
        asked += gridDim.x;
    };
    for (int ahead = 0; ahead < STAGES; ++ahead) ask();
    for (int number = blockIdx.x; number < tiles; number += gridDim.x) {
        pipeline.consumer_wait();
        compute(y + size_t(number) * TILE, stage[(number - blockIdx.x) / gridDim.x % STAGES], steps);
        pipeline.consumer_release();
        ask();
    }
}
