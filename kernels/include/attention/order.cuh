// In which order persistent blocks take the tiles of rows of all heads.
#pragma once

#include "task.cuh"

namespace attention {

struct Tile {
    int first, head, batch;  // row, and whose
};

// Heads `together` at a time, so many as have their keys and values in the L2 cache; of them the last rows first, which are the
// longest where causal.
struct Order {
    int* taken;  // how many tiles were, beyond the first of each block; zero before the launch. Null: each block takes its share
    int tiles, together;

    template <typename T>
    __device__ __forceinline__ int count(const Task<T>& task) const {
        return tiles * task.heads * task.batch;
    }

    __device__ __forceinline__ int after(int index) const {
        return gridDim.x + (taken == nullptr ? index : atomicAdd(taken, 1));
    }

    template <int QUERIES, typename T>
    __device__ __forceinline__ Tile at(int index, const Task<T>& task) const {
        const int section = index / (tiles * together), within = index % (tiles * together);
        const int width = min(together, task.heads * task.batch - section * together);
        const int head = section * together + within % width;
        return {(tiles - 1 - within / width) * QUERIES, head % task.heads, head / task.heads};
    }
};

// Blocks of N keys that some row of a tile sees; one at least, for the rows that see none have to be written too.
template <int QUERIES, int N, typename T>
__device__ __forceinline__ int blocks_seen(const Task<T>& task, int first) {
    return max(1, (task.seen(min(first + QUERIES, task.queries) - 1) + N - 1) / N);
}

}  // namespace attention
