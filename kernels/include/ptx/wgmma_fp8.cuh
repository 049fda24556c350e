// wgmma on e4m3, two of which lie where one bf16 would: tiles, swizzles and descriptors are those of 16-bit elements.
//
// Sums are in fp32 registers, but Hopper's tensor cores add products of fp8 with fewer bits than fp32 has.
#pragma once

#include "wgmma.cuh"

namespace ptx {

struct Fp8Pair {
    uint16_t bits;
};

#define D4(at) "+f"(d[at]), "+f"(d[at + 1]), "+f"(d[at + 2]), "+f"(d[at + 3])
#define D16(at) D4(at), D4(at + 4), D4(at + 8), D4(at + 12)

// 64 x 256 from 64 x 32 and 256 x 32 of e4m3.
template <>
__device__ __forceinline__ void wgmma<Fp8Pair, 256>(float (&d)[128], uint64_t a, uint64_t b, bool add) {
    asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, %130, 0;\n"
                 "wgmma.mma_async.sync.aligned.m64n256k32.f32.e4m3.e4m3 "
                 "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
                 "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
                 "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
                 "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "
                 "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "
                 "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "
                 "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, "
                 "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127}, "
                 "%128, %129, add, 1, 1;\n}"
                 : D16(0), D16(16), D16(32), D16(48), D16(64), D16(80), D16(96), D16(112)
                 : "l"(a), "l"(b), "r"(int(add)));
}

#undef D16
#undef D4

}  // namespace ptx
