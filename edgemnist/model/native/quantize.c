/* From numbers to the bytes that the network takes, as edgemnist has them in NumPy. */

void edgemnist_quantize(const float input[EDGEMNIST_INPUTS], uint8_t levels[EDGEMNIST_INPUTS])
{
    for (uint32_t i = 0; i < EDGEMNIST_INPUTS; ++i) {
        /* Rounded after each operation: without `volatile`, some compilers make one of two. */
        volatile float value = input[i] * edgemnist_input_scale[i % EDGEMNIST_INPUT_SCALES];
        value = value + edgemnist_input_offset[i % EDGEMNIST_INPUT_SCALES];
        value = value / edgemnist_input_step;
        value = value + 0.5F;
        const float steps = value;
        if (!(steps >= (float)-edgemnist_input_zero_point)) {
            levels[i] = 0;
        } else if (steps >= (float)(256 - edgemnist_input_zero_point)) {
            levels[i] = 255;
        } else {
            const int whole = (int)steps;
            levels[i] = (uint8_t)(whole - ((float)whole > steps) + edgemnist_input_zero_point);
        }
    }
}
