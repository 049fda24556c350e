/* The file that a traced process writes: a header, then frames. A frame is a head, `rows` rows of one kind, and of NVTX events the
   bytes of their texts and payloads. A file that is whole ends with one frame of kind CLOSE. Numbers are the machine's own; times are ns of
   CLOCK_MONOTONIC. `buffers.py` states the same layouts and refuses another VERSION. */
#ifndef AISP_TRACER_FORMAT_H
#define AISP_TRACER_FORMAT_H
#include <stdint.h>

#define VERSION 3
#define MAGIC "AISPTRC"
#define FRAME 0x4d524641u /* "AFRM" */

enum kind { TEXT = 1, NVTX, KERNEL, COPY, MEMSET, CALL, DEVICE, CONTEXT, PROBLEM, CLOSE, STARTED, NODE, ENTRY, KINDS };
enum event { MARK = 34, THREAD = 39, CATEGORY = 33, DOMAIN_MADE = 75, DOMAIN_ENDED = 76, PUSH = 1, POP, START, END };
enum text_is { NO_TEXT, WRITTEN_HERE, NUMBERED };
enum { EXTENDED = 9 }; /* a payload's type: it lies behind the rows, `payload` is its place << 32 | its size */

typedef struct {
    char magic[8];
    uint32_t version, pid;
    uint64_t began, began_utc;
} header_t;

typedef struct {
    uint32_t magic;
    uint16_t kind, row_size;
    uint32_t rows, bytes; /* bytes of what follows this head, a multiple of 8 */
} frame_t;

typedef struct { /* followed by `length` bytes */
    uint32_t id, length;
} text_row_t;

typedef struct {
    uint64_t time, range, payload, text; /* text: its number, or its place behind the rows */
    uint32_t thread, domain, category, color, text_length;
    uint8_t event, text_is, payload_type, has_color;
} nvtx_row_t;

typedef struct {
    uint64_t start, end, graph_node, grid;
    uint32_t device, context, stream, correlation, name;
    uint32_t grid_x, grid_y, grid_z, block_x, block_y, block_z;
    uint32_t static_shared, dynamic_shared, local, registers, launch;
} kernel_row_t;

typedef struct {
    uint64_t start, end, bytes, graph_node, copies;
    uint32_t device, context, stream, correlation, from_device, from_context, to_device, to_context; /* ~0: not stated */
    uint32_t kind, from_kind, to_kind, peer;
} copy_row_t;

typedef struct {
    uint64_t start, end, bytes, graph_node;
    uint32_t device, context, stream, correlation, value, unused;
} memset_row_t;

typedef struct {
    uint64_t start, end;
    uint32_t thread, correlation, name, driver; /* driver: 1 for the driver's functions, 0 for the runtime's */
    int32_t result;
    uint32_t unused;
} call_row_t;

typedef struct {
    uint64_t memory, bandwidth; /* B, kB/s */
    uint8_t uuid[16];
    uint32_t id, multiprocessors, major, minor, clock_khz, name;
} device_row_t;

typedef struct {
    uint32_t context, device, null_stream, unused;
} context_row_t;

typedef struct { /* a node of a CUDA graph was made, or cloned from the original one, on this thread */
    uint64_t time, node, original;
    uint32_t thread, unused;
} node_row_t;

typedef struct { /* a field of payloads of one form: its type, and where it lies, by NVTX's numbers */
    uint64_t schema, type, flags, detail, offset;
    uint32_t domain, index, name, unused;
} entry_row_t;

typedef struct { /* CUPTI was started in this process; its API version */
    uint32_t cupti, unused;
} started_row_t;

typedef struct { /* the closing record */
    uint64_t ended;
    uint64_t handed;           /* records that CUPTI handed over */
    uint64_t rows[KINDS];      /* rows that were written, by kind */
    uint64_t dropped;          /* records that CUPTI says it dropped */
    uint64_t asked, returned;  /* buffers that CUPTI asked for, and gave back */
    uint64_t at_end;           /* of these, those that came back in the last, forced flush */
    uint64_t calls;            /* calls of NVTX, counted as they came */
    uint64_t nodes;            /* nodes of graphs that CUPTI told of, counted as they came */
    int64_t clock_off;         /* ns by which CUPTI's clock lay outside of two readings of ours around it */
} close_row_t;

#endif
