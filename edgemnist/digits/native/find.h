/* The one digit in a picture, among specks, edges and the rest of it: `edgemnist.digits.images.find`. */
#ifndef EDGEMNIST_FIND_H
#define EDGEMNIST_FIND_H

#include "mnist.h"

#define FINDING_SIDE 160U /* of the copy on which pieces are told apart */
#define MIN_CONTRAST 30U

typedef struct {
    uint16_t parent; /* of a piece that turned out to be part of an earlier one */
    uint16_t size;
    uint8_t top, left, bottom, right;
} piece;

/* The maxima of `count` groups of `group` neighbours. */
static inline void maxima_of(const uint8_t *from, uint32_t count, uint32_t group, uint8_t *maxima)
{
    for (uint32_t i = 0; i < count; ++i) {
        uint8_t most = from[i * group];
        for (uint32_t x = 1; x < group; ++x) {
            most = from[i * group + x] > most ? from[i * group + x] : most;
        }
        maxima[i] = most;
    }
}

/* The maxima of blocks of `side` times `side`, of those that begin in row `top`; returns how many. Column by column
 * first, which compilers make vectors of. */
static uint32_t block_maxima(const uint8_t *ink, uint32_t width, uint32_t height, uint32_t top, uint32_t side,
                             uint8_t *maxima)
{
    const uint32_t bottom = smaller(top + side, height), whole = width / side;
    uint8_t columns[EDGEMNIST_MOST_COLUMNS];
    for (uint32_t x = 0; x < width; ++x) {
        columns[x] = ink[(size_t)top * width + x];
    }
    for (uint32_t y = top + 1U; y < bottom; ++y) {
        const uint8_t *const row = ink + (size_t)y * width;
        for (uint32_t x = 0; x < width; ++x) {
            columns[x] = row[x] > columns[x] ? row[x] : columns[x];
        }
    }
    /* With a number that the compiler knows for those that pictures have. */
    switch (side) {
    case 2: maxima_of(columns, whole, 2, maxima); break;
    case 3: maxima_of(columns, whole, 3, maxima); break;
    case 4: maxima_of(columns, whole, 4, maxima); break;
    case 8: maxima_of(columns, whole, 8, maxima); break;
    default: maxima_of(columns, whole, side, maxima); break;
    }
    if (width % side != 0U) {
        maxima_of(columns + whole * side, 1, width % side, maxima + whole);
    }
    return (width + side - 1U) / side;
}

/* How strong the ink is where it is strongest, or 0 for bare ground. */
static uint32_t strong_ink(const uint8_t *ink, uint32_t width, uint32_t height)
{
    uint32_t histogram[256] = {0}, count;
    uint8_t maxima[EDGEMNIST_MOST_COLUMNS];
    const uint32_t side = smaller(8, larger(1, larger(width, height) / 64U));
    for (uint32_t y = 0; y < height; y += side) {
        const uint32_t blocks = block_maxima(ink, width, height, y, side, maxima);
        for (uint32_t i = 0; i < blocks; ++i) {
            ++histogram[maxima[i]];
        }
    }
    const uint32_t floor = larger(2U * MIN_CONTRAST, smaller(160, 4U * twofold_median(histogram, -1, &count)));
    const uint32_t first = floor / 2U + 1U; /* the least value with 2 * value > floor */
    uint32_t total = 0, seen = 0, low = 256;
    for (uint32_t value = first; value < 256U; ++value) {
        total += histogram[value];
    }
    if (total == 0U) {
        return 0;
    }
    /* The 90th percentile, between two neighbours in their order. */
    const uint32_t place = 9U * (total - 1U) / 10U, rest = 9U * (total - 1U) % 10U;
    for (uint32_t value = first; value < 256U; ++value) {
        seen += histogram[value];
        if (low == 256U && seen > place) {
            low = value;
        }
        if (low < 256U && (rest == 0U || seen > place + 1U)) {
            return (low * (10U - rest) + value * rest) / 10U;
        }
    }
    return low;
}

static uint16_t root_of(piece *pieces, uint16_t name)
{
    while (pieces[name].parent != name) {
        pieces[name].parent = pieces[pieces[name].parent].parent;
        name = pieces[name].parent;
    }
    return name;
}

/* Names the 8-connected pieces of what is at least `level`, from 1 on and 0 outside, each by its first pixel; returns
 * how many names there are, of which those whose parent is another stand for that. */
