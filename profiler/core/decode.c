/* Leaf pages of an SQLite table into columns, on several threads.
 *
 * Sources: "Database File Format" of SQLite's documentation, sections "B-tree Pages", "A Variable-Length Integer", "Record
 * Format". The file is hostile: pages are read with pread into buffers of this process (a file that shrinks is an error, not a
 * signal), and every length is checked against its page and its record before anything is loaded. Whatever is not the plain
 * case ends with a negative code: the caller then reads the table in its other way, which knows what to say of it. So this file
 * decides nothing that ../trace/source/{pages,records,values}.py do not decide alike, and accepts no page that they refuse.
 */
#define _GNU_SOURCE
#include "core.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LEAF = 0x0D, PAD = 16, PAGES = 32, HEADER = 64, PLANS = 64 };
enum { NIL = 0, FLOAT = 7, ZERO = 8, ONE = 9, BLOB = 12 };

typedef struct {
    uint8_t header[HEADER];
    uint32_t length;             /* of the header; 0: an empty place */
    uint64_t content;            /* bytes of all columns up to the last wanted one, with the header */
    uint64_t at[AISP_COLUMNS];   /* of each wanted column, from the record's beginning */
    uint64_t type[AISP_COLUMNS];
} plan_t;

typedef struct {
    const aisp_decode_t *job;
    aisp_texts_t *texts[AISP_COLUMNS];
    pthread_mutex_t lock;        /* of the next three */
    int64_t next, error;
    int64_t *base;               /* where each batch's rows begin; set by whoever read the batch before */
    int64_t batches;
    uint8_t *same;               /* batch x column: SAME_VALUES | SAME_NULLS */
    int64_t *value;              /* batch x column: the one value */
    uint8_t *nulls;              /* batch x column: NONE, ALL or SOME */
    _Atomic int64_t spilled;
} shared_t;

enum { MIXED = 0, SAME = 1 };
enum { NO_NULL = 0, ALL_NULL = 1, SOME_NULL = 2 };

static inline uint32_t be16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }

static inline uint64_t load64(const uint8_t *p) {
    uint64_t x;
    memcpy(&x, p, 8);
    return x;
}

/* A varint of up to 8 bytes; 0 where it takes nine (a negative number), else its length. 8 bytes from p can be loaded. */
static inline int varint(const uint8_t *p, uint64_t *value) {
    uint64_t x = p[0];
    if (x < 128) {
        *value = x;
        return 1;
    }
    x &= 127;
    for (int i = 1; i < 8; i++) {
        x = x << 7 | (p[i] & 127);
        if (p[i] < 128) {
            *value = x;
            return i + 1;
        }
    }
    return 0;
}

static inline uint64_t size_of(uint64_t type) {
    static const uint8_t small[BLOB] = {0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0};
    return type < BLOB ? small[type] : (type - BLOB) >> 1;
}

/* Offsets and types of the wanted columns of one record. `room` bytes of it lie in the page. */
static int64_t make_plan(const aisp_decode_t *job, const uint8_t *record, uint64_t room, plan_t *plan) {
    uint64_t length, at, type = 0;
    int used = varint(record, &length);
    if (!used || length > room) return AISP_UNUSUAL;
    at = length;
    uint64_t place = (uint64_t)used;
    int wanted = 0;
    plan->content = length;
    for (int column = 0; column < job->table_columns; column++) {
        if (place >= length) return AISP_UNUSUAL; /* fewer columns than the table has */
        used = varint(record + place, &type);
        if (!used) return AISP_UNUSUAL;
        place += (uint64_t)used;
        uint64_t size = size_of(type);
        if (wanted < job->columns && job->wanted[wanted].place == column) {
            if (size > room || at > room - size) return AISP_UNUSUAL; /* a value that leaves its record */
            plan->at[wanted] = at;
            plan->type[wanted] = type;
            wanted++;
            plan->content = at + size;
            if (wanted == job->columns && column == job->table_columns - 1 && at + size != room) return AISP_UNUSUAL;
        }
        if (wanted < job->columns) {
            if (size > room || at > room - size) return AISP_UNUSUAL;
            at += size;
        }
    }
    if (place != length || wanted != job->columns) return AISP_UNUSUAL;
    plan->length = (uint32_t)length;
    return 0;
}

