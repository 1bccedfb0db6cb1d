/* The list of groups of two or four inputs that are not all 0: of eight at a time, those are moved side by side.
 * Included after KERNEL, TARGET and GROUP are defined. */
#include <immintrin.h>

#include "engine.h"

#define AT_A_TIME 8U

/* The numbers set in a mask of eight, from some number on: 4 bits each, the first in the lowest. */
#define FROM_7(mask) ((mask) >> 7 & 1U ? 7U : 0U)
#define FROM_6(mask) ((mask) >> 6 & 1U ? FROM_7(mask) << 4 | 6U : FROM_7(mask))
#define FROM_5(mask) ((mask) >> 5 & 1U ? FROM_6(mask) << 4 | 5U : FROM_6(mask))
#define FROM_4(mask) ((mask) >> 4 & 1U ? FROM_5(mask) << 4 | 4U : FROM_5(mask))
#define FROM_3(mask) ((mask) >> 3 & 1U ? FROM_4(mask) << 4 | 3U : FROM_4(mask))
#define FROM_2(mask) ((mask) >> 2 & 1U ? FROM_3(mask) << 4 | 2U : FROM_3(mask))
#define FROM_1(mask) ((mask) >> 1 & 1U ? FROM_2(mask) << 4 | 1U : FROM_2(mask))
#define FROM_0(mask) ((mask) & 1U ? FROM_1(mask) << 4 : FROM_1(mask))
#define FOUR_MASKS(mask) FROM_0(mask), FROM_0((mask) + 1U), FROM_0((mask) + 2U), FROM_0((mask) + 3U)
#define MASKS_16(mask) FOUR_MASKS(mask), FOUR_MASKS((mask) + 4U), FOUR_MASKS((mask) + 8U), FOUR_MASKS((mask) + 12U)
#define MASKS_64(mask) MASKS_16(mask), MASKS_16((mask) + 16U), MASKS_16((mask) + 32U), MASKS_16((mask) + 48U)

/* Writes numbers of groups and their inputs, and perhaps AT_A_TIME more; returns how many there are. */
TARGET static size_t KERNEL(find)(const uint8_t *inputs, size_t count, uint32_t *numbers, uint32_t *values)
{
    static const uint32_t orders[256] = {MASKS_64(0U), MASKS_64(64U), MASKS_64(128U), MASKS_64(192U)};
    const __m256i places = _mm256_set_epi32(28, 24, 20, 16, 12, 8, 4, 0);
    __m256i number = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
    size_t found = 0;
    for (size_t at = 0; at < count; at += AT_A_TIME * GROUP) {
        uint8_t rest[AT_A_TIME * GROUP] = {0};
        const uint8_t *from = inputs + at;
        if (count - at < sizeof rest) {
            __builtin_memcpy(rest, from, count - at);
            from = rest;
        }
#if GROUP == 2
        const __m256i value = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)from));
#else
        const __m256i value = _mm256_loadu_si256((const __m256i *)(const void *)from);
#endif
        const __m256i none = _mm256_cmpeq_epi32(value, _mm256_setzero_si256());
        const unsigned some = 0xFFU ^ (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(none));
        const __m256i order = _mm256_srlv_epi32(_mm256_set1_epi32((int32_t)orders[some]), places);
        _mm256_storeu_si256((__m256i *)(void *)(numbers + found), _mm256_permutevar8x32_epi32(number, order));
        _mm256_storeu_si256((__m256i *)(void *)(values + found), _mm256_permutevar8x32_epi32(value, order));
        found += (unsigned)__builtin_popcount(some);
        number = _mm256_add_epi32(number, _mm256_set1_epi32(AT_A_TIME));
    }
    return found;
}
