/* NEON with the dot product of ARMv8.2, as on Cortex-A76: udot adds 16 products of bytes to four sums.
 *
 * It is unsigned on both sides, so the weights are stored as w + 128, see kernel_neon.c.
 */
#if defined(__aarch64__)
#define KERNEL(name) edgemnist_neondot_##name
#if defined(__clang__)
#define TARGET __attribute__((target("dotprod")))
#else
#define TARGET __attribute__((target("arch=armv8.2-a+dotprod")))
#endif
#define LANES 4U
#define BLOCK 32U
#define SMALL 16U
#define AT_ONCE 2U
#define ALIGNMENT 64U

#include <arm_neon.h>

#include "list.h"

#define PLACES 4U
#define VECTORS 4U
#define SCALED 16U
typedef int32x4_t kernel_sum;
typedef int8x16_t kernel_weights, kernel_inputs; /* of which 128 is taken */

TARGET static inline int32x4_t KERNEL(total)(kernel_sum sum)
{
    return sum;
}

TARGET static inline kernel_sum KERNEL(begin)(const int32_t *bias)
{
    return vld1q_s32(bias);
}

TARGET static inline void KERNEL(end)(kernel_sum sum, int32_t *sums)
{
    vst1q_s32(sums, sum);
}

TARGET static inline kernel_sum KERNEL(dot)(kernel_sum sum, kernel_weights weights, kernel_inputs inputs)
{
    return vdotq_s32(sum, weights, inputs);
}

#include "requantize_neon.h"

/* Sums of `blocks` blocks of `vectors` times 4 outputs; both are constants where this is inlined. */
TARGET static inline __attribute__((always_inline)) void
KERNEL(add)(const uint8_t *weights, size_t block_bytes, unsigned blocks, unsigned vectors, const uint32_t *numbers,
            const uint32_t *values, size_t count, const int32_t *bias, int32_t *sums)
{
    const unsigned total = blocks * vectors;
    const uint8x16_t ones = vdupq_n_u8(1);
    uint32x4_t inputs = vdupq_n_u32(0);
    uint32x4_t sum[16];
#pragma GCC unroll 16
    for (unsigned i = 0; i < total; ++i) {
        sum[i] = vdupq_n_u32(0);
    }
    for (size_t k = 0; k < count; ++k) {
        const uint8_t *const row = weights + (size_t)numbers[k] * (vectors * LANES * GROUP);
        const uint8x16_t four = vreinterpretq_u8_u32(vdupq_n_u32(values[k]));
        inputs = vdotq_u32(inputs, four, ones);
#pragma GCC unroll 16
        for (unsigned i = 0; i < total; ++i) {
            const uint8_t *const place = row + i / vectors * block_bytes + i % vectors * (LANES * GROUP);
            sum[i] = vdotq_u32(sum[i], vld1q_u8(place), four);
        }
    }
    const uint32x4_t excess = vshlq_n_u32(inputs, 7);
#pragma GCC unroll 16
    for (unsigned i = 0; i < total; ++i) {
        const int32x4_t whole = vreinterpretq_s32_u32(vsubq_u32(sum[i], excess));
        vst1q_s32(sums + i * LANES, vaddq_s32(whole, vld1q_s32(bias + i * LANES)));
    }
}

TARGET static void KERNEL(sums)(const edgemnist_layer *layer, size_t block, size_t blocks, const uint8_t *inputs,
                                const void *list, size_t count, int32_t *sums)
{
    const size_t groups = ((size_t)layer->inputs + GROUP - 1U) / GROUP;
    const uint32_t *const numbers = list;
    const uint32_t *const values = numbers + groups;
    const size_t block_bytes = groups * layer->block * GROUP;
    const uint8_t *weights = (const uint8_t *)layer->weights + block * block_bytes;
    const int32_t *bias = layer->bias + block * layer->block;
    (void)inputs;
    if (layer->block == SMALL) {
        for (; blocks > 0; --blocks, weights += block_bytes, bias += SMALL, sums += SMALL) {
            KERNEL(add)(weights, block_bytes, 1, SMALL / LANES, numbers, values, count, bias, sums);
        }
        return;
    }
    for (; blocks >= 2U; blocks -= 2U, weights += 2U * block_bytes, bias += 2U * BLOCK, sums += 2U * BLOCK) {
        KERNEL(add)(weights, block_bytes, 2, BLOCK / LANES, numbers, values, count, bias, sums);
    }
    if (blocks > 0) {
        KERNEL(add)(weights, block_bytes, 1, BLOCK / LANES, numbers, values, count, bias, sums);
    }
}

#include "forward.h"

const edgemnist_kernel edgemnist_neondot = {
    "neondot", GROUP, EDGEMNIST_UNSIGNED, 0, EDGEMNIST_ROWS + EDGEMNIST_LESS_128 + EDGEMNIST_LINES, SMALL, BLOCK, KERNEL(scratch_bytes), KERNEL(run), KERNEL(run),
};
#else
typedef int edgemnist_neondot_is_for_arm64;
#endif