/* One value; its type has been looked up, its bytes lie in the record. */
static inline int64_t integer(const uint8_t *at, uint64_t type, int64_t *value) {
    static const uint8_t shift[7] = {0, 56, 48, 40, 32, 16, 0};
    if (type >= 1 && type <= 6) {
        *value = (int64_t)__builtin_bswap64(load64(at)) >> shift[type];
        return 0;
    }
    if (type == ZERO || type == ONE) {
        *value = (int64_t)(type == ONE);
        return 0;
    }
    return AISP_UNUSUAL;
}

static int64_t real(const uint8_t *at, uint64_t type, int64_t *bits) {
    double number;
    if (type == FLOAT) {
        *bits = (int64_t)__builtin_bswap64(load64(at));
        return 0;
    }
    int64_t whole;
    if (integer(at, type, &whole)) return AISP_UNUSUAL;
    number = (double)whole;
    memcpy(bits, &number, 8);
    return 0;
}

typedef struct {
    uint8_t *pages;
    int64_t *values;  /* columns x rows of a batch */
    uint8_t *null;
    int64_t *row;
    plan_t *plans, *long_one;
    aisp_seen_t *seen[AISP_COLUMNS];
    int64_t room;     /* rows that a batch may have */
} worker_t;

static const int64_t NAN_BITS = 0x7ff8000000000000;

static int64_t take_row(shared_t *s, worker_t *w, const uint8_t *record, uint64_t length, int64_t rowid, int64_t r) {
    const aisp_decode_t *job = s->job;
    plan_t *plan = w->long_one;
    uint32_t n = record[0];
    if (n <= HEADER && n >= 1 && n <= length && n < 128) {
        uint64_t mix = n;
        uint32_t k = 0;
        for (; k + 8 <= n; k += 8) mix = (mix ^ load64(record + k)) * 0x9E3779B97F4A7C15ull, mix ^= mix >> 29;
        for (; k < n; k++) mix = (mix ^ record[k]) * 0x9E3779B97F4A7C15ull;
        plan = w->plans + ((mix >> 40) % PLANS);
        if (plan->length != n || memcmp(plan->header, record, n) != 0) {
            plan->length = 0;
            int64_t error = make_plan(job, record, length, plan);
            if (error) return plan->length = 0, error;
            memcpy(plan->header, record, n);
        }
    } else {
        int64_t error = make_plan(job, record, length, plan);
        if (error) return error;
    }
    /* the plan may be of another record with the same header: its contents must fit into this one */
    if (plan->content > length || (job->ends_with_last && plan->content != length)) return AISP_UNUSUAL;
    for (int c = 0; c < job->columns; c++) {
        const aisp_wanted_t *wanted = job->wanted + c;
        uint64_t type = plan->type[c];
        int64_t *out = w->values + c * w->room + r;
        const uint8_t *at = record + plan->at[c];
        w->null[c * w->room + r] = type == NIL;
        if (wanted->kind == AISP_ALIAS) {
            if (type != NIL) return AISP_UNUSUAL;
            *out = rowid;
            w->null[c * w->room + r] = 0;
        } else if (type == NIL) {
            *out = wanted->kind == AISP_TEXT ? -1 : wanted->kind == AISP_REAL ? NAN_BITS : 0;
        } else if (wanted->kind == AISP_TEXT) {
            if (type < BLOB) return AISP_UNUSUAL;
            int64_t code = aisp_text_code(s->texts[c], w->seen[c], at, (uint32_t)size_of(type));
            if (code < 0) return code;
            *out = code;
        } else if (wanted->kind == AISP_REAL ? real(at, type, out) : integer(at, type, out)) {
            return AISP_UNUSUAL;
        }
    }
    return 0;
}

