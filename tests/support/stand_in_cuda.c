/* A program for the stand-in CUPTI: it does what a CUDA program does, and what libcuda and NVTX's headers do for it, which is to load the
   injections that the environment names. Its arguments are done one after the other:
     cuda  cuInit          slow N, fast N  N steps, each a range "slow step" or "fast step" of domain "work", with index
     some N  launches      threads N       N threads, each with a range and launches      graph N  launches of a graph of 3
     capture N  launches under stream capture               elsewhere N  the same, launched by another thread
     ask N  calls that only ask
     fork SCRIPT  a child that does the comma-separated words    spawn  this program again with "cuda slow 2"
     other  another client takes CUPTI's buffers over           exit, _exit, abort, kill  how it ends
     closes  every file is closed, and another one opened in their place
     limit N  no file may grow above N bytes                    ranges N  ranges without CUDA      open  a range is left open */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void (*launch)(uint32_t, const char *, uint64_t), (*graph)(uint32_t, const char *, uint64_t, int), (*set)(uint32_t, uint64_t, uint64_t);
static void (*copy)(uint32_t, uint8_t, uint8_t, uint8_t, uint64_t, uint64_t), (*wait_all)(void), (*forked)(void), (*captured)(int), (*asked)(int);
static void (*begin_capture)(void), (*end_capture)(void);
static int (*register_callbacks)(void *, void *);
static int on;
static char *self;
static const char GEMM[] = "_ZN4math4gemmILi128EEEvPfi", ADD[] = "_Z3addPfS_", PLAIN[] = "plain_kernel";

/* What nvToolsExt.h does on first use. */
typedef void (*function_t)(void);
static function_t core[16], core2[16], *core_at[16], *core2_at[16];
static int table(uint32_t module, function_t ***functions, uint32_t *count) {
    *functions = module == 1 ? core_at : core2_at;
    *count = 16;
    return module == 1 || module == 5;
}
static struct {
    size_t size;
    int (*table)(uint32_t, function_t ***, uint32_t *);
} callbacks = {sizeof callbacks, table};
static const void *exported(uint32_t id) { return id == 1 ? &callbacks : NULL; }
typedef struct {
    uint16_t version, size;
    uint32_t category;
    int32_t color_type;
    uint32_t color;
    int32_t payload_type, reserved;
    uint64_t payload;
    int32_t message_type;
    const char *message;
} attributes_t;
static void *work;

static void *injected(const char *variable, const char *function) {
    void *library = getenv(variable) ? dlopen(getenv(variable), RTLD_NOW | RTLD_LOCAL) : NULL;
    return library ? dlsym(library, function) : NULL;
}
static void nvtx(void) {
    for (int i = 0; i < 16; i++)
        core_at[i] = &core[i], core2_at[i] = &core2[i];
    int (*begin)(const void *(*)(uint32_t)) = injected("NVTX_INJECTION64_PATH", "InitializeInjectionNvtx2");
    if (begin)
        begin(exported);
    if (core2[12])
        work = ((void *(*)(const char *))core2[12])("work");
}
static void push(const char *name, uint64_t index) {
    attributes_t given = {3, sizeof given, 0, 0, 0, 1, 0, index, 1, name};
    if (core2[4])
        ((int (*)(void *, const attributes_t *))core2[4])(work, &given);
}
static void pop(void) {
    if (core2[5])
        ((int (*)(void *))core2[5])(work);
}

static void cuda(void) {
    void *library = dlopen(getenv("STAND_IN_CUPTI"), RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        exit(9);
    }
    launch = dlsym(library, "gpu_launch"), graph = dlsym(library, "gpu_graph"), set = dlsym(library, "gpu_set");
    copy = dlsym(library, "gpu_copy"), wait_all = dlsym(library, "gpu_wait"), forked = dlsym(library, "gpu_forked");
    captured = dlsym(library, "gpu_captured"), asked = dlsym(library, "gpu_asked");
    begin_capture = dlsym(library, "gpu_begin_capture"), end_capture = dlsym(library, "gpu_end_capture");
    register_callbacks = dlsym(library, "cuptiActivityRegisterCallbacks");
    int (*begin)(void) = injected("CUDA_INJECTION64_PATH", "InitializeInjection");
    if (begin)
        begin();
    on = 1;
}

