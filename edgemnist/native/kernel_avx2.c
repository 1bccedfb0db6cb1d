/* AVX2 without VNNI: vpmaddubsw multiplies bytes and adds up pairs, but saturates, as 255 * 127 * 2 leaves an int16.
 *
 * So each input is taken as 16 * high + low: eight pairs of 15 * -128 * 2 fit, before they have to be widened. Sums of
 * both halves are exact.
 */
#if defined(__x86_64__)
#define KERNEL(name) edgemnist_avx2_##name
#define TARGET __attribute__((target("avx2,popcnt")))
#define LANES 16U
#define PAIRS 8U /* that an int16 holds */
#define GROUP 2
#define BLOCK 32U
#define SMALL 16U
#define AT_ONCE 2U
#define ALIGNMENT 64U
/* The list of pairs of inputs that are not both 0, filled up with zeros to whole times PAIRS: their numbers, and both
 * halves of the pairs, each twice. Weights are fetched for as many more. */
#define LIST_PART(groups) ((groups) + 2U * PAIRS)
#define LIST_BYTES(groups) (3U * LIST_PART(groups) * sizeof(uint32_t))

#include "list_avx2.h"
#include "requantize_avx2.h"

TARGET static size_t KERNEL(list)(const uint8_t *inputs, size_t count, void *list)
{
    const __m256i low_bits = _mm256_set1_epi8(0x0F);
    uint32_t *const numbers = list;
    uint32_t *const highs = numbers + LIST_PART((count + GROUP - 1U) / GROUP);
    uint32_t *const lows = highs + LIST_PART((count + GROUP - 1U) / GROUP);
    const size_t found = KERNEL(find)(inputs, count, numbers, lows);
    for (size_t k = found; k < found + 2U * PAIRS; ++k) {
        numbers[k] = 0;
        lows[k] = 0;
    }
    for (size_t k = 0; k < found; k += PAIRS) {
        const __m256i pair = _mm256_loadu_si256((const __m256i *)(const void *)(lows + k));
        const __m256i twice = _mm256_or_si256(pair, _mm256_slli_epi32(pair, 16));
        const __m256i high = _mm256_and_si256(_mm256_srli_epi16(twice, 4), low_bits);
        _mm256_storeu_si256((__m256i *)(void *)(highs + k), high);
        _mm256_storeu_si256((__m256i *)(void *)(lows + k), _mm256_and_si256(twice, low_bits));
    }
    return (found + PAIRS - 1U) / PAIRS * PAIRS;
}

