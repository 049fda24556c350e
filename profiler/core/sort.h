#ifndef AISP_SORT_H
#define AISP_SORT_H
#include <stdint.h>
#include <string.h>

enum { BLOCK = 16 };

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Sorts that find nearly sorted what launches mostly leave so: blocks by insertion, then merges of no more than where two
 * neighbours overlap. `type` has the values, `key` gives what they are ordered by; stable. */
#define SORT(name, type, key)                                                                  \
    static void name(type *a, type *spare, int64_t n) {                                        \
        for (int64_t block = 0; block < n; block += BLOCK)                                     \
            for (int64_t i = block + 1; i < least(block + BLOCK, n); i++) {                    \
                const type one = a[i];                                                         \
                int64_t at = i;                                                                \
                for (; at > block && key(a[at - 1]) > key(one); at--) a[at] = a[at - 1];       \
                a[at] = one;                                                                   \
            }                                                                                  \
        for (int64_t width = BLOCK; width < n; width *= 2)                                     \
            for (int64_t low = 0; low + width < n; low += 2 * width) {                         \
                const int64_t middle = low + width, high = least(middle + width, n);           \
                if (key(a[middle - 1]) <= key(a[middle])) continue;                            \
                int64_t from = low, until = middle;                                            \
                while (from < until) {                                                         \
                    const int64_t half = from + (until - from) / 2;                            \
                    if (key(a[half]) <= key(a[middle])) from = half + 1;                       \
                    else until = half;                                                         \
                }                                                                              \
                const int64_t count = middle - from;                                           \
                memcpy(spare, a + from, (size_t)count * sizeof(type));                         \
                int64_t left = 0, right = middle, to = from;                                   \
                while (left < count && right < high)                                           \
                    a[to++] = key(a[right]) < key(spare[left]) ? a[right++] : spare[left++];   \
                memcpy(a + to, spare + left, (size_t)(count - left) * sizeof(type));           \
            }                                                                                  \
    }
#endif
