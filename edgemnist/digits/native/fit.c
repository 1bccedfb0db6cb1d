/* The steps of `edgemnist.digits.images`, each with the rule of its namesake there. */
#include "fit.h"

#include "find.h"
#include "reduce.h"

#define GROUND_SIDE 96U /* of the copy on which the ground is looked at */
#define REACH 14U       /* pixels of that copy, to each side, that no stroke fills */

void edgemnist_fit_digit(const uint8_t *ink, uint32_t width, uint32_t height, uint8_t image[784], void *scratch)
{
    uint8_t *const copy = scratch;
    for (size_t i = 0; i < (size_t)width * height; ++i) {
        copy[i] = ink[i];
    }
    fit_digit(copy, width, height, image, copy + (size_t)width * height);
}

int edgemnist_fit_ink(const uint8_t *ink, uint32_t width, uint32_t height, uint8_t image[784], edgemnist_found *found,
                      void *scratch)
{
    const uint32_t factor = (larger(width, height) + FINDING_SIDE - 1U) / FINDING_SIDE;
    const uint32_t wide = (width + factor - 1U) / factor, tall = (height + factor - 1U) / factor;
    const uint32_t strong = strong_ink(ink, width, height);
    piece *const pieces = scratch;
    uint16_t *const names = (uint16_t *)(void *)(pieces + (wide / 2U + 2U) * (tall / 2U + 2U));
    uint8_t *const maxima = (uint8_t *)(names + (size_t)wide * tall);
    uint8_t *const kept = maxima + (size_t)wide * tall;
    if (strong == 0U) {
        return EDGEMNIST_BLANK;
    }
    for (uint32_t y = 0; y < tall; ++y) {
        (void)block_maxima(ink, width, height, y * factor, factor, maxima + (size_t)y * wide);
    }
    /* At least 0.4 of the strong ink, and 1. */
    const uint16_t count = label(maxima, wide, tall, larger(1, (2U * strong + 4U) / 5U), names, pieces);
    const bounds blocks = choose(names, wide, tall, pieces, count, &found->several);
    const uint32_t right = smaller(blocks.right * factor, width), bottom = smaller(blocks.bottom * factor, height);
    found->left = blocks.left * factor;
    found->top = blocks.top * factor;
    found->width = right - found->left;
    found->height = bottom - found->top;
    found->side = larger(width, height);
    mark_near(names, wide, tall, maxima);
    bounds cut = {found->top, found->left, bottom, right};
    if (larger(found->width, found->height) + 2U <= FEW) {
        /* Of a few pixels, the soft edge of the outer strokes is a part that counts. */
        cut.top -= cut.top > 0U;
        cut.left -= cut.left > 0U;
        cut.bottom += cut.bottom < height;
        cut.right += cut.right < width;
    }
    const uint32_t columns = cut.right - cut.left;
    uint8_t masks[2U * EDGEMNIST_WORKING_SIDE];
    for (uint32_t y = cut.top; y < cut.bottom; ++y) {
        const uint8_t *const row = ink + (size_t)y * width + cut.left;
        uint8_t *const to = kept + (size_t)(y - cut.top) * columns;
        if (y == cut.top || y % factor == 0U) {
            const uint8_t *const near = maxima + (size_t)(y / factor) * wide;
            for (uint32_t x = cut.left; x < cut.right;) {
                const uint8_t mask = (uint8_t)(0U - near[x / factor]);
                for (const uint32_t next = smaller((x / factor + 1U) * factor, cut.right); x < next; ++x) {
                    masks[x - cut.left] = mask;
                }
            }
        }
        for (uint32_t x = 0; x < columns; ++x) {
            to[x] = row[x] & masks[x];
        }
    }
    const uint32_t rows = cut.bottom - cut.top;
    fit_digit(kept, columns, rows, image, kept + (size_t)columns * rows);
    return EDGEMNIST_FITTED;
}

