/* Portable C: one input at a time, weights as [block][input][output in the block], sums of a block in registers.
 *
 * The loops over a block have a constant length, for compilers to make vectors of.
 */
#include "engine.h"
#include "requantize.h"

#define KERNEL(name) edgemnist_scalar_##name
#define TARGET
#define AT_ONCE 1U
#define ALIGNMENT 4U

#ifndef EDGEMNIST_AMALGAMATION
#if defined(__SSE2__)
#include "scalar_sse2.h"
#endif
#endif /* EDGEMNIST_AMALGAMATION */
#ifndef BLOCK

#define GROUP 1U
#define FORM EDGEMNIST_SIGNED
#ifndef EDGEMNIST_SCALAR_BLOCK
#define EDGEMNIST_SCALAR_BLOCK 16U
#endif
#define BLOCK EDGEMNIST_SCALAR_BLOCK
#define SMALL BLOCK
/* The list has each input that is not 0: where it is, or in a C file, which shall take little memory, how far it is from
 * the one before, with a 0 wherever that is 255. */
#ifdef EDGEMNIST_AMALGAMATION
typedef uint8_t scalar_step;
#define STEP_TO(place, start, step) ((place) += (step))
#else
typedef uint32_t scalar_step;
#define STEP_TO(place, start, step) ((place) = (start) + (step))
#endif
#define LIST_BYTES(groups) ((groups) * sizeof(scalar_step))

/* Where there are vectors, a block is one: at -O3 GCC would take a loop apart before it could make one of it. 255 * -128
 * fits an int16, which vector units multiply faster. Elsewhere the sums are in registers only if loops are unrolled. */
#if (defined(__SSE2__) || defined(__ARM_NEON) || defined(__wasm_simd128__) || defined(__riscv_v)) && \
    (defined(__clang__) || __GNUC__ >= 9)
#define VECTORS
typedef int8_t scalar_weights __attribute__((vector_size(BLOCK)));
typedef int16_t scalar_products __attribute__((vector_size(2 * BLOCK)));
typedef int32_t scalar_sums __attribute__((vector_size(4 * BLOCK)));
#else
#define UNROLLED _Pragma("GCC unroll 16")
#endif

static size_t KERNEL(list)(const uint8_t *inputs, size_t count, void *list)
{
    scalar_step *const steps = list;
    size_t found = 0;
#ifdef EDGEMNIST_AMALGAMATION
    size_t last = 0;
    for (size_t i = 0; i < count; ++i) {
        if (inputs[i] != 0U || i - last == UINT8_MAX) {
            steps[found++] = (scalar_step)(i - last);
            last = i;
        }
    }
#else
    for (size_t i = 0; i < count; ++i) {
        /* Written in any case, kept if it is not zero: cheaper than a branch that nobody can foresee. */
        steps[found] = (scalar_step)i;
        found += inputs[i] != 0U;
    }
#endif
    return found;
}

#ifdef EDGEMNIST_PACKED
/* The same with weights of 4 or 2 bits, stored as w + 8 or w + 2, in blocks of 8. Each product fits 16 bits, so a
 * multiplication makes two of them, and `most` of them can be added up before they have to be widened. */
