/* Which call submitted an operation, which range encloses which, and whether times are plausible and streams in order. */
#include "core.h"

#include <stdlib.h>
#include <string.h>

static inline uint64_t minus(int64_t a, int64_t b) { return (uint64_t)a - (uint64_t)b; }

/* A process's place among those listed, -1 where it is none of them; looked at first is the `last`, as neighbours share it. */
static inline int64_t place_of(const int64_t *processes, int64_t count, int64_t process, int64_t last) {
    if (last >= 0 && last < count && processes[last] == process) return last;
    int64_t low = 0, high = count;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (processes[middle] < process) low = middle + 1;
        else high = middle;
    }
    return low < count && processes[low] == process ? low : -1;
}

/* The key of a process and an id, -1 where no call has it. */
static inline int64_t key_of(const aisp_keys_t *keys, int64_t process, int64_t correlation, int64_t *last) {
    const int64_t p = *last = place_of(keys->process, keys->count, process, *last);
    if (p < 0) return -1;
    if (correlation < keys->low[p] || correlation > keys->high[p]) return -1;
    const uint64_t key = (uint64_t)keys->offset[p] + minus(correlation, keys->low[p]);
    return key < (uint64_t)keys->size ? (int64_t)key : -1;
}

int64_t aisp_claim(const aisp_keys_t *keys, aisp_claim_t *job) {
    if (keys->size < 0 || job->n < 0 || job->n >= INT32_MAX || !aisp_values(&job->process) || !aisp_values(&job->correlation)) return AISP_UNUSUAL;
    int64_t last = 0;
    for (int64_t k = 0; k <= keys->size; k++) job->call[k] = -1;
    for (int64_t i = 0; i < job->n; i++) {
        const int64_t key = key_of(keys, aisp_value(&job->process, i), aisp_value(&job->correlation, i), &last);
        job->outermost[i] = 1;
        if (key < 0) continue;
        const int32_t other = job->call[key];
        if (other >= 0) {
            int better = job->start[i] < job->start[other];
            if (job->start[i] == job->start[other]) {
                better = job->end[i] > job->end[other];
                if (job->end[i] == job->end[other]) better = job->row[i] < job->row[other];
            }
            job->outermost[better ? other : i] = 0;
            if (!better) continue;
        }
        job->call[key] = (int32_t)i;
    }
    return 0;
}

int64_t aisp_submitted(const aisp_keys_t *keys, const int32_t *call, int64_t n, const aisp_column_t *process,
                       const aisp_column_t *correlation, int64_t *out) {
    int64_t last = 0;
    if (!aisp_values(process) || !aisp_values(correlation)) return AISP_UNUSUAL;
    for (int64_t i = 0; i < n; i++) {
        const int64_t key = key_of(keys, aisp_value(process, i), aisp_value(correlation, i), &last);
        out[i] = key < 0 ? -1 : call[key];
    }
    return 0;
}

int64_t aisp_ids(const int64_t *process, int64_t count, int64_t n, const aisp_column_t *of, const aisp_column_t *correlation,
                 int64_t largest, int64_t *low, int64_t *high) {
    int64_t last = 0;
    if (!aisp_values(of) || !aisp_values(correlation)) return AISP_UNUSUAL;
    for (int64_t p = 0; p < count; p++) low[p] = largest, high[p] = -1;
    for (int64_t i = 0; i < n; i++) {
        const int64_t id = aisp_value(correlation, i);
        last = place_of(process, count, aisp_value(of, i), last);
        if (last < 0) return AISP_UNUSUAL;
        if (id < 0 || id >= largest) continue;
        if (id < low[last]) low[last] = id;
        if (id > high[last]) high[last] = id;
    }
    return 0;
}

typedef struct {
    const int64_t *start, *end, *row;
} times_t;

/* In the order of nesting: by start, then the longer first, then by row. */
static inline int before(const times_t *t, int64_t a, int64_t b) {
    if (t->start[a] != t->start[b]) return t->start[a] < t->start[b];
    if (t->end[a] != t->end[b]) return t->end[a] > t->end[b];
    return t->row[a] < t->row[b];
}

