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

// A group has PARTS times 64 rows of a tile. TILES of a cluster's blocks have tiles of their own and the same k: they share x.
template <int GROUPS, int PARTS, int STAGES, int TILES>
struct Shared {
    alignas(1024) __nv_bfloat16 x[STAGES][BATCH * gemm::BLOCK_K];
    alignas(128) uint8_t weights[STAGES][GROUPS * PARTS * BLOCK];
    uint64_t full[STAGES], empty[STAGES];

    static constexpr int COUNT = STAGES, SHARERS = TILES;
    static constexpr uint32_t WEIGHTS = GROUPS * PARTS * BLOCK, STAGE_BYTES = BATCH * gemm::BLOCK_K * 2 + WEIGHTS;

    __device__ void init() {
        for (int stage = 0; stage < STAGES; ++stage) {
            ptx::init(&full[stage], 1);
            ptx::init(&empty[stage], GROUPS * TILES);
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
        const int k = (share.first + block) * gemm::BLOCK_K;
        if constexpr (S::SHARERS == 1) {
            ptx::load_box(shared.x[stage], x, k, 0, &shared.full[stage]);
        } else {
            constexpr int ROWS_EACH = BATCH / S::SHARERS;
            const int rank = ptx::block_in_cluster(), mine = rank % S::SHARERS;
            const uint16_t sharers = ((1 << S::SHARERS) - 1) << (rank - mine);
            ptx::load_box_for(sharers, shared.x[stage] + mine * ROWS_EACH * gemm::BLOCK_K, x, k, mine * ROWS_EACH,
                              &shared.full[stage]);
        }
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

// A thread's part of a block as it lies: 32 codes, and the scales of two rows.
struct Packed {
    uint4 codes;
    uint16_t scales;

    __device__ __forceinline__ void load(const uint8_t* block) {
        const int thread = threadIdx.x % ptx::GROUP;
        codes = *reinterpret_cast<const uint4*>(block + 16 * thread);
        scales = *reinterpret_cast<const uint16_t*>(block + CODES + 2 * thread);
    }
};

// A thread's fragments of 64 x 64: of four steps of 16 along k. The four threads that have the same two rows convert the scales of
// one step each.
struct Fragments {
    uint32_t a[4][4];

    __device__ __forceinline__ void widen(const Packed& packed) {
        const uint32_t scales = nvfp4::large(packed.scales);
        step(a[0], packed.codes.x, __shfl_sync(~0u, scales, 0, 4));
        step(a[1], packed.codes.y, __shfl_sync(~0u, scales, 1, 4));
        step(a[2], packed.codes.z, __shfl_sync(~0u, scales, 2, 4));
        step(a[3], packed.codes.w, __shfl_sync(~0u, scales, 3, 4));
    }

    static __device__ __forceinline__ void step(uint32_t (&a)[4], uint32_t codes, uint32_t scales) {
        a[0] = nvfp4::multiply_by<0>(nvfp4::tiny<0>(codes), scales);
        a[1] = nvfp4::multiply_by<1>(nvfp4::tiny<1>(codes), scales);
        a[2] = nvfp4::multiply_by<0>(nvfp4::tiny<2>(codes), scales);
        a[3] = nvfp4::multiply_by<1>(nvfp4::tiny<3>(codes), scales);
    }
};

template <int SHARERS>
__device__ __forceinline__ void give_back(uint64_t* empty) {
    const int thread = threadIdx.x % ptx::GROUP;
    if constexpr (SHARERS == 1) {
        if (thread == 0) ptx::arrive(empty);
    } else {
        if (thread < SHARERS) ptx::arrive_at(empty, ptx::block_in_cluster() / SHARERS * SHARERS + thread);
    }
}

template <int GROUPS, int ORDER>
struct Order {
    int group, last;
    __device__ __forceinline__ Order(int count) : group(threadIdx.x / ptx::GROUP), last(count - 1) {
        if (ORDER && group == GROUPS - 1 && count > 0) ptx::let_group_go(8);
    }
    __device__ __forceinline__ void await() const {
        if (ORDER) ptx::wait_for_group(8 + group);
    }
    __device__ __forceinline__ void go(int block) const {
        if (ORDER && !(group == GROUPS - 1 && block == last)) ptx::let_group_go(8 + (group + 1) % GROUPS);
    }
};

template <bool AHEAD, int ORDER, int GROUPS, int PARTS, typename S>
__device__ __forceinline__ void consume(float (&d)[PARTS][64], S& shared, int count) {
    const int mine = threadIdx.x / ptx::GROUP * (PARTS * BLOCK);
    gemm::Position<S::COUNT> at;
    Packed packed;
    Fragments fragments[PARTS];
    const Order<GROUPS, ORDER> order(count);
    int before = 0;
    if (AHEAD && count > 0) {
        ptx::wait(&shared.full[0], 0);
        packed.load(shared.weights[0] + mine);
    }
#pragma unroll 1
    for (int block = 0; block < count; ++block) {
        const int stage = at.stage;
        if (!AHEAD) ptx::wait(&shared.full[stage], at.parity);
        const uint64_t columns = ptx::wgmma_descriptor(shared.x[stage]);
        at.advance();
#pragma unroll
        for (int part = 0; part < PARTS; ++part) {
            if (!AHEAD) packed.load(shared.weights[stage] + mine + part * BLOCK);
            fragments[part].widen(packed);
            order.await();
            ptx::wgmma_begin();
#pragma unroll
            for (int k = 0; k < 4; ++k) {
                ptx::wgmma_from_registers(d[part], fragments[part].a[k], columns + k * ptx::NEXT_K, block > 0 || k > 0);
                if (ORDER > 1 && k == ORDER - 1) ptx::wgmma_commit();
            }
            ptx::wgmma_commit();
            if (ORDER > 1) ptx::wgmma_wait<1>();
            order.go(block);
            if (AHEAD && part + 1 < PARTS) packed.load(shared.weights[stage] + mine + (part + 1) * BLOCK);
            if (AHEAD && part + 1 == PARTS && block + 1 < count) {
                ptx::wait(&shared.full[at.stage], at.parity);
                packed.load(shared.weights[at.stage] + mine);
            }
            ptx::wgmma_wait<PARTS - 1>();
            if (PARTS > 1 && part == 0 && block > 0) give_back<S::SHARERS>(&shared.empty[before]);
        }
        if (PARTS == 1) give_back<S::SHARERS>(&shared.empty[stage]);
        before = stage;
    }
    ptx::wgmma_wait<0>();
    if (PARTS > 1 && count > 0) give_back<S::SHARERS>(&shared.empty[before]);
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

template <int GROUPS, int PARTS, int STAGES, int TILES, int ORDER, bool AHEAD, int TAKEN, int LEFT>
__device__ __forceinline__ void matmul(const CUtensorMap& x, const uint8_t* weights, int blocks, const Out& out) {
    constexpr int ALL = GROUPS + 1, LAUNCHED = 65536 / (ALL * ptx::GROUP) / 8 * 8, WIDE = GROUPS * PARTS;
    static_assert(GROUPS * TAKEN + LEFT <= ALL * LAUNCHED, "setmaxnreg would wait for ever");
    using S = Shared<GROUPS, PARTS, STAGES, TILES>;
    S& shared = gemm::shared_memory<S>();
    const int in_cluster = ptx::block_in_cluster(), size = ptx::blocks_in_cluster();
    const nvfp4::Peers peers{in_cluster / TILES, size / TILES, in_cluster % TILES, TILES};
    const int tile = blockIdx.x / size * TILES + peers.first;
    const Share share = share_of(peers.rank, peers.count, blocks);
    if (threadIdx.x == 0) shared.init();
    if constexpr (TILES == 1) {
        __syncthreads();
    } else {
        ptx::meet_cluster();
    }
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
    if (threadIdx.x >= GROUPS * ptx::GROUP) {
        ptx::shrink_to<LEFT>();
        const int first = tile * WIDE;
        const int64_t panel = int64_t(first / PANEL) * blocks * PANEL + first % PANEL;
        if (threadIdx.x == GROUPS * ptx::GROUP) produce(shared, x, weights + panel * BLOCK, share);
        __syncwarp();
        ptx::meet_cluster();
        ptx::sync_cluster();
        return;
    }
    ptx::grow_to<TAKEN>();
    float d[PARTS][64];
    consume<AHEAD, ORDER, GROUPS, PARTS>(d, shared, share.count);
    const int group = threadIdx.x / ptx::GROUP * PARTS, most = (nvfp4::PIECES + peers.count - 1) / peers.count;
    const nvfp4::Parts parts{reinterpret_cast<float4*>(&shared), WIDE * ptx::GROUP, most};
    __nv_bfloat16* const rows = reinterpret_cast<__nv_bfloat16*>(parts.at + (peers.count - 1) * most * parts.threads);
    const int thread = group * ptx::GROUP + threadIdx.x % ptx::GROUP;
    ptx::meet_cluster();  // nobody's ring is in use any more: what was read of it is multiplied
#pragma unroll
    for (int part = 0; part < PARTS; ++part) nvfp4::hand_out(d[part], parts, peers, thread + part * ptx::GROUP);
    ptx::sync_cluster();
#pragma unroll
    for (int part = 0; part < PARTS; ++part) nvfp4::add_up(d[part], parts, peers, thread + part * ptx::GROUP);
    after_the_kernel_ahead();
#pragma unroll
    for (int part = 0; part < PARTS; ++part) {
        store(d[part], rows + (group + part) * (most * 8 * PADDED), out, (tile * WIDE + group + part) * ROWS, peers.rank,
              peers.count);
    }
}

#define MATMUL(name, GROUPS, PARTS, STAGES, TILES, ORDER, AHEAD, TAKEN, LEFT)                                                     \
    extern "C" __global__ void __launch_bounds__((GROUPS + 1) * ptx::GROUP, 1)                                             \
        name(const __grid_constant__ CUtensorMap x, const uint8_t* weights, int blocks, const __grid_constant__ Out out) { \
        matmul<GROUPS, PARTS, STAGES, TILES, ORDER, AHEAD, TAKEN, LEFT>(x, weights, blocks, out);                                 \
    }

MATMUL(nvfp4_matmul_128, 2, 1, 10, 1, 0, false, 232, 40)
MATMUL(nvfp4_matmul_256, 4, 1, 8, 1, 0, false, 112, 32)

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
