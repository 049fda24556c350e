// Warp groups, and clusters of blocks.
#pragma once

#include <cstdint>

namespace ptx {

constexpr int GROUP = 128;  // threads of a warp group

// Registers a thread, a multiple of 8, for all warps of a group: given back to the block, or taken once others have given.
template <int REGISTERS>
__device__ __forceinline__ void shrink_to() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}

template <int REGISTERS>
__device__ __forceinline__ void grow_to() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(REGISTERS));
}

// Among the threads of one warp group; 0 is the whole block's barrier.
__device__ __forceinline__ void sync_group(int barrier) {
    asm volatile("bar.sync %0, %1;" ::"r"(barrier), "n"(GROUP) : "memory");
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

// The same once barriers were published: it orders nothing else, and costs no fence of the whole device.
__device__ __forceinline__ void meet_cluster() {
    asm volatile("barrier.cluster.arrive.relaxed;\nbarrier.cluster.wait;" ::: "memory");
}

}  // namespace ptx
