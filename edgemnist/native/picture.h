/* Pictures as the program reads them: binary PGM, and PNG without transparency or interlacing, as grey levels.
 *
 * Greys are those of Pillow's `convert("L")`, which `edgemnist predict` has.
 */
#ifndef EDGEMNIST_PICTURE_H
#define EDGEMNIST_PICTURE_H

#include <stdlib.h>
#include <string.h>

#include "inflate.h"

#define MOST_PIXELS (UINT32_C(1) << 26)
#define LONGEST_SIDE 65535U

typedef struct {
    uint32_t width, height;
    uint8_t *grey; /* from malloc; NULL where reading failed */
    const char *fault;
} picture;

typedef struct {
    uint32_t width, height;
    unsigned depth, channels, bytes; /* bits of a channel, channels, and bytes from a pixel to the next, at least 1 */
    size_t row;                      /* bytes of a row */
    const uint8_t *palette;          /* three bytes each, or NULL */
    uint32_t colours;
} png_layout;

static picture refused(const char *fault)
{
    return (picture){0, 0, NULL, fault};
}

static int fits(uint32_t width, uint32_t height)
{
    return width > 0U && height > 0U && width <= LONGEST_SIDE && height <= LONGEST_SIDE &&
           (uint64_t)width * height <= MOST_PIXELS;
}

/* Reads one number of a PGM header, after white space and comments, and the byte behind it; 0 if there is none. */
static uint32_t header_number(const uint8_t *data, size_t size, size_t *at)
{
    uint32_t value = 0;
    while (*at < size && (data[*at] == ' ' || (data[*at] >= 9U && data[*at] <= 13U) || data[*at] == '#')) {
        if (data[*at] == '#') {
            while (*at < size && data[*at] != '\n') {
                ++*at;
            }
        } else {
            ++*at;
        }
    }
    for (int digits = 0; *at < size && data[*at] >= '0' && data[*at] <= '9' && digits < 6; ++digits) {
        value = 10U * value + data[(*at)++] - '0';
    }
    ++*at;
    return value;
}

static picture read_pgm(const uint8_t *data, size_t size)
{
    size_t at = 2;
    const uint32_t width = header_number(data, size, &at), height = header_number(data, size, &at);
    const uint32_t highest = header_number(data, size, &at);
    if (highest != 255U) {
        return refused("is a PGM of other grey levels than 0 to 255");
    }
    if (!fits(width, height)) {
        return refused("is a PGM without pixels, or of more than 67 million");
    }
    if (at > size || size - at < (size_t)width * height) {
        return refused("ends too early");
    }
    picture read = {width, height, malloc((size_t)width * height), "does not fit into the memory"};
    if (read.grey != NULL) {
        memcpy(read.grey, data + at, (size_t)width * height);
    }
    return read;
}

