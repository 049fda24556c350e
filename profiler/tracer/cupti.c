#define _GNU_SOURCE
#include "cupti_layout.h"
#include "tracer.h"
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* CUDA's side: the driver loads the library that CUDA_INJECTION64_PATH names when a process first calls cuInit. CUPTI fills buffers and
   gives them back on a thread of its own; their records become rows at once, because the names that they point to are CUPTI's. */
#define CUPTI_FILE "AISP_CUPTI"
#define BUFFER (128 << 10) /* every thread gets its own and touches it for the first time: 8 MiB made a step of 5 ms half as slow again */
#define SPARE 64
#define BATCH 512
#define NAMES 4096
#define NOT_STATED 0xffffffffu

static struct {
    int (*GetVersion)(uint32_t *);
    int (*GetResultString)(int, const char **);
    int (*Subscribe)(void **, void *, void *);
    int (*SetThreadIdType)(int);
    int (*ActivityRegisterTimestampCallback)(cupti_clock_t);
    int (*ActivityRegisterCallbacks)(cupti_request_t, cupti_complete_t);
    int (*ActivityEnable)(int);
    int (*ActivityDisable)(int);
    int (*ActivityFlushAll)(uint32_t);
    int (*ActivityGetNextRecord)(uint8_t *, size_t, void **);
    int (*ActivityGetNumDroppedRecords)(void *, uint32_t, size_t *);
    int (*GetCallbackName)(int, uint32_t, const char **);
    int (*GetTimestamp)(uint64_t *);
    int (*EnableCallback)(uint32_t, void *, int, uint32_t);
    int (*GetGraphNodeId)(void *, uint64_t *);
    /* The next three are not in every CUPTI. */
    int (*Subscribe_v2)(void **, void *, void *, cupti_subscriber_t *);
    int (*ActivityEnableDriverApi)(uint32_t, uint8_t);
    int (*ActivityEnableRuntimeApi)(uint32_t, uint8_t);
} cupti;
#define FUNCTION(name) {"cupti" #name, (void **)&cupti.name}
static const struct {
    const char *name;
    void **at;
} FUNCTIONS[] = {FUNCTION(GetVersion),      FUNCTION(GetResultString),
                 FUNCTION(Subscribe),       FUNCTION(SetThreadIdType),
                 FUNCTION(ActivityEnable),  FUNCTION(ActivityRegisterTimestampCallback),
                 FUNCTION(ActivityDisable), FUNCTION(ActivityRegisterCallbacks),
                 FUNCTION(GetTimestamp),    FUNCTION(ActivityFlushAll),
                 FUNCTION(GetCallbackName), FUNCTION(ActivityGetNextRecord),
                 FUNCTION(EnableCallback),  FUNCTION(ActivityGetNumDroppedRecords),
                 FUNCTION(GetGraphNodeId),  FUNCTION(Subscribe_v2),
                 FUNCTION(ActivityEnableDriverApi), FUNCTION(ActivityEnableRuntimeApi)};
enum { OPTIONAL = 3 }; /* of the last ones */
/* Devices and contexts are told of when CUDA begins; without them a trace lacks the GPU's name and UUID, and nothing else. */
static const int KINDS_TRACED[] = {K_DEVICE, K_CONTEXT, K_DRIVER, K_RUNTIME, K_CONCURRENT_KERNEL, K_MEMCPY, K_MEMCPY2, K_MEMSET};
static int needed(int kind) { return kind != K_DEVICE && kind != K_CONTEXT; }
/* Calls that only ask, as Nsight Systems leaves them out too: of a step of PyTorch's they are three in four, and a record costs time.
   Where CUPTI cannot leave them out they are recorded. */
