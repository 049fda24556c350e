// Blocks that stay and take tile after tile: a producer group and consumers in turns, of any sizes.
#pragma once

#include "order.cuh"
#include "overlap.cuh"

namespace attention {

template <int GROUPS>
constexpr int THREADS = (1 + GROUPS) * ptx::GROUP;

// A group's rows of queries come by themselves, so that one may begin the next tile while another ends the last.
template <typename T, int D, int N, int GROUPS, int STAGES>
struct Persistent {
    alignas(1024) T q[GROUPS][ROWS * D];
    Ring<T, D, N, STAGES> k, v;
    uint64_t full[GROUPS], empty[GROUPS];
    // Of the tile that the rows are of. Written before the producer's arrival at `full`, and read after the wait for it; read by
    // lane 0 of each warp before that lane's own arrival at `empty`, which expects all WARPS, and written again after the wait
    // for it. Arrivals release and waits acquire, so every write and every read are in order. One arrival for the group would not
    // do: the other warps' reads would come before the next write only because they join in the wgmma between, which orders no
    // other accesses (racecheck reports that, rightly).
    int index[GROUPS];

    static constexpr int QUERIES = GROUPS * ROWS, WARPS = ptx::GROUP / 32;

    __device__ void init() {
        for (int group = 0; group < GROUPS; ++group) {
            ptx::init(&full[group], 1);
            ptx::init(&empty[group], WARPS);
        }
        k.init(GROUPS);
        v.init(GROUPS);
        ptx::publish_inits();
    }

    // Which tile comes next, and its queries.
    __device__ __forceinline__ void request_queries(const CUtensorMap& map, const Tile& tile, int number, uint32_t parity) {
#pragma unroll
        for (int group = 0; group < GROUPS; ++group) {
            ptx::wait(&empty[group], parity ^ 1);
            index[group] = number;
            ptx::arrive_expecting(&full[group], sizeof q[group]);
            ptx::load_rows(q[group], map, tile.first + group * ROWS, tile.head, tile.batch, &full[group]);
        }
    }

    // That none comes.
    __device__ __forceinline__ void end(int number, uint32_t parity) {
#pragma unroll
        for (int group = 0; group < GROUPS; ++group) {
            ptx::wait(&empty[group], parity ^ 1);
            index[group] = number;
            ptx::arrive(&full[group]);
        }
    }

    // Keys run a block ahead of values, as the consumers read them.
    __device__ __forceinline__ void produce(const CUtensorMap& queries, const CUtensorMap& keys, const CUtensorMap& values,
                                            const Task<T>& task, const Order& order) {
        gemm::Position<STAGES> to_k, to_v;
        uint32_t parity = 0;
        int number = blockIdx.x;
#pragma unroll 1
        for (; number < order.count(task); parity ^= 1) {
            const Tile tile = order.at<QUERIES>(number, task);
            const int kv_head = tile.head / task.shared_by, blocks = blocks_seen<QUERIES, N>(task, tile.first);
            request_queries(queries, tile, number, parity);
            number = order.after(number);  // early: the answer takes a while
            k.request_next(to_k, keys, (blocks - 1) * N, kv_head, tile.batch);
#pragma unroll 1
            for (int block = blocks - 1; block >= 0; --block) {
                if (block > 0) k.request_next(to_k, keys, (block - 1) * N, kv_head, tile.batch);
                v.request_next(to_v, values, block * N, kv_head, tile.batch);
            }
        }
        end(number, parity);
    }

    __device__ __forceinline__ void consume(const Task<T>& task, const Order& order) {
        const int group = ptx::group_in_block() - 1, lane = threadIdx.x % 32;
        const Turns<GROUPS> turns{group};
        gemm::Position<STAGES> at_k, at_v;
        turns.begin();
#pragma unroll 1
        for (uint32_t parity = 0;; parity ^= 1) {
            ptx::wait(&full[group], parity);
            const int number = __shfl_sync(~0u, lane == 0 ? index[group] : 0, 0);
            if (number >= order.count(task)) break;
            const Tile tile = order.at<QUERIES>(number, task);
            const int row = tile.first + group * ROWS, blocks = blocks_seen<QUERIES, N>(task, tile.first);
            Rows rows;
            float o[D / 2];
            attend_rows<D, N, ROWS>(o, rows, q[group], k, v, at_k, at_v, turns, task, row, blocks, [&] {
                if (lane == 0) ptx::arrive(&empty[group]);
            });
            finish<D>(o, rows, task, tile.batch, tile.head, row);
        }
        turns.end();
    }
};

template <typename T, int D, int N, int GROUPS, int STAGES>
__device__ __forceinline__ void attend_persistently(const CUtensorMap& q, const CUtensorMap& k, const CUtensorMap& v,
                                                    const Task<T>& task, const Order& order) {
    using Shared = Persistent<T, D, N, GROUPS, STAGES>;
    static_assert(FITS<Shared, D, Shared::QUERIES, N, STAGES>);
    auto& shared = gemm::shared_memory<Shared>();
    if (threadIdx.x == 0) shared.init();
    __syncthreads();
    if (threadIdx.x < ptx::GROUP) {
        ptx::shrink_to<GROUPS == 2 ? 24 : 32>();  // 24 + 2 * 240 = 3 * 168, 32 + 3 * 160 = 4 * 128 (group.cuh)
        if (threadIdx.x == 0) shared.produce(q, k, v, task, order);
    } else {
        ptx::grow_to<GROUPS == 2 ? 240 : 160>();
        shared.consume(task, order);
    }
}

}  // namespace attention
