// A consumer group's way through the keys, such that the tensor cores always have something to do: the scores of a block are
// asked for together with the product of the block before with its values, and exponentials run under that one; and groups take
// turns, so that one exponentiates while another multiplies.
#pragma once

#include "ring.cuh"

namespace attention {

// Whose turn it is to ask for products: each group lets the next one go. Barriers 1 to GROUPS. All groups of a tile have the same
// blocks, so each waits as often as the one before it passes; but one has to begin, which is why the last lets the first go.
template <int GROUPS>
struct Turns {
    int group;

    __device__ __forceinline__ void begin() const {
        if (group == GROUPS - 1) pass();
    }
    __device__ __forceinline__ void wait() const { ptx::wait_for_group(1 + group); }
    __device__ __forceinline__ void pass() const { ptx::let_group_go(1 + (group + 1) % GROUPS); }
    // What `begin` let go once too often.
    __device__ __forceinline__ void end() const {
        if (group == 0) wait();
    }
};

// One group's 64 rows from `row` on over the first `blocks` blocks of keys, of which there is one at least, the last first:
// there, where the mask is, a row's largest score is not yet known anyway.
//
// `q` are the group's rows in panels of QUERIES, given up by `release` when nothing reads them any more.
template <int D, int N, int QUERIES, int GROUPS, typename T, int STAGES, typename Release>
__device__ __forceinline__ void attend_rows(float (&o)[D / 2], Rows& rows, const T* q, Ring<T, D, N, STAGES>& k,
                                            Ring<T, D, N, STAGES>& v, gemm::Position<STAGES>& keys,
                                            gemm::Position<STAGES>& values, const Turns<GROUPS>& turns, const Task<T>& task,
                                            int row, int blocks, Release release) {
    float s[N / 2], shrink[2];
    uint32_t p[N / 16][4];
    clear(o);
    const T* key_block = k.wait(keys);
    ptx::wgmma_begin();
    multiply_keys<D, N, QUERIES>(s, q, key_block);
    ptx::wgmma_wait<0>();
    ptx::hold(s);
    k.give_back(keys);
    hide_unseen(s, task, row, (blocks - 1) * N);
    rows.take(s, task.scale, shrink);
    round_to<T>(p, s);
    if (blocks > 1) key_block = k.wait(keys);
#pragma unroll 1
    for (int block = blocks - 2; block >= 0; --block) {
        turns.wait();
        ptx::wgmma_begin();
        multiply_keys<D, N, QUERIES>(s, q, key_block);
        const T* const value_block = v.wait(values);
        ptx::wgmma_begin();
        multiply_values<D, N>(o, p, value_block);
        turns.pass();
        ptx::wgmma_wait<1>();  // the scores are there, the other product runs on
        ptx::hold(s);
        k.give_back(keys);
        hide_unseen(s, task, row, block * N);
        rows.take(s, task.scale, shrink);
        ptx::hold(s);
        if (block > 0) key_block = k.wait(keys);  // here, since ptxas would move the exponentials behind the next line
        ptx::wgmma_wait<0>();
        ptx::hold(o);
        v.give_back(values);
        multiply_rows(o, shrink);
        round_to<T>(p, s);
    }
    release();
    const T* const value_block = v.wait(values);
    ptx::wgmma_begin();
    multiply_values<D, N>(o, p, value_block);
    ptx::wgmma_wait<0>();
    ptx::hold(o);
    v.give_back(values);
}

}  // namespace attention
