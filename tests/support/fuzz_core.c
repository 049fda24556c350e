/* Mutated pages through the compiled core, under AddressSanitizer and UBSan: fuzz_core FILE COUNT SEED [COLUMNS]
 *
 * FILE is an SQLite file whose tables have so many columns, every third of them text; without COLUMNS any trace: the columns are then
 * those that the first record of a window's pages tells of. Each input is a window of its pages with some bytes changed, in a file of its own that may also be
 * shorter than its pages say; every page of it is decoded as a leaf, with columns of every kind, and walked as a root.
 * Slices of operations are swept too, calls, operations and ranges matched, ordered and nested, and lines of text made. Prints how many inputs there were, how many of them were decoded, and what that gave.
 */
#define _GNU_SOURCE
#include "../../profiler/core/core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGES = 6, LARGEST = 4096, MOST_ROWS = 1 << 11, MOST_LEAVES = 16 };

static uint64_t state;

static uint64_t draw(uint64_t below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return below ? state % below : state;
}

static void mutate(uint8_t *bytes, size_t size, size_t page) {
    static const uint8_t worth[] = {0, 1, 2, 5, 10, 13, 0x7f, 0x80, 0x81, 0xff};
    for (uint64_t n = draw(4); n; n--) {
        size_t from = draw(2) ? 0 : page * draw(size / page);              /* a page's head, or anything */
        size_t at = (from + draw(draw(2) ? 64 : size)) % size, run = 1 + draw(draw(4) ? 1 : 64);
        for (size_t i = at; i < size && i < at + run; i++)
            switch (draw(4)) {
            case 0: bytes[i] ^= (uint8_t)(1u << draw(8)); break;
            case 1: bytes[i] = worth[draw(sizeof worth)]; break;
            case 2: bytes[i] = (uint8_t)draw(256); break;
            default: bytes[i] = bytes[draw(size)];
            }
    }
}

/* The kinds of a record's columns, from its header, and how many there are; 0 where none lies on these pages. */
static int64_t told_by(const uint8_t *bytes, size_t size, size_t page, int32_t *kinds) {
    for (size_t at = 0; at + page <= size; at += page) {
        const uint8_t *leaf = bytes + at, *end = leaf + page;
        const size_t cell = (size_t)leaf[8] << 8 | leaf[9];
        if (leaf[0] != 0x0D || !(leaf[3] | leaf[4]) || cell < 10 || cell >= page) continue;
        const uint8_t *from = leaf + cell;
        for (int varints = 2; varints && from < end; from++) varints -= *from < 128; /* the payload's length and the rowid */
        int64_t count = 0;
        if (from >= end || *from >= 128 || *from > end - from) continue;
        for (const uint8_t *header = from + 1, *last = from + *from; header < last && count < 200; count++) {
            uint64_t type = 0;
            do type = type << 7 | (*header & 127);
            while (*header++ >= 128 && header < last);
            kinds[count] = type == 7 ? AISP_REAL : type > 12 && type % 2 ? AISP_TEXT : AISP_INTEGER;
        }
        if (count) return count;
    }
    return 0;
}

