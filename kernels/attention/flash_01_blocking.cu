// Attention, first rung: one kernel instead of a chain of them. Scores stay in registers; nothing of them goes to memory.
//
// A block has 128 rows of one head, two warp groups of 64. A block of keys and values is asked for, waited for, multiplied, and
// only then the next asked for: copies, products and exponentials take turns.

#include "attention/products.cuh"

constexpr int GROUPS = 2, N = 128, THREADS = GROUPS * ptx::GROUP, QUERIES = GROUPS * attention::ROWS;

template <typename T, int D>
struct Shared {
    alignas(1024) T q[QUERIES * D], k[N * D], v[N * D];
    uint64_t queries, full;
};

template <typename T, int D>
__device__ __forceinline__ void attend(const CUtensorMap& q, const CUtensorMap& k, const CUtensorMap& v,
                                       const attention::Task<T>& task) {
    static_assert(attention::FITS<Shared<T, D>, D, QUERIES, N, 1>);
    auto& shared = gemm::shared_memory<Shared<T, D>>();
    const int group = ptx::group_in_block(), head = blockIdx.y, batch = blockIdx.z, kv_head = head / task.shared_by;
    const int first = blockIdx.x * QUERIES, row = first + group * attention::ROWS;
    if (threadIdx.x == 0) {
        ptx::init(&shared.queries, 1);
        ptx::init(&shared.full, 1);
        ptx::publish_inits();
        ptx::arrive_expecting(&shared.queries, sizeof shared.q);
        ptx::load_rows(shared.q, q, first, head, batch, &shared.queries);
    }
    __syncthreads();
    ptx::wait(&shared.queries, 0);  // a barrier of their own: nobody may begin the next phase of one that others still wait at
    attention::Rows rows;
    float o[D / 2];
    attention::clear(o);
    uint32_t parity = 0;
#pragma unroll 1
    for (int key = 0; key < task.keys; key += N, parity ^= 1) {
        if (threadIdx.x == 0) {
            ptx::arrive_expecting(&shared.full, sizeof shared.k + sizeof shared.v);
            ptx::load_rows(shared.k, k, key, kv_head, batch, &shared.full);
            ptx::load_rows(shared.v, v, key, kv_head, batch, &shared.full);
        }
        ptx::wait(&shared.full, parity);
        float s[N / 2], shrink[2];
        uint32_t p[N / 16][4];
        ptx::wgmma_begin();
        attention::multiply_keys<D, N, QUERIES>(s, shared.q + group * attention::ROWS * attention::PANEL, shared.k);
        ptx::wgmma_wait<0>();
        ptx::hold(s);
        attention::hide_unseen(s, task, row, key);
        rows.take(s, task.scale, shrink);
        attention::multiply_rows(o, shrink);
        attention::round_to<T>(p, s);
        ptx::wgmma_begin();
        attention::multiply_values<D, N>(o, p, shared.v);
        ptx::wgmma_wait<0>();
        ptx::hold(o);
        __syncthreads();
    }
    attention::finish<D>(o, rows, task, batch, head, row);
}

#define KERNEL(name, T, D)                                                                                        \
    extern "C" __global__ void __launch_bounds__(THREADS)                                                         \
    name(const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k,                            \
         const __grid_constant__ CUtensorMap v, const __grid_constant__ attention::Task<T> task) {                \
        attend<T, D>(q, k, v, task);                                                                              \
    }

KERNEL(flash_blocking_bf16_d64, __nv_bfloat16, 64)
KERNEL(flash_blocking_bf16_d128, __nv_bfloat16, 128)
KERNEL(flash_blocking_fp16_d64, __half, 64)
KERNEL(flash_blocking_fp16_d128, __half, 128)
