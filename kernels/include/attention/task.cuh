// What attention is asked for, and where its results go: out = softmax(scale * Q K^T) V, a head at a time, and each row's
// log-sum-exp.
#pragma once

#include <cstdint>

#include "../gemm/epilogue.cuh"
#include "../ptx/group.cuh"

namespace attention {

constexpr int ROWS = 64;  // of queries, that a warp group holds

template <typename T>
struct Task {
    T* out;      // [batch, heads, queries, D], D contiguous
    float* lse;  // [batch, heads, queries]
    int64_t out_batch, out_head, out_row;  // strides in elements
    int batch, heads, shared_by;           // so many query heads share a head of keys
    int queries, keys;
    int causal;   // the last query sees all keys, each before it one less
    float scale;  // of the scores, times log2(e): the exponentials are powers of two

    // Keys that a row sees: those before this one.
    __device__ __forceinline__ int seen(int row) const { return causal ? max(0, min(keys, row + 1 + keys - queries)) : keys; }
};

// Of a thread's two rows of its group's 64.
__device__ __forceinline__ int row_of(int side) { return threadIdx.x % ptx::GROUP / 32 * 16 + threadIdx.x % 32 / 4 + 8 * side; }

}  // namespace attention