static const char *const ONLY_ASKING[] = {
    "cuCtxGetCurrent", "cuCtxGetDevice", "cuCtxGetLimit", "cuDeviceGet", "cuDeviceGetAttribute", "cuDeviceGetCount", "cuDeviceGetName",
    "cuDeviceGetUuid", "cuDevicePrimaryCtxGetState", "cuDeviceTotalMem", "cuDriverGetVersion", "cuFuncGetAttribute",
    "cuFuncSetAttribute", "cuFuncSetCacheConfig", "cuGetErrorString", "cuMemGetAddressRange", "cuModuleGetFunction",
    "cuOccupancyMaxActiveBlocksPerMultiprocessor", "cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags", "cuPointerGetAttribute",
    "cuStreamGetCtx", "cudaDeviceCanAccessPeer", "cudaDeviceGetAttribute", "cudaDeviceGetPCIBusId", "cudaDeviceGetStreamPriorityRange",
    "cudaDriverGetVersion", "cudaEventElapsedTime", "cudaFuncGetAttributes", "cudaFuncSetAttribute", "cudaGetDevice",
    "cudaGetDeviceCount", "cudaGetErrorString", "cudaGetLastError", "cudaGetSymbolAddress", "cudaHostGetDevicePointer",
    "cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags", "cudaPeekAtLastError", "cudaPointerGetAttributes",
    "cudaRuntimeGetVersion", "cudaSetDevice", "cudaStreamGetPriority"};
#define COUNT(array) (sizeof(array) / sizeof *(array))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;   /* of rows, names and counts of records */
static pthread_mutex_t buffers = PTHREAD_MUTEX_INITIALIZER; /* of the buffers that CUPTI is not using */
static pthread_mutex_t nodes = PTHREAD_MUTEX_INITIALIZER;   /* of the nodes of graphs */
static void *subscriber;
static uint8_t *spare[SPARE];
static size_t spare_count;
static int running;
static uint32_t version; /* CUPTI_API_VERSION of what is loaded */
static struct {
    kernel_row_t kernel[BATCH];
    copy_row_t copy[BATCH];
    memset_row_t set[BATCH];
    call_row_t call[BATCH];
    size_t kernels, copies, sets, calls;
} batch;
static struct {
    const char *pointer;
    text_t *text;
} names[NAMES]; /* of kernels, by the address that CUPTI has them at */
static text_t *others, *functions[3][NAMES];

void cupti_locks(int locked) {
    (locked ? pthread_mutex_lock : pthread_mutex_unlock)(&lock);
    (locked ? pthread_mutex_lock : pthread_mutex_unlock)(&buffers);
    (locked ? pthread_mutex_lock : pthread_mutex_unlock)(&nodes);
}

/* CUPTI does not live on in a forked child, nor does CUDA. */
void cupti_forked(void) {
    pthread_mutex_init(&lock, NULL);
    pthread_mutex_init(&buffers, NULL);
    pthread_mutex_init(&nodes, NULL);
    running = 0;
    spare_count = 0;
    batch.kernels = batch.copies = batch.sets = batch.calls = 0;
}

static void write_batch(void) {
    if (batch.kernels)
        file_writes(KERNEL, sizeof *batch.kernel, batch.kernel, batch.kernels, NULL, 0);
    if (batch.copies)
        file_writes(COPY, sizeof *batch.copy, batch.copy, batch.copies, NULL, 0);
    if (batch.sets)
        file_writes(MEMSET, sizeof *batch.set, batch.set, batch.sets, NULL, 0);
    if (batch.calls)
        file_writes(CALL, sizeof *batch.call, batch.call, batch.calls, NULL, 0);
    batch.kernels = batch.copies = batch.sets = batch.calls = 0;
}

static uint32_t other_name(const char *name) {
    for (text_t *one = others; one; one = one->next)
        if (!strcmp(one->bytes, name))
            return file_text(one);
    text_t *made = text_made(name, strlen(name));
    made->next = others;
    others = made;
    return file_text(made);
}

/* The address finds a kernel's name, the bytes are what is believed: one module may be loaded where another was. */
static uint32_t kernel_name(const char *name) {
    if (!name)
        return 0;
    size_t at = ((uintptr_t)name >> 3) * 0x9e3779b97f4a7c15u >> 52;
    if (names[at].pointer != name || strcmp(names[at].text->bytes, name)) {
        names[at].pointer = name;
        names[at].text = NULL;
        uint32_t id = other_name(name);
        for (text_t *one = others; one; one = one->next)
            if (one->id == id)
                names[at].text = one;
    }
    return file_text(names[at].text);
}

