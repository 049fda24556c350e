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

// Codes as a thread finds them, eight in a word: of four pairs the first codes in the lower half, the second in the upper. Of pair 0
// sign and size stand where bf16 has them, bits 15 and 8 to 6; of pairs 1 and 2 three and six bits lower; pair 3 has the bits that
// are left: 14 the sign, 13, 11 and 10 the size. So three pairs take one shift at most, where four codes side by side take eight.
template <int PAIR>
__device__ __forceinline__ uint32_t tiny(uint32_t codes) {
    if constexpr (PAIR < 3) return codes << 3 * PAIR & 0x81c081c0u;
    return (codes << 1 & 0x80008000u) | (codes >> 5 & 0x01000100u) | (codes >> 4 & 0x00c000c0u);
}

// A code that stands alone, in the lowest four bits of each half.
__device__ __forceinline__ uint32_t tiny_alone(uint32_t codes) { return (codes << 12 & 0x80008000u) | (codes << 6 & 0x01c001c0u); }

// Two scales, e4m3, as bf16 times 2^118; NaN stays NaN.
__device__ __forceinline__ uint32_t large(uint16_t scales) {
    constexpr uint32_t TIMES = 0x7a807a80u;  // 2^118 twice, in bf16
    uint32_t halves, both;
    asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(halves) : "h"(scales));
    const float2 wide = __half22float2(reinterpret_cast<const __half2&>(halves));
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(wide.y), "f"(wide.x));
    return multiply(both, TIMES);
}

__device__ __forceinline__ uint32_t low_twice(uint32_t pair) { return __byte_perm(pair, 0, 0x1010); }
__device__ __forceinline__ uint32_t high_twice(uint32_t pair) { return __byte_perm(pair, 0, 0x3232); }

}  // namespace nvfp4
