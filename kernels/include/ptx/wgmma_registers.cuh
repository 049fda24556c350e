// wgmma whose first operand lies in the group's registers, where it was just made.
#pragma once

#include <cuda_bf16.h>

#include "wgmma.cuh"

namespace ptx {

#define D4(at) "+f"(d[at]), "+f"(d[at + 1]), "+f"(d[at + 2]), "+f"(d[at + 3])
#define D16(at) D4(at), D4(at + 4), D4(at + 8), D4(at + 12)

// d += a * b^T, or d = a * b^T: 64 x 128 from 64 x 16 of bf16 in registers and 128 x 16 in shared memory. Thread t of the group
// holds, of the rows t / 4 % 8 + 16 * (t / 32) (a[0], a[2]) and 8 below (a[1], a[3]), the columns 2 (t % 4) and the next
// (a[0], a[1]) and those 8 on (a[2], a[3]). The registers are read until the group of wgmma is done.
__device__ __forceinline__ void wgmma_from_registers(float (&d)[64], const uint32_t (&a)[4], uint64_t b, bool add) {
    asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, %69, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
                 "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
                 "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
                 "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
                 "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
                 "{%64, %65, %66, %67}, %68, add, 1, 1, 0;\n}"
                 : D16(0), D16(16), D16(32), D16(48)
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(int(add)));
}

#undef D16
#undef D4

}  // namespace ptx
