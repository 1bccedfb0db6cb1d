/* AVX2: weights and inputs widened to 16 bits, whose products vpmaddwd adds up in pairs, exactly.
 *
 * vpmaddubsw would take the bytes as they are, but it saturates: 255 * 127 * 2 is more than an int16 holds.
 */
#if defined(__x86_64__)
#define KERNEL(name) edgemnist_avx2_##name
#define TARGET __attribute__((target("avx2")))
#define LANES 4U /* outputs in a vector: two sums of two products each */
#define BLOCK 32U
#define SMALL 16U
#define AT_ONCE 1U
#define ALIGNMENT 64U

#include "list.h"
#include "requantize_avx2.h"

/* Sums of a block of `vectors` times 4 outputs; `vectors` is a constant where this is inlined. */
TARGET static inline __attribute__((always_inline)) void
KERNEL(add)(const int8_t *weights, unsigned vectors, const uint32_t *numbers, const uint32_t *values, size_t count,
            const int32_t *bias, int32_t *sums)
{
    __m256i sum[8];
#pragma GCC unroll 8
    for (unsigned i = 0; i < vectors; ++i) {
        sum[i] = _mm256_setzero_si256();
    }
    for (size_t k = 0; k < count; ++k) {
        const int8_t *const row = weights + (size_t)numbers[k] * (vectors * LANES * GROUP);
        const __m256i four = _mm256_cvtepu8_epi16(_mm_set1_epi32((int32_t)values[k]));
#pragma GCC unroll 8
        for (unsigned i = 0; i < vectors; ++i) {
            const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(row + i * LANES * GROUP));
            sum[i] = _mm256_add_epi32(sum[i], _mm256_madd_epi16(_mm256_cvtepi8_epi16(bytes), four));
        }
    }
#pragma GCC unroll 4
    for (unsigned i = 0; i < vectors; i += 2U) {
        /* vphaddd works within halves of 128 bits, so the quarters come out in the order 0, 2, 1, 3. */
        const __m256i whole = _mm256_permute4x64_epi64(_mm256_hadd_epi32(sum[i], sum[i + 1U]), 0xD8);
        const __m256i start = _mm256_loadu_si256((const __m256i *)(const void *)(bias + i * LANES));
        _mm256_storeu_si256((__m256i *)(void *)(sums + i * LANES), _mm256_add_epi32(whole, start));
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
            KERNEL(add)(weights, 4, numbers, values, count, bias, sums);
        } else {
            KERNEL(add)(weights, 8, numbers, values, count, bias, sums);
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
