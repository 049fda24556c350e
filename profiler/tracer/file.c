#define _GNU_SOURCE
#include "tracer.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Where the files go: a folder that whoever records has made, with an empty file called `whole` in it. A process that cannot make its
   file removes that one, which even a full disk allows: else nothing would tell that a process is missing. */
#define FOLDER "AISP_TRACER_OUT"
#define WHOLE "whole"

#ifdef AISP_SOURCE
/* Of which sources this was made; whoever loads it asks. */
__attribute__((used, visibility("default"))) const char aisp_tracer_source[] = AISP_SOURCE;
#endif

close_row_t counts;
static pthread_mutex_t file_lock = PTHREAD_MUTEX_INITIALIZER;
static int descriptor = -1, failed, ended;
static dev_t device; /* of the file, which a program may close, and whose number it may give to another one */
static ino_t inode;
static uint32_t file_number = 1, text_number;
static _Thread_local uint32_t tid;

static uint64_t clock_ns(clockid_t clock) {
    struct timespec at;
    clock_gettime(clock, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

uint64_t now(void) { return clock_ns(CLOCK_MONOTONIC); }

uint32_t thread_id(void) {
    if (!tid)
        tid = (uint32_t)syscall(SYS_gettid);
    return tid;
}

static const char *place(char *room, size_t size, const char *name) {
    const char *folder = getenv(FOLDER);
    return folder && *folder && snprintf(room, size, "%s/%s", folder, name) < (int)size ? room : NULL;
}

/* SIGXFSZ, which a limit on the size of files sends, must not end somebody's program: it is held back and taken away. */
static ssize_t write_quietly(const struct iovec *parts, int count) {
    sigset_t limit, before;
    sigemptyset(&limit);
    sigaddset(&limit, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &limit, &before);
    ssize_t done;
    do
        done = writev(descriptor, parts, count);
    while (done < 0 && errno == EINTR);
    int why = errno;
    if (done < 0 && why == EFBIG && !sigismember(&before, SIGXFSZ)) {
        struct timespec none = {0, 0};
        while (sigtimedwait(&limit, NULL, &none) < 0 && errno == EINTR)
            ;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = why;
    return done;
}

static int still_ours(void) {
    struct stat found;
    return descriptor >= 0 && !fstat(descriptor, &found) && found.st_dev == device && found.st_ino == inode;
}

/* Everything or nothing more: after a write that failed, or fell short, the file gets no closing record. */
static int put(const struct iovec *parts, int count) {
    size_t wanted = 0;
    for (int i = 0; i < count; i++)
        wanted += parts[i].iov_len;
    if (failed || descriptor < 0)
        return -1;
    if (!still_ours() || write_quietly(parts, count) != (ssize_t)wanted)
        failed = 1;
    return failed ? -1 : 0;
}

static void lost(void) {
    char path[4096];
    failed = 1;
    if (!place(path, sizeof path, WHOLE) || (unlink(path) && errno != ENOENT)) {
        fprintf(stderr, "aisp-prof tracer: process %d can write nothing to $" FOLDER "\n", (int)getpid());
        _exit(3);
    }
}

static int open_file(void) {
    char name[64], path[4096];
    header_t head = {MAGIC, VERSION, (uint32_t)getpid(), now(), clock_ns(CLOCK_REALTIME)};
    snprintf(name, sizeof name, "%u-%llx.trace", head.pid, (unsigned long long)head.began);
    if (place(path, sizeof path, name))
        descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    struct stat made;
    if (descriptor >= 0 && !fstat(descriptor, &made))
        device = made.st_dev, inode = made.st_ino;
    struct iovec part = {&head, sizeof head};
    if (descriptor < 0 || put(&part, 1)) {
        lost();
        return -1;
    }
    return 0;
}

int file_opens(void) {
    if (__atomic_load_n(&descriptor, __ATOMIC_ACQUIRE) >= 0)
        return failed || ended ? -1 : 0;
    if (failed || ended)
        return -1;
    pthread_mutex_lock(&file_lock);
    int opened = descriptor < 0 && !failed && !ended;
    int result = opened ? open_file() : failed || ended ? -1 : 0;
    pthread_mutex_unlock(&file_lock);
    if (opened && !result)
        nvtx_opened();
    return result;
}

int file_writes(int kind, size_t row_size, const void *rows, size_t count, const void *behind, size_t bytes) {
    static const char zeros[8];
    size_t padding = -(row_size * count + bytes) & 7;
    frame_t head = {FRAME, (uint16_t)kind, (uint16_t)row_size, (uint32_t)count,
                    (uint32_t)(row_size * count + bytes + padding)};
    struct iovec parts[] = {
        {&head, sizeof head}, {(void *)rows, row_size * count}, {(void *)behind, bytes}, {(void *)zeros, padding}};
    pthread_mutex_lock(&file_lock);
    int result = put(parts, 4);
    if (!result)
        counts.rows[kind] += count;
    pthread_mutex_unlock(&file_lock);
    return result;
}

text_t *text_made(const char *bytes, size_t length) {
    text_t *made = malloc(sizeof *made + length + 1);
    if (!made)
        refuse("there is no memory for a text");
    *made = (text_t){__atomic_add_fetch(&text_number, 1, __ATOMIC_RELAXED), (uint32_t)length, 0, NULL};
    memcpy(made->bytes, bytes, length);
    made->bytes[length] = 0;
    return made;
}

uint32_t file_text(text_t *text) {
    if (text->file != file_number) {
        text_row_t row = {text->id, text->length};
        file_writes(TEXT, sizeof row, &row, 1, text->bytes, text->length);
        text->file = file_number;
    }
    return text->id;
}

void refuse(const char *why) {
    if (!file_opens()) {
        text_row_t row = {0, (uint32_t)strlen(why)};
        file_writes(PROBLEM, sizeof row, &row, 1, why, row.length);
    }
    fprintf(stderr, "aisp-prof tracer: process %d cannot be recorded: %s\n", (int)getpid(), why);
    _exit(3);
}

/* The last words of a process that ends in order: what is still in buffers, then the counts. Runs once; what comes later is outside
   of the recording. A process that is killed, crashes, or calls _exit never comes here. */
void tracer_close(void) {
    if (descriptor < 0 || ended)
        return;
    cupti_stop();
    cupti_locks(1);
    nvtx_locks(1);
    if (!ended) {
        nvtx_flush();
        counts.ended = now();
        ended = 1;
        close_row_t last = counts;
        last.rows[CLOSE] = 1;
        file_writes(CLOSE, sizeof last, &last, 1, NULL, 0);
    }
    nvtx_locks(0);
    cupti_locks(0);
}

/* A child has a file of its own, made by its first event, and nothing of what its parent had yet to write. No lock is taken around the
   fork: a thread of CUPTI's may hold one of its own while it waits for ours, and whoever forks may have to wait for that one. What
   other threads were changing at that moment is thrown away here, all but lists that grow by one store. */
static void in_child(void) {
    pthread_mutex_init(&file_lock, NULL);
    tid = 0;
    if (still_ours())
        close(descriptor);
    descriptor = -1;
    failed = ended = 0;
    file_number++;
    memset(&counts, 0, sizeof counts);
    nvtx_forked();
    cupti_forked();
}

__attribute__((constructor)) static void loaded(void) {
    pthread_atfork(NULL, NULL, in_child);
    atexit(tracer_close);
}
