/* Launches in the order in which ranges look for them, the slices of it that ranges hold, and the calls that lie inside any range.
 *
 * What is looked for comes nearly in the order of time, so a search begins where the last one of its group ended.
 */
#include "core.h"
#include "sort.h"

#include <stdlib.h>
#include <string.h>

enum { GROUPS = 1 << 20 };

/* Whether these are the bounds of so many groups that lie one after the other in `n` elements. */
static int in_turn(const int64_t *bounds, int64_t groups, int64_t n) {
    if (groups < 0 || bounds[0] != 0 || bounds[groups] != n) return 0;
    for (int64_t g = 0; g < groups; g++)
        if (bounds[g] > bounds[g + 1]) return 0;
    return 1;
}

/* The first of low…high whose value is larger than `key` (`right`) or not smaller, found from `at` on in steps that double. */
static inline int64_t found_from(const int64_t *values, int64_t low, int64_t high, int64_t at, int64_t key, int right) {
#define BEFORE(i) (right ? values[i] <= key : values[i] < key)
    int64_t from = low, until = high;
    if (at < high && BEFORE(at)) {
        for (int64_t step = 1;; step *= 2) {
            from = at + 1;
            if (step >= high - at) break;
            if (!BEFORE(at + step)) {
                until = at + step;
                break;
            }
            at += step;
        }
    } else {
        for (int64_t step = 1;; step *= 2) {
            until = at;
            if (step > at - low) break;
            if (BEFORE(at - step)) {
                from = at - step + 1;
                break;
            }
            at -= step;
        }
    }
    while (from < until) {
        const int64_t middle = from + (until - from) / 2;
        if (BEFORE(middle)) from = middle + 1;
        else until = middle;
    }
    return from;
#undef BEFORE
}

typedef struct {
    int64_t start, end;
} piece_t;

#define START(piece) ((piece).start)
SORT(by_start, piece_t, START)

/* The time that any range of each group covers: pieces that are disjoint and do not touch, from bounds[g] on in each group. */
static int64_t united(const aisp_cover_t *job, piece_t *piece, piece_t *spare, int64_t *bounds, int64_t *upto) {
    for (int64_t r = 0; r < job->ranges; r++) {
        if (job->of[r] < 0 || job->of[r] >= job->groups) return AISP_UNUSUAL;
        bounds[job->of[r] + 1]++;
    }
    for (int64_t g = 0; g < job->groups; g++) upto[g] = bounds[g], bounds[g + 1] += bounds[g];
    for (int64_t r = 0; r < job->ranges; r++)
        if (job->last[r] > job->first[r]) piece[upto[job->of[r]]++] = (piece_t){job->first[r], job->last[r]};
    for (int64_t g = 0; g < job->groups; g++) {
        piece_t *mine = piece + bounds[g];
        const int64_t n = upto[g] - bounds[g];
        int64_t kept = 0;
        by_start(mine, spare, n);
        for (int64_t i = 0; i < n; i++)
            if (kept && mine[i].start <= mine[kept - 1].end) {
                if (mine[i].end > mine[kept - 1].end) mine[kept - 1].end = mine[i].end;
            } else mine[kept++] = mine[i];
        upto[g] = bounds[g] + kept;
    }
    return 0;
}

/* A cover's pieces, and of each group the first that begins later than the call that was looked for last. */
typedef struct {
    piece_t *piece;
    int64_t *bounds, *upto, *next;
} covered_t;

static int64_t cover(const aisp_cover_t *job, covered_t *made) {
    if (job->groups < 0 || job->ranges < 0 || !aisp_codes(&job->group)) return AISP_UNUSUAL;
    const size_t room = (size_t)job->ranges + 1, groups = (size_t)job->groups + 2;
    piece_t *spare = malloc(room * sizeof *spare);
    made->piece = malloc(room * sizeof *made->piece);
    made->bounds = calloc(groups, 8), made->upto = calloc(groups, 8), made->next = calloc(groups, 8);
    int64_t found = spare && made->piece && made->bounds && made->upto && made->next ? 0 : AISP_MEMORY;
    if (!found) found = united(job, made->piece, spare, made->bounds, made->upto);
    if (!found) memcpy(made->next, made->bounds, (size_t)job->groups * 8);
    free(spare);
    return found;
}

