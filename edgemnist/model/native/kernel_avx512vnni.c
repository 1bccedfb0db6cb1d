/* AVX-512 with VNNI: vpdpbusd adds 64 products of uint8 and int8 to 16 sums, exactly.
 *
 * Groups of four inputs that are all 0 are left out of the list by vpcompressd, 16 groups at a time.
 */
#if defined(__x86_64__)
#include <immintrin.h>

#include "engine.h"

#define KERNEL(name) edgemnist_avx512vnni_##name
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,popcnt")))
#define INLINE TARGET static inline __attribute__((always_inline))
#define GROUP 4U
#define LANES 16U
#define BLOCK 32U
#define AT_ONCE 8U
#define ALIGNMENT 64U
#define SQUARES
#define TILE 2U
#define TILE_IMAGES 32U
/* The list: the numbers of the groups, then their inputs. The last store may reach LANES beyond what is there. */
#define LIST_HALF(groups) ((groups) + LANES)
#define LIST_BYTES(groups) (2U * LIST_HALF(groups) * sizeof(uint32_t))

TARGET static size_t KERNEL(list)(const uint8_t *inputs, size_t count, void *list)
{
    const size_t groups = (count + GROUP - 1U) / GROUP;
    uint32_t *const numbers = list;
    uint32_t *const values = numbers + LIST_HALF(groups);
    __m512i number = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    size_t found = 0;
    for (size_t group = 0; group < groups; group += LANES) {
        const size_t left = groups - group;
        const __mmask16 there = (__mmask16)(left < LANES ? (1U << left) - 1U : 0xFFFFU);
        const __m512i four = _mm512_maskz_loadu_epi32(there, inputs + group * GROUP);
        const __mmask16 some = _mm512_test_epi32_mask(four, four);
        /* Compressed in registers: a compressing store is slow on some processors (Zen 4). */
        _mm512_storeu_si512(numbers + found, _mm512_maskz_compress_epi32(some, number));
        _mm512_storeu_si512(values + found, _mm512_maskz_compress_epi32(some, four));
        found += (size_t)_mm_popcnt_u32(some);
        number = _mm512_add_epi32(number, _mm512_set1_epi32(LANES));
    }
    return found;
}

/* The same for squares of pixels, two rows of an image at a time, of up to 2 * LANES each. */
TARGET static size_t KERNEL(list_squares)(const uint8_t *image, size_t pixels, size_t width, void *list)
{
    const __mmask16 row = (__mmask16)((1U << width / 2U) - 1U);
    const __m512i squares = _mm512_set1_epi32((int32_t)(width / 2U));
    uint32_t *const numbers = list;
    uint32_t *const values = numbers + LIST_HALF(pixels / GROUP);
    __m512i number = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    size_t found = 0;
    for (size_t at = 0; at < pixels; at += 2U * width) {
        const __m512i upper = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(row, image + at));
        const __m512i lower = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(row, image + at + width));
        const __m512i four = _mm512_or_si512(upper, _mm512_slli_epi32(lower, 16));
        const __mmask16 some = _mm512_test_epi32_mask(four, four);
        _mm512_storeu_si512(numbers + found, _mm512_maskz_compress_epi32(some, number));
        _mm512_storeu_si512(values + found, _mm512_maskz_compress_epi32(some, four));
        found += (size_t)_mm_popcnt_u32(some);
        number = _mm512_add_epi32(number, squares);
    }
    return found;
}

