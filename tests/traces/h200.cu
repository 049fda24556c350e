// The program of h200-*.sqlite.xz, captured on an H200 with Nsight Systems 2025.3.1 and scrubbed by `aisp-prof scrub`:
//   nvcc -O2 -o h200 h200.cu
//   nsys profile -t cuda,nvtx -s none --cpuctxsw=none
//     unified-memory: --cuda-um-cpu-page-faults=true --cuda-um-gpu-page-faults=true ./h200 u
//     capture-range:  -c cudaProfilerApi --capture-range-end=stop ./h200 r
//     killed:         ./h200 k
// Its last range is never closed. h200-unified-memory.csv is what `nsys stats` of 2023.4 says of the unscrubbed export.
#include <cuda_profiler_api.h>
#include <nvtx3/nvToolsExt.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

__global__ void add(float *x, int n) {
    for (int i = threadIdx.x + blockIdx.x * 256; i < n; i += 256 * 64) x[i] += 1;
}

int main(int, char **arguments) {
    bool managed = strchr(arguments[1], 'u'), killed = strchr(arguments[1], 'k');
    int n = 1 << 22;
    float *shared, *device;
    cudaMallocManaged(&shared, n * 4);
    if (managed) for (int i = 0; i < n; i++) shared[i] = i;
    cudaMalloc(&device, n * 4);
    cudaStream_t stream;
    cudaStreamCreate(&stream);
    for (int i = 0; i < 60; i++) {
        if (i == 20) cudaProfilerStart();
        nvtxRangePushA("it");
        add<<<64, 256, 0, stream>>>(managed ? shared : device, n);
        cudaStreamSynchronize(stream);
        nvtxRangePop();
        if (managed && i % 10 == 0) shared[5] += 1;
        if (i == 40) cudaProfilerStop();
        usleep(20000);
    }
    nvtxRangePushA("open");
    add<<<64, 256, 0, stream>>>(device, n);
    cudaDeviceSynchronize();
    if (killed) raise(SIGKILL);
}
