/* The outer functions of a generated C file, after the network's tables. */

int edgemnist_classify(const uint8_t input[EDGEMNIST_INPUTS], uint8_t outputs[EDGEMNIST_OUTPUTS])
{
    /* Not on the stack, which is small on a microcontroller: the linker counts this, and a call is not reentrant. */
    static uint32_t scratch[(EDGEMNIST_SCRATCH_BYTES + 3U) / 4U];
    int best = 0;
    edgemnist_scalar_forward(&edgemnist_network, input, outputs, (uint8_t *)scratch);
    for (int i = 1; i < EDGEMNIST_OUTPUTS; ++i) {
        if (outputs[i] > outputs[best]) {
            best = i;
        }
    }
    return best;
}
