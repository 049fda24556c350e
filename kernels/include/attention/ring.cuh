// A ring of stages in shared memory, each a block of keys or of values, with the barriers that hand them round.
#pragma once

#include "products.cuh"

namespace attention {

template <typename T, int D, int N, int STAGES>
struct Ring {
    alignas(1024) T block[STAGES][N * D];
    uint64_t full[STAGES], empty[STAGES];

    // By one thread, before `publish_inits` and a barrier of the block.
    __device__ void init(uint32_t readers) {
        for (int stage = 0; stage < STAGES; ++stage) {
            ptx::init(&full[stage], 1);
            ptx::init(&empty[stage], readers);
        }
    }

    // By one thread, into a stage that is empty.
    __device__ __forceinline__ void request(int stage, const CUtensorMap& map, int key, int head, int batch) {
        ptx::arrive_expecting(&full[stage], sizeof block[stage]);
        ptx::load_rows(block[stage], map, key, head, batch, &full[stage]);
    }

    // The same once the readers gave back what was there.
    __device__ __forceinline__ void request_next(gemm::Position<STAGES>& at, const CUtensorMap& map, int key, int head,
                                                 int batch) {
        ptx::wait(&empty[at.stage], at.parity ^ 1);  // the first round passes: nothing is in the ring
        request(at.stage, map, key, head, batch);
        at.advance();
    }

    __device__ __forceinline__ const T* wait(const gemm::Position<STAGES>& at) {
        ptx::wait(&full[at.stage], at.parity);
        return block[at.stage];
    }

    // By a group whose products of the stage are over: one arrival for its four warps, as in gemm/ring.cuh.
    __device__ __forceinline__ void give_back(gemm::Position<STAGES>& at) {
        if (threadIdx.x % ptx::GROUP == 0) ptx::arrive(&empty[at.stage]);
        at.advance();
    }
};

}  // namespace attention
