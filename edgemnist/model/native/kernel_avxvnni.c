/* AVX-VNNI: as AVX-512 VNNI in 256 bits, for processors without AVX-512. */
#if defined(__x86_64__)
#define KERNEL(name) edgemnist_avxvnni_##name
#define TARGET __attribute__((target("avx2,fma,avxvnni,popcnt")))
#define LANES 8U
#define GROUP 4
#define BLOCK 32U
#define SMALL 16U
#define AT_ONCE 2U
#define ALIGNMENT 64U
/* The list: the numbers of the groups, then their inputs. */
#define LIST_PART(groups) ((groups) + 8U)
#define LIST_BYTES(groups) (2U * LIST_PART(groups) * sizeof(uint32_t))

#include "list_avx2.h"
#include "requantize_avx2.h"

TARGET static size_t KERNEL(list)(const uint8_t *inputs, size_t count, void *list)
{
    uint32_t *const numbers = list;
    return KERNEL(find)(inputs, count, numbers, numbers + LIST_PART((count + GROUP - 1U) / GROUP));
}

/* Sums of `blocks` blocks of `vectors` times 8 outputs; both are constants where this is inlined. */
TARGET static inline __attribute__((always_inline)) void
KERNEL(add)(const int8_t *weights, size_t block_bytes, unsigned blocks, unsigned vectors, const uint32_t *numbers,
            const uint32_t *values, size_t count, const int32_t *bias, int32_t *sums)
{
    const unsigned total = blocks * vectors;
    __m256i sum[8];
#pragma GCC unroll 8
    for (unsigned i = 0; i < total; ++i) {
        sum[i] = _mm256_loadu_si256((const __m256i *)(const void *)(bias + i * LANES));
    }
    for (size_t k = 0; k < count; ++k) {
        const int8_t *const row = weights + (size_t)numbers[k] * (vectors * LANES * GROUP);
        const __m256i four = _mm256_set1_epi32((int32_t)values[k]);
#pragma GCC unroll 8
        for (unsigned i = 0; i < total; ++i) {
            const int8_t *const place = row + i / vectors * block_bytes + i % vectors * (LANES * GROUP);
            const __m256i weight = _mm256_loadu_si256((const __m256i *)(const void *)place);
            sum[i] = _mm256_dpbusd_avx_epi32(sum[i], four, weight);
        }
    }
#pragma GCC unroll 8
    for (unsigned i = 0; i < total; ++i) {
        _mm256_storeu_si256((__m256i *)(void *)(sums + i * LANES), sum[i]);
    }
}

TARGET static void KERNEL(sums)(const edgemnist_layer *layer, size_t block, size_t blocks, const uint8_t *inputs,
                                const void *list, size_t count, int32_t *sums)
{
    const size_t groups = ((size_t)layer->inputs + GROUP - 1U) / GROUP;
    const uint32_t *const numbers = list;
    const uint32_t *const values = numbers + LIST_PART(groups);
    const size_t block_bytes = groups * layer->block * GROUP;
    const int8_t *weights = layer->weights + block * block_bytes;
    const int32_t *bias = layer->bias + block * layer->block;
    (void)inputs;
    if (layer->block == SMALL) {
        for (; blocks > 0; --blocks, weights += block_bytes, bias += SMALL, sums += SMALL) {
            KERNEL(add)(weights, block_bytes, 1, 2, numbers, values, count, bias, sums);
        }
        return;
    }
    for (; blocks >= 2U; blocks -= 2U, weights += 2U * block_bytes, bias += 2U * BLOCK, sums += 2U * BLOCK) {
        KERNEL(add)(weights, block_bytes, 2, 4, numbers, values, count, bias, sums);
    }
    if (blocks > 0) {
        KERNEL(add)(weights, block_bytes, 1, 4, numbers, values, count, bias, sums);
    }
}

#define PLACES 4U
#define VECTORS 2U
typedef __m256i kernel_weights, kernel_inputs;

TARGET static inline kernel_weights KERNEL(load)(const int8_t *weights)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)weights);
}

TARGET static inline kernel_inputs KERNEL(spread)(const uint8_t *inputs)
{
    int32_t four;
    __builtin_memcpy(&four, inputs, sizeof four);
    return _mm256_set1_epi32(four);
}

TARGET static inline kernel_inputs KERNEL(take)(const uint8_t *inputs)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)inputs);
}

TARGET static inline kernel_sum KERNEL(dot)(kernel_sum sum, kernel_weights weights, kernel_inputs inputs)
{
    return _mm256_dpbusd_avx_epi32(sum, inputs, weights);
}

#include "forward.h"

const edgemnist_kernel edgemnist_avxvnni = {
    "avxvnni", GROUP, EDGEMNIST_SIGNED, 0, EDGEMNIST_ROWS + EDGEMNIST_LINES, SMALL, BLOCK, KERNEL(scratch_bytes), KERNEL(run), KERNEL(run),
};
#else
typedef int edgemnist_avxvnni_is_for_x86;
#endif
