/* Columns of few distinct values as codes, values looked up, and differences to the least value of a block in few bytes. */
#include "core.h"

#include <stdlib.h>
#include <string.h>

enum { FEW = 1 << 12, SLOTS = 1 << 13 };

typedef struct {
    int64_t value[SLOTS];
    int32_t number[SLOTS]; /* -1: an empty place */
} table_t;

static inline uint64_t place_of(int64_t value) { return ((uint64_t)value * 0x9E3779B97F4A7C15ull) >> 51; }

/* Where a value is, or the empty place where it belongs; at most half of all places are taken. */
static inline uint64_t slot_of(const table_t *table, int64_t value) {
    uint64_t at = place_of(value);
    while (table->number[at] >= 0 && table->value[at] != value) at = (at + 1) % SLOTS;
    return at;
}

static table_t *empty(void) {
    table_t *table = malloc(sizeof *table);
    if (table) memset(table->number, 255, sizeof table->number);
    return table;
}

int64_t aisp_distinct(int64_t n, const aisp_column_t *column, int64_t most, int64_t *values) {
    if (most < 0 || most > FEW || !aisp_values(column)) return AISP_UNUSUAL;
    table_t *table = empty();
    if (!table) return AISP_MEMORY;
    int64_t count = 0, last = 0;
    for (int64_t i = 0; i < n; i++) {
        const int64_t value = aisp_value(column, i);
        if (count && value == last) continue;
        const uint64_t at = slot_of(table, value);
        last = value;
        if (table->number[at] >= 0) continue;
        if (count == most) {
            count = AISP_ROOM;
            break;
        }
        table->value[at] = value;
        table->number[at] = (int32_t)count;
        values[count++] = value;
    }
    free(table);
    return count;
}

int64_t aisp_look_up(int64_t n, const aisp_column_t *column, int64_t count, const int64_t *distinct, const uint8_t *results,
                     int64_t width, uint8_t *out) {
    if (count < 1 || count > FEW || !aisp_values(column) || !(width == 1 || width == 2 || width == 4 || width == 8)) return AISP_UNUSUAL;
    table_t *table = empty();
    if (!table) return AISP_MEMORY;
    for (int64_t i = 0; i < count; i++) {
        const uint64_t at = slot_of(table, distinct[i]);
        table->value[at] = distinct[i];
        table->number[at] = (int32_t)i;
    }
    int64_t last = distinct[0], number = table->number[slot_of(table, last)], i = 0;
#define LOOK_UP(bytes)                                                                                      \
    for (; i < n; i++) {                                                                                    \
        const int64_t value = aisp_value(column, i);                                                        \
        if (value != last) {                                                                                \
            const int64_t other = table->number[slot_of(table, value)];                                     \
            if (other < 0) break;                                                                           \
            number = other;                                                                                 \
            last = value;                                                                                   \
        }                                                                                                   \
        memcpy(out + bytes * i, results + bytes * number, bytes);                                           \
    }
    switch (width) {
    case 1: LOOK_UP(1) break;
    case 2: LOOK_UP(2) break;
    case 4: LOOK_UP(4) break;
    default: LOOK_UP(8)
    }
    free(table);
    return i < n ? AISP_UNUSUAL : 0;
}

/* A dictionary of up to 2^(bits - 1) values; small ones stay in a core's nearest cache. */
typedef struct {
    int64_t value;
    int32_t number; /* -1: an empty place */
} entry_t;

static entry_t *dictionary(int bits, const int64_t *values, int64_t count) {
    entry_t *entries = malloc(sizeof *entries << bits);
    if (!entries) return NULL;
    for (int64_t i = 0; i < 1ll << bits; i++) entries[i].number = -1;
    for (int64_t i = 0; i < count; i++) {
        uint64_t at = ((uint64_t)values[i] * 0x9E3779B97F4A7C15ull) >> (64 - bits);
        while (entries[at].number >= 0) at = (at + 1) & ((1ull << bits) - 1);
        entries[at] = (entry_t){values[i], (int32_t)i};
    }
    return entries;
}

int64_t aisp_coded(int64_t n, const aisp_column_t *column, int64_t most, int64_t *values, int64_t width, uint8_t *out) {
    if (most < 1 || most > FEW || !aisp_values(column) || !(width == 2 || (width == 1 && most <= 256))) return AISP_UNUSUAL;
    int bits = 8;
    entry_t *entries = dictionary(bits, values, 0);
    if (!entries) return AISP_MEMORY;
    int64_t count = 0, last = 0;
    uint16_t code = 0;
    for (int64_t i = 0; i < n; i++) {
        const int64_t value = aisp_value(column, i);
        if (!count || value != last) {
            uint64_t at = ((uint64_t)value * 0x9E3779B97F4A7C15ull) >> (64 - bits);
            while (entries[at].number >= 0 && entries[at].value != value) at = (at + 1) & ((1ull << bits) - 1);
            if (entries[at].number < 0) {
                if (count == most) {
                    count = AISP_ROOM;
                    break;
                }
                entries[at] = (entry_t){value, (int32_t)count};
                values[count++] = value;
                if (2 * count > 1ll << bits) {
                    free(entries);
                    bits += 2;
                    if (!(entries = dictionary(bits, values, count))) return AISP_MEMORY;
                    at = ((uint64_t)value * 0x9E3779B97F4A7C15ull) >> (64 - bits);
                    while (entries[at].value != value) at = (at + 1) & ((1ull << bits) - 1);
                }
            }
            code = (uint16_t)entries[at].number;
            last = value;
        }
        if (width == 1) out[i] = (uint8_t)code;
        else memcpy(out + 2 * i, &code, 2);
    }
    free(entries);
    return count;
}

