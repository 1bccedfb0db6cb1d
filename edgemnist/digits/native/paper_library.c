/* The paper of photographs, for the shared library: the bytes of `edgemnist.digits.images.paper`.
 *
 * Pictures of grey levels have sides of 1 to EDGEMNIST_MOST_COLUMNS, and `scratch` has EDGEMNIST_PAPER_BYTES, aligned
 * as numbers of 32 bits are. */
#define EDGEMNIST_MOST_COLUMNS 4096U
#define EDGEMNIST_MOST_SCALED 384U
#include "box.h"

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

#define FINE_SIDE 384U /* the copies on which ink is told from its ground, */
#define FINE_REACH 8U  /* and how far the local mean reaches in them */
#define GROUND_SIDE 96U
#define GROUND_REACH 16U
#define STROKE_REACH 14U /* pixels of the small copy, to each side, that no stroke fills */
#define SOFT_REACH 3U    /* of each of the three means that smooth the ground */
#define SOFT_ROOM (3U * SOFT_REACH)
#define SOFT_WEIGHT 117649U /* 7^6 */
#define DARKEST_GROUND 64U
#define PART 128U /* of a pixel, in which places between two are told */
#define MOST_REACH GROUND_REACH
/* Both copies, and what the larger one is made in. */
#define EDGEMNIST_PAPER_BYTES (FINE_SIDE * FINE_SIDE + GROUND_SIDE * GROUND_SIDE + FINE_SIDE * EDGEMNIST_MOST_COLUMNS)

typedef struct {
    uint8_t *pixels; /* [height][width] */
    uint32_t width, height;
} plane;

typedef struct {
    int64_t pixels, squares, cubes; /* sums over all pixels of powers of their deviation from the local mean */
} moments;

/* What `is_dark_on_light` decides by, of the fine copy and of the coarse one. */
typedef struct {
    moments fine, coarse;
    int64_t brightness; /* twice the median of the coarse copy */
} edgemnist_light;

EXPORT void edgemnist_paper_light(const uint8_t *grey, uint32_t width, uint32_t height, edgemnist_light *light,
                                  uint8_t *scratch);
EXPORT void edgemnist_paper_ink(const uint8_t *grey, uint32_t width, uint32_t height, uint32_t dark, uint8_t *ink,
                                uint8_t *scratch);

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* A copy whose longer side is `side`, or the picture itself where that is no longer. */
static plane copy_of(plane picture, uint32_t side, uint8_t *room)
{
    const uint32_t longest = larger(picture.width, picture.height);
    if (longest <= side) {
        return picture;
    }
    const plane copy = {room, edgemnist_scaled(picture.width, longest, side),
                        edgemnist_scaled(picture.height, longest, side)};
    edgemnist_box(picture.pixels, picture.width, picture.height, room, copy.width, copy.height,
                  room + (size_t)copy.width * copy.height);
    return copy;
}

/* Sums of powers of the deviations from the mean of a square window, whose pixels beyond the edge are those of it. */
static inline moments deviations(plane copy, uint32_t reach)
{
    uint16_t columns[FINE_SIDE + 2U * MOST_REACH]; /* sums over the window's rows */
    const uint32_t window = 2U * reach + 1U, count = window * window;
    moments found = {(int64_t)copy.width * copy.height, 0, 0};
    for (uint32_t x = 0; x < copy.width; ++x) {
        uint32_t sum = reach * copy.pixels[x];
        for (uint32_t y = 0; y <= reach; ++y) {
            sum += copy.pixels[(size_t)smaller(y, copy.height - 1U) * copy.width + x];
        }
        columns[reach + x] = (uint16_t)sum;
    }
    for (uint32_t y = 0; y < copy.height; ++y) {
        const uint8_t *const row = copy.pixels + (size_t)y * copy.width;
        const uint8_t *const next = copy.pixels + (size_t)smaller(y + reach + 1U, copy.height - 1U) * copy.width;
        const uint8_t *const last = copy.pixels + (size_t)(y > reach ? y - reach : 0U) * copy.width;
        int16_t means[FINE_SIDE];
        for (uint32_t x = 0; x < reach; ++x) {
            columns[x] = columns[reach];
            columns[reach + copy.width + x] = columns[reach + copy.width - 1U];
        }
        uint32_t sum = 0;
        for (uint32_t x = 0; x < 2U * reach; ++x) {
            sum += columns[x];
        }
        for (uint32_t x = 0; x < copy.width; ++x) {
            sum += columns[x + 2U * reach];
            means[x] = (int16_t)((2U * sum + count) / (2U * count));
            sum -= columns[x];
        }
        int32_t squares = 0; /* of a row: up to 384 * 255^2 */
        int64_t cubes = 0;
        for (uint32_t x = 0; x < copy.width; ++x) {
            const int32_t deviation = row[x] - means[x];
            squares += deviation * deviation;
            cubes += deviation * deviation * deviation;
        }
        found.squares += squares;
        found.cubes += cubes;
        for (uint32_t x = 0; x < copy.width; ++x) {
            columns[reach + x] = (uint16_t)(columns[reach + x] + next[x] - last[x]);
        }
    }
    return found;
}

