// C = A B^T on Blackwell: a pair of blocks multiplies tiles of 256 x 256 by tcgen05, fed by the copy engine through a ring of four.
//
// The roles are those of the ladder's fourth rung, a warp each: one asks for copies, one of the leader asks for products, and the
// four of a group bring the sums from tensor memory to C. Each block holds its 128 rows of A and its 128 columns of B; the
// tensor cores of both read B from both. Compiled for sm_100a and held to its contract; it was never run. For any other target the
// kernel has no body but a trap, and the host refuses before it launches.

#include "gemm/epilogue.cuh"
#include "gemm/ring.cuh"
#include "ptx/group.cuh"
#include "ptx/tcgen05.cuh"

constexpr int M = 128, N = 128, STAGES = 4, THREADS = 192;  // rows of A and of B that a block holds; four warps and two
[[maybe_unused]] constexpr int PAIR = 2;
using T = __nv_bfloat16;
using Ring = gemm::Ring<T, M, N, STAGES>;

struct Shared {
    Ring ring;
    uint64_t done;
    uint32_t sums;
};

#if AISP_TCGEN05
__device__ __forceinline__ void produce(const CUtensorMap& a, const CUtensorMap& b, Ring& ring, int row, int column, int blocks,
                                        bool leader) {
    gemm::Position<STAGES> at;
#pragma unroll 1
    for (int block = 0; block < blocks; ++block, at.advance()) {
        ptx::wait(&ring.empty[at.stage], at.parity ^ 1);
        if (leader) ptx::arrive_expecting(&ring.full[at.stage], PAIR * Ring::STAGE_BYTES);
        ptx::load_box_for_pair(ring.a[at.stage], a, block * gemm::BLOCK_K, row, &ring.full[at.stage]);
        ptx::load_box_for_pair(ring.b[at.stage], b, block * gemm::BLOCK_K, column, &ring.full[at.stage]);
    }
}

__device__ __forceinline__ void multiply(Shared& shared, int blocks) {
    gemm::Position<STAGES> at;
    constexpr uint32_t WHAT = ptx::tcgen05_bf16<PAIR * M, PAIR * N>();
#pragma unroll 1
    for (int block = 0; block < blocks; ++block, at.advance()) {
        ptx::wait(&shared.ring.full[at.stage], at.parity);
        ptx::tcgen05_after_barrier();
        const uint64_t rows = ptx::tcgen05_descriptor(shared.ring.a[at.stage]);
        const uint64_t columns = ptx::tcgen05_descriptor(shared.ring.b[at.stage]);
#pragma unroll
        for (int k = 0; k < gemm::BLOCK_K / 16; ++k) {
            ptx::tcgen05_mma(shared.sums, rows + k * ptx::NEXT_K, columns + k * ptx::NEXT_K, WHAT, block > 0 || k > 0);
        }
        ptx::tcgen05_arrive_when_done(&shared.ring.empty[at.stage]);
    }
    ptx::tcgen05_arrive_when_done(&shared.done);
}

// A thread has a row: 32 columns at a time.
__device__ __forceinline__ void store(Shared& shared, const gemm::Output<T>& out, int row, int column) {
    ptx::wait(&shared.done, 0);
    ptx::tcgen05_after_barrier();
    const uint32_t lanes = shared.sums + (threadIdx.x / 32 << 21);
#pragma unroll 1
    for (int first = 0; first < PAIR * N; first += 32) {
        float d[32];
        ptx::tcgen05_load(d, lanes + first);
#pragma unroll
        for (int at = 0; at < 32; at += 2) gemm::store_pair(out, row + int(threadIdx.x), column + first + at, d[at], d[at + 1]);
    }
    ptx::tcgen05_before_barrier();
}
#endif

extern "C" __global__ void __cluster_dims__(2) __launch_bounds__(THREADS, 1)
    gemm_tcgen05(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b, int k,
                 const __grid_constant__ gemm::Output<T> out) {
#if AISP_TCGEN05
    Shared& shared = gemm::shared_memory<Shared>();
    const int warp = threadIdx.x / 32, rank = ptx::block_in_cluster(), blocks = (k + gemm::BLOCK_K - 1) / gemm::BLOCK_K;
    const int row = blockIdx.x * M, column = blockIdx.y * PAIR * N;
    if (threadIdx.x == 0) {
        ptx::init(&shared.done, 1);
        shared.ring.init(1);
    }
    if (warp == 4) ptx::take_tensor_memory<PAIR * N>(&shared.sums);
    ptx::tcgen05_before_barrier();
    __syncthreads();
    ptx::sync_cluster();
    ptx::tcgen05_after_barrier();
    if (threadIdx.x == 4 * 32) produce(a, b, shared.ring, row, column + rank * N, blocks, rank == 0);
    if (threadIdx.x == 5 * 32 && rank == 0) multiply(shared, blocks);
    if (warp < 4) store(shared, out, row, column);
    __syncthreads();
    ptx::sync_cluster();
    if (warp == 4) ptx::give_tensor_memory<PAIR * N>(shared.sums);
#else
    __trap();
#endif
}
