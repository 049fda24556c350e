// Attention, fourth rung: one group's exponentials run under the other's products, and under its own.
//
// New: the groups take turns at the tensor cores, by barriers of two groups; and each asks for the scores of the next block
// before it exponentiates those that it has, while the product with the values of the block before still runs. Keys are taken
// from the last to the first (overlap.cuh says why).

#include "attention/overlap.cuh"

constexpr int GROUPS = 2, N = 128, STAGES = 2, THREADS = (1 + GROUPS) * ptx::GROUP, QUERIES = GROUPS * attention::ROWS;

template <typename T, int D>
struct Shared {
    alignas(1024) T q[QUERIES * D];
    attention::Ring<T, D, N, STAGES> k, v;
    uint64_t full;
};

template <typename T, int D>
__device__ __forceinline__ void produce(Shared<T, D>& shared, const CUtensorMap& q, const CUtensorMap& k, const CUtensorMap& v,
                                        int blocks, int first, int head, int kv_head, int batch) {
    gemm::Position<STAGES> keys, values;
    ptx::arrive_expecting(&shared.full, sizeof shared.q);
    ptx::load_rows(shared.q, q, first, head, batch, &shared.full);
#pragma unroll 1
    for (int block = blocks - 1; block >= 0; --block) {
        shared.k.request_next(keys, k, block * N, kv_head, batch);
        shared.v.request_next(values, v, block * N, kv_head, batch);
    }
}

template <typename T, int D>
__device__ __forceinline__ void consume(Shared<T, D>& shared, const attention::Task<T>& task, int blocks, int first, int head,
                                        int batch) {
    const int group = ptx::group_in_block() - 1, row = first + group * attention::ROWS;
    const attention::Turns<GROUPS> turns{group};
    attention::Rows rows;
    float o[D / 2];
    gemm::Position<STAGES> keys, values;
    turns.begin();
    ptx::wait(&shared.full, 0);
    attention::attend_rows<D, N, QUERIES>(o, rows, shared.q + group * attention::ROWS * attention::PANEL, shared.k, shared.v,
                                          keys, values, turns, task, row, blocks, [] {});
    turns.end();
    attention::finish<D>(o, rows, task, batch, head, row);
}

template <typename T, int D>
__device__ __forceinline__ void attend(const CUtensorMap& q, const CUtensorMap& k, const CUtensorMap& v,
                                       const attention::Task<T>& task) {
    static_assert(attention::FITS<Shared<T, D>, D, QUERIES, N, STAGES>);
    auto& shared = gemm::shared_memory<Shared<T, D>>();
    const int first = blockIdx.x * QUERIES, head = blockIdx.y, batch = blockIdx.z, blocks = (task.keys + N - 1) / N;
    if (threadIdx.x == 0) {
        ptx::init(&shared.full, 1);
        shared.k.init(GROUPS);
        shared.v.init(GROUPS);
        ptx::publish_inits();
    }
    __syncthreads();
    if (threadIdx.x < ptx::GROUP) {
        ptx::shrink_to<24>();
        if (threadIdx.x == 0) produce(shared, q, k, v, blocks, first, head, head / task.shared_by, batch);
    } else {
        ptx::grow_to<240>();
        consume(shared, task, blocks, first, head, batch);
    }
}

#define KERNEL(name, T, D)                                                                                        \
    extern "C" __global__ void __launch_bounds__(THREADS, 1)                                                      \
    name(const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k,                            \
         const __grid_constant__ CUtensorMap v, const __grid_constant__ attention::Task<T> task) {                \
        attend<T, D>(q, k, v, task);                                                                              \
    }

KERNEL(flash_ping_pong_bf16_d64, __nv_bfloat16, 64)
KERNEL(flash_ping_pong_bf16_d128, __nv_bfloat16, 128)
KERNEL(flash_ping_pong_fp16_d64, __half, 64)
KERNEL(flash_ping_pong_fp16_d128, __half, 128)
