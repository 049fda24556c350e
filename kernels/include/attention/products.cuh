// The two products of attention by a warp group: 64 rows of queries with a block of keys, and what became of that with its values.
#pragma once

#include "../gemm/ring.cuh"
#include "softmax.cuh"

namespace attention {

constexpr int PANEL = 64;  // columns: a row of a panel is 128 bytes, the widest swizzle

// S = Q K^T, committed as a group, still running on return. A panel of Q has QUERIES rows, one of K N.
template <int D, int N, int QUERIES, typename T>
__device__ __forceinline__ void multiply_keys(float (&s)[N / 2], const T* q, const T* k) {
    const uint64_t rows = ptx::wgmma_descriptor(q), columns = ptx::wgmma_descriptor(k);
    constexpr uint64_t Q_PANEL = QUERIES * PANEL * sizeof(T) >> 4, K_PANEL = N * PANEL * sizeof(T) >> 4;
#pragma unroll
    for (int at = 0; at < D / 16; ++at) {
        const int panel = at / 4, within = at % 4;
        ptx::wgmma<T, N>(s, rows + panel * Q_PANEL + within * ptx::NEXT_K, columns + panel * K_PANEL + within * ptx::NEXT_K,
                         at > 0);
    }
    ptx::wgmma_commit();
}

// O += P V, likewise.
template <int D, int N, typename T>
__device__ __forceinline__ void multiply_values(float (&o)[D / 2], const uint32_t (&p)[N / 16][4], const T* v) {
    const uint64_t columns = ptx::wgmma_descriptor_across(v, N * PANEL * sizeof(T));
#pragma unroll
    for (int at = 0; at < N / 16; ++at) ptx::wgmma<T, D>(o, p[at], columns + at * ptx::NEXT_16_ROWS);
    ptx::wgmma_commit();
}

template <int COUNT>
__device__ __forceinline__ void clear(float (&o)[COUNT]) {
#pragma unroll
    for (int at = 0; at < COUNT; ++at) o[at] = 0.0f;
}

}  // namespace attention
