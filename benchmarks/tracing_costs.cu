// What tracing costs a launch, a node of a graph and a wait: the same work bare and under each tracer.
//
//     nvcc -O2 -arch=sm_90 -o tracing_costs benchmarks/tracing_costs.cu
//     ./tracing_costs
//     aisp-prof trace record --tracer nsys -o nsys.sqlite -- ./tracing_costs
//     aisp-prof trace record --tracer cupti -o cupti.sqlite -- ./tracing_costs
//
// A line each: the work, its operations, and of 40 iterations after 8 the quartiles of the time until the GPU has ended and the median of
// the time within the calls that launch, us. No NVTX, no Python: what a line has more than bare is the tracer's.
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#define CHECK(call)                                                            \
    do {                                                                       \
        const cudaError_t error_ = (call);                                     \
        if (error_ != cudaSuccess) {                                           \
            std::fprintf(stderr, "%s: %s\n", #call, cudaGetErrorString(error_)); \
            std::exit(3);                                                      \
        }                                                                      \
    } while (0)

constexpr int kStreams = 8, kIterations = 40, kWarmups = 8;
static cudaStream_t streams[kStreams];
static cudaEvent_t forked, joined[kStreams];

__global__ void empty(int) {}

__global__ void wait_for(long ns) {
    uint64_t began, now;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(began));
    do asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
    while (static_cast<long>(now - began) < ns);
}

static double now_us() {
    timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1e6 + at.tv_nsec * 1e-3;
}

// A decode step of ch11:stream_ordered_kv_cache in small: 64 times a short and a long kernel, on eight streams.
static void branches() {
    CHECK(cudaEventRecord(forked, streams[0]));
    for (int i = 1; i < kStreams; i++) CHECK(cudaStreamWaitEvent(streams[i], forked, 0));
    for (int pair = 0; pair < 64; pair++) {
        empty<<<1, 32, 0, streams[pair % kStreams]>>>(0);
        wait_for<<<1, 32, 0, streams[pair % kStreams]>>>(110000);
    }
    for (int i = 1; i < kStreams; i++) {
        CHECK(cudaEventRecord(joined[i], streams[i]));
        CHECK(cudaStreamWaitEvent(streams[0], joined[i], 0));
    }
}

static void row(int launches) {
    for (int i = 0; i < launches; i++) empty<<<1, 32, 0, streams[0]>>>(0);
}

template <class Work>
static cudaGraphExec_t captured(Work work) {
    cudaGraph_t graph;
    cudaGraphExec_t executable;
    CHECK(cudaStreamBeginCapture(streams[0], cudaStreamCaptureModeRelaxed));
    work();
    CHECK(cudaStreamEndCapture(streams[0], &graph));
    CHECK(cudaGraphInstantiate(&executable, graph, 0));
    return executable;
}

template <class Work>
static double timed(Work work) {
    const double began = now_us();
    work();
    return now_us() - began;
}

// `launches` returns the time that it spent in calls that launch.
template <class Launches>
static void measure(const char* name, int operations, Launches launches) {
    double whole[kIterations], calls[kIterations];
    for (int i = -kWarmups; i < kIterations; i++) {
        CHECK(cudaDeviceSynchronize());
        const double began = now_us(), within = launches();
        CHECK(cudaDeviceSynchronize());
        if (i >= 0) whole[i] = now_us() - began, calls[i] = within;
    }
    std::sort(whole, whole + kIterations);
    std::sort(calls, calls + kIterations);
    std::printf("%-14s %5d  %8.1f %8.1f %8.1f  %8.1f\n", name, operations, whole[kIterations / 4], whole[kIterations / 2],
                whole[3 * kIterations / 4], calls[kIterations / 2]);
}

int main() {
    for (auto& one : streams) CHECK(cudaStreamCreateWithFlags(&one, cudaStreamNonBlocking));
    CHECK(cudaEventCreateWithFlags(&forked, cudaEventDisableTiming));
    for (auto& one : joined) CHECK(cudaEventCreateWithFlags(&one, cudaEventDisableTiming));
    const cudaGraphExec_t wide = captured(branches), chain = captured([] { row(500); });
    measure("launches", 1000, [] { return timed([] { row(1000); }); });
    measure("chain graph", 500, [&] { return timed([&] { CHECK(cudaGraphLaunch(chain, streams[0])); }); });
    measure("wide graph", 128, [&] { return timed([&] { CHECK(cudaGraphLaunch(wide, streams[0])); }); });
    measure("wide streams", 128, [] { return timed(branches); });
    measure("waits", 64, [] {
        double calls = 0;
        for (int i = 0; i < 64; i++) {
            calls += timed([] {
                row(1);
                wait_for<<<1, 32, 0, streams[0]>>>(20000);
            });
            CHECK(cudaDeviceSynchronize());
        }
        return calls;
    });
    measure("long kernels", 59, [] {
        return timed([] {
            for (int i = 0; i < 59; i++) wait_for<<<1, 32, 0, streams[0]>>>(95000);
        });
    });
}
