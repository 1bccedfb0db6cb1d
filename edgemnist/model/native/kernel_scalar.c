/* Portable C: one input at a time, weights as [block][input][output in the block], sums of a block in registers.
 *
 * The loops over a block have a constant length, for compilers to make vectors of.
 */
#include "engine.h"
#include "requantize.h"

#define KERNEL(name) edgemnist_scalar_##name
#define TARGET
#define ALIGNMENT 4U

/* A C file without packed weights, for a processor that multiplies two pairs of 16 bits at once, and with Helium sixteen of
 * 8 bits. */
#if defined(EDGEMNIST_AMALGAMATION) && defined(__ARM_FEATURE_SIMD32) && defined(__thumb2__) && defined(__ARMEL__) && \
    !defined(__ARM_NEON) && !defined(EDGEMNIST_PACKED)
#define EDGEMNIST_DSP
#endif
#if defined(EDGEMNIST_DSP) && defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)
#define EDGEMNIST_HELIUM
#include <arm_mve.h>
#define AT_ONCE 2U
#define CHANNELS 1U
#elif defined(EDGEMNIST_DSP)
#define AT_ONCE 4U
#define CHANNELS 4U
#else
#define AT_ONCE 1U
#endif

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
/* Inputs that a C file has weights for. */
#ifdef EDGEMNIST_AMALGAMATION
#define WHOLE(inputs) (((inputs) + 3U) / 4U * 4U)
#else
#define WHOLE(inputs) (inputs)
#endif
#if defined(EDGEMNIST_DSP) && defined(EDGEMNIST_DENSE_ONLY) && !defined(EDGEMNIST_HELIUM)
#define LIST_BYTES(groups) ((groups) / 4U + 4U)
#elif defined(EDGEMNIST_DSP)
#define LIST_BYTES(groups) ((groups) * 0U)
#else
#define LIST_BYTES(groups) ((groups) * sizeof(scalar_step))
#endif

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

/* A bias for inputs as they are, or as int8, which are 128 less: that is 128 times the sum of the weights more. */
#ifdef EDGEMNIST_HELIUM
#define EDGEMNIST_BIAS(bias, more) more
#else
#define EDGEMNIST_BIAS(bias, more) bias
#endif

#ifdef EDGEMNIST_HELIUM
#define EDGEMNIST_ALIGNED __attribute__((aligned(4)))
/* Weights of four inputs for eight outputs: in the file all outputs of an input, and here all inputs of an output. */
#define EDGEMNIST_FOUR(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, A, B, C, D, E, F) \
    a, i, q, y, b, j, r, z, c, k, s, A, d, l, t, B, e, m, u, C, f, n, v, D, g, o, w, E, h, p, x, F

static size_t KERNEL(list)(const uint8_t *inputs, size_t count, void *list)
{
    (void)inputs;
    (void)count;
    (void)list;
    return 0;
}

/* Four outputs at a time: of sixteen inputs, or what is left of them, each is a sum of products in an instruction. */
static void KERNEL(sums)(const edgemnist_layer *layer, size_t block, size_t blocks, const uint8_t *inputs,
                         const void *list, size_t count, int32_t *sums)
{
    const size_t whole = WHOLE(layer->inputs);
    const int8_t *weights = layer->weights + whole * block * BLOCK;
    const int32_t *const bias = layer->bias + block * BLOCK;
    for (size_t o = 0; o < blocks * BLOCK; o += 4U) {
        int32_t a = bias[o], b = bias[o + 1U], c = bias[o + 2U], d = bias[o + 3U];
        const uint8_t *input = inputs;
        /* Those of four inputs are four times as far apart as eight outputs. */
        uint32x4_t from = vaddq_n_u32(vshlq_n_u32(vidupq_n_u32(0U, 8), 2), (uint32_t)(uintptr_t)weights - 128U);
        uint8x16_t some, first, second;
        __asm__ volatile("dlstp.8 lr, %[whole]\n"
                         "1: vldrb.u8 %q[some], [%[input]], #16\n\t"
                         "vldrw.u32 %q[first], [%q[from], #128]!\n\t"
                         "vadd.i8 %q[some], %q[some], %[half]\n\t"
                         "vmladava.s8 %[a], %q[some], %q[first]\n\t"
                         "vldrw.u32 %q[second], [%q[from], #4]\n\t"
                         "vmladava.s8 %[b], %q[some], %q[second]\n\t"
                         "vldrw.u32 %q[first], [%q[from], #8]\n\t"
                         "vmladava.s8 %[c], %q[some], %q[first]\n\t"
                         "vldrw.u32 %q[second], [%q[from], #12]\n\t"
                         "vmladava.s8 %[d], %q[some], %q[second]\n\t"
                         "letp lr, 1b"
                         : [a] "+Te"(a), [b] "+Te"(b), [c] "+Te"(c), [d] "+Te"(d), [input] "+r"(input),
                           [from] "+w"(from), [some] "=&w"(some), [first] "=&w"(first), [second] "=&w"(second)
                         : [whole] "r"(whole), [half] "r"(128)
                         : "lr", "cc", "memory");
        sums[o] = a;
        sums[o + 1U] = b;
        sums[o + 2U] = c;
        sums[o + 3U] = d;
        weights += o % BLOCK == 0U ? 16U : whole * BLOCK - 16U;
    }
    (void)list;
    (void)count;
}

