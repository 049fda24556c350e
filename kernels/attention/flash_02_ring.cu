// Attention, second rung: rings of two stages for keys and for values, so that copies run ahead of the products.
//
// New: while one block of keys is multiplied, the next is on its way. That a stage is empty the block knows itself: it meets at
// the end of each step.

#include "attention/ring.cuh"

constexpr int GROUPS = 2, N = 128, STAGES = 2, THREADS = GROUPS * ptx::GROUP, QUERIES = GROUPS * attention::ROWS;

template <typename T, int D>
struct Shared {
    alignas(1024) T q[QUERIES * D];
    attention::Ring<T, D, N, STAGES> k, v;
    uint64_t full;
};

template <typename T, int D>
__device__ __forceinline__ void attend(const CUtensorMap& q, const CUtensorMap& k, const CUtensorMap& v,
                                       const attention::Task<T>& task) {
    auto& shared = gemm::shared_memory<Shared<T, D>>();
    const int group = ptx::group_in_block(), head = blockIdx.y, batch = blockIdx.z, kv_head = head / task.shared_by;
    const int first = blockIdx.x * QUERIES, row = first + group * attention::ROWS;
    const auto request = [&](int key) {
        if (threadIdx.x == 0 && key < task.keys) {
            shared.k.request(key / N % STAGES, k, key, kv_head, batch);
            shared.v.request(key / N % STAGES, v, key, kv_head, batch);
        }
    };
    if (threadIdx.x == 0) {
        ptx::init(&shared.full, 1);
        shared.k.init(1);
        shared.v.init(1);
        ptx::publish_inits();
        ptx::arrive_expecting(&shared.full, sizeof shared.q);
        ptx::load_rows(shared.q, q, first, head, batch, &shared.full);
    }
    __syncthreads();
#pragma unroll 1
    for (int stage = 0; stage < STAGES - 1; ++stage) request(stage * N);
    ptx::wait(&shared.full, 0);
    attention::Rows rows;
    float o[D / 2];
    attention::clear(o);
    gemm::Position<STAGES> at;
#pragma unroll 1
    for (int key = 0; key < task.keys; key += N, at.advance()) {
        request(key + (STAGES - 1) * N);
        float s[N / 2], shrink[2];
        uint32_t p[N / 16][4];
        const T* const keys = shared.k.wait(at);
        ptx::wgmma_begin();
        attention::multiply_keys<D, N, QUERIES>(s, shared.q + group * attention::ROWS * attention::PANEL, keys);
        ptx::wgmma_wait<0>();
        ptx::hold(s);
        attention::hide_unseen(s, task, row, key);
        rows.take(s, task.scale, shrink);
        attention::multiply_rows(o, shrink);
        attention::round_to<T>(p, s);
        const T* const values = shared.v.wait(at);
        ptx::wgmma_begin();
        attention::multiply_values<D, N>(o, p, values);
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

KERNEL(flash_ring_bf16_d64, __nv_bfloat16, 64)
KERNEL(flash_ring_bf16_d128, __nv_bfloat16, 128)
KERNEL(flash_ring_fp16_d64, __half, 64)
KERNEL(flash_ring_fp16_d128, __half, 128)
