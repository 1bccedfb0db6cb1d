/* The portable kernel's arithmetic for x86-64 without AVX2: included by kernel_scalar.c.
 *
 * pmaddwd multiplies 16-bit numbers and adds up pairs of products. Weights of two outputs are taken as one number, as
 * kernel_avx2.c explains.
 */
#include <emmintrin.h>

#include "engine.h"

#define GROUP 2U
#define FORM EDGEMNIST_PAIRED
#define BLOCK 16U /* whose sums fit the registers */
#define SMALL BLOCK
#define WIDE 8U /* outputs of a vector of weights of the list's inputs */
#define LANES 4U

/* The list: where pairs of inputs are not both 0, the sum of all inputs, and these pairs, each as often as a vector has
 * room for. */
#define LIST_PART(groups) (((groups) + 1U + 3U) / 4U * 4U)
#define LIST_BYTES(groups) (LIST_PART(groups) * (sizeof(uint32_t) + sizeof(__m128i)))

static size_t KERNEL(list)(const uint8_t *inputs, size_t count, void *list)
{
    const size_t groups = (count + GROUP - 1U) / GROUP;
    uint32_t *const numbers = list;
    __m128i *const repeated = (__m128i *)(void *)(numbers + LIST_PART(groups));
    uint32_t total = 0;
    size_t found = 0;
    for (size_t group = 0; group < count / 2U; ++group) {
        /* Written in any case, kept if it is not zero: cheaper than a branch that nobody can foresee. */
        numbers[found] = (uint32_t)group;
        found += (inputs[2U * group] | inputs[2U * group + 1U]) != 0U;
    }
    if (count % 2U != 0U) {
        numbers[found] = (uint32_t)(groups - 1U);
        found += inputs[count - 1U] != 0U;
    }
    for (size_t k = 0; k < found; ++k) {
        const size_t at = 2U * (size_t)numbers[k];
        const uint32_t first = inputs[at], second = at + 1U < count ? inputs[at + 1U] : 0U;
        total += first + second;
        _mm_storeu_si128(repeated + k, _mm_set1_epi32((int32_t)(first | second << 16)));
    }
    numbers[LIST_PART(groups) - 1U] = total;
    return found;
}

static void KERNEL(sums)(const edgemnist_layer *layer, size_t block, size_t blocks, const uint8_t *inputs,
                         const void *list, size_t count, int32_t *sums)
{
    const size_t groups = ((size_t)layer->inputs + GROUP - 1U) / GROUP;
    const int8_t *const weights = layer->weights + block * groups * BLOCK * GROUP;
    const int32_t *const bias = layer->bias + block * BLOCK;
    const uint32_t *const numbers = list;
    const __m128i *const repeated = (const __m128i *)(const void *)(numbers + LIST_PART(groups));
    __m128i both[BLOCK / WIDE] = {_mm_setzero_si128(), _mm_setzero_si128()};
    __m128i odd[BLOCK / WIDE] = {_mm_setzero_si128(), _mm_setzero_si128()};
    (void)inputs;
    (void)blocks;
#pragma GCC unroll 2
    for (size_t k = 0; k < count; ++k) {
        const __m128i *const row = (const __m128i *)(const void *)(weights + (size_t)numbers[k] * BLOCK * GROUP);
        const __m128i two = _mm_loadu_si128(repeated + k);
#pragma GCC unroll 2
        for (unsigned v = 0; v < BLOCK / WIDE; ++v) {
            const __m128i weight = _mm_loadu_si128(row + v);
            both[v] = _mm_add_epi32(both[v], _mm_madd_epi16(two, weight));
            odd[v] = _mm_add_epi32(odd[v], _mm_madd_epi16(two, _mm_srai_epi16(weight, 8)));
        }
    }
    const __m128i excess = _mm_set1_epi32((int32_t)(128U * numbers[LIST_PART(groups) - 1U]));
#pragma GCC unroll 2
    for (unsigned v = 0; v < BLOCK / WIDE; ++v) {
        const __m128i even = _mm_sub_epi32(_mm_sub_epi32(both[v], _mm_slli_epi32(odd[v], 8)), excess);
        const __m128i *const from = (const __m128i *)(const void *)(bias + v * WIDE);
        __m128i *const to = (__m128i *)(void *)(sums + v * WIDE);
        _mm_storeu_si128(to, _mm_add_epi32(_mm_unpacklo_epi32(even, odd[v]), _mm_loadu_si128(from)));
        _mm_storeu_si128(to + 1, _mm_add_epi32(_mm_unpackhi_epi32(even, odd[v]), _mm_loadu_si128(from + 1)));
    }
}

#define PLACES 4U
#define VECTORS 2U
typedef __m128i kernel_sum, kernel_weights, kernel_inputs;

static inline kernel_sum KERNEL(begin)(const int32_t *bias)
{
    return _mm_loadu_si128((const __m128i *)(const void *)bias);
}

static inline void KERNEL(end)(kernel_sum sum, int32_t *sums)
{
    _mm_storeu_si128((__m128i *)(void *)sums, sum);
}

static inline kernel_weights KERNEL(load)(const int8_t *weights)
{
    const __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)weights);
    return _mm_srai_epi16(_mm_unpacklo_epi8(bytes, bytes), 8);
}

static inline kernel_inputs KERNEL(spread)(const uint8_t *inputs)
{
    return _mm_set1_epi32((int32_t)(inputs[0] | (uint32_t)inputs[1] << 16));
}

static inline kernel_inputs KERNEL(take)(const uint8_t *inputs)
{
    return _mm_loadu_si128((const __m128i *)(const void *)inputs);
}

static inline kernel_sum KERNEL(dot)(kernel_sum sum, kernel_weights weights, kernel_inputs inputs)
{
    return _mm_add_epi32(sum, _mm_madd_epi16(weights, inputs));
}
