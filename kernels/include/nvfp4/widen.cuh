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

// Both halves times one of two scales: the first, or the second. An operand of its own, where a permuted copy takes an instruction.
template <int HALF>
__device__ __forceinline__ uint32_t multiply_by(uint32_t a, uint32_t scales) {
    uint32_t c;
    if constexpr (HALF == 0) {
        asm("{.reg .b16 low, high;\n.reg .b32 twice;\nmov.b32 {low, high}, %2;\nmov.b32 twice, {low, low};\n"
            "mul.rn.bf16x2 %0, %1, twice;}"
            : "=r"(c)
            : "r"(a), "r"(scales));
    } else {
        asm("{.reg .b16 low, high;\n.reg .b32 twice;\nmov.b32 {low, high}, %2;\nmov.b32 twice, {high, high};\n"
            "mul.rn.bf16x2 %0, %1, twice;}"
            : "=r"(c)
            : "r"(a), "r"(scales));
    }
    return c;
}

// Codes as a thread finds them, eight in a word: of four pairs the first codes in the lower half, the second in the upper. Of pair 0
// sign and size stand where bf16 has them, bits 15 and 8 to 6 of each half; pairs 1 and 2 lie so too, the word turned left by three
// and by six. Pair 3 has the bits that are left: 1 the sign, 0, 4 and 3 the size. One product moves them, 14, 8 and 3 up: what
// else it moves does not meet them. So eight instructions make eight codes, where codes side by side take sixteen.
template <int PAIR>
__device__ __forceinline__ uint32_t tiny(uint32_t codes) {
    constexpr uint32_t HELD = 0x81c081c0u, LEFT = 0x001b001bu, UP = 1u << 14 | 1u << 8 | 1u << 3;
    if constexpr (PAIR == 0) return codes & HELD;
    if constexpr (PAIR == 3) return (codes & LEFT) * UP & HELD;
    return __funnelshift_r(codes, codes, 3 * PAIR) & HELD;
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

}  // namespace nvfp4
