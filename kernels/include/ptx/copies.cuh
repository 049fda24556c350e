// Asynchronous copies of plain bytes: 16 by a thread (cp.async, since Ampere), or many at one thread's word by the copy engine.
#pragma once

#include "mbarrier.cuh"

namespace ptx {

// 16 bytes from device to shared memory, past the L1 cache, behind the thread's back.
__device__ __forceinline__ void copy_16(void* to, const void* from) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(to)), "l"(from) : "memory");
}

__device__ __forceinline__ void commit_group() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Until at most PENDING of the groups that this thread committed are still on their way.
template <int PENDING>
__device__ __forceinline__ void wait_group() {
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

// By the copy engine: a multiple of 16 bytes, both ends 16-byte aligned; `arrived` counts them.
__device__ __forceinline__ void load_bulk(void* to, const void* from, uint32_t bytes, uint64_t* arrived) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                     shared_address(to)),
                 "l"(from), "r"(bytes), "r"(shared_address(arrived))
                 : "memory");
}

__device__ __forceinline__ void store_bulk(void* to, const void* from, uint32_t bytes) {
    asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(to), "r"(shared_address(from)), "r"(bytes)
                 : "memory");
}

}  // namespace ptx
