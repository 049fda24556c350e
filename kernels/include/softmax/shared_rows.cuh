// Rows that a team of blocks holds in shared memory, SHARE elements each, so that every element is read once: asynchronous copies
// bring the next row's first chunks while this one is waited for and written.
#pragma once

#include "../ptx/copies.cuh"
#include "part.cuh"

namespace softmax {

constexpr int CHUNK = THREADS * 4, CHUNKS = 8, SHARE = CHUNK * CHUNKS;  // elements; a thread copies, reads and writes its own

struct Rows {
    const float* x;
    float* y;
    int rows, columns;  // columns = SHARE * blocks of a team
};

// `Team` says which of `count` teams this is, and which of its blocks, and joins the parts of all blocks of the team.
template <int SLOTS, typename Team>
__device__ __forceinline__ void by_teams(const Rows& of, Team& team) {
    extern __shared__ __align__(128) float slots[];
    __shared__ Part parts[2][WARPS];
    const int step = team.count(), mine = team.rank() * SHARE + threadIdx.x * 4;
    const auto ask = [&](int row, int chunk, int slot) {
        if (row < of.rows) {
            ptx::copy_16(slots + slot * CHUNK + threadIdx.x * 4, of.x + int64_t(row) * of.columns + mine + chunk * CHUNK);
        }
        ptx::commit_group();
    };
#pragma unroll
    for (int ahead = 0; ahead < SLOTS; ++ahead) ask(team.first() + ahead / CHUNKS * step, ahead % CHUNKS, ahead);
    int begin = 0, round = 0;
#pragma unroll 1
    for (int row = team.first(); row < of.rows; row += step, ++round) {
        const auto chunk_at = [&](int chunk) {
            const int slot = begin + chunk;
            return slot < SLOTS ? slot : slot - SLOTS;
        };
        Part part;
        const auto read = [&](int chunk) { return *reinterpret_cast<const float4*>(slots + chunk_at(chunk) * CHUNK + threadIdx.x * 4); };
        // the chunks in order; SLOTS - 1 - chunk later ones may still be on their way
        ptx::wait_group<SLOTS - 1>(), part.add(read(0));
        ptx::wait_group<SLOTS - 2>(), part.add(read(1));
        ptx::wait_group<SLOTS - 3>(), part.add(read(2));
        ptx::wait_group<SLOTS - 4>(), part.add(read(3));
        ptx::wait_group<SLOTS - 5>(), part.add(read(4));
        ptx::wait_group<SLOTS - 6>(), part.add(read(5));
        ptx::wait_group<SLOTS - 7>(), part.add(read(6));
        ptx::wait_group<SLOTS - 8>(), part.add(read(7));
        const Part whole = team.join(over_block(part, parts[round % 2]), round);
        const float scale = 1.0f / whole.sum;
        float* const to = of.y + int64_t(row) * of.columns + mine;
#pragma unroll
        for (int chunk = 0; chunk < CHUNKS; ++chunk) {
            *reinterpret_cast<float4*>(to + chunk * CHUNK) = shares(read(chunk), whole, scale);
            const int ahead = chunk + SLOTS;
            ask(row + ahead / CHUNKS * step, ahead % CHUNKS, chunk_at(chunk));
        }
        begin = chunk_at(CHUNKS % SLOTS);
    }
}

}  // namespace softmax
