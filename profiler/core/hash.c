/* BLAKE3 of a file, sixteen chunks at a time and on several threads.
 *
 * Source: O'Connor, Aumasson, Neves, Wilcox-O'Hearn, "BLAKE3: one function, fast everywhere" (2020), sections 2.1 to 2.4. Chunks of
 * 1024 bytes are compressed on their own, and their chaining values pair by pair, one that is left over joining the next level: so
 * whatever fills a lane of a vector is independent of the other lanes. By AVX-512 only: with narrower vectors it took longer than SHA-256
 * by a processor's own instructions does. Read with pread: a file that shrinks is an error, no signal.
 */
#define _GNU_SOURCE
#include "core.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 1024, BLOCK_BYTES = 64, WORDS = 8, LANES = 16, PART = 1 << 10, START = 1, END = 2, PARENT = 4, ROOT = 8 };

typedef uint32_t lanes_t __attribute__((vector_size(4 * LANES)));

static const uint32_t IV[WORDS] = {0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};
static const uint8_t SCHEDULE[7][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8},
    {3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1}, {10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6},
    {12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4}, {9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7},
    {11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13}};

#define ROTATED(x, by) ((x) >> (by) | (x) << (32 - (by)))
#define MIX(v, a, b, c, d, x, y)                                                                            \
    v[a] += v[b] + (x), v[d] = ROTATED(v[d] ^ v[a], 16), v[c] += v[d], v[b] = ROTATED(v[b] ^ v[c], 12);     \
    v[a] += v[b] + (y), v[d] = ROTATED(v[d] ^ v[a], 8), v[c] += v[d], v[b] = ROTATED(v[b] ^ v[c], 7);
#define ROUND(v, m, s)                                                                                      \
    MIX(v, 0, 4, 8, 12, m[s[0]], m[s[1]]) MIX(v, 1, 5, 9, 13, m[s[2]], m[s[3]])                             \
    MIX(v, 2, 6, 10, 14, m[s[4]], m[s[5]]) MIX(v, 3, 7, 11, 15, m[s[6]], m[s[7]])                           \
    MIX(v, 0, 5, 10, 15, m[s[8]], m[s[9]]) MIX(v, 1, 6, 11, 12, m[s[10]], m[s[11]])                         \
    MIX(v, 2, 7, 8, 13, m[s[12]], m[s[13]]) MIX(v, 3, 4, 9, 14, m[s[14]], m[s[15]])
#define ROUNDS(v, m)                                                                                        \
    ROUND(v, m, SCHEDULE[0]) ROUND(v, m, SCHEDULE[1]) ROUND(v, m, SCHEDULE[2]) ROUND(v, m, SCHEDULE[3])     \
    ROUND(v, m, SCHEDULE[4]) ROUND(v, m, SCHEDULE[5]) ROUND(v, m, SCHEDULE[6])

/* One block into a chaining value. */
static void compress(uint32_t value[WORDS], const uint8_t *block, uint32_t length, uint64_t counter, uint32_t flags) {
    uint32_t m[16] = {0}, v[16];
    memcpy(m, block, length);
    memcpy(v, value, 4 * WORDS);
    memcpy(v + 8, IV, 16);
    v[12] = (uint32_t)counter, v[13] = (uint32_t)(counter >> 32), v[14] = length, v[15] = flags;
    ROUNDS(v, m)
    for (int i = 0; i < WORDS; i++) value[i] = v[i] ^ v[i + 8];
}

