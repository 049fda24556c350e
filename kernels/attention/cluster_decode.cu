// Decode attention over a paged cache: a cluster of blocks splits the keys of one sequence and key/value head, the copy engine fetches
// the next pages meanwhile, and the blocks' results meet through distributed shared memory. One kernel, no scratch memory.
//
// bf16: q and out [sequences, kv_heads, GROUP, D], pages of keys and of values [pages, kv_heads, PAGE, D], table [sequences, width];
// a sequence attends to its first lengths + 1 tokens. Each key and value is read once for its GROUP queries.

#include <cuda_bf16.h>

#include "ptx/copies.cuh"
#include "ptx/group.cuh"
#include "ptx/neighbours.cuh"

constexpr int CLUSTER = 8, GROUP = 4, D = 128, PAGE = 64, THREADS = 128, STAGES = 3;
constexpr int CHUNKS = D / 8, PARTS = THREADS / CHUNKS;  // of 8 elements, 16 bytes, in a row; threads that share a chunk of the values
constexpr uint32_t PAGE_BYTES = PAGE * D * sizeof(__nv_bfloat16);
constexpr float NONE = -INFINITY;

struct Cache {
    const __nv_bfloat16 *q, *keys, *values;
    __nv_bfloat16* out;
    const int* table;
    const int64_t* lengths;
    int kv_heads, width;
    float scale;  // 1 / sqrt(D) and log2(e)
};

struct Shared {
    uint4 keys[STAGES][PAGE * CHUNKS], values[STAGES][PAGE * CHUNKS];
    uint4 q[GROUP][CHUNKS];
    float scores[2][GROUP][PAGE], factors[2][GROUP];
    float peak[GROUP], sum[GROUP], mean[GROUP][D];  // what the cluster reads
    uint64_t full[STAGES];
};

__device__ __forceinline__ void widen(const uint4& from, float (&to)[8]) {
    const uint32_t pairs[4] = {from.x, from.y, from.z, from.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        to[2 * i] = __uint_as_float(pairs[i] << 16);
        to[2 * i + 1] = __uint_as_float(pairs[i] & 0xffff0000u);
    }
}