/* Sums of `blocks` blocks of `vectors` times 16 outputs; both are constants where this is inlined. */
INLINE void KERNEL(add)(const int8_t *weights, size_t block_bytes, unsigned blocks, unsigned vectors,
                        const uint32_t *numbers, const uint32_t *values, size_t count, const int32_t *bias,
                        int32_t *sums)
{
    const unsigned total = blocks * vectors;
    __m512i sum[LANES];
#pragma GCC unroll 16
    for (unsigned i = 0; i < total; ++i) {
        sum[i] = _mm512_loadu_si512(bias + i * LANES);
    }
    for (size_t k = 0; k < count; ++k) {
        const int8_t *const row = weights + (size_t)numbers[k] * (vectors * LANES * GROUP);
        const __m512i four = _mm512_set1_epi32((int32_t)values[k]);
#pragma GCC unroll 16
        for (unsigned i = 0; i < total; ++i) {
            const int8_t *const place = row + i / vectors * block_bytes + i % vectors * (LANES * GROUP);
            sum[i] = _mm512_dpbusd_epi32(sum[i], four, _mm512_loadu_si512(place));
        }
    }
#pragma GCC unroll 16
    for (unsigned i = 0; i < total; ++i) {
        _mm512_storeu_si512(sums + i * LANES, sum[i]);
    }
}

/* Few sums do not hide the latency of vpdpbusd: `turns` sets of them take turns. All of these are constants. */
INLINE void KERNEL(add_in_turns)(const int8_t *weights, size_t block_bytes, unsigned blocks, unsigned vectors,
                                 unsigned turns, const uint32_t *numbers, const uint32_t *values, size_t count,
                                 const int32_t *bias, int32_t *sums)
{
    const unsigned total = blocks * vectors;
    __m512i sum[4][4];
#pragma GCC unroll 4
    for (unsigned i = 0; i < total; ++i) {
        sum[0][i] = _mm512_loadu_si512(bias + i * LANES);
#pragma GCC unroll 4
        for (unsigned turn = 1; turn < turns; ++turn) {
            sum[turn][i] = _mm512_setzero_si512();
        }
    }
    size_t k = 0;
    for (; k + turns <= count; k += turns) {
#pragma GCC unroll 4
        for (unsigned turn = 0; turn < turns; ++turn) {
            const int8_t *const row = weights + (size_t)numbers[k + turn] * (vectors * LANES * GROUP);
            const __m512i four = _mm512_set1_epi32((int32_t)values[k + turn]);
#pragma GCC unroll 4
            for (unsigned i = 0; i < total; ++i) {
                const int8_t *const place = row + i / vectors * block_bytes + i % vectors * (LANES * GROUP);
                sum[turn][i] = _mm512_dpbusd_epi32(sum[turn][i], four, _mm512_loadu_si512(place));
            }
        }
    }
    for (; k < count; ++k) {
        const int8_t *const row = weights + (size_t)numbers[k] * (vectors * LANES * GROUP);
        const __m512i four = _mm512_set1_epi32((int32_t)values[k]);
#pragma GCC unroll 4
        for (unsigned i = 0; i < total; ++i) {
            const int8_t *const place = row + i / vectors * block_bytes + i % vectors * (LANES * GROUP);
            sum[0][i] = _mm512_dpbusd_epi32(sum[0][i], four, _mm512_loadu_si512(place));
        }
    }
#pragma GCC unroll 4
    for (unsigned i = 0; i < total; ++i) {
#pragma GCC unroll 4
        for (unsigned turn = 1; turn < turns; ++turn) {
            sum[0][i] = _mm512_add_epi32(sum[0][i], sum[turn][i]);
        }
        _mm512_storeu_si512(sums + i * LANES, sum[0][i]);
    }
}

