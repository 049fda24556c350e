// y = scale * gelu(w0 x[i-1] + w1 x[i] + w2 x[i+1]) in fp32, zeros beyond both ends: as two kernels with an array between them, as one,
// and as warps with a role each, in clusters whose blocks tell each other the edges of their tiles.
//
// Arrays are 16-byte aligned, of a multiple of 4 elements; of the last kernel a multiple of CLUSTER tiles.

#include "gemm/epilogue.cuh"
#include "ptx/copies.cuh"
#include "ptx/group.cuh"
#include "ptx/neighbours.cuh"
#include "ptx/tma.cuh"

struct Weights {
    float before, at, after, scale;
};

__device__ __forceinline__ float weighted(const Weights& w, float before, float at, float after) {
    return fmaf(w.before, before, fmaf(w.at, at, w.after * after));
}

// Of four elements and their neighbours.
__device__ __forceinline__ float4 stencil(const Weights& w, float before, float4 x, float after) {
    return make_float4(weighted(w, before, x.x, x.y), weighted(w, x.x, x.y, x.z), weighted(w, x.y, x.z, x.w),
                       weighted(w, x.z, x.w, after));
}

__device__ __forceinline__ float4 activated(const Weights& w, float4 x) {
    return make_float4(gemm::gelu(x.x) * w.scale, gemm::gelu(x.y) * w.scale, gemm::gelu(x.z) * w.scale,
                       gemm::gelu(x.w) * w.scale);
}

constexpr int GENERIC = 256;

// This thread's four elements, and their neighbours from the same cache lines.
__device__ __forceinline__ float4 stencil_at(const Weights& w, const float* x, int64_t first, int64_t n) {
    const float4 mine = *reinterpret_cast<const float4*>(x + first);
    return stencil(w, first > 0 ? x[first - 1] : 0.0f, mine, first + 4 < n ? x[first + 4] : 0.0f);
}

extern "C" __global__ void __launch_bounds__(GENERIC)
    stencil_only(const float* __restrict__ x, float* __restrict__ y, int64_t n, const __grid_constant__ Weights w) {
    const int64_t first = (int64_t(blockIdx.x) * GENERIC + threadIdx.x) * 4;
    if (first < n) __stcs(reinterpret_cast<float4*>(y + first), stencil_at(w, x, first, n));
}

extern "C" __global__ void __launch_bounds__(GENERIC)
    gelu_only(const float* __restrict__ x, float* __restrict__ y, int64_t n, const __grid_constant__ Weights w) {
    const int64_t first = (int64_t(blockIdx.x) * GENERIC + threadIdx.x) * 4;
    if (first < n) __stcs(reinterpret_cast<float4*>(y + first), activated(w, __ldcs(reinterpret_cast<const float4*>(x + first))));
}

extern "C" __global__ void __launch_bounds__(GENERIC)
    stencil_gelu(const float* __restrict__ x, float* __restrict__ y, int64_t n, const __grid_constant__ Weights w) {
    const int64_t first = (int64_t(blockIdx.x) * GENERIC + threadIdx.x) * 4;
    if (first < n) __stcs(reinterpret_cast<float4*>(y + first), activated(w, stencil_at(w, x, first, n)));
}

constexpr int TILE = 8192, CLUSTER = 4, STAGES = 4, RESULTS = 2;
constexpr int WORKERS = 2 * ptx::GROUP, THREADS = ptx::GROUP + WORKERS, PIECES = TILE / 4 / WORKERS;
constexpr uint32_t TILE_BYTES = TILE * sizeof(float), EDGE_BYTES = 16;

// A tile with room for its neighbours' nearest elements; the copy engine can bring no fewer than four.
struct Stage {
    float cells[4 + TILE + 4];

    __device__ __forceinline__ float* tile() { return cells + 4; }
};

struct Shared {
    Stage stages[STAGES];
    float results[RESULTS][TILE];
    uint64_t full[STAGES], empty[STAGES], edges[STAGES], taken[STAGES], computed[RESULTS], stored[RESULTS];
};

struct Array {
    const float* x;
    float* y;
    int64_t n;

    // Tiles of a cluster lie side by side; its next ones are those behind all clusters' present ones.
    __device__ __forceinline__ int rounds() const {
        const int whole = n / (int64_t(CLUSTER) * TILE), clusters = gridDim.x / CLUSTER, mine = blockIdx.x / CLUSTER;
        return (whole - mine + clusters - 1) / clusters;
    }
    __device__ __forceinline__ int64_t tile(int round) const { return (int64_t(round) * gridDim.x + blockIdx.x) * TILE; }
};

// One thread: tiles, and the elements beyond the cluster's own ends.
__device__ __forceinline__ void produce(Shared& shared, const Array& of) {
    const uint32_t rank = ptx::block_in_cluster();
    const int rounds = of.rounds();
#pragma unroll 1
    for (int round = 0; round < rounds; ++round) {
        const int at = round % STAGES;
        const int64_t first = of.tile(round), end = first + TILE;
        Stage& stage = shared.stages[at];
        uint64_t* const full = &shared.full[at];
        ptx::wait(&shared.empty[at], round / STAGES % 2 ^ 1);
        const bool before = rank == 0 && first > 0, after = rank == CLUSTER - 1 && end < of.n;
        if (rank == 0 && !before) stage.tile()[-1] = 0.0f;
        if (rank == CLUSTER - 1 && !after) stage.tile()[TILE] = 0.0f;
        ptx::arrive_expecting(full, TILE_BYTES + (before + after) * EDGE_BYTES);
        ptx::load_bulk(stage.tile(), of.x + first, TILE_BYTES, full);
        if (before) ptx::load_bulk(stage.cells, of.x + first - 4, EDGE_BYTES, full);
        if (after) ptx::load_bulk(stage.tile() + TILE, of.x + end, EDGE_BYTES, full);
    }
}

