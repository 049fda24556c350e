/* What of CUPTI is used, without its headers: numbers, functions, and where the fields of its records lie. They are those of CUPTI 12.0
   and later, whose records only grow at their ends; tests/support/cupti_layout.c compares them with the headers that are there. */
#ifndef AISP_CUPTI_LAYOUT_H
#define AISP_CUPTI_LAYOUT_H
#include <stddef.h>
#include <stdint.h>

enum { OLDEST_CUPTI = 19, COPY_COUNTS_SINCE = 26 }; /* CUPTI_API_VERSION of 12.0 and 12.8 */
enum { OTHER_SUBSCRIBER = 39 };                     /* CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED */
enum { DRIVER_DOMAIN = 1, RUNTIME_DOMAIN = 2, RESOURCE_DOMAIN = 3, NODE_MADE = 13, NODE_CLONED = 20, SYSTEM_THREADS = 1, FORCED = 1 };
enum {
    K_MEMCPY = 1,
    K_MEMSET = 2,
    K_KERNEL = 3,
    K_DRIVER = 4,
    K_RUNTIME = 5,
    K_DEVICE = 8,
    K_CONTEXT = 9,
    K_CONCURRENT_KERNEL = 10,
    K_MEMCPY2 = 22
};

typedef struct {
    uint32_t kind;
    uint8_t cache, shared_config;
    uint16_t registers;
    uint32_t partitioned[2];
    uint64_t start, end, completed;
    uint32_t device, context, stream;
    int32_t grid[3], block[3], static_shared, dynamic_shared;
    uint32_t local, local_total, correlation;
    int64_t grid_id;
    const char *name;
    void *reserved;
    uint64_t queued, submitted;
    uint8_t launch;
    uint8_t unused[7];
    uint64_t graph_node;
} cupti_kernel_t;

typedef struct {
    uint32_t kind;
    uint8_t copy, from, to, flags;
    uint64_t bytes, start, end;
    uint32_t device, context, stream, correlation, runtime_correlation, unused;
    void *reserved;
    uint64_t graph_node;
    uint32_t graph, channel, channel_kind, unused2;
    uint64_t copies; /* since COPY_COUNTS_SINCE */
} cupti_copy_t;

typedef struct {
    uint32_t kind;
    uint8_t copy, from, to, flags;
    uint64_t bytes, start, end;
    uint32_t device, context, stream, from_device, from_context, to_device, to_context, correlation;
    void *reserved;
    uint64_t graph_node;
} cupti_peer_copy_t;

typedef struct {
    uint32_t kind, value;
    uint64_t bytes, start, end;
    uint32_t device, context, stream, correlation;
    uint16_t flags, memory;
    uint32_t unused;
    void *reserved;
    uint64_t graph_node;
} cupti_memset_t;

typedef struct {
    uint32_t kind, cbid;
    uint64_t start, end;
    uint32_t process, thread, correlation, result;
} cupti_call_t;

typedef struct {
    uint32_t kind, flags;
    uint64_t bandwidth, memory;
    uint32_t constant_memory, l2;
    uint32_t threads_per_warp, clock_khz, copy_engines, multiprocessors;
    uint32_t unused[14];
    uint32_t major, minor, id, ecc;
    uint8_t uuid[16];
    const char *name;
} cupti_device_t;

typedef struct {
    uint32_t kind, context, device;
    uint16_t api, null_stream;
} cupti_context_t;

typedef struct {
    void *graph, *original_graph, *node, *original;
} cupti_graph_t;

typedef struct {
    void *context, *stream;
    const cupti_graph_t *graph;
} cupti_resource_t;

typedef struct {
    size_t size;
    const char *name;
    char *other;
    size_t other_size;
} cupti_subscriber_t;

typedef void (*cupti_request_t)(uint8_t **buffer, size_t *size, size_t *records);
typedef void (*cupti_complete_t)(void *context, uint32_t stream, uint8_t *buffer, size_t size, size_t valid);
typedef uint64_t (*cupti_clock_t)(void);
#endif
