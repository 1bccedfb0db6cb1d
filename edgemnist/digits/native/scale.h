/* Pictures of grey levels made larger, in integers: the bytes of edgemnist.digits.images. */
#ifndef EDGEMNIST_SCALE_H
#define EDGEMNIST_SCALE_H

#include "box.h"

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

/* A sum of pixels times shares of 2^bits. */
static uint8_t edgemnist_clipped(int32_t sum, uint32_t bits)
{
    const int32_t value = sum >> bits;
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
            rows[(size_t)y * scaled_width + column] = edgemnist_clipped(sum, 22U);
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
            to[(size_t)row * scaled_width + x] = edgemnist_clipped(sums[x], 22U);
        }
    }
}

/* The share, of 2^14, of the old pixel x + tap - 3 in the new one 4 * x + quarter: Lanczos' kernel of three lobes, as
 * in edgemnist.digits.images.grey. */
static int32_t edgemnist_quarter(uint32_t quarter, uint32_t tap)
{
    static const int16_t shares[2][7] = {{257, -1736, 7206, 12583, -2425, 499, 0}, {30, -501, 1977, 15936, -1393, 335, 0}};
    return quarter < 2U ? shares[quarter][tap] : shares[3U - quarter][6U - tap];
}

/* Four times as large, with zeros around, for up to EDGEMNIST_MOST_SCALED new pixels a side: `rows` has room for
 * [height][4 * width]. */
static void edgemnist_quadruple(const uint8_t *from, uint32_t width, uint32_t height, uint8_t *to, uint8_t *rows)
{
    const uint32_t wide = 4U * width;
    for (uint32_t y = 0; y < height; ++y) {
        for (uint32_t x = 0; x < wide; ++x) {
            int32_t sum = INT32_C(1) << 13;
            for (uint32_t tap = 0; tap < 7U; ++tap) {
                const uint32_t at = x / 4U + tap;
                sum += at < 3U || at >= width + 3U ? 0 : edgemnist_quarter(x % 4U, tap) * from[y * width + at - 3U];
            }
            rows[y * wide + x] = edgemnist_clipped(sum, 14U);
        }
    }
    for (uint32_t y = 0; y < 4U * height; ++y) {
        int32_t sums[EDGEMNIST_MOST_SCALED];
        for (uint32_t x = 0; x < wide; ++x) {
            sums[x] = INT32_C(1) << 13;
        }
        for (uint32_t tap = 0; tap < 7U; ++tap) {
            const uint32_t at = y / 4U + tap;
            const int32_t share = edgemnist_quarter(y % 4U, tap);
            if (at >= 3U && at < height + 3U) {
                for (uint32_t x = 0; x < wide; ++x) {
                    sums[x] += share * rows[(at - 3U) * wide + x];
                }
            }
        }
        for (uint32_t x = 0; x < wide; ++x) {
            to[y * wide + x] = edgemnist_clipped(sums[x], 14U);
        }
    }
}

#endif
