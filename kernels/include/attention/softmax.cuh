// Softmax of rows that come a block of keys at a time (online): what was added up before is shrunk when a larger score comes.
// Powers of two throughout, `scale` has log2(e) in it: subtracting the largest and scaling is then one FMA a score.
#pragma once

#include "task.cuh"

namespace attention {

// 2^x as the special function units approximate it (MUFU.EX2); what is smaller than 2^-126 becomes zero.
__device__ __forceinline__ float power_of_2(float x) {
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
    return power;
}

// Over the four neighbouring lanes that hold a row of what wgmma leaves.
__device__ __forceinline__ float largest_of_quad(float x) {
    x = fmaxf(x, __shfl_xor_sync(~0u, x, 1));
    return fmaxf(x, __shfl_xor_sync(~0u, x, 2));
}

__device__ __forceinline__ float sum_of_quad(float x) {
    x += __shfl_xor_sync(~0u, x, 1);
    return x + __shfl_xor_sync(~0u, x, 2);
}

// Scores of keys that their row does not see become minus infinity, in a block from `key` on, of rows from `row` on. Register `at`
// is of column 2 (at & ~3) + (at & 1), beyond the thread's first, and of its row at / 2 % 2 (wgmma.cuh): COUNT of 2 COUNT keys.
template <typename T, int COUNT>
__device__ __forceinline__ void hide_unseen(float (&s)[COUNT], const Task<T>& task, int row, int key) {
    if (key + 2 * COUNT <= task.seen(row)) return;  // the group's first row sees least
    const int first = key + 2 * (threadIdx.x % 4), seen[2] = {task.seen(row + row_of(0)), task.seen(row + row_of(1))};
#pragma unroll
    for (int at = 0; at < COUNT; ++at) {
        if (2 * (at & ~3) + (at & 1) >= seen[at / 2 % 2] - first) s[at] = -INFINITY;
    }
}

// A thread's two rows: the largest score so far, and the sum, over the thread's own columns, of the exponentials.
struct Rows {
    float largest[2] = {-INFINITY, -INFINITY}, sum[2] = {0.0f, 0.0f};

    // Scores become their exponentials below the row's largest; `shrink` is what all that was before is to be multiplied by.
    // A row that has seen no key yet has exponentials of nought, where minus infinity less itself would be NaN.
    template <int COUNT>
    __device__ __forceinline__ void take(float (&s)[COUNT], float scale, float (&shrink)[2]) {
#pragma unroll
        for (int side = 0; side < 2; ++side) {
            float even = largest[side], odd = s[2 * side + 1];
#pragma unroll
            for (int at = 2 * side; at < COUNT; at += 4) {
                even = fmaxf(even, s[at]);
                odd = fmaxf(odd, s[at + 1]);
            }
            const float most = largest_of_quad(fmaxf(even, odd)), base = most == -INFINITY ? 0.0f : most * scale;
            shrink[side] = power_of_2(largest[side] * scale - base);
            largest[side] = most;
            float evens = sum[side] * shrink[side], odds = 0.0f;
#pragma unroll
            for (int at = 2 * side; at < COUNT; at += 4) {
                evens += s[at] = power_of_2(s[at] * scale - base);
                odds += s[at + 1] = power_of_2(s[at + 1] * scale - base);
            }
            sum[side] = evens + odds;
        }
    }
};

template <int COUNT>
__device__ __forceinline__ void multiply_rows(float (&o)[COUNT], const float (&by)[2]) {
#pragma unroll
    for (int at = 0; at < COUNT; ++at) o[at] *= by[at / 2 % 2];
}

// Exponentials in 16 bits, as the left operand of the product with the values.
template <typename T, int COUNT>
__device__ __forceinline__ void round_to(uint32_t (&p)[COUNT / 8][4], const float (&s)[COUNT]) {
#pragma unroll
    for (int at = 0; at < COUNT; at += 2) p[at / 8][at / 2 % 4] = gemm::pair<T>(s[at], s[at + 1]);
}

// The rows of a group, from `row` on: divided by their sums, which are added up over the quad here. A row that saw no key is
// zeros, its log-sum-exp minus infinity: what the sums over no keys are.
template <int D, typename T>
__device__ __forceinline__ void finish(float (&o)[D / 2], Rows& rows, const Task<T>& task, int batch, int head, int row) {
    constexpr float LN_2 = 0.6931471805599453f;
    const int column = 2 * (threadIdx.x % 4);
#pragma unroll
    for (int side = 0; side < 2; ++side) {
        const int own = row + row_of(side);
        const float sum = sum_of_quad(rows.sum[side]), share = sum == 0.0f ? 0.0f : __fdividef(1.0f, sum);
        if (own >= task.queries) continue;
        T* const to = task.out + batch * task.out_batch + head * task.out_head + own * task.out_row + column;
#pragma unroll
        for (int at = 2 * side; at < D / 2; at += 4) {
            *reinterpret_cast<uint32_t*>(to + 2 * (at & ~3)) = gemm::pair<T>(o[at] * share, o[at + 1] * share);
        }
        if (column == 0) {
            task.lse[(int64_t(batch) * task.heads + head) * task.queries + own] =
                sum == 0.0f ? -INFINITY : rows.largest[side] * task.scale * LN_2 + logf(sum);
        }
    }
}

}  // namespace attention