/* Whether a piece of the group holds this time. */
static int holds(covered_t *covered, uint64_t g, int64_t start, int64_t end) {
    const piece_t *piece = covered->piece;
    const int64_t low = covered->bounds[g], high = covered->upto[g], last = covered->next[g];
    int64_t at = last;
    while (at < high && piece[at].start <= start && at - last < 4) at++;
    if (at - last == 4 || (at == last && at > low && piece[at - 1].start > start)) {
        int64_t from = at == last ? low : at, until = at == last ? at : high;
        while (from < until) {
            const int64_t middle = from + (until - from) / 2;
            if (piece[middle].start <= start) from = middle + 1;
            else until = middle;
        }
        at = from;
    }
    covered->next[g] = at;
    return at > low && end <= piece[at - 1].end;
}

/* The first cover that holds the call, `covers` where none does; AISP_UNUSUAL where its group is none. */
static int64_t holder(const aisp_inside_t *job, covered_t *covered, int64_t call) {
    for (int64_t k = 0; k < job->covers; k++) {
        const uint64_t g = aisp_code(&job->cover[k].group, call);
        if (g >= (uint64_t)job->cover[k].groups) return AISP_UNUSUAL;
        if (holds(covered + k, g, job->start[call], job->end[call])) return k;
    }
    return job->covers;
}

int64_t aisp_inside(aisp_inside_t *job) {
    if (job->covers < 0 || job->covers > AISP_COVERS || job->own > job->covers) return AISP_UNUSUAL;
    covered_t covered[AISP_COVERS] = {{0}};
    int64_t found = 0, last = -1, told = 0;
    for (int64_t k = 0; k < job->covers && !found; k++) found = cover(job->cover + k, covered + k);
    job->in_any = job->in_own = 0;
    for (int64_t i = 0; i < job->n && !found; i++) {
        const int64_t call = job->launch[i];
        if (call < 0) continue;
        if (call != last) told = call < job->calls ? holder(job, covered, call) : AISP_UNUSUAL;
        if (told < 0) found = told;
        last = call;
        job->in_any += told < job->covers;
        job->in_own += told < job->own;
    }
    for (int64_t k = 0; k < job->covers; k++) free(covered[k].piece), free(covered[k].bounds), free(covered[k].upto), free(covered[k].next);
    return found;
}

static inline int64_t within(int64_t value, int64_t low, int64_t high) {
    return value < low ? low : value > high ? high : value;
}

static inline int64_t plus(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }

int64_t aisp_slices(const aisp_slices_t *job) {
    if (!in_turn(job->bounds, job->groups, job->n)) return AISP_UNUSUAL;
    int64_t *next = malloc(((size_t)job->groups + 1) * 8), *after = malloc(((size_t)job->groups + 1) * 8);
    int64_t found = next && after ? 0 : AISP_MEMORY;
    for (int64_t g = 0; !found && g < job->groups; g++) next[g] = after[g] = job->bounds[g];
    for (int64_t i = 0; i < job->count && !found; i++) {
        const int64_t g = job->group[i];
        if (g < 0 || g >= job->groups) {
            found = AISP_UNUSUAL;
            break;
        }
        const int64_t from = job->bounds[g], until = job->bounds[g + 1], shift = job->shift[g];
        const int64_t first = plus(within(job->start[i], job->low[g], plus(job->high[g], 1)), shift);
        const int64_t last = plus(within(job->end[i], plus(job->low[g], -1), job->high[g]), shift);
        job->begin[i] = next[g] = found_from(job->first, from, until, next[g], first, 0);
        job->stop[i] = after[g] = found_from(job->last, from, until, after[g], last, 1);
    }
    free(next);
    free(after);
    return found;
}

