/* edgemnist_requantize with AVX2, sixteen outputs at a time. Included after KERNEL and TARGET are defined. */
#include <immintrin.h>

#include "engine.h"
#include "requantize.h"

#define LINES
#define SCALED 16U
typedef __m256i kernel_sum;

TARGET static inline __attribute__((always_inline)) kernel_sum KERNEL(begin)(const int32_t *bias)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)bias);
}

TARGET static inline __attribute__((always_inline)) void KERNEL(end)(kernel_sum sum, int32_t *sums)
{
    _mm256_storeu_si256((__m256i *)(void *)sums, sum);
}

#define EIGHT TARGET static inline __attribute__((always_inline)) __m256i

/* Eight sums, rescaled; `less` is how far to shift what a multiplication leaves in the upper 32 bits, less 1. */
EIGHT KERNEL(eight)(const int32_t *sums, const int32_t *multiplier, __m256i less, __m256i plus, int twice)
{
    const __m256i sum = _mm256_loadu_si256((const __m256i *)(const void *)sums);
    const __m256i by = _mm256_loadu_si256((const __m256i *)(const void *)multiplier);
    __m256i even = _mm256_mul_epi32(sum, by);
    __m256i odd = _mm256_mul_epi32(_mm256_srli_epi64(sum, 32), _mm256_srli_epi64(by, 32));
    __m256i value; /* in multiples of 2^32, or of 2^31 after the first of two roundings */
    if (twice) {
        const __m256i half = _mm256_set1_epi64x(INT64_C(1) << 30);
        even = _mm256_srli_epi64(_mm256_add_epi64(even, half), 31);
        odd = _mm256_slli_epi64(_mm256_add_epi64(odd, half), 1);
        value = _mm256_blend_epi32(even, odd, 0xAA);
        value = _mm256_add_epi32(value, _mm256_srai_epi32(value, 31));
    } else {
        value = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
    }
    return _mm256_srai_epi32(_mm256_add_epi32(_mm256_srav_epi32(value, less), plus), 1);
}

/* Returns 16 outputs in order. */
TARGET static inline __m128i KERNEL(narrow)(__m256i one, __m256i other)
{
    /* Saturating all the way to 0..255, which cuts off nothing that the range below would keep. */
    const __m256i words = _mm256_packs_epi32(one, other);
    const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    /* Packing keeps to halves of registers: 0 to 3, 8 to 11, 4 to 7 and 12 to 15. */
    return _mm_shuffle_epi32(bytes, _MM_SHUFFLE(3, 1, 2, 0));
}

/* Sums are small; `twice` is a constant where this is inlined. */
TARGET static inline __attribute__((always_inline)) void KERNEL(rescale)(const edgemnist_layer *layer, size_t first,
                                                                         size_t count, const int32_t *sums,
                                                                         uint8_t *outputs, int twice)
{
    const __m128i low = _mm_set1_epi8((char)layer->low), high = _mm_set1_epi8((char)layer->high);
    const __m256i plus = _mm256_set1_epi32(2 * layer->zero_point + 1);
    const uint8_t *const shift = layer->shift + first;
    const int32_t *const multiplier = layer->multiplier + first;
    for (size_t i = 0; i < count; i += SCALED) {
        const __m128i shifts = _mm_loadu_si128((const __m128i *)(const void *)(shift + i));
        const __m128i less = _mm_sub_epi8(shifts, _mm_set1_epi8(twice ? 32 : 33));
        const __m256i one = KERNEL(eight)(sums + i, multiplier + i, _mm256_cvtepu8_epi32(less), plus, twice);
        const __m256i other = KERNEL(eight)(sums + i + 8U, multiplier + i + 8U,
                                            _mm256_cvtepu8_epi32(_mm_srli_si128(less, 8)), plus, twice);
        __m128i *const to = (__m128i *)(void *)(outputs + first + i);
        _mm_storeu_si128(to, _mm_min_epu8(_mm_max_epu8(KERNEL(narrow)(one, other), low), high));
    }
}

typedef struct {
    __m256 slope[2], offset[2], other[2], exception[2], added[2];
} kernel_line;

/* The line of 16 outputs from `output` on. */
TARGET static inline __attribute__((always_inline)) kernel_line KERNEL(line_of)(const edgemnist_layer *layer, size_t output)
{
    const size_t all = (size_t)layer->blocks * layer->block;
    kernel_line made;
    for (unsigned i = 0; i < 2U; ++i) {
        const float *const line = layer->line + output + 8U * i;
        made.slope[i] = _mm256_loadu_ps(line);
        made.offset[i] = _mm256_loadu_ps(line + all);
        made.other[i] = _mm256_loadu_ps(line + 2U * all);
        made.exception[i] = _mm256_loadu_ps(line + 3U * all);
        made.added[i] = _mm256_loadu_ps(line + 4U * all);
    }
    return made;
}

EIGHT KERNEL(along)(const kernel_line *line, unsigned which, __m256i whole, int simple)
{
    const __m256 sum = _mm256_cvtepi32_ps(whole);
    __m256 offset = line->offset[which];
    if (!simple) {
        const __m256 there = _mm256_cmp_ps(sum, line->exception[which], _CMP_EQ_OQ);
        offset = _mm256_blendv_ps(offset, line->other[which], _mm256_castsi256_ps(whole));
        offset = _mm256_add_ps(offset, _mm256_and_ps(there, line->added[which]));
    }
    return _mm256_cvttps_epi32(_mm256_floor_ps(_mm256_fmadd_ps(sum, line->slope[which], offset)));
}

/* Sixteen outputs of their sums by a line; `simple` says that slope and offset are all. */
TARGET static inline __attribute__((always_inline)) void KERNEL(follow)(const kernel_line *line, const __m256i *sums, uint8_t *to, int simple)
{
    const __m256i one = KERNEL(along)(line, 0, sums[0], simple), other = KERNEL(along)(line, 1, sums[1], simple);
    const __m256i up = _mm256_set1_epi32(128);
    _mm_storeu_si128((__m128i *)(void *)to, KERNEL(narrow)(_mm256_add_epi32(one, up), _mm256_add_epi32(other, up)));
}

#undef EIGHT
#include "rescale.h"
