// y = a b^T on Blackwell, both in NVFP4: tensor cores that take four-bit codes and their scales as they are, a tile of 128 x 128 a
// block, in two schedules. In turn: one thread asks for a block of k, waits for it, multiplies, waits for that. With roles: a warp
// asks for copies into a ring of four stages, another for products, and four bring the sums from tensor memory to y.
//
// Compiled for sm_100a and held to its contract; it was never run. For any other target the kernels have no body but a trap, and
// the host refuses before it launches.

#include "gemm/epilogue.cuh"
#include "gemm/ring.cuh"
#include "ptx/block_scaled.cuh"
#include "ptx/copies.cuh"

constexpr int ROWS = 128, COLUMNS = 128, BLOCK_K = 256, STEP_K = 64, STEPS = BLOCK_K / STEP_K, THREADS = 192;
[[maybe_unused]] constexpr int CODES = BLOCK_K / 2, SCALES = 128 * STEP_K / 16, TENSOR_MEMORY = 256;  // bytes of a row; of a step; columns

template <int STAGES>
struct Shared {
    alignas(1024) uint8_t a[STAGES][ROWS * BLOCK_K / 2], b[STAGES][COLUMNS * BLOCK_K / 2];
    alignas(128) uint8_t scales_a[STAGES][STEPS * 512], scales_b[STAGES][STEPS * 512];
    uint64_t full[STAGES], empty[STAGES], done;
    uint32_t sums;

    static constexpr uint32_t STAGE_BYTES = (ROWS + COLUMNS) * BLOCK_K / 2 + 2 * STEPS * 512;
};

struct Operands {
    const uint8_t *scales_a, *scales_b;  // in tiles of 128 rows by 64 of k, 512 bytes each
    int blocks;                          // of 256 of k
    float scale;
};

#if AISP_TCGEN05
template <int STAGES>
__device__ __forceinline__ void fetch(Shared<STAGES>& shared, int stage, const CUtensorMap& a, const CUtensorMap& b,
                                      const Operands& from, int block) {
    uint64_t* const full = &shared.full[stage];
    ptx::arrive_expecting(full, Shared<STAGES>::STAGE_BYTES);
    ptx::load_box(shared.a[stage], a, block * CODES / 2, blockIdx.x * ROWS, full);  // the maps count two bytes an element
    ptx::load_box(shared.b[stage], b, block * CODES / 2, blockIdx.y * COLUMNS, full);
    const auto scales = [&](uint8_t* to, const uint8_t* all, int tile) {
        ptx::load_bulk(to, all + (int64_t(tile) * from.blocks + block) * STEPS * SCALES, STEPS * SCALES, full);
    };
    scales(shared.scales_a[stage], from.scales_a, blockIdx.x);
    scales(shared.scales_b[stage], from.scales_b, blockIdx.y);
}

template <int STAGES>
__device__ __forceinline__ void multiply(Shared<STAGES>& shared, int stage, bool add) {
    constexpr uint32_t WHAT = ptx::nvfp4_by_nvfp4<ROWS, COLUMNS>();
    const uint64_t rows = ptx::tcgen05_descriptor(shared.a[stage]), columns = ptx::tcgen05_descriptor(shared.b[stage]);
    const uint32_t scales_a = shared.sums + COLUMNS, scales_b = scales_a + STEPS * ptx::SCALE_COLUMNS;
#pragma unroll
    for (int step = 0; step < STEPS; ++step) {
        const int at = step * ptx::SCALE_COLUMNS;
        ptx::copy_scales(scales_a + at, ptx::scales_descriptor(shared.scales_a[stage] + step * SCALES));
        ptx::copy_scales(scales_b + at, ptx::scales_descriptor(shared.scales_b[stage] + step * SCALES));
        ptx::nvfp4_mma(shared.sums, rows + step * ptx::NEXT_K, columns + step * ptx::NEXT_K, WHAT, scales_a + at, scales_b + at,
                       add || step > 0);
    }
}