static int64_t twice_the_median(plane copy)
{
    uint32_t counts[256] = {0};
    const uint32_t count = copy.width * copy.height;
    for (uint32_t i = 0; i < count; ++i) {
        ++counts[copy.pixels[i]];
    }
    uint32_t seen = 0, level = 0, below;
    for (; seen + counts[level] <= (count - 1U) / 2U; ++level) {
        seen += counts[level];
    }
    below = level;
    for (; seen + counts[level] <= count / 2U; ++level) {
        seen += counts[level];
    }
    return (int64_t)below + level;
}

EXPORT void edgemnist_paper_light(const uint8_t *grey, uint32_t width, uint32_t height, edgemnist_light *light,
                                  uint8_t *scratch)
{
    const plane fine = copy_of((plane){(uint8_t *)grey, width, height}, FINE_SIDE, scratch);
    const plane coarse = copy_of(fine, GROUND_SIDE, scratch + FINE_SIDE * FINE_SIDE);
    light->fine = deviations(fine, FINE_REACH);
    light->coarse = deviations(coarse, GROUND_REACH);
    light->brightness = twice_the_median(coarse);
}

/* The greatest value within reach in each column; pixels beyond the edge are those of it. */
static void dilate_columns(const uint8_t *from, uint32_t width, uint32_t height, uint8_t *to, uint8_t *room)
{
    const uint32_t window = 2U * STROKE_REACH + 1U;
    uint32_t rows = height + 2U * STROKE_REACH;
    for (uint32_t y = 0; y < rows; ++y) {
        const uint32_t source = smaller(y > STROKE_REACH ? y - STROKE_REACH : 0U, height - 1U);
        for (uint32_t x = 0; x < width; ++x) {
            room[y * width + x] = from[source * width + x];
        }
    }
    /* Twice as far with each step, and the last one overlaps. */
    for (uint32_t covered = 1; covered < window;) {
        const uint32_t step = smaller(covered, window - covered);
        rows -= step;
        for (uint32_t i = 0; i < rows * width; ++i) {
            const uint8_t here = room[i], there = room[i + step * width];
            room[i] = here > there ? here : there;
        }
        covered += step;
    }
    for (uint32_t i = 0; i < height * width; ++i) {
        to[i] = room[i];
    }
}

static void transpose(const uint8_t *from, uint32_t width, uint32_t height, uint8_t *to)
{
    for (uint32_t y = 0; y < height; ++y) {
        for (uint32_t x = 0; x < width; ++x) {
            to[x * height + y] = from[y * width + x];
        }
    }
}

static void invert(uint8_t *pixels, uint32_t count)
{
    for (uint32_t i = 0; i < count; ++i) {
        pixels[i] = (uint8_t)(255U - pixels[i]);
    }
}

static void dilate(uint8_t *pixels, uint32_t width, uint32_t height, uint8_t *room)
{
    uint8_t *const turned = room + (GROUND_SIDE + 2U * STROKE_REACH) * GROUND_SIDE;
    dilate_columns(pixels, width, height, pixels, room);
    transpose(pixels, width, height, turned);
    dilate_columns(turned, height, width, turned, room);
    transpose(turned, height, width, pixels);
}

/* Sums of seven in a row, three times over: `line` has SOFT_ROOM more at both ends. */
static void soften_line(uint32_t *line, uint32_t count)
{
    for (uint32_t left = count + 2U * SOFT_ROOM; left > count;) {
        left -= 2U * SOFT_REACH;
        uint32_t sum = 0;
        for (uint32_t i = 0; i < 2U * SOFT_REACH; ++i) {
            sum += line[i];
        }
        for (uint32_t i = 0; i < left; ++i) {
            const uint32_t first = line[i];
            sum += line[i + 2U * SOFT_REACH];
            line[i] = sum;
            sum -= first;
        }
    }
}

