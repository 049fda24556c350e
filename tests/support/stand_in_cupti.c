/* A stand-in for CUPTI and the GPU under it: the activity API as cupti_activity.h has it, and functions by which a program makes calls,
   kernels, copies and memsets whose lengths it states. Records are laid out as cupti_layout.c finds them in CUPTI's headers, and as long
   as those of 13.0. Variables ask for what goes wrong:
     STAND_IN_OTHER=NAME  another client has subscribed     STAND_IN_DROP=N   the first N kernels are dropped
     STAND_IN_CLOCK=NS    CUPTI's clock is off by so much   STAND_IN_OLD=1    CUPTI 11.8
     STAND_IN_KILL=N      the process is killed at its Nth call into CUPTI or out of it
     STAND_IN_REFUSES=N   cuptiActivityEnable fails with this code
     STAND_IN_EMPTY=1     a buffer without a record never comes back
     STAND_IN_NAMELESS=1  it fails for devices and contexts alone
     STAND_IN_NODELESS=1  it tells of no node of a graph
     STAND_IN_ASKED=NAME  what the call that only asks is called */
#define _GNU_SOURCE
#include "cupti_layout.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { KERNEL_SIZE = 216, COPY_SIZE = 96, PEER_SIZE = 96, SET_SIZE = 88, CALL_SIZE = 40, DEVICE_SIZE = 184, CONTEXT_SIZE = 32 };
enum { NO_MORE = 12, STREAMS = 32 };

typedef struct buffer {
    uint8_t *bytes;
    size_t size, used;
    struct buffer *next;
} buffer_t;

static cupti_request_t request;
static cupti_complete_t complete;
static cupti_clock_t given_clock;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static buffer_t gpu, *of_threads;
static _Thread_local buffer_t *mine;
static int enabled[64], known, silent[512];
static void (*told)(void *, int, uint32_t, const void *);
static uint64_t busy_until[STREAMS];
static uint32_t correlations;
static uintptr_t graph_nodes;
static size_t dropped;
static long moments;