/* A picture that is 28 x 28 already, on pure black or white: BLANK or FITTED, or UNEVEN for any other. */
static int ready_made(const uint8_t *picture, uint8_t image[784], edgemnist_found *found)
{
    uint32_t black = 0, white = 0, least = 255, most = 0;
    for (uint32_t i = 0; i < FRAME * FRAME; ++i) {
        const uint32_t y = i / FRAME, x = i % FRAME;
        if (y == 0U || y == FRAME - 1U || x == 0U || x == FRAME - 1U) {
            black += picture[i] == 0U;
            white += picture[i] == 255U;
        }
        least = smaller(least, picture[i]);
        most = larger(most, picture[i]);
    }
    if (black < 55U && white < 55U) { /* of 108 */
        return EDGEMNIST_UNEVEN;
    }
    if (most - least <= MIN_CONTRAST) {
        return EDGEMNIST_BLANK;
    }
    for (uint32_t i = 0; i < FRAME * FRAME; ++i) {
        image[i] = (uint8_t)(white >= 55U ? 255U - picture[i] : picture[i]);
    }
    *found = (edgemnist_found){0, 0, FRAME, FRAME, FRAME, white >= 55U, 0};
    return EDGEMNIST_FITTED;
}

/* Whether more than half of a picture is pure `white` (255) or black (0), and every place has some of it within reach:
 * then that is the ground everywhere. */
static int is_plain(const uint8_t *grey, uint32_t width, uint32_t height, uint8_t level, uint8_t *room)
{
    const uint32_t longest = larger(width, height);
    const uint8_t *small = grey;
    uint32_t wide = width, tall = height, bare = 0, widths[GROUND_SIDE];
    for (uint32_t i = 0; i < width * height; ++i) {
        bare += grey[i] == level;
    }
    if (2U * bare <= width * height) {
        return 0;
    }
    if (longest > GROUND_SIDE) {
        wide = edgemnist_scaled(width, longest, GROUND_SIDE);
        tall = edgemnist_scaled(height, longest, GROUND_SIDE);
        edgemnist_box(grey, width, height, room, wide, tall, room + GROUND_SIDE * GROUND_SIDE);
        small = room;
    }
    /* Rows without bare ground within reach of a column, so far; none may be as many as the window has. */
    for (uint32_t x = 0; x < wide; ++x) {
        widths[x] = REACH; /* the rows before the first are missing from its window */
    }
    for (uint32_t y = 0; y < tall; ++y) {
        uint32_t last = 0, any = 0; /* the next bare pixel from the left edge of the window on */
        for (uint32_t x = 0; x < wide; ++x) {
            const uint32_t left = x > REACH ? x - REACH : 0U, right = smaller(x + REACH, wide - 1U);
            if (!any || last < left) {
                any = 0;
                for (uint32_t near = left; near <= right; ++near) {
                    if (small[y * wide + near] == level) {
                        any = 1;
                        last = near;
                        break;
                    }
                }
            }
            widths[x] = any ? 0U : widths[x] + 1U;
            if (widths[x] > 2U * REACH) {
                return 0;
            }
        }
    }
    for (uint32_t x = 0; x < wide; ++x) {
        if (widths[x] > REACH) { /* and the rows after the last */
            return 0;
        }
    }
    return 1;
}

int edgemnist_fit(const uint8_t *picture, uint32_t width, uint32_t height, uint8_t image[784], edgemnist_found *found,
                  void *scratch)
{
    const uint32_t factor = larger(1, larger(width, height) / EDGEMNIST_WORKING_SIDE);
    uint8_t *room = scratch;
    const uint8_t *grey = picture;
    if (factor > 1U) {
        edgemnist_reduce(picture, width, height, factor, room);
        width = (width + factor - 1U) / factor;
        height = (height + factor - 1U) / factor;
        grey = room;
    }
    if (width == FRAME && height == FRAME) {
        const int ready = ready_made(grey, image, found);
        if (ready != EDGEMNIST_UNEVEN) {
            return ready;
        }
    }
    uint8_t *const beyond = room + ((size_t)width * height + 7U) / 8U * 8U;
    const int white = is_plain(grey, width, height, 255, beyond);
    if (!white && !is_plain(grey, width, height, 0, beyond)) {
        return EDGEMNIST_UNEVEN;
    }
    for (uint32_t i = 0; i < width * height; ++i) {
        room[i] = (uint8_t)(white ? 255U - grey[i] : grey[i]);
    }
    found->inverted = (uint32_t)white;
    return edgemnist_fit_ink(room, width, height, image, found, beyond);
}
