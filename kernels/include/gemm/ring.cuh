// A ring of stages in shared memory, each a block of A and one of B along k, with the barriers that hand them round.
//
// `block` is one of k here and in the rungs, BLOCK_K elements of the rows of a tile; CUDA's block of threads is blockIdx.
#pragma once

#include <cstdint>

#include "../ptx/tma.cuh"
#include "../ptx/wgmma.cuh"

namespace gemm {

constexpr int BLOCK_K = 64;  // elements: a row of a stage is 128 bytes, the widest swizzle

template <typename T, int M, int N, int STAGES>
struct Ring {
    alignas(1024) T a[STAGES][M * BLOCK_K];
    alignas(1024) T b[STAGES][N * BLOCK_K];
    uint64_t full[STAGES];   // one arrival, of who asks for the copies, and their bytes
    uint64_t empty[STAGES];  // an arrival of each reader

    static constexpr uint32_t STAGE_BYTES = (M + N) * BLOCK_K * sizeof(T);

    // By one thread; a barrier of the block or the cluster follows.
    __device__ void init(uint32_t readers) {
        for (int stage = 0; stage < STAGES; ++stage) {
            ptx::init(&full[stage], 1);
            ptx::init(&empty[stage], readers);
        }
        ptx::publish_inits();
    }
};

// Where in a ring the next block goes or comes from, and the parity of the round: the n-th time round, `full` of a stage is in its
// phase n. A reader waits for the end of this phase of `full`; a writer for that of the phase before of `empty`, parity ^ 1.
template <int STAGES>
struct Position {
    int stage = 0;
    uint32_t parity = 0;

    __device__ __forceinline__ void advance() {
        if (++stage == STAGES) {
            stage = 0;
            parity ^= 1;
        }
    }
};

// The launch's dynamic shared memory, from the first multiple of 1024 bytes on: the swizzle is one of addresses (tma.cuh), and
// `extern __shared__` promises 16. The launch asks for 1024 bytes more.
template <typename Shared>
__device__ __forceinline__ Shared& shared_memory() {
    extern __shared__ uint8_t raw[];
    const uint32_t address = ptx::shared_address(raw);
    return *reinterpret_cast<Shared*>(raw + ((address + 1023) / 1024 * 1024 - address));
}

// Adds one block of k to the 64 x N tile of a warp group: four wgmma, committed as a group, still running on return.
template <typename T, int N>
__device__ __forceinline__ void multiply(float (&d)[N / 2], const T* a, const T* b, bool add) {
    const uint64_t rows = ptx::wgmma_descriptor(a), columns = ptx::wgmma_descriptor(b);
#pragma unroll
    for (int k = 0; k < BLOCK_K / 16; ++k) {
        ptx::wgmma<T, N>(d, rows + k * ptx::NEXT_K, columns + k * ptx::NEXT_K, add || k > 0);
    }
}

// The sums of 64 x N over all of k, by a consumer group, from `row` of the tiles of A on and the first N rows of those of B: each
// stage is given back when the group's wgmma no longer read it. One thread gives it back for all four warps: a wgmma is one
// operation of the whole group, and CUTLASS's pipelines rely on that too.
template <int N, typename T, int M, int MOST, int STAGES, typename GiveBack>
__device__ __forceinline__ void consume(float (&d)[N / 2], Ring<T, M, MOST, STAGES>& ring, Position<STAGES>& at, int row,
                                        int blocks, GiveBack give_back) {
    int before = 0;
#pragma unroll 1
    for (int block = 0; block < blocks; ++block, at.advance()) {
        ptx::wait(&ring.full[at.stage], at.parity);
        ptx::wgmma_begin();
        multiply<T, N>(d, ring.a[at.stage] + row * BLOCK_K, ring.b[at.stage], block > 0);
        ptx::wgmma_commit();
        ptx::wgmma_wait<1>();  // the block before is done, this one runs on
        if (block > 0) give_back(&ring.empty[before]);
        before = at.stage;
    }
    ptx::wgmma_wait<0>();
    give_back(&ring.empty[before]);
}

// What a group does whose rows lie outside of C: others may need the stages.
template <typename T, int M, int N, int STAGES, typename GiveBack>
__device__ __forceinline__ void pass_by(Ring<T, M, N, STAGES>& ring, Position<STAGES>& at, int blocks, GiveBack give_back) {
#pragma unroll 1
    for (int block = 0; block < blocks; ++block, at.advance()) {
        ptx::wait(&ring.full[at.stage], at.parity);
        give_back(&ring.empty[at.stage]);
    }
}

}  // namespace gemm
