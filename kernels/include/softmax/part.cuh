// Softmax over rows, in parts: of some elements the largest, and the sum of e^(x - largest), which two parts can be joined by.
#pragma once

#include <cstdint>

namespace softmax {

constexpr int THREADS = 1024, WARPS = THREADS / 32;
constexpr float LOG2_E = 1.4426950408889634f;
constexpr float NONE = -INFINITY;

__device__ __forceinline__ float exp2_of(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// e^(x - peak); a peak of no element, or of -inf alone, counts as 0, so that nothing becomes NaN that is none in the end.
__device__ __forceinline__ float weight(float x, float peak) { return exp2_of((x - peak) * LOG2_E); }
__device__ __forceinline__ float finite(float peak) { return peak == NONE ? 0.0f : peak; }

struct Part {
    float peak = NONE, sum = 0.0f;

    __device__ __forceinline__ void add(float4 x) {
        const float most = fmaxf(peak, fmaxf(fmaxf(x.x, x.y), fmaxf(x.z, x.w))), of = finite(most);
        sum = sum * weight(peak, of) + ((weight(x.x, of) + weight(x.y, of)) + (weight(x.z, of) + weight(x.w, of)));
        peak = most;
    }

    __device__ __forceinline__ void join(Part other) {
        const float most = fmaxf(peak, other.peak), of = finite(most);
        sum = sum * weight(peak, of) + other.sum * weight(other.peak, of);
        peak = most;
    }
};

// Of all lanes; the first COUNT hold parts, and COUNT is a power of two.
template <int COUNT = 32>
__device__ __forceinline__ Part over_warp(Part part) {
#pragma unroll
    for (int step = COUNT / 2; step > 0; step /= 2) {
        part.join({__shfl_xor_sync(0xffffffff, part.peak, step), __shfl_xor_sync(0xffffffff, part.sum, step)});
    }
    return part;
}

// Of all threads of the block; `parts` are not those of the call before, which a warp may still read.
__device__ __forceinline__ Part over_block(Part part, Part (&parts)[WARPS]) {
    part = over_warp(part);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = part;
    __syncthreads();
    return over_warp(parts[threadIdx.x % 32]);
}

// What turns e^(x - peak) into shares of one; NaN where the row holds one, or +inf, or nothing but -inf.
__device__ __forceinline__ float4 shares(float4 x, Part row, float scale) {
    return make_float4(weight(x.x, row.peak) * scale, weight(x.y, row.peak) * scale, weight(x.z, row.peak) * scale,
                       weight(x.w, row.peak) * scale);
}

}  // namespace softmax
