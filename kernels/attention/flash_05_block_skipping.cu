// Attention, fifth rung: where causal, blocks of keys that no row of a tile sees are skipped; and blocks stay on the chip.
//
// New: half the work is not done. Tiles then differ in length, so blocks take tile after tile, the longest first; while a tile ends,
// the queries, keys and values of the next one come. Tiles are as large as registers and shared memory allow.

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