static uint32_t big_endian(const uint8_t *data)
{
    return (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
}

/* Takes back a row's filter (PNG specification, 9); returns 1 for one that does not exist. */
static int unfilter(uint8_t *row, const uint8_t *above, size_t size, unsigned step, unsigned filter)
{
    for (size_t i = 0; i < size; ++i) {
        const int a = i >= step ? row[i - step] : 0, b = above != NULL ? above[i] : 0;
        const int c = i >= step && above != NULL ? above[i - step] : 0;
        const int from_a = abs(b - c), from_b = abs(a - c), from_c = abs(a + b - 2 * c);
        const int paeth = from_a <= from_b && from_a <= from_c ? a : from_b <= from_c ? b : c;
        const int added[5] = {0, a, b, (a + b) / 2, paeth};
        if (filter > 4U) {
            return 1;
        }
        row[i] = (uint8_t)(row[i] + added[filter]);
    }
    return 0;
}

static uint8_t grey_of(const uint8_t *colour, unsigned step)
{
    /* ITU-R 601-2, in 65536ths. */
    return (uint8_t)((colour[0] * 19595U + colour[step] * 38470U + colour[2U * step] * 7471U + 0x8000U) >> 16);
}

/* Writes a row's grey levels; returns 1 for a colour that the palette does not have. */
static int to_grey(const png_layout *png, const uint8_t *row, uint8_t *grey)
{
    const unsigned step = png->depth / 8U; /* bytes of a channel, of which the first says most */
    for (uint32_t x = 0; x < png->width; ++x) {
        if (png->depth >= 8U && png->palette == NULL) {
            grey[x] = png->channels == 3U ? grey_of(row + (size_t)x * 3U * step, step) : row[(size_t)x * step];
            continue;
        }
        const size_t bit = (size_t)x * png->depth;
        const unsigned most = (1U << png->depth) - 1U;
        const unsigned value = (unsigned)(row[bit / 8U] >> (8U - png->depth - bit % 8U)) & most;
        if (png->palette == NULL) {
            grey[x] = (uint8_t)(value * 255U / most);
        } else if (value < png->colours) {
            grey[x] = grey_of(png->palette + 3U * value, 1);
        } else {
            return 1;
        }
    }
    return 0;
}

/* Reads the header, IHDR; returns what is wrong with it, or NULL. */
static const char *read_header(const uint8_t *data, size_t size, png_layout *png)
{
    static const uint8_t depths[7] = {0x1F, 0, 0x18, 0x0F, 0x18, 0, 0x18}; /* by kind: bits for 1, 2, 4, 8 and 16 */
    if (size < 33U || big_endian(data + 8) != 13U || memcmp(data + 12, "IHDR", 4) != 0) {
        return "is a damaged PNG";
    }
    const unsigned depth = data[24], kind = data[25];
    const unsigned depth_bit = depth == 1U ? 1U : depth == 2U ? 2U : depth == 4U ? 4U : depth == 8U ? 8U : depth == 16U ? 16U : 0U;
    png->width = big_endian(data + 16);
    png->height = big_endian(data + 20);
    if (kind > 6U || (depths[kind] & depth_bit) == 0U || data[26] != 0U || data[27] != 0U) {
        return "is a damaged PNG";
    }
    if (kind >= 4U) {
        return "is a PNG with transparency. Save it without";
    }
    if (data[28] != 0U) {
        return "is an interlaced PNG. Save it without interlacing";
    }
    if (!fits(png->width, png->height)) {
        return "is a PNG without pixels, or of more than 67 million";
    }
    png->depth = depth;
    png->channels = kind == 2U ? 3U : 1U;
    png->bytes = depth * png->channels < 8U ? 1U : depth * png->channels / 8U;
    png->row = ((size_t)png->width * depth * png->channels + 7U) / 8U;
    return NULL;
}

/* Walks through the chunks: joins the compressed data at the beginning of `data`, and finds the palette. */
static const char *read_chunks(uint8_t *data, size_t size, png_layout *png, size_t *compressed)
{
    const int needs_palette = data[25] == 3U;
    *compressed = 0;
    for (size_t at = 33; at + 12U <= size;) {
        const uint32_t length = big_endian(data + at);
        const uint8_t *const kind = data + at + 4U;
        if (length > size - at - 12U) {
            return "ends too early";
        }
        if (memcmp(kind, "tRNS", 4) == 0) {
            return "is a PNG with transparency. Save it without";
        }
        if (memcmp(kind, "PLTE", 4) == 0 && needs_palette) {
            png->palette = kind + 4;
            png->colours = length / 3U;
        } else if (memcmp(kind, "IEND", 4) == 0) {
            return needs_palette && png->palette == NULL ? "is a damaged PNG" : NULL;
        } else if (memcmp(kind, "IDAT", 4) == 0) {
            if (needs_palette && png->palette == NULL) {
                return "is a damaged PNG";
            }
            /* Behind the header and the palette, which stay. */
            const size_t begin = png->palette != NULL ? (size_t)(png->palette - data) + 3U * png->colours : 33U;
            memmove(data + begin + *compressed, kind + 4, length);
            *compressed += length;
        }
        at += 12U + (size_t)length;
    }
    return "ends too early";
}

static picture read_png(uint8_t *data, size_t size)
{
    png_layout png = {0};
    size_t compressed;
    const char *fault = read_header(data, size, &png);
    fault = fault != NULL ? fault : read_chunks(data, size, &png, &compressed);
    if (fault != NULL) {
        return refused(fault);
    }
    const uint8_t *const begin = png.palette != NULL ? png.palette + 3U * png.colours : data + 33;
    const size_t row = png.row + 1U;
    picture read = {png.width, png.height, malloc((size_t)png.width * png.height), "does not fit into the memory"};
    uint8_t *const rows = malloc(row * png.height);
    int damaged = rows == NULL || read.grey == NULL;
    if (!damaged) {
        read.fault = "is a damaged PNG";
        damaged = inflate(begin, compressed, rows, row * png.height);
    }
    for (uint32_t y = 0; y < png.height && !damaged; ++y) {
        uint8_t *const now = rows + y * row;
        damaged = unfilter(now + 1, y > 0U ? now + 1 - row : NULL, png.row, png.bytes, now[0]) != 0 ||
                  to_grey(&png, now + 1, read.grey + (size_t)y * png.width) != 0;
    }
    free(rows);
    if (damaged) {
        free(read.grey);
        read.grey = NULL;
    }
    return read;
}

/* Reads a picture; `data` is overwritten. Its grey levels are to be freed. */
static picture read_picture(uint8_t *data, size_t size)
{
    static const uint8_t png[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
    if (size >= 8U && memcmp(data, png, 8) == 0) {
        return read_png(data, size);
    }
    return size >= 2U && data[0] == 'P' && data[1] == '5' ? read_pgm(data, size) : refused("is no binary PGM and no PNG");
}

#endif