/* Nearly a Gaussian blur of 3.5 pixels. */
static void soften(uint8_t *pixels, uint32_t width, uint32_t height, uint32_t *sums)
{
    uint32_t line[GROUND_SIDE + 2U * SOFT_ROOM];
    for (uint32_t y = 0; y < height; ++y) {
        for (uint32_t i = 0; i < width + 2U * SOFT_ROOM; ++i) {
            line[i] = pixels[y * width + smaller(i > SOFT_ROOM ? i - SOFT_ROOM : 0U, width - 1U)];
        }
        soften_line(line, width);
        for (uint32_t x = 0; x < width; ++x) {
            sums[y * width + x] = line[x];
        }
    }
    for (uint32_t x = 0; x < width; ++x) {
        for (uint32_t i = 0; i < height + 2U * SOFT_ROOM; ++i) {
            line[i] = sums[smaller(i > SOFT_ROOM ? i - SOFT_ROOM : 0U, height - 1U) * width + x];
        }
        soften_line(line, height);
        for (uint32_t y = 0; y < height; ++y) {
            pixels[y * width + x] = (uint8_t)((line[y] + SOFT_WEIGHT / 2U) / SOFT_WEIGHT);
        }
    }
}

/* Where the middle of pixel `index` of `length` lies among `count`, in parts of a pixel. */
static uint32_t between(uint32_t index, uint32_t length, uint32_t count)
{
    const uint32_t place = (2U * index + 1U) * count * (PART / 2U) / length;
    return smaller(place > PART / 2U ? place - PART / 2U : 0U, (count - 1U) * PART);
}

static void widen(const uint8_t *row, uint32_t count, const uint16_t *places, uint32_t width, int16_t *to)
{
    uint8_t padded[GROUND_SIDE + 1U];
    for (uint32_t i = 0; i < count; ++i) {
        padded[i] = row[i];
    }
    padded[count] = row[count - 1U];
    for (uint32_t x = 0; x < width; ++x) {
        const uint32_t at = places[x] / PART, part = places[x] % PART;
        to[x] = (int16_t)(padded[at] * (PART - part) + padded[at + 1U] * part);
    }
}

EXPORT void edgemnist_paper_ink(const uint8_t *grey, uint32_t width, uint32_t height, uint32_t dark, uint8_t *ink,
                                uint8_t *scratch)
{
    uint8_t *const ground = scratch, *const room = ground + GROUND_SIDE * GROUND_SIDE;
    const plane small = copy_of((plane){(uint8_t *)grey, width, height}, GROUND_SIDE, ground);
    const uint32_t count = small.width * small.height;
    uint32_t shares[256]; /* 255 times what one level is of a ground, in 65536ths */
    uint16_t places[EDGEMNIST_MOST_COLUMNS];
    int16_t rows[2][EDGEMNIST_MOST_COLUMNS];
    for (uint32_t i = 0; i < count; ++i) {
        ground[i] = (uint8_t)(dark != 0U ? small.pixels[i] : 255U - small.pixels[i]);
    }
    dilate(ground, small.width, small.height, room);
    invert(ground, count);
    dilate(ground, small.width, small.height, room);
    invert(ground, count);
    soften(ground, small.width, small.height, (uint32_t *)(void *)room);
    for (uint32_t level = 0; level < 256U; ++level) {
        const uint32_t divisor = larger(level, DARKEST_GROUND);
        shares[level] = ((255U << 17) + divisor) / (2U * divisor);
    }
    for (uint32_t x = 0; x < width; ++x) {
        places[x] = (uint16_t)between(x, width, small.width);
    }
    const uint8_t flip = dark != 0U ? 0U : 255U;
    uint32_t upper = UINT32_MAX; /* which row of the ground is in the first of `rows`, and the next in the second */
    for (uint32_t y = 0; y < height; ++y) {
        const uint32_t place = between(y, height, small.height);
        const int16_t below = (int16_t)(place % PART), above = (int16_t)(PART - place % PART);
        if (place / PART != upper) {
            upper = place / PART;
            widen(ground + upper * small.width, small.width, places, width, rows[0]);
            widen(ground + smaller(upper + 1U, small.height - 1U) * small.width, small.width, places, width, rows[1]);
        }
        const uint8_t *const row = grey + (size_t)y * width;
        uint8_t *const to = ink + (size_t)y * width;
        uint8_t levels[EDGEMNIST_MOST_COLUMNS];
        for (uint32_t x = 0; x < width; ++x) {
            const uint32_t level = (uint32_t)(rows[0][x] * above + rows[1][x] * below);
            levels[x] = (uint8_t)((level + PART * PART / 2U) / (PART * PART));
        }
        for (uint32_t x = 0; x < width; ++x) {
            const uint8_t light = row[x] ^ flip;
            const uint32_t taken = levels[x] > light ? (uint32_t)levels[x] - light : 0U;
            to[x] = (uint8_t)((taken * shares[levels[x]] + (UINT32_C(1) << 15)) >> 16);
        }
    }
}
