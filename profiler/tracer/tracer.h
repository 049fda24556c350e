/* What the parts of the tracer share: one file a process, and how the process's end and its forks are met. */
#ifndef AISP_TRACER_H
#define AISP_TRACER_H
#include "format.h"
#include <pthread.h>
#include <stddef.h>

typedef struct text {
    uint32_t id, length, file; /* file: the last one that it was written to */
    struct text *next;
    char bytes[];
} text_t;

typedef struct { /* nvtxPayloadData_t */
    uint64_t schema;
    size_t size;
    const void *bytes;
} payload_t;

typedef struct {
    uint32_t size;
    char bytes[];
} blob_t;

#define NO_DEPTH (-2) /* NVTX_NO_PUSH_POP_TRACKING: what a push returns where nobody counts */

uint64_t now(void);
uint32_t thread_id(void);

/* 0 once this process has a file that takes rows; -1 after its end, or when a write failed. NVTX's lock is held, because a new file
   is told of all domains. */
int file_opens(void);
/* One frame in one write: rows, and what lies behind them. */
int file_writes(int kind, size_t row_size, const void *rows, size_t count, const void *behind, size_t bytes);
/* A text's number, once it is in this process's file. */
uint32_t file_text(text_t *text);
text_t *text_made(const char *bytes, size_t length);
/* The process cannot be recorded: says why, in the file and on stderr, and ends the process, before it works for an hour in vain. */
void refuse(const char *why) __attribute__((noreturn));

extern close_row_t counts; /* of this process and file */

/* Each part: what it does before the closing record is written, its locks meanwhile, and what it does in a forked child. */
/* An event without a name; `blob` may be NULL, and stays the caller's. */
void nvtx_event(nvtx_row_t row, const blob_t *blob);
uint32_t nvtx_domain(const void *domain);
uint64_t nvtx_new_range(void);
/* The bytes of a payload, to be freed; NULL where it is none that is recorded. NVTX's lock is not held. */
blob_t *payload_packed(const payload_t *parts, size_t count);
void payload_opened(void);
void nvtx_flush(void);
void nvtx_locks(int lock);
void nvtx_forked(void);
void nvtx_opened(void);
void cupti_stop(void);
void cupti_locks(int lock);
void cupti_forked(void);

/* Ends the process as soon as another client of CUPTI asks to be one. `code`: what CUPTI refuses that client with. */
void clients_watch(int (*get_name)(int, const char **), int code);

void tracer_close(void);
#endif