/* Sums of `blocks` blocks of `vectors` times 16 outputs; both are constants where this is inlined. */
TARGET static inline __attribute__((always_inline)) void
KERNEL(add)(const int8_t *weights, size_t block_bytes, unsigned blocks, unsigned vectors, const uint32_t *numbers,
            const uint32_t *highs, const uint32_t *lows, size_t count, const int32_t *bias, int32_t *sums)
{
    const unsigned total = blocks * vectors;
    const unsigned row_bytes = vectors * LANES * GROUP;
    const __m256i scales = _mm256_set1_epi32(1 << 16 | 16);
    /* In memory, as all registers are taken. Of each 16: outputs 0 to 3 and 8 to 11, and the others. */
    __m256i *const sum = (__m256i *)(void *)sums;
#pragma GCC unroll 8
    for (unsigned i = 0; i < 2U * total; ++i) {
        _mm256_storeu_si256(sum + i, _mm256_setzero_si256());
    }
    for (size_t first = 0; first < count; first += PAIRS) {
        __m256i high_sum[4], low_sum[4];
#pragma GCC unroll 4
        for (unsigned i = 0; i < total; ++i) {
            high_sum[i] = _mm256_setzero_si256();
            low_sum[i] = _mm256_setzero_si256();
        }
#pragma GCC unroll 2
        for (size_t k = first; k < first + PAIRS; ++k) {
            const int8_t *const row = weights + (size_t)numbers[k] * row_bytes;
            const int8_t *const later = weights + (size_t)numbers[k + PAIRS] * row_bytes;
            const __m256i high = _mm256_set1_epi32((int32_t)highs[k]);
            const __m256i low = _mm256_set1_epi32((int32_t)lows[k]);
#pragma GCC unroll 2
            for (unsigned block = 0; block < blocks; ++block) {
                __builtin_prefetch(later + block * block_bytes);
            }
#pragma GCC unroll 4
            for (unsigned i = 0; i < total; ++i) {
                const int8_t *const place = row + i / vectors * block_bytes + i % vectors * (LANES * GROUP);
                const __m256i weight = _mm256_loadu_si256((const __m256i *)(const void *)place);
                high_sum[i] = _mm256_add_epi16(high_sum[i], _mm256_maddubs_epi16(high, weight));
                low_sum[i] = _mm256_add_epi16(low_sum[i], _mm256_maddubs_epi16(low, weight));
            }
        }
#pragma GCC unroll 4
        for (unsigned i = 0; i < total; ++i) {
            const __m256i one = _mm256_madd_epi16(_mm256_unpacklo_epi16(high_sum[i], low_sum[i]), scales);
            const __m256i other = _mm256_madd_epi16(_mm256_unpackhi_epi16(high_sum[i], low_sum[i]), scales);
            _mm256_storeu_si256(sum + 2U * i, _mm256_add_epi32(_mm256_loadu_si256(sum + 2U * i), one));
            _mm256_storeu_si256(sum + 2U * i + 1U, _mm256_add_epi32(_mm256_loadu_si256(sum + 2U * i + 1U), other));
        }
    }
#pragma GCC unroll 4
    for (unsigned i = 0; i < total; ++i) {
        const __m256i *const from = (const __m256i *)(const void *)(bias + i * LANES);
        const __m256i one = _mm256_loadu_si256(sum + 2U * i), other = _mm256_loadu_si256(sum + 2U * i + 1U);
        const __m256i first_half = _mm256_permute2x128_si256(one, other, 0x20);
        const __m256i other_half = _mm256_permute2x128_si256(one, other, 0x31);
        _mm256_storeu_si256(sum + 2U * i, _mm256_add_epi32(first_half, _mm256_loadu_si256(from)));
        _mm256_storeu_si256(sum + 2U * i + 1U, _mm256_add_epi32(other_half, _mm256_loadu_si256(from + 1)));
    }
}

TARGET static void KERNEL(sums)(const edgemnist_layer *layer, size_t block, size_t blocks, const uint8_t *inputs,
                                const void *list, size_t count, int32_t *sums)
{
    const size_t groups = ((size_t)layer->inputs + GROUP - 1U) / GROUP;
    const uint32_t *const numbers = list;
    const uint32_t *const highs = numbers + LIST_PART(groups);
    const uint32_t *const lows = highs + LIST_PART(groups);
    const size_t block_bytes = groups * layer->block * GROUP;
    const int8_t *weights = layer->weights + block * block_bytes;
    const int32_t *bias = layer->bias + block * layer->block;
    (void)inputs;
    if (layer->block == SMALL) {
        for (; blocks > 0; --blocks, weights += block_bytes, bias += SMALL, sums += SMALL) {
            KERNEL(add)(weights, block_bytes, 1, 1, numbers, highs, lows, count, bias, sums);
        }
    } else if (blocks == AT_ONCE) {
        KERNEL(add)(weights, block_bytes, AT_ONCE, BLOCK / LANES, numbers, highs, lows, count, bias, sums);
    } else {
        KERNEL(add)(weights, block_bytes, 1, BLOCK / LANES, numbers, highs, lows, count, bias, sums);
    }
}

#include "forward.h"

const edgemnist_kernel edgemnist_avx2 = {
    "avx2", GROUP, 0, 0, SMALL, BLOCK, KERNEL(scratch_bytes), KERNEL(run), KERNEL(run),
};
#else
typedef int edgemnist_avx2_is_for_x86;
#endif
