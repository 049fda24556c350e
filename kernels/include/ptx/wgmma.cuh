// The tensor cores as Hopper has them: a warp group (4 warps) multiplies tiles that lie in shared memory, asynchronously.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "mbarrier.cuh"

namespace ptx {

// Before the first wgmma, and wherever other code wrote its registers.
__device__ __forceinline__ void wgmma_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

// Until at most PENDING of the committed groups still run.
template <int PENDING>
__device__ __forceinline__ void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}

// A tile of rows of 64 elements (128 bytes), as the copy engine wrote it with a swizzle of 128 bytes: eight rows, 1024 bytes,
// are the unit that repeats. `tile` is aligned to 1024 bytes; the next 16 elements of the rows are 32 bytes on.
__device__ __forceinline__ uint64_t wgmma_descriptor(const void* tile) {
    constexpr uint64_t SWIZZLE_128 = 1ull << 62, EIGHT_ROWS = uint64_t(1024 >> 4) << 32, UNUSED = 1ull << 16;
    return SWIZZLE_128 | EIGHT_ROWS | UNUSED | ((shared_address(tile) & 0x3ffff) >> 4);
}

constexpr uint64_t NEXT_K = 32 >> 4;  // in a descriptor

#define F4(at) "+f"(d[at]), "+f"(d[at + 1]), "+f"(d[at + 2]), "+f"(d[at + 3])
#define F16(at) F4(at), F4(at + 4), F4(at + 8), F4(at + 12)
#define F64 F16(0), F16(16), F16(32), F16(48)
#define F96 F64, F16(64), F16(80)
#define F128 F96, F16(96), F16(112)
#define R64  \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
    "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define R96 R64 ", "  \
    "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, " \
    "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"
#define R128 R96 ", "  \
    "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, " \
    "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"

// d += a * b^T, or d = a * b^T: 64 x N from 64 x 16 and N x 16. Thread t of the group holds, of the rows t / 4 % 8 + 16 * (t / 32)
// and 8 below, the columns 8 j + 2 (t % 4) and the next: d[4 j], d[4 j + 1] above, d[4 j + 2], d[4 j + 3] below.
template <typename T, int N>
__device__ __forceinline__ void wgmma(float (&d)[N / 2], uint64_t a, uint64_t b, bool add);

#define WGMMA(T, type, N, F, R, A, B, ADD)                                                                            \
    template <>                                                                                                       \
    __device__ __forceinline__ void wgmma<T, N>(float (&d)[N / 2], uint64_t a, uint64_t b, bool add) {                \
        asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, " ADD ", 0;\n"                                             \
                     "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." type "." type " {" R "}, " A ", " B              \
                     ", add, 1, 1, 0, 0;\n}"                                                                          \
                     : F                                                                                              \
                     : "l"(a), "l"(b), "r"(int(add)));                                                                \
    }
#define WGMMAS(T, type)                                                                                               \
    WGMMA(T, type, 128, F64, R64, "%64", "%65", "%66")                                                                \
    WGMMA(T, type, 192, F96, R96, "%96", "%97", "%98")                                                                \
    WGMMA(T, type, 256, F128, R128, "%128", "%129", "%130")

WGMMAS(__nv_bfloat16, "bf16")
WGMMAS(__half, "f16")

#undef WGMMAS
#undef WGMMA
#undef R128
#undef R96
#undef R64
#undef F128
#undef F96
#undef F64
#undef F16
#undef F4

}  // namespace ptx
