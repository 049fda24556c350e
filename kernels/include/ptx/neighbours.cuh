// Distributed shared memory: what the blocks of a cluster do with each other's shared memory.
#pragma once

#include "mbarrier.cuh"

namespace ptx {

__device__ __forceinline__ uint32_t blocks_in_cluster() {
    uint32_t count;
    asm volatile("mov.u32 %0, %%cluster_nctarank;" : "=r"(count));
    return count;
}

// The address, in another block's shared memory, of what lies here at `pointer`.
__device__ __forceinline__ uint32_t address_at(const void* pointer, uint32_t block) {
    uint32_t there;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(shared_address(pointer)), "r"(block));
    return there;
}

// Into the same place of another block's shared memory, whose barrier at the same place counts the bytes: 4, or 8.
__device__ __forceinline__ void send(float* to, float value, uint64_t* arrived, uint32_t block) {
    asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.b32 [%0], %1, [%2];" ::"r"(address_at(to, block)),
                 "r"(__float_as_uint(value)), "r"(address_at(arrived, block))
                 : "memory");
}

__device__ __forceinline__ void send(float2* to, float2 value, uint64_t* arrived, uint32_t block) {
    asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v2.b32 [%0], {%1, %2}, [%3];" ::"r"(
                     address_at(to, block)),
                 "r"(__float_as_uint(value.x)), "r"(__float_as_uint(value.y)), "r"(address_at(arrived, block))
                 : "memory");
}

// What lies at the same place in another block's shared memory.
__device__ __forceinline__ float fetch(const float* from, uint32_t block) {
    float value;
    asm volatile("ld.shared::cluster.f32 %0, [%1];" : "=f"(value) : "r"(address_at(from, block)) : "memory");
    return value;
}

}  // namespace ptx