/* edgemnist_requantize of small sums, four at a time. */
static void KERNEL(rescale)(const edgemnist_layer *layer, size_t first, size_t count, const int32_t *sums, uint8_t *outputs)
{
    const int32x4_t low = vdupq_n_s32(layer->low), high = vdupq_n_s32(layer->high);
    const int32_t zero_point = layer->zero_point;
    for (const size_t end = first + count; first < end; first += 4U, sums += 4) {
        const int32x4_t twofold = vshlq_n_s32(vldrwq_s32(sums), 1), by = vldrwq_s32(layer->multiplier + first);
        const int32x4_t shift = vreinterpretq_s32_u32(vldrbq_u32(layer->shift + first));
        int32x4_t value = vmulhq_s32(twofold, by);
#ifndef EDGEMNIST_ROUNDS_ONCE
        if ((layer->rounding & EDGEMNIST_TWICE) != 0U) {
            value = vrmulhq_s32(twofold, by);
            value = vaddq_s32(value, vshrq_n_s32(value, 31));
        }
#endif
        value = vaddq_n_s32(vrshlq_s32(value, vsubq_s32(vdupq_n_s32(31), shift)), zero_point);
        value = vminq_s32(vmaxq_s32(value, low), high);
        vstrbq_u32(outputs + first, vreinterpretq_u32_s32(value));
    }
}

#elif defined(EDGEMNIST_DSP)
#define EDGEMNIST_ALIGNED __attribute__((aligned(4)))
/* Weights of four inputs for eight outputs: in the file all outputs of an input, and here of inputs 0 and 2 those for two
 * outputs, and so on, then of inputs 1 and 3. */
#define EDGEMNIST_FOUR(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, A, B, C, D, E, F) \
    a, b, q, r, c, d, s, t, e, f, u, v, g, h, w, x, i, j, y, z, k, l, A, B, m, n, C, D, o, p, E, F

/* Of dense layers alone, whose images have large blank parts, the list has how many groups of four inputs are 0, how many after
 * them are not, and so on. Elsewhere there is none, and KERNEL(sums) looks at each group. */
static size_t KERNEL(list)(const uint8_t *inputs, size_t count, void *list)
{
    size_t found = 0;
#ifdef EDGEMNIST_DENSE_ONLY
    const uint8_t *const end = inputs + WHOLE(count);
    uint8_t *const lengths = list;
    while (inputs != end) {
        uint8_t length = 0;
        for (; inputs != end && length < UINT8_MAX; inputs += 4, ++length) {
            uint32_t four;
            __builtin_memcpy(&four, inputs, sizeof four);
            if ((four != 0U) != found % 2U) {
                break;
            }
        }
        lengths[found++] = length;
    }
    if (found % 2U != 0U) {
        lengths[found++] = 0;
    }
#endif
    (void)inputs;
    (void)count;
    (void)list;
    return found;
}

/* Adds the products of two inputs, as halves of a word, and their weights for four outputs. */
static inline const int8_t *KERNEL(add_pair)(const int8_t *weights, uint32_t pair, int32_t *total)
{
    uint32_t some, others, two;
    __asm__ volatile("ldrd %4, %5, [%7], #8\n\t"
                     "sxtb16 %6, %4\n\t"
                     "smlad %0, %6, %8, %0\n\t"
                     "sxtb16 %6, %4, ror #8\n\t"
                     "smlad %1, %6, %8, %1\n\t"
                     "sxtb16 %6, %5\n\t"
                     "smlad %2, %6, %8, %2\n\t"
                     "sxtb16 %6, %5, ror #8\n\t"
                     "smlad %3, %6, %8, %3"
                     : "+r"(total[0]), "+r"(total[1]), "+r"(total[2]), "+r"(total[3]), "=&r"(some), "=&r"(others),
                       "=&r"(two), "+r"(weights)
                     : "r"(pair));
    return weights;
}

/* The same of four inputs for eight outputs. They are read twice: there is no register to keep them in. */
static inline const int8_t *KERNEL(add_inputs)(const uint8_t *input, uint32_t four, const int8_t *weights, int32_t *total)
{
    __asm__ volatile("uxtb16 %0, %0" : "+r"(four));
    weights = KERNEL(add_pair)(weights, four, total);
    weights = KERNEL(add_pair)(weights, four, total + 4);
    __asm__ volatile("ldr %0, [%1]\n\tuxtb16 %0, %0, ror #8" : "=&r"(four) : "r"(input) : "memory");
    weights = KERNEL(add_pair)(weights, four, total);
    return KERNEL(add_pair)(weights, four, total + 4);
}

