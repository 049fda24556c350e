// y = softmax of each row of x in fp32, a block a row: once over the row for its largest element and its sum together (the online
// form), and once more to write. Rows are whole multiples of 4 elements, 16-byte aligned.

#include "softmax/part.cuh"

using namespace softmax;

extern "C" __global__ void __launch_bounds__(THREADS, 2)
    softmax_online(const float* __restrict__ x, float* __restrict__ y, int columns) {
    __shared__ Part parts[WARPS];
    const float4* const from = reinterpret_cast<const float4*>(x + int64_t(blockIdx.x) * columns);
    float4* const to = reinterpret_cast<float4*>(y + int64_t(blockIdx.x) * columns);
    Part part;
#pragma unroll 4
    for (int at = threadIdx.x; at < columns / 4; at += THREADS) part.add(__ldcg(from + at));
    const Part row = over_block(part, parts);
    const float scale = 1.0f / row.sum;
#pragma unroll 4
    for (int at = threadIdx.x; at < columns / 4; at += THREADS) __stcs(to + at, shares(__ldcs(from + at), row, scale));
}
