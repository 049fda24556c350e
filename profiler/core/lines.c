/* Lines of text made of columns: CSV, and the events of a trace for Perfetto. */
#include "core.h"

#include <string.h>

static const char PAIRS[] = "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
                            "5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

static const uint64_t FIVE[] = {
    1ull, 5ull, 25ull, 125ull, 625ull, 3125ull, 15625ull, 78125ull, 390625ull, 1953125ull, 9765625ull, 48828125ull,
    244140625ull, 1220703125ull, 6103515625ull, 30517578125ull, 152587890625ull, 762939453125ull, 3814697265625ull,
    19073486328125ull, 95367431640625ull, 476837158203125ull,
};

static const double TEN[] = {1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6,
                             1e7,  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16};

typedef unsigned __int128 wide_t;

static uint8_t *unsigned_of(uint8_t *out, uint64_t value) {
    char digits[20];
    int at = 20;
    for (; value >= 100; value /= 100) memcpy(digits + (at -= 2), PAIRS + 2 * (value % 100), 2);
    if (value >= 10)
        memcpy(digits + (at -= 2), PAIRS + 2 * value, 2);
    else
        digits[--at] = (char)('0' + value);
    memcpy(out, digits + at, (size_t)(20 - at));
    return out + 20 - at;
}

static uint8_t *magnitude(uint8_t *out, int64_t value, uint64_t *of) {
    if (value < 0) *out++ = '-';
    *of = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    return out;
}

static uint8_t *integer(uint8_t *out, int64_t value) {
    uint64_t of;
    out = magnitude(out, value, &of);
    return unsigned_of(out, of);
}

/* Nanoseconds as microseconds with three decimals. */
static uint8_t *micro(uint8_t *out, int64_t value) {
    uint64_t of;
    out = magnitude(out, value, &of);
    out = unsigned_of(out, of / 1000);
    unsigned rest = (unsigned)(of % 1000);
    *out++ = '.';
    *out++ = (uint8_t)('0' + rest / 100);
    memcpy(out, PAIRS + 2 * (rest % 100), 2);
    return out + 2;
}

static wide_t apart(uint64_t digits, uint64_t scale, int shift, wide_t exact) {
    wide_t at = ((wide_t)digits * scale) << shift;
    return at > exact ? at - exact : exact - at;
}

/* The fewest digits that read as this number and no other, of those the nearest: digits * 10^power. Exact, in 128 bits, for
   what is at least 1e-4 and below 1e16: scaled by a power of ten to 17 digits, whose neighbours are less than an ulp apart. */
static uint64_t shortest(double value, int *power) {
    uint64_t bits;
    memcpy(&bits, &value, 8);
    uint64_t mantissa = (bits & ((1ull << 52) - 1)) | 1ull << 52;
    int exponent = (int)(bits >> 52 & 0x7ff) - 1075, at = 0;
    while (at < 19 && value >= TEN[at + 1]) at++; /* 10^(at - 4) <= value */
    int scaled = 20 - at, shift = 2 - exponent - scaled;
    wide_t five = FIVE[scaled], exact = 4 * five * mantissa;
    wide_t below = exact - (mantissa == 1ull << 52 ? five : 2 * five), above = exact + 2 * five;
    wide_t part = ((wide_t)1 << shift) - 1;
    int even = !(mantissa & 1);
    uint64_t low = (uint64_t)(below >> shift) + (even ? (below & part) != 0 : 1);
    uint64_t high = (uint64_t)(above >> shift) - (even ? 0 : (above & part) == 0);
    uint64_t scale = 1;
    int dropped = 0;
    for (; (low + 9) / 10 <= high / 10; dropped++, scale *= 10) low = (low + 9) / 10, high /= 10;
    uint64_t first = (uint64_t)(exact >> shift) / scale;
    if (first < low) first = low;
    if (first > high) first = high;
    wide_t by = apart(first, scale, shift, exact), next = apart(first + 1, scale, shift, exact);
    if (first < high && (next < by || (next == by && (first & 1)))) first++;
    *power = dropped - scaled;
    return first;
}

static uint8_t *zeros(uint8_t *out, int count) {
    memset(out, '0', (size_t)count);
    return out + count;
}

/* As Python writes it; of numbers between 1e-4 and 1e16 and of 0. */
static uint8_t *real(uint8_t *out, double value) {
    uint8_t digits[20];
    uint64_t bits;
    memcpy(&bits, &value, 8);
    if (bits >> 63) *out++ = '-';
    if (value < 0) value = -value;
    if (value == 0) return memcpy(out, "0.0", 3), out + 3;
    int power, count;
    count = (int)(unsigned_of(digits, shortest(value, &power)) - digits);
    int point = count + power; /* digits in front of it */
    if (point <= 0) {
        memcpy(out, "0.", 2);
        out = zeros(out + 2, -point);
        point = 0;
    } else if (point >= count) {
        memcpy(out, digits, (size_t)count);
        out = zeros(out + count, point - count);
        return memcpy(out, ".0", 2), out + 2;
    } else {
        memcpy(out, digits, (size_t)point);
        out += point;
        *out++ = '.';
    }
    memcpy(out, digits + point, (size_t)(count - point));
    return out + count - point;
}

static uint8_t *text(uint8_t *out, const aisp_part_t *part, int64_t code) {
    int64_t begin = code ? part->ends[code - 1] : 0, length = part->ends[code] - begin;
    memcpy(out, part->texts + begin, (size_t)length);
    return out + length;
}

static uint8_t *written(uint8_t *out, const aisp_part_t *part, int64_t row) {
    int64_t value = 0;
    if (part->where && !part->where[row]) return out;
    if (part->before_length == 1)
        *out = *part->before;
    else
        memcpy(out, part->before, (size_t)part->before_length);
    out += part->before_length;
    if (part->kind == AISP_NOTHING) return out;
    memcpy(&value, part->values + row * part->stride, 8);
    if (part->kind == AISP_WHOLE) return integer(out, value);
    if (part->kind == AISP_MICRO) return micro(out, value);
    if (part->kind == AISP_SAID) return value < 0 || value >= part->count ? NULL : text(out, part, value);
    double as_real;
    memcpy(&as_real, &value, 8);
    return real(out, as_real);
}

int64_t aisp_lines(aisp_lines_t *job) {
    uint8_t *out = job->out;
    for (; job->low < job->high && job->room - (out - job->out) >= job->longest; job->low++)
        for (int64_t i = 0; i < job->count; i++)
            if (!(out = written(out, &job->parts[i], job->low))) return AISP_UNUSUAL;
    return out - job->out;
}