static long asked_for(const char *name) { return getenv(name) ? atol(getenv(name)) : 0; }
static void moment(void) {
    long wanted = asked_for("STAND_IN_KILL");
    if (wanted && __atomic_add_fetch(&moments, 1, __ATOMIC_RELAXED) == wanted)
        raise(SIGKILL);
}
static uint64_t time_now(void) {
    struct timespec at;
    moment();
    if (given_clock)
        return given_clock();
    clock_gettime(CLOCK_REALTIME, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static size_t size_of(uint32_t kind) {
    switch (kind) {
    case K_CONCURRENT_KERNEL: return KERNEL_SIZE;
    case K_MEMCPY: return COPY_SIZE;
    case K_MEMCPY2: return PEER_SIZE;
    case K_MEMSET: return SET_SIZE;
    case K_DRIVER:
    case K_RUNTIME: return CALL_SIZE;
    case K_DEVICE: return DEVICE_SIZE;
    default: return CONTEXT_SIZE;
    }
}

static void deliver(buffer_t *buffer) {
    if (!buffer->bytes)
        return;
    moment();
    complete(NULL, 0, buffer->bytes, buffer->size, buffer->used);
    buffer->bytes = NULL;
    moment();
}

/* With the lock held, as CUPTI holds one while it calls back. */
static void put(buffer_t *buffer, const void *record, size_t size) {
    uint32_t kind = *(const uint32_t *)record;
    size_t most, whole = size_of(kind);
    if (!enabled[kind] || !request)
        return;
    if (buffer->bytes && buffer->used + whole > buffer->size)
        deliver(buffer);
    if (!buffer->bytes) {
        moment();
        buffer->used = 0;
        request(&buffer->bytes, &buffer->size, &most);
    }
    if (!buffer->bytes || buffer->size < whole) {
        dropped++;
        return;
    }
    memset(buffer->bytes + buffer->used, 0xab, whole); /* what nobody may read */
    memcpy(buffer->bytes + buffer->used, record, size);
    buffer->used += whole;
}

#define EXPORT __attribute__((visibility("default")))
EXPORT int cuptiGetVersion(uint32_t *version) { return *version = asked_for("STAND_IN_OLD") ? 18 : 130001, 0; }
EXPORT int cuptiGetResultString(int code, const char **text) {
    return *text = code == 35 ? "CUPTI_ERROR_INSUFFICIENT_PRIVILEGES" : "CUPTI_ERROR_UNKNOWN", 0;
}
EXPORT int cuptiSubscribe_v2(void **handle, void *callback, void *data, cupti_subscriber_t *given) {
    const char *other = getenv("STAND_IN_OTHER");
    *handle = callback, told = callback, (void)data;
    if (other)
        snprintf(given->other, given->other_size, "%s", other);
    return other ? OTHER_SUBSCRIBER : 0;
}
EXPORT int cuptiSubscribe(void **handle, void *callback, void *data) { return cuptiSubscribe_v2(handle, callback, data, NULL); }
EXPORT int cuptiEnableCallback(uint32_t enable, void *subscriber, int domain, uint32_t cbid) {
    return !enable || !subscriber || domain != RESOURCE_DOMAIN || (cbid != NODE_MADE && cbid != NODE_CLONED);
}
EXPORT int cuptiGetGraphNodeId(void *node, uint64_t *id) { return *id = (uint64_t)(uintptr_t)node, 0; }
EXPORT int cuptiActivityEnableDriverApi(uint32_t cbid, uint8_t enable) { return (void)cbid, !!enable; }
EXPORT int cuptiActivityEnableRuntimeApi(uint32_t cbid, uint8_t enable) { return silent[cbid] = !enable, 0; }
EXPORT int cuptiSetThreadIdType(int type) { return type != SYSTEM_THREADS; }
EXPORT int cuptiActivityRegisterTimestampCallback(cupti_clock_t clock) { return given_clock = clock, 0; }
EXPORT int cuptiActivityRegisterCallbacks(cupti_request_t a, cupti_complete_t b) { return request = a, complete = b, 0; }
EXPORT int cuptiActivityDisable(int kind) { return moment(), enabled[kind] = 0; }
EXPORT int cuptiGetTimestamp(uint64_t *at) { return *at = time_now() + (uint64_t)asked_for("STAND_IN_CLOCK"), 0; }
EXPORT int cuptiActivityEnable(int kind) {
    if (asked_for("STAND_IN_REFUSES"))
        return (int)asked_for("STAND_IN_REFUSES");
    if (asked_for("STAND_IN_NAMELESS") && (kind == K_DEVICE || kind == K_CONTEXT))
        return 15;
    moment();
    enabled[kind] = 1;
    return 0;
}
EXPORT int cuptiActivityGetNumDroppedRecords(void *context, uint32_t stream, size_t *count) {
    (void)context, (void)stream;
    *count = dropped;
    return dropped = 0;
}
EXPORT int cuptiActivityGetNextRecord(uint8_t *bytes, size_t valid, void **record) {
    uint8_t *next = *record ? (uint8_t *)*record + size_of(*(uint32_t *)*record) : bytes;
    moment();
    if (next >= bytes + valid)
        return NO_MORE;
    *record = next;
    return 0;
}
EXPORT int cuptiActivityFlushAll(uint32_t flag) {
    uint8_t *empty;
    size_t size, most;
    (void)flag;
    pthread_mutex_lock(&lock);
    if (asked_for("STAND_IN_EMPTY") && request)
        request(&empty, &size, &most);
    deliver(&gpu);
    for (buffer_t *one = of_threads; one; one = one->next)
        deliver(one);
    pthread_mutex_unlock(&lock);
    return 0;
}
enum { LAUNCH = 211, COPY = 41, SET = 51, GRAPH = 311, WAIT = 165, DRIVER_LAUNCH = 307, BEGIN = 317, FINISH = 319, ASK = 17 };
EXPORT int cuptiGetCallbackName(int domain, uint32_t cbid, const char **name) {
    *name = domain == DRIVER_DOMAIN ? "cuLaunchKernel"
            : cbid == LAUNCH        ? "cudaLaunchKernel_v7000"
            : cbid == COPY          ? "cudaMemcpyAsync_v3020"
            : cbid == SET           ? "cudaMemsetAsync_v3020"
            : cbid == GRAPH         ? "cudaGraphLaunch_v10000"
            : cbid == BEGIN         ? "cudaStreamBeginCapture_v10000"
            : cbid == ASK           ? getenv("STAND_IN_ASKED") ? getenv("STAND_IN_ASKED") : "cudaGetDevice_v3020"
            : cbid == FINISH        ? "cudaStreamEndCapture_v10000"
                                    : "cudaDeviceSynchronize_v3020";
    return 0;
}

/* What a program does with the GPU. */
static void call(uint32_t cbid, uint32_t correlation, uint64_t start) {
    cupti_call_t record = {K_RUNTIME, cbid, start, time_now(), (uint32_t)getpid(), (uint32_t)syscall(SYS_gettid), correlation, 0};
    if (!mine) {
        mine = calloc(1, sizeof *mine);
        mine->next = of_threads, of_threads = mine;
    }
    if (cbid == LAUNCH) { /* the driver's call under it shares its correlation id */
        cupti_call_t under = record;
        under.kind = K_DRIVER, under.cbid = DRIVER_LAUNCH;
        put(mine, &under, sizeof under);
    }
    if (!silent[cbid])
        put(mine, &record, sizeof record);
}

static uint64_t placed(uint32_t stream, uint64_t start, uint64_t ns) {
    uint64_t from = start > busy_until[stream] ? start : busy_until[stream];
    busy_until[stream] = from + ns;
    return from;
}

static void kernel(uint32_t stream, const char *name, uint64_t ns, uint32_t correlation, uint64_t node, uint64_t after) {
    uint64_t from = placed(stream, after, ns);
    cupti_kernel_t record = {.kind = K_CONCURRENT_KERNEL, .registers = 32, .start = from, .end = from + ns, .context = 1, .stream = stream,
        .grid = {132, 2, 1}, .block = {256, 1, 1}, .static_shared = 48, .dynamic_shared = 1024, .correlation = correlation,
        .grid_id = correlation, .name = name, .launch = 1, .graph_node = node};
    if (asked_for("STAND_IN_DROP") > (long)correlation)
        dropped++;
    else
        put(&gpu, &record, sizeof record);
}

static void know_the_gpu(void) {
    cupti_device_t device = {.kind = K_DEVICE, .bandwidth = 4814304000u, .memory = 150109880320u, .clock_khz = 1980000, .multiprocessors = 132,
        .major = 9, .id = 0, .uuid = {0x2a, 0x35, 0x04, 0x4b, 0x9b, 0xfa, 0x8d, 0xfe, 0xae, 0x84, 0x2f, 0xe9, 0x1d, 0xc0, 0x96, 0x9e},
        .name = "Stand-in GPU"};
    cupti_context_t context = {K_CONTEXT, 1, 0, 1, 7};
    if (known++)
        return;
    put(&gpu, &device, sizeof device);
    put(&gpu, &context, sizeof context);
}

static uint64_t begin(void) {
    pthread_mutex_lock(&lock);
    know_the_gpu();
    return time_now();
}

EXPORT void gpu_launch(uint32_t stream, const char *name, uint64_t ns) {
    uint64_t start = begin();
    uint32_t id = ++correlations;
    call(LAUNCH, id, start);
    kernel(stream, name, ns, id, 0, start + 5000);
    pthread_mutex_unlock(&lock);
}
EXPORT void gpu_graph(uint32_t stream, const char *name, uint64_t ns, int nodes) {
    uint64_t start = begin();
    uint32_t id = ++correlations;
    call(GRAPH, id, start);
    for (int i = 0; i < nodes; i++)
        kernel(stream, name, ns, id, (uint64_t)5 << 32 | (uint64_t)(i + 1), start + 5000);
    pthread_mutex_unlock(&lock);
}
static void tell_of_node(uint32_t cbid, uintptr_t node, uintptr_t original) {
    cupti_graph_t graph = {.node = (void *)node, .original = (void *)original};
    cupti_resource_t data = {.graph = &graph};
    if (told && !asked_for("STAND_IN_NODELESS"))
        told(NULL, RESOURCE_DOMAIN, cbid, &data);
}
EXPORT void gpu_begin_capture(void) {
    uint64_t start = begin();
    call(BEGIN, ++correlations, start);
    pthread_mutex_unlock(&lock);
}
/* Launches under stream capture run nothing: each makes a node. */
EXPORT void gpu_captured(int launches) {
    begin();
    for (int i = 0; i < launches; i++) {
        uint64_t start = time_now();
        tell_of_node(NODE_MADE, ++graph_nodes, 0);
        call(LAUNCH, ++correlations, start);
    }
    pthread_mutex_unlock(&lock);
}
EXPORT void gpu_end_capture(void) {
    uint64_t start = begin();
    for (uintptr_t node = graph_nodes; node; node--)
        tell_of_node(NODE_CLONED, node + 1000, node);
    graph_nodes = 0;
    call(FINISH, ++correlations, start);
    pthread_mutex_unlock(&lock);
}
EXPORT void gpu_asked(int times) {
    begin();
    for (int i = 0; i < times; i++)
        call(ASK, ++correlations, time_now());
    pthread_mutex_unlock(&lock);
}
EXPORT void gpu_copy(uint32_t stream, uint8_t kind, uint8_t from, uint8_t to, uint64_t bytes, uint64_t ns) {
    uint64_t start = begin(), at = placed(stream, start + 5000, ns);
    uint32_t id = ++correlations;
    call(COPY, id, start);
    if (kind == 10) {
        cupti_peer_copy_t record = {.kind = K_MEMCPY2, .copy = kind, .from = from, .to = to, .bytes = bytes, .start = at, .end = at + ns,
            .context = 1, .stream = stream, .to_device = 1, .to_context = 2, .from_context = 1, .correlation = id};
        put(&gpu, &record, sizeof record);
    } else {
        cupti_copy_t record = {.kind = K_MEMCPY, .copy = kind, .from = from, .to = to, .bytes = bytes, .start = at, .end = at + ns,
            .context = 1, .stream = stream, .correlation = id, .copies = 1};
        put(&gpu, &record, sizeof record);
    }
    pthread_mutex_unlock(&lock);
}
EXPORT void gpu_set(uint32_t stream, uint64_t bytes, uint64_t ns) {
    uint64_t start = begin(), at = placed(stream, start + 5000, ns);
    uint32_t id = ++correlations;
    call(SET, id, start);
    cupti_memset_t record = {.kind = K_MEMSET, .value = 255, .bytes = bytes, .start = at, .end = at + ns, .context = 1, .stream = stream,
        .correlation = id, .memory = 3};
    put(&gpu, &record, sizeof record);
    pthread_mutex_unlock(&lock);
}
/* Waits, in truth, until the last stream is done. */
EXPORT void gpu_wait(void) {
    uint64_t start = begin(), last = 0, at;
    for (int i = 0; i < STREAMS; i++)
        last = busy_until[i] > last ? busy_until[i] : last;
    do
        at = time_now();
    while (at < last);
    call(WAIT, ++correlations, start);
    pthread_mutex_unlock(&lock);
}
EXPORT void gpu_forked(void) {
    pthread_mutex_init(&lock, NULL);
    memset(&gpu, 0, sizeof gpu);
    of_threads = mine = NULL;
    known = 0;
    request = NULL;
}