/* Not part of what calls it, where it would have fewer registers. */
__attribute__((noinline))
static void KERNEL(sums)(const edgemnist_layer *layer, size_t block, size_t blocks, const uint8_t *inputs,
                         const void *list, size_t count, int32_t *sums)
{
    const size_t whole = WHOLE(layer->inputs);
    const int8_t *weights = layer->weights + whole * block * BLOCK;
    const int32_t *const bias = layer->bias + block * BLOCK;
    for (size_t first = 0; first < blocks * BLOCK; first += BLOCK) {
        const uint8_t *input = inputs;
        uint32_t four;
        int32_t total[BLOCK];
#pragma GCC unroll 8
        for (size_t o = 0; o < BLOCK; ++o) {
            total[o] = bias[first + o];
        }
#ifdef EDGEMNIST_DENSE_ONLY
        for (const uint8_t *length = list, *const last = length + count; length != last; length += 2) {
            input += length[0] * 4U;
            weights += length[0] * 4U * BLOCK;
            for (const uint8_t *const end = input + length[1] * 4U; input != end; input += 4) {
                __builtin_memcpy(&four, input, sizeof four);
                weights = KERNEL(add_inputs)(input, four, weights, total);
            }
        }
#else
        for (; input != inputs + whole; input += 4) {
            __builtin_memcpy(&four, input, sizeof four);
            if (four != 0U) {
                weights = KERNEL(add_inputs)(input, four, weights, total);
            } else {
                weights += 4U * BLOCK;
            }
        }
#endif
#pragma GCC unroll 8
        for (size_t o = 0; o < BLOCK; ++o) {
            sums[first + o] = total[o];
        }
    }
    (void)list;
    (void)count;
}

#else
#define EDGEMNIST_ALIGNED
#define EDGEMNIST_FOUR(...) __VA_ARGS__

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
    const int8_t *const weights = layer->weights + block * WHOLE(layer->inputs) * BLOCK;
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
#endif /* EDGEMNIST_DSP */

#if defined(EDGEMNIST_DSP) && !defined(EDGEMNIST_DENSE_ONLY)
/* An input that a window covers, and the weight of its first channel. */
typedef struct {
    const uint8_t *input;
    const int8_t *weight;
} KERNEL(place);

#ifdef EDGEMNIST_HELIUM
/* Sums of eight channels from `first` on, of which `left` are there, over some places. */
static inline void KERNEL(add_eight)(const KERNEL(place) *place, const KERNEL(place) *end, size_t first, size_t left,
                                     uint8_t zero, const int32_t *bias, int32_t *sums)
{
    const mve_pred16_t there = vctp16q((uint32_t)left);
    int32x4x2_t total = vld2q_s32(bias + first);
    for (; place != end; ++place) {
        const int16x8_t input = vsubq_n_s16(vreinterpretq_s16_u16(vldrbq_z_u16(place->input + first, there)), zero);
        const int16x8_t weight = vldrbq_z_s16(place->weight + first, there);
        total.val[0] = vaddq_s32(total.val[0], vmullbq_int_s16(input, weight));
        total.val[1] = vaddq_s32(total.val[1], vmulltq_int_s16(input, weight));
    }
    vst2q_s32(sums, total);
}

#else
/* Adds the products of four channels from `first` on and their weights; to each of two inputs `less` is added before. */
static inline const KERNEL(place) *KERNEL(add_four)(const KERNEL(place) *place, size_t first, uint32_t less, int32_t *total)
{
    uint32_t four, some, pair, two;
    __asm__ volatile("ldrd %5, %6, [%4], #8\n\t"
                     "ldr %5, [%5, %9]\n\t"
                     "ldr %6, [%6, %9]\n\t"
                     "uxtab16 %7, %10, %5\n\t"
                     "sxtb16 %8, %6\n\t"
                     "smlabb %0, %7, %8, %0\n\t"
                     "smlatt %2, %7, %8, %2\n\t"
                     "uxtab16 %7, %10, %5, ror #8\n\t"
                     "sxtb16 %8, %6, ror #8\n\t"
                     "smlabb %1, %7, %8, %1\n\t"
                     "smlatt %3, %7, %8, %3"
                     : "+r"(total[0]), "+r"(total[1]), "+r"(total[2]), "+r"(total[3]), "+r"(place), "=&r"(four),
                       "=&r"(some), "=&r"(pair), "=&r"(two)
                     : "r"(first), "r"(less)
                     : "memory");
    return place;
}
#endif /* EDGEMNIST_HELIUM */
#endif /* EDGEMNIST_DENSE_ONLY */

#endif /* BLOCK */

static void KERNEL(requantize)(const edgemnist_layer *layer, size_t first, size_t count, const int32_t *sums,
                               uint8_t *outputs)
{
#ifdef EDGEMNIST_HELIUM
    if ((layer->rounding & EDGEMNIST_SMALL) != 0U) {
        KERNEL(rescale)(layer, first, count, sums, outputs);
        return;
    }
#endif
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