/* Slow: a copy, then three kernels, on one stream. Fast: the copy on another stream, under two kernels. */
static void step(int slow, uint64_t index) {
    push(slow ? "slow step" : "fast step", index);
    copy(slow ? 7 : 13, 1, 2, 3, 1 << 20, 60000);
    launch(7, GEMM, 80000);
    if (slow)
        launch(7, ADD, 80000);
    launch(7, PLAIN, 40000);
    set(7, 4096, 2000);
    wait_all();
    pop();
}
static void *capture_here(void *launches) {
    captured((int)(intptr_t)launches);
    return NULL;
}
static void capture(int launches, int elsewhere) {
    pthread_t other;
    begin_capture();
    if (!elsewhere)
        captured(launches);
    else if (!pthread_create(&other, NULL, capture_here, (void *)(intptr_t)launches))
        pthread_join(other, NULL);
    end_capture();
}
static void *in_thread(void *number) {
    push("in a thread", (uint64_t)(uintptr_t)number);
    for (int i = 0; i < 5; i++)
        launch(14 + (uint32_t)(uintptr_t)number, ADD, 10000);
    pop();
    return NULL;
}
static void threads(int count) {
    pthread_t all[16];
    for (int i = 0; i < count; i++)
        pthread_create(&all[i], NULL, in_thread, (void *)(uintptr_t)i);
    for (int i = 0; i < count; i++)
        pthread_join(all[i], NULL);
}
static void theirs(uint8_t **buffer, size_t *size, size_t *most) { *buffer = malloc(*size = 65536), *most = 0; }
static void theirs_too(void *c, uint32_t s, uint8_t *b, size_t size, size_t valid) { (void)c, (void)s, (void)b, (void)size, (void)valid; }

static void child(char *script);
static void spawn(void) {
    if (!fork()) {
        execl(self, self, "cuda", "slow", "2", NULL);
        _exit(9);
    }
    wait(NULL);
}

static void act(char **words) {
    for (; *words; words++) {
        const char *word = *words;
        int takes = !!strstr(" slow fast some threads graph fork limit ranges capture elsewhere ask ", word), count = 0;
        char *argument = takes ? *++words : "";
        count = atoi(argument);
        if (!strcmp(word, "cuda")) cuda();
        else if (!strcmp(word, "slow") || !strcmp(word, "fast"))
            for (int i = 0; i < count; i++) step(*word == 's', (uint64_t)i);
        else if (!strcmp(word, "some"))
            for (int i = 0; i < count; i++) launch(7, i % 2 ? GEMM : ADD, 1000);
        else if (!strcmp(word, "threads")) threads(count);
        else if (!strcmp(word, "graph"))
            for (int i = 0; i < count; i++) graph(7, PLAIN, 5000, 3);
        else if (!strcmp(word, "ranges"))
            for (int i = 0; i < count; i++) push("some range", (uint64_t)i), pop();
        else if (!strcmp(word, "capture") || !strcmp(word, "elsewhere")) capture(count, *word == 'e');
        else if (!strcmp(word, "ask")) asked(count);
        else if (!strcmp(word, "fork")) child(argument);
        else if (!strcmp(word, "spawn")) spawn();
        else if (!strcmp(word, "open")) push("left open", 0);
        else if (!strcmp(word, "peer")) copy(20, 10, 3, 3, 1 << 16, 9000);
        else if (!strcmp(word, "pageable")) copy(20, 1, 1, 3, 1 << 16, 9000);
        else if (!strcmp(word, "other")) register_callbacks((void *)theirs, (void *)theirs_too);
        else if (!strcmp(word, "limit")) setrlimit(RLIMIT_FSIZE, &(struct rlimit){(rlim_t)count, (rlim_t)count});
        else if (!strcmp(word, "closes")) {
            for (int i = 3; i < 64; i++) close(i);
            for (int i = 3; i < 16; i++) open("mine.txt", O_CREAT | O_WRONLY, 0600);
        }
        else if (!strcmp(word, "exit")) exit(0);
        else if (!strcmp(word, "_exit")) _exit(0);
        else if (!strcmp(word, "abort")) abort();
        else if (!strcmp(word, "kill")) raise(SIGKILL);
        else fprintf(stderr, "what is %s?\n", word), exit(9);
    }
}
static void child(char *script) {
    char *words[32] = {0};
    int count = 0, status;
    if (!fork()) {
        if (on) forked();
        for (char *one = strtok(script, ","); one; one = strtok(NULL, ",")) words[count++] = one;
        act(words);
        exit(0);
    }
    wait(&status);
}

int main(int count, char **words) {
    (void)count;
    self = words[0];
    nvtx();
    act(words + 1);
    return 0;
}