static void KERNEL(packed_sums)(const edgemnist_layer *layer, size_t block, const uint8_t *inputs, const scalar_step *steps,
                                size_t count, int32_t *sums)
{
    const int four = layer->weight_bits == 4U;
    const uint32_t *const words = (const uint32_t *)(const void *)layer->weights;
    const uint16_t *const halves = (const uint16_t *)(const void *)layer->weights;
    const size_t first = block * layer->inputs;
    const size_t most = four ? 17U : 85U; /* 15 * 255 * 17 and 3 * 255 * 85 are 65025 */
    size_t place = 0;
    uint32_t total = 0, whole[8]; /* modulo 2^32: more than the sums is added, and taken off again */
    for (size_t o = 0; o < 8U; ++o) {
        whole[o] = (uint32_t)layer->bias[block * 8U + o];
    }
    while (count > 0U) {
        const size_t some = count < most ? count : most;
        uint32_t a = 0, b = 0, c = 0, d = 0; /* outputs 0 and 4, 1 and 5, 2 and 6, 3 and 7 */
        for (size_t i = 0; i < some; ++i) {
            STEP_TO(place, 0U, steps[i]);
            const uint32_t input = inputs[place];
            total += input;
            if (four) {
                const uint32_t word = words[first + place];
                a += (word & 0x000F000FU) * input;
                b += (word >> 4 & 0x000F000FU) * input;
                c += (word >> 8 & 0x000F000FU) * input;
                d += (word >> 12 & 0x000F000FU) * input;
            } else {
                const uint32_t half = halves[first + place];
                const uint32_t word = half | half << 8;
                a += (word & 0x00030003U) * input;
                b += (word >> 2 & 0x00030003U) * input;
                c += (word >> 4 & 0x00030003U) * input;
                d += (word >> 6 & 0x00030003U) * input;
            }
        }
        const uint32_t pairs[4] = {a, b, c, d};
        for (size_t o = 0; o < 4U; ++o) {
            whole[o] += pairs[o] & 0xFFFFU;
            whole[o + 4U] += pairs[o] >> 16;
        }
        steps += some;
        count -= some;
    }
    for (size_t o = 0; o < 8U; ++o) {
        sums[o] = (int32_t)(whole[o] - total * (four ? 8U : 2U));
    }
}
#endif

static void KERNEL(sums)(const edgemnist_layer *layer, size_t block, size_t blocks, const uint8_t *inputs,
                         const void *list, size_t count, int32_t *sums)
{
    const scalar_step *const steps = list;
    const int8_t *const weights = layer->weights + block * layer->inputs * BLOCK;
    const int32_t *const bias = layer->bias + block * BLOCK;
    const int8_t *row = weights;
    const uint8_t *place = inputs;
    (void)blocks;
#ifdef EDGEMNIST_PACKED
    if (layer->weight_bits != 8U) {
        KERNEL(packed_sums)(layer, block, inputs, steps, count, sums);
        return;
    }
#endif
#ifdef VECTORS
    scalar_sums total;
    __builtin_memcpy(&total, bias, sizeof total);
    for (size_t i = 0; i < count; ++i) {
        STEP_TO(row, weights, (size_t)steps[i] * BLOCK);
        STEP_TO(place, inputs, steps[i]);
        const int16_t input = *place;
#if defined(__AVX2__) && !defined(__clang__) && __GNUC__ >= 12
        /* Which GCC makes one instruction of, and two of a conversion. */
        scalar_sums products;
        _Pragma("GCC unroll 16")
        for (size_t o = 0; o < BLOCK; ++o) {
            products[o] = (int16_t)(row[o] * input);
        }
        total += products;
#else
        scalar_weights some;
        __builtin_memcpy(&some, row, sizeof some);
        total += __builtin_convertvector(__builtin_convertvector(some, scalar_products) * input, scalar_sums);
#endif
    }
    __builtin_memcpy(sums, &total, sizeof total);
#else
    int32_t total[BLOCK];
    UNROLLED
    for (size_t o = 0; o < BLOCK; ++o) {
        total[o] = bias[o];
    }
    for (size_t i = 0; i < count; ++i) {
        STEP_TO(row, weights, (size_t)steps[i] * BLOCK);
        STEP_TO(place, inputs, steps[i]);
        const int32_t input = *place;
        UNROLLED
        for (size_t o = 0; o < BLOCK; ++o) {
            total[o] += row[o] * input;
        }
    }
    UNROLLED
    for (size_t o = 0; o < BLOCK; ++o) {
        sums[o] = total[o];
    }
#endif
}

#endif /* BLOCK */

static void KERNEL(requantize)(const edgemnist_layer *layer, size_t first, size_t count, const int32_t *sums,
                               uint8_t *outputs)
{
    edgemnist_requantize(layer, first, count, sums, outputs);
}

#include "forward.h"

#ifndef EDGEMNIST_AMALGAMATION
#ifdef PLACES
#define WHOLE_ROWS EDGEMNIST_ROWS
#else
#define WHOLE_ROWS EDGEMNIST_PATCHES
#endif
const edgemnist_kernel edgemnist_scalar = {
    "scalar", GROUP, FORM, 0, WHOLE_ROWS, SMALL, BLOCK, KERNEL(scratch_bytes), KERNEL(run), KERNEL(run),
};
#endif /* EDGEMNIST_AMALGAMATION */
