/* AVX2 without VNNI: vpmaddubsw multiplies bytes and adds up pairs, but saturates, as 255 * 127 * 2 leaves an int16.
 *
 * So each input is taken as 2 * half + low bit: 127 * -128 * 2 fits, and pairs of the low bits add up to 256 at most,
 * of which 127 fit an int16 before they have to be widened. Both sums are exact.
 */
#if defined(__x86_64__)
#define KERNEL(name) edgemnist_avx2_##name
#define TARGET __attribute__((target("avx2")))
#define LANES 8U
#define LOW_SUMS 127U /* of at most 256 that an int16 holds */
#define BLOCK 32U
#define SMALL 16U
#define AT_ONCE 1U
#define ALIGNMENT 64U

#include "list.h"
#include "requantize_avx2.h"

/* Sums of a block of `vectors` times 8 outputs; `vectors` is a constant where this is inlined. */
TARGET static inline __attribute__((always_inline)) void
KERNEL(add)(const int8_t *weights, unsigned vectors, const uint32_t *numbers, const uint32_t *values, size_t count,
            const int32_t *bias, int32_t *sums)
{
    const __m256i ones = _mm256_set1_epi16(1);
    const __m256i twos = _mm256_set1_epi16(2);
    const __m256i low_bits = _mm256_set1_epi8(1);
    const __m256i low_sevens = _mm256_set1_epi8(0x7F);
    __m256i sum[4];
#pragma GCC unroll 4
    for (unsigned i = 0; i < vectors; ++i) {
        sum[i] = _mm256_loadu_si256((const __m256i *)(const void *)(bias + i * LANES));
    }
    for (size_t first = 0; first < count; first += LOW_SUMS) {
        const size_t end = count - first < LOW_SUMS ? count : first + LOW_SUMS;
        __m256i low_sum[4];
#pragma GCC unroll 4
        for (unsigned i = 0; i < vectors; ++i) {
            low_sum[i] = _mm256_setzero_si256();
        }
        for (size_t k = first; k < end; ++k) {
            const int8_t *const row = weights + (size_t)numbers[k] * (vectors * LANES * GROUP);
            const __m256i four = _mm256_set1_epi32((int32_t)values[k]);
            const __m256i half = _mm256_and_si256(_mm256_srli_epi16(four, 1), low_sevens);
            const __m256i low = _mm256_and_si256(four, low_bits);
#pragma GCC unroll 4
            for (unsigned i = 0; i < vectors; ++i) {
                const __m256i weight = _mm256_loadu_si256((const __m256i *)(const void *)(row + i * LANES * GROUP));
                const __m256i pairs = _mm256_maddubs_epi16(half, weight);
                sum[i] = _mm256_add_epi32(sum[i], _mm256_madd_epi16(pairs, twos));
                low_sum[i] = _mm256_add_epi16(low_sum[i], _mm256_maddubs_epi16(low, weight));
            }
        }
#pragma GCC unroll 4
        for (unsigned i = 0; i < vectors; ++i) {
            sum[i] = _mm256_add_epi32(sum[i], _mm256_madd_epi16(low_sum[i], ones));
        }
    }
#pragma GCC unroll 4
    for (unsigned i = 0; i < vectors; ++i) {
        _mm256_storeu_si256((__m256i *)(void *)(sums + i * LANES), sum[i]);
    }
}

TARGET static void KERNEL(sums)(const edgemnist_layer *layer, size_t block, size_t blocks, const uint8_t *inputs,
                                const void *list, size_t count, int32_t *sums)
{
    const size_t groups = ((size_t)layer->inputs + GROUP - 1U) / GROUP;
    const uint32_t *const numbers = list;
    const uint32_t *const values = numbers + groups;
    const size_t block_bytes = groups * layer->block * GROUP;
    const int8_t *weights = layer->weights + block * block_bytes;
    const int32_t *bias = layer->bias + block * layer->block;
    (void)inputs;
    for (; blocks > 0; --blocks, weights += block_bytes, bias += layer->block, sums += layer->block) {
        if (layer->block == SMALL) {
            KERNEL(add)(weights, SMALL / LANES, numbers, values, count, bias, sums);
        } else {
            KERNEL(add)(weights, BLOCK / LANES, numbers, values, count, bias, sums);
        }
    }
}

#include "forward.h"

const edgemnist_kernel edgemnist_avx2 = {
    "avx2", GROUP, 0, SMALL, BLOCK, KERNEL(scratch_bytes), KERNEL(run),
};
#else
typedef int edgemnist_avx2_is_for_x86;
#endif