/* The chaining value of one chunk of up to 1024 bytes; `more` is ROOT where it is the only one. */
static void chunk(const uint8_t *at, int64_t length, uint64_t counter, uint32_t more, uint32_t value[WORDS]) {
    memcpy(value, IV, sizeof IV);
    int64_t done = 0;
    do {
        const int64_t size = length - done < BLOCK_BYTES ? length - done : BLOCK_BYTES;
        const uint32_t flags = (done ? 0 : START) | (done + size == length ? END | more : 0);
        compress(value, at + done, (uint32_t)size, counter, flags);
        done += size;
    } while (done < length);
}

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define PICKED(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#endif
#endif
#ifndef PICKED
#define PICKED(a, b, ...) __builtin_shuffle(a, b, (lanes_t){__VA_ARGS__})
#endif
/* Rows `distance` apart swap their halves, quarters, … of lanes. */
#define SWAPPED(m, distance, LOW, HIGH)                                                                     \
    for (int i = 0; i < 16; i++)                                                                            \
        if (!(i & (distance))) {                                                                            \
            const lanes_t a = m[i], b = m[i + (distance)];                                                  \
            m[i] = LOW(a, b);                                                                               \
            m[i + (distance)] = HIGH(a, b);                                                                 \
        }
#define LOW_8(a, b) PICKED(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23)
#define HIGH_8(a, b) PICKED(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31)
#define LOW_4(a, b) PICKED(a, b, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27)
#define HIGH_4(a, b) PICKED(a, b, 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31)
#define LOW_2(a, b) PICKED(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
#define HIGH_2(a, b) PICKED(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
#define LOW_1(a, b) PICKED(a, b, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30)
#define HIGH_1(a, b) PICKED(a, b, 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31)

/* Sixteen rows of sixteen words: columns for rows. */
static inline __attribute__((always_inline)) void transpose(lanes_t m[16]) {
    SWAPPED(m, 8, LOW_8, HIGH_8)
    SWAPPED(m, 4, LOW_4, HIGH_4)
    SWAPPED(m, 2, LOW_2, HIGH_2)
    SWAPPED(m, 1, LOW_1, HIGH_1)
}

/* Chaining values of sixteen inputs of so many whole blocks, `stride` bytes apart. */
static inline __attribute__((always_inline)) void sixteen(const uint8_t *at, int64_t stride, int blocks, uint64_t counter,
                                                          int counts, uint32_t flags, uint32_t (*values)[WORDS]) {
    lanes_t value[16], low, high;
    for (int i = 0; i < WORDS; i++) value[i] = (lanes_t){0} + IV[i];
    for (int lane = 0; lane < LANES; lane++) {
        const uint64_t mine = counts ? counter + (uint64_t)lane : 0;
        low[lane] = (uint32_t)mine, high[lane] = (uint32_t)(mine >> 32);
    }
    for (int block = 0; block < blocks; block++) {
        lanes_t m[16], v[16];
        for (int lane = 0; lane < LANES; lane++) memcpy(&m[lane], at + lane * stride + block * BLOCK_BYTES, BLOCK_BYTES);
        transpose(m);
        for (int i = 0; i < WORDS; i++) v[i] = value[i];
        for (int i = 0; i < 4; i++) v[8 + i] = (lanes_t){0} + IV[i];
        v[12] = low, v[13] = high, v[14] = (lanes_t){0} + BLOCK_BYTES;
        v[15] = (lanes_t){0} + (flags | (counts && !block ? START : 0) | (counts && block == blocks - 1 ? END : 0));
        ROUNDS(v, m)
        for (int i = 0; i < WORDS; i++) value[i] = v[i] ^ v[i + 8];
    }
    for (int i = WORDS; i < 16; i++) value[i] = (lanes_t){0};
    transpose(value);
    for (int lane = 0; lane < LANES; lane++) memcpy(values[lane], &value[lane], 4 * WORDS);
}

#if defined(__x86_64__)
__attribute__((target("avx512f"))) static void many(const uint8_t *at, int64_t stride, int blocks, uint64_t counter, int counts,
                                                    uint32_t flags, uint32_t (*values)[WORDS]) {
    sixteen(at, stride, blocks, counter, counts, flags, values);
}
static int fast(void) { return __builtin_cpu_supports("avx512f"); }
#else
static void many(const uint8_t *at, int64_t stride, int blocks, uint64_t counter, int counts, uint32_t flags,
                 uint32_t (*values)[WORDS]) {
    sixteen(at, stride, blocks, counter, counts, flags, values);
}
static int fast(void) { return 0; }
#endif

/* One level up: pairs of values; one that is left over stays. How many there are then. */
static int64_t paired(uint32_t (*values)[WORDS], int64_t n) {
    int64_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        uint32_t out[LANES][WORDS];
        many((const uint8_t *)values[i], BLOCK_BYTES, 1, 0, 0, PARENT, out);
        memcpy(values[i / 2], out, sizeof out);
    }
    for (; i + 2 <= n; i += 2) {
        uint32_t value[WORDS];
        memcpy(value, IV, sizeof IV);
        compress(value, (const uint8_t *)values[i], BLOCK_BYTES, 0, PARENT);
        memcpy(values[i / 2], value, sizeof value);
    }
    if (i < n) memmove(values[i / 2], values[i], sizeof values[i]);
    return (n + 1) / 2;
}

