/* From numbers to the bytes that the network takes, as edgemnist has them in NumPy. */
#ifndef EDGEMNIST_REAL_INPUT
#include "quantize.h"
#endif

#ifdef EDGEMNIST_REAL_INPUT
/* The nearest number of steps, halves away from zero, as QUANTIZE has it: each operation is exact. NaN becomes 0. */
static uint8_t edgemnist_nearest(float steps)
{
    if (steps != steps) {
        return 0;
    }
    const float size = steps < 0.0F ? -steps : steps;
    const int whole = size < 512.0F ? (int)size : 512;
    const int nearest = whole + (size >= (float)whole + 0.5F);
    const int level = edgemnist_input_zero_point + (steps < 0.0F ? -nearest : nearest);
    return (uint8_t)(level < 0 ? 0 : level > 255 ? 255 : level);
}
#endif

void edgemnist_quantize(const float input[EDGEMNIST_INPUTS], uint8_t levels[EDGEMNIST_INPUTS])
{
    for (uint32_t i = 0; i < EDGEMNIST_INPUTS; ++i) {
        /* Rounded after each operation: without `volatile`, some compilers make one of two. */
        volatile float value = input[i] * edgemnist_input_scale[i % EDGEMNIST_INPUT_SCALES];
        value = value + edgemnist_input_offset[i % EDGEMNIST_INPUT_SCALES];
        value = value / edgemnist_input_step;
#ifdef EDGEMNIST_REAL_INPUT
        levels[i] = edgemnist_nearest(value);
#else
        value = value + 0.5F;
        levels[i] = edgemnist_level(value, edgemnist_input_zero_point);
#endif
    }
}