static uint32_t function_name(int domain, uint32_t cbid) {
    const char *name = NULL;
    if (cbid < NAMES && functions[domain][cbid])
        return file_text(functions[domain][cbid]);
    cupti.GetCallbackName(domain, cbid, &name);
    text_t *made = text_made(name ? name : "?", strlen(name ? name : "?"));
    if (cbid < NAMES)
        functions[domain][cbid] = made;
    return file_text(made);
}

static void keep_kernel(const cupti_kernel_t *r) {
    batch.kernel[batch.kernels++] = (kernel_row_t){
        r->start, r->end, r->graph_node, (uint64_t)r->grid_id, r->device, r->context, r->stream, r->correlation, kernel_name(r->name),
        (uint32_t)r->grid[0], (uint32_t)r->grid[1], (uint32_t)r->grid[2], (uint32_t)r->block[0], (uint32_t)r->block[1],
        (uint32_t)r->block[2], (uint32_t)r->static_shared, (uint32_t)r->dynamic_shared, r->local, r->registers, r->launch};
}

static void keep_copy(const cupti_copy_t *r) {
    uint64_t copies = version >= COPY_COUNTS_SINCE ? r->copies : 1;
    batch.copy[batch.copies++] = (copy_row_t){r->start, r->end, r->bytes, r->graph_node, copies, r->device, r->context, r->stream,
        r->correlation, NOT_STATED, NOT_STATED, NOT_STATED, NOT_STATED, r->copy, r->from, r->to, 0};
}

static void keep_peer_copy(const cupti_peer_copy_t *r) {
    batch.copy[batch.copies++] = (copy_row_t){r->start, r->end, r->bytes, r->graph_node, 1, r->device, r->context, r->stream,
        r->correlation, r->from_device, r->from_context, r->to_device, r->to_context, r->copy, r->from, r->to, 1};
}

static void keep_memset(const cupti_memset_t *r) {
    batch.set[batch.sets++] = (memset_row_t){r->start, r->end, r->bytes, r->graph_node, r->device, r->context, r->stream,
                                             r->correlation, r->value, 0};
}

static void keep_call(const cupti_call_t *r) {
    int domain = r->kind == K_DRIVER ? DRIVER_DOMAIN : RUNTIME_DOMAIN;
    batch.call[batch.calls++] = (call_row_t){r->start, r->end, r->thread, r->correlation, function_name(domain, r->cbid),
                                             domain == DRIVER_DOMAIN, (int32_t)r->result, 0};
}

static void keep_device(const cupti_device_t *r) {
    device_row_t row = {.memory = r->memory, .bandwidth = r->bandwidth, .id = r->id, .multiprocessors = r->multiprocessors,
                        .major = r->major, .minor = r->minor, .clock_khz = r->clock_khz, .name = r->name ? other_name(r->name) : 0};
    memcpy(row.uuid, r->uuid, sizeof row.uuid);
    file_writes(DEVICE, sizeof row, &row, 1, NULL, 0);
}

static void keep_context(const cupti_context_t *r) {
    context_row_t row = {r->context, r->device, r->null_stream, 0};
    file_writes(CONTEXT, sizeof row, &row, 1, NULL, 0);
}

/* A kind that was not asked for is counted and becomes no row, so that the two counts differ. */
static void keep(const void *record) {
    switch (*(const uint32_t *)record) {
    case K_KERNEL:
    case K_CONCURRENT_KERNEL: keep_kernel(record); break;
    case K_MEMCPY: keep_copy(record); break;
    case K_MEMCPY2: keep_peer_copy(record); break;
    case K_MEMSET: keep_memset(record); break;
    case K_DRIVER:
    case K_RUNTIME: keep_call(record); break;
    case K_DEVICE: keep_device(record); break;
    case K_CONTEXT: keep_context(record); break;
    default: break;
    }
}

static void requested(uint8_t **buffer, size_t *size, size_t *most) {
    pthread_mutex_lock(&buffers);
    *buffer = spare_count ? spare[--spare_count] : NULL;
    counts.asked++;
    pthread_mutex_unlock(&buffers);
    if (!*buffer)
        *buffer = aligned_alloc(8, BUFFER);
    *size = *buffer ? BUFFER : 0;
    *most = 0;
}

