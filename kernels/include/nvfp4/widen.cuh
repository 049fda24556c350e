// NVFP4 to bf16, exactly: a code times its scale has six significant bits at most.
//
// The bits of a code, put where bf16 has its lowest exponents, are the code times 2^-126, a subnormal for 0.5 too; multiplied by
// the scale times 2^118 they become the value times 2^-8. Neither factor leaves the range of bf16, and both products are exact.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

namespace nvfp4 {

constexpr float WIDENED = 256.0f;  // what is left to multiply by

__device__ __forceinline__ uint32_t multiply(uint32_t a, uint32_t b) {
    uint32_t c;
    asm("mul.rn.bf16x2 %0, %1, %2;" : "=r"(c) : "r"(a), "r"(b));
    return c;
}

// The codes that stand at bit 4 AT of each half, times 2^-126.
template <int AT>
__device__ __forceinline__ uint32_t tiny(uint32_t codes) {
    constexpr int UP = 12 - 4 * AT;
    const uint32_t at_top = UP ? codes << UP : codes;
    const uint32_t sizes = UP > 6 ? codes << (UP > 6 ? UP - 6 : 0) : codes >> (UP > 6 ? 0 : 6 - UP);
    return (at_top & 0x80008000u) | (sizes & 0x01c001c0u);
}

// Two scales, e4m3, as bf16 times 2^118; NaN stays NaN.
__device__ __forceinline__ uint32_t large(uint16_t scales) {
    uint32_t halves, both;
    asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(halves) : "h"(scales));
    const float2 wide = __half22float2(reinterpret_cast<const __half2&>(halves));
    constexpr float TIMES = 0x1p118f;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(wide.y * TIMES), "f"(wide.x * TIMES));
    return both;
}

__device__ __forceinline__ uint32_t low_twice(uint32_t pair) { return __byte_perm(pair, 0, 0x1010); }
__device__ __forceinline__ uint32_t high_twice(uint32_t pair) { return __byte_perm(pair, 0, 0x3232); }

}  // namespace nvfp4