static void spilled_row(shared_t *s, worker_t *w, int64_t r, int64_t at) {
    const aisp_decode_t *job = s->job;
    int64_t number = atomic_fetch_add(&s->spilled, 1);
    if (number < job->spilled_room) job->spilled[number] = at;
    for (int c = 0; c < job->columns; c++) {
        int kind = job->wanted[c].kind;
        w->values[c * w->room + r] = kind == AISP_TEXT ? -1 : kind == AISP_REAL ? NAN_BITS : 0;
        w->null[c * w->room + r] = 1;
    }
}

/* How much of a record that overflows lies on its leaf. */
static uint64_t local_bytes(uint64_t payload, uint64_t usable) {
    uint64_t least = (usable - 12) * 32 / 255 - 23, rest = least + (payload - least) % (usable - 4);
    return rest <= usable - 35 ? rest : least;
}

static int64_t take_leaf(shared_t *s, worker_t *w, const uint8_t *page, int64_t leaf, int64_t *r, int64_t base) {
    const aisp_decode_t *job = s->job;
    const uint64_t usable = (uint64_t)job->usable;
    const uint32_t count = be16(page + 3);
    int64_t before = job->above[leaf];
    for (uint32_t i = 0; i < count; i++, (*r)++) {
        uint64_t at = be16(page + 8 + 2 * i), payload, rowid;
        if (at < 8 + 2 * (uint64_t)count || at > usable - 4) return AISP_UNUSUAL;
        int used = varint(page + at, &payload);
        if (!used) return AISP_UNUSUAL;
        at += (uint64_t)used;
        used = varint(page + at, &rowid); /* at most 8 bytes behind the page's end, which lie in the buffer */
        if (!used) return AISP_UNUSUAL;
        at += (uint64_t)used;
        if (at >= usable) return AISP_UNUSUAL;
        if ((int64_t)rowid <= before) return AISP_UNUSUAL;
        before = (int64_t)rowid;
        w->row[*r] = before;
        if (payload > usable - 35) {
            if (payload >= 1ull << 31 || at + local_bytes(payload, usable) + 4 > usable) return AISP_UNUSUAL;
            spilled_row(s, w, *r, base + *r);
            continue;
        }
        if (payload < 1 || payload > usable - at) return AISP_UNUSUAL;
        int64_t error = take_row(s, w, page + at, payload, before, *r);
        if (error) return error;
    }
    return before > job->upto[leaf] ? AISP_UNUSUAL : 0;
}

static int64_t read_pages(const aisp_decode_t *job, uint8_t *out, int64_t low, int64_t high) {
    for (int64_t a = low; a < high;) {
        int64_t b = a + 1;
        if (job->leaves[a] < 1 || job->leaves[a] > job->page_count) return AISP_UNUSUAL;
        while (b < high && job->leaves[b] == job->leaves[b - 1] + 1 && job->leaves[b] <= job->page_count) b++;
        int64_t want = (b - a) * job->page_size, got = 0, from = (job->leaves[a] - 1) * job->page_size;
        while (got < want) {
            ssize_t part = pread(job->descriptor, out + (a - low) * job->page_size + got, (size_t)(want - got), from + got);
            if (part < 0 && errno == EINTR) continue;
            if (part <= 0) return AISP_UNUSUAL;
            got += part;
        }
        a = b;
    }
    return 0;
}

/* The rows of a batch's pages: checked headers only. */
static int64_t count_rows(const aisp_decode_t *job, const uint8_t *pages, int64_t n) {
    int64_t rows = 0;
    for (int64_t i = 0; i < n; i++) {
        const uint8_t *page = pages + i * job->page_size;
        uint32_t count = be16(page + 3);
        if (page[0] != LEAF || count > (job->page_size - 8) / 6) return AISP_UNUSUAL;
        if (!count && job->leaf_count > 1) return AISP_UNUSUAL;
        rows += count;
    }
    return rows;
}

static int64_t fit(const aisp_decode_t *job, worker_t *w, int64_t rows) {
    if (rows <= w->room && w->values) return 0;
    free(w->values);
    free(w->null);
    free(w->row);
    w->room = rows < 1024 ? 1024 : rows + rows / 4;
    size_t cells = (size_t)w->room * (size_t)(job->columns ? job->columns : 1);
    w->values = malloc(cells * 8);
    w->null = malloc(cells);
    w->row = malloc((size_t)w->room * 8);
    return w->values && w->null && w->row ? 0 : AISP_MEMORY;
}

