// u = x * (1 + a * x^2), the cubic inside the tanh GELU: operation by operation, each a pass over memory, and in one pass.
//
// Every operation rounds once and none is contracted, so that all forms agree bit for bit. A thread of the passes handles
// PER_THREAD elements one by one, 8 blocks of 256 threads a multiprocessor; `strided` and `coalesced` differ in which elements these are, and in nothing else.

#include <cstdint>

constexpr int PER_THREAD = 8;

// Eight neighbours a thread, as a loop over a slice of an array reads them: in one request a warp's lanes are 32 bytes apart,
// so that it takes 32 sectors where 4 hold as many elements.
struct Strided {
    static __device__ int64_t at(int k) {
        return (int64_t(blockIdx.x) * blockDim.x + threadIdx.x) * PER_THREAD + k;
    }
};

// Neighbouring lanes read neighbouring elements: 4 sectors a request.
struct Coalesced {
    static __device__ int64_t at(int k) {
        return (int64_t(blockIdx.x) * PER_THREAD + k) * blockDim.x + threadIdx.x;
    }
};

template <typename Access, typename Operation>
__device__ void one_by_one(const float* __restrict__ in, float* __restrict__ out, int64_t n, Operation operation) {
    float held[PER_THREAD];
#pragma unroll
    for (int k = 0; k < PER_THREAD; ++k) {
        held[k] = Access::at(k) < n ? in[Access::at(k)] : 0.0f;
    }
#pragma unroll
    for (int k = 0; k < PER_THREAD; ++k) {
        if (Access::at(k) < n) {
            out[Access::at(k)] = operation(held[k]);
        }
    }
}

template <typename Access>
__device__ void product(const float* __restrict__ in, const float* __restrict__ x, float* __restrict__ out, int64_t n) {
    float held[PER_THREAD], factor[PER_THREAD];
#pragma unroll
    for (int k = 0; k < PER_THREAD; ++k) {
        const bool inside = Access::at(k) < n;
        held[k] = inside ? in[Access::at(k)] : 0.0f;
        factor[k] = inside ? x[Access::at(k)] : 0.0f;
    }
#pragma unroll
    for (int k = 0; k < PER_THREAD; ++k) {
        if (Access::at(k) < n) {
            out[Access::at(k)] = __fmul_rn(held[k], factor[k]);
        }
    }
}

#define PASSES(name, Access)                                                                                            \
    extern "C" __global__ void __launch_bounds__(256, 8)                                                                \
    square_##name(const float* __restrict__ in, float* __restrict__ out, int64_t n) {                                   \
        one_by_one<Access>(in, out, n, [](float t) { return __fmul_rn(t, t); });                                        \
    }                                                                                                                   \
    extern "C" __global__ void __launch_bounds__(256, 8)                                                                \
    scale_##name(const float* __restrict__ in, float* __restrict__ out, int64_t n, float a) {                           \
        one_by_one<Access>(in, out, n, [a](float t) { return __fmul_rn(t, a); });                                       \
    }                                                                                                                   \
    extern "C" __global__ void __launch_bounds__(256, 8)                                                                \
    increment_##name(const float* __restrict__ in, float* __restrict__ out, int64_t n) {                                \
        one_by_one<Access>(in, out, n, [](float t) { return __fadd_rn(t, 1.0f); });                                     \
    }                                                                                                                   \
    extern "C" __global__ void __launch_bounds__(256, 8)                                                                \
    product_##name(const float* __restrict__ in, const float* __restrict__ x, float* __restrict__ out, int64_t n) {     \
        product<Access>(in, x, out, n);                                                                                 \
    }

PASSES(strided, Strided)
PASSES(coalesced, Coalesced)

__device__ float cubic(float x, float a) {
    return __fmul_rn(__fadd_rn(__fmul_rn(__fmul_rn(x, x), a), 1.0f), x);
}

// x, u: 16-byte aligned. A thread handles one float4 with one load and one store of 16 bytes, as affine_chain.cu found best.
extern "C" __global__ void __launch_bounds__(256)
cubic_fused(const float* __restrict__ x, float* __restrict__ u, int64_t n, float a) {
    const int64_t first = (int64_t(blockIdx.x) * blockDim.x + threadIdx.x) * 4;
    if (first + 4 <= n) {
        const float4 t = __ldcs(reinterpret_cast<const float4*>(x + first));  // read once: do not keep it in the caches
        const float4 done = make_float4(cubic(t.x, a), cubic(t.y, a), cubic(t.z, a), cubic(t.w, a));
        __stcs(reinterpret_cast<float4*>(u + first), done);
    } else {
#pragma unroll 1
        for (int64_t at = first; at < n; ++at) {
            u[at] = cubic(x[at], a);
        }
    }
}