TARGET static void KERNEL(sums)(const edgemnist_layer *layer, size_t block, size_t blocks, const uint8_t *inputs,
                                const void *list, size_t count, int32_t *sums)
{
    const size_t groups = ((size_t)layer->inputs + GROUP - 1U) / GROUP;
    const uint32_t *const numbers = list;
    const uint32_t *const values = numbers + LIST_HALF(groups);
    const size_t block_bytes = groups * layer->block * GROUP;
    const int8_t *weights = layer->weights + block * block_bytes;
    const int32_t *bias = layer->bias + block * layer->block;
    (void)inputs;
    if (layer->block < BLOCK) {
        for (; blocks > 0; --blocks, weights += block_bytes, bias += LANES, sums += LANES) {
            KERNEL(add_in_turns)(weights, block_bytes, 1, 1, 4, numbers, values, count, bias, sums);
        }
        return;
    }
    for (; blocks >= 8U; blocks -= 8U, weights += 8U * block_bytes, bias += 8U * BLOCK, sums += 8U * BLOCK) {
        KERNEL(add)(weights, block_bytes, 8, 2, numbers, values, count, bias, sums);
    }
    for (; blocks >= 3U; blocks -= 3U, weights += 3U * block_bytes, bias += 3U * BLOCK, sums += 3U * BLOCK) {
        KERNEL(add)(weights, block_bytes, 3, 2, numbers, values, count, bias, sums);
    }
    if (blocks == 2U) {
        KERNEL(add_in_turns)(weights, block_bytes, 2, 2, 2, numbers, values, count, bias, sums);
    } else if (blocks == 1U) {
        KERNEL(add_in_turns)(weights, block_bytes, 1, 2, 4, numbers, values, count, bias, sums);
    }
}

#include "requantize.h"

/* Eight products of 64 bits, after the first of two roundings if there are two; `twice` is a constant where this is
 * inlined. Their shifts are more than 32. */
INLINE __m512i KERNEL(product)(__m512i sum, __m512i multiplier, int twice)
{
    __m512i product = _mm512_mul_epi32(sum, multiplier);
    if (twice) {
        product = _mm512_add_epi64(product, _mm512_set1_epi64(INT64_C(1) << 30));
        const __mmask8 negative = _mm512_movepi64_mask(product);
        product = _mm512_mask_sub_epi64(product, negative, product, _mm512_set1_epi64(INT64_C(1) << 31));
    }
    return product;
}

INLINE void KERNEL(rescale)(const edgemnist_layer *layer, size_t first, size_t count, const int32_t *sums,
                            uint8_t *outputs, int twice)
{
    const __m128i low = _mm_set1_epi8((char)layer->low);
    const __m128i high = _mm_set1_epi8((char)layer->high);
    const __m512i zero_point = _mm512_set1_epi32(layer->zero_point);
    for (size_t i = 0; i < count; i += LANES) {
        const __m128i shifts = _mm_loadu_si128((const __m128i *)(const void *)(layer->shift + first + i));
        if (_mm_cmplt_epi8_mask(shifts, _mm_set1_epi8(33)) != 0) {
            edgemnist_requantize(layer, first + i, LANES, sums + i, outputs);
            continue;
        }
        const __m512i sum = _mm512_loadu_si512(sums + i);
        const __m512i multiplier = _mm512_loadu_si512(layer->multiplier + first + i);
        const __m512i even = KERNEL(product)(sum, multiplier, twice);
        const __m512i odd = KERNEL(product)(_mm512_srli_epi64(sum, 32), _mm512_srli_epi64(multiplier, 32), twice);
        /* What is rounded lies in the upper 32 bits. */
        const __m512i upper = _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 32), odd);
        const __m512i less = _mm512_cvtepu8_epi32(_mm_sub_epi8(shifts, _mm_set1_epi8(33)));
        const __m512i twofold = _mm512_srav_epi32(upper, less);
        const __m512i value = _mm512_srai_epi32(_mm512_sub_epi32(twofold, _mm512_set1_epi32(-1)), 1);
        /* Saturating all the way to 0..255, which cuts off nothing that the range below would keep. */
        const __m512i positive = _mm512_max_epi32(_mm512_add_epi32(value, zero_point), _mm512_setzero_si512());
        const __m128i bytes = _mm512_cvtusepi32_epi8(positive);
        _mm_storeu_si128((__m128i *)(void *)(outputs + first + i), _mm_min_epu8(_mm_max_epu8(bytes, low), high));
    }
}

#include "rescale.h"

#include "forward.h"

const edgemnist_kernel edgemnist_avx512vnni = {
    "avx512vnni", GROUP, EDGEMNIST_SIGNED, 1, LANES, BLOCK, KERNEL(scratch_bytes), KERNEL(run), KERNEL(run_batch),
};
#else
typedef int edgemnist_avx512vnni_is_for_x86;
#endif