// A thread has a row: 32 columns at a time.
__device__ __forceinline__ void store(uint32_t sums, const gemm::Output<__nv_bfloat16>& out, float scale) {
    const uint32_t lanes = sums + (threadIdx.x / 32 << 21);
    const int row = blockIdx.x * ROWS + int(threadIdx.x), column = blockIdx.y * COLUMNS;
#pragma unroll 1
    for (int first = 0; first < COLUMNS; first += 32) {
        float d[32];
        ptx::tcgen05_load(d, lanes + first);
#pragma unroll
        for (int at = 0; at < 32; at += 2) {
            gemm::store_pair(out, row, column + first + at, d[at] * scale, d[at + 1] * scale);
        }
    }
    ptx::tcgen05_before_barrier();
}

template <int STAGES>
__device__ __forceinline__ void begin(Shared<STAGES>& shared) {
    if (threadIdx.x == 0) {
        for (int stage = 0; stage < STAGES; ++stage) {
            ptx::init(&shared.full[stage], 1);
            ptx::init(&shared.empty[stage], 1);
        }
        ptx::init(&shared.done, 1);
        ptx::publish_inits();
    }
    if (threadIdx.x / 32 == 4) ptx::take_own_tensor_memory<TENSOR_MEMORY>(&shared.sums);
    ptx::tcgen05_before_barrier();
    __syncthreads();
    ptx::tcgen05_after_barrier();
}

template <int STAGES>
__device__ __forceinline__ void end(Shared<STAGES>& shared, const gemm::Output<__nv_bfloat16>& out, float scale) {
    if (threadIdx.x / 32 < 4) {
        ptx::wait(&shared.done, 0);
        ptx::tcgen05_after_barrier();
        store(shared.sums, out, scale);
    }
    __syncthreads();
    if (threadIdx.x / 32 == 4) ptx::give_own_tensor_memory<TENSOR_MEMORY>(shared.sums);
}
#endif

extern "C" __global__ void __launch_bounds__(THREADS, 1)
    nvfp4_blackwell_in_turn(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b,
                            const __grid_constant__ Operands from, const __grid_constant__ gemm::Output<__nv_bfloat16> out) {
#if AISP_TCGEN05
    Shared<1>& shared = gemm::shared_memory<Shared<1>>();
    begin(shared);
    if (threadIdx.x == 4 * 32) {
#pragma unroll 1
        for (int block = 0; block < from.blocks; ++block) {
            fetch(shared, 0, a, b, from, block);
            ptx::wait(&shared.full[0], block % 2);
            ptx::tcgen05_after_barrier();
            multiply(shared, 0, block > 0);
            ptx::own_arrive_when_done(&shared.empty[0]);
            ptx::wait(&shared.empty[0], block % 2);
        }
        ptx::own_arrive_when_done(&shared.done);
    }
    __syncwarp();
    end(shared, out, from.scale);
#else
    __trap();
#endif
}

extern "C" __global__ void __launch_bounds__(THREADS, 1)
    nvfp4_blackwell_with_roles(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b,
                               const __grid_constant__ Operands from, const __grid_constant__ gemm::Output<__nv_bfloat16> out) {
#if AISP_TCGEN05
    constexpr int STAGES = 4;
    Shared<STAGES>& shared = gemm::shared_memory<Shared<STAGES>>();
    begin(shared);
    gemm::Position<STAGES> at;
    if (threadIdx.x == 4 * 32) {
#pragma unroll 1
        for (int block = 0; block < from.blocks; ++block, at.advance()) {
            ptx::wait(&shared.empty[at.stage], at.parity ^ 1);
            fetch(shared, at.stage, a, b, from, block);
        }
    }
    if (threadIdx.x == 5 * 32) {
#pragma unroll 1
        for (int block = 0; block < from.blocks; ++block, at.advance()) {
            ptx::wait(&shared.full[at.stage], at.parity);
            ptx::tcgen05_after_barrier();
            multiply(shared, at.stage, block > 0);
            ptx::own_arrive_when_done(&shared.empty[at.stage]);
        }
        ptx::own_arrive_when_done(&shared.done);
    }
    __syncwarp();
    end(shared, out, from.scale);
#else
    __trap();
#endif
}
