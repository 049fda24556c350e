// What becomes of the sums: bias, GELU, 16 bits; and the plain way into device memory, from the registers.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

namespace gemm {

// c[m, n] = gelu(sum + bias[n]), either left out. Rows of c are `stride` elements apart, a multiple of 8.
template <typename T>
struct Output {
    T* c;
    int m, n, stride;
    const T* bias;  // null for none
    int gelu;
};

// The tanh form, x / 2 * (1 + tanh u) with u = sqrt(2 / pi) * (x + 0.044715 x^3), as x * sigmoid(2 u): no step of it overflows into
// NaN where the result is finite.
__device__ __forceinline__ float gelu(float x) {
    const float u = 0.7978845608028654f * x * (1.0f + 0.044715f * x * x);
    return __fdividef(x, 1.0f + __expf(-2.0f * u));
}

template <typename T>
__device__ __forceinline__ uint32_t pair(float low, float high);

template <>
__device__ __forceinline__ uint32_t pair<__nv_bfloat16>(float low, float high) {
    const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
    return reinterpret_cast<const uint32_t&>(both);
}

template <>
__device__ __forceinline__ uint32_t pair<__half>(float low, float high) {
    const __half2 both = __floats2half2_rn(low, high);
    return reinterpret_cast<const uint32_t&>(both);
}

// In place; `column` is that of d[0], and a thread holds columns as `wgmma` says.
template <typename T, int COUNT>
__device__ __forceinline__ void bias_gelu(float (&d)[COUNT], const T* bias, int gelu_too, int column, int n) {
    if (bias != nullptr) {
#pragma unroll
        for (int at = 0; at < COUNT; at += 4) {
#pragma unroll
            for (int side = 0; side < 2; ++side) {
                const int where = column + 2 * at + side;
                const float shift = where < n ? float(bias[where]) : 0.0f;
                d[at + side] += shift;
                d[at + side + 2] += shift;
            }
        }
    }
    if (gelu_too) {
#pragma unroll
        for (int at = 0; at < COUNT; ++at) d[at] = gelu(d[at]);
    }
}

template <typename T>
__device__ __forceinline__ void store_pair(const Output<T>& to, int row, int column, float low, float high) {
    if (row >= to.m || column >= to.n) return;
    T* const where = to.c + int64_t(row) * to.stride + column;
    if (column + 1 < to.n) {
        *reinterpret_cast<uint32_t*>(where) = pair<T>(low, high);
    } else {
        *where = T(low);
    }
}

// The tile of a warp group, 64 rows from `row` on, as `wgmma` left it. Four lanes write 16 bytes of a row.
template <typename T, int N>
__device__ __forceinline__ void store(float (&d)[N / 2], const Output<T>& to, int row, int column) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32 % 4;
    row += 16 * warp + lane / 4;
    column += 2 * (lane % 4);
    bias_gelu(d, to.bias, to.gelu, column, to.n);
#pragma unroll
    for (int at = 0; at < N / 2; at += 4) {
        store_pair(to, row, column + 2 * at, d[at], d[at + 1]);
        store_pair(to, row + 8, column + 2 * at, d[at + 2], d[at + 3]);
    }
}

}  // namespace gemm
