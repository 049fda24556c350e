/* The numbers of many slices of operations, as ../ranges/quantities.py defines them, one slice after the other.
 *
 * Operations of a slice are brought into the order of their starts, which is nearly the one in which they were launched. Then one
 * pass does: the time that any of some classes is in flight grows by what each operation reaches beyond all before it, and the
 * time that two are in flight by what it shares with the one that reached farthest.
 */
#include "core.h"
#include "sort.h"

#include <stdlib.h>
#include <string.h>

enum { COMPUTE, COMM, H2D, D2H, D2D, P2P, MEMSET_, GRAPH, OTHER, MIGRATION, KINDS };
enum { OF_ALL = KINDS, OF_STREAMS, OF_COPIES, OF_COPIES_AND_COMPUTE, OF_COMM_AND_COMPUTE, OF_PEERS, UNIONS };

typedef struct {
    int64_t start, end;
    int32_t kind;
} op_t;

typedef struct {
    op_t *op, *spare;
    int64_t *ends, *spare_ends;
    int64_t room;
} held_t;

static const uint32_t COPIES = 1u << H2D | 1u << D2H | 1u << D2D | 1u << P2P;

/* The classes of each union, as bits. */
static uint32_t classes_of(int what) {
    switch (what) {
    case OF_ALL: return (1u << KINDS) - 1;
    case OF_STREAMS: return ((1u << KINDS) - 1) & ~(1u << MIGRATION);
    case OF_COPIES: return COPIES;
    case OF_COPIES_AND_COMPUTE: return COPIES | 1u << COMPUTE;
    case OF_COMM_AND_COMPUTE: return 1u << COMM | 1u << COMPUTE;
    case OF_PEERS: return 1u << COMM | 1u << P2P;
    default: return 1u << what;
    }
}

static inline int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
/* Times are checked when a trace is read; whatever else comes here wraps around rather than being undefined. */
static inline int64_t minus(int64_t a, int64_t b) { return (int64_t)((uint64_t)a - (uint64_t)b); }
static inline int64_t plus(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }

static int fit(held_t *held, int64_t count) {
    if (count <= held->room) return 1;
    free(held->op);
    free(held->spare);
    free(held->ends);
    free(held->spare_ends);
    held->room = count + count / 2 + 64;
    held->op = malloc((size_t)held->room * sizeof(op_t));
    held->spare = malloc((size_t)held->room * sizeof(op_t));
    held->ends = malloc((size_t)held->room * 8);
    held->spare_ends = malloc((size_t)held->room * 8);
    if (held->op && held->spare && held->ends && held->spare_ends) return 1;
    held->room = 0;
    return 0;
}

#define START(op) ((op).start)
#define ITSELF(x) (x)
SORT(by_start, op_t, START)
SORT(by_end, int64_t, ITSELF)

/* The most of the operations on streams that are in flight at once; they are in the order of their starts. */
static int64_t most_in_flight(held_t *held, int64_t n) {
    int64_t count = 0, deepest = 0, ended = 0, begun = 0, sorted = 1;
    for (int64_t i = 0; i < n; i++) {
        if (held->op[i].kind == MIGRATION) continue;
        if (count && held->op[i].end < held->ends[count - 1]) sorted = 0;
        held->ends[count++] = held->op[i].end;
    }
    if (!sorted) by_end(held->ends, held->spare_ends, count);
    for (int64_t i = 0; i < n; i++) {
        if (held->op[i].kind == MIGRATION) continue;
        while (ended < count && held->ends[ended] <= held->op[i].start) ended++;
        deepest = most(deepest, ++begun - ended);
    }
    return deepest;
}

#define PUT(name, value) \
    if (job->name) job->name[slice] = (value)

