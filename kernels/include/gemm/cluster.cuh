// A producer of a cluster of two blocks, which share what one of them would have to read again.
#pragma once

#include "../ptx/group.cuh"
#include "ring.cuh"

namespace gemm {

constexpr int CLUSTER = 2;

// Tiles one above the other have their columns in common, so the block of B; side by side (ASIDE), the block of A. Each of the
// two asks for one half of it, in the shared memory of both: it crosses from the L2 cache once. A stage is filled when the
// consumers of both blocks have given it back, since both halves are written in both.
//
// `row` and `column` are those of the block's own tile, `width` its columns: a multiple of 16, N at most.
template <bool ASIDE, typename T, int M, int N, int STAGES>
__device__ __forceinline__ void produce_for_cluster(const CUtensorMap& a, const CUtensorMap& b, Ring<T, M, N, STAGES>& ring,
                                                    Position<STAGES>& at, int row, int column, int width, int blocks) {
    constexpr uint16_t BOTH = (1 << CLUSTER) - 1;
    const int half = (ASIDE ? M : width) / CLUSTER * ptx::block_in_cluster();
#pragma unroll 1
    for (int block = 0; block < blocks; ++block, at.advance()) {
        const int k = block * BLOCK_K;
        uint64_t* const full = &ring.full[at.stage];
        ptx::wait(&ring.empty[at.stage], at.parity ^ 1);
        ptx::arrive_expecting(full, (M + width) * BLOCK_K * sizeof(T));
        if constexpr (ASIDE) {
            ptx::load_box_for(BOTH, ring.a[at.stage] + half * BLOCK_K, a, k, row + half, full);
            ptx::load_box(ring.b[at.stage], b, k, column, full);
        } else {
            ptx::load_box(ring.a[at.stage], a, k, row, full);
            ptx::load_box_for(BOTH, ring.b[at.stage] + half * BLOCK_K, b, k, column + half, full);
        }
    }
}

// By a consumer group, to the producers of both blocks.
__device__ __forceinline__ void give_back_to_cluster(uint64_t* empty) {
    if (threadIdx.x % ptx::GROUP < CLUSTER) ptx::arrive_at(empty, threadIdx.x % ptx::GROUP);
}

}  // namespace gemm