/* Put a batch's columns into their places; what is one value throughout is only noted. */
static void put(shared_t *s, worker_t *w, int64_t batch, int64_t base, int64_t rows) {
    const aisp_decode_t *job = s->job;
    memcpy(job->row + base, w->row, (size_t)rows * 8);
    for (int c = 0; c < job->columns; c++) {
        const int64_t *values = w->values + c * w->room;
        const uint8_t *null = w->null + c * w->room;
        int64_t nulls = 0, differ = 0;
        for (int64_t i = 0; i < rows; i++) {
            nulls += null[i];
            differ |= values[i] ^ values[0];
        }
        int64_t slot = batch * job->columns + c;
        s->same[slot] = differ ? MIXED : SAME;
        s->value[slot] = rows ? values[0] : 0;
        s->nulls[slot] = nulls == 0 ? NO_NULL : nulls == rows ? ALL_NULL : SOME_NULL;
        if (differ) memcpy(job->wanted[c].values + base, values, (size_t)rows * 8);
        if (s->nulls[slot] == SOME_NULL) memcpy(job->wanted[c].null + base, null, (size_t)rows);
    }
}

/* Take the next batch: its pages, and where its rows begin, which is known once those of all before have been counted. One thread
 * at a time does this, and no other waits but for that; decoding, which takes many times as long, is done beside each other. */
static int64_t take_batch(shared_t *s, worker_t *w, int64_t *base, int64_t *rows) {
    const aisp_decode_t *job = s->job;
    pthread_mutex_lock(&s->lock);
    int64_t batch = s->error ? s->batches : s->next, error = 0;
    if (batch < s->batches) {
        const int64_t low = batch * PAGES, high = low + PAGES < job->leaf_count ? low + PAGES : job->leaf_count;
        s->next++;
        error = read_pages(job, w->pages, low, high);
        *rows = error ? error : count_rows(job, w->pages, high - low);
        *base = s->base[batch];
        if (*rows < 0) error = *rows;
        else if (*base + *rows > job->room) error = AISP_ROOM;
        else s->base[batch + 1] = *base + *rows;
        if (error && !s->error) s->error = error;
    }
    pthread_mutex_unlock(&s->lock);
    return error ? error : batch;
}

static int64_t take_rows(shared_t *s, worker_t *w, int64_t batch, int64_t base, int64_t rows) {
    const aisp_decode_t *job = s->job;
    const int64_t low = batch * PAGES, high = low + PAGES < job->leaf_count ? low + PAGES : job->leaf_count;
    int64_t error = fit(job, w, rows), r = 0;
    for (int64_t leaf = low; leaf < high && !error; leaf++)
        error = take_leaf(s, w, w->pages + (leaf - low) * job->page_size, leaf, &r, base);
    if (!error) put(s, w, batch, base, rows);
    return error;
}

static void *work(void *argument) {
    shared_t *s = argument;
    const aisp_decode_t *job = s->job;
    worker_t w = {0};
    int64_t error = 0;
    w.pages = calloc(1, (size_t)(PAGES * job->page_size + PAD));
    w.plans = calloc(PLANS + 1, sizeof(plan_t));
    if (!w.pages || !w.plans) error = AISP_MEMORY;
    for (int c = 0; c < job->columns && !error; c++)
        if (job->wanted[c].kind == AISP_TEXT && !(w.seen[c] = aisp_seen_new())) error = AISP_MEMORY;
    w.long_one = w.plans + PLANS;
    while (!error) {
        int64_t base = 0, rows = 0, batch = take_batch(s, &w, &base, &rows);
        if (batch < 0 || batch >= s->batches) break;
        error = take_rows(s, &w, batch, base, rows);
    }
    if (error) {
        pthread_mutex_lock(&s->lock);
        if (!s->error) s->error = error;
        pthread_mutex_unlock(&s->lock);
    }
    for (int c = 0; c < job->columns; c++) free(w.seen[c]);
    free(w.pages);
    free(w.plans);
    free(w.values);
    free(w.null);
    free(w.row);
    return NULL;
}

