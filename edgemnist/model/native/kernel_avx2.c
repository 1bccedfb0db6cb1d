/* AVX2 without VNNI: vpmaddwd multiplies 16-bit numbers and adds up pairs of products, exactly.
 *
 * To extend weights to 16 bits costs more than to multiply them. So those of two outputs, w and w', are taken as they
 * lie in memory, as one number 256 * w' + (w + 128): a shift leaves w'. Sums of both products tell the two sums, as
 * whatever is lost above 32 bits is lost on both sides.
 */
#if defined(__x86_64__)
#define KERNEL(name) edgemnist_avx2_##name
#define TARGET __attribute__((target("avx2,fma,popcnt")))
#define LANES 8U
#define WIDE 16U /* outputs of a vector of weights of the list's inputs */
#define GROUP 2
#define BLOCK 32U
#define SMALL 16U
#define AT_ONCE 2U
#define ALIGNMENT 64U
#define AHEAD 8U /* pairs of inputs whose weights are fetched before they are needed */
/* The list of pairs of inputs that are not both 0: their numbers, both inputs as 16-bit numbers side by side, and the
 * sum of all inputs. */
#define LIST_PART(groups) ((groups) + AHEAD)
#define LIST_BYTES(groups) ((2U * LIST_PART(groups) + 1U) * sizeof(uint32_t))

#include "list_avx2.h"
#include "requantize_avx2.h"

TARGET static size_t KERNEL(list)(const uint8_t *inputs, size_t count, void *list)
{
    const __m256i low_bits = _mm256_set1_epi32(0xFF), high_bits = _mm256_set1_epi32(0xFF0000);
    const __m256i ones = _mm256_set1_epi16(1);
    const size_t part = LIST_PART((count + GROUP - 1U) / GROUP);
    uint32_t *const numbers = list;
    uint32_t *const values = numbers + part;
    const size_t found = KERNEL(find)(inputs, count, numbers, values);
    __m256i total = _mm256_setzero_si256();
    for (size_t k = found; k < found + AHEAD; ++k) {
        numbers[k] = 0;
        values[k] = 0;
    }
    for (size_t k = 0; k < found; k += 8U) {
        __m256i *const place = (__m256i *)(void *)(values + k);
        const __m256i pair = _mm256_loadu_si256(place);
        const __m256i apart = _mm256_or_si256(_mm256_and_si256(pair, low_bits),
                                              _mm256_and_si256(_mm256_slli_epi32(pair, 8), high_bits));
        _mm256_storeu_si256(place, apart);
        total = _mm256_add_epi32(total, _mm256_madd_epi16(apart, ones));
    }
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(total), _mm256_extracti128_si256(total, 1));
    sum = _mm_add_epi32(sum, _mm_unpackhi_epi64(sum, sum));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 1));
    values[part] = (uint32_t)_mm_cvtsi128_si32(sum);
    return found;
}

