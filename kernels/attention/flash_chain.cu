// Attention as a chain of launches, three for each chunk of keys: scores, online softmax, product with the values.
//
// What one kernel keeps in registers goes through device memory here: the scores in fp32, their exponentials in 16 bits, and the
// sums so far, read and written again for each chunk.

#include "attention/products.cuh"
#include "ptx/warp_mma.cuh"

constexpr int GROUPS = 2, TILE = GROUPS * attention::ROWS, THREADS = GROUPS * ptx::GROUP, WARPS = 8;
using attention::PANEL;

// A chunk of keys, and what the launches leave to one another. Rows are those of all heads, one head after the other.
struct Chunk {
    float* scores;    // [rows, width]
    void* powers;     // [rows, width], 16 bits
    float* largest;   // [rows], of the scores so far, like the two below from chunk to chunk
    float* sum;       // [rows], of the exponentials
    float* shrink;    // [rows], what this chunk makes of the sums before it
    float* products;  // [rows, D]
    int first, width;
    int last;  // whether there is no further chunk
};

template <typename T, int D>
struct KeysShared {
    alignas(1024) T q[TILE * D], k[TILE * D];
    uint64_t full;
};

// 128 rows times 128 keys.
template <typename T, int D>
__device__ __forceinline__ void chain_scores(const CUtensorMap& q, const CUtensorMap& k, const attention::Task<T>& task,
                                             const Chunk& chunk) {
    auto& shared = gemm::shared_memory<KeysShared<T, D>>();
    const int group = ptx::group_in_block(), head = blockIdx.z % task.heads, batch = blockIdx.z / task.heads;
    const int first = blockIdx.x * TILE, column = blockIdx.y * TILE;
    if (threadIdx.x == 0) {
        ptx::init(&shared.full, 1);
        ptx::publish_inits();
        ptx::arrive_expecting(&shared.full, sizeof shared.q + sizeof shared.k);
        ptx::load_rows(shared.q, q, first, head, batch, &shared.full);
        ptx::load_rows(shared.k, k, chunk.first + column, head / task.shared_by, batch, &shared.full);
    }
    __syncthreads();
    ptx::wait(&shared.full, 0);
    float s[TILE / 2];
    ptx::wgmma_begin();
    attention::multiply_keys<D, TILE, TILE>(s, shared.q + group * attention::ROWS * PANEL, shared.k);
    ptx::wgmma_wait<0>();
    ptx::hold(s);
#pragma unroll
    for (int side = 0; side < 2; ++side) {
        const int row = first + group * attention::ROWS + attention::row_of(side);
        if (row >= task.queries) continue;
        const int mine = column + 2 * (threadIdx.x % 4);
        float* const to = chunk.scores + (int64_t(blockIdx.z) * task.queries + row) * chunk.width + mine;
#pragma unroll
        for (int at = 2 * side; at < TILE / 2; at += 4) {
            const int further = 2 * (at & ~3);  // the width is even: 16 bytes' worth of exponentials
            if (mine + further < chunk.width) *reinterpret_cast<float2*>(to + further) = {s[at], s[at + 1]};
        }
    }
}

__device__ __forceinline__ float largest_of_warp(float x) {
#pragma unroll
    for (int lane = 16; lane > 0; lane /= 2) x = fmaxf(x, __shfl_xor_sync(~0u, x, lane));
    return x;
}

__device__ __forceinline__ float sum_of_warp(float x) {
#pragma unroll
    for (int lane = 16; lane > 0; lane /= 2) x += __shfl_xor_sync(~0u, x, lane);
    return x;
}

// A warp a row.
template <typename T>
__device__ __forceinline__ void chain_softmax(const attention::Task<T>& task, const Chunk& chunk) {
    const int64_t row = int64_t(blockIdx.x) * WARPS + threadIdx.x / 32;
    if (row >= int64_t(task.batch) * task.heads * task.queries) return;
    const int lane = threadIdx.x % 32, seen = min(chunk.width, task.seen(row % task.queries) - chunk.first);
    const float* const from = chunk.scores + row * chunk.width;
    T* const to = static_cast<T*>(chunk.powers) + row * chunk.width;
    const float before = chunk.first == 0 ? -INFINITY : chunk.largest[row];
    float most = before;
    for (int at = lane; at < seen; at += 32) most = fmaxf(most, from[at]);
    most = largest_of_warp(most);
    const float base = most == -INFINITY ? 0.0f : most * task.scale, shrink = attention::power_of_2(before * task.scale - base);
    float sum = 0.0f;
    for (int at = 2 * lane; at < chunk.width; at += 64) {
        const float low = at < seen ? attention::power_of_2(from[at] * task.scale - base) : 0.0f;
        const float high = at + 1 < seen ? attention::power_of_2(from[at + 1] * task.scale - base) : 0.0f;
        *reinterpret_cast<uint32_t*>(to + at) = gemm::pair<T>(low, high);
        sum += low + high;
    }
    sum = sum_of_warp(sum);
    if (lane == 0) {
        chunk.largest[row] = most;
        chunk.sum[row] = chunk.first == 0 ? sum : chunk.sum[row] * shrink + sum;
        chunk.shrink[row] = shrink;
    }
}

