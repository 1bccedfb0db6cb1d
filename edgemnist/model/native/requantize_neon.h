/* edgemnist_requantize with NEON, eight outputs at a time. Included after KERNEL and TARGET are defined. */
#include <arm_neon.h>

#include "engine.h"
#include "requantize.h"

TARGET static inline kernel_weights KERNEL(load)(const int8_t *weights)
{
    return vld1q_s8(weights);
}

TARGET static inline kernel_inputs KERNEL(spread)(const uint8_t *inputs)
{
    uint32_t four;
    __builtin_memcpy(&four, inputs, sizeof four);
    return vreinterpretq_s8_u32(vdupq_n_u32(four ^ 0x80808080U));
}

TARGET static inline kernel_inputs KERNEL(take)(const uint8_t *inputs)
{
    return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(inputs), vdupq_n_u8(0x80)));
}

/* Two products, with what the first of two roundings adds wherever `far` is all ones. */
TARGET static inline int64x2_t KERNEL(first_rounding)(int64x2_t product, int64x2_t far)
{
    product = vaddq_s64(product, vandq_s64(far, vdupq_n_s64(INT64_C(1) << 30)));
    const int64x2_t negative = vandq_s64(far, vshrq_n_s64(product, 63));
    return vsubq_s64(product, vandq_s64(negative, vdupq_n_s64(INT64_C(1) << 31)));
}

/* Four sums, rescaled. vrshlq shifts to the left; by a negative number to the right, with halves rounded up. */
TARGET static inline int32x4_t KERNEL(scale)(const int32_t *sums, const int32_t *multiplier, int32x4_t left, int twice)
{
    const int32x4_t sum = vld1q_s32(sums);
    const int32x4_t by = vld1q_s32(multiplier);
    int64x2_t low = vmull_s32(vget_low_s32(sum), vget_low_s32(by));
    int64x2_t high = vmull_s32(vget_high_s32(sum), vget_high_s32(by));
    const int64x2_t low_shift = vmovl_s32(vget_low_s32(left));
    const int64x2_t high_shift = vmovl_s32(vget_high_s32(left));
    if (twice) {
        const int32x4_t far = vreinterpretq_s32_u32(vcltq_s32(left, vdupq_n_s32(-31)));
        low = KERNEL(first_rounding)(low, vmovl_s32(vget_low_s32(far)));
        high = KERNEL(first_rounding)(high, vmovl_s32(vget_high_s32(far)));
    }
    return vcombine_s32(vqmovn_s64(vrshlq_s64(low, low_shift)), vqmovn_s64(vrshlq_s64(high, high_shift)));
}

TARGET static void KERNEL(requantize)(const edgemnist_layer *layer, size_t first, size_t count, const int32_t *sums,
                               uint8_t *outputs)
{
    if (layer->wide_bias != NULL) {
        edgemnist_requantize(layer, first, count, sums, outputs);
        return;
    }
    const int32x4_t zero_point = vdupq_n_s32(layer->zero_point);
    const uint8x8_t low = vdup_n_u8(layer->low);
    const uint8x8_t high = vdup_n_u8(layer->high);
    const int twice = (layer->rounding & EDGEMNIST_TWICE) != 0U;
    for (size_t i = 0; i < count; i += 8U) {
        const int16x8_t left = vnegq_s16(vreinterpretq_s16_u16(vmovl_u8(vld1_u8(layer->shift + first + i))));
        const int32_t *const multiplier = layer->multiplier + first + i;
        const int32x4_t one = KERNEL(scale)(sums + i, multiplier, vmovl_s16(vget_low_s16(left)), twice);
        const int32x4_t other = KERNEL(scale)(sums + i + 4, multiplier + 4, vmovl_s16(vget_high_s16(left)), twice);
        /* Saturating all the way to 0..255, which cuts off nothing that the range below would keep. */
        const int16x8_t words = vcombine_s16(vqmovn_s32(vqaddq_s32(one, zero_point)),
                                             vqmovn_s32(vqaddq_s32(other, zero_point)));
        vst1_u8(outputs + first + i, vmin_u8(vmax_u8(vqmovun_s16(words), low), high));
    }
}

#if defined(__aarch64__)
#define LINES
typedef struct {
    float32x4_t slope[SCALED / 4U], offset[SCALED / 4U], other[SCALED / 4U], exception[SCALED / 4U], added[SCALED / 4U];
} kernel_line;

/* The line of SCALED outputs from `output` on. */
TARGET static inline __attribute__((always_inline)) kernel_line KERNEL(line_of)(const edgemnist_layer *layer, size_t output)
{
    const size_t all = (size_t)layer->blocks * layer->block;
    kernel_line made;
    for (unsigned i = 0; i < SCALED / 4U; ++i) {
        const float *const line = layer->line + output + 4U * i;
        made.slope[i] = vld1q_f32(line);
        made.offset[i] = vld1q_f32(line + all);
        made.other[i] = vld1q_f32(line + 2U * all);
        made.exception[i] = vld1q_f32(line + 3U * all);
        made.added[i] = vld1q_f32(line + 4U * all);
    }
    return made;
}

TARGET static inline __attribute__((always_inline)) int16x4_t KERNEL(along)(const kernel_line *line, unsigned which,
                                                                           int32x4_t whole, int simple)
{
    const float32x4_t sum = vcvtq_f32_s32(whole);
    float32x4_t offset = line->offset[which];
    if (!simple) {
        const uint32x4_t there = vceqq_f32(sum, line->exception[which]);
        offset = vbslq_f32(vcltq_s32(whole, vdupq_n_s32(0)), line->other[which], offset);
        offset = vbslq_f32(there, vaddq_f32(offset, line->added[which]), offset);
    }
    return vqmovn_s32(vcvtmq_s32_f32(vfmaq_f32(offset, sum, line->slope[which])));
}

/* SCALED outputs of their sums by a line; `simple` says that slope and offset are all. */
TARGET static inline __attribute__((always_inline)) void KERNEL(follow)(const kernel_line *line, const kernel_sum *sums,
                                                                        uint8_t *to, int simple)
{
    for (unsigned i = 0; i < SCALED / 4U; i += 2U) {
        const int16x8_t words = vcombine_s16(KERNEL(along)(line, i, KERNEL(total)(sums[i]), simple),
                                             KERNEL(along)(line, i + 1U, KERNEL(total)(sums[i + 1U]), simple));
        vst1_u8(to + 4U * i, veor_u8(vreinterpret_u8_s8(vqmovn_s16(words)), vdup_n_u8(0x80)));
    }
}
#endif
