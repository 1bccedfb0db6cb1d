/* NEON without a dot product, as on Cortex-A53 and A72, and on ARMv7: umull multiplies bytes, uadalp adds up pairs.
 *
 * Both are unsigned here, as inputs reach 255, so the weights are stored as w + 128:
 * sum of w * u = sum of (w + 128) * u - 128 * sum of u, modulo 2^32, which the result fits.
 */
#if defined(__aarch64__) || (defined(__arm__) && __ARM_ARCH >= 7 && __ARM_ARCH_PROFILE == 'A')
#define KERNEL(name) edgemnist_neon_##name
#if defined(__aarch64__)
#define TARGET
#elif defined(__clang__)
#define TARGET __attribute__((target("neon")))
#else
#define TARGET __attribute__((target("fpu=neon")))
#endif
#define LANES 4U
#define PAIR 2U /* outputs in a vector of the list's sums: two sums of two products each */
#if defined(__aarch64__)
#define BLOCK 32U
#else
#define BLOCK 16U /* ARMv7 has 16 registers instead of 32 */
#endif
#define SMALL 16U
#define AT_ONCE 1U
#define ALIGNMENT 64U

#include <arm_neon.h>

#include "list.h"

/* Convolutions take weights as they are, and 128 less than each input, so that products of both fit 16 bits. */
#if defined(__aarch64__)
#define PLACES 4U
#else
#define PLACES 2U
#define FEW
#endif
#define VECTORS 2U
#define SCALED 8U
typedef struct {
    int32x4_t low, high; /* of two outputs each two sums */
} kernel_sum;
typedef int8x16_t kernel_weights, kernel_inputs; /* of which 128 is taken */

TARGET static inline int32x4_t KERNEL(total)(kernel_sum sum)
{
    return vcombine_s32(vpadd_s32(vget_low_s32(sum.low), vget_high_s32(sum.low)),
                        vpadd_s32(vget_low_s32(sum.high), vget_high_s32(sum.high)));
}

TARGET static inline kernel_sum KERNEL(begin)(const int32_t *bias)
{
    const int32x4x2_t apart = vzipq_s32(vld1q_s32(bias), vdupq_n_s32(0));
    return (kernel_sum){apart.val[0], apart.val[1]};
}

TARGET static inline void KERNEL(end)(kernel_sum sum, int32_t *sums)
{
    vst1q_s32(sums, KERNEL(total)(sum));
}

TARGET static inline kernel_sum KERNEL(dot)(kernel_sum sum, kernel_weights weights, kernel_inputs inputs)
{
    sum.low = vpadalq_s16(sum.low, vmull_s8(vget_low_s8(weights), vget_low_s8(inputs)));
    sum.high = vpadalq_s16(sum.high, vmull_s8(vget_high_s8(weights), vget_high_s8(inputs)));
    return sum;
}

#include "requantize_neon.h"

/* Sums of a block of `vectors` times 2 outputs; `vectors` is a constant where this is inlined. */
TARGET static inline __attribute__((always_inline)) void
KERNEL(add)(const uint8_t *weights, unsigned vectors, const uint32_t *numbers, const uint32_t *values, size_t count,
            const int32_t *bias, int32_t *sums)
{
    uint32x4_t sum[BLOCK / PAIR];
    uint32x4_t inputs = vdupq_n_u32(0);
#pragma GCC unroll 16
    for (unsigned i = 0; i < vectors; ++i) {
        sum[i] = vdupq_n_u32(0);
    }
    for (size_t k = 0; k < count; ++k) {
        const uint8_t *const row = weights + (size_t)numbers[k] * (vectors * PAIR * GROUP);
        const uint8x8_t four = vreinterpret_u8_u32(vdup_n_u32(values[k]));
        inputs = vpadalq_u16(inputs, vmovl_u8(four));
#pragma GCC unroll 16
        for (unsigned i = 0; i < vectors; i += 2U) {
            const uint8x16_t weight = vld1q_u8(row + i * PAIR * GROUP);
            sum[i] = vpadalq_u16(sum[i], vmull_u8(vget_low_u8(weight), four));
            sum[i + 1U] = vpadalq_u16(sum[i + 1U], vmull_u8(vget_high_u8(weight), four));
        }
    }
    /* The group is there twice, so each pair of sums adds up all inputs. */
    const uint32x2_t total = vpadd_u32(vget_low_u32(inputs), vget_high_u32(inputs));
    const uint32x4_t excess = vshlq_n_u32(vcombine_u32(total, total), 7);
#pragma GCC unroll 8
    for (unsigned i = 0; i < vectors; i += 2U) {
        const uint32x2_t one = vpadd_u32(vget_low_u32(sum[i]), vget_high_u32(sum[i]));
        const uint32x2_t other = vpadd_u32(vget_low_u32(sum[i + 1U]), vget_high_u32(sum[i + 1U]));
        const int32x4_t whole = vreinterpretq_s32_u32(vsubq_u32(vcombine_u32(one, other), excess));
        vst1q_s32(sums + i * PAIR, vaddq_s32(whole, vld1q_s32(bias + i * PAIR)));
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
    for (; blocks > 0; --blocks, weights += block_bytes, bias += layer->block, sums += layer->block) {
        if (layer->block == SMALL) {
            KERNEL(add)(weights, SMALL / PAIR, numbers, values, count, bias, sums);
        } else {
            KERNEL(add)(weights, BLOCK / PAIR, numbers, values, count, bias, sums);
        }
    }
}

#include "forward.h"

const edgemnist_kernel edgemnist_neon = {
    "neon", GROUP, EDGEMNIST_UNSIGNED, 0, EDGEMNIST_ROWS + EDGEMNIST_LESS_128 + (BLOCK == 32U ? EDGEMNIST_LINES : 0), SMALL, BLOCK, KERNEL(scratch_bytes), KERNEL(run), KERNEL(run),
};
#else
typedef int edgemnist_neon_is_for_arm;
#endif
