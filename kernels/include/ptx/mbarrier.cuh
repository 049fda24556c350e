// Barriers in shared memory that count arrivals and bytes (mbarrier): cuda::barrier is made of one, the copy engine reports to one.
//
// A phase is over once all arrivals that `init` named and all bytes that were announced have come; the next begins at once, with
// the same number of arrivals. Phases alternate in parity: 0, 1, 0, ... One bit is enough to wait by, as nobody gets two phases
// ahead.
#pragma once

#include <cstdint>

namespace ptx {

__device__ __forceinline__ uint32_t shared_address(const void* pointer) {
    return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

__device__ __forceinline__ void init(uint64_t* barrier, uint32_t arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals) : "memory");
}

// After the inits, before the barrier by which the others learn of them: the copy engine and other blocks see them too.
__device__ __forceinline__ void publish_inits() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ __forceinline__ void arrive(uint64_t* barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}

// At the barrier that lies at the same place in another block's shared memory. Written with .release.cluster it would put a
// fence of the whole device into the main loop; it has no writes to publish, only reads to report that wgmma_wait saw end.
__device__ __forceinline__ void arrive_at(uint64_t* barrier, uint32_t block) {
    asm volatile(
        "{\n.reg .b32 there;\n"
        "mapa.shared::cluster.u32 there, %0, %1;\n"
        "mbarrier.arrive.shared::cluster.b64 _, [there];\n}" ::"r"(shared_address(barrier)),
        "r"(block)
        : "memory");
}

// One arrival, and that many bytes more to come from the copy engine.
__device__ __forceinline__ void arrive_expecting(uint64_t* barrier, uint32_t bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
                 : "memory");
}

// Until the phase of this parity is over. A fresh barrier is in phase 0, and passes for one whose phase 1 is over: who waits for
// parity 1 first, as a producer does for the stages of an empty ring, goes on at once.
__device__ __forceinline__ void wait(uint64_t* barrier, uint32_t parity) {
    asm volatile(
        "{\n.reg .pred done;\n"
        "again:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
        "@done bra.uni over;\n"
        "bra.uni again;\n"
        "over:\n}" ::"r"(shared_address(barrier)),
        "r"(parity)
        : "memory");
}

}  // namespace ptx
