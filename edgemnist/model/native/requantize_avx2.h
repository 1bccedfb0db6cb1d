/* edgemnist_requantize with AVX2, eight outputs at a time. Included after KERNEL and TARGET are defined. */
#include <immintrin.h>

#include "engine.h"
#include "requantize.h"

/* Four products of 64 bits, after the first of two roundings if there are two; `twice` is a constant where this is
 * inlined. Their shifts are more than 32. */
TARGET static inline __attribute__((always_inline)) __m256i KERNEL(product)(__m256i sum, __m256i multiplier, int twice)
{
    __m256i product = _mm256_mul_epi32(sum, multiplier);
    if (twice) {
        product = _mm256_add_epi64(product, _mm256_set1_epi64x(INT64_C(1) << 30));
        const __m256i negative = _mm256_cmpgt_epi64(_mm256_setzero_si256(), product);
        product = _mm256_sub_epi64(product, _mm256_and_si256(negative, _mm256_set1_epi64x(INT64_C(1) << 31)));
    }
    return product;
}

/* Eight sums, rescaled; `less` is how far to shift their products, less 33. */
TARGET static inline __attribute__((always_inline)) __m256i KERNEL(scale)(const int32_t *sums, const int32_t *multiplier,
                                                                          __m256i less, int twice)
{
    const __m256i sum = _mm256_loadu_si256((const __m256i *)(const void *)sums);
    const __m256i by = _mm256_loadu_si256((const __m256i *)(const void *)multiplier);
    const __m256i even = KERNEL(product)(sum, by, twice);
    const __m256i odd = KERNEL(product)(_mm256_srli_epi64(sum, 32), _mm256_srli_epi64(by, 32), twice);
    /* What is rounded lies in the upper 32 bits. */
    const __m256i upper = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
    const __m256i twofold = _mm256_srav_epi32(upper, less);
    return _mm256_srai_epi32(_mm256_sub_epi32(twofold, _mm256_set1_epi32(-1)), 1);
}

TARGET static inline __attribute__((always_inline)) void KERNEL(rescale)(const edgemnist_layer *layer, size_t first,
                                                                         size_t count, const int32_t *sums,
                                                                         uint8_t *outputs, int twice)
{
    const __m128i low = _mm_set1_epi8((char)layer->low);
    const __m128i high = _mm_set1_epi8((char)layer->high);
    const __m256i zero_point = _mm256_set1_epi16(layer->zero_point);
    for (size_t i = 0; i < count; i += 16U) {
        const __m128i shifts = _mm_loadu_si128((const __m128i *)(const void *)(layer->shift + first + i));
        if (_mm_movemask_epi8(_mm_cmplt_epi8(shifts, _mm_set1_epi8(33))) != 0) {
            edgemnist_requantize(layer, first + i, 16, sums + i, outputs);
            continue;
        }
        const __m128i less = _mm_sub_epi8(shifts, _mm_set1_epi8(33));
        const int32_t *const multiplier = layer->multiplier + first + i;
        const __m256i one = KERNEL(scale)(sums + i, multiplier, _mm256_cvtepu8_epi32(less), twice);
        const __m256i other = KERNEL(scale)(sums + i + 8U, multiplier + 8U,
                                            _mm256_cvtepu8_epi32(_mm_srli_si128(less, 8)), twice);
        /* Saturating all the way to 0..255, which cuts off nothing that the range below would keep. */
        const __m256i words = _mm256_adds_epi16(_mm256_packs_epi32(one, other), zero_point);
        const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
        /* Packing keeps to halves of registers: 0 to 3, 8 to 11, 4 to 7 and 12 to 15. */
        const __m128i ordered = _mm_shuffle_epi32(bytes, _MM_SHUFFLE(3, 1, 2, 0));
        _mm_storeu_si128((__m128i *)(void *)(outputs + first + i), _mm_min_epu8(_mm_max_epu8(ordered, low), high));
    }
}

#include "rescale.h"