static int64_t decoded(int descriptor, int64_t page, int64_t pages, int64_t columns_of_table, const int32_t *kinds) {
    int64_t leaves[MOST_LEAVES], above[MOST_LEAVES], upto[MOST_LEAVES], count = 0;
    for (int64_t p = 1; p <= pages && count < MOST_LEAVES; p++) {
        if (draw(8) == 0) continue;
        leaves[count] = draw(64) ? p : (int64_t)draw(1u << 31);
        above[count] = INT64_MIN;
        upto[count++] = INT64_MAX;
        if (count == 1 && draw(2)) break; /* single leaves are accepted more often */
    }
    aisp_wanted_t wanted[AISP_COLUMNS];
    memset(wanted, 0, sizeof wanted);
    int32_t n = 0;
    for (int64_t c = 0; c < columns_of_table && n < AISP_COLUMNS; c++)
        if (draw(3)) wanted[n++] = (aisp_wanted_t){.place = (int32_t)c, .kind = draw(32) ? kinds[c] : (int32_t)draw(4)};
    int64_t room = draw(16) ? MOST_ROWS : (int64_t)draw(64), *row = malloc((size_t)room * 8 + 8), spilled[16];
    for (int32_t c = 0; c < n; c++) {
        wanted[c].values = malloc((size_t)room * 8 + 8);
        wanted[c].null = malloc((size_t)room + 1);
    }
    aisp_decode_t job = {.descriptor = descriptor, .threads = draw(32) ? 1 : 3, .columns = n, .table_columns = (int32_t)columns_of_table,
        .page_size = page, .usable = page - (int64_t)(draw(32) ? 0 : draw(32)), .page_count = draw(8) ? pages : pages + 3,
        .leaf_count = count, .leaves = leaves, .above = above, .upto = upto, .wanted = wanted, .room = room, .row = row,
        .spilled = spilled, .spilled_room = 16};
    aisp_count(&job);
    int64_t rows = aisp_decode(&job), read = 0;
    for (int32_t c = 0; c < n; c++) {
        if (rows >= 0 && wanted[c].kind == AISP_TEXT) {
            int64_t bytes, one = wanted[c].value, *codes = wanted[c].one_value ? &one : wanted[c].values;
            int64_t texts = aisp_texts_number(wanted[c].texts, codes, wanted[c].one_value ? 1 : rows, &bytes);
            int64_t *ends = malloc((size_t)texts * 8 + 8);
            uint8_t *out = malloc((size_t)bytes + 1);
            aisp_texts_copy(wanted[c].texts, ends, out);
            for (int64_t i = 0; i < bytes; i++) read += out[i];
            free(ends);
            free(out);
        }
        for (int64_t r = 0; r < rows && !wanted[c].one_value; r++) read += wanted[c].values[r] & 1;
        for (int64_t r = 0; r < rows && wanted[c].nulls == 2; r++) read += wanted[c].null[r];
        aisp_texts_free(wanted[c].texts);
        free(wanted[c].values);
        free(wanted[c].null);
    }
    for (int64_t r = 0; r < rows; r++) read += row[r] & 1;
    free(row);
    return read < 0 ? -1 : rows;
}

/* Slices of operations whose times, classes and bounds are the window's bytes, of which most are shortened to be plausible. */
static int64_t swept(const uint8_t *bytes, size_t size) {
    int64_t n = 1 + (int64_t)draw(30), count = 1 + (int64_t)draw(12), read = 0, *given = malloc((size_t)(7 * n + 3 * count) * 8);
    int64_t *start = given, *end = start + n, *launch = end + n, *returned = launch + n, *low = given + 7 * n, *high = low + count;
    int64_t *until = high + count, *out = malloc((size_t)count * 30 * 8);
    int8_t *kind = malloc((size_t)n);
    uint8_t *tangled = malloc((size_t)n), *left = malloc((size_t)count);
    memcpy(given, bytes + draw(size - (size_t)(7 * n + 3 * count) * 8), (size_t)(7 * n + 3 * count) * 8);
    int plausible = draw(4) != 0;
    for (int64_t i = 0; i < n; i++) {
        kind[i] = plausible ? (int8_t)draw(10) : (int8_t)bytes[draw(size)];
        tangled[i] = draw(20) == 0;
        if (plausible) start[i] &= 1023, end[i] = start[i] + (end[i] & 255), launch[i] &= 3;
    }
    for (int64_t s = 0; s < count && (plausible || draw(2)); s++) {
        low[s] = (int64_t)draw((uint64_t)n + 1);
        high[s] = low[s] + (int64_t)draw((uint64_t)(n - low[s]) + 1);
    }
    aisp_sweep_t job = {.classes = (int32_t)draw(2), .n = n, .count = count, .low = low, .high = high, .start = start, .end = end,
        .kind = kind, .ops = out, .first = out + count, .left = left};
    if (draw(2)) job.launch = launch, job.launches = out + 2 * count;
    if (draw(2)) job.until = until, job.returned = returned;
    if (draw(2)) job.tangled = tangled;
    if (draw(4)) job.sum = out + 3 * count, job.busy = out + 4 * count, job.overlap = out + 5 * count, job.in_flight = out + 6 * count;
    if (draw(4)) job.by_class = out + 8 * count, job.by_engine = out + 18 * count, job.copies = out + 22 * count;
    if (draw(4)) job.kernels = out + 23 * count, job.graphs = out + 24 * count, job.proj_start = out + 25 * count;
    if (draw(4)) job.copy_compute = out + 26 * count, job.comm_compute = out + 27 * count, job.proj_end = out + 28 * count;
    int64_t found = aisp_sweep(&job);
    for (int64_t s = 0; s < count && !found; s++) read += left[s] + out[s];
    free(given), free(out), free(kind), free(tangled), free(left);
    return found ? 0 : read;
}

