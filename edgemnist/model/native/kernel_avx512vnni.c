/* AVX-512 with VNNI: vpdpbusd adds 64 products of uint8 and int8 to 16 sums, exactly.
 *
 * Groups of four inputs that are all 0 are left out of the list by vpcompressd, 16 groups at a time.
 */
#if defined(__x86_64__)
#include <immintrin.h>

#include "engine.h"

#define KERNEL(name) edgemnist_avx512vnni_##name
#define FEATURES "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,popcnt"
#define TARGET __attribute__((target(FEATURES)))
/* Without the tuning GCC keeps addresses in vector registers: to fetch them waits for the products before. */
#define TUNED __attribute__((target("tune=skylake-avx512," FEATURES)))
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

typedef __m512i kernel_sum, kernel_weights, kernel_inputs;

INLINE kernel_sum KERNEL(dot)(kernel_sum sum, kernel_weights weights, kernel_inputs inputs)
{
    /* GCC 14 moves sums from register to register, and some to memory, if it sees what this does. */
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(inputs), "v"(weights));
    return sum;
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

/* The same of weights in 4 bits, of two vectors of outputs in a byte: 16 times the second one's, and the first one's + 8. So
 * the sums of whole bytes have both in them, and 8 times the inputs. */
INLINE void KERNEL(add_nibbles)(const int8_t *weights, size_t block_bytes, unsigned blocks, const uint32_t *numbers,
                                const uint32_t *values, size_t count, const int32_t *bias, int32_t *sums)
{
    const __m512i high = _mm512_set1_epi8(-16), eight = _mm512_set1_epi8(8);
    __m512i both[LANES / 2U], second[LANES / 2U], inputs = _mm512_setzero_si512();
#pragma GCC unroll 8
    for (unsigned i = 0; i < blocks; ++i) {
        both[i] = second[i] = _mm512_setzero_si512();
    }
    for (size_t k = 0; k < count; k += LANES) {
        const __mmask16 there = (__mmask16)(count - k < LANES ? (1U << (count - k)) - 1U : 0xFFFFU);
        inputs = KERNEL(dot)(inputs, eight, _mm512_maskz_loadu_epi32(there, values + k));
    }
    inputs = _mm512_set1_epi32(_mm512_reduce_add_epi32(inputs));
    for (size_t k = 0; k < count; ++k) {
        const int8_t *const row = weights + (size_t)numbers[k] * (LANES * GROUP);
        const __m512i four = _mm512_set1_epi32((int32_t)values[k]);
        __m512i upper[LANES / 2U];
        /* In two runs: a product that waits for what is unpacked just before it lets others wait. */
#pragma GCC unroll 8
        for (unsigned i = 0; i < blocks; ++i) {
            const __m512i pair = _mm512_loadu_si512(row + i * block_bytes);
            upper[i] = _mm512_and_si512(pair, high);
            both[i] = KERNEL(dot)(both[i], pair, four);
        }
#pragma GCC unroll 8
        for (unsigned i = 0; i < blocks; ++i) {
            second[i] = KERNEL(dot)(second[i], upper[i], four);
        }
    }
#pragma GCC unroll 8
    for (unsigned i = 0; i < blocks; ++i, bias += BLOCK, sums += BLOCK) {
        const __m512i first = _mm512_sub_epi32(both[i], _mm512_add_epi32(second[i], inputs));
        _mm512_storeu_si512(sums, _mm512_add_epi32(first, _mm512_loadu_si512(bias)));
        second[i] = _mm512_srai_epi32(second[i], 4);
        _mm512_storeu_si512(sums + LANES, _mm512_add_epi32(second[i], _mm512_loadu_si512(bias + LANES)));
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
    const size_t stride = layer->block < BLOCK ? groups : groups | 1U;
    const size_t block_bytes = stride * layer->block * GROUP * layer->weight_bits / 8U;
    const int8_t *weights = layer->weights + block * block_bytes;
    const int32_t *bias = layer->bias + block * layer->block;
    (void)inputs;
    if (layer->block < BLOCK) {
        for (; blocks > 0; --blocks, weights += block_bytes, bias += LANES, sums += LANES) {
            KERNEL(add_in_turns)(weights, block_bytes, 1, 1, 4, numbers, values, count, bias, sums);
        }
        return;
    }
    if (layer->weight_bits == 4U) {
        for (; blocks >= 8U; blocks -= 8U, weights += 8U * block_bytes, bias += 8U * BLOCK, sums += 8U * BLOCK) {
            KERNEL(add_nibbles)(weights, block_bytes, 8, numbers, values, count, bias, sums);
        }
        for (; blocks >= 2U; blocks -= 2U, weights += 2U * block_bytes, bias += 2U * BLOCK, sums += 2U * BLOCK) {
            KERNEL(add_nibbles)(weights, block_bytes, 2, numbers, values, count, bias, sums);
        }
        if (blocks == 1U) {
            KERNEL(add_nibbles)(weights, block_bytes, 1, numbers, values, count, bias, sums);
        }
        return;
    }
    for (; blocks >= 8U; blocks -= 8U, weights += 8U * block_bytes, bias += 8U * BLOCK, sums += 8U * BLOCK) {
        KERNEL(add)(weights, block_bytes, 8, 2, numbers, values, count, bias, sums);
    }
    for (; blocks >= 4U; blocks -= 4U, weights += 4U * block_bytes, bias += 4U * BLOCK, sums += 4U * BLOCK) {
        KERNEL(add)(weights, block_bytes, 4, 2, numbers, values, count, bias, sums);
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

#define INTERLEAVES
#define PLACES 8U
#define VECTORS 2U

INLINE kernel_sum KERNEL(begin)(const int32_t *bias)
{
    return _mm512_loadu_si512(bias);
}

INLINE void KERNEL(end)(kernel_sum sum, int32_t *sums)
{
    _mm512_storeu_si512(sums, sum);
}

INLINE kernel_weights KERNEL(load)(const int8_t *weights)
{
    return _mm512_loadu_si512(weights);
}

INLINE kernel_inputs KERNEL(spread)(const uint8_t *inputs)
{
    int32_t four;
    __builtin_memcpy(&four, inputs, sizeof four);
    return _mm512_set1_epi32(four);
}

INLINE kernel_inputs KERNEL(take)(const uint8_t *inputs)
{
    return _mm512_loadu_si512(inputs);
}

#define LINES
#define SCALED LANES

/* Sums are small; `twice` is a constant where this is inlined. */
INLINE void KERNEL(rescale)(const edgemnist_layer *layer, size_t first, size_t count, const int32_t *sums, uint8_t *outputs,
                            int twice)
{
    const __m128i low = _mm_set1_epi8((char)layer->low), high = _mm_set1_epi8((char)layer->high);
    const __m512i plus = _mm512_set1_epi32(2 * layer->zero_point + 1);
    const uint8_t *const shift = layer->shift + first;
    const int32_t *const multiplier = layer->multiplier + first;
    for (size_t i = 0; i < count; i += SCALED) {
        const __m128i shifts = _mm_loadu_si128((const __m128i *)(const void *)(shift + i));
        const __m512i less = _mm512_cvtepu8_epi32(_mm_sub_epi8(shifts, _mm_set1_epi8(twice ? 32 : 33)));
        const __m512i by = _mm512_loadu_si512(multiplier + i), sum = _mm512_loadu_si512(sums + i);
        __m512i even = _mm512_mul_epi32(sum, by);
        __m512i odd = _mm512_mul_epi32(_mm512_srli_epi64(sum, 32), _mm512_srli_epi64(by, 32));
        __m512i value; /* in multiples of 2^32, or of 2^31 after the first of two roundings */
        if (twice) {
            const __m512i half = _mm512_set1_epi64(INT64_C(1) << 30);
            even = _mm512_srli_epi64(_mm512_add_epi64(even, half), 31);
            odd = _mm512_slli_epi64(_mm512_add_epi64(odd, half), 1);
            value = _mm512_mask_blend_epi32(0xAAAA, even, odd);
            value = _mm512_add_epi32(value, _mm512_srai_epi32(value, 31));
        } else {
            value = _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 32), odd);
        }
        value = _mm512_srai_epi32(_mm512_add_epi32(_mm512_srav_epi32(value, less), plus), 1);
        /* Saturating all the way to 0..255, which cuts off nothing that the range below would keep. */
        const __m128i bytes = _mm512_cvtusepi32_epi8(_mm512_max_epi32(value, _mm512_setzero_si512()));
        __m128i *const to = (__m128i *)(void *)(outputs + first + i);
        _mm_storeu_si128(to, _mm_min_epu8(_mm_max_epu8(bytes, low), high));
    }
}

typedef struct {
    __m512 slope, offset, other, exception, added;
} kernel_line;

/* The line of LANES outputs from `output` on. */
INLINE kernel_line KERNEL(line_of)(const edgemnist_layer *layer, size_t output)
{
    const size_t all = (size_t)layer->blocks * layer->block;
    const float *const line = layer->line + output;
    return (kernel_line){_mm512_loadu_ps(line), _mm512_loadu_ps(line + all), _mm512_loadu_ps(line + 2U * all),
                         _mm512_loadu_ps(line + 3U * all), _mm512_loadu_ps(line + 4U * all)};
}

/* LANES outputs of their sum by a line; `simple` says that slope and offset are all. */
INLINE void KERNEL(follow)(const kernel_line *line, const __m512i *whole, uint8_t *to, int simple)
{
    const __m512 sum = _mm512_cvtepi32_ps(*whole);
    __m512 offset = line->offset;
    if (!simple) {
        const __mmask16 there = _mm512_cmp_ps_mask(sum, line->exception, _CMP_EQ_OQ);
        offset = _mm512_mask_blend_ps(_mm512_movepi32_mask(*whole), offset, line->other);
        offset = _mm512_mask_add_ps(offset, there, offset, line->added);
    }
    const __m512 value = _mm512_fmadd_ps(sum, line->slope, offset);
    const __m128i bytes = _mm_xor_si128(_mm512_cvtsepi32_epi8(_mm512_cvt_roundps_epi32(value, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)), _mm_set1_epi8((char)0x80));
    _mm_storeu_si128((__m128i *)(void *)to, bytes);
}

#include "rescale.h"

/* Groups of what four rows have in each column, 64 at a time. */
TARGET static void KERNEL(interleave)(const uint8_t *const *rows, size_t count, uint8_t *to)
{
    /* So that what is unpacked in each quarter of a register is in order: of four groups of four one each. */
    const __m512i order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    for (size_t i = 0; i < count; i += 64U) {
        const __mmask64 there = count - i < 64U ? (UINT64_C(1) << (count - i)) - 1U : UINT64_MAX;
        __m512i row[GROUP], groups[GROUP];
#pragma GCC unroll 4
        for (unsigned k = 0; k < GROUP; ++k) {
            row[k] = _mm512_permutexvar_epi32(order, _mm512_maskz_loadu_epi8(there, rows[k] + i));
        }
        const __m512i low = _mm512_unpacklo_epi8(row[0], row[1]), other_low = _mm512_unpacklo_epi8(row[2], row[3]);
        const __m512i high = _mm512_unpackhi_epi8(row[0], row[1]), other_high = _mm512_unpackhi_epi8(row[2], row[3]);
        groups[0] = _mm512_unpacklo_epi16(low, other_low);
        groups[1] = _mm512_unpackhi_epi16(low, other_low);
        groups[2] = _mm512_unpacklo_epi16(high, other_high);
        groups[3] = _mm512_unpackhi_epi16(high, other_high);
        for (size_t k = 0; k < GROUP && i + k * LANES < count; ++k) {
            _mm512_storeu_si512(to + (i + k * LANES) * GROUP, groups[k]);
        }
    }
}

#define PAIRS
#define BOTH(a, b) _mm512_set1_epi32((int32_t)((uint32_t)(a) & 0xFFFFU) | (int32_t)((uint32_t)(b) << 16))

/* A row of sums of two numbers each: vpmaddwd multiplies both. */
TARGET static void KERNEL(add_pairs)(const edgemnist_layer *layer, const uint8_t *a, const uint8_t *b, size_t count,
                                     uint8_t *outputs)
{
    const int32_t *const terms = layer->terms;
    const __m512i wholes = BOTH(terms[1], terms[3]), parts = BOTH(terms[2], terms[4]), plus = _mm512_set1_epi32(terms[5]);
    const __m128i down = _mm_cvtsi32_si128(terms[0]);
    const __m256i low = _mm256_set1_epi8((char)layer->low), high = _mm256_set1_epi8((char)layer->high);
    for (size_t i = 0; i < count; i += 32U) {
        const __mmask32 there = count - i < 32U ? (1U << (count - i)) - 1U : UINT32_MAX;
        const __m512i x = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(there, a + i));
        const __m512i y = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(there, b + i));
        /* What is unpacked within quarters of a register is packed within them. */
        __m512i pairs[2] = {_mm512_unpacklo_epi16(x, y), _mm512_unpackhi_epi16(x, y)};
        for (unsigned half = 0; half < 2U; ++half) {
            const __m512i part = _mm512_srai_epi32(_mm512_madd_epi16(pairs[half], parts), 15);
            const __m512i value = _mm512_add_epi32(_mm512_madd_epi16(pairs[half], wholes), _mm512_add_epi32(part, plus));
            pairs[half] = _mm512_sra_epi32(value, down);
        }
        const __m512i words = _mm512_max_epi16(_mm512_packs_epi32(pairs[0], pairs[1]), _mm512_setzero_si512());
        const __m256i bytes = _mm512_cvtusepi16_epi8(words);
        _mm256_mask_storeu_epi8(outputs + i, there, _mm256_min_epu8(_mm256_max_epu8(bytes, low), high));
    }
}

#include "forward.h"

const edgemnist_kernel edgemnist_avx512vnni = {
    "avx512vnni", GROUP, EDGEMNIST_NIBBLES, 1, EDGEMNIST_ROWS + EDGEMNIST_LINES, LANES, BLOCK, KERNEL(scratch_bytes), KERNEL(run), KERNEL(run_batch),
};
#else
typedef int edgemnist_avx512vnni_is_for_x86;
#endif