static void numbers(const aisp_sweep_t *job, held_t *held, int64_t slice, int64_t n, int64_t first) {
    int64_t reach[UNIONS], busy[UNIONS] = {0}, twice = 0, twice_until = held->op[0].start, farthest = twice_until;
    int64_t sum = 0, kernels = 0, graphs = 0, low = held->op[0].start, high = held->op[0].end;
    for (int u = 0; u < UNIONS; u++) reach[u] = low;
    for (int64_t i = 0; i < n; i++) {
        const int64_t start = held->op[i].start, end = held->op[i].end;
        const int32_t kind = held->op[i].kind;
        high = most(high, end);
        sum = plus(sum, minus(end, start));
        kernels += kind == COMPUTE || kind == COMM;
        graphs += kind == GRAPH;
        for (uint32_t left = job->unions_of[kind]; left; left &= left - 1) {
            const int u = __builtin_ctz(left);
            const int64_t from = most(start, reach[u]);
            if (end > from) {
                busy[u] = plus(busy[u], minus(end, from));
                reach[u] = end;
            }
        }
        if (kind != MIGRATION) {
            const int64_t shared = least(end, farthest), from = most(start, twice_until);
            if (shared > from) {
                twice = plus(twice, minus(shared, from));
                twice_until = shared;
            }
            farthest = most(farthest, end);
        }
    }
    const int64_t engines[4] = {busy[COMPUTE], busy[H2D], busy[D2H], busy[OF_PEERS]};
    job->ops[slice] = n;
    job->first[slice] = first;
    PUT(kernels, kernels);
    PUT(graphs, graphs);
    PUT(sum, sum);
    PUT(proj_start, low);
    PUT(proj_end, high);
    PUT(busy, busy[OF_ALL]);
    PUT(overlap, twice);
    PUT(copies, busy[OF_COPIES]);
    PUT(copy_compute, minus(plus(busy[OF_COPIES], busy[COMPUTE]), busy[OF_COPIES_AND_COMPUTE]));
    PUT(comm_compute, minus(plus(busy[COMM], busy[COMPUTE]), busy[OF_COMM_AND_COMPUTE]));
    if (job->by_class) memcpy(job->by_class + slice * KINDS, busy, KINDS * 8);
    if (job->by_engine) memcpy(job->by_engine + slice * 4, engines, sizeof engines);
    if (job->in_flight) job->in_flight[slice] = most_in_flight(held, n);
}

/* The same of a slice whose operations lie in the order of their starts, where no more is asked than how long any was in flight;
 * 0 where they do not, or more is asked. */
static int plain(const aisp_sweep_t *job, int64_t slice) {
    if (job->classes || job->returned || job->tangled || job->overlap || job->in_flight) return 0;
    if (job->copies || job->copy_compute || job->comm_compute || job->by_class || job->by_engine) return 0;
    int64_t busy = 0, sum = 0, kernels = 0, graphs = 0, launches = 0;
    const int64_t low = job->low[slice], high = job->high[slice];
    int64_t reach = job->start[low], before = reach, latest = job->end[low];
    for (int64_t i = low; i < high; i++) {
        const int64_t start = job->start[i], end = job->end[i], from = most(start, reach);
        if (start < before || job->kind[i] < 0 || job->kind[i] >= KINDS) return 0;
        before = start;
        latest = most(latest, end);
        sum = plus(sum, minus(end, start));
        if (end > from) busy = plus(busy, minus(end, from)), reach = end;
        if (job->kernels) kernels += job->kind[i] == COMPUTE || job->kind[i] == COMM;
        if (job->graphs) graphs += job->kind[i] == GRAPH;
        if (job->launches) launches += i == low || job->launch[i] != job->launch[i - 1];
    }
    job->ops[slice] = high - low;
    job->first[slice] = low;
    PUT(kernels, kernels);
    PUT(launches, launches);
    PUT(graphs, graphs);
    PUT(sum, sum);
    PUT(busy, busy);
    PUT(proj_start, job->start[low]);
    PUT(proj_end, latest);
    return 1;
}

int64_t aisp_sweep(aisp_sweep_t *job) {
    held_t held = {0};
    int64_t found = 0;
    for (int kind = 0; kind < KINDS; kind++) {
        job->unions_of[kind] = 0;
        for (int u = 0; u < UNIONS; u++)
            if (classes_of(u) >> kind & 1 && (job->classes || u == OF_ALL)) job->unions_of[kind] |= 1u << u;
    }
    for (int64_t s = 0; s < job->count && !found; s++) {
        const int64_t low = job->low[s], high = job->high[s];
        job->ops[s] = job->left[s] = 0;
        if (low < 0 || high > job->n || low > high) found = AISP_UNUSUAL;
        else if (!fit(&held, high - low)) found = AISP_MEMORY;
        if (found) break;
        if (high > low && plain(job, s)) continue;
        int64_t n = 0, first = 0, launches = 0, before = 0, sorted = 1;
        for (int64_t i = low; i < high; i++) {
            if (job->returned && job->returned[i] > job->until[s]) continue;
            if (job->tangled && job->tangled[i]) job->left[s] = 1;
            if (job->kind[i] < 0 || job->kind[i] >= KINDS) found = AISP_UNUSUAL;
            if (!n) first = i;
            if (job->launch) launches += !n || job->launch[i] != before, before = job->launch[i];
            if (n && job->start[i] < held.op[n - 1].start) sorted = 0;
            held.op[n++] = (op_t){job->start[i], job->end[i], job->kind[i]};
        }
        if (found || !n || job->left[s]) continue;
        if (!sorted) by_start(held.op, held.spare, n);
        if (job->launches) job->launches[s] = launches;
        numbers(job, &held, s, n, first);
    }
    free(held.op);
    free(held.spare);
    free(held.ends);
    free(held.spare_ends);
    return found;
}