typedef struct {
    int descriptor;
    int64_t size, parts;
    uint32_t (*values)[WORDS]; /* of each part */
    _Atomic int64_t next, error;
} shared_t;

static int64_t filled(int descriptor, uint8_t *into, int64_t size, int64_t at) {
    for (int64_t done = 0; done < size;) {
        const ssize_t got = pread(descriptor, into + done, (size_t)(size - done), at + done);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return AISP_UNUSUAL;
        done += got;
    }
    return 0;
}

/* The values of a part's chunks; how many there are. */
static int64_t chunks_of(const uint8_t *bytes, int64_t size, int64_t first, uint32_t (*values)[WORDS]) {
    int64_t n = 0;
    for (; (n + LANES) * CHUNK <= size; n += LANES)
        many(bytes + n * CHUNK, CHUNK, CHUNK / BLOCK_BYTES, (uint64_t)(first + n), 1, 0, values + n);
    for (; n * CHUNK < size; n++) {
        const int64_t left = size - n * CHUNK;
        chunk(bytes + n * CHUNK, left < CHUNK ? left : CHUNK, (uint64_t)(first + n), 0, values[n]);
    }
    return n;
}

static void *work(void *argument) {
    shared_t *s = argument;
    uint8_t *bytes = malloc((size_t)PART * CHUNK);
    uint32_t(*values)[WORDS] = malloc(PART * sizeof *values);
    if (!bytes || !values) s->error = AISP_MEMORY;
    for (int64_t part; !s->error && (part = atomic_fetch_add(&s->next, 1)) < s->parts;) {
        const int64_t at = part * PART * CHUNK, left = s->size - at, size = left < PART * CHUNK ? left : PART * CHUNK;
        const int64_t error = filled(s->descriptor, bytes, size, at);
        if (error) {
            s->error = error;
            break;
        }
        int64_t n = chunks_of(bytes, size, part * PART, values);
        while (n > 1) n = paired(values, n);
        memcpy(s->values[part], values[0], sizeof values[0]);
    }
    free(bytes);
    free(values);
    return NULL;
}

/* Of a file of at most one part, whose last step is the root's. */
static int64_t small(shared_t *s, uint8_t *out) {
    uint8_t *bytes = malloc((size_t)s->size + 1);
    uint32_t(*values)[WORDS] = malloc((PART + 1) * sizeof *values);
    int64_t found = bytes && values ? filled(s->descriptor, bytes, s->size, 0) : AISP_MEMORY;
    if (!found && s->size <= CHUNK) {
        uint32_t value[WORDS];
        chunk(bytes, s->size, 0, ROOT, value);
        memcpy(out, value, sizeof value);
    } else if (!found) {
        int64_t n = chunks_of(bytes, s->size, 0, values);
        while (n > 2) n = paired(values, n);
        uint32_t value[WORDS];
        memcpy(value, IV, sizeof IV);
        compress(value, (const uint8_t *)values[0], BLOCK_BYTES, 0, PARENT | ROOT);
        memcpy(out, value, sizeof value);
    }
    free(bytes);
    free(values);
    return found;
}

int64_t aisp_hash(int32_t descriptor, int64_t size, int64_t threads, uint8_t *out) {
    if (size < 0 || size > INT64_MAX / 2 || !fast()) return AISP_UNUSUAL;
    const int64_t part = PART * CHUNK;
    shared_t s = {.descriptor = descriptor, .size = size, .parts = (size + part - 1) / part};
    if (s.parts <= 1) return small(&s, out);
    if (!(s.values = malloc((size_t)s.parts * sizeof *s.values))) return AISP_MEMORY;
    aisp_threads(work, &s, threads);
    if (!s.error) {
        int64_t n = s.parts;
        while (n > 2) n = paired(s.values, n);
        uint32_t value[WORDS];
        memcpy(value, IV, sizeof IV);
        compress(value, (const uint8_t *)s.values[0], BLOCK_BYTES, 0, PARENT | ROOT);
        memcpy(out, value, sizeof value);
    }
    free(s.values);
    return s.error;
}
