// y = x W^T on Hopper for up to 128 rows of x in bf16 and weights in NVFP4: widened in registers on their way to the tensor cores.
//
// wgmma takes one operand from registers, its rows in steps of 64: those are the weights' rows, so the kernel computes y^T. The
// copy engine brings a block of 64 of k at a time, of x by a tensor map and of the weights as they lie, arranged once for this
// kernel (`arranged` in weights.py): a thread's 32 codes are 16 bytes, and the scales of its two rows 8. Groups widen
// their rows of a block while the tensor cores work on others. A tile has all columns of y^T; the blocks of a cluster share its k, and
// each adds up some of the columns through distributed shared memory.
//
// `nvfp4_widen` writes the bf16 matrix instead: what is multiplied by cuBLAS otherwise.

#include "gemm/ring.cuh"
#include "nvfp4/exchange.cuh"
#include "nvfp4/widen.cuh"
#include "ptx/copies.cuh"
#include "ptx/wgmma_registers.cuh"

constexpr int BATCH = 128, ROWS = 64, PANEL = 4;                  // rows of x; of the weights in a block; blocks of a panel
constexpr int CODES = ptx::GROUP * 16, BLOCK = CODES + 2 * ROWS * 2;  // bytes of a group's codes; with its scales
constexpr int PADDED = ROWS + 8;                                  // elements of a row of y on its way out

struct Out {
    __nv_bfloat16* y;
    int m, n, stride;
    float scale;
};

template <int GROUPS, int STAGES>
struct Shared {
    alignas(1024) __nv_bfloat16 x[STAGES][BATCH * gemm::BLOCK_K];
    alignas(128) uint8_t weights[STAGES][GROUPS * BLOCK];
    uint64_t full[STAGES], empty[STAGES];

    static constexpr int COUNT = STAGES;
    static constexpr uint32_t WEIGHTS = GROUPS * BLOCK, STAGE_BYTES = BATCH * gemm::BLOCK_K * 2 + WEIGHTS;

    __device__ void init() {
        for (int stage = 0; stage < STAGES; ++stage) {
            ptx::init(&full[stage], 1);
            ptx::init(&empty[stage], GROUPS);
        }
        ptx::publish_inits();
    }
};

struct Share {
    int first, count;  // blocks of k
};

__device__ __forceinline__ Share share_of(int rank, int ranks, int blocks) {
    const int first = blocks * rank / ranks;
    return {first, blocks * (rank + 1) / ranks - first};
}

__device__ __forceinline__ void after_the_kernel_ahead() { asm volatile("griddepcontrol.wait;" ::: "memory"); }

// The weights do not depend on the kernel ahead, x may.
template <typename S>
__device__ __forceinline__ void produce(S& shared, const CUtensorMap& x, const uint8_t* weights, Share share) {
    const auto fetch_weights = [&](int block, int stage) {
        ptx::arrive_expecting(&shared.full[stage], S::STAGE_BYTES);
        ptx::load_bulk(shared.weights[stage], weights + int64_t(share.first + block) * (PANEL * BLOCK), S::WEIGHTS,
                       &shared.full[stage]);
    };
    const auto fetch_x = [&](int block, int stage) {
        ptx::load_box(shared.x[stage], x, (share.first + block) * gemm::BLOCK_K, 0, &shared.full[stage]);
    };
    const int ahead = min(share.count, S::COUNT);
#pragma unroll 1
    for (int block = 0; block < ahead; ++block) fetch_weights(block, block);
    after_the_kernel_ahead();
#pragma unroll 1
    for (int block = 0; block < ahead; ++block) fetch_x(block, block);
    gemm::Position<S::COUNT> at;
#pragma unroll 1
    for (int block = S::COUNT; block < share.count; ++block, at.advance()) {
        ptx::wait(&shared.empty[at.stage], at.parity);
        fetch_weights(block, at.stage);
        fetch_x(block, at.stage);
    }
}

// A thread's fragments of 64 x 64: of four steps of 16 along k. The four threads that have the same two rows convert the scales of
// one step each.
struct Fragments {
    uint32_t a[4][4];

