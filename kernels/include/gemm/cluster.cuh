// A producer of a cluster of two blocks, one above the other, which share the columns of their tiles, so one block of B.
#pragma once

#include "../ptx/group.cuh"
#include "ring.cuh"

namespace gemm {

constexpr int CLUSTER = 2;

// Each block asks for its own A, and for its half of B in the shared memory of both: B crosses from the L2 cache once. A stage
// is filled when the consumers of both blocks have given it back, since both halves are written in both. A barrier expects all
// of B, though its own block asks for half. The other's half may come before that is announced: the phase cannot end without
// the arrival that announces it.
//
// `row` and `column` are those of the block's own tile, `width` its columns: a multiple of 16, N at most.
template <typename T, int M, int N, int STAGES>
__device__ __forceinline__ void produce_for_cluster(const CUtensorMap& a, const CUtensorMap& b, Ring<T, M, N, STAGES>& ring,
                                                    Position<STAGES>& at, int row, int column, int width, int blocks) {
    const int half = width / CLUSTER * ptx::block_in_cluster();
#pragma unroll 1
    for (int block = 0; block < blocks; ++block, at.advance()) {
        uint64_t* const full = &ring.full[at.stage];
        ptx::wait(&ring.empty[at.stage], at.parity ^ 1);
        ptx::arrive_expecting(full, (M + width) * BLOCK_K * sizeof(T));
        ptx::load_box(ring.a[at.stage], a, block * BLOCK_K, row, full);
        ptx::load_box_for((1 << CLUSTER) - 1, ring.b[at.stage] + half * BLOCK_K, b, block * BLOCK_K, column + half, full);
    }
}

// By a consumer group, to the producers of both blocks: thread 0 to block 0, thread 1 to block 1.
__device__ __forceinline__ void give_back_to_cluster(uint64_t* empty) {
    if (threadIdx.x % ptx::GROUP < CLUSTER) ptx::arrive_at(empty, threadIdx.x % ptx::GROUP);
}

}  // namespace gemm
