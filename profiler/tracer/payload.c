#include "tracer.h"
#include <stdlib.h>
#include <string.h>

/* NVTX's payloads in a form that the program has registered (nvToolsExtPayload.h): NCCL's ranges tell their communicator and size so.
   Layouts and numbers are those of that header, whose module asks an injection for its functions as nvToolsExt.h does. */
typedef struct {
    uint64_t flags, type;
    const char *name, *description;
    uint64_t detail, offset;
    const void *semantics, *reserved;
} given_entry_t;
typedef struct {
    uint64_t fields;
    const char *name;
    uint64_t type, flags;
    const given_entry_t *entries;
    size_t count, size, align;
    uint64_t id;
    void *extension;
} given_schema_t;
typedef struct {
    uint64_t fields;
    const char *name;
    const void *entries;
    size_t count, size;
    uint64_t id;
    void *extension;
} given_enum_t;
enum { HAS_ENTRIES = 1 << 4 | 1 << 5, HAS_SIZE = 1 << 6, HAS_ID = 1 << 8, ENUM_HAS_ID = 1 << 5 };
#define FIRST_ID ((uint64_t)1 << 32) /* NVTX_PAYLOAD_SCHEMA_ID_DYNAMIC_START: of those that we number */
#define MOST_ENTRIES 4096
#define MOST_BYTES (16 << 10)

typedef struct schema {
    uint64_t id;
    size_t count, size; /* size: of a payload, 0 where it is not stated */
    entry_row_t *rows;
    text_t **names;
    struct schema *next;
} schema_t;
static schema_t *schemas;
static uint64_t id_count;

static void *room(size_t size) {
    void *made = malloc(size ? size : 1);
    if (!made)
        refuse("there is no memory for a payload's form");
    return made;
}

/* With NVTX's lock held. */
static void write_schema(const schema_t *schema) {
    for (size_t i = 0; i < schema->count; i++)
        schema->rows[i].name = schema->names[i] ? file_text(schema->names[i]) : 0;
    if (schema->count)
        file_writes(ENTRY, sizeof *schema->rows, schema->rows, schema->count, NULL, 0);
}

/* A process's file names the forms that it knows, as it does domains. */
void payload_opened(void) {
    for (const schema_t *one = schemas; one; one = one->next)
        write_schema(one);
}

static uint64_t new_id(void) { return FIRST_ID + __atomic_fetch_add(&id_count, 1, __ATOMIC_RELAXED); }

static schema_t *schema_made(uint32_t domain, const given_schema_t *given) {
    schema_t *made = room(sizeof *made);
    *made = (schema_t){.id = given->fields & HAS_ID && given->id ? given->id : new_id()};
    made->size = given->fields & HAS_SIZE ? given->size : 0;
    made->count = (given->fields & HAS_ENTRIES) == HAS_ENTRIES && given->entries ? given->count : 0;
    if (made->count > MOST_ENTRIES)
        made->count = MOST_ENTRIES;
    made->rows = room(made->count * sizeof *made->rows);
    made->names = room(made->count * sizeof *made->names);
    for (size_t i = 0; i < made->count; i++) {
        const given_entry_t *one = given->entries + i;
        made->rows[i] = (entry_row_t){made->id, one->type, one->flags, one->detail, one->offset, domain, (uint32_t)i, 0, 0};
        made->names[i] = one->name ? text_made(one->name, strlen(one->name)) : NULL;
    }
    return made;
}

static uint64_t schema_registered(void *domain, const given_schema_t *given) {
    if (!given)
        return 0;
    schema_t *made = schema_made(nvtx_domain(domain), given);
    nvtx_locks(1);
    if (!file_opens())
        write_schema(made);
    made->next = schemas;
    schemas = made;
    nvtx_locks(0);
    return made->id;
}

/* Names of an enumeration's values are not recorded: nothing reads them. */
static uint64_t enum_registered(void *domain, const given_enum_t *given) {
    (void)domain;
    return given && given->fields & ENUM_HAS_ID && given->id ? given->id : new_id();
}

/* The size of what a part has: SIZE_MAX leaves it to us, who know what its form has stated. */
static size_t size_of(const payload_t *part) {
    size_t size = part->size;
    if (size != SIZE_MAX)
        return size;
    nvtx_locks(1);
    for (const schema_t *one = schemas; one; one = one->next)
        if (one->id == part->schema && one->size) {
            size = one->size;
            break;
        }
    nvtx_locks(0);
    return size;
}

/* As Nsight Systems exports it: the count of parts, then a part's form, size and place, then its bytes. Payloads of several parts were
   not seen, and what their export looks like is not known: they are left out, as are those that are too long or of no known size. */
blob_t *payload_packed(const payload_t *part, size_t count) {
    size_t size = count == 1 && part && part->bytes ? size_of(part) : SIZE_MAX;
    if (size > MOST_BYTES)
        return NULL;
    const uint64_t head[4] = {1, part->schema, size, sizeof head};
    blob_t *made = room(sizeof *made + sizeof head + size);
    made->size = (uint32_t)(sizeof head + size);
    memcpy(made->bytes, head, sizeof head);
    memcpy(made->bytes + sizeof head, part->bytes, size);
    return made;
}

static void told(nvtx_row_t row, const payload_t *part, size_t count) {
    blob_t *blob = payload_packed(part, count);
    nvtx_event(row, blob);
    free(blob);
}
#define ROW(what, ...) ((nvtx_row_t){.event = (what), ##__VA_ARGS__})
static void mark(void *d, const payload_t *p, size_t n) { told(ROW(MARK, .domain = nvtx_domain(d)), p, n); }
static int push(void *d, const payload_t *p, size_t n) { return told(ROW(PUSH, .domain = nvtx_domain(d)), p, n), NO_DEPTH; }
static int pop(void *d, const payload_t *p, size_t n) { return told(ROW(POP, .domain = nvtx_domain(d)), p, n), NO_DEPTH; }
static uint64_t start(void *d, const payload_t *p, size_t n) {
    uint64_t id = nvtx_new_range();
    told(ROW(START, .range = id, .domain = nvtx_domain(d)), p, n);
    return id;
}
static void end(void *d, uint64_t id, const payload_t *p, size_t n) {
    told(ROW(END, .range = id, .domain = nvtx_domain(d)), p, n);
}

typedef struct {
    size_t number, count;
    void **functions;
} segment_t;
typedef struct {
    uint16_t version, size, module, compatible;
    size_t count;
    segment_t *segments;
    void *exported;
    const void *more;
} module_t;
enum { PAYLOAD_MODULE = 2 };
static void *const FUNCTIONS[] = {(void *)schema_registered, (void *)enum_registered, (void *)mark, (void *)push,
                                  (void *)pop, (void *)start, (void *)end};

/* Called once by every library of the process that has an extension of NVTX compiled in; one that we do not know stays off. */
__attribute__((visibility("default"))) int InitializeInjectionNvtxExtension(const module_t *module) {
    if (module->module != PAYLOAD_MODULE || !module->count)
        return 0;
    for (size_t i = 0; i < sizeof FUNCTIONS / sizeof *FUNCTIONS && i < module->segments->count; i++)
        module->segments->functions[i] = FUNCTIONS[i];
    return 1;
}
