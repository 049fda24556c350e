// Sums of 64 x 128 that several blocks of a cluster hold in parts: each block adds up a share of the columns, in pieces of 8.
#pragma once

#include "../ptx/group.cuh"
#include "../ptx/neighbours.cuh"

namespace nvfp4 {

constexpr int PIECES = 16;  // of 8 columns; four registers of a thread each

// Every block of the cluster has one piece in turn: whose each is, and which of that block's.
struct Turn {
    int blocks, owner = 0, place = 0;

    __device__ __forceinline__ void next() {
        if (++owner == blocks) owner = 0, ++place;
    }
};

// Where the parts that come from others lie: by source, then place, then thread. What this thread's are is worked out once.
struct Parts {
    float4* mine;
    int step, of_source;  // from one place to the next, from one source to the next

    __device__ __forceinline__ Parts(void* at, int threads, int most)
        : mine(static_cast<float4*>(at) + threadIdx.x), step(threads), of_source(most * threads) {}

    // The other blocks' parts lie close together: those that come after this one by one earlier.
    __device__ __forceinline__ float4* from(int source, int receiver) const {
        return mine + (source - (source > receiver)) * of_source;
    }
};

// What the others send a block of its pieces.
__device__ __forceinline__ uint32_t bytes_from_others(int rank, int blocks, int threads) {
    const int pieces = (PIECES - rank + blocks - 1) / blocks;
    return (blocks - 1) * pieces * threads * sizeof(float4);
}

// Each block's barrier counts the bytes that come: nobody waits for stores of its own, and who has all of its parts goes on.
__device__ __forceinline__ void hand_out(const float (&d)[64], const Parts& parts, uint64_t* arrived, int rank, int blocks) {
    float4 *before = parts.from(rank, 0), *after = parts.from(rank, blocks);  // in the blocks before this one, in those after
    Turn turn{blocks};
#pragma unroll
    for (int piece = 0; piece < PIECES; ++piece) {
        const float* const v = d + 4 * piece;
        float4* const to = turn.owner < rank ? before : after;
        if (turn.owner != rank) ptx::send(to, make_float4(v[0], v[1], v[2], v[3]), arrived, turn.owner);
        const int place = turn.place;
        turn.next();
        before += turn.place == place ? 0 : parts.step;
        after += turn.place == place ? 0 : parts.step;
    }
}

// In the order of the blocks, so that the sums do not depend on who came first.
__device__ __forceinline__ void add_up(float (&d)[64], const Parts& parts, int rank, int blocks) {
    const float4* from = parts.mine;
    Turn turn{blocks};
#pragma unroll
    for (int piece = 0; piece < PIECES; ++piece, turn.next()) {
        if (turn.owner != rank) continue;
        float* const own = d + 4 * piece;
        float4 sum = make_float4(0, 0, 0, 0);
        const auto add = [&](float4 part) {
            sum = make_float4(sum.x + part.x, sum.y + part.y, sum.z + part.z, sum.w + part.w);
        };
        const float4* part = from;
#pragma unroll 1
        for (int source = 0; source < rank; ++source, part += parts.of_source) add(*part);
        add(make_float4(own[0], own[1], own[2], own[3]));
#pragma unroll 1
        for (int source = rank + 1; source < blocks; ++source, part += parts.of_source) add(*part);
        own[0] = sum.x, own[1] = sum.y, own[2] = sum.z, own[3] = sum.w;
        from += parts.step;
    }
}

}  // namespace nvfp4
