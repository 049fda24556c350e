// The copy engine (TMA): boxes of a matrix that a tensor map describes, between device and shared memory. One thread asks.
//
// x counts elements along a row, y rows. What lies outside the matrix is read as zeros, and counts as bytes that came.
//
// The map (driver/tensor_map.py makes it on the host) holds the matrix's address, sizes and strides, the box's size and the
// swizzle: a box arrives as rows of 128 bytes, one after the other, and of row r the 16 bytes that would be number c lie at
// c ^ r % 8, so that the same c of eight rows, which the tensor cores read at once, lie in different banks. 128 bytes is the
// widest swizzle there is. It goes by bits of the address, so a tile must begin at a multiple of 1024 bytes: eight such rows.
//
// Named shared::cluster, since a block that was launched without a cluster is a cluster of its own.
#pragma once

#include <cuda.h>

#include "mbarrier.cuh"

namespace ptx {

__device__ __forceinline__ void prefetch(const CUtensorMap& map) {
    asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
}

__device__ __forceinline__ void load_box(void* to, const CUtensorMap& map, int x, int y, uint64_t* arrived) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(
            shared_address(to)),
        "l"(&map), "r"(x), "r"(y), "r"(shared_address(arrived))
        : "memory");
}

// Into the same place of every block of the cluster whose bit is set, each told by its own barrier.
__device__ __forceinline__ void load_box_for(uint16_t blocks, void* to, const CUtensorMap& map, int x, int y,
                                             uint64_t* arrived) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster"
        " [%0], [%1, {%2, %3}], [%4], %5;" ::"r"(shared_address(to)),
        "l"(&map), "r"(x), "r"(y), "r"(shared_address(arrived)), "h"(blocks)
        : "memory");
}

// Rows of one head, whole, of a map of `driver.tensor_map.heads`: 64 columns after the other, each like a box of its own. Its
// five coordinates are the column in a panel of 64, the row, the panel (both columns from 0 on), the head and the batch.
__device__ __forceinline__ void load_rows(void* to, const CUtensorMap& map, int row, int head, int batch, uint64_t* arrived) {
    asm volatile(
        "cp.async.bulk.tensor.5d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %2, %4, %5}], [%6];" ::"r"(
            shared_address(to)),
        "l"(&map), "r"(0), "r"(row), "r"(head), "r"(batch), "r"(shared_address(arrived))
        : "memory");
}

__device__ __forceinline__ void store_box(const CUtensorMap& map, int x, int y, const void* from) {
    asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%1, %2}], [%3];" ::"l"(&map), "r"(x), "r"(y),
                 "r"(shared_address(from))
                 : "memory");
}

__device__ __forceinline__ void commit_stores() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }

// Until at most PENDING of the groups that this thread committed still read shared memory.
template <int PENDING>
__device__ __forceinline__ void wait_until_read() {
    asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(PENDING) : "memory");
}

// Between a thread's own writes to shared memory and the copy engine's reads of them, which take another way to it (the async
// proxy) that no barrier orders by itself.
__device__ __forceinline__ void publish_to_copy_engine() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

}  // namespace ptx