static void sorted(const times_t *t, int64_t *a, int64_t *spare, int64_t n) {
    for (int64_t width = 1; width < n; width *= 2)
        for (int64_t low = 0; low + width < n; low += 2 * width) {
            const int64_t middle = low + width, high = middle + width < n ? middle + width : n;
            if (!before(t, a[middle], a[middle - 1])) continue;
            memcpy(spare, a + low, (size_t)width * 8);
            int64_t left = 0, right = middle, to = low;
            while (left < width && right < high) a[to++] = before(t, a[right], spare[left]) ? a[right++] : spare[left++];
            memcpy(a + to, spare + left, (size_t)(width - left) * 8);
        }
}

int64_t aisp_nest(aisp_nest_t *job) {
    if (job->n < 0 || job->groups < 0 || job->groups > job->n || !aisp_codes(&job->group)) return AISP_UNUSUAL;
    const times_t times = {job->start, job->end, job->row};
    int64_t *order = malloc(((size_t)job->n + 1) * 8), *spare = malloc(((size_t)job->n + 1) * 8);
    int64_t *next = calloc((size_t)job->groups + 2, 8), found = order && spare && next ? 0 : AISP_MEMORY;
    for (int64_t i = 0; i < job->n && !found; i++) {
        const uint64_t g = aisp_code(&job->group, i);
        if (g >= (uint64_t)job->groups) found = AISP_UNUSUAL;
        else next[g + 2]++;
    }
    for (int64_t g = 2; g < job->groups + 2 && !found; g++) next[g] += next[g - 1];
    for (int64_t i = 0; i < job->n && !found; i++) order[next[aisp_code(&job->group, i) + 1]++] = i;
    for (int64_t g = 0; g < job->groups && !found; g++) { /* next[g] is where the group begins, now that all are placed */
        const int64_t low = next[g], n = next[g + 1] - low;
        sorted(&times, order + low, spare, n);
        int64_t depth = 0; /* `spare` is the stack of what is open */
        for (int64_t i = low; i < low + n; i++) {
            const int64_t one = order[i];
            while (depth && job->end[spare[depth - 1]] <= job->start[one]) depth--;
            if (depth && job->end[spare[depth - 1]] < job->end[one]) { /* they cross: the other way says who encloses whom */
                found = AISP_UNUSUAL;
                break;
            }
            job->level[one] = depth;
            job->parent[one] = depth ? spare[depth - 1] : -1;
            spare[depth++] = one;
        }
    }
    free(order);
    free(spare);
    free(next);
    return found;
}

int64_t aisp_timely(int64_t n, const aisp_column_t *start, const aisp_column_t *end, int64_t latest, int64_t longest, int64_t zero) {
    int64_t bad = 0;
    if (!aisp_values(start) || !aisp_values(end)) return AISP_UNUSUAL;
    for (int64_t i = 0; i < n; i++) {
        const int64_t s = aisp_value(start, i), e = aisp_value(end, i);
        bad |= s >= latest || s <= -latest || e >= latest || e <= -latest || e < s || minus(e, s) >= (uint64_t)longest;
        bad |= zero && !s && !e;
    }
    return !bad;
}

int64_t aisp_in_turn(int64_t n, const aisp_column_t *lane, int64_t lanes, const int64_t *start, const int64_t *end) {
    if (lanes < 0 || !aisp_codes(lane)) return AISP_UNUSUAL;
    int64_t *reached = malloc(((size_t)lanes + 1) * 8), apart = reached ? 1 : AISP_MEMORY;
    for (int64_t l = 0; reached && l < lanes; l++) reached[l] = INT64_MIN;
    for (int64_t i = 0; i < n && apart == 1; i++) {
        const uint64_t l = aisp_code(lane, i);
        if (l >= (uint64_t)lanes) apart = AISP_UNUSUAL;
        else if (start[i] < reached[l]) apart = 0;
        else reached[l] = end[i];
    }
    free(reached);
    return apart;
}