/* A switch for each, as a loop that asks for widths at every value takes several times as long. */
#define GATHER(index, value)                                                                                \
    for (int64_t i = 0; i < n; i++) {                                                                       \
        index at;                                                                                           \
        value one;                                                                                          \
        memcpy(&at, chosen->at + i * (int64_t)sizeof at, sizeof at);                                        \
        if (at >= (uint64_t)count) return AISP_UNUSUAL;                                                     \
        memcpy(&one, values + at * sizeof one, sizeof one);                                                 \
        memcpy(out + i * (int64_t)sizeof one, &one, sizeof one);                                            \
    }                                                                                                       \
    return 0;
#define GATHER_BY(index)                                                                                    \
    switch (width) {                                                                                        \
    case 1: GATHER(index, uint8_t)                                                                          \
    case 2: GATHER(index, uint16_t)                                                                         \
    case 4: GATHER(index, uint32_t)                                                                         \
    case 8: GATHER(index, uint64_t)                                                                         \
    default: return AISP_UNUSUAL;                                                                           \
    }

int64_t aisp_gather(int64_t n, const aisp_column_t *chosen, int64_t count, const uint8_t *values, int64_t width, uint8_t *out) {
    if (count < 0 || chosen->stride != chosen->width) return AISP_UNUSUAL;
    switch (chosen->width) {
    case 1: GATHER_BY(uint8_t)
    case 2: GATHER_BY(uint16_t)
    case 4: GATHER_BY(uint32_t)
    case 8: GATHER_BY(uint64_t)
    default: return AISP_UNUSUAL;
    }
}

static inline int64_t difference(const int64_t *column, const int64_t *before, int64_t i) {
    return before ? (int64_t)((uint64_t)column[i] - (uint64_t)before[i]) : column[i];
}

int64_t aisp_bounds(int64_t n, int64_t block, const int64_t *column, const int64_t *before, int64_t *low, int64_t *high) {
    if (block < 1) return AISP_UNUSUAL;
    for (int64_t b = 0; b * block < n; b++) {
        const int64_t from = b * block, until = n - from < block ? n : from + block;
        int64_t least = difference(column, before, from), most = least;
        for (int64_t i = from; i < until; i++) {
            const int64_t value = difference(column, before, i);
            least = value < least ? value : least;
            most = value > most ? value : most;
        }
        low[b] = least;
        high[b] = most;
    }
    return 0;
}

int64_t aisp_narrow(int64_t n, int64_t block, const int64_t *column, const int64_t *before, const int64_t *base, int64_t width, uint8_t *out) {
    if (block < 1) return AISP_UNUSUAL;
    for (int64_t b = 0; b * block < n; b++) {
        const int64_t from = b * block, until = n - from < block ? n : from + block;
#define NARROW(type)                                                                                        \
    for (int64_t i = from; i < until; i++) {                                                                \
        const type narrow = (type)((uint64_t)difference(column, before, i) - (uint64_t)base[b]);            \
        memcpy(out + i * (int64_t)sizeof(type), &narrow, sizeof(type));                                     \
    }
        switch (width) {
        case 1: NARROW(uint8_t) break;
        case 2: NARROW(uint16_t) break;
        case 4: NARROW(uint32_t) break;
        default: return AISP_UNUSUAL;
        }
    }
    return 0;
}

int64_t aisp_widen(int64_t n, const uint8_t *narrow, int64_t width, int64_t base, const int64_t *before, int64_t *out) {
#define WIDEN(type)                                                                                         \
    for (int64_t i = 0; i < n; i++) {                                                                       \
        type value;                                                                                         \
        memcpy(&value, narrow + i * (int64_t)sizeof(type), sizeof(type));                                   \
        out[i] = (int64_t)((uint64_t)base + (uint64_t)value + (before ? (uint64_t)before[i] : 0));          \
    }
    switch (width) {
    case 1: WIDEN(uint8_t) break;
    case 2: WIDEN(uint16_t) break;
    case 4: WIDEN(uint32_t) break;
    default: return AISP_UNUSUAL;
    }
    return 0;
}

uint64_t aisp_weighed(int64_t n, const uint32_t *words, const uint64_t *weights) {
    uint64_t total = 0;
    for (int64_t i = 0; i < n; i++) total += words[i] * weights[i];
    return total;
}
