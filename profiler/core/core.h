/* The compiled core's interface: plain C, no Python headers, loaded by ctypes (library.py states the same layouts). */
#ifndef AISP_CORE_H
#define AISP_CORE_H
#include <stdint.h>

enum { AISP_COLUMNS = 32 };
enum { AISP_UNUSUAL = -1, AISP_ROOM = -2, AISP_MEMORY = -3, AISP_TWICE = -4, AISP_DEEP = -5 };
enum { AISP_INTEGER = 0, AISP_REAL = 1, AISP_TEXT = 2, AISP_ALIAS = 3 };

enum { AISP_NOTHING = 0, AISP_WHOLE = 1, AISP_MICRO = 2, AISP_SAID = 3, AISP_SHORTEST = 4 };

typedef struct aisp_texts aisp_texts_t; /* distinct texts of a column, shared by threads */
typedef struct aisp_seen aisp_seen_t;   /* the last ones that a thread saw */

typedef struct {
    int32_t place, kind;      /* of the column in the table's records */
    int64_t *values;          /* room for every row: integers, a real's bits, or codes of texts */
    uint8_t *null;            /* likewise */
    aisp_texts_t *texts;      /* made here, freed by aisp_texts_free */
    int64_t value;            /* where one_value: it, and `values` was not written */
    int32_t one_value, nulls; /* 0 none, 1 all, 2 some: only then was `null` written */
} aisp_wanted_t;

typedef struct {
    int32_t descriptor, threads, columns, table_columns, ends_with_last, unused;
    int64_t page_size, usable, page_count, leaf_count;
    const int64_t *leaves, *above, *upto; /* page numbers, and the rowids between them */
    aisp_wanted_t *wanted;                /* ascending by place */
    int64_t room, *row;                   /* rows that fit, and their rowids */
    int64_t *spilled, spilled_room, spilled_count; /* rows on overflow pages, in no order */
} aisp_decode_t;

typedef struct {
    int32_t classes, unused;                   /* whether numbers by class are asked for */
    int64_t n, count;                          /* operations and slices */
    const int64_t *low, *high, *until;         /* of each slice; of it belongs what returned by then */
    const int64_t *start, *end, *launch, *returned; /* of each operation; the last two may be NULL: not asked, all belong */
    const int8_t *kind;
    const uint8_t *tangled;                    /* shares time with its own stream; may be NULL: not asked */
    /* of each slice; only the first two may not be NULL: not asked */
    int64_t *ops, *first, *kernels, *launches, *graphs, *sum, *busy, *proj_start, *proj_end, *overlap, *in_flight;
    int64_t *copies, *copy_compute, *comm_compute, *by_class, *by_engine;
    uint8_t *left;                             /* slices with tangled streams are left to the caller */
    uint32_t unions_of[16];
} aisp_sweep_t;

int64_t aisp_sweep(aisp_sweep_t *job);

int64_t aisp_decode(aisp_decode_t *job); /* the rows, or a negative code */
int64_t aisp_count(const aisp_decode_t *job);

/* 0 where the pages under these roots are trees, each reached once and at most `deepest` levels deep; else a code. */
int64_t aisp_walk(int32_t descriptor, int64_t size, int64_t pages, const int64_t *roots, int64_t count, int64_t deepest);

aisp_texts_t *aisp_texts_new(void);
void aisp_texts_free(aisp_texts_t *texts);
aisp_seen_t *aisp_seen_new(void);
int64_t aisp_text_code(aisp_texts_t *texts, aisp_seen_t *seen, const uint8_t *text, uint32_t length);
/* Number codes by first appearance; what a one_value column holds is code `alone`. Gives the count; *bytes their length. */
int64_t aisp_texts_number(aisp_texts_t *texts, int64_t *codes, int64_t n, int64_t *bytes);
void aisp_texts_copy(const aisp_texts_t *texts, int64_t *ends, uint8_t *out);

typedef struct {
    int32_t kind, unused;                          /* of its value */
    const uint8_t *before;                         /* what stands before the value */
    int64_t before_length;
    const uint8_t *where;                          /* the rows that have the part; NULL: all */
    const uint8_t *values;                         /* of each row an int64, a double or the code of a text, `stride` bytes apart */
    int64_t stride;
    const uint8_t *texts;                          /* one behind the other, and where each ends */
    const int64_t *ends;
    int64_t count;
} aisp_part_t;

typedef struct {
    const aisp_part_t *parts;                      /* of a row */
    int64_t count, low, high;                      /* parts; rows, of which `low` moves on */
    uint8_t *out;
    int64_t room, longest;                         /* bytes there; the most that a row takes */
} aisp_lines_t;

int64_t aisp_lines(aisp_lines_t *job); /* bytes written of as many rows as fit, or a negative code */

void aisp_threads(void *(*work)(void *), void *argument, int64_t threads);
const char *aisp_source(void); /* the SHA-256 of the sources, as building.py computes it */
#endif
