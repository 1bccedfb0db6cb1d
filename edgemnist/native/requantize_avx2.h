/* edgemnist_requantize with AVX2, eight outputs at a time. Included after KERNEL and TARGET are defined. */
#include <immintrin.h>

#include "engine.h"
#include "requantize.h"

/* Four products of 64 bits, rounded, shifted and cut off at `least` and `most`; `twice` is a constant where this is
 * inlined. */
TARGET static inline __attribute__((always_inline)) __m256i KERNEL(scale)(__m256i sum, __m256i multiplier,
                                                                          __m256i shift, __m256i least, __m256i most,
                                                                          int twice)
{
    const __m256i half = _mm256_sllv_epi64(_mm256_set1_epi64x(1), _mm256_sub_epi64(shift, _mm256_set1_epi64x(1)));
    __m256i product = _mm256_mul_epi32(sum, multiplier);
    if (twice) {
        const __m256i far = _mm256_cmpgt_epi64(shift, _mm256_set1_epi64x(31));
        product = _mm256_add_epi64(product, _mm256_and_si256(far, _mm256_set1_epi64x(INT64_C(1) << 30)));
        const __m256i negative = _mm256_and_si256(far, _mm256_cmpgt_epi64(_mm256_setzero_si256(), product));
        product = _mm256_sub_epi64(product, _mm256_and_si256(negative, _mm256_set1_epi64x(INT64_C(1) << 31)));
    }
    product = _mm256_add_epi64(product, half);
    /* AVX2 shifts 64 bits logically only: the sign bit, shifted along, is turned into copies of itself. */
    const __m256i sign = _mm256_srlv_epi64(_mm256_set1_epi64x(INT64_MIN), shift);
    __m256i value = _mm256_srlv_epi64(product, shift);
    value = _mm256_sub_epi64(_mm256_xor_si256(value, sign), sign);
    value = _mm256_blendv_epi8(value, most, _mm256_cmpgt_epi64(value, most));
    return _mm256_blendv_epi8(value, least, _mm256_cmpgt_epi64(least, value));
}

TARGET static inline __attribute__((always_inline)) void KERNEL(rescale)(const edgemnist_layer *layer, size_t first,
                                                                         size_t count, const int32_t *sums,
                                                                         uint8_t *outputs, int twice)
{
    const __m256i least = _mm256_set1_epi64x((int64_t)layer->low - layer->zero_point);
    const __m256i most = _mm256_set1_epi64x((int64_t)layer->high - layer->zero_point);
    const __m256i zero_point = _mm256_set1_epi32(layer->zero_point);
    const __m256i lower_half = _mm256_set1_epi64x(0xFFFFFFFF);
    for (size_t i = 0; i < count; i += 8U) {
        const __m256i sum = _mm256_loadu_si256((const __m256i *)(const void *)(sums + i));
        const __m256i multiplier = _mm256_loadu_si256((const __m256i *)(const void *)(layer->multiplier + first + i));
        const __m256i shift =
            _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(layer->shift + first + i)));
        const __m256i even =
            KERNEL(scale)(sum, multiplier, _mm256_and_si256(shift, lower_half), least, most, twice);
        const __m256i odd = KERNEL(scale)(_mm256_srli_epi64(sum, 32), _mm256_srli_epi64(multiplier, 32),
                                          _mm256_srli_epi64(shift, 32), least, most, twice);
        const __m256i both =
            _mm256_add_epi32(_mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA), zero_point);
        const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
        _mm_storel_epi64((__m128i *)(void *)(outputs + first + i), _mm_packus_epi16(words, words));
    }
}

#include "rescale.h"
