/* Distinct texts of a column as small codes, and threads. */
#define _GNU_SOURCE
#include "core.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { SHARDS = 64, RECENT = 1024, CHUNK = 1 << 16, THREADS = 64 };

typedef struct {
    uint64_t hash;
    const uint8_t *text;
    uint32_t length;
    int32_t code;
} entry_t;

typedef struct chunk {
    struct chunk *next;
    uint8_t bytes[];
} chunk_t;

typedef struct {
    pthread_mutex_t lock;
    entry_t *slots;
    uint64_t size, used; /* slots, a power of two; those in use */
    chunk_t *chunks;
    uint64_t left;       /* bytes left in the first chunk */
} shard_t;

struct aisp_texts {
    shard_t shard[SHARDS];
    _Atomic int32_t count;
    const entry_t **numbered; /* by number, once numbered */
    int64_t numbers;
};

struct aisp_seen {
    entry_t last[RECENT];
};

static uint64_t hash_of(const uint8_t *p, uint32_t n) {
    uint64_t h = 0x9E3779B97F4A7C15ull ^ n, word;
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&word, p, 8);
        h = (h ^ word) * 0xff51afd7ed558ccdull;
        h ^= h >> 32;
    }
    word = 0;
    memcpy(&word, p, n);
    h = (h ^ word) * 0xff51afd7ed558ccdull;
    h ^= h >> 29;
    return h * 0xc4ceb9fe1a85ec53ull;
}

static inline int is(const entry_t *entry, uint64_t hash, const uint8_t *text, uint32_t length) {
    return entry->text && entry->hash == hash && entry->length == length && !memcmp(entry->text, text, length);
}

static const uint8_t *kept(shard_t *shard, const uint8_t *text, uint32_t length) {
    if (!shard->chunks || shard->left < length + 1ull) {
        uint64_t room = length + 1ull > CHUNK ? length + 1ull : CHUNK;
        chunk_t *chunk = malloc(sizeof *chunk + room);
        if (!chunk) return NULL;
        chunk->next = shard->chunks;
        shard->chunks = chunk;
        shard->left = room;
    }
    /* chunks are filled from their end, so that `left` alone says where */
    shard->left -= length + 1ull;
    uint8_t *place = shard->chunks->bytes + shard->left;
    memcpy(place, text, length);
    place[length] = 0;
    return place;
}

static int grow(shard_t *shard) {
    uint64_t size = shard->size ? 2 * shard->size : 64;
    entry_t *slots = calloc(size, sizeof *slots);
    if (!slots) return 0;
    for (uint64_t i = 0; i < shard->size; i++) {
        if (!shard->slots[i].text) continue;
        uint64_t at = shard->slots[i].hash & (size - 1);
        while (slots[at].text) at = (at + 1) & (size - 1);
        slots[at] = shard->slots[i];
    }
    free(shard->slots);
    shard->slots = slots;
    shard->size = size;
    return 1;
}

aisp_texts_t *aisp_texts_new(void) {
    aisp_texts_t *texts = calloc(1, sizeof *texts);
    for (int i = 0; texts && i < SHARDS; i++) pthread_mutex_init(&texts->shard[i].lock, NULL);
    return texts;
}

aisp_seen_t *aisp_seen_new(void) { return calloc(1, sizeof(aisp_seen_t)); }

int64_t aisp_text_code(aisp_texts_t *texts, aisp_seen_t *seen, const uint8_t *text, uint32_t length) {
    if (!texts) return AISP_MEMORY;
    uint64_t hash = hash_of(text, length);
    entry_t *recent = &seen->last[(hash >> 20) % RECENT];
    if (is(recent, hash, text, length)) return recent->code;
    shard_t *shard = &texts->shard[hash >> 58];
    int64_t code = AISP_MEMORY;
    pthread_mutex_lock(&shard->lock);
    if (2 * shard->used < shard->size || grow(shard)) {
        uint64_t at = hash & (shard->size - 1);
        while (shard->slots[at].text && !is(&shard->slots[at], hash, text, length)) at = (at + 1) & (shard->size - 1);
        entry_t *entry = &shard->slots[at];
        if (!entry->text) {
            const uint8_t *own = kept(shard, text, length);
            int32_t next = own ? atomic_fetch_add(&texts->count, 1) : -1;
            if (next >= 0 && next < INT32_MAX - THREADS) {
                *entry = (entry_t){hash, own, length, next};
                shard->used++;
            }
        }
        if (entry->text) {
            code = entry->code;
            *recent = *entry; /* texts stay where they are for as long as the column lives */
        }
    }
    pthread_mutex_unlock(&shard->lock);
    return code;
}

int64_t aisp_texts_number(aisp_texts_t *texts, int64_t *codes, int64_t n, int64_t *bytes) {
    int64_t count = atomic_load(&texts->count), numbers = 0;
    int32_t *number = malloc(((size_t)count + 1) * sizeof *number);
    const entry_t **by_code = calloc((size_t)count + 1, sizeof *by_code);
    free(texts->numbered);
    texts->numbered = calloc((size_t)count + 1, sizeof *texts->numbered);
    if (!number || !by_code || !texts->numbered) {
        free(number);
        free(by_code);
        return AISP_MEMORY;
    }
    for (int s = 0; s < SHARDS; s++)
        for (uint64_t i = 0; i < texts->shard[s].size; i++)
            if (texts->shard[s].slots[i].text) by_code[texts->shard[s].slots[i].code] = &texts->shard[s].slots[i];
    memset(number, 255, ((size_t)count + 1) * sizeof *number);
    *bytes = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t code = codes[i];
        if (code < 0 || code >= count) continue;
        if (number[code] < 0) {
            texts->numbered[numbers] = by_code[code];
            *bytes += by_code[code]->length;
            number[code] = (int32_t)numbers++;
        }
        codes[i] = number[code];
    }
    texts->numbers = numbers;
    free(number);
    free(by_code);
    return numbers;
}

void aisp_texts_copy(const aisp_texts_t *texts, int64_t *ends, uint8_t *out) {
    int64_t at = 0;
    for (int64_t i = 0; i < texts->numbers; i++) {
        memcpy(out + at, texts->numbered[i]->text, texts->numbered[i]->length);
        ends[i] = at += texts->numbered[i]->length;
    }
}

void aisp_texts_free(aisp_texts_t *texts) {
    if (!texts) return;
    for (int i = 0; i < SHARDS; i++) {
        for (chunk_t *chunk = texts->shard[i].chunks, *next; chunk; chunk = next) {
            next = chunk->next;
            free(chunk);
        }
        free(texts->shard[i].slots);
        pthread_mutex_destroy(&texts->shard[i].lock);
    }
    free(texts->numbered);
    free(texts);
}

void aisp_threads(void *(*work)(void *), void *argument, int64_t threads) {
    pthread_t running[THREADS];
    int64_t started = 0;
    for (; started < threads - 1 && started < THREADS; started++)
        if (pthread_create(&running[started], NULL, work, argument)) break;
    work(argument);
    for (int64_t i = 0; i < started; i++) pthread_join(running[i], NULL);
}

#ifndef AISP_SOURCE
#define AISP_SOURCE ""
#endif
const char *aisp_source(void) { return AISP_SOURCE; }
