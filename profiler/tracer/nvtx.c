#define _GNU_SOURCE
#include "tracer.h"
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

/* NVTX's side: nvToolsExt.h hands a library that NVTX_INJECTION64_PATH names the tables of its functions, to fill in. Layouts and
   numbers are those of NVTX 3 (nvtxTypes.h), which are stable: programs carry these headers compiled in. */
typedef struct {
    uint16_t version, size;
    uint32_t category;
    int32_t color_type;
    uint32_t color;
    int32_t payload_type, parts;
    uint64_t payload;
    int32_t message_type;
    const void *message;
} attributes_t;
typedef struct domain {
    uint32_t id;
    text_t *name;
    struct domain *next;
} domain_t;
typedef struct category {
    uint32_t domain, number;
    text_t *name;
    struct category *next;
} category_t;
enum { ASCII = 1, WIDE, REGISTERED };
#define LAST_PAYLOAD 6 /* NVTX_PAYLOAD_TYPE_FLOAT */
#define EXTENDED_TYPE ((int32_t)0xDFBD0009) /* NVTX_PAYLOAD_TYPE_EXT: the value is the address of parts, `parts` their number */
#define ROWS 1024
#define BYTES (64 << 10)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static nvtx_row_t rows[ROWS];
static char bytes[BYTES];
static size_t row_count, byte_count;
static domain_t *domains;
static category_t *categories;
static uint32_t domain_count;
static uint64_t range_count;

void nvtx_locks(int locked) { (locked ? pthread_mutex_lock : pthread_mutex_unlock)(&lock); }

void nvtx_flush(void) {
    if (row_count)
        file_writes(NVTX, sizeof *rows, rows, row_count, bytes, byte_count);
    row_count = byte_count = 0;
}

void nvtx_forked(void) {
    pthread_mutex_init(&lock, NULL);
    row_count = byte_count = 0;
}

/* Where bytes that belong to the next row lie behind the rows. */
static uint64_t put_beside(const char *from, size_t length) {
    memcpy(bytes + byte_count, from, length);
    byte_count += length;
    return byte_count - length;
}

/* With the lock held. `text` is written beside its row; one that is too long for that gets a number and is forgotten. */
static void keep(nvtx_row_t row, const char *text, size_t length, text_t *numbered, const blob_t *blob) {
    text_t *alone = NULL;
    if (text && length > BYTES / 4)
        numbered = alone = text_made(text, length);
    if (byte_count + (text && !numbered ? length : 0) + (blob ? blob->size : 0) > BYTES)
        nvtx_flush();
    if (blob) {
        row.payload_type = EXTENDED;
        row.payload = put_beside(blob->bytes, blob->size) << 32 | blob->size;
    }
    if (numbered) {
        row.text_is = NUMBERED;
        row.text = file_text(numbered);
        free(alone);
    } else if (text) {
        row.text_is = WRITTEN_HERE;
        row.text_length = (uint32_t)length;
        row.text = put_beside(text, length);
    }
    rows[row_count++] = row;
    if (row_count == ROWS)
        nvtx_flush();
}

/* A process's file names the domains and categories that it knows: a forked child was told of them before it had a file. */
void nvtx_opened(void) {
    nvtx_row_t row = {.time = now(), .thread = thread_id()};
    for (domain_t *one = domains; one; one = one->next) {
        row.event = DOMAIN_MADE, row.domain = one->id;
        counts.calls++;
        keep(row, NULL, 0, one->name, NULL);
    }
    for (category_t *one = categories; one; one = one->next) {
        row.event = CATEGORY, row.domain = one->domain, row.category = one->number;
        counts.calls++;
        keep(row, NULL, 0, one->name, NULL);
    }
    payload_opened();
}

/* With the lock held. */
static void record(nvtx_row_t row, const char *text, size_t length, text_t *numbered, const blob_t *blob) {
    if (file_opens())
        return;
    counts.calls++;
    row.thread = thread_id();
    keep(row, text, length, numbered, blob);
}

/* One event: its time is read first, before any lock is waited for. */
static void event(nvtx_row_t row, const char *text, size_t length, text_t *numbered, const blob_t *blob) {
    row.time = now();
    nvtx_locks(1);
    record(row, text, length, numbered, blob);
    nvtx_locks(0);
}

void nvtx_event(nvtx_row_t row, const blob_t *blob) { event(row, NULL, 0, NULL, blob); }
static void named(nvtx_row_t row, const char *text, const blob_t *blob) { event(row, text, text ? strlen(text) : 0, NULL, blob); }
static void plain(nvtx_row_t row, const char *text) { named(row, text, NULL); }

