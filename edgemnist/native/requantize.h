/* From sums to 8-bit outputs: sum * multiplier / 2^shift, rounded once, halves up, as LiteRT's reference kernels do
 * (MultiplyByQuantizedMultiplier with single rounding), plus the zero point, within the activation's range. */
#ifndef EDGEMNIST_REQUANTIZE_H
#define EDGEMNIST_REQUANTIZE_H

#include "engine.h"

static void edgemnist_requantize(const edgemnist_layer *layer, size_t first, size_t count, const int32_t *sums,
                                 uint8_t *outputs)
{
    for (size_t i = 0; i < count; ++i) {
        const size_t output = first + i;
        /* Whoever prepares a model makes sure that the product fits an int64. */
        const int64_t sum = (int64_t)sums[i] + (layer->wide_bias != NULL ? layer->wide_bias[output] : 0);
        const unsigned shift = layer->shift[output];
        const int64_t scaled = (sum * layer->multiplier[output] + (INT64_C(1) << (shift - 1U))) >> shift;
        const int64_t value = scaled + layer->zero_point;
        outputs[output] = value < layer->low ? layer->low : value > layer->high ? layer->high : (uint8_t)value;
    }
}

#endif
