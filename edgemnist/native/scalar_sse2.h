/* The portable kernel's arithmetic for x86-64 without AVX2, in C that has no intrinsics: included by kernel_scalar.c.
 *
 * SSE2 multiplies 16 bits at a time, and is slow at extending them. So it adds up the lower 16 bits of the products, and
 * their upper 8 bits: of up to 255 products, both together tell the sum. Written in vectors of GNU C, since not every
 * compiler makes them of such loops.
 */
#include "engine.h"

#define BLOCK 32U
#define SMALL 16U
#define MOST_PRODUCTS 255U

typedef int16_t halves __attribute__((vector_size(16)));
typedef uint16_t unsigned_halves __attribute__((vector_size(16)));

/* The list: where inputs are not 0, and these inputs, each as often as a vector has halves. */
#define STEPS(inputs) (((inputs) + 7U) / 8U * 8U)
#define LIST_BYTES(inputs) (STEPS(inputs) * (sizeof(uint16_t) + sizeof(halves)))

static size_t KERNEL(list)(const uint8_t *inputs, size_t count, void *list)
{
    uint16_t *const steps = list;
    halves *const repeated = (halves *)(void *)(steps + STEPS(count));
    size_t found = 0;
    for (size_t i = 0; i < count; ++i) {
        /* Written in any case, kept if it is not zero: cheaper than a branch that nobody can foresee. */
        steps[found] = (uint16_t)i;
        found += inputs[i] != 0U;
    }
    for (size_t i = 0; i < found; ++i) {
        const uint64_t four = inputs[steps[i]] * UINT64_C(0x0001000100010001);
        const uint64_t eight[2] = {four, four};
        __builtin_memcpy(&repeated[i], eight, sizeof eight);
    }
    return found;
}

/* Sums of `vectors` times 16 outputs, a constant where this is inlined. */
static inline __attribute__((always_inline)) void KERNEL(add)(const int8_t *weights, unsigned vectors,
                                                              const uint16_t *steps, const halves *inputs,
                                                              size_t count, const int32_t *bias, int32_t *sums)
{
    for (size_t o = 0; o < 16U * vectors; ++o) {
        sums[o] = bias[o];
    }
    while (count > 0U) {
        const size_t some = count < MOST_PRODUCTS ? count : MOST_PRODUCTS;
        unsigned_halves lower[4] = {{0}}; /* of even outputs, and of odd ones, in turn */
        halves upper[4] = {{0}};
        for (size_t i = 0; i < some; ++i) {
            const int8_t *const row = weights + (size_t)steps[i] * 16U * vectors;
            const halves input = inputs[i];
#pragma GCC unroll 2
            for (unsigned v = 0; v < vectors; ++v) {
                unsigned_halves two;
                __builtin_memcpy(&two, row + 16U * v, sizeof two);
                const halves even = ((halves)(two << 8) >> 8) * input;
                const halves odd = ((halves)two >> 8) * input;
                lower[2U * v] += (unsigned_halves)even;
                upper[2U * v] += even >> 8;
                lower[2U * v + 1U] += (unsigned_halves)odd;
                upper[2U * v + 1U] += odd >> 8;
            }
        }
        for (unsigned v = 0; v < 2U * vectors; ++v) {
            uint16_t low[8];
            int16_t high[8];
            __builtin_memcpy(low, &lower[v], sizeof low);
            __builtin_memcpy(high, &upper[v], sizeof high);
            for (size_t i = 0; i < 8U; ++i) {
                /* The sum of the lower 8 bits is 0 to 255 * 255. */
                const int32_t whole = 256 * high[i];
                sums[16U * (v / 2U) + 2U * i + v % 2U] += whole + (uint16_t)(low[i] - (uint16_t)whole);
            }
        }
        steps += some;
        inputs += some;
        count -= some;
    }
}

static void KERNEL(sums)(const edgemnist_layer *layer, size_t block, size_t blocks, const uint8_t *inputs,
                         const void *list, size_t count, int32_t *sums)
{
    const int8_t *const weights = layer->weights + block * layer->inputs * layer->block;
    const int32_t *const bias = layer->bias + block * layer->block;
    const uint16_t *const steps = list;
    const halves *const repeated = (const halves *)(const void *)(steps + STEPS(layer->inputs));
    (void)inputs;
    (void)blocks;
    if (layer->block == SMALL) {
        KERNEL(add)(weights, SMALL / 16U, steps, repeated, count, bias, sums);
    } else {
        KERNEL(add)(weights, BLOCK / 16U, steps, repeated, count, bias, sums);
    }
}