/* An array of its own, so that what lies beyond is known to the sanitizer: bytes of the window, of most inputs made plausible. */
static int64_t *numbers(const uint8_t *bytes, size_t size, int64_t n, uint64_t below) {
    int64_t *made = malloc((size_t)n * 8 + (n ? 0 : 1));
    const size_t at = draw(size - (size_t)n * 8);
    if (n) memcpy(made, bytes + at, (size_t)n * 8);
    for (int64_t i = 0; below && i < n; i++) made[i] = (int64_t)((uint64_t)made[i] % below);
    return made;
}

static int64_t *ascending(const uint8_t *bytes, size_t size, int64_t n, uint64_t step) {
    int64_t *made = numbers(bytes, size, n, step);
    for (int64_t i = 1; i < n && step; i++) made[i] += made[i - 1];
    return made;
}

static aisp_column_t column_of(const void *values, int64_t n, int64_t width) {
    return (aisp_column_t){.at = values, .stride = n && draw(8) ? width : 0, .width = draw(64) ? width : 3};
}

/* Codes of a width that is drawn, made of int64. */
static void *codes(const int64_t *values, int64_t n, int64_t width) {
    uint8_t *made = malloc((size_t)(n * width) + 1);
    for (int64_t i = 0; i < n; i++)
        for (int64_t b = 0; b < width; b++) made[i * width + b] = (uint8_t)((uint64_t)values[i] >> 8 * b);
    return made;
}

