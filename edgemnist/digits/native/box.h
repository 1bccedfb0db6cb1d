/* Pictures of grey levels made smaller to any size, in integers: the bytes of edgemnist.digits.images. */
#ifndef EDGEMNIST_BOX_H
#define EDGEMNIST_BOX_H

#include <stddef.h>
#include <stdint.h>

#ifndef EDGEMNIST_MOST_COLUMNS
#define EDGEMNIST_MOST_COLUMNS 1024U
#endif
#ifndef EDGEMNIST_MOST_SCALED
#define EDGEMNIST_MOST_SCALED 100U
#endif

/* The length of a side where the longest one becomes `side`: rounded, halves up, and at least 1. */
static uint32_t edgemnist_scaled(uint32_t length, uint32_t longest, uint32_t side)
{
    const uint32_t scaled = (2U * length * side + longest) / (2U * longest);
    return scaled > 0U ? scaled : 1U;
}

/* Where the pixels under the new pixel `index` begin, of those along one side. */
static uint32_t edgemnist_border(uint32_t index, uint32_t length, uint32_t scaled)
{
    return (2U * index * length + scaled) / (2U * scaled);
}

/* Means of the pixels under each new one, first of columns, then of rows: `columns` has room for [scaled][width]. Of
 * EDGEMNIST_MOST_COLUMNS at most, which become EDGEMNIST_MOST_SCALED at most, and so few rows become one that 16 bits
 * hold their sums. */
static void edgemnist_box(const uint8_t *from, uint32_t width, uint32_t height, uint8_t *to, uint32_t scaled_width,
                          uint32_t scaled_height, uint8_t *columns)
{
    for (uint32_t row = 0; row < scaled_height; ++row) {
        const uint32_t first = edgemnist_border(row, height, scaled_height);
        const uint32_t count = edgemnist_border(row + 1U, height, scaled_height) - first;
        const uint32_t reciprocal = ((UINT32_C(1) << 23) + count) / (2U * count);
        uint16_t sums[EDGEMNIST_MOST_COLUMNS];
        const uint8_t *line = from + (size_t)first * width;
        uint8_t *const means = columns + (size_t)row * width;
        for (uint32_t x = 0; x < width; ++x) {
            sums[x] = line[x];
        }
        for (uint32_t y = 1; y < count; ++y) {
            line += width;
            for (uint32_t x = 0; x < width; ++x) {
                sums[x] = (uint16_t)(sums[x] + line[x]);
            }
        }
        for (uint32_t x = 0; x < width; ++x) {
            means[x] = (uint8_t)((sums[x] * reciprocal + (UINT32_C(1) << 21)) >> 22);
        }
    }
    uint16_t borders[EDGEMNIST_MOST_SCALED + 1U];
    uint32_t reciprocals[EDGEMNIST_MOST_SCALED];
    borders[0] = 0;
    for (uint32_t column = 0; column < scaled_width; ++column) {
        borders[column + 1U] = (uint16_t)edgemnist_border(column + 1U, width, scaled_width);
        const uint32_t count = (uint32_t)borders[column + 1U] - borders[column];
        reciprocals[column] = ((UINT32_C(1) << 23) + count) / (2U * count);
    }
    for (uint32_t row = 0; row < scaled_height; ++row) {
        const uint8_t *const line = columns + (size_t)row * width;
        uint16_t before[EDGEMNIST_MOST_COLUMNS + 1U]; /* the sum of all pixels to the left, modulo 2^16 */
        before[0] = 0;
        for (uint32_t x = 0; x < width; ++x) {
            before[x + 1U] = (uint16_t)(before[x] + line[x]);
        }
        for (uint32_t column = 0; column < scaled_width; ++column) {
            const uint32_t sum = (uint16_t)(before[borders[column + 1U]] - before[borders[column]]);
            *to++ = (uint8_t)((sum * reciprocals[column] + (UINT32_C(1) << 21)) >> 22);
        }
    }
}

#endif
