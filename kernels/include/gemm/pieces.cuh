// Sums on their way out through shared memory, 64 x 64 at a time, for the copy engine to store.
#pragma once

#include "../ptx/warp_mma.cuh"
#include "epilogue.cuh"

namespace gemm {

constexpr int PIECE = 64;  // columns: a row of a piece is 128 bytes

// 64 x 64 of the sums, from register `first` on, with the swizzle (tma.cuh) that the map of C undoes. As with ldmatrix, a lane
// holds parts of four matrices of 8 x 8, and names one row of one of them, which need not be its own.
template <typename T>
__device__ __forceinline__ void lay_down(T* piece, const float* d, int first) {
    const int lane = threadIdx.x % 32, row = threadIdx.x / 32 % 4 * 16 + lane % 16;
#pragma unroll
    for (int chunk = 0; chunk < 8; chunk += 2) {  // of 8 columns; a thread's four pairs are its part of 16 x 16
        const float* const from = d + first + 4 * chunk;
        ptx::store_matrices(piece + row * PIECE + ((chunk + lane / 16) ^ row % 8) * 8, pair<T>(from[0], from[1]),
                            pair<T>(from[2], from[3]), pair<T>(from[4], from[5]), pair<T>(from[6], from[7]));
    }
}

}  // namespace gemm