static uint16_t label(const uint8_t *mask, uint32_t width, uint32_t height, uint32_t level, uint16_t *names,
                      piece *pieces)
{
    uint16_t count = 1;
    for (uint32_t y = 0; y < height; ++y) {
        for (uint32_t x = 0; x < width; ++x) {
            const uint32_t at = y * width + x;
            uint16_t around[4] = {0, 0, 0, 0}, name = 0;
            names[at] = 0;
            if (mask[at] < level) {
                continue;
            }
            around[0] = x > 0U ? names[at - 1U] : 0;
            if (y > 0U) {
                around[1] = x > 0U ? names[at - width - 1U] : 0;
                around[2] = names[at - width];
                around[3] = x + 1U < width ? names[at - width + 1U] : 0;
            }
            for (unsigned i = 0; i < 4U; ++i) {
                if (around[i] != 0U) {
                    const uint16_t root = root_of(pieces, around[i]);
                    if (name == 0U || root < name) {
                        if (name != 0U) {
                            pieces[name].parent = root;
                        }
                        name = root;
                    } else {
                        pieces[root].parent = name;
                    }
                }
            }
            if (name == 0U) {
                name = count++;
                pieces[name] = (piece){name, 0, (uint8_t)y, (uint8_t)x, 0, 0};
            }
            names[at] = name;
        }
    }
    for (uint32_t at = 0; at < width * height; ++at) {
        if (names[at] != 0U) {
            const uint8_t y = (uint8_t)(at / width), x = (uint8_t)(at % width);
            names[at] = root_of(pieces, names[at]);
            piece *const one = &pieces[names[at]];
            ++one->size;
            one->top = y < one->top ? y : one->top;
            one->left = x < one->left ? x : one->left;
            one->bottom = y >= one->bottom ? (uint8_t)(y + 1U) : one->bottom;
            one->right = x >= one->right ? (uint8_t)(x + 1U) : one->right;
        }
    }
    return count;
}

static int at_edge(const piece *one, uint32_t width, uint32_t height)
{
    return one->top == 0U || one->left == 0U || one->bottom == height || one->right == width;
}

/* Gives the pieces that make the digit the name of the largest, and all others 0; returns its bounds. */
static bounds choose(uint16_t *names, uint32_t width, uint32_t height, const piece *pieces, uint16_t count,
                     uint32_t *several)
{
    uint16_t largest = 0, free = 0;
    for (uint16_t i = 1; i < count; ++i) {
        if (pieces[i].parent == i) {
            largest = largest == 0U || pieces[i].size > pieces[largest].size ? i : largest;
            if (!at_edge(&pieces[i], width, height)) {
                free = free == 0U || pieces[i].size > pieces[free].size ? i : free;
            }
        }
    }
    const int cropped = free == 0U || 10U * pieces[free].size < pieces[largest].size;
    const uint16_t chosen = cropped ? largest : free;
    const piece main = pieces[chosen];
    const int tall = main.bottom - main.top, wide = main.right - main.left;
    bounds all = {main.top, main.left, main.bottom, main.right};
    *several = 0;
    for (uint32_t at = 0; at < width * height; ++at) {
        if (names[at] == 0U || names[at] == chosen) {
            continue;
        }
        const piece other = pieces[names[at]];
        names[at] = 0;
        if ((!cropped && at_edge(&other, width, height)) || 50U * other.size < main.size) {
            continue;
        }
        int gap = other.top - main.bottom;
        gap = main.top - other.bottom > gap ? main.top - other.bottom : gap;
        gap = other.left - main.right > gap ? other.left - main.right : gap;
        gap = main.left - other.right > gap ? main.left - other.right : gap;
        if (5 * (other.bottom - other.top) >= 3 * tall && gap >= 0) {
            *several = 1;
        }
        if (3 * gap <= (tall > wide ? tall : wide)) {
            names[at] = chosen;
            all.top = smaller(all.top, other.top);
            all.left = smaller(all.left, other.left);
            all.bottom = larger(all.bottom, other.bottom);
            all.right = larger(all.right, other.right);
        }
    }
    return all;
}

/* Marks the blocks of the digit, and those beside them: the soft edge of a stroke reaches there. */
static void mark_near(const uint16_t *names, uint32_t width, uint32_t height, uint8_t *near)
{
    clear(near, (size_t)width * height);
    for (uint32_t y = 0; y < height; ++y) {
        for (uint32_t x = 0; x < width; ++x) {
            if (names[y * width + x] == 0U) {
                continue;
            }
            for (uint32_t row = y > 0U ? y - 1U : 0U; row <= y + 1U && row < height; ++row) {
                near[row * width + (x > 0U ? x - 1U : 0U)] = 1;
                near[row * width + x] = 1;
                near[row * width + (x + 1U < width ? x + 1U : x)] = 1;
            }
        }
    }
}

#endif
