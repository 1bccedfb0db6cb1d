/* Pictures of grey levels made smaller and larger, in integers: the bytes of edgemnist.images. */
#ifndef EDGEMNIST_SCALE_H
#define EDGEMNIST_SCALE_H

#include "reduce.h"

#define EDGEMNIST_MOST_SCALED 100U

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
 * 1024 columns at most, which become 100 at most, and so few rows become one that 16 bits hold their sums. */
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

#define EDGEMNIST_TAPS 5U

/* The shares, of 2^22, of the pixels from `first` on in the new pixel `index` (Keys' cubic with a = -1/2, as Pillow's
 * BICUBIC: equal to it in every bit for up to 100 new pixels); returns how many there are. */
static uint32_t edgemnist_cubic(uint32_t index, uint32_t length, uint32_t scaled, uint32_t *first, int32_t *shares)
{
    const int64_t one = 2 * (int64_t)scaled; /* of a distance */
    const int64_t centre = (2 * (int64_t)index + 1) * length;
    const int64_t begin = centre < 3 * (int64_t)scaled ? 0 : (centre - 3 * (int64_t)scaled) / one;
    int64_t end = (centre + 5 * (int64_t)scaled) / one;
    int64_t weights[EDGEMNIST_TAPS], total = 0;
    end = end < length ? end : (int64_t)length;
    *first = (uint32_t)begin;
    for (int64_t x = begin; x < end; ++x) {
        int64_t far = (2 * x + 1) * scaled - centre, weight = 0;
        far = far < 0 ? -far : far;
        if (far < one) {
            weight = 3 * far * far * far - 5 * far * far * one + 2 * one * one * one;
        } else if (far < 2 * one) {
            weight = -far * far * far + 5 * far * far * one - 8 * far * one * one + 4 * one * one * one;
        }
        weights[x - begin] = weight;
        total += weight;
    }
    for (int64_t i = 0; i < end - begin; ++i) {
        const int64_t size = weights[i] < 0 ? -weights[i] : weights[i];
        const int64_t share = (size * (INT64_C(1) << 23) + total) / (2 * total);
        shares[i] = (int32_t)(weights[i] < 0 ? -share : share);
    }
    return (uint32_t)(end - begin);
}

static uint8_t edgemnist_clipped(int32_t sum)
{
    const int32_t value = sum >> 22;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* Larger pictures, first along rows, then along columns: `rows` has room for [height][scaled_width]. */
static void edgemnist_enlarge(const uint8_t *from, uint32_t width, uint32_t height, uint8_t *to, uint32_t scaled_width,
                              uint32_t scaled_height, uint8_t *rows)
{
    int32_t shares[EDGEMNIST_TAPS];
    uint32_t first;
    for (uint32_t column = 0; column < scaled_width; ++column) {
        const uint32_t taps = edgemnist_cubic(column, width, scaled_width, &first, shares);
        for (uint32_t y = 0; y < height; ++y) {
            const uint8_t *const pixels = from + (size_t)y * width + first;
            int32_t sum = INT32_C(1) << 21;
            for (uint32_t i = 0; i < taps; ++i) {
                sum += shares[i] * pixels[i];
            }
            rows[(size_t)y * scaled_width + column] = edgemnist_clipped(sum);
        }
    }
    for (uint32_t row = 0; row < scaled_height; ++row) {
        const uint32_t taps = edgemnist_cubic(row, height, scaled_height, &first, shares);
        int32_t sums[EDGEMNIST_MOST_SCALED];
        for (uint32_t x = 0; x < scaled_width; ++x) {
            sums[x] = INT32_C(1) << 21;
        }
        for (uint32_t i = 0; i < taps; ++i) {
            const uint8_t *const line = rows + (size_t)(first + i) * scaled_width;
            for (uint32_t x = 0; x < scaled_width; ++x) {
                sums[x] += shares[i] * line[x];
            }
        }
        for (uint32_t x = 0; x < scaled_width; ++x) {
            to[(size_t)row * scaled_width + x] = edgemnist_clipped(sums[x]);
        }
    }
}

#endif
