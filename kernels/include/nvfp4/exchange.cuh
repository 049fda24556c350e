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

// Where the parts that come from others lie: by source, then place, then thread.
struct Parts {
    float4* at;
    int threads, most;  // consumer threads of a block; pieces of a block at most

    __device__ __forceinline__ float4* of(int source, int mine, int place) const {
        const int slot = source < mine ? source : source - 1;
        return at + (slot * most + place) * threads + threadIdx.x;
    }
};

__device__ __forceinline__ void store_at(float4* to, const float* v, int block) {
    asm volatile("st.shared::cluster.v4.f32 [%0], {%1, %2, %3, %4};" ::"r"(ptx::address_at(to, block)), "f"(v[0]), "f"(v[1]),
                 "f"(v[2]), "f"(v[3])
                 : "memory");
}

__device__ __forceinline__ void hand_out(const float (&d)[64], const Parts& parts, int rank, int blocks) {
    Turn turn{blocks};
#pragma unroll
    for (int piece = 0; piece < PIECES; ++piece, turn.next()) {
        if (turn.owner != rank) store_at(parts.of(rank, turn.owner, turn.place), d + 4 * piece, turn.owner);
    }
}

// In the order of the blocks, so that the sums do not depend on who came first.
__device__ __forceinline__ void add_up(float (&d)[64], const Parts& parts, int rank, int blocks) {
    Turn turn{blocks};
#pragma unroll
    for (int piece = 0; piece < PIECES; ++piece, turn.next()) {
        if (turn.owner != rank) continue;
        float4 sum = make_float4(0, 0, 0, 0);
        float* const own = d + 4 * piece;
#pragma unroll 1
        for (int source = 0; source < blocks; ++source) {
            const float4 part =
                source == rank ? make_float4(own[0], own[1], own[2], own[3]) : *parts.of(source, rank, turn.place);
            sum = make_float4(sum.x + part.x, sum.y + part.y, sum.z + part.z, sum.w + part.w);
        }
        own[0] = sum.x, own[1] = sum.y, own[2] = sum.z, own[3] = sum.w;
    }
}

}  // namespace nvfp4
