/* Pictures of grey levels made smaller by a whole number, in integers: the bytes of Pillow's Image.reduce. */
#ifndef EDGEMNIST_REDUCE_H
#define EDGEMNIST_REDUCE_H

#include <stddef.h>
#include <stdint.h>

#ifndef EDGEMNIST_MOST_COLUMNS
#define EDGEMNIST_MOST_COLUMNS 1024U
#endif

/* 2^24 / count as Pillow has it, which divides 32-bit floating point numbers: rounded to 24 bits, then cut off. */
static uint32_t edgemnist_reciprocal_of(uint32_t count)
{
    unsigned exponent = 0; /* of the quotient */
    while ((count << (exponent + 1U)) <= (UINT32_C(1) << 24)) {
        ++exponent;
    }
    if (exponent == 24U) {
        return UINT32_C(1) << 24;
    }
    const uint64_t dividend = UINT64_C(1) << (47U - exponent);
    const uint64_t rest = 2U * (dividend % count);
    uint64_t quotient = dividend / count;
    quotient += rest > count || (rest == count && (quotient & 1U) != 0U);
    return (uint32_t)(quotient >> (23U - exponent));
}

/* Means of `count` groups of sums: (sum + half) * reciprocal / 2^24. */
static inline void edgemnist_means(const uint16_t *sums, uint32_t count, uint32_t group, uint32_t half,
                                   uint32_t reciprocal, uint8_t *to)
{
    for (uint32_t i = 0; i < count; ++i) {
        uint32_t sum = half;
        for (uint32_t x = 0; x < group; ++x) {
            sum += sums[(size_t)i * group + x];
        }
        to[i] = (uint8_t)((sum * reciprocal) >> 24);
    }
}

/* What `rows` rows of at most EDGEMNIST_MOST_COLUMNS columns become, of which `sums` are the sums; returns how many
 * pixels that is. Those at the right may be of fewer columns. */
static uint32_t edgemnist_reduced(const uint16_t *sums, uint32_t width, uint32_t rows, uint32_t factor, uint8_t *to)
{
    const uint32_t full = width / factor, half = rows * factor / 2U, rest = width % factor;
    const uint32_t whole = edgemnist_reciprocal_of(rows * factor);
    /* With a number that the compiler knows for those that pictures have. */
    switch (factor) {
    case 2: edgemnist_means(sums, full, 2, half, whole, to); break;
    case 3: edgemnist_means(sums, full, 3, half, whole, to); break;
    case 4: edgemnist_means(sums, full, 4, half, whole, to); break;
    case 6: edgemnist_means(sums, full, 6, half, whole, to); break;
    case 7: edgemnist_means(sums, full, 7, half, whole, to); break;
    default: edgemnist_means(sums, full, factor, half, whole, to); break;
    }
    if (rest == 0U) {
        return full;
    }
    edgemnist_means(sums + full * factor, 1, rest, rows * rest / 2U, edgemnist_reciprocal_of(rows * rest), to + full);
    return full + 1U;
}

/* Means of squares of up to 128 pixels, as Pillow's Image.reduce: those at the right and below may be smaller. */
static void edgemnist_reduce(const uint8_t *from, uint32_t width, uint32_t height, uint32_t factor, uint8_t *to)
{
    const uint32_t tile = EDGEMNIST_MOST_COLUMNS / factor * factor;
    for (uint32_t top = 0; top < height; top += factor) {
        const uint32_t rows = height - top < factor ? height - top : factor;
        for (uint32_t begin = 0; begin < width; begin += tile) {
            const uint32_t wide = width - begin < tile ? width - begin : tile;
            uint16_t sums[EDGEMNIST_MOST_COLUMNS] = {0};
            for (uint32_t y = top; y < top + rows; ++y) {
                const uint8_t *const row = from + (size_t)y * width + begin;
                for (uint32_t x = 0; x < wide; ++x) {
                    sums[x] = (uint16_t)(sums[x] + row[x]);
                }
            }
            to += edgemnist_reduced(sums, wide, rows, factor, to);
        }
    }
}

#endif
