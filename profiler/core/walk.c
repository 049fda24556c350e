/* Whether the pages under some roots are trees: each reached once, and no deeper than SQLite makes them. */
#define _GNU_SOURCE
#include "core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INDEX_INTERIOR = 0x02, TABLE_INTERIOR = 0x05, BEFORE = 100 };

typedef struct {
    uint32_t *page;
    size_t count, room;
} level_t;

static uint32_t be32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int whole(int descriptor, uint8_t *out, size_t want, int64_t from) {
    for (size_t got = 0; got < want;) {
        ssize_t part = pread(descriptor, out + got, want - got, from + (int64_t)got);
        if (part < 0 && errno == EINTR) continue;
        if (part <= 0) return 0;
        got += (size_t)part;
    }
    return 1;
}

/* Note a page that the level below has; a page outside the file is left to the caller. */
static int64_t reach(level_t *level, uint8_t *seen, uint32_t page, uint32_t pages) {
    if (page < 1 || page > pages) return AISP_UNUSUAL;
    if (seen[page >> 3] >> (page & 7) & 1) return AISP_TWICE;
    seen[page >> 3] |= (uint8_t)(1 << (page & 7));
    if (level->count == level->room) {
        size_t room = level->room ? 2 * level->room : 1024;
        uint32_t *more = realloc(level->page, room * sizeof *more);
        if (!more) return AISP_MEMORY;
        level->page = more;
        level->room = room;
    }
    level->page[level->count++] = page;
    return 0;
}

static int64_t children(int descriptor, uint8_t *page, size_t size, uint32_t number, level_t *below, uint8_t *seen, uint32_t pages) {
    const size_t begin = number == 1 ? BEFORE : 0;
    const int64_t base = ((int64_t)number - 1) * (int64_t)size;
    uint8_t head[12];
    if (!whole(descriptor, head, sizeof head, base + (int64_t)begin)) return AISP_UNUSUAL;
    if (head[0] != INDEX_INTERIOR && head[0] != TABLE_INTERIOR) return 0;
    if (!whole(descriptor, page, size, base)) return AISP_UNUSUAL;
    int64_t error = reach(below, seen, be32(page + begin + 8), pages);
    const size_t count = (size_t)page[begin + 3] << 8 | page[begin + 4];
    for (size_t i = 0; i < count && !error; i++) {
        const size_t at = begin + 12 + 2 * i;
        if (at + 2 > size) return AISP_UNUSUAL;
        const size_t cell = (size_t)page[at] << 8 | page[at + 1];
        if (cell + 4 > size) return AISP_UNUSUAL;
        error = reach(below, seen, be32(page + cell), pages);
    }
    return error;
}

int64_t aisp_walk(int32_t descriptor, int64_t size, int64_t pages, const int64_t *roots, int64_t count, int64_t deepest) {
    if (size < 512 || size > 65536 || pages < 1 || pages >= 1ll << 32) return AISP_UNUSUAL;
    level_t level = {0}, below = {0};
    uint8_t *page = malloc((size_t)size), *seen = calloc((size_t)(pages >> 3) + 1, 1);
    int64_t found = page && seen ? 0 : AISP_MEMORY;
    for (int64_t i = 0; i < count && !found; i++)
        found = roots[i] < 1 || roots[i] > pages ? AISP_UNUSUAL : reach(&level, seen, (uint32_t)roots[i], (uint32_t)pages);
    for (int64_t depth = 0; depth < deepest && !found && level.count; depth++) {
        below.count = 0;
        for (size_t i = 0; i < level.count && !found; i++)
            found = children(descriptor, page, (size_t)size, level.page[i], &below, seen, (uint32_t)pages);
        if (found == AISP_TWICE && depth == deepest - 1) found = AISP_DEEP; /* what lies deeper is not looked at */
        level_t empty = level;
        level = below;
        below = empty;
    }
    if (!found && level.count) found = AISP_DEEP;
    free(page);
    free(seen);
    free(level.page);
    free(below.page);
    return found;
}