/* Calls, operations and ranges through what orders, matches and nests them; how many of the passes were done. */
static int64_t passed(const uint8_t *bytes, size_t size) {
    const int64_t n = 1 + (int64_t)draw(24), m = 1 + (int64_t)draw(24), groups = 1 + (int64_t)draw(5), width = 1 << draw(4);
    const uint64_t plausible = draw(4) ? 1 : 0, times = plausible * 512;
    int64_t *start = draw(2) ? ascending(bytes, size, n, times / 8) : numbers(bytes, size, n, times), *end = numbers(bytes, size, n, times / 4);
    for (int64_t i = 0; i < n && plausible; i++) end[i] += start[i];
    int64_t *low = ascending(bytes, size, m, times / 8), *high = numbers(bytes, size, m, times / 2), *row = numbers(bytes, size, n, 0);
    for (int64_t i = 0; i < m && plausible; i++) high[i] += low[i];
    int64_t *group = numbers(bytes, size, n, plausible * (uint64_t)groups), *of = numbers(bytes, size, m, plausible * (uint64_t)groups);
    int64_t *launch = numbers(bytes, size, m, plausible * (uint64_t)n), *out[6], done = 0;
    for (int64_t i = 0; i < m && plausible; i++) launch[i] -= draw(8) == 0;
    for (int k = 0; k < 6; k++) out[k] = malloc((size_t)(n + m + groups * groups + 1) * 8);
    uint8_t *flags = malloc((size_t)(n > m ? n : m));
    void *coded = codes(group, n, width), *gpus = codes(of, m, 8);

    const aisp_cover_t covers[2] = {
        {.groups = groups, .ranges = m, .group = column_of(coded, n, width), .of = of, .first = low, .last = high},
        {.groups = groups, .ranges = m / 2, .group = column_of(coded, n, width), .of = of, .first = low, .last = high}};
    aisp_inside_t inside = {.n = m, .calls = n, .covers = (int64_t)draw(3), .own = (int64_t)draw(3), .launch = launch,
        .start = start, .end = end, .cover = covers};
    done += aisp_inside(&inside) == 0;

    aisp_column_t picked = column_of(coded, n, width);
    picked.stride = picked.width;
    done += aisp_gather(n, &picked, m, (const uint8_t *)low, 8, (uint8_t *)out[0]) == 0;

    aisp_order_t order = {.n = m, .calls = n, .keys = groups, .gpus = groups, .launch = launch, .start = start, .end = end,
        .key = column_of(coded, n, width), .gpu = column_of(gpus, m, 8), .item = out[0], .begin = out[1], .finish = out[2],
        .group = out[3], .bounds = out[4]};
    const int64_t ordered = aisp_order(&order);
    if (ordered >= 0) {
        int64_t *window = numbers(bytes, size, order.groups + 1, draw(2) ? 1 << 20 : 0), *wide = malloc((size_t)(order.groups + 1) * 8);
        for (int64_t g = 0; g <= order.groups; g++) wide[g] = draw(4) ? (int64_t)((uint64_t)window[g] + 512) : (int64_t)draw(0);
        done += 1 + (aisp_shift(order.groups, out[4], window, ordered, out[1], out[2]) >= 0);
        if (draw(16) == 0) out[4][draw((uint64_t)order.groups + 1)] = (int64_t)draw(0);
        int64_t *begin = malloc((size_t)m * 8), *stop = malloc((size_t)m * 8);
        aisp_slices_t slices = {.count = m, .groups = order.groups, .n = ordered, .group = of, .start = low, .end = high, .bounds = out[4],
            .low = window, .high = wide, .shift = window, .first = out[1], .last = out[2], .begin = begin, .stop = stop};
        done += aisp_slices(&slices) == 0;
        free(begin), free(stop), free(window), free(wide);
    }

    int64_t *process = ascending(bytes, size, groups, plausible * 3), *offset = malloc((size_t)groups * 8), keyed = 0;
    int64_t *least = malloc((size_t)groups * 8), *most = malloc((size_t)groups * 8);
    aisp_column_t processes = column_of(group, n, 8), ids = column_of(row, n, 8);
    for (int64_t i = 0; i < n && plausible; i++) group[i] = process[group[i]], row[i] &= 31;
    done += aisp_ids(process, groups, n, &processes, &ids, 1ll << 33, least, most) == 0;
    for (int64_t g = 0; g < groups; g++) {
        offset[g] = keyed;
        if (!plausible || draw(32) == 0) least[g] = (int64_t)draw(0) >> draw(60), most[g] = (int64_t)draw(0) >> draw(60);
        if (most[g] >= least[g] && (uint64_t)most[g] - (uint64_t)least[g] < 64) keyed += most[g] - least[g] + 1;
    }
    int32_t *call = malloc((size_t)(keyed + 1) * 4);
    aisp_keys_t keys = {.count = groups, .size = keyed, .process = process, .offset = offset, .low = least, .high = most};
    aisp_claim_t claim = {.n = n, .process = processes, .correlation = ids, .start = start, .end = end, .row = row, .call = call, .outermost = flags};
    if (aisp_claim(&keys, &claim) == 0) {
        aisp_column_t one = column_of(of, m, 8), two = column_of(launch, m, 8);
        done += 1 + (aisp_submitted(&keys, call, m, &one, &two, out[5]) == 0);
    }

    aisp_nest_t nest = {.n = n, .groups = groups, .group = column_of(coded, n, width), .start = start, .end = end, .row = row, .level = out[0], .parent = out[1]};
    done += aisp_nest(&nest) == 0;
    aisp_column_t starts = column_of(start, n, 8), ends = column_of(end, n, 8), lane = column_of(coded, n, width);
    done += aisp_timely(n, &starts, &ends, 1ll << 61, 1ll << 54, (int64_t)draw(2)) >= 0;
    done += aisp_in_turn(n, &lane, groups, start, end) >= 0;

    const int64_t room = draw(4) ? n : (int64_t)draw((uint64_t)n), few = aisp_distinct(n, &processes, room, out[2]);
    if (few > 0) {
        const int64_t result = 1 << draw(4);
        uint8_t *results = malloc((size_t)(few * result)), *found = malloc((size_t)(n * result));
        memset(results, 7, (size_t)(few * result));
        if (draw(16) == 0) out[2][draw((uint64_t)few)] ^= 1;
        done += 1 + (aisp_look_up(n, &processes, few, out[2], results, result, found) == 0);
        free(results), free(found);
    }

    const int64_t wide = 1 + (int64_t)draw(2), numbers = (int64_t)draw(draw(4) ? 300 : 5000);
    int64_t *seen = malloc((size_t)numbers * 8 + 8);
    uint8_t *numbered = malloc((size_t)(n * wide) + 1);
    const aisp_column_t *each = draw(2) ? &processes : &ids;
    const int64_t kinds = aisp_coded(n, each, numbers, seen, wide, numbered);
    for (int64_t i = 0; kinds > 0 && i < n; i++) {
        uint16_t number = numbered[i * wide];
        if (wide == 2) memcpy(&number, numbered + 2 * i, 2);
        if (number >= kinds || seen[number] != aisp_value(each, i)) abort();
    }
    done += kinds > 0;
    free(seen), free(numbered);

    const int64_t block = 1 + (int64_t)draw(8), narrow = 1 << draw(3);
    const int64_t *before = draw(2) ? start : NULL;
    uint8_t *bytes_out = malloc((size_t)(n * narrow));
    if (!aisp_bounds(n, block, end, before, out[0], out[1]) && !aisp_narrow(n, block, end, before, out[0], narrow, bytes_out)) {
        done += aisp_widen(n < block ? n : block, bytes_out, narrow, out[0][0], before, out[3]) == 0;
        done += aisp_weighed(n / 2, (uint32_t *)(void *)start, (uint64_t *)(void *)end) != 1;
    }
    free(bytes_out), free(call), free(process), free(offset), free(least), free(most), free(coded), free(gpus), free(flags);
    for (int k = 0; k < 6; k++) free(out[k]);
    free(start), free(end), free(low), free(high), free(row), free(group), free(of), free(launch);
    return done;
}

