// Blackwell's tensor cores on four-bit codes with a scale for 16 of them (tcgen05, kind mxf4nvf4), by one block for itself: codes
// lie in shared memory, scales in tensor memory, where tcgen05.cp puts them.
#pragma once

#include "tcgen05.cuh"

namespace ptx {

template <int COLUMNS>
__device__ __forceinline__ void take_own_tensor_memory(uint32_t* address) {
    asm volatile("tcgen05.alloc.cta_group::1.sync.aligned.shared::cta.b32 [%0], %1;\n"
                 "tcgen05.relinquish_alloc_permit.cta_group::1.sync.aligned;" ::"r"(shared_address(address)),
                 "n"(COLUMNS)
                 : "memory");
}

template <int COLUMNS>
__device__ __forceinline__ void give_own_tensor_memory(uint32_t address) {
    asm volatile("tcgen05.dealloc.cta_group::1.sync.aligned.b32 %0, %1;" ::"r"(address), "n"(COLUMNS) : "memory");
}

// 512 bytes, the scales of 128 rows by 64 of k: 32 lines of 16 bytes, of which line l holds four scales each of the rows l, l + 32,
// l + 64 and l + 96. Without a swizzle; eight lines, 128 bytes, are the unit that repeats.
__device__ __forceinline__ uint64_t scales_descriptor(const void* scales) {
    constexpr uint64_t VERSION = 1ull << 46, EIGHT_LINES = uint64_t(128 >> 4) << 32, UNUSED = 1ull << 16;
    return VERSION | EIGHT_LINES | UNUSED | ((shared_address(scales) & 0x3ffff) >> 4);
}

constexpr int SCALE_COLUMNS = 4;  // of tensor memory for 128 rows by 64 of k

// Into four columns of tensor memory, for all four groups of 32 lanes alike; before the products that the same thread asks for next.
__device__ __forceinline__ void copy_scales(uint32_t to, uint64_t scales) {
    asm volatile("tcgen05.cp.cta_group::1.32x128b.warpx4 [%0], %1;" ::"r"(to), "l"(scales) : "memory");
}

// What to multiply: e2m1 by e2m1 with scales in e4m3 into fp32, both along k, M rows and N columns.
template <int M, int N>
__device__ __forceinline__ constexpr uint32_t nvfp4_by_nvfp4() {
    constexpr uint32_t E2M1_A = 1u << 7, E2M1_B = 1u << 10;  // scales in e4m3 are 0 at bit 23
    return E2M1_A | E2M1_B | uint32_t(N >> 3) << 17 | uint32_t(M >> 4) << 24;
}

// sums += a * b^T, or = a * b^T, over 64 of k.
__device__ __forceinline__ void nvfp4_mma(uint32_t sums, uint64_t a, uint64_t b, uint32_t what, uint32_t scales_a,
                                          uint32_t scales_b, bool add) {
    asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, %6, 0;\n"
                 "tcgen05.mma.cta_group::1.kind::mxf4nvf4.block_scale.scale_vec::4X [%0], %1, %2, %3, [%4], [%5], add;\n}" ::"r"(
                     sums),
                 "l"(a), "l"(b), "r"(what), "r"(scales_a), "r"(scales_b), "r"(int(add))
                 : "memory");
}

// Once all that this thread asked for is done: an arrival at the block's own barrier.
__device__ __forceinline__ void own_arrive_when_done(uint64_t* barrier) {
    asm volatile("tcgen05.commit.cta_group::1.mbarrier::arrive::one.shared::cluster.b64 [%0];" ::"r"(shared_address(barrier))
                 : "memory");
}

}  // namespace ptx
