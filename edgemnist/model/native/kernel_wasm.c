/* WebAssembly's vectors of 128 bits: weights are widened to 16 bits as they are loaded, and pairs of products added up.
 */
#if defined(__wasm_simd128__)
#include <wasm_simd128.h>

#include "engine.h"
#include "requantize.h"

#define KERNEL(name) edgemnist_wasm_##name
#define TARGET
#define GROUP 2U
#define LANES 4U
#define BLOCK 32U
#define SMALL 16U
#define AT_ONCE 1U
#define ALIGNMENT 16U
#define LIST_BYTES(groups) (2U * (groups) * sizeof(uint32_t))

/* The pairs of inputs that are not both 0: their places, then the two as 16-bit numbers side by side. */
static size_t KERNEL(list)(const uint8_t *inputs, size_t count, void *list)
{
    const size_t groups = (count + GROUP - 1U) / GROUP;
    uint32_t *const numbers = list;
    uint32_t *const values = numbers + groups;
    size_t found = 0;
    for (size_t group = 0; group < groups; ++group) {
        /* Whatever lies beyond an odd count meets weights of 0. */
        const uint32_t two = inputs[2U * group] | (uint32_t)inputs[2U * group + 1U] << 16;
        /* Written in any case, kept if it is not zero: cheaper than a branch that nobody can foresee. */
        numbers[found] = (uint32_t)group;
        values[found] = two;
        found += two != 0U;
    }
    return found;
}

/* Sums of a block of `vectors` times 4 outputs; `vectors` is a constant where this is inlined. */
static inline __attribute__((always_inline)) void KERNEL(add)(const int8_t *weights, unsigned vectors,
                                                              const uint32_t *numbers, const uint32_t *values,
                                                              size_t count, const int32_t *bias, int32_t *sums)
{
    v128_t sum[BLOCK / LANES];
#pragma GCC unroll 8
    for (unsigned i = 0; i < vectors; ++i) {
        sum[i] = wasm_v128_load(bias + i * LANES);
    }
    for (size_t k = 0; k < count; ++k) {
        const int8_t *const row = weights + (size_t)numbers[k] * (vectors * LANES * GROUP);
        const v128_t two = wasm_i32x4_splat((int32_t)values[k]);
#pragma GCC unroll 8
        for (unsigned i = 0; i < vectors; ++i) {
            const v128_t weight = wasm_i16x8_load8x8(row + i * LANES * GROUP);
            sum[i] = wasm_i32x4_add(sum[i], wasm_i32x4_dot_i16x8(weight, two));
        }
    }
#pragma GCC unroll 8
    for (unsigned i = 0; i < vectors; ++i) {
        wasm_v128_store(sums + i * LANES, sum[i]);
    }
}

static void KERNEL(sums)(const edgemnist_layer *layer, size_t block, size_t blocks, const uint8_t *inputs,
                         const void *list, size_t count, int32_t *sums)
{
    const size_t groups = ((size_t)layer->inputs + GROUP - 1U) / GROUP;
    const uint32_t *const numbers = list;
    const uint32_t *const values = numbers + groups;
    const int8_t *const weights = layer->weights + block * groups * layer->block * GROUP;
    const int32_t *const bias = layer->bias + block * layer->block;
    (void)blocks;
    (void)inputs;
    if (layer->block == SMALL) {
        KERNEL(add)(weights, SMALL / LANES, numbers, values, count, bias, sums);
    } else {
        KERNEL(add)(weights, BLOCK / LANES, numbers, values, count, bias, sums);
    }
}

static void KERNEL(requantize)(const edgemnist_layer *layer, size_t first, size_t count, const int32_t *sums,
                               uint8_t *outputs)
{
    edgemnist_requantize(layer, first, count, sums, outputs);
}

#define PLACES 4U
#define FEW
#define VECTORS 2U
typedef v128_t kernel_sum, kernel_weights, kernel_inputs;

static inline kernel_sum KERNEL(begin)(const int32_t *bias)
{
    return wasm_v128_load(bias);
}

static inline void KERNEL(end)(kernel_sum sum, int32_t *sums)
{
    wasm_v128_store(sums, sum);
}

static inline kernel_weights KERNEL(load)(const int8_t *weights)
{
    return wasm_i16x8_load8x8(weights);
}

static inline kernel_inputs KERNEL(spread)(const uint8_t *inputs)
{
    return wasm_i32x4_splat((int32_t)(inputs[0] | (uint32_t)inputs[1] << 16));
}

static inline kernel_inputs KERNEL(take)(const uint8_t *inputs)
{
    return wasm_v128_load(inputs);
}

static inline kernel_sum KERNEL(dot)(kernel_sum sum, kernel_weights weights, kernel_inputs inputs)
{
    return wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(weights, inputs));
}

#include "forward.h"

const edgemnist_kernel edgemnist_wasm = {
    "wasm", GROUP, EDGEMNIST_SIGNED, 0, EDGEMNIST_ROWS, SMALL, BLOCK, KERNEL(scratch_bytes), KERNEL(run), KERNEL(run),
};
#else
typedef int edgemnist_wasm_is_for_webassembly;
#endif
