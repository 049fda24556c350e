// Attention, third rung: warp groups with one role each. A producer does nothing but ask for copies, two consumers multiply.
//
// New: no __syncthreads in the loop. A consumer gives a stage back by itself; while one exponentiates, the other may
// have the tensor cores, if it so happens. setmaxnreg moves the producer's registers to the consumers, who hold scores and sums.

#include "attention/ring.cuh"

constexpr int GROUPS = 2, N = 128, STAGES = 2, THREADS = (1 + GROUPS) * ptx::GROUP, QUERIES = GROUPS * attention::ROWS;

template <typename T, int D>
struct Shared {
    alignas(1024) T q[QUERIES * D];
    attention::Ring<T, D, N, STAGES> k, v;
    uint64_t full;
};

template <typename T, int D>
__device__ __forceinline__ void produce(Shared<T, D>& shared, const CUtensorMap& q, const CUtensorMap& k, const CUtensorMap& v,
                                        const attention::Task<T>& task, int first, int head, int batch) {
    const int kv_head = head / task.shared_by;
    gemm::Position<STAGES> keys, values;
    ptx::arrive_expecting(&shared.full, sizeof shared.q);
    ptx::load_rows(shared.q, q, first, head, batch, &shared.full);
#pragma unroll 1
    for (int key = 0; key < task.keys; key += N) {
        shared.k.request_next(keys, k, key, kv_head, batch);
        shared.v.request_next(values, v, key, kv_head, batch);
    }
}

template <typename T, int D>
__device__ __forceinline__ void consume(Shared<T, D>& shared, const attention::Task<T>& task, int first, int head, int batch) {
    const int group = ptx::group_in_block() - 1, row = first + group * attention::ROWS;
    attention::Rows rows;
    float o[D / 2];
    attention::clear(o);
    gemm::Position<STAGES> at, values;
    ptx::wait(&shared.full, 0);
#pragma unroll 1
    for (int key = 0; key < task.keys; key += N) {
        float s[N / 2], shrink[2];
        uint32_t p[N / 16][4];
        const T* const k = shared.k.wait(at);
        ptx::wgmma_begin();
        attention::multiply_keys<D, N, QUERIES>(s, shared.q + group * attention::ROWS * attention::PANEL, k);
        ptx::wgmma_wait<0>();
        ptx::hold(s);
        shared.k.give_back(at);
        attention::hide_unseen(s, task, row, key);
        rows.take(s, task.scale, shrink);
        attention::multiply_rows(o, shrink);
        attention::round_to<T>(p, s);
        const T* const v = shared.v.wait(values);
        ptx::wgmma_begin();
        attention::multiply_values<D, N>(o, p, v);
        ptx::wgmma_wait<0>();
        ptx::hold(o);
        shared.v.give_back(values);
    }
    attention::finish<D>(o, rows, task, batch, head, row);
}

template <typename T, int D>
__device__ __forceinline__ void attend(const CUtensorMap& q, const CUtensorMap& k, const CUtensorMap& v,
                                       const attention::Task<T>& task) {
    static_assert(attention::FITS<Shared<T, D>, D, QUERIES, N, STAGES>);
    auto& shared = gemm::shared_memory<Shared<T, D>>();
    const int first = blockIdx.x * QUERIES, head = blockIdx.y, batch = blockIdx.z;
    if (threadIdx.x == 0) {
        ptx::init(&shared.full, 1);
        shared.k.init(GROUPS);
        shared.v.init(GROUPS);
        ptx::publish_inits();
    }
    __syncthreads();
    if (threadIdx.x < ptx::GROUP) {
        ptx::shrink_to<24>();  // 24 + 2 * 240 = 3 * 168 (group.cuh)
        if (threadIdx.x == 0) produce(shared, q, k, v, task, first, head, batch);
    } else {
        ptx::grow_to<240>();
        consume(shared, task, first, head, batch);
    }
}

#define KERNEL(name, T, D)                                                                                        \
    extern "C" __global__ void __launch_bounds__(THREADS, 1)                                                      \
    name(const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k,                            \
         const __grid_constant__ CUtensorMap v, const __grid_constant__ attention::Task<T> task) {                \
        attend<T, D>(q, k, v, task);                                                                              \
    }

KERNEL(flash_warp_specialized_bf16_d64, __nv_bfloat16, 64)
KERNEL(flash_warp_specialized_bf16_d128, __nv_bfloat16, 128)
KERNEL(flash_warp_specialized_fp16_d64, __half, 64)
KERNEL(flash_warp_specialized_fp16_d128, __half, 128)