static void give_back(uint8_t *buffer) {
    pthread_mutex_lock(&buffers);
    counts.returned++;
    int full = spare_count == SPARE;
    if (!full)
        spare[spare_count++] = buffer;
    pthread_mutex_unlock(&buffers);
    if (full)
        free(buffer);
}

static void count_dropped(void *context, uint32_t stream) {
    size_t dropped = 0;
    if (!cupti.ActivityGetNumDroppedRecords(context, stream, &dropped))
        counts.dropped += dropped;
}

static void completed(void *context, uint32_t stream, uint8_t *buffer, size_t size, size_t valid) {
    (void)size;
    void *record = NULL;
    pthread_mutex_lock(&lock);
    while (buffer && valid && !cupti.ActivityGetNextRecord(buffer, valid, &record)) {
        counts.handed++;
        keep(record);
        if (batch.kernels == BATCH || batch.copies == BATCH || batch.sets == BATCH || batch.calls == BATCH)
            write_batch();
    }
    write_batch();
    count_dropped(context, stream);
    pthread_mutex_unlock(&lock);
    if (buffer)
        give_back(buffer);
}

/* By how much CUPTI's clock lies outside of two readings of ours around it: its records and NVTX's are on one base when it does not. */
static int64_t clock_off(void) {
    uint64_t theirs = 0, before = now();
    cupti.GetTimestamp(&theirs);
    uint64_t after = now();
    return theirs < before ? (int64_t)(theirs - before) : theirs > after ? (int64_t)(theirs - after) : 0;
}

void cupti_stop(void) {
    if (!running)
        return;
    running = 0;
    for (size_t i = 0; i < COUNT(KINDS_TRACED); i++)
        cupti.ActivityDisable(KINDS_TRACED[i]);
    uint64_t before = __atomic_load_n(&counts.returned, __ATOMIC_RELAXED);
    cupti.ActivityFlushAll(FORCED);
    int64_t off = clock_off();
    cupti_locks(1);
    count_dropped(NULL, 0);
    counts.at_end = counts.returned - before;
    if (llabs(off) > llabs(counts.clock_off))
        counts.clock_off = off;
    cupti_locks(0);
}

/* CUPTI may be in the process already: PyTorch is linked with it. Two copies of it would disturb each other. */
static int loaded_already(struct dl_phdr_info *info, size_t size, void *path) {
    (void)size;
    const char *slash = strrchr(info->dlpi_name, '/');
    if (strncmp(slash ? slash + 1 : info->dlpi_name, "libcupti.so", 11))
        return 0;
    *(const char **)path = info->dlpi_name;
    return 1;
}

static void *open_cupti(void) {
    const char *path = NULL, *given = getenv(CUPTI_FILE);
    dl_iterate_phdr(loaded_already, &path);
    const char *usual[] = {"libcupti.so.13", "libcupti.so.12", "libcupti.so"};
    const char *named = path ? path : given && *given ? given : NULL;
    void *library = named ? dlopen(named, RTLD_NOW | RTLD_LOCAL) : NULL;
    for (size_t i = 0; i < COUNT(usual) && !named && !library; i++)
        library = dlopen(usual[i], RTLD_NOW | RTLD_LOCAL);
    if (!library)
        refuse(named ? "the CUPTI that is named was not found, or cannot be loaded" : "CUPTI (libcupti.so.12 or .13) was not found");
    return library;
}

static void find_functions(void *library) {
    for (size_t i = 0; i < COUNT(FUNCTIONS); i++) {
        *FUNCTIONS[i].at = dlsym(library, FUNCTIONS[i].name);
        if (!*FUNCTIONS[i].at && i < COUNT(FUNCTIONS) - OPTIONAL)
            refuse("CUPTI is too old: 12.0 or later is needed");
    }
}

static void must(int code, const char *what) {
    const char *told = NULL;
    char why[512];
    if (!code)
        return;
    cupti.GetResultString(code, &told);
    snprintf(why, sizeof why, "%s: %s (CUPTI error %d)", what, told ? told : "?", code);
    refuse(why);
}

