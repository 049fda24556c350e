// The tensor cores as Blackwell has them (tcgen05): one thread asks for the product of two tiles in shared memory, by a pair of
// blocks where they are a cluster; the sums lie in tensor memory, 128 lanes of 512 columns, and not in registers.
//
// For the target sm_100a alone: AISP_TCGEN05 says whether this is it.
#pragma once

#include <cuda_bf16.h>

#include "tma.cuh"

#if defined(__CUDA_ARCH_FEAT_SM100_ALL)
#define AISP_TCGEN05 1
#else
#define AISP_TCGEN05 0
#endif

namespace ptx {

// Tensor memory for both blocks of a pair, by one warp of each: where it begins is left at `address`. COLUMNS: a power of two,
// 32 to 512.
template <int COLUMNS>
__device__ __forceinline__ void take_tensor_memory(uint32_t* address) {
    asm volatile("tcgen05.alloc.cta_group::2.sync.aligned.shared::cta.b32 [%0], %1;\n"
                 "tcgen05.relinquish_alloc_permit.cta_group::2.sync.aligned;" ::"r"(shared_address(address)),
                 "n"(COLUMNS)
                 : "memory");
}

template <int COLUMNS>
__device__ __forceinline__ void give_tensor_memory(uint32_t address) {
    asm volatile("tcgen05.dealloc.cta_group::2.sync.aligned.b32 %0, %1;" ::"r"(address), "n"(COLUMNS) : "memory");
}

// A tile as the copy engine wrote it with a swizzle of 128 bytes, rows of 64 elements, like `wgmma_descriptor`.
__device__ __forceinline__ uint64_t tcgen05_descriptor(const void* tile) {
    constexpr uint64_t SWIZZLE_128 = 2ull << 61, VERSION = 1ull << 46, EIGHT_ROWS = uint64_t(1024 >> 4) << 32, UNUSED = 1ull << 16;
    return SWIZZLE_128 | VERSION | EIGHT_ROWS | UNUSED | ((shared_address(tile) & 0x3ffff) >> 4);
}

// What to multiply: bf16 by bf16 into fp32, both along k, M rows of both blocks together and N columns.
template <int M, int N>
__device__ __forceinline__ constexpr uint32_t tcgen05_bf16() {
    constexpr uint32_t FP32 = 1u << 4, BF16_A = 1u << 7, BF16_B = 1u << 10;
    return FP32 | BF16_A | BF16_B | uint32_t(N >> 3) << 17 | uint32_t(M >> 4) << 24;
}

// sums += a * b^T, or = a * b^T, over 16 of k, by both blocks of a pair; one thread of the leader asks.
__device__ __forceinline__ void tcgen05_mma(uint32_t sums, uint64_t a, uint64_t b, uint32_t what, bool add) {
    asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, %4, 0;\n"
                 "tcgen05.mma.cta_group::2.kind::f16 [%0], %1, %2, %3, add;\n}" ::"r"(sums),
                 "l"(a), "l"(b), "r"(what), "r"(int(add))
                 : "memory");
}

// Once all that this thread asked for is done: an arrival at the barrier, at the same place in both blocks.
__device__ __forceinline__ void tcgen05_arrive_when_done(uint64_t* barrier) {
    asm volatile("tcgen05.commit.cta_group::2.mbarrier::arrive::one.shared::cluster.multicast::cluster.b64 [%0], %1;" ::"r"(
                     shared_address(barrier)),
                 "h"(uint16_t(3))
                 : "memory");
}

// Around the block's barriers, on either side of which others use tensor memory.
__device__ __forceinline__ void tcgen05_before_barrier() { asm volatile("tcgen05.fence::before_thread_sync;" ::: "memory"); }
__device__ __forceinline__ void tcgen05_after_barrier() { asm volatile("tcgen05.fence::after_thread_sync;" ::: "memory"); }

// 32 columns of this thread's lane: warp w of a group reads lanes 32 w to 32 w + 31.
__device__ __forceinline__ void tcgen05_load(float (&d)[32], uint32_t address) {
    asm volatile(
        "tcgen05.ld.sync.aligned.32x32b.x32.b32 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, [%32];\n"
        "tcgen05.wait::ld.sync.aligned;"
        : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3]), "=f"(d[4]), "=f"(d[5]), "=f"(d[6]), "=f"(d[7]), "=f"(d[8]),
          "=f"(d[9]), "=f"(d[10]), "=f"(d[11]), "=f"(d[12]), "=f"(d[13]), "=f"(d[14]), "=f"(d[15]), "=f"(d[16]), "=f"(d[17]),
          "=f"(d[18]), "=f"(d[19]), "=f"(d[20]), "=f"(d[21]), "=f"(d[22]), "=f"(d[23]), "=f"(d[24]), "=f"(d[25]), "=f"(d[26]),
          "=f"(d[27]), "=f"(d[28]), "=f"(d[29]), "=f"(d[30]), "=f"(d[31])
        : "r"(address)
        : "memory");
}

// A box into this block's shared memory, its bytes counted by the barrier of the pair's leader, whose address differs in one bit.
__device__ __forceinline__ void load_box_for_pair(void* to, const CUtensorMap& map, int x, int y, uint64_t* arrived) {
    asm volatile(
        "cp.async.bulk.tensor.2d.cta_group::2.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(
            shared_address(to)),
        "l"(&map), "r"(x), "r"(y), "r"(shared_address(arrived) & 0xfeffffffu)
        : "memory");
}

}  // namespace ptx
