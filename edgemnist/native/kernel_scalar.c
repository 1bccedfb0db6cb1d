/* Portable C: one input at a time, weights as [block][input][output in the block], sums of a block in registers.
 *
 * The loops over a block have a constant length, for compilers to make vectors of.
 */
#include "engine.h"
#include "requantize.h"

#ifndef EDGEMNIST_SCALAR_BLOCK
#define EDGEMNIST_SCALAR_BLOCK 16U
#endif

#define KERNEL(name) edgemnist_scalar_##name
#define TARGET
#define GROUP 1U
#define BLOCK EDGEMNIST_SCALAR_BLOCK
#define AT_ONCE 1U
#define ALIGNMENT 4U
#define LIST_BYTES(groups) ((groups) * sizeof(uint16_t))

/* 255 * -128 fits an int16, which vector units multiply faster. Other processors would have to extend it again, and
 * keep the sums of a block in registers only where its loops are unrolled. */
#if defined(__SSE2__) || defined(__ARM_NEON) || defined(__wasm_simd128__) || defined(__riscv_v)
typedef int16_t scalar_product;
#define UNROLLED /* by the compiler, after it has made vectors of the loop */
#else
typedef int32_t scalar_product;
#define UNROLLED _Pragma("GCC unroll 16")
#endif

static size_t KERNEL(list)(const uint8_t *inputs, size_t count, void *list)
{
    uint16_t *const places = list;
    size_t found = 0;
    for (size_t i = 0; i < count; ++i) {
        /* Written in any case, kept if it is not zero: cheaper than a branch that nobody can foresee. */
        places[found] = (uint16_t)i;
        found += inputs[i] != 0U;
    }
    return found;
}

static void KERNEL(sums)(const edgemnist_layer *layer, size_t block, size_t blocks, const uint8_t *inputs,
                         const void *list, size_t count, int32_t *sums)
{
    const uint16_t *const places = list;
    const int8_t *const weights = layer->weights + block * layer->inputs * BLOCK;
    const int32_t *const bias = layer->bias + block * BLOCK;
    int32_t total[BLOCK];
    (void)blocks;
    UNROLLED
    for (size_t o = 0; o < BLOCK; ++o) {
        total[o] = bias[o];
    }
    for (size_t i = 0; i < count; ++i) {
        const int8_t *const row = weights + (size_t)places[i] * BLOCK;
        const scalar_product input = inputs[places[i]];
        UNROLLED
        for (size_t o = 0; o < BLOCK; ++o) {
            total[o] += (scalar_product)((scalar_product)row[o] * input);
        }
    }
    UNROLLED
    for (size_t o = 0; o < BLOCK; ++o) {
        sums[o] = total[o];
    }
}

static void KERNEL(requantize)(const edgemnist_layer *layer, size_t first, size_t count, const int32_t *sums,
                               uint8_t *outputs)
{
    edgemnist_requantize(layer, first, count, sums, outputs);
}

#include "forward.h"

#ifndef EDGEMNIST_AMALGAMATION
const edgemnist_kernel edgemnist_scalar = {
    "scalar", GROUP, 0, BLOCK, BLOCK, KERNEL(scratch_bytes), KERNEL(run),
};
#endif /* EDGEMNIST_AMALGAMATION */
