/* The compiled core's interface: plain C, no Python headers, loaded by ctypes (library.py states the same layouts). */
#ifndef AISP_CORE_H
#define AISP_CORE_H
#include <stdint.h>
#include <string.h>

enum { AISP_COLUMNS = 32, AISP_COVERS = 8 };
enum { AISP_UNUSUAL = -1, AISP_ROOM = -2, AISP_MEMORY = -3, AISP_TWICE = -4, AISP_DEEP = -5 };
enum { AISP_INTEGER = 0, AISP_REAL = 1, AISP_TEXT = 2, AISP_ALIAS = 3 };

enum { AISP_NOTHING = 0, AISP_WHOLE = 1, AISP_MICRO = 2, AISP_SAID = 3, AISP_SHORTEST = 4 };

typedef struct aisp_texts aisp_texts_t; /* distinct texts of a column, shared by threads */
typedef struct aisp_seen aisp_seen_t;   /* the last ones that a thread saw */

/* A column as numpy has it: of int64, or of unsigned codes of 1, 2 or 4 bytes; a stride of 0 is one value throughout. */
typedef struct {
    const uint8_t *at;
    int64_t stride, width;
} aisp_column_t;

/* Whether it holds integers that the next two functions read; each value lies where numpy says. */
static inline int aisp_codes(const aisp_column_t *column) {
    return column->width == 1 || column->width == 2 || column->width == 4 || column->width == 8;
}

static inline int aisp_values(const aisp_column_t *column) { return column->width == 8; }

static inline uint64_t aisp_code(const aisp_column_t *column, int64_t i) {
    const uint8_t *at = column->at + i * column->stride;
    uint16_t two;
    uint32_t four;
    uint64_t eight;
    switch (column->width) {
    case 1: return *at;
    case 2: return memcpy(&two, at, 2), two;
    case 4: return memcpy(&four, at, 4), four;
    default: return memcpy(&eight, at, 8), eight;
    }
}

static inline int64_t aisp_value(const aisp_column_t *column, int64_t i) {
    int64_t value;
    memcpy(&value, column->at + i * column->stride, 8);
    return value;
}

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

typedef struct {
    int64_t groups, ranges;
    aisp_column_t group;             /* of each call */
    const int64_t *of, *first, *last; /* of each range: its group, start and end */
} aisp_cover_t;

typedef struct {
    int64_t n, calls, covers, own;   /* operations, calls, and covers, of which the first so many are told apart */
    const int64_t *launch, *start, *end; /* of each operation its call, negative for none; when the calls began and ended */
    const aisp_cover_t *cover;
    /* how many operations were launched by a call that lies, in one piece, in the time that its group's ranges cover: in any
     * cover, and in any of the first `own` */
    int64_t in_any, in_own;
} aisp_inside_t;

int64_t aisp_inside(aisp_inside_t *job);

typedef struct {
    int64_t count, groups, n;        /* ranges, groups of launches, launches */
    const int64_t *group, *start, *end; /* of each range */
    const int64_t *bounds, *low, *high, *shift; /* of each group: its launches, and its window of time */
    const int64_t *first, *last;     /* of each launch: what is not to begin before the range, nor to end after it */
    int64_t *begin, *stop;           /* of each range */
} aisp_slices_t;

int64_t aisp_slices(const aisp_slices_t *job);

typedef struct {
    int64_t n, calls, keys, gpus;    /* operations, calls, and how many codes there are */
    const int64_t *launch, *start, *end; /* of each operation its call; when the calls began and ended */
    aisp_column_t key, gpu;          /* of each call; of each operation */
    int64_t *item, *begin, *finish;  /* operations by (key, gpu), call and number; room for all */
    int64_t *group, *bounds;         /* key * gpus + gpu of those in use, and where each begins; room for keys * gpus, and one more */
    int64_t groups;                  /* how many are in use */
} aisp_order_t;

