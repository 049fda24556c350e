// y = softmax of each row of x in fp32, a row in the shared memory of a team of blocks that are no cluster: any GPU with cp.async and
// cooperative launches can do it. All blocks run at the same time, which such a launch promises, so they may wait for each other.

#include "softmax/shared_rows.cuh"

using namespace softmax;

#if __CUDA_ARCH__ == 800 || __CUDA_ARCH__ >= 900
constexpr int SLOTS = __CUDA_ARCH__ >= 900 ? 13 : 9;  // chunks of 16 KiB in shared memory, of 227 KiB or 163
#else
constexpr int SLOTS = 5;
#endif

// In device memory, of every team: parts [2][blocks], and how many have arrived and how many have left, 0 before and after.
struct Meeting {
    float2* parts;
    int *arrived, *left;
    int blocks;
};

struct Team {
    const Meeting& meeting;

    __device__ __forceinline__ int rank() const { return blockIdx.x % meeting.blocks; }
    __device__ __forceinline__ int first() const { return blockIdx.x / meeting.blocks; }
    __device__ __forceinline__ int count() const { return gridDim.x / meeting.blocks; }

    __device__ __forceinline__ Part join(Part mine, int round) {
        float2* const parts = meeting.parts + (first() * 2 + round % 2) * meeting.blocks;
        const int lane = threadIdx.x % 32;
        if (threadIdx.x == 0) {
            __stcg(parts + rank(), make_float2(mine.peak, mine.sum));
            __threadfence();
            atomicAdd(meeting.arrived + first(), 1);
            while (*static_cast<volatile int*>(meeting.arrived + first()) < (round + 1) * meeting.blocks) {
            }
            __threadfence();
        }
        __syncthreads();
        Part part;
        if (lane < meeting.blocks) {
            const float2 other = __ldcg(parts + lane);
            part = {other.x, other.y};
        }
        return over_warp(part);
    }

    // By the last of the team: all have passed their last meeting.
    __device__ __forceinline__ void leave() {
        if (threadIdx.x == 0 && atomicAdd(meeting.left + first(), 1) + 1 == meeting.blocks) {
            meeting.arrived[first()] = 0;
            meeting.left[first()] = 0;
        }
    }
};

extern "C" __global__ void __launch_bounds__(THREADS, 1)
    softmax_cooperative(const __grid_constant__ Rows of, const __grid_constant__ Meeting meeting) {
    Team team{meeting};
    by_teams<SLOTS>(of, team);
    team.leave();
}
