// The tensor cores as Hopper has them: a warp group (4 warps) multiplies tiles that lie in shared memory, asynchronously.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "mbarrier.cuh"

namespace ptx {

// Before the first wgmma, and wherever other code wrote its registers: orders those writes before its own accesses, which
// are asynchronous.
__device__ __forceinline__ void wgmma_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
// Makes a group of all wgmma since the last commit; wgmma_wait counts such groups.
__device__ __forceinline__ void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

// Until at most PENDING of the committed groups still run.
template <int PENDING>
__device__ __forceinline__ void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}

// A tile of rows of 64 elements (128 bytes), as the copy engine wrote it with a swizzle of 128 bytes: eight rows, 1024 bytes,
// are the unit that repeats. `tile` is aligned to 1024 bytes; the next 16 elements of the rows are 32 bytes on, since the swizzle
// is applied to the address afterwards.
//
// Bits 0 to 13 are the address, 16 to 29 the leading and 32 to 45 the stride byte offset, all in units of 16 bytes; 62 and 63 the
// swizzle, 1 for 128 bytes. The stride goes from eight rows to the next eight. The leading offset is not used where a row
// of a swizzled tile runs along k; PTX assumes 1 there. Addresses of shared memory have 18 bits: 0x3ffff.
__device__ __forceinline__ uint64_t wgmma_descriptor(const void* tile) {
    constexpr uint64_t SWIZZLE_128 = 1ull << 62, EIGHT_ROWS = uint64_t(1024 >> 4) << 32, UNUSED = 1ull << 16;
    return SWIZZLE_128 | EIGHT_ROWS | UNUSED | ((shared_address(tile) & 0x3ffff) >> 4);
}

constexpr uint64_t NEXT_K = 32 >> 4;  // in a descriptor

// A tile of which each row is one k, 64 columns a row, as the copy engine wrote it: the operand is its transpose. The next 64
// columns lie `panel` bytes on, the leading offset; the next 16 rows are 2048 bytes on.
__device__ __forceinline__ uint64_t wgmma_descriptor_across(const void* tile, uint32_t panel) {
    constexpr uint64_t SWIZZLE_128 = 1ull << 62, EIGHT_ROWS = uint64_t(1024 >> 4) << 32;
    return SWIZZLE_128 | EIGHT_ROWS | uint64_t(panel >> 4) << 16 | ((shared_address(tile) & 0x3ffff) >> 4);
}

constexpr uint64_t NEXT_16_ROWS = 2048 >> 4;  // in a descriptor

// After a wait for the wgmma that wrote these registers: no use of them moves ahead of it.
template <int COUNT>
__device__ __forceinline__ void hold(float (&registers)[COUNT]) {
#pragma unroll
    for (int at = 0; at < COUNT; ++at) asm volatile("" : "+f"(registers[at])::"memory");
}

#define F4(at) "+f"(d[at]), "+f"(d[at + 1]), "+f"(d[at + 2]), "+f"(d[at + 3])
#define F8(at) F4(at), F4(at + 4)
#define F64 F8(0), F8(8), F8(16), F8(24)
#define F96 F64, F8(32), F8(40)
#define F128 F96, F8(48), F8(56)
#define F144 F128, F8(64)
#define F160 F144, F8(72)
#define F176 F160, F8(80)
#define F192 F176, F8(88)
#define F208 F192, F8(96)
#define F224 F208, F8(104)
#define F240 F224, F8(112)
#define F256 F240, F8(120)
#define R64 \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define R96 R64 ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47"
#define R128 R96 ", %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define R144 R128 ", %64, %65, %66, %67, %68, %69, %70, %71"
#define R160 R144 ", %72, %73, %74, %75, %76, %77, %78, %79"
#define R176 R160 ", %80, %81, %82, %83, %84, %85, %86, %87"
#define R192 R176 ", %88, %89, %90, %91, %92, %93, %94, %95"
#define R208 R192 ", %96, %97, %98, %99, %100, %101, %102, %103"
#define R224 R208 ", %104, %105, %106, %107, %108, %109, %110, %111"
#define R240 R224 ", %112, %113, %114, %115, %116, %117, %118, %119"
#define R256 R240 ", %120, %121, %122, %123, %124, %125, %126, %127"