/* A launch that a stream captures makes a node, on whichever thread it is called: nothing else tells it from a launch that is lost. */
static void node_made(void *userdata, int domain, uint32_t cbid, const void *data) {
    const cupti_graph_t *graph = domain == RESOURCE_DOMAIN ? ((const cupti_resource_t *)data)->graph : NULL;
    node_row_t row = {.time = now(), .thread = thread_id()};
    (void)userdata;
    if (!graph || cupti.GetGraphNodeId(graph->node, &row.node))
        return;
    if (cbid == NODE_CLONED && cupti.GetGraphNodeId(graph->original, &row.original))
        row.original = 0;
    pthread_mutex_lock(&nodes);
    if (running) {
        counts.nodes++;
        file_writes(NODE, sizeof row, &row, 1, NULL, 0);
    }
    pthread_mutex_unlock(&nodes);
}

/* To subscribe is how clients of CUPTI keep out of each other's way: it fails where another one, Nsight or a debugger is there. */
static void subscribe(void) {
    char other[128] = "", why[256];
    cupti_subscriber_t given = {sizeof given, "aisp-prof", other, sizeof other};
    int code = cupti.Subscribe_v2 ? cupti.Subscribe_v2(&subscriber, (void *)node_made, NULL, &given)
                                  : cupti.Subscribe(&subscriber, (void *)node_made, NULL);
    if (code == OTHER_SUBSCRIBER) {
        other[sizeof other - 1] = 0;
        snprintf(why, sizeof why, "another client of CUPTI is attached%s%s", *other ? ": " : "", other);
        refuse(why);
    }
    must(code, "cuptiSubscribe");
    must(cupti.EnableCallback(1, subscriber, RESOURCE_DOMAIN, NODE_MADE), "cuptiEnableCallback");
    must(cupti.EnableCallback(1, subscriber, RESOURCE_DOMAIN, NODE_CLONED), "cuptiEnableCallback");
}

static int only_asks(const char *name) {
    for (size_t i = 0; i < COUNT(ONLY_ASKING); i++) {
        size_t length = strlen(ONLY_ASKING[i]);
        if (!strncmp(name, ONLY_ASKING[i], length) && (!name[length] || name[length] == '_'))
            return 1;
    }
    return 0;
}

static void leave_out(int domain, int (*enable)(uint32_t, uint8_t)) {
    for (uint32_t cbid = 1; enable && cbid < NAMES; cbid++) {
        const char *name = NULL;
        if (!cupti.GetCallbackName(domain, cbid, &name) && name && only_asks(name))
            enable(cbid, 0);
    }
}

__attribute__((visibility("default"))) int InitializeInjection(void) {
    if (running)
        return 1;
    nvtx_locks(1);
    int opened = !file_opens();
    nvtx_locks(0);
    if (!opened)
        return 1; /* the process goes on; that it is missing is told by `whole`, or by its file without an end */
    find_functions(open_cupti());
    must(cupti.GetVersion(&version), "cuptiGetVersion");
    if (version < OLDEST_CUPTI)
        refuse("CUPTI is too old: 12.0 or later is needed");
    started_row_t started = {version, 0};
    file_writes(STARTED, sizeof started, &started, 1, NULL, 0);
    subscribe();
    must(cupti.SetThreadIdType(SYSTEM_THREADS), "cuptiSetThreadIdType");
    must(cupti.ActivityRegisterTimestampCallback(now), "cuptiActivityRegisterTimestampCallback");
    must(cupti.ActivityRegisterCallbacks(requested, completed), "cuptiActivityRegisterCallbacks");
    for (size_t i = 0; i < COUNT(KINDS_TRACED); i++) {
        int code = cupti.ActivityEnable(KINDS_TRACED[i]);
        must(needed(KINDS_TRACED[i]) ? code : 0, "cuptiActivityEnable");
    }
    leave_out(DRIVER_DOMAIN, cupti.ActivityEnableDriverApi);
    leave_out(RUNTIME_DOMAIN, cupti.ActivityEnableRuntimeApi);
    counts.clock_off = clock_off();
    clients_watch(cupti.GetResultString, OTHER_SUBSCRIBER);
    running = 1;
    atexit(tracer_close); /* again: what is registered later runs earlier, and CUPTI registers its own when it is loaded */
    return 1;
}
