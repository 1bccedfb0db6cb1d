/* The outer functions of a generated C file, after the network's tables. */

int edgemnist_classify(const uint8_t image[784], uint8_t probabilities[EDGEMNIST_CLASSES])
{
    /* Not on the stack, which is small on a microcontroller: the linker counts this, and a call is not reentrant. */
    static uint32_t scratch[(EDGEMNIST_SCRATCH_BYTES + 3U) / 4U];
    int best = 0;
    edgemnist_scalar_forward(&edgemnist_network, image, probabilities, (uint8_t *)scratch);
    for (int i = 1; i < EDGEMNIST_CLASSES; ++i) {
        if (probabilities[i] > probabilities[best]) {
            best = i;
        }
    }
    return best;
}