/* Columns of one value throughout are told so and not written; in the others, what was only noted is written now. */
static void finish(shared_t *s) {
    const aisp_decode_t *job = s->job;
    for (int c = 0; c < job->columns; c++) {
        aisp_wanted_t *wanted = job->wanted + c;
        int one = 1, none = 1, all = 1, started = 0;
        for (int64_t b = 0; b < s->batches; b++) {
            int64_t slot = b * job->columns + c;
            if (s->base[b] == s->base[b + 1]) continue;
            if (!started) wanted->value = s->value[slot];
            started = 1;
            one &= s->same[slot] && s->value[slot] == wanted->value;
            none &= s->nulls[slot] == NO_NULL;
            all &= s->nulls[slot] == ALL_NULL;
        }
        wanted->one_value = one;
        wanted->nulls = none || !started ? NO_NULL : all ? ALL_NULL : SOME_NULL;
        for (int64_t b = 0; b < s->batches; b++) {
            int64_t slot = b * job->columns + c, from = s->base[b], to = s->base[b + 1];
            if (!one && s->same[slot])
                for (int64_t i = from; i < to; i++) wanted->values[i] = s->value[slot];
            if (wanted->nulls == SOME_NULL && s->nulls[slot] != SOME_NULL)
                memset(wanted->null + from, s->nulls[slot] == ALL_NULL, (size_t)(to - from));
        }
    }
}

static int64_t refused(const aisp_decode_t *job) {
    if (job->columns < 0 || job->columns > AISP_COLUMNS || job->table_columns < 1 || job->threads < 1) return 1;
    if (job->page_size < 512 || job->page_size > 65536 || job->usable < 480 || job->usable > job->page_size) return 1;
    for (int c = 0; c < job->columns; c++)
        if (job->wanted[c].place < (c ? job->wanted[c - 1].place + 1 : 0) || job->wanted[c].place >= job->table_columns) return 1;
    return job->leaf_count < 0;
}

int64_t aisp_decode(aisp_decode_t *job) {
    if (refused(job)) return AISP_UNUSUAL;
    shared_t s = {.job = job, .batches = (job->leaf_count + PAGES - 1) / PAGES};
    size_t slots = (size_t)(s.batches * job->columns) + 1;
    int64_t found = AISP_MEMORY;
    s.base = malloc((size_t)(s.batches + 1) * sizeof *s.base);
    s.same = calloc(slots, 1);
    s.nulls = calloc(slots, 1);
    s.value = calloc(slots, 8);
    job->ends_with_last = job->columns && job->wanted[job->columns - 1].place == job->table_columns - 1;
    for (int c = 0; c < job->columns; c++)
        if (job->wanted[c].kind == AISP_TEXT) s.texts[c] = job->wanted[c].texts = aisp_texts_new();
    if (s.base && s.same && s.nulls && s.value) {
        s.base[0] = 0;
        pthread_mutex_init(&s.lock, NULL);
        aisp_threads(work, &s, job->threads < s.batches ? job->threads : s.batches);
        pthread_mutex_destroy(&s.lock);
        found = s.error;
        if (!found) {
            finish(&s);
            job->spilled_count = atomic_load(&s.spilled);
            found = job->spilled_count > job->spilled_room ? AISP_UNUSUAL : s.base[s.batches];
        }
    }
    free(s.base);
    free(s.same);
    free(s.nulls);
    free(s.value);
    return found;
}

/* The rows of these leaf pages, from their headers alone. */
int64_t aisp_count(const aisp_decode_t *job) {
    if (refused(job)) return AISP_UNUSUAL;
    int64_t rows = 0;
    for (int64_t i = 0; i < job->leaf_count; i++) {
        uint8_t head[8];
        if (job->leaves[i] < 1 || job->leaves[i] > job->page_count) return AISP_UNUSUAL;
        if (pread(job->descriptor, head, 8, (job->leaves[i] - 1) * job->page_size) != 8) return AISP_UNUSUAL;
        int64_t count = count_rows(job, head, 1);
        if (count < 0) return count;
        rows += count;
    }
    return rows;
}
