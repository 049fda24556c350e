// Attention, fifth rung: where causal, blocks of keys that no row of a tile sees are skipped; and blocks stay on the chip.
//
// New: half the work is not done. Tiles then differ in length, so blocks take tile after tile, the longest first; while a tile ends,
// the queries, keys and values of the next one come. Heads that run at one time are as many as the L2 cache holds (order.cuh).
//
// Tiles are as large as shared memory and registers allow. Heads of 128: 128 queries, and two stages of 176 keys and of values are
// 208 KiB; with 192, the next multiple of 16, they and the barriers would be 228 of the 227 that a block may have. A
// consumer holds 64 sums, 88 scores and 44 registers of exponentials of its 240. Heads of 64: three groups, 32 + 64 + 32 of 160.

#include "attention/persistent.cuh"

#define KERNEL(name, T, D, N, GROUPS, STAGES)                                                                     \
    extern "C" __global__ void __launch_bounds__(attention::THREADS<GROUPS>, 1)                                   \
    name(const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k,                            \
         const __grid_constant__ CUtensorMap v, const __grid_constant__ attention::Task<T> task,                  \
         const __grid_constant__ attention::Order order) {                                                        \
        attention::attend_persistently<T, D, N, GROUPS, STAGES>(q, k, v, task, order);                            \
    }

KERNEL(flash_block_skipping_bf16_d64, __nv_bfloat16, 64, 128, 3, 2)
KERNEL(flash_block_skipping_bf16_d128, __nv_bfloat16, 128, 176, 2, 2)
KERNEL(flash_block_skipping_fp16_d64, __half, 64, 128, 3, 2)
KERNEL(flash_block_skipping_fp16_d128, __half, 128, 176, 2, 2)
