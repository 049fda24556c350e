// aisp-prof launch
// entry = "add_rms_norm"
// grid = ["rows"]
// block = [256]
// arguments = ["x", "residual", "gain", "total", "normed", "int d", "float eps"]

// A block a row: the sum is read twice, the second time from L2, so that no row is too long.
#include <cuda_bf16.h>
#include <stdint.h>

constexpr int THREADS = 256, WARPS = THREADS / 32;

__device__ __forceinline__ float sum_of(const __nv_bfloat16* x, const __nv_bfloat16* residual, int64_t at) {
    return __bfloat162float(x[at]) + __bfloat162float(residual[at]);
}

extern "C" __global__ void __launch_bounds__(THREADS)
add_rms_norm(const __nv_bfloat16* x, const __nv_bfloat16* residual, const __nv_bfloat16* gain,
             __nv_bfloat16* total, __nv_bfloat16* normed, int d, float eps) {
    __shared__ float partial[WARPS];
    const int thread = threadIdx.x;
    const int64_t start = int64_t(blockIdx.x) * d;

    float squares = 0.0f;
    for (int i = thread; i < d; i += THREADS) {
        const float sum = sum_of(x, residual, start + i);
        total[start + i] = __float2bfloat16_rn(sum);
        squares += sum * sum;
    }
    for (int distance = 16; distance > 0; distance /= 2) squares += __shfl_xor_sync(0xffffffffu, squares, distance);
    if (thread % 32 == 0) partial[thread / 32] = squares;
    __syncthreads();
    float all = 0.0f;
    for (int warp = 0; warp < WARPS; ++warp) all += partial[warp];

    const float factor = 1.0f / sqrtf(all / d + eps);
    for (int i = thread; i < d; i += THREADS) {
        const float sum = sum_of(x, residual, start + i);
        normed[start + i] = __float2bfloat16_rn(sum * factor * __bfloat162float(gain[i]));
    }
}