int64_t aisp_order(aisp_order_t *job); /* how many operations have a call */
/* Add to each group's times its shift; 1 where what begins does not ascend, 2 likewise of what ends, 3 for both. */
int64_t aisp_shift(int64_t groups, const int64_t *bounds, const int64_t *shift, int64_t n, int64_t *begin, int64_t *finish);

typedef struct {
    int64_t count, size;             /* processes, and keys of all of them */
    const int64_t *process, *offset, *low, *high; /* ascending; where the keys of each begin, and its ids */
} aisp_keys_t;

typedef struct {
    int64_t n;
    aisp_column_t process, correlation;
    const int64_t *start, *end, *row;
    int32_t *call;                   /* of each key the call that stands for it, -1: none; one more than there are keys */
    uint8_t *outermost;              /* of each call, whether it stands for its key, or has none */
} aisp_claim_t;

/* The least and the largest id below `largest` of each process, `largest` and -1 where it has none. */
int64_t aisp_ids(const int64_t *process, int64_t count, int64_t n, const aisp_column_t *of, const aisp_column_t *correlation,
                 int64_t largest, int64_t *low, int64_t *high);
int64_t aisp_claim(const aisp_keys_t *keys, aisp_claim_t *job);
int64_t aisp_submitted(const aisp_keys_t *keys, const int32_t *call, int64_t n, const aisp_column_t *process,
                       const aisp_column_t *correlation, int64_t *out);

typedef struct {
    int64_t n, groups;
    aisp_column_t group;
    const int64_t *start, *end, *row;
    int64_t *level, *parent;
} aisp_nest_t;

int64_t aisp_nest(aisp_nest_t *job); /* AISP_UNUSUAL where ranges of a group cross */
/* 1 where all times are plausible, else 0; `zero`: whether a start and end of 0 are not. */
int64_t aisp_timely(int64_t n, const aisp_column_t *start, const aisp_column_t *end, int64_t latest, int64_t longest, int64_t zero);
/* 1 where everything begins when all before it on its lane has ended, else 0. */
int64_t aisp_in_turn(int64_t n, const aisp_column_t *lane, int64_t lanes, const int64_t *start, const int64_t *end);

/* The distinct values in the order of their appearance; AISP_ROOM where there are more than `most`, which is at most 4096. */
int64_t aisp_distinct(int64_t n, const aisp_column_t *column, int64_t most, int64_t *values);
/* The same, and of each row the number of its value there, of 1 or 2 bytes; `most` is at least 1, and at most 256 where it is one. */
int64_t aisp_coded(int64_t n, const aisp_column_t *column, int64_t most, int64_t *values, int64_t width, uint8_t *out);
/* results[i], of so many bytes each, where a value is distinct[i]; AISP_UNUSUAL where it is none of them. */
int64_t aisp_look_up(int64_t n, const aisp_column_t *column, int64_t count, const int64_t *distinct, const uint8_t *results,
                     int64_t width, uint8_t *out);
/* `values[chosen]`: `count` values of so many bytes; AISP_UNUSUAL where one is chosen that is not there. */
int64_t aisp_gather(int64_t n, const aisp_column_t *chosen, int64_t count, const uint8_t *values, int64_t width, uint8_t *out);
/* The bounds of each block of `column - before`, and what is above them in so many bytes; `before` may be NULL. */
int64_t aisp_bounds(int64_t n, int64_t block, const int64_t *column, const int64_t *before, int64_t *low, int64_t *high);
int64_t aisp_narrow(int64_t n, int64_t block, const int64_t *column, const int64_t *before, const int64_t *base, int64_t width, uint8_t *out);
uint64_t aisp_weighed(int64_t n, const uint32_t *words, const uint64_t *weights); /* the sum of the products, modulo 2^64 */
int64_t aisp_widen(int64_t n, const uint8_t *narrow, int64_t width, int64_t base, const int64_t *before, int64_t *out);

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
