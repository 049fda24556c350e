// C = A B^T, fourth rung: warp groups with one role each. A producer does nothing but ask for copies, two consumers multiply.
//
// New: no __syncthreads in the loop. The producer runs ahead as far as the ring is empty, each consumer as far as it is full, and
// gives a stage back by itself; when one waits, the other keeps the tensor cores busy. setmaxnreg moves the producer's registers
// to the consumers, who hold the sums: 64 rows of the tile each, so 64 a thread, which would fit without. Rung 5's will need it.

#include "gemm/epilogue.cuh"
#include "gemm/ring.cuh"
#include "ptx/group.cuh"

constexpr int M = 128, N = 128, STAGES = 4, CONSUMERS = 2, THREADS = (1 + CONSUMERS) * ptx::GROUP;

template <typename T, typename Ring>
__device__ __forceinline__ void produce(const CUtensorMap& a, const CUtensorMap& b, Ring& ring, int row, int column,
                                        int blocks) {
    gemm::Position<STAGES> at;
#pragma unroll 1
    for (int block = 0; block < blocks; ++block, at.advance()) {
        ptx::wait(&ring.empty[at.stage], at.parity ^ 1);  // the first round passes: nothing is in the ring
        ptx::arrive_expecting(&ring.full[at.stage], Ring::STAGE_BYTES);
        ptx::load_box(ring.a[at.stage], a, block * gemm::BLOCK_K, row, &ring.full[at.stage]);
        ptx::load_box(ring.b[at.stage], b, block * gemm::BLOCK_K, column, &ring.full[at.stage]);
    }
}

template <typename T>
__device__ __forceinline__ void gemm_tile(const CUtensorMap& a, const CUtensorMap& b, int k, const gemm::Output<T>& out) {
    using Ring = gemm::Ring<T, M, N, STAGES>;
    Ring& ring = gemm::shared_memory<Ring>();
    const int row = blockIdx.x * M, column = blockIdx.y * N, blocks = (k + gemm::BLOCK_K - 1) / gemm::BLOCK_K;
    const int group = threadIdx.x / ptx::GROUP;
    if (threadIdx.x == 0) ring.init(CONSUMERS);  // each gives a stage back once
    __syncthreads();
    if (group == 0) {
        ptx::shrink_to<40>();  // 40 + 2 * 232 = 3 * 168 (group.cuh)
        if (threadIdx.x == 0) produce<T>(a, b, ring, row, column, blocks);
    } else {
        ptx::grow_to<232>();
        const int mine = 64 * (group - 1);
        float d[N / 2];
        gemm::Position<STAGES> at;
        gemm::consume<N>(d, ring, at, mine, blocks, [](uint64_t* empty) {
            if (threadIdx.x % ptx::GROUP == 0) ptx::arrive(empty);
        });
        gemm::store<T, N>(d, out, row + mine, column);
    }
}

#define KERNEL(name, T)                                                                                           \
    extern "C" __global__ void __launch_bounds__(THREADS, 1)                                                      \
    name(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b, int k,                     \
         const __grid_constant__ gemm::Output<T> out) {                                                           \
        gemm_tile(a, b, k, out);                                                                                  \
    }

KERNEL(gemm_warp_specialized_bf16, __nv_bfloat16)
KERNEL(gemm_warp_specialized_fp16, __half)
