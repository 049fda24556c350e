// Warp groups, and clusters of blocks.
#pragma once

#include <cstdint>

namespace ptx {

constexpr int GROUP = 128;  // threads of a warp group

// Which of the block's groups this is, in a register that a warp has once (uniform): the compiler cannot know that threads agree.
__device__ __forceinline__ int group_in_block() { return __shfl_sync(~0u, threadIdx.x / GROUP, 0); }

// Registers a thread, a multiple of 8, for all warps of a group: given back to the block, or taken once others have given.
//
// A multiprocessor has 65536. A block of three groups, alone on it, is launched with 168 a thread, the multiple of 8 below 65536 /
// 384; what groups have afterwards adds up to the same 3 * 168: 40 + 2 * 232, or 24 + 2 * 240. Of four groups it is 4 * 128: 32 +
// 3 * 160. Asked for more, grow_to would wait for ever.
template <int REGISTERS>
__device__ __forceinline__ void shrink_to() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}

template <int REGISTERS>
__device__ __forceinline__ void grow_to() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}

// Among the threads of one warp group, at one of the 16 barriers that a block has; 0 is __syncthreads'.
__device__ __forceinline__ void sync_group(int barrier) {
    asm volatile("bar.sync %0, %1;" ::"r"(barrier), "n"(GROUP) : "memory");
}

// Two groups at a barrier that one of them waits at and the other only passes by.
__device__ __forceinline__ void wait_for_group(int barrier) {
    asm volatile("bar.sync %0, %1;" ::"r"(barrier), "n"(2 * GROUP) : "memory");
}

__device__ __forceinline__ void let_group_go(int barrier) {
    asm volatile("bar.arrive %0, %1;" ::"r"(barrier), "n"(2 * GROUP) : "memory");
}

__device__ __forceinline__ uint32_t block_in_cluster() {
    uint32_t rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}

// Among all threads of all blocks of the cluster: none has left before, whose shared memory others still reach.
__device__ __forceinline__ void sync_cluster() {
    asm volatile("barrier.cluster.arrive;\nbarrier.cluster.wait;" ::: "memory");
}

// The same after `publish_inits`, whose fence has made the barriers known: it orders nothing else (relaxed), and costs no fence of
// the whole device.
__device__ __forceinline__ void meet_cluster() {
    asm volatile("barrier.cluster.arrive.relaxed;\nbarrier.cluster.wait;" ::: "memory");
}

}  // namespace ptx
