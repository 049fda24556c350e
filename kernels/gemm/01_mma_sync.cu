// C = A B^T, first rung: tiles in shared memory, warps that multiply fragments from registers (mma.sync), as on any GPU since
// Ampere. Three stages of cp.async keep the next blocks of k on their way.
//
// The baseline that the other rungs are measured by, so it is tuned too: 64 x 64 a warp, so that 8 ldmatrix feed 32 mma, and
// fragments in pairs, so that the next are loaded meanwhile. Eight warps, 2 by 4, share a tile of 128 x 256: 128 sums a thread.

#include "gemm/epilogue.cuh"
#include "ptx/warp_mma.cuh"

constexpr int M = 128, N = 256, K = 64, STAGES = 3, THREADS = 256;
constexpr int CHUNKS = K / 8;  // of 16 bytes, in a row of a stage
constexpr int STEPS = K / 16;

template <typename T>
struct Stage {
    T a[M * K], b[N * K];
};

// Chunks change places from row to row, so that the eight rows of a matrix that ldmatrix reads at once lie in different banks.
__device__ __forceinline__ int place(int row, int chunk) {
    return row * K + (chunk ^ row % CHUNKS) * 8;
}

// The part of a tile that a thread copies: a 16-byte chunk of every 32nd row. Where they lie is worked out once.
template <int ROWS, typename T>
struct Copies {
    static constexpr int STEP = THREADS / CHUNKS, COUNT = ROWS / STEP;
    const T* from;
    int64_t step;
    int to, rows_inside, k_inside;

    __device__ __forceinline__ Copies(const T* matrix, int64_t stride, int first_row, int rows, int k) {
        const int row = threadIdx.x / CHUNKS, chunk = threadIdx.x % CHUNKS;
        from = matrix + (first_row + row) * stride + chunk * 8;
        step = STEP * stride;
        to = place(row, chunk);
        rows_inside = (rows - first_row - row + STEP - 1) / STEP;  // of this thread's COUNT; none where not positive
        k_inside = k - chunk * 8;
    }

    __device__ __forceinline__ void request(T* tile, int first_k) const {
#pragma unroll
        for (int at = 0; at < COUNT; ++at) {
            const bool inside = at < rows_inside && first_k < k_inside;
            ptx::copy_16(tile + to + at * STEP * K, from + at * step + first_k, inside);
        }
    }
};

// What a warp multiplies in one step of 16 along k: four times 16 rows of A and four of B. ldmatrix brings four matrices of 8 x 8,
// of which a lane names one row: of A rows 0 to 7, then 8 to 15, of the first 8 k, then of the last; of B both halves of k
// for rows 0 to 7, then for 8 to 15, so that b[0], b[1] and b[2], b[3] are the operands of two mma.
struct Fragments {
    uint32_t a[4][4], b[4][4];

    template <typename T>
    __device__ __forceinline__ void load(Stage<T>& stage, int row, int column, int step) {
        const int lane = threadIdx.x % 32;
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            ptx::load_matrices(a[i], stage.a + place(row + 16 * i + lane % 16, 2 * step + lane / 16));
            ptx::load_matrices(b[i], stage.b + place(column + 16 * i + lane / 16 * 8 + lane % 8, 2 * step + lane / 8 % 2));
        }
    }
};

template <typename T>
__device__ __forceinline__ void multiply(float (&d)[4][8][4], const Fragments& held) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int j = 0; j < 8; ++j) {
            ptx::warp_mma<T>(d[i][j], held.a[i], held.b[j / 2][j % 2 * 2], held.b[j / 2][j % 2 * 2 + 1]);
        }
    }
}

template <typename T>
__device__ __forceinline__ void gemm_tile(const T* a, const T* b, int64_t a_stride, int64_t b_stride, int k,
                                          const gemm::Output<T>& out) {
    extern __shared__ __align__(128) uint8_t raw[];
    Stage<T>* const stages = reinterpret_cast<Stage<T>*>(raw);
    const int row = blockIdx.x * M, column = blockIdx.y * N, blocks = (k + K - 1) / K;
    const Copies<M, T> of_a(a, a_stride, row, out.m, k);
    const Copies<N, T> of_b(b, b_stride, column, out.n, k);
    const auto request = [&](int block) {
        if (block < blocks) {
            of_a.request(stages[block % STAGES].a, block * K);
            of_b.request(stages[block % STAGES].b, block * K);
        }
        ptx::commit_copies();  // an empty group too, so that counting groups is counting blocks
    };
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, warp_row = warp % 2 * 64, warp_column = warp / 2 * 64;
    float d[4][8][4] = {};
    Fragments held[2];  // one is multiplied while the other is loaded
#pragma unroll 1
    for (int block = 0; block < STAGES; ++block) request(block);
    ptx::wait_for_copies<STAGES - 1>();
    __syncthreads();
    held[0].load(stages[0], warp_row, warp_column, 0);
#pragma unroll 1
    for (int block = 0; block < blocks; ++block) {
#pragma unroll
        for (int step = 0; step < STEPS; ++step) {
            if (step == STEPS - 1) {
                ptx::wait_for_copies<STAGES - 2>();
                __syncthreads();  // everybody's copies of the next block are there, and this one lies in registers
                request(block + STAGES);
            }
            const int next = (block + (step == STEPS - 1)) % STAGES;
            held[(step + 1) % 2].load(stages[next], warp_row, warp_column, (step + 1) % STEPS);
            multiply<T>(d, held[step % 2]);
        }
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int j = 0; j < 8; ++j) {
            const int r = row + warp_row + 16 * i + lane / 4, c = column + warp_column + 8 * j + 2 * (lane % 4);
            gemm::bias_gelu(d[i][j], out.bias, out.gelu, c, out.n);
            gemm::store_pair(out, r, c, d[i][j][0], d[i][j][1]);
            gemm::store_pair(out, r + 8, c, d[i][j][2], d[i][j][3]);
        }
    }
}

#define KERNEL(name, T)                                                                                             \
    extern "C" __global__ void __launch_bounds__(THREADS, 1)                                                        \
    name(const T* a, const T* b, int64_t a_stride, int64_t b_stride, int k, const __grid_constant__ gemm::Output<T> out) { \
        gemm_tile(a, b, a_stride, b_stride, k, out);                                                                \
    }

KERNEL(gemm_mma_sync_bf16, __nv_bfloat16)
KERNEL(gemm_mma_sync_fp16, __half)