/* Rows of text whose parts are of every kind, into buffers of their own that are as short as the core may fill them. */
static int64_t lined(const uint8_t *bytes, size_t size) {
    enum { PARTS = 4, TEXTS = 3, LONGEST = 24 }; /* the last as reports/export/lines.py has it */
    const int64_t n = 1 + (int64_t)draw(12), length = (int64_t)draw(9);
    aisp_part_t parts[PARTS];
    void *made[PARTS][4];
    int64_t longest = 0, read = 0;
    for (int p = 0; p < PARTS; p++) {
        const int32_t kind = (int32_t)draw(5);
        int64_t *values = numbers(bytes, size, n, kind == AISP_SAID && draw(8) ? TEXTS : 0), *ends = ascending(bytes, size, TEXTS, 9);
        for (int64_t i = 0; i < n && kind == AISP_SHORTEST; i++) { /* what the core writes is of this size, or 0 */
            double real = (double)(values[i] >> draw(60)) / (double)(1 << draw(20));
            if (!(real < 1e16 && real > -1e16) || (real < 1e-4 && real > -1e-4)) real = 0;
            memcpy(values + i, &real, 8);
        }
        uint8_t *before = malloc((size_t)length + 1), *texts = malloc((size_t)ends[TEXTS - 1] + 1), *where = draw(2) ? malloc((size_t)n) : NULL;
        memset(before, ',', (size_t)length + 1), memset(texts, 'k', (size_t)ends[TEXTS - 1] + 1);
        for (int64_t i = 0; where && i < n; i++) where[i] = draw(3) != 0;
        parts[p] = (aisp_part_t){.kind = kind, .before = before, .before_length = length, .where = where, .values = (const uint8_t *)values,
            .stride = draw(4) ? 8 : 0, .texts = texts, .ends = ends, .count = TEXTS};
        longest += length + (kind == AISP_SAID ? ends[TEXTS - 1] : kind == AISP_NOTHING ? 0 : LONGEST);
        made[p][0] = values, made[p][1] = ends, made[p][2] = before, made[p][3] = texts;
    }
    aisp_lines_t job = {.parts = parts, .count = PARTS, .low = 0, .high = n, .longest = longest};
    while (job.low < n && job.room >= 0) {
        const int64_t begin = job.low;
        job.room = longest + (int64_t)draw((uint64_t)(2 * longest) + 1);
        job.out = malloc(job.room ? (size_t)job.room : 1);
        const int64_t written = aisp_lines(&job);
        for (int64_t i = 0; i < written; i++) read += job.out[i] != 0;
        free(job.out);
        if (written < 0 || job.low == begin) break;
    }
    for (int p = 0; p < PARTS; p++) {
        for (int k = 0; k < 4; k++) free(made[p][k]);
        free((void *)(uintptr_t)parts[p].where);
    }
    return read;
}