/* How many operations each call and each group has; the groups' calls' bounds. */
static int64_t counted(aisp_order_t *job, uint32_t *of_call, int64_t *of_group) {
    for (int64_t i = 0; i < job->n; i++) {
        const int64_t call = job->launch[i];
        if (call < 0) continue;
        if (call >= job->calls) return AISP_UNUSUAL;
        const uint64_t key = aisp_code(&job->key, call), gpu = aisp_code(&job->gpu, i);
        if (key >= (uint64_t)job->keys || gpu >= (uint64_t)job->gpus) return AISP_UNUSUAL;
        of_call[call]++;
        of_group[key * (uint64_t)job->gpus + gpu]++;
    }
    return 0;
}

static void placed(aisp_order_t *job, const uint32_t *by_call, int64_t count, int64_t *next) {
    for (int64_t i = 0; i < count; i++) {
        const int64_t item = by_call[i], call = job->launch[item];
        const int64_t g = (int64_t)(aisp_code(&job->key, call) * (uint64_t)job->gpus + aisp_code(&job->gpu, item));
        const int64_t at = next[g]++;
        job->item[at] = item;
        job->begin[at] = job->start[call];
        job->finish[at] = job->end[call];
    }
}

int64_t aisp_order(aisp_order_t *job) {
    if (job->keys < 0 || job->gpus < 0 || job->keys > GROUPS || job->gpus > GROUPS || job->keys * job->gpus > GROUPS) return AISP_UNUSUAL;
    if (job->n < 0 || job->n >= UINT32_MAX || job->calls < 0) return AISP_UNUSUAL;
    if (!aisp_codes(&job->key) || !aisp_codes(&job->gpu)) return AISP_UNUSUAL;
    const int64_t groups = job->keys * job->gpus;
    uint32_t *of_call = calloc((size_t)job->calls + 1, 4), *by_call = NULL;
    int64_t *of_group = calloc((size_t)groups + 1, 8), found = of_call && of_group ? 0 : AISP_MEMORY, count = 0;
    if (!found) found = counted(job, of_call, of_group);
    for (int64_t c = 0, next; c < job->calls && !found; c++, count += next) next = of_call[c], of_call[c] = (uint32_t)count;
    if (!found && !(by_call = malloc(((size_t)count + 1) * 4))) found = AISP_MEMORY;
    if (!found) {
        for (int64_t i = 0; i < job->n; i++)
            if (job->launch[i] >= 0) by_call[of_call[job->launch[i]]++] = (uint32_t)i;
        int64_t at = 0, used = 0;
        for (int64_t g = 0, mine; g < groups; g++, at += mine) {
            mine = of_group[g];
            of_group[g] = at;
            if (!mine) continue;
            job->group[used] = g;
            job->bounds[used++] = at;
        }
        job->bounds[used] = at;
        job->groups = used;
        placed(job, by_call, count, of_group);
    }
    free(of_call);
    free(by_call);
    free(of_group);
    return found ? found : count;
}

int64_t aisp_shift(int64_t groups, const int64_t *bounds, const int64_t *shift, int64_t n, int64_t *begin, int64_t *finish) {
    if (!in_turn(bounds, groups, n)) return AISP_UNUSUAL;
    int64_t told = 0, began = INT64_MIN, ended = INT64_MIN;
    for (int64_t g = 0; g < groups; g++)
        for (int64_t i = bounds[g]; i < bounds[g + 1]; i++) {
            begin[i] = plus(begin[i], shift[g]);
            finish[i] = plus(finish[i], shift[g]);
            if (begin[i] < began) told |= 1;
            if (finish[i] < ended) told |= 2;
            began = begin[i];
            ended = finish[i];
        }
    return told;
}