static void *room(size_t size) {
    void *made = malloc(size);
    if (!made)
        refuse("there is no memory for a name");
    return made;
}

/* UTF-8 of a wide text; what is no character becomes U+FFFD. */
static char *narrow(const wchar_t *text) {
    size_t count = text ? wcslen(text) : 0, at = 0;
    char *out = room(count * 4 + 1);
    for (size_t i = 0; i < count; i++) {
        uint32_t c = (uint32_t)text[i];
        if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
            c = 0xfffd;
        if (c < 0x80) {
            out[at++] = (char)c;
            continue;
        }
        int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
        static const uint8_t first[] = {0, 0xc0, 0xe0, 0xf0};
        out[at++] = (char)(first[more] | c >> (6 * more));
        while (more--)
            out[at++] = (char)(0x80 | (c >> (6 * more) & 0x3f));
    }
    out[at] = 0;
    return out;
}

static void named_wide(nvtx_row_t row, const wchar_t *text, const blob_t *blob) {
    char *narrowed = text ? narrow(text) : NULL;
    named(row, narrowed, blob);
    free(narrowed);
}
static void wide(nvtx_row_t row, const wchar_t *text) { named_wide(row, text, NULL); }

/* Attributes of a version that is shorter than ours have no such field: `size` says how much there is. */
static void full(nvtx_row_t row, const attributes_t *given) {
    if (!given || given->size < sizeof *given) {
        plain(row, NULL);
        return;
    }
    row.category = given->category;
    row.has_color = given->color_type == 1;
    row.color = given->color;
    if (given->payload_type > 0 && given->payload_type <= LAST_PAYLOAD) {
        row.payload_type = (uint8_t)given->payload_type;
        row.payload = given->payload;
    }
    blob_t *blob = NULL;
    if (given->payload_type == EXTENDED_TYPE)
        blob = payload_packed((const payload_t *)(uintptr_t)given->payload, (size_t)given->parts);
    if (given->message_type == REGISTERED && given->message)
        event(row, NULL, 0, (text_t *)given->message, blob);
    else if (given->message_type == WIDE)
        named_wide(row, given->message, blob);
    else
        named(row, given->message_type == ASCII ? given->message : NULL, blob);
    free(blob);
}

uint32_t nvtx_domain(const void *domain) { return domain ? ((const domain_t *)domain)->id : 0; }
uint64_t nvtx_new_range(void) { return __atomic_add_fetch(&range_count, 1, __ATOMIC_RELAXED); }
#define ROW(what, ...) ((nvtx_row_t){.event = (what), ##__VA_ARGS__})

static void mark_ex(const attributes_t *a) { full(ROW(MARK), a); }
static void mark_a(const char *s) { plain(ROW(MARK), s); }
static void mark_w(const wchar_t *s) { wide(ROW(MARK), s); }
static int push_ex(const attributes_t *a) { return full(ROW(PUSH), a), NO_DEPTH; }
static int push_a(const char *s) { return plain(ROW(PUSH), s), NO_DEPTH; }
static int push_w(const wchar_t *s) { return wide(ROW(PUSH), s), NO_DEPTH; }
static int pop(void) { return plain(ROW(POP), NULL), NO_DEPTH; }
static uint64_t in_domain_start(void *d, const attributes_t *a) {
    uint64_t id = nvtx_new_range();
    full(ROW(START, .range = id, .domain = nvtx_domain(d)), a);
    return id;
}
static uint64_t start_ex(const attributes_t *a) { return in_domain_start(NULL, a); }
static uint64_t start_a(const char *s) {
    uint64_t id = nvtx_new_range();
    plain(ROW(START, .range = id), s);
    return id;
}
static uint64_t start_w(const wchar_t *s) {
    uint64_t id = nvtx_new_range();
    wide(ROW(START, .range = id), s);
    return id;
}
static void in_domain_end(void *d, uint64_t id) { plain(ROW(END, .range = id, .domain = nvtx_domain(d)), NULL); }
static void end(uint64_t id) { in_domain_end(NULL, id); }
static void in_domain_mark(void *d, const attributes_t *a) { full(ROW(MARK, .domain = nvtx_domain(d)), a); }
static int in_domain_push(void *d, const attributes_t *a) { return full(ROW(PUSH, .domain = nvtx_domain(d)), a), NO_DEPTH; }
static int in_domain_pop(void *d) { return plain(ROW(POP, .domain = nvtx_domain(d)), NULL), NO_DEPTH; }