int main(int argc, char **argv) {
    FILE *file = argc == 5 || argc == 4 ? fopen(argv[1], "rb") : NULL;
    if (!file) return 2;
    static uint8_t whole[1 << 26], window[PAGES * LARGEST];
    size_t size = fread(whole, 1, sizeof whole, file);
    fclose(file);
    size_t page = (size_t)whole[16] << 8 | whole[17];
    page = page == 1 ? 65536 : page;
    const size_t length_of_window = PAGES * page;
    if (page < 512 || page > LARGEST || size < length_of_window) return 2;
    state = 0x9E3779B97F4A7C15ull ^ strtoull(argv[3], NULL, 10);
    int descriptor = memfd_create("fuzz", 0);
    const int64_t told = argc == 5 ? atoll(argv[4]) : 0;
    unsigned long long inputs = strtoull(argv[2], NULL, 10), accepted = 0, rows = 0, trees = 0, operations = 0, passes = 0, written = 0;
    for (unsigned long long i = 0; i < inputs; i++) {
        memcpy(window, whole + page * draw((size - length_of_window) / page + 1), length_of_window);
        int32_t kinds[256];
        for (int c = 0; c < 256; c++) kinds[c] = c % 3 ? AISP_INTEGER : AISP_TEXT;
        const int64_t found_columns = told ? told : told_by(window, length_of_window, page, kinds);
        mutate(window, length_of_window, page);
        size_t length = draw(16) ? length_of_window : draw(length_of_window);
        if (ftruncate(descriptor, 0) || pwrite(descriptor, window, length, 0) != (ssize_t)length) return 3;
        int64_t columns = draw(16) && found_columns ? found_columns : 1 + (int64_t)draw(200);
        int64_t found = decoded(descriptor, (int64_t)page, PAGES, columns, kinds);
        accepted += found > 0;
        rows += found > 0 ? (unsigned long long)found : 0;
        int64_t roots[3] = {1, 1 + (int64_t)draw(PAGES + 1), 1 + (int64_t)draw(4)};
        trees += aisp_walk(descriptor, (int64_t)page, PAGES, roots, 1 + (int64_t)draw(3), 20) == 0;
        operations += (unsigned long long)swept(window, length_of_window);
        passes += (unsigned long long)passed(window, length_of_window);
        written += (unsigned long long)lined(window, length_of_window);
    }
    printf("%llu inputs, %llu decoded, %llu rows, %llu trees, %llu operations swept, %llu passes, %llu letters\n", inputs, accepted, rows,
           trees, operations, passes, written);
    return 0;
}
