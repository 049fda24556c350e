/* Compiled by a test against the headers of CUPTI that are there: what the tracer takes for a record's layout is what they say. */
#include <cuda.h>
#include <cupti.h>

#include "cupti_layout.h"

#define SAME(mine, field, theirs, other)                                                                               \
    _Static_assert(offsetof(mine, field) == offsetof(theirs, other) &&                                                 \
                       sizeof(((mine *)0)->field) == sizeof(((theirs *)0)->other),                                     \
                   #theirs "." #other)
#define NUMBER(mine, theirs) _Static_assert((int)(mine) == (int)(theirs), #theirs)

#if CUPTI_API_VERSION >= 130000
typedef CUpti_ActivityKernel10 kernel_t;
#else
typedef CUpti_ActivityKernel9 kernel_t;
#endif
typedef CUpti_ActivityMemcpy6 copy_t;
typedef CUpti_ActivityMemcpyPtoP4 peer_copy_t;
typedef CUpti_ActivityMemset4 memset_t;
typedef CUpti_ActivityDevice5 device_t;
typedef CUpti_ActivityContext3 context_t;

#define KERNEL_FIELD(mine, theirs) SAME(cupti_kernel_t, mine, kernel_t, theirs)
KERNEL_FIELD(kind, kind);
KERNEL_FIELD(registers, registersPerThread);
KERNEL_FIELD(start, start);
KERNEL_FIELD(end, end);
KERNEL_FIELD(device, deviceId);
KERNEL_FIELD(context, contextId);
KERNEL_FIELD(stream, streamId);
KERNEL_FIELD(grid[0], gridX);
KERNEL_FIELD(grid[2], gridZ);
KERNEL_FIELD(block[0], blockX);
KERNEL_FIELD(block[2], blockZ);
KERNEL_FIELD(static_shared, staticSharedMemory);
KERNEL_FIELD(dynamic_shared, dynamicSharedMemory);
KERNEL_FIELD(local, localMemoryPerThread);
KERNEL_FIELD(correlation, correlationId);
KERNEL_FIELD(grid_id, gridId);
KERNEL_FIELD(name, name);
KERNEL_FIELD(launch, launchType);
KERNEL_FIELD(graph_node, graphNodeId);

#define COPY_FIELD(mine, theirs) SAME(cupti_copy_t, mine, copy_t, theirs)
COPY_FIELD(kind, kind);
COPY_FIELD(copy, copyKind);
COPY_FIELD(from, srcKind);
COPY_FIELD(to, dstKind);
COPY_FIELD(bytes, bytes);
COPY_FIELD(start, start);
COPY_FIELD(end, end);
COPY_FIELD(device, deviceId);
COPY_FIELD(context, contextId);
COPY_FIELD(stream, streamId);
COPY_FIELD(correlation, correlationId);
COPY_FIELD(graph_node, graphNodeId);
COPY_FIELD(copies, copyCount);

#define PEER_FIELD(mine, theirs) SAME(cupti_peer_copy_t, mine, peer_copy_t, theirs)
PEER_FIELD(kind, kind);
PEER_FIELD(copy, copyKind);
PEER_FIELD(from, srcKind);
PEER_FIELD(to, dstKind);
PEER_FIELD(bytes, bytes);
PEER_FIELD(start, start);
PEER_FIELD(end, end);
PEER_FIELD(device, deviceId);
PEER_FIELD(context, contextId);
PEER_FIELD(stream, streamId);
PEER_FIELD(from_device, srcDeviceId);
PEER_FIELD(from_context, srcContextId);
PEER_FIELD(to_device, dstDeviceId);
PEER_FIELD(to_context, dstContextId);
PEER_FIELD(correlation, correlationId);
PEER_FIELD(graph_node, graphNodeId);

#define SET_FIELD(mine, theirs) SAME(cupti_memset_t, mine, memset_t, theirs)
SET_FIELD(kind, kind);
SET_FIELD(value, value);
SET_FIELD(bytes, bytes);
SET_FIELD(start, start);
SET_FIELD(end, end);
SET_FIELD(device, deviceId);
SET_FIELD(context, contextId);
SET_FIELD(stream, streamId);
SET_FIELD(correlation, correlationId);
SET_FIELD(graph_node, graphNodeId);

#define CALL_FIELD(mine, theirs) SAME(cupti_call_t, mine, CUpti_ActivityAPI, theirs)
CALL_FIELD(kind, kind);
CALL_FIELD(cbid, cbid);
CALL_FIELD(start, start);
CALL_FIELD(end, end);
CALL_FIELD(process, processId);
CALL_FIELD(thread, threadId);
CALL_FIELD(correlation, correlationId);
CALL_FIELD(result, returnValue);

#define DEVICE_FIELD(mine, theirs) SAME(cupti_device_t, mine, device_t, theirs)
DEVICE_FIELD(kind, kind);
DEVICE_FIELD(bandwidth, globalMemoryBandwidth);
DEVICE_FIELD(memory, globalMemorySize);
DEVICE_FIELD(clock_khz, coreClockRate);
DEVICE_FIELD(multiprocessors, numMultiprocessors);
DEVICE_FIELD(major, computeCapabilityMajor);
DEVICE_FIELD(minor, computeCapabilityMinor);
DEVICE_FIELD(id, id);
DEVICE_FIELD(uuid, uuid);
DEVICE_FIELD(name, name);

#define CONTEXT_FIELD(mine, theirs) SAME(cupti_context_t, mine, context_t, theirs)
CONTEXT_FIELD(kind, kind);
CONTEXT_FIELD(context, contextId);
CONTEXT_FIELD(device, deviceId);
CONTEXT_FIELD(null_stream, nullStreamId);

SAME(cupti_resource_t, context, CUpti_ResourceData, context);
SAME(cupti_resource_t, graph, CUpti_ResourceData, resourceDescriptor);
SAME(cupti_graph_t, node, CUpti_GraphData, node);
SAME(cupti_graph_t, original, CUpti_GraphData, originalNode);

NUMBER(K_MEMCPY, CUPTI_ACTIVITY_KIND_MEMCPY);
NUMBER(K_MEMSET, CUPTI_ACTIVITY_KIND_MEMSET);
NUMBER(K_KERNEL, CUPTI_ACTIVITY_KIND_KERNEL);
NUMBER(K_DRIVER, CUPTI_ACTIVITY_KIND_DRIVER);
NUMBER(K_RUNTIME, CUPTI_ACTIVITY_KIND_RUNTIME);
NUMBER(K_DEVICE, CUPTI_ACTIVITY_KIND_DEVICE);
NUMBER(K_CONTEXT, CUPTI_ACTIVITY_KIND_CONTEXT);
NUMBER(K_CONCURRENT_KERNEL, CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL);
NUMBER(K_MEMCPY2, CUPTI_ACTIVITY_KIND_MEMCPY2);
NUMBER(OTHER_SUBSCRIBER, CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED);
NUMBER(DRIVER_DOMAIN, CUPTI_CB_DOMAIN_DRIVER_API);
NUMBER(RUNTIME_DOMAIN, CUPTI_CB_DOMAIN_RUNTIME_API);
NUMBER(RESOURCE_DOMAIN, CUPTI_CB_DOMAIN_RESOURCE);
NUMBER(NODE_MADE, CUPTI_CBID_RESOURCE_GRAPHNODE_CREATED);
NUMBER(NODE_CLONED, CUPTI_CBID_RESOURCE_GRAPHNODE_CLONED);
NUMBER(SYSTEM_THREADS, CUPTI_ACTIVITY_THREAD_ID_TYPE_SYSTEM);
NUMBER(FORCED, CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
#if CUPTI_API_VERSION >= 130000
SAME(cupti_subscriber_t, size, CUpti_SubscriberParams, structSize);
SAME(cupti_subscriber_t, name, CUpti_SubscriberParams, subscriberName);
SAME(cupti_subscriber_t, other, CUpti_SubscriberParams, oldSubscriberName);
SAME(cupti_subscriber_t, other_size, CUpti_SubscriberParams, oldSubscriberSize);
#endif

#if CUPTI_API_VERSION >= 130000
static CUptiResult (*const subscribe)(CUpti_SubscriberHandle *, CUpti_CallbackFunc, void *, CUpti_SubscriberParams *) = cuptiSubscribe_v2;
#else
static CUptiResult (*const subscribe)(CUpti_SubscriberHandle *, CUpti_CallbackFunc, void *) = cuptiSubscribe;
#endif

/* The functions have the types by which they are called. */
static CUptiResult (*const get_next)(uint8_t *, size_t, CUpti_Activity **) = cuptiActivityGetNextRecord;
static CUptiResult (*const get_dropped)(CUcontext, uint32_t, size_t *) = cuptiActivityGetNumDroppedRecords;
static CUptiResult (*const flush)(uint32_t) = cuptiActivityFlushAll;
static CUptiResult (*const name)(CUpti_CallbackDomain, uint32_t, const char **) = cuptiGetCallbackName;
static CUptiResult (*const clock_of)(uint64_t *) = cuptiGetTimestamp;
static CUptiResult (*const with_clock)(uint64_t (*)(void)) = cuptiActivityRegisterTimestampCallback;
static CUptiResult (*const callback)(uint32_t, CUpti_SubscriberHandle, CUpti_CallbackDomain, CUpti_CallbackId) = cuptiEnableCallback;
static CUptiResult (*const node_id)(CUgraphNode, uint64_t *) = cuptiGetGraphNodeId;
static CUptiResult (*const of_driver)(CUpti_CallbackId, uint8_t) = cuptiActivityEnableDriverApi;
static CUptiResult (*const of_runtime)(CUpti_CallbackId, uint8_t) = cuptiActivityEnableRuntimeApi;
const void *const used[] = {&callback, &node_id, &of_driver, &of_runtime,
                           &get_next, &get_dropped, &flush, &name, &clock_of, &with_clock, &subscribe};
