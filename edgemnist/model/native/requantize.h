/* From sums to 8-bit outputs: sum * multiplier / 2^shift, rounded once, halves up, as LiteRT's reference kernels do
 * (MultiplyByQuantizedMultiplier with single rounding), plus the zero point, within the activation's range.
 *
 * After convolutions and means those kernels round twice, as gemmlowp has it: the product to multiples of 2^31, halves
 * up, and that to the result, halves away from zero. Both are one shift with 2^30 more, and 2^31 less where the first
 * result is negative. Shifts of up to 31 have no second step. By the rule `double`, TFLM's, dense layers do, too.
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
    const edgemnist_layer one = *layer;
    for (size_t i = 0; i < count; ++i) {
        const size_t output = first + i;
        const int64_t sum = (int64_t)sums[i] + (one.wide_bias != NULL ? one.wide_bias[output] : 0);
        int64_t value = edgemnist_rescaled(sum, one.multiplier[output], one.shift[output], one.rounding & EDGEMNIST_TWICE);
        value += one.zero_point;
        value = value < one.low ? one.low : value;
        outputs[output] = (uint8_t)(value > one.high ? one.high : value);
    }
}

#endif