    __device__ __forceinline__ void widen(const uint8_t* block) {
        const int thread = threadIdx.x % ptx::GROUP;
        const uint4 codes = *reinterpret_cast<const uint4*>(block + 16 * thread);
        const uint32_t scales = nvfp4::large(*reinterpret_cast<const uint16_t*>(block + CODES + 2 * thread));
        step(a[0], codes.x, __shfl_sync(~0u, scales, 0, 4));
        step(a[1], codes.y, __shfl_sync(~0u, scales, 1, 4));
        step(a[2], codes.z, __shfl_sync(~0u, scales, 2, 4));
        step(a[3], codes.w, __shfl_sync(~0u, scales, 3, 4));
    }

    static __device__ __forceinline__ void step(uint32_t (&a)[4], uint32_t codes, uint32_t scales) {
        a[0] = nvfp4::multiply_by<0>(nvfp4::tiny<0>(codes), scales);
        a[1] = nvfp4::multiply_by<1>(nvfp4::tiny<1>(codes), scales);
        a[2] = nvfp4::multiply_by<0>(nvfp4::tiny<2>(codes), scales);
        a[3] = nvfp4::multiply_by<1>(nvfp4::tiny<3>(codes), scales);
    }
};

__device__ __forceinline__ void give_back(uint64_t* empty) {
    if (threadIdx.x % ptx::GROUP == 0) ptx::arrive(empty);
}

// A group widens a block, multiplies it and waits for that: meanwhile the tensor cores have the blocks of the other groups.
template <typename S>
__device__ __forceinline__ void consume(float (&d)[64], S& shared, int count) {
    const int mine = threadIdx.x / ptx::GROUP * BLOCK;
    gemm::Position<S::COUNT> at;
    Fragments fragments;
#pragma unroll 1
    for (int block = 0; block < count; ++block, at.advance()) {
        ptx::wait(&shared.full[at.stage], at.parity);
        fragments.widen(shared.weights[at.stage] + mine);
        const uint64_t columns = ptx::wgmma_descriptor(shared.x[at.stage]);
        ptx::wgmma_begin();
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            ptx::wgmma_from_registers(d, fragments.a[k], columns + k * ptx::NEXT_K, block > 0 || k > 0);
        }
        ptx::wgmma_commit();
        ptx::wgmma_wait<0>();
        give_back(&shared.empty[at.stage]);
    }
}

// The pieces that are this block's, out of the fragments into rows of y, 64 columns of a group at a time.
__device__ __forceinline__ void store(const float (&d)[64], __nv_bfloat16* rows, const Out& out, int column, int rank, int ranks) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32 % 4, thread = threadIdx.x % ptx::GROUP;
    const float scale = out.scale * nvfp4::WIDENED;
    nvfp4::Turn turn{ranks};
    int count = 0;
#pragma unroll
    for (int piece = 0; piece < nvfp4::PIECES; ++piece, turn.next()) {
        if (turn.owner != rank) continue;
        const float* const v = d + 4 * piece;
        const __nv_bfloat162 above = __floats2bfloat162_rn(v[0] * scale, v[1] * scale);
        const __nv_bfloat162 below = __floats2bfloat162_rn(v[2] * scale, v[3] * scale);
        __nv_bfloat16* const to = rows + (8 * count++ + lane % 8) * PADDED + 16 * warp + lane / 8 % 2 * 8;
        asm volatile("stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 [%0], {%1, %2};" ::"r"(ptx::shared_address(to)),
                     "r"(reinterpret_cast<const uint32_t&>(above)), "r"(reinterpret_cast<const uint32_t&>(below))
                     : "memory");
    }
    ptx::sync_group(1 + threadIdx.x / ptx::GROUP);
    const int n = thread % 8 * 8;
    for (int row = thread / 8; row < 8 * count; row += ptx::GROUP / 8) {
        const int m = 8 * (row / 8 * ranks + rank) + row % 8;
        if (m >= out.m) return;
        *reinterpret_cast<uint4*>(out.y + int64_t(m) * out.stride + column + n) =
            *reinterpret_cast<const uint4*>(rows + row * PADDED + n);
    }
}

