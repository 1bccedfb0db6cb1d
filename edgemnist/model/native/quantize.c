/* From numbers to the bytes that the network takes, as edgemnist has them in NumPy. */
#include "quantize.h"

void edgemnist_quantize(const float input[EDGEMNIST_INPUTS], uint8_t levels[EDGEMNIST_INPUTS])
{
    for (uint32_t i = 0; i < EDGEMNIST_INPUTS; ++i) {
        /* Rounded after each operation: without `volatile`, some compilers make one of two. */
        volatile float value = input[i] * edgemnist_input_scale[i % EDGEMNIST_INPUT_SCALES];
        value = value + edgemnist_input_offset[i % EDGEMNIST_INPUT_SCALES];
        value = value / edgemnist_input_step;
        value = value + 0.5F;
        levels[i] = edgemnist_level(value, edgemnist_input_zero_point);
    }
}
