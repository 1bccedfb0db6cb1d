/* One digit's ink, made to look as MNIST's digits were made: `edgemnist.digits.images.mnist`. */
#ifndef EDGEMNIST_MNIST_H
#define EDGEMNIST_MNIST_H

#include "scale.h"

#define FRAME 28U
#define BOX 20U    /* that a digit fits */
#define LARGE 100U  /* five times that: strokes are measured and changed at this size */
/* With what strokes grow by, or are thinned within: an octagon, which has the shortest outline for its area, by 19, in a
 * margin of one more. */
#define WIDEST 144U
#define FEW 24U  /* ink of at most so many pixels a side is enlarged first */
#define HALF 127U   /* what is stronger lies within a stroke */

typedef struct {
    uint32_t top, left, bottom, right; /* the last two are the first beyond */
} bounds;

/* n / d rounded, halves to even, for n of at least 0. */
static uint32_t half_even(uint32_t n, uint32_t d)
{
    const uint32_t quotient = n / d, rest = 2U * (n % d);
    return quotient + (rest > d || (rest == d && (quotient & 1U) != 0U));
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void clear(void *memory, size_t count)
{
    for (size_t i = 0; i < count; ++i) {
        ((uint8_t *)memory)[i] = 0;
    }
}

/* The twofold median of what a histogram counts above `level`, and 0 for nothing. */
static uint32_t twofold_median(const uint32_t histogram[256], int level, uint32_t *count)
{
    uint32_t total = 0, seen = 0, low = 0;
    int found = 0;
    for (int value = level + 1; value < 256; ++value) {
        total += histogram[value];
    }
    *count = total;
    for (int value = level + 1; value < 256; ++value) {
        seen += histogram[value];
        if (!found && 2U * seen >= total) {
            low = (uint32_t)value;
            found = 1;
        }
        if (2U * seen > total) {
            return low + (uint32_t)value;
        }
    }
    return 0;
}

/* Bounds of what is stronger than level / 10; all of it where nothing is. */
static bounds bounds_above(const uint8_t *ink, uint32_t width, uint32_t height, uint32_t level)
{
    bounds found = {height, width, 0, 0};
    level /= 10U;
    for (uint32_t y = 0; y < height; ++y) {
        const uint8_t *const row = ink + (size_t)y * width;
        uint8_t most = 0;
        for (uint32_t x = 0; x < width; ++x) {
            most = row[x] > most ? row[x] : most;
        }
        if (most > level) {
            uint32_t left = 0, right = width;
            while (left < found.left && row[left] <= level) {
                ++left;
            }
            while (right > found.right && row[right - 1U] <= level) {
                --right;
            }
            found.top = smaller(found.top, y);
            found.left = left;
            found.bottom = y + 1U;
            found.right = right;
        }
    }
    return found.bottom == 0U ? (bounds){0, 0, height, width} : found;
}

/* Moves what lies within bounds to the front, in order. */
static void crop(uint8_t *ink, uint32_t *width, uint32_t *height, bounds kept)
{
    const uint32_t wide = kept.right - kept.left, tall = kept.bottom - kept.top;
    for (uint32_t y = 0; y < tall; ++y) {
        const uint8_t *const from = ink + (size_t)(kept.top + y) * *width + kept.left;
        for (uint32_t x = 0; x < wide; ++x) {
            ink[(size_t)y * wide + x] = from[x];
        }
    }
    *width = wide;
    *height = tall;
}

static void rescale(const uint8_t *from, uint32_t *width, uint32_t *height, uint32_t side, uint8_t *to, uint8_t *room)
{
    const uint32_t longest = larger(*width, *height);
    const uint32_t wide = edgemnist_scaled(*width, longest, side), tall = edgemnist_scaled(*height, longest, side);
    if (side < longest) {
        edgemnist_box(from, *width, *height, to, wide, tall, room);
    } else {
        edgemnist_enlarge(from, *width, *height, to, wide, tall, room);
    }
    *width = wide;
    *height = tall;
}

/* Gives all strokes the same full intensity. */
static void sharpen(uint8_t *ink, uint32_t count)
{
    uint32_t histogram[256] = {0}, most = 0, many;
    for (uint32_t i = 0; i < count; ++i) {
        ++histogram[ink[i]];
        most = larger(most, ink[i]);
    }
    const int32_t contrast = (int32_t)twofold_median(histogram, (int)(most / 2U), &many);
    if (many == 0U) {
        return;
    }
    uint8_t table[256];
    for (int32_t value = 0; value < 256; ++value) {
        const int32_t edge = 255 * (20 * value - 3 * contrast) + 2 * contrast;
        const int32_t full = edge < 0 ? 0 : edge / (4 * contrast);
        table[value] = (uint8_t)(full > 255 ? 255 : full);
    }
    for (uint32_t i = 0; i < count; ++i) {
        ink[i] = table[ink[i]];
    }
}

static uint32_t count_inside(const uint8_t *ink, uint32_t count)
{
    uint32_t inside = 0;
    for (uint32_t i = 0; i < count; ++i) {
        inside += ink[i] > HALF;
    }
    return inside;
}

/* Pixels at the outline of strokes. */
static uint32_t count_outline(const uint8_t *ink, uint32_t width, uint32_t height)
{
    uint32_t core = 0;
    for (uint32_t y = 1; y + 1U < height; ++y) {
        for (uint32_t x = 1; x + 1U < width; ++x) {
            const uint8_t *const at = ink + y * width + x;
            core += at[0] > HALF && at[-1] > HALF && at[1] > HALF && at[-(ptrdiff_t)width] > HALF && at[width] > HALF;
        }
    }
    return count_inside(ink, width * height) - core;
}

/* Lets strokes grow by a pixel to each side, into an array of the same size: crosses and squares in turn. */
static void grow(const uint8_t *from, uint8_t *to, uint32_t width, uint32_t height, uint32_t step)
{
    for (uint32_t y = 0; y < height; ++y) {
        const uint8_t *const row = from + (size_t)y * width;
        const uint8_t *const above = y > 0U ? row - width : row, *const below = y + 1U < height ? row + width : row;
        uint8_t *const grown = to + (size_t)y * width;
        /* Of the row and those beside it; of the row alone where the brush is a cross. */
        uint8_t three[WIDEST], beside[WIDEST + 2U];
        for (uint32_t x = 0; x < width; ++x) {
            const uint8_t most = above[x] > below[x] ? above[x] : below[x];
            three[x] = row[x] > most ? row[x] : most;
            beside[x + 1U] = step % 2U != 0U ? three[x] : row[x];
        }
        beside[0] = 0;
        beside[width + 1U] = 0;
        for (uint32_t x = 0; x < width; ++x) {
            const uint8_t most = beside[x] > beside[x + 2U] ? beside[x] : beside[x + 2U];
            grown[x] = three[x] > most ? three[x] : most;
        }
    }
}

/* Writes an array with a margin of `fill` to each side, and lets it grow `steps` times; returns where the result is,
 * which is one of `a` and `b`. */
static uint8_t *grown(const uint8_t *ink, uint32_t width, uint32_t height, uint32_t margin, uint8_t flip, uint32_t steps,
                      uint8_t *a, uint8_t *b)
{
    const uint32_t wide = width + 2U * margin, tall = height + 2U * margin;
    for (uint32_t y = 0; y < tall; ++y) {
        for (uint32_t x = 0; x < wide; ++x) {
            const int inside = y >= margin && y < margin + height && x >= margin && x < margin + width;
            a[y * wide + x] = (inside ? ink[(y - margin) * width + x - margin] : 0U) ^ flip;
        }
    }
    for (uint32_t step = 0; step < steps; ++step) {
        uint8_t *const last = a;
        grow(a, b, wide, tall, step);
        a = b;
        b = last;
    }
    return a;
}

/* Thickens or thins strokes to the widths that MNIST has; `a` and `b` have room for WIDEST x WIDEST. Returns where. */
static uint8_t *even_out(uint8_t *ink, uint32_t *width, uint32_t *height, uint8_t *a, uint8_t *b)
{
    const uint32_t area = count_inside(ink, *width * *height);
    const uint32_t outline = larger(1, count_outline(ink, *width, *height));
    /* The mean width of strokes is 2 * area / outline, which is to be 11 to 21 of a hundred pixels. */
    if (11U * outline >= 2U * area + outline) {
        const uint32_t steps = half_even(11U * outline - 2U * area, 2U * outline);
        ink = grown(ink, *width, *height, steps, 0, steps, a, b);
        *width += 2U * steps;
        *height += 2U * steps;
    } else if (2U * area >= 22U * outline) {
        const uint32_t steps = half_even(2U * area - 21U * outline, 2U * outline);
        const uint32_t margin = steps + 1U;
        const uint32_t wide = *width + 2U * margin, tall = *height + 2U * margin;
        uint8_t *const ground = grown(ink, *width, *height, margin, 0xFF, steps, a, b);
        for (uint32_t i = 0; i < wide * tall; ++i) {
            ground[i] = (uint8_t)(255U - ground[i]);
        }
        if (10U * count_inside(ground, wide * tall) > 3U * area) {
            ink = ground;
            *width = wide;
            *height = tall;
        }
    }
    return ink;
}

/* Where to begin along one axis so that the centre of mass comes to pixel 14, as far as the digit stays inside. */
static uint32_t corner(const uint8_t *digit, uint32_t width, uint32_t height, uint32_t step, uint32_t size)
{
    uint32_t mass = 0, moment = 0;
    for (uint32_t i = 0; i < width * height; ++i) {
        mass += digit[i];
        moment += digit[i] * (step == 1U ? i % width : i / width);
    }
    mass = larger(1, mass);
    const uint32_t wanted = 14U * mass > moment ? half_even(14U * mass - moment, mass) : 0U;
    return smaller(wanted, FRAME - size);
}

static void centre(const uint8_t *digit, uint32_t width, uint32_t height, uint8_t image[784])
{
    const uint32_t top = corner(digit, width, height, 0, height), left = corner(digit, width, height, 1, width);
    clear(image, FRAME * FRAME);
    for (uint32_t y = 0; y < height; ++y) {
        for (uint32_t x = 0; x < width; ++x) {
            image[(top + y) * FRAME + left + x] = digit[y * width + x];
        }
    }
}

/* Makes the ink of one digit, which is overwritten, look as MNIST's. `room` has 63000 bytes and 100 for each column. */
static void fit_digit(uint8_t *ink, uint32_t width, uint32_t height, uint8_t image[784], uint8_t *room)
{
    uint8_t *const large = room, *const a = large + LARGE * LARGE, *const b = a + WIDEST * WIDEST + 8U;
    uint8_t *const rows = b + WIDEST * WIDEST + 8U; /* of LARGE for each column or row */
    uint8_t digit[BOX * BOX];
    uint8_t most = 0;
    for (uint32_t i = 0; i < width * height; ++i) {
        most = ink[i] > most ? ink[i] : most;
    }
    if (most == 0U) {
        clear(image, FRAME * FRAME);
        return;
    }
    if (larger(width, height) <= FEW) {
        edgemnist_quadruple(ink, width, height, a, b);
        ink = a;
        width *= 4U;
        height *= 4U;
        most = 0;
        for (uint32_t i = 0; i < width * height; ++i) {
            most = ink[i] > most ? ink[i] : most;
        }
    }
    crop(ink, &width, &height, bounds_above(ink, width, height, 3U * most));
    rescale(ink, &width, &height, LARGE, large, rows);
    sharpen(large, width * height);
    crop(large, &width, &height, bounds_above(large, width, height, 10U * HALF));
    const uint8_t *const strokes = even_out(large, &width, &height, a, b);
    rescale(strokes, &width, &height, BOX, digit, rows);
    centre(digit, width, height, image);
}

#endif