// One thread: results on their way out.
__device__ __forceinline__ void store(Shared& shared, const Array& of) {
    const int rounds = of.rounds();
#pragma unroll 1
    for (int round = 0; round < rounds; ++round) {
        const int at = round % RESULTS;
        ptx::wait(&shared.computed[at], round / RESULTS % 2);
        ptx::store_bulk(of.y + of.tile(round), shared.results[at], TILE_BYTES);
        ptx::commit_stores();
        ptx::wait_until_read<RESULTS - 1>();
        if (round + 1 >= RESULTS) ptx::arrive(&shared.stored[(round + 1) % RESULTS]);
    }
    ptx::wait_until_read<0>();  // shared memory goes when the block does
}

// One thread: a tile's first and last element into the neighbours' shared memory as soon as the tile is there, however far the workers
// are; the neighbours say when theirs have taken the elements that lay there before.
__device__ __forceinline__ void tell(Shared& shared, const Array& of) {
    const uint32_t rank = ptx::block_in_cluster();
    const bool left = rank > 0, right = rank + 1 < CLUSTER;
    const int rounds = of.rounds();
#pragma unroll 1
    for (int round = 0; round < rounds; ++round) {
        const int at = round % STAGES;
        float* const tile = shared.stages[at].tile();
        uint64_t* const edges = &shared.edges[at];
        ptx::wait(&shared.full[at], round / STAGES % 2);  // so the workers have had the edges that came here before
        ptx::arrive_expecting(edges, (left + right) * sizeof(float));
        ptx::wait(&shared.taken[at], round / STAGES % 2 ^ 1);
        if (left) ptx::send(tile + TILE, tile[0], edges, rank - 1);
        if (right) ptx::send(tile - 1, tile[TILE - 1], edges, rank + 1);
        ptx::arrive(&shared.empty[at]);
    }
}

__device__ __forceinline__ void work(Shared& shared, const Array& of, const Weights& w) {
    const uint32_t rank = ptx::block_in_cluster();
    const int rounds = of.rounds(), worker = threadIdx.x - ptx::GROUP, lane = threadIdx.x % 32;
#pragma unroll 1
    for (int round = 0; round < rounds; ++round) {
        const int at = round % STAGES, result = round % RESULTS;
        float* const tile = shared.stages[at].tile();
        ptx::wait(&shared.full[at], round / STAGES % 2);
        ptx::wait(&shared.stored[result], round / RESULTS % 2 ^ 1);
        ptx::wait(&shared.edges[at], round / STAGES % 2);
        const float4* const from = reinterpret_cast<const float4*>(tile) + worker;
        float4* const to = reinterpret_cast<float4*>(shared.results[result]) + worker;
#pragma unroll 4
        for (int piece = 0; piece < PIECES; ++piece) {
            const int first = (piece * WORKERS + worker) * 4;
            const float4 x = from[piece * WORKERS];
            float before = __shfl_up_sync(0xffffffff, x.w, 1), after = __shfl_down_sync(0xffffffff, x.x, 1);
            if (lane == 0) before = tile[first - 1];
            if (lane == 31) after = tile[first + 4];
            to[piece * WORKERS] = activated(w, stencil(w, before, x, after));
        }
        ptx::publish_to_copy_engine();
        ptx::arrive(&shared.empty[at]);
        ptx::arrive(&shared.computed[result]);
        if (worker == 0 && rank > 0) ptx::arrive_at(&shared.taken[at], rank - 1);
        if (worker == WORKERS - 1 && rank + 1 < CLUSTER) ptx::arrive_at(&shared.taken[at], rank + 1);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, 1)
    stencil_gelu_roles(const __grid_constant__ Array of, const __grid_constant__ Weights w) {
    extern __shared__ __align__(128) uint8_t raw[];
    Shared& shared = *reinterpret_cast<Shared*>(raw);
    if (threadIdx.x == 0) {
        for (int at = 0; at < STAGES; ++at) {
            ptx::init(&shared.full[at], 1);
            ptx::init(&shared.empty[at], WORKERS + 1);
            ptx::init(&shared.edges[at], 1);
            ptx::init(&shared.taken[at], (ptx::block_in_cluster() > 0) + (ptx::block_in_cluster() + 1 < CLUSTER));
        }
        for (int at = 0; at < RESULTS; ++at) {
            ptx::init(&shared.computed[at], WORKERS);
            ptx::init(&shared.stored[at], 1);
        }
        ptx::publish_inits();
    }
    ptx::sync_cluster();
    if (threadIdx.x < ptx::GROUP) {
        ptx::shrink_to<40>();
        if (threadIdx.x == 0) produce(shared, of);
        if (threadIdx.x == 32) store(shared, of);
        if (threadIdx.x == 64) tell(shared, of);
    } else {
        ptx::grow_to<232>();
        work(shared, of, w);
    }
    ptx::sync_cluster();
}
