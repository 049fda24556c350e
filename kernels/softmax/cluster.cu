// y = softmax of each row of x in fp32, a row in the shared memory of a cluster: every element is read once.
//
// The blocks of a cluster tell each other the largest element and the sum of their share, through distributed shared memory, or,
// for comparison, through device memory and the cluster's barrier.

#include "ptx/group.cuh"
#include "ptx/neighbours.cuh"
#include "softmax/shared_rows.cuh"

using namespace softmax;

constexpr int MOST = 16, SLOTS = 13;  // blocks of a cluster; chunks of 16 KiB in shared memory

struct Cluster {
    __device__ __forceinline__ int rank() const { return ptx::block_in_cluster(); }
    __device__ __forceinline__ int first() const { return blockIdx.x / ptx::blocks_in_cluster(); }
    __device__ __forceinline__ int count() const { return gridDim.x / ptx::blocks_in_cluster(); }
};

// Every block writes its part into the shared memory of all; a barrier there counts the bytes. Two sets in turn: who writes the next
// but one has had this block's part of the next, which it sends after it has read this one.
struct ByNeighbours : Cluster {
    float2 (&inbox)[2][MOST];
    uint64_t (&arrived)[2];

    __device__ __forceinline__ Part join(Part mine, int round) {
        const int blocks = ptx::blocks_in_cluster(), at = round % 2, lane = threadIdx.x % 32;
        if (threadIdx.x == 0) ptx::arrive_expecting(&arrived[at], blocks * sizeof(float2));
        if (threadIdx.x < blocks) ptx::send(&inbox[at][rank()], make_float2(mine.peak, mine.sum), &arrived[at], threadIdx.x);
        ptx::wait(&arrived[at], round / 2 % 2);
        Part part;
        if (lane % MOST < blocks) part = {inbox[at][lane % MOST].x, inbox[at][lane % MOST].y};
        return over_warp<MOST>(part);
    }
};

extern "C" __global__ void __launch_bounds__(THREADS, 1) softmax_cluster(const __grid_constant__ Rows of) {
    __shared__ float2 inbox[2][MOST];
    __shared__ uint64_t arrived[2];
    if (threadIdx.x == 0) {
        ptx::init(&arrived[0], 1);
        ptx::init(&arrived[1], 1);
        ptx::publish_inits();
    }
    ptx::sync_cluster();
    ByNeighbours team{{}, inbox, arrived};
    by_teams<SLOTS>(of, team);
    ptx::sync_cluster();
}

// Every block writes its part into device memory, [clusters][2][MOST], where those of its cluster find it after their barrier.
struct ByMemory : Cluster {
    float2* scratch;

    __device__ __forceinline__ Part join(Part mine, int round) {
        float2* const parts = scratch + (first() * 2 + round % 2) * MOST;
        const int lane = threadIdx.x % 32;
        if (threadIdx.x == 0) __stcg(parts + rank(), make_float2(mine.peak, mine.sum));
        ptx::sync_cluster();
        Part part;
        if (lane % MOST < ptx::blocks_in_cluster()) {
            const float2 other = __ldcg(parts + lane % MOST);
            part = {other.x, other.y};
        }
        return over_warp<MOST>(part);
    }
};

extern "C" __global__ void __launch_bounds__(THREADS, 1)
    softmax_cluster_memory(const __grid_constant__ Rows of, float2* __restrict__ scratch) {
    ByMemory team{{}, scratch};
    by_teams<SLOTS>(of, team);
}
