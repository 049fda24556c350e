// Runs a CUDA kernel's threads on the host: a fiber a thread, a block after another. Every barrier and shuffle hands on to the
// next thread, so all threads of a block reach it before one goes on; kernels whose warps part ways at a shuffle would differ.
#pragma once
#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(threads)
#define __shared__ static

struct Index { int x; };
inline Index threadIdx, blockIdx, blockDim;

namespace host {

struct Fiber { ucontext_t context; std::unique_ptr<char[]> stack; bool ended; };
constexpr size_t STACK = 64 << 10;
inline std::vector<Fiber> fibers;
inline ucontext_t scheduler;
inline int current;
inline float exchanged[1024];
inline std::function<void()> body;

inline void enter() {
    body();
    fibers[current].ended = true;
    swapcontext(&fibers[current].context, &scheduler);
}

inline void hand_on() { swapcontext(&fibers[current].context, &scheduler); }

inline void block(int threads) {
    fibers.resize(threads);
    for (Fiber& fiber : fibers) {
        if (!fiber.stack) fiber.stack = std::make_unique<char[]>(STACK);
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.get();
        fiber.context.uc_stack.ss_size = STACK;
        fiber.context.uc_link = nullptr;
        fiber.ended = false;
        makecontext(&fiber.context, enter, 0);
    }
    for (bool left = true; left;) {
        left = false;
        for (current = 0; current < threads; ++current) {
            if (fibers[current].ended) continue;
            threadIdx.x = current;
            swapcontext(&scheduler, &fibers[current].context);
            left = left || !fibers[current].ended;
        }
    }
}

inline void launch(int64_t grid, int threads, std::function<void()> kernel) {
    body = std::move(kernel);
    blockDim.x = threads;
    for (int64_t b = 0; b < grid; ++b) {
        blockIdx.x = int(b);
        block(threads);
    }
}

}  // namespace host

inline void __syncthreads() { host::hand_on(); }

inline float __shfl_xor_sync(unsigned, float own, int distance) {
    const int self = threadIdx.x;
    host::exchanged[self] = own;
    host::hand_on();
    const float other = host::exchanged[self ^ distance];
    host::hand_on();
    return other;
}

inline uint32_t __float_as_uint(float value) { uint32_t bits; std::memcpy(&bits, &value, 4); return bits; }
inline float __uint_as_float(uint32_t bits) { float value; std::memcpy(&value, &bits, 4); return value; }
inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }
