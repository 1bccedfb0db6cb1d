/* Pictures as Pillow holds them, made smaller: grey levels of a byte each, or red, green, blue and one more. */
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "reduce.h"

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

EXPORT void edgemnist_reduce_picture(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t step,
                                     uint32_t factor, uint8_t *to, uint8_t *room);

#define RED 19595U /* ITU-R 601-2 in 65536ths, as Pillow's `convert("L")` has them */
#define GREEN 38470U
#define BLUE 7471U
#define HALF 0x8000U

#if defined(__SSE2__)
/* Grey levels of four pixels, 32 bits each. Half of GREEN fits a signed number of 16 bits, which pmaddwd takes. */
static inline __m128i four_greys(const uint8_t *colours)
{
    const __m128i four = _mm_loadu_si128((const __m128i *)(const void *)colours);
    const __m128i red_blue = _mm_and_si128(four, _mm_set1_epi16(0xFF));
    const __m128i green = _mm_madd_epi16(_mm_srli_epi16(four, 8), _mm_set1_epi32(GREEN / 2U));
    const __m128i others = _mm_madd_epi16(red_blue, _mm_set1_epi32(BLUE << 16 | RED));
    const __m128i sum = _mm_add_epi32(_mm_add_epi32(green, green), others);
    return _mm_srli_epi32(_mm_add_epi32(sum, _mm_set1_epi32(HALF)), 16);
}
#endif

static void to_greys(const uint8_t *colours, uint32_t count, uint8_t *greys)
{
    uint32_t x = 0;
#if defined(__SSE2__)
    for (; x + 16U <= count; x += 16U) {
        const uint8_t *const from = colours + 4U * (size_t)x;
        const __m128i one = _mm_packs_epi32(four_greys(from), four_greys(from + 16));
        const __m128i other = _mm_packs_epi32(four_greys(from + 32), four_greys(from + 48));
        _mm_storeu_si128((__m128i *)(void *)(greys + x), _mm_packus_epi16(one, other));
    }
#endif
    for (; x < count; ++x) {
        const uint8_t *const colour = colours + 4U * (size_t)x;
        greys[x] = (uint8_t)((RED * colour[0] + GREEN * colour[1] + BLUE * colour[2] + HALF) >> 16);
    }
}

/* Means of squares of up to 128 pixels, see edgemnist_reduce; `step` is 1 or 4 bytes from one pixel to the next, and
 * `room` has EDGEMNIST_MOST_COLUMNS * factor bytes. */
EXPORT void edgemnist_reduce_picture(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t step,
                                     uint32_t factor, uint8_t *to, uint8_t *room)
{
    const uint32_t tile = EDGEMNIST_MOST_COLUMNS / factor * factor;
    if (step == 1U) {
        edgemnist_reduce(pixels, width, height, factor, to);
        return;
    }
    for (uint32_t top = 0; top < height; top += factor) {
        const uint32_t rows = height - top < factor ? height - top : factor;
        for (uint32_t begin = 0; begin < width; begin += tile) {
            const uint32_t wide = width - begin < tile ? width - begin : tile;
            for (uint32_t y = 0; y < rows; ++y) {
                to_greys(pixels + 4U * ((size_t)(top + y) * width + begin), wide, room + (size_t)y * wide);
            }
            edgemnist_reduce(room, wide, rows, factor, to);
            to += (wide + factor - 1U) / factor;
        }
    }
}
