/* From sums to 8-bit outputs: sum * multiplier / 2^shift, rounded once, halves up, as LiteRT's reference kernels do
 * (MultiplyByQuantizedMultiplier with single rounding), plus the zero point, within the activation's range.
 *
 * After convolutions and means those kernels round twice, as gemmlowp has it: the product to multiples of 2^31, halves
 * up, and that to the result, halves away from zero. Both are one shift with 2^30 more, and 2^31 less where the first
 * result is negative. Shifts of up to 31 have no second step. By the rule `double` dense layers do, too.
 * EDGEMNIST_ROUNDS_ONCE is a C file in which no layer does. */
#ifndef EDGEMNIST_REQUANTIZE_H
#define EDGEMNIST_REQUANTIZE_H

#include "engine.h"

/* sum * multiplier / 2^shift, rounded once or twice. Whoever prepares a model makes sure that the product fits an int64. */
static inline int64_t edgemnist_rescaled(int64_t sum, int32_t multiplier, unsigned shift, unsigned twice)
{
    int64_t product = sum * multiplier;
#ifndef EDGEMNIST_ROUNDS_ONCE
    if (twice != 0U && shift > 31U) {
        product += INT64_C(1) << 30;
        product -= product < 0 ? INT64_C(1) << 31 : 0;
    }
#endif
    (void)twice;
    return ((product >> (shift - 1U)) + 1) >> 1;
}

static void edgemnist_requantize(const edgemnist_layer *layer, size_t first, size_t count, const int32_t *sums,
                                 uint8_t *outputs)
{
    /* Read once: for all that a compiler knows, outputs are part of the layer. */
    const int32_t *const multipliers = layer->multiplier + first;
    const uint8_t *const shifts = layer->shift + first;
    const int64_t *const wide_bias = layer->wide_bias;
    const int32_t zero_point = layer->zero_point, low = layer->low, high = layer->high;
    const unsigned twice = layer->rounding & EDGEMNIST_TWICE;
    outputs += first;
#ifdef EDGEMNIST_AMALGAMATION
    /* In 32 bits, and within the activation's range afterwards: it is nearly always that of a byte. */
    if ((layer->rounding & EDGEMNIST_SMALL) != 0U) {
        for (size_t i = 0; i < count; ++i) {
            const int32_t twofold = 2 * sums[i];
            int32_t value;
#ifndef EDGEMNIST_ROUNDS_ONCE
            if (twice != 0U) {
#ifdef __ARM_FEATURE_SIMD32
                __asm__("smmulr %0, %1, %2" : "=r"(value) : "r"(twofold), "r"(multipliers[i]));
#else
                value = (int32_t)(((int64_t)twofold * multipliers[i] + (INT64_C(1) << 31)) >> 32);
#endif
                value += value >> 31;
            } else
#endif /* EDGEMNIST_ROUNDS_ONCE */
            {
                value = (int32_t)((int64_t)twofold * multipliers[i] >> 32);
            }
            value = (((value >> (shifts[i] - 32U)) + 1) >> 1) + zero_point;
            value = value < 0 ? 0 : value;
            outputs[i] = (uint8_t)(value > 255 ? 255 : value);
        }
        for (size_t i = 0; (low != 0 || high != 255) && i < count; ++i) {
            const int32_t value = outputs[i] < low ? low : outputs[i];
            outputs[i] = (uint8_t)(value > high ? high : value);
        }
        return;
    }
#endif /* EDGEMNIST_AMALGAMATION */
    for (size_t i = 0; i < count; ++i) {
        const int64_t sum = (int64_t)sums[i] + (wide_bias != NULL ? wide_bias[first + i] : 0);
        int64_t value = edgemnist_rescaled(sum, multipliers[i], shifts[i], twice) + zero_point;
        value = value < low ? low : value;
        outputs[i] = (uint8_t)(value > high ? high : value);
    }
}

#endif