__device__ __forceinline__ float exp2_of(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// Two threads a key, every other chunk of it each; they begin at different chunks, so that eight lanes read eight banks' worth.
__device__ __forceinline__ void score(const Shared& shared, int stage, int tokens, float scale, float (&scores)[GROUP][PAGE]) {
    const int key = threadIdx.x / 2, half = threadIdx.x % 2;
    float sums[GROUP] = {};
#pragma unroll
    for (int i = 0; i < CHUNKS / 2; ++i) {
        const int chunk = 2 * ((i + key) % (CHUNKS / 2)) + half;
        float k[8];
        widen(shared.keys[stage][key * CHUNKS + chunk], k);
#pragma unroll
        for (int g = 0; g < GROUP; ++g) {
            float q[8];
            widen(shared.q[g][chunk], q);
#pragma unroll
            for (int e = 0; e < 8; ++e) sums[g] = fmaf(q[e], k[e], sums[g]);
        }
    }
#pragma unroll
    for (int g = 0; g < GROUP; ++g) {
        const float whole = sums[g] + __shfl_xor_sync(0xffffffff, sums[g], 1);
        if (half == 0) scores[g][key] = key < tokens ? whole * scale : NONE;
    }
}

// A warp a query: scores become weights, and what was added before is to be scaled.
__device__ __forceinline__ void weigh(float (&scores)[GROUP][PAGE], float (&factors)[GROUP], float& peak, float& sum) {
    const int g = threadIdx.x / 32, lane = threadIdx.x % 32;
    const float a = scores[g][lane], b = scores[g][lane + 32];
    float most = fmaxf(a, b);
#pragma unroll
    for (int step = 16; step > 0; step /= 2) most = fmaxf(most, __shfl_xor_sync(0xffffffff, most, step));
    most = fmaxf(most, peak);  // a page has one token at least
    const float wa = exp2_of(a - most), wb = exp2_of(b - most), factor = exp2_of(peak - most);
    float added = wa + wb;
#pragma unroll
    for (int step = 16; step > 0; step /= 2) added += __shfl_xor_sync(0xffffffff, added, step);
    sum = fmaf(sum, factor, added);
    peak = most;
    scores[g][lane] = wa;
    scores[g][lane + 32] = wb;
    if (lane == 0) factors[g] = factor;
}

__device__ __forceinline__ void add(const Shared& shared, int stage, const float (&weights)[GROUP][PAGE], const float (&factors)[GROUP],
                                    int tokens, float (&means)[GROUP][8]) {
    const int chunk = threadIdx.x % CHUNKS, part = threadIdx.x / CHUNKS;
#pragma unroll
    for (int g = 0; g < GROUP; ++g) {
#pragma unroll
        for (int e = 0; e < 8; ++e) means[g][e] *= factors[g];
    }
#pragma unroll
    for (int i = 0; i < PAGE / PARTS; ++i) {
        const int key = i * PARTS + part;
        if (key >= tokens) continue;  // whatever lies there is no value
        float v[8];
        widen(shared.values[stage][key * CHUNKS + chunk], v);
#pragma unroll
        for (int g = 0; g < GROUP; ++g) {
            const float weight = weights[g][key];
#pragma unroll
            for (int e = 0; e < 8; ++e) means[g][e] = fmaf(weight, v[e], means[g][e]);
        }
    }
}

// The block's sums over its pages, once no copy is on its way: through the memory of the first stage.
__device__ __forceinline__ void leave(Shared& shared, const float (&means)[GROUP][8], float peak, float sum) {
    auto* const parts = reinterpret_cast<float(*)[GROUP][D]>(shared.keys);
    const int chunk = threadIdx.x % CHUNKS, part = threadIdx.x / CHUNKS;
    __syncthreads();
#pragma unroll
    for (int g = 0; g < GROUP; ++g) {
#pragma unroll
        for (int e = 0; e < 8; ++e) parts[part][g][chunk * 8 + e] = means[g][e];
    }
    if (threadIdx.x % 32 == 0) {
        shared.peak[threadIdx.x / 32] = peak;
        shared.sum[threadIdx.x / 32] = sum;
    }
    __syncthreads();
#pragma unroll
    for (int g = 0; g < GROUP; ++g) {
        float whole = 0.0f;
#pragma unroll
        for (int i = 0; i < PARTS; ++i) whole += parts[i][g][threadIdx.x];
        shared.mean[g][threadIdx.x] = whole;
    }
}

// Each block writes an eighth of the results, of all blocks' parts.
__device__ __forceinline__ void meet(const Shared& shared, __nv_bfloat16* out) {
    const int at = ptx::block_in_cluster() * (GROUP * D / CLUSTER) + threadIdx.x, g = at / D;
    if (threadIdx.x >= GROUP * D / CLUSTER) return;
    float peaks[CLUSTER], most = NONE, sum = 0.0f, mean = 0.0f;
#pragma unroll
    for (int block = 0; block < CLUSTER; ++block) {
        peaks[block] = ptx::fetch(&shared.peak[g], block);
        most = fmaxf(most, peaks[block]);
    }
#pragma unroll
    for (int block = 0; block < CLUSTER; ++block) {
        const float weight = exp2_of(peaks[block] - most);
        sum = fmaf(ptx::fetch(&shared.sum[g], block), weight, sum);
        mean = fmaf(ptx::fetch(&shared.mean[g][at % D], block), weight, mean);
    }
    out[at] = __float2bfloat16(mean / sum);
}

extern "C" __global__ void __launch_bounds__(THREADS) decode_cluster(const __grid_constant__ Cache of) {
    extern __shared__ __align__(128) uint8_t raw[];
    Shared& shared = *reinterpret_cast<Shared*>(raw);
    const int pair = blockIdx.x / CLUSTER, rank = ptx::block_in_cluster(), sequence = pair / of.kv_heads, head = pair % of.kv_heads;
    const int64_t tokens = of.lengths[sequence] + 1;
    const int pages = (tokens + PAGE - 1) / PAGE, mine = (pages - rank + CLUSTER - 1) / CLUSTER;
    if (threadIdx.x == 0) {
        for (int stage = 0; stage < STAGES; ++stage) ptx::init(&shared.full[stage], 1);
        ptx::publish_inits();
    }
    if (threadIdx.x < GROUP * CHUNKS) {
        shared.q[threadIdx.x / CHUNKS][threadIdx.x % CHUNKS] = reinterpret_cast<const uint4*>(of.q + int64_t(pair) * GROUP * D)[threadIdx.x];
    }
    __syncthreads();
    const auto ask = [&](int number) {  // by one thread, for its number-th page
        if (number >= mine) return;
        const int stage = number % STAGES, page = of.table[int64_t(sequence) * of.width + rank + number * CLUSTER];
        const int64_t from = (int64_t(page) * of.kv_heads + head) * PAGE * D;
        ptx::arrive_expecting(&shared.full[stage], 2 * PAGE_BYTES);
        ptx::load_bulk(shared.keys[stage], of.keys + from, PAGE_BYTES, &shared.full[stage]);
        ptx::load_bulk(shared.values[stage], of.values + from, PAGE_BYTES, &shared.full[stage]);
    };
    if (threadIdx.x == 0) {
        for (int ahead = 0; ahead < STAGES - 1; ++ahead) ask(ahead);
    }
    float means[GROUP][8] = {}, peak = NONE, sum = 0.0f;
#pragma unroll 1
    for (int number = 0; number < mine; ++number) {
        const int stage = number % STAGES, set = number % 2;
        const int64_t left = tokens - int64_t(rank + number * CLUSTER) * PAGE;
        const int here = left < PAGE ? left : PAGE;
        ptx::wait(&shared.full[stage], number / STAGES % 2);
        score(shared, stage, here, of.scale, shared.scores[set]);
        __syncthreads();  // all are done with the page before, whose stage is the next to be filled
        if (threadIdx.x == 0) ask(number + STAGES - 1);
        weigh(shared.scores[set], shared.factors[set], peak, sum);
        __syncthreads();
        add(shared, stage, shared.scores[set], shared.factors[set], here, means);
    }
    leave(shared, means, peak, sum);
    ptx::sync_cluster();
    meet(shared, of.out + int64_t(pair) * GROUP * D);
    ptx::sync_cluster();
}