/* Told of first and listed then: a file that this event opens tells of all that were listed. */
static void named_category(void *d, uint32_t number_, const char *s) {
    text_t *name = text_made(s ? s : "", s ? strlen(s) : 0);
    category_t *made = room(sizeof *made);
    nvtx_row_t row = {.event = CATEGORY, .time = now(), .domain = nvtx_domain(d), .category = number_};
    nvtx_locks(1);
    record(row, NULL, 0, name, NULL);
    *made = (category_t){row.domain, number_, name, categories};
    categories = made;
    nvtx_locks(0);
}
static void named_category_w(void *d, uint32_t category, const wchar_t *s) {
    char *narrowed = narrow(s);
    named_category(d, category, narrowed);
    free(narrowed);
}
static void category_a(uint32_t category, const char *s) { named_category(NULL, category, s); }
static void category_w(uint32_t category, const wchar_t *s) { named_category_w(NULL, category, s); }
/* The thread that is named is told in `category`; it need not be the one that calls. */
static void thread_a(uint32_t thread, const char *s) { plain(ROW(THREAD, .category = thread), s); }
static void thread_w(uint32_t thread, const wchar_t *s) { wide(ROW(THREAD, .category = thread), s); }

static void *register_a(void *d, const char *s) {
    (void)d;
    return text_made(s ? s : "", s ? strlen(s) : 0);
}
static void *register_w(void *d, const wchar_t *s) {
    char *narrowed = narrow(s);
    void *made = register_a(d, narrowed);
    free(narrowed);
    return made;
}

/* Domains of one name are one domain, as in Nsight Systems, which tells of each time that it is made. */
static void *domain_a(const char *s) {
    const char *name = s ? s : "";
    nvtx_row_t row = {.event = DOMAIN_MADE, .time = now()};
    nvtx_locks(1);
    domain_t *domain = domains;
    while (domain && strcmp(domain->name->bytes, name))
        domain = domain->next;
    int known = domain != NULL;
    if (!known) {
        domain = room(sizeof *domain);
        *domain = (domain_t){++domain_count, text_made(name, strlen(name)), domains};
    }
    row.domain = domain->id;
    record(row, NULL, 0, domain->name, NULL);
    if (!known)
        domains = domain;
    nvtx_locks(0);
    return domain;
}
static void *domain_w(const wchar_t *s) {
    char *narrowed = narrow(s);
    void *made = domain_a(narrowed);
    free(narrowed);
    return made;
}
static void domain_ended(void *d) { plain(ROW(DOMAIN_ENDED, .domain = nvtx_domain(d)), NULL); }

typedef void (*function_t)(void);
typedef struct {
    size_t size;
    int (*table)(uint32_t module, function_t ***functions, uint32_t *count);
} callbacks_t;
enum { CALLBACKS = 1, CORE = 1, CORE2 = 5 };
#define AT(number, function) {(number), (function_t)(function)}
typedef struct {
    uint32_t number;
    function_t function;
} slot_t;

static const slot_t CORE_SLOTS[] = {AT(1, mark_ex),     AT(2, mark_a),      AT(3, mark_w),    AT(4, start_ex),
                                    AT(5, start_a),     AT(6, start_w),     AT(7, end),       AT(8, push_ex),
                                    AT(9, push_a),      AT(10, push_w),     AT(11, pop),      AT(12, category_a),
                                    AT(13, category_w), AT(14, thread_a),   AT(15, thread_w)};
static const slot_t CORE2_SLOTS[] = {AT(1, in_domain_mark),  AT(2, in_domain_start),   AT(3, in_domain_end),
                                     AT(4, in_domain_push),  AT(5, in_domain_pop),     AT(8, named_category),
                                     AT(9, named_category_w), AT(10, register_a),      AT(11, register_w),
                                     AT(12, domain_a),       AT(13, domain_w),         AT(14, domain_ended)};

static void fill(const callbacks_t *callbacks, uint32_t module, const slot_t *slots, size_t count) {
    function_t **functions;
    uint32_t size;
    if (!callbacks->table(module, &functions, &size))
        return;
    for (size_t i = 0; i < count; i++)
        if (slots[i].number < size && functions[slots[i].number])
            *functions[slots[i].number] = slots[i].function;
}

/* Called once by every library of the process that has NVTX compiled in. */
__attribute__((visibility("default"))) int InitializeInjectionNvtx2(const void *(*exported)(uint32_t)) {
    const callbacks_t *callbacks = exported(CALLBACKS);
    if (!callbacks || callbacks->size < sizeof *callbacks)
        return 0;
    fill(callbacks, CORE, CORE_SLOTS, sizeof CORE_SLOTS / sizeof *CORE_SLOTS);
    fill(callbacks, CORE2, CORE2_SLOTS, sizeof CORE2_SLOTS / sizeof *CORE2_SLOTS);
    return 1;
}
