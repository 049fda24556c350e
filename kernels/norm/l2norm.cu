// Rows divided by their Euclidean norm: y = x / max(||x||, eps) * gain, in bf16, in two kernels and in one.
//
// Both ways use the same functions with the same threads on the same elements, so that they agree bit for bit: the sum of
// squares is always taken in one order. It cannot overflow: squares are taken of x * 2^-e, where 2^e is the largest
// magnitude of those that are summed. Powers of two scale without rounding.

#include <cstdint>
#include <cuda_bf16.h>

// Loads and stores bear no cache hints: marked as used once, the baseline was 1.3 % slower on an H200 (2026-11-20), and the
// fused kernel as fast.
constexpr int COLUMNS = 4096;
constexpr int THREADS = 128;  // a warpgroup a row
constexpr int WARPS = THREADS / 32;
constexpr int VECTORS = COLUMNS / (THREADS * 8);  // 16-byte loads a thread, 8 elements each

struct Row {
    uint4 part[VECTORS];  // a thread's elements: neighbouring threads hold neighbouring vectors
};

struct Scaled {  // the number sum * 2^(2 exponent)
    int exponent;
    float sum;
};

struct Factor {  // x * scale * inverse = x / max(||x||, eps), without a step that could overflow
    float scale, inverse;
};

__device__ float low(uint32_t pair) { return __uint_as_float(pair << 16); }
__device__ float high(uint32_t pair) { return __uint_as_float(pair & 0xffff0000u); }

// 2^power for powers from -126 to 127
__device__ float power_of_two(int power) { return __uint_as_float(uint32_t(127 + power) << 23); }

// 2^-(2 times the distance): below 2^-126 what is scaled no longer counts beside the rest
__device__ float rescale(int from, int to) { return power_of_two(max(2 * (from - to), -126)); }

__device__ Row load_row(const __nv_bfloat16* row) {
    const uint4* from = reinterpret_cast<const uint4*>(row) + threadIdx.x;
    Row x;
#pragma unroll
    for (int v = 0; v < VECTORS; ++v) x.part[v] = from[v * THREADS];
    return x;
}

// The exponent of the largest magnitude, kept where 2^-e and eps * 2^-e are ordinary fp32 numbers.
__device__ int exponent_of(const Row& x) {
    uint32_t largest = 0;  // the magnitude bits of a bf16 order as integers; two are compared at once
#pragma unroll
    for (int v = 0; v < VECTORS; ++v) {
        const uint32_t words[4] = {x.part[v].x, x.part[v].y, x.part[v].z, x.part[v].w};
#pragma unroll
        for (int w = 0; w < 4; ++w) largest = __vmaxu2(largest, words[w] & 0x7fff7fffu);
    }
    const int biased = max(largest >> 16, largest & 0xffffu) >> 7;
    return min(max(biased - 127, -80), 126);
}

__device__ Scaled thread_sum(const Row& x) {
    const int exponent = exponent_of(x);
    const float scale = power_of_two(-exponent);
    float sum = 0.0f;
#pragma unroll
    for (int v = 0; v < VECTORS; ++v) {
        const uint32_t words[4] = {x.part[v].x, x.part[v].y, x.part[v].z, x.part[v].w};
#pragma unroll
        for (int w = 0; w < 4; ++w) {
            const float a = low(words[w]) * scale, b = high(words[w]) * scale;
            sum = __fmaf_rn(b, b, __fmaf_rn(a, a, sum));
        }
    }
    return {exponent, sum};
}

__device__ Scaled warp_sum(Scaled own) {
    const int exponent = __reduce_max_sync(0xffffffffu, own.exponent);
    float sum = own.sum * rescale(own.exponent, exponent);
#pragma unroll
    for (int distance = 16; distance; distance /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, distance);
    return {exponent, sum};
}

// The sum over the block's row, in every thread. `shared` must not be in use by an earlier row any more.
__device__ Scaled row_sum(const Row& x, Scaled* shared) {
    const Scaled own = warp_sum(thread_sum(x));
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = own;
    __syncthreads();
    Scaled all = shared[0];
#pragma unroll
    for (int warp = 1; warp < WARPS; ++warp) all.exponent = max(all.exponent, shared[warp].exponent);
    all.sum = 0.0f;
#pragma unroll
    for (int warp = 0; warp < WARPS; ++warp) all.sum += shared[warp].sum * rescale(shared[warp].exponent, all.exponent);
    return all;
}

__device__ Factor factor_of(Scaled row, float eps) {
    const float scale = power_of_two(-row.exponent);
    return {scale, __frcp_rn(fmaxf(__fsqrt_rn(row.sum), eps * scale))};
}

__device__ uint32_t scaled_pair(uint32_t x, uint32_t gain, Factor f) {
    const float a = __fmul_rn(__fmul_rn(__fmul_rn(low(x), f.scale), f.inverse), low(gain));
    const float b = __fmul_rn(__fmul_rn(__fmul_rn(high(x), f.scale), f.inverse), high(gain));
    const __nv_bfloat162 both = __floats2bfloat162_rn(a, b);
    return reinterpret_cast<const uint32_t&>(both);
}

__device__ void store_scaled(const Row& x, const __nv_bfloat16* gain, Factor f, __nv_bfloat16* row) {
    uint4* to = reinterpret_cast<uint4*>(row) + threadIdx.x;
    const uint4* gains = reinterpret_cast<const uint4*>(gain) + threadIdx.x;
#pragma unroll
    for (int v = 0; v < VECTORS; ++v) {
        const uint4 p = x.part[v], g = __ldg(gains + v * THREADS);
        to[v * THREADS] = make_uint4(scaled_pair(p.x, g.x, f), scaled_pair(p.y, g.y, f), scaled_pair(p.z, g.z, f),
                                     scaled_pair(p.w, g.w, f));
    }
}

// Baseline, first kernel: a block a row; factors has an entry a row.
extern "C" __global__ void __launch_bounds__(THREADS)
l2norm_factors(const __nv_bfloat16* __restrict__ x, float2* __restrict__ factors, float eps) {
    __shared__ Scaled shared[WARPS];
    const int64_t row = blockIdx.x;
    const Factor f = factor_of(row_sum(load_row(x + row * COLUMNS), shared), eps);
    if (threadIdx.x == 0) factors[row] = make_float2(f.scale, f.inverse);
}

// Baseline, second kernel: reads the rows again.
extern "C" __global__ void __launch_bounds__(THREADS)
l2norm_scale(const __nv_bfloat16* __restrict__ x, const float2* __restrict__ factors,
             const __nv_bfloat16* __restrict__ gain, __nv_bfloat16* __restrict__ y) {
    const int64_t row = blockIdx.x;
    const float2 f = __ldg(factors + row);
    store_scaled(load_row(x + row * COLUMNS), gain, {f.x, f.y}, y + row * COLUMNS);
}

// Optimized: the row stays in registers between the sum and the scaling.
extern "C" __global__ void __launch_bounds__(THREADS)
l2norm_fused(const __nv_bfloat16* __restrict__ x, const __nv_bfloat16* __restrict__ gain,
             __nv_bfloat16* __restrict__ y, float eps) {
    __shared__ Scaled shared[WARPS];
    const int64_t row = blockIdx.x;
    const Row held = load_row(x + row * COLUMNS);
    store_scaled(held, gain, factor_of(row_sum(held, shared), eps), y + row * COLUMNS);
}
