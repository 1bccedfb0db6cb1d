/* Pictures as Pillow holds them, made smaller: grey levels of a byte each, or red, green, blue and one more. */
#if defined(__x86_64__) && defined(__GNUC__)
#define HAS_AVX2 1
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

/* Long runs of memory: three times as fast as 1024. */
#define EDGEMNIST_MOST_COLUMNS 4096U
#include "reduce.h"
#include "engine.h"

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

EXPORT void edgemnist_reduce_picture(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t step,
                                     uint32_t factor, uint8_t *to);

#define RED 19595U /* ITU-R 601-2 in 65536ths, as Pillow's `convert("L")` has them */
#define GREEN 38470U
#define BLUE 7471U
#define HALF 0x8000U

/* Adds the grey level of each pixel to the sum of its column. */
typedef void add_greys(const uint8_t *colours, uint32_t count, uint16_t *sums);

static void add_greys_one_by_one(const uint8_t *colours, uint32_t count, uint16_t *sums)
{
    for (uint32_t x = 0; x < count; ++x) {
        const uint8_t *const colour = colours + 4U * (size_t)x;
        sums[x] = (uint16_t)(sums[x] + ((RED * colour[0] + GREEN * colour[1] + BLUE * colour[2] + HALF) >> 16));
    }
}

#if defined(__SSE2__)
/* Grey levels of four pixels, 32 bits each. Half of GREEN fits a signed number of 16 bits, which pmaddwd takes. */
static inline __m128i four_greys(const uint8_t *colours)
{
    const __m128i four = _mm_loadu_si128((const __m128i *)(const void *)colours);
    const __m128i red_blue = _mm_madd_epi16(_mm_and_si128(four, _mm_set1_epi16(0xFF)), _mm_set1_epi32(BLUE << 16 | RED));
    const __m128i green = _mm_madd_epi16(_mm_srli_epi16(four, 8), _mm_set1_epi32(GREEN / 2U));
    const __m128i sum = _mm_add_epi32(_mm_add_epi32(green, green), red_blue);
    return _mm_srli_epi32(_mm_add_epi32(sum, _mm_set1_epi32(HALF)), 16);
}

static void add_greys_by_sse2(const uint8_t *colours, uint32_t count, uint16_t *sums)
{
    uint32_t x = 0;
    for (; x + 8U <= count; x += 8U) {
        const uint8_t *const from = colours + 4U * (size_t)x;
        __m128i *const eight = (__m128i *)(void *)(sums + x);
        const __m128i greys = _mm_packs_epi32(four_greys(from), four_greys(from + 16));
        _mm_storeu_si128(eight, _mm_add_epi16(_mm_loadu_si128(eight), greys));
    }
    add_greys_one_by_one(colours + 4U * (size_t)x, count - x, sums + x);
}
#endif

#if defined(HAS_AVX2)
#define TARGET __attribute__((target("avx2")))

/* Grey levels of eight pixels, 32 bits each. */
TARGET static inline __m256i eight_greys(const uint8_t *colours)
{
    const __m256i eight = _mm256_loadu_si256((const __m256i *)(const void *)colours);
    const __m256i red_blue =
        _mm256_madd_epi16(_mm256_and_si256(eight, _mm256_set1_epi16(0xFF)), _mm256_set1_epi32(BLUE << 16 | RED));
    const __m256i green = _mm256_madd_epi16(_mm256_srli_epi16(eight, 8), _mm256_set1_epi32(GREEN / 2U));
    const __m256i sum = _mm256_add_epi32(_mm256_add_epi32(green, green), red_blue);
    return _mm256_srli_epi32(_mm256_add_epi32(sum, _mm256_set1_epi32(HALF)), 16);
}

TARGET static void add_greys_by_avx2(const uint8_t *colours, uint32_t count, uint16_t *sums)
{
    uint32_t x = 0;
    for (; x + 16U <= count; x += 16U) {
        const uint8_t *const from = colours + 4U * (size_t)x;
        __m256i *const sixteen = (__m256i *)(void *)(sums + x);
        const __m256i halves = _mm256_packus_epi32(eight_greys(from), eight_greys(from + 32));
        const __m256i greys = _mm256_permute4x64_epi64(halves, 0xD8); /* 0, 2, 1, 3 */
        _mm256_storeu_si256(sixteen, _mm256_add_epi16(_mm256_loadu_si256(sixteen), greys));
    }
    add_greys_one_by_one(colours + 4U * (size_t)x, count - x, sums + x);
}
#endif

#if defined(HAS_AVX2)
extern const edgemnist_kernel edgemnist_avx2;

/* Asked once: a virtual machine takes microseconds to answer. Two threads that ask at once find the same. */
static int has_avx2(void)
{
    static volatile int known = -1;
    if (known < 0) {
        const edgemnist_kernel *kernel;
        int found = 0;
        for (size_t i = 0; (kernel = edgemnist_kernel_at(i)) != NULL; ++i) {
            found |= kernel == &edgemnist_avx2;
        }
        known = found;
    }
    return known;
}
#endif

static add_greys *best_adder(void)
{
#if defined(HAS_AVX2)
    if (has_avx2()) {
        return add_greys_by_avx2;
    }
#endif
#if defined(__SSE2__)
    return add_greys_by_sse2;
#else
    return add_greys_one_by_one;
#endif
}

/* Means of squares of up to 128 pixels, see edgemnist_reduce; `step` is 1 or 4 bytes from one pixel to the next. */
EXPORT void edgemnist_reduce_picture(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t step,
                                     uint32_t factor, uint8_t *to)
{
    if (step == 1U) {
        edgemnist_reduce(pixels, width, height, factor, to);
        return;
    }
    add_greys *const add = best_adder();
    const uint32_t tile = EDGEMNIST_MOST_COLUMNS / factor * factor;
    for (uint32_t top = 0; top < height; top += factor) {
        const uint32_t rows = height - top < factor ? height - top : factor;
        for (uint32_t begin = 0; begin < width; begin += tile) {
            const uint32_t wide = width - begin < tile ? width - begin : tile;
            uint16_t sums[EDGEMNIST_MOST_COLUMNS] = {0};
            for (uint32_t y = top; y < top + rows; ++y) {
                add(pixels + 4U * ((size_t)y * width + begin), wide, sums);
            }
            to += edgemnist_reduced(sums, wide, rows, factor, to);
        }
    }
}