/* Sums of `blocks` blocks of `vectors` times 16 outputs; both are constants where this is inlined. */
TARGET static inline __attribute__((always_inline)) void
KERNEL(add)(const int8_t *weights, size_t block_bytes, unsigned blocks, unsigned vectors, const uint32_t *numbers,
            const uint32_t *values, size_t count, uint32_t inputs, const int32_t *bias, int32_t *sums)
{
    const unsigned total = blocks * vectors;
    const unsigned row_bytes = vectors * WIDE * GROUP;
    const __m256i excess = _mm256_set1_epi32((int32_t)(128U * inputs));
    __m256i both[4], odd[4];
#pragma GCC unroll 4
    for (unsigned i = 0; i < total; ++i) {
        both[i] = _mm256_setzero_si256();
        odd[i] = _mm256_setzero_si256();
    }
#pragma GCC unroll 2
    for (size_t k = 0; k < count; ++k) {
        const int8_t *const row = weights + (size_t)numbers[k] * row_bytes;
        const int8_t *const later = weights + (size_t)numbers[k + AHEAD] * row_bytes;
        const __m256i two = _mm256_set1_epi32((int32_t)values[k]);
#pragma GCC unroll 2
        for (unsigned block = 0; block < blocks; ++block) {
            __builtin_prefetch(later + block * block_bytes);
        }
#pragma GCC unroll 4
        for (unsigned i = 0; i < total; ++i) {
            const int8_t *const place = row + i / vectors * block_bytes + i % vectors * (WIDE * GROUP);
            const __m256i weight = _mm256_loadu_si256((const __m256i *)(const void *)place);
            both[i] = _mm256_add_epi32(both[i], _mm256_madd_epi16(two, weight));
            odd[i] = _mm256_add_epi32(odd[i], _mm256_madd_epi16(two, _mm256_srai_epi16(weight, 8)));
        }
    }
#pragma GCC unroll 4
    for (unsigned i = 0; i < total; ++i) {
        const __m256i even = _mm256_sub_epi32(_mm256_sub_epi32(both[i], _mm256_slli_epi32(odd[i], 8)), excess);
        /* Outputs 0 to 3 and 8 to 11, and the others. */
        const __m256i one = _mm256_unpacklo_epi32(even, odd[i]), other = _mm256_unpackhi_epi32(even, odd[i]);
        const __m256i first_half = _mm256_permute2x128_si256(one, other, 0x20);
        const __m256i other_half = _mm256_permute2x128_si256(one, other, 0x31);
        const __m256i *const from = (const __m256i *)(const void *)(bias + i * WIDE);
        __m256i *const to = (__m256i *)(void *)(sums + i * WIDE);
        _mm256_storeu_si256(to, _mm256_add_epi32(first_half, _mm256_loadu_si256(from)));
        _mm256_storeu_si256(to + 1, _mm256_add_epi32(other_half, _mm256_loadu_si256(from + 1)));
    }
}

TARGET static void KERNEL(sums)(const edgemnist_layer *layer, size_t block, size_t blocks, const uint8_t *inputs,
                                const void *list, size_t count, int32_t *sums)
{
    const size_t groups = ((size_t)layer->inputs + GROUP - 1U) / GROUP;
    const uint32_t *const numbers = list;
    const uint32_t *const values = numbers + LIST_PART(groups);
    const uint32_t total = values[LIST_PART(groups)];
    const size_t block_bytes = groups * layer->block * GROUP;
    const int8_t *weights = layer->weights + block * block_bytes;
    const int32_t *bias = layer->bias + block * layer->block;
    (void)inputs;
    if (layer->block == SMALL) {
        for (; blocks > 0; --blocks, weights += block_bytes, bias += SMALL, sums += SMALL) {
            KERNEL(add)(weights, block_bytes, 1, 1, numbers, values, count, total, bias, sums);
        }
    } else if (blocks == AT_ONCE) {
        KERNEL(add)(weights, block_bytes, AT_ONCE, BLOCK / WIDE, numbers, values, count, total, bias, sums);
    } else {
        KERNEL(add)(weights, block_bytes, 1, BLOCK / WIDE, numbers, values, count, total, bias, sums);
    }
}

#define PLACES 4U
#define VECTORS 2U
typedef __m256i kernel_weights, kernel_inputs;

TARGET static inline kernel_weights KERNEL(load)(const int8_t *weights)
{
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)weights));
}

TARGET static inline kernel_inputs KERNEL(spread)(const uint8_t *inputs)
{
    return _mm256_set1_epi32((int32_t)(inputs[0] | (uint32_t)inputs[1] << 16));
}

TARGET static inline kernel_inputs KERNEL(take)(const uint8_t *inputs)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)inputs);
}

TARGET static inline kernel_sum KERNEL(dot)(kernel_sum sum, kernel_weights weights, kernel_inputs inputs)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(inputs, weights));
}

#include "forward.h"

const edgemnist_kernel edgemnist_avx2 = {
    "avx2", GROUP, EDGEMNIST_PAIRED, 0, EDGEMNIST_ROWS + EDGEMNIST_LINES, SMALL, BLOCK, KERNEL(scratch_bytes), KERNEL(run), KERNEL(run),
};
#else
typedef int edgemnist_avx2_is_for_x86;
#endif