// d += a * b^T, or d = a * b^T: 64 x N from 64 x 16 and N x 16. Thread t of the group holds, of the rows t / 4 % 8 + 16 * (t / 32)
// and 8 below, the columns 8 j + 2 (t % 4) and the next: d[4 j], d[4 j + 1] above, d[4 j + 2], d[4 j + 3] below.
// N is one of those below; the first columns are in the same registers whatever N is.
//
// The four numbers at the end of the instruction: A and B times 1, not -1, and neither transposed. `add` is a predicate: where it
// is false d is only written.
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
#define WGMMAS(T, type)                                                                             \
    WGMMA(T, type, 64, F64, R64, "%32", "%33", "%34")                                               \
    WGMMA(T, type, 96, F96, R96, "%48", "%49", "%50")                                               \
    WGMMA(T, type, 128, F128, R128, "%64", "%65", "%66")                                            \
    WGMMA(T, type, 160, F160, R160, "%80", "%81", "%82")                                            \
    WGMMA(T, type, 176, F176, R176, "%88", "%89", "%90")                                            \
    WGMMA(T, type, 192, F192, R192, "%96", "%97", "%98")                                            \
    WGMMA(T, type, 208, F208, R208, "%104", "%105", "%106")                                         \
    WGMMA(T, type, 224, F224, R224, "%112", "%113", "%114")                                         \
    WGMMA(T, type, 256, F256, R256, "%128", "%129", "%130")

WGMMAS(__nv_bfloat16, "bf16")
WGMMAS(__half, "f16")

// d += a * b, a 64 x 16 in the group's registers, b 16 x N in shared memory: of `wgmma_descriptor_across`. Thread t of the group
// holds of a, in pairs, the columns 2 (t % 4) and the next of its two rows, above and below, then those 8 further: the columns
// 16 i to 16 i + 15 of sums, rounded, are such an operand. The numbers at the end: A and B times 1, B transposed.
template <typename T, int N>
__device__ __forceinline__ void wgmma(float (&d)[N / 2], const uint32_t (&a)[4], uint64_t b);

#define WGMMA_HELD(T, type, N, F, R, A, B)                                                                            \
    template <>                                                                                                       \
    __device__ __forceinline__ void wgmma<T, N>(float (&d)[N / 2], const uint32_t (&a)[4], uint64_t b) {              \
        asm volatile("{\n.reg .pred add;\nsetp.eq.b32 add, 1, 1;\n"                                                  \
                     "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." type "." type " {" R "}, {" A "}, " B          \
                     ", add, 1, 1, 1;\n}"                                                                               \
                     : F                                                                                              \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));                                           \
    }
#define WGMMAS_HELD(T, type)                                                   \
    WGMMA_HELD(T, type, 64, F64, R64, "%32, %33, %34, %35", "%36")             \
    WGMMA_HELD(T, type, 128, F128, R128, "%64, %65, %66, %67", "%68")

WGMMAS_HELD(__nv_bfloat16, "bf16")
WGMMAS_HELD(__half, "f16")

#undef WGMMAS_HELD
#undef WGMMA_HELD
#undef WGMMAS
#undef WGMMA
#undef R256
#undef F256
#undef R240
#undef F240
#undef R224
#undef F224
#undef R208
#undef F208
#undef R192
#undef F192
#undef R176
#undef F176
#undef R160
#undef F160
#undef R144
#undef F144
#undef R128
#undef F128
#undef R96
#undef F96
#undef R64
#undef F64
#undef F8
#undef F4

}  // namespace ptx