template <int GROUPS, int STAGES, int TAKEN, int LEFT>
__device__ __forceinline__ void matmul(const CUtensorMap& x, const uint8_t* weights, int blocks, const Out& out) {
    constexpr int ALL = GROUPS + 1, LAUNCHED = 65536 / (ALL * ptx::GROUP) / 8 * 8;
    static_assert(GROUPS * TAKEN + LEFT <= ALL * LAUNCHED, "setmaxnreg would wait for ever");
    using S = Shared<GROUPS, STAGES>;
    S& shared = gemm::shared_memory<S>();
    const int rank = ptx::block_in_cluster(), ranks = ptx::blocks_in_cluster(), tile = blockIdx.x / ranks;
    const Share share = share_of(rank, ranks, blocks);
    if (threadIdx.x == 0) shared.init();
    __syncthreads();
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
    if (threadIdx.x >= GROUPS * ptx::GROUP) {
        ptx::shrink_to<LEFT>();
        const int first = tile * GROUPS;
        const int64_t panel = int64_t(first / PANEL) * blocks * PANEL + first % PANEL;
        if (threadIdx.x == GROUPS * ptx::GROUP) produce(shared, x, weights + panel * BLOCK, share);
        __syncwarp();
        ptx::meet_cluster();
        ptx::sync_cluster();
        return;
    }
    ptx::grow_to<TAKEN>();
    float d[64];
    consume(d, shared, share.count);
    const int group = threadIdx.x / ptx::GROUP, most = (nvfp4::PIECES + ranks - 1) / ranks;
    const nvfp4::Parts parts{reinterpret_cast<float4*>(&shared), GROUPS * ptx::GROUP, most};
    __nv_bfloat16* const rows = reinterpret_cast<__nv_bfloat16*>(parts.at + (ranks - 1) * most * parts.threads);
    ptx::meet_cluster();  // nobody's ring is in use any more: what was read of it is multiplied
    nvfp4::hand_out(d, parts, rank, ranks);
    ptx::sync_cluster();
    nvfp4::add_up(d, parts, rank, ranks);
    after_the_kernel_ahead();
    store(d, rows + group * (most * 8 * PADDED), out, (tile * GROUPS + group) * ROWS, rank, ranks);
}

#define MATMUL(name, GROUPS, STAGES, TAKEN, LEFT)                                                                          \
    extern "C" __global__ void __launch_bounds__((GROUPS + 1) * ptx::GROUP, 1)                                             \
        name(const __grid_constant__ CUtensorMap x, const uint8_t* weights, int blocks, const __grid_constant__ Out out) { \
        matmul<GROUPS, STAGES, TAKEN, LEFT>(x, weights, blocks, out);                                                      \
    }

MATMUL(nvfp4_matmul_128, 2, 10, 232, 40)
MATMUL(nvfp4_matmul_256, 4, 8, 112, 32)

// Eight codes a thread, as they lie in a row of pairs: `count` times eight in all.
extern "C" __global__ void __launch_bounds__(256)
    nvfp4_widen(const uint32_t* __restrict__ codes, const uint8_t* __restrict__ scales, uint4* __restrict__ to, int64_t count) {
    constexpr uint32_t REST = 0x43804380u;  // 2^8 twice, in bf16
    constexpr int AT_ONCE = 4;
    const int64_t begin = int64_t(blockIdx.x) * (AT_ONCE * blockDim.x) + threadIdx.x;
    uint32_t read[AT_ONCE];
    uint8_t by[AT_ONCE];
#pragma unroll
    for (int at = 0; at < AT_ONCE; ++at) {
        const int64_t where = begin + at * blockDim.x;
        read[at] = where < count ? codes[where] : 0;
        by[at] = where < count ? scales[where / 2] : 0;
    }
#pragma unroll
    for (int at = 0; at < AT_ONCE; ++at) {
        const int64_t where = begin + at * blockDim.x;
        if (where >= count) return;
        const uint32_t scale = nvfp4::large(by[at]);
        const auto pair = [&](int byte) {
            const uint32_t both = read[at] >> (8 * byte) & 0xff;
            return nvfp4::multiply(nvfp4::multiply_by<0>(nvfp4::tiny_alone(both | both << 12), scale), REST);
        };
        to[where] = make_uint4(pair(0), pair(1), pair(2), pair(3));
    }
}