template <typename T, int D>
struct ValuesShared {
    alignas(1024) T p[TILE * PANEL], v[PANEL * D];
    uint64_t full;
};

// 128 rows: the sums so far, shrunk, and 64 keys after the other; at the end divided by the sum of exponentials.
template <typename T, int D>
__device__ __forceinline__ void chain_values(const CUtensorMap& p, const CUtensorMap& v, const attention::Task<T>& task,
                                             const Chunk& chunk) {
    auto& shared = gemm::shared_memory<ValuesShared<T, D>>();
    const int group = ptx::group_in_block(), lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int head = blockIdx.y % task.heads, batch = blockIdx.y / task.heads, first = blockIdx.x * TILE;
    const int row = first + group * attention::ROWS, column = 2 * (lane % 4);
    const int64_t rows = int64_t(blockIdx.y) * task.queries;
    if (threadIdx.x == 0) {
        ptx::init(&shared.full, 1);
        ptx::publish_inits();
    }
    __syncthreads();
    attention::Rows state;
    float o[D / 2];
#pragma unroll
    for (int side = 0; side < 2; ++side) {
        const int own = min(row + attention::row_of(side), task.queries - 1);
        const float shrink = chunk.shrink[rows + own];
        state.largest[side] = chunk.largest[rows + own];
        state.sum[side] = column == 0 ? chunk.sum[rows + own] : 0.0f;  // `finish` adds up the quad
#pragma unroll
        for (int at = 2 * side; at < D / 2; at += 4) {
            const float* const from = chunk.products + (rows + own) * D + column + 2 * (at & ~3);
            o[at] = chunk.first == 0 ? 0.0f : from[0] * shrink;
            o[at + 1] = chunk.first == 0 ? 0.0f : from[1] * shrink;
        }
    }
    uint32_t parity = 0;
#pragma unroll 1
    for (int key = 0; key < chunk.width; key += PANEL, parity ^= 1) {
        if (threadIdx.x == 0) {
            ptx::arrive_expecting(&shared.full, sizeof shared.p + sizeof shared.v);
            ptx::load_box(shared.p, p, key, int(rows) + first, &shared.full);
            ptx::load_rows(shared.v, v, chunk.first + key, head / task.shared_by, batch, &shared.full);
        }
        ptx::wait(&shared.full, parity);
        uint32_t powers[PANEL / 16][4];
        const int mine = 16 * warp + lane % 16;
#pragma unroll
        for (int at = 0; at < PANEL / 16; ++at) {
            ptx::load_matrices(powers[at], shared.p + mine * PANEL + ((2 * at + lane / 16) ^ mine % 8) * 8);
        }
        ptx::wgmma_begin();
        attention::multiply_values<D, PANEL>(o, powers, shared.v);
        ptx::wgmma_wait<0>();
        ptx::hold(o);
        __syncthreads();
    }
    if (chunk.last) {
        attention::finish<D>(o, state, task, batch, head, row);
        return;
    }
#pragma unroll
    for (int side = 0; side < 2; ++side) {
        const int own = row + attention::row_of(side);
        if (own >= task.queries) continue;
#pragma unroll
        for (int at = 2 * side; at < D / 2; at += 4) {
            *reinterpret_cast<float2*>(chunk.products + (rows + own) * D + column + 2 * (at & ~3)) = {o[at], o[at + 1]};
        }
    }
}

#define PRODUCTS(name, T, D)                                                                                      \
    extern "C" __global__ void __launch_bounds__(THREADS)                                                         \
    chain_scores_##name(const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k,             \
                        const __grid_constant__ attention::Task<T> task, const __grid_constant__ Chunk chunk) {   \
        chain_scores<T, D>(q, k, task, chunk);                                                                    \
    }                                                                                                             \
    extern "C" __global__ void __launch_bounds__(THREADS)                                                         \
    chain_values_##name(const __grid_constant__ CUtensorMap p, const __grid_constant__ CUtensorMap v,             \
                        const __grid_constant__ attention::Task<T> task, const __grid_constant__ Chunk chunk) {   \
        chain_values<T, D>(p, v, task, chunk);                                                                    \
    }
#define SOFTMAX(name, T)                                                                                          \
    extern "C" __global__ void __launch_bounds__(32 * WARPS)                                                      \
    chain_softmax_##name(const __grid_constant__ attention::Task<T> task, const __grid_constant__ Chunk chunk) {  \
        chain_softmax<T>(task, chunk);                                                                            \
    }

PRODUCTS(bf16_d64, __nv_bfloat16, 64)
PRODUCTS(bf16_d128, __nv_bfloat16, 128)
PRODUCTS(fp16_d64, __half, 64)
PRODUCTS(fp16_d128, __half, 128)
SOFTMAX(bf16, __nv_bfloat16)
SOFTMAX(fp16, __half)
