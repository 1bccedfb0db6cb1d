/* The outer functions of a generated C file, after the network's tables. */

#ifdef EDGEMNIST_MAPS
#if defined(__GNUC__) && !defined(__clang__)
/* Not once for each of its callers. */
__attribute__((noinline, noclone))
#endif
static int edgemnist_answer(const edgemnist_model *model, const uint8_t *input, uint8_t *outputs)
{
#else
int edgemnist_classify(const uint8_t input[EDGEMNIST_INPUTS], uint8_t outputs[EDGEMNIST_OUTPUTS])
{
    const edgemnist_model *const model = &edgemnist_network;
#endif
    /* Not on the stack, which is small on a microcontroller: the linker counts this, and a call is not reentrant. */
    static uint32_t scratch[(EDGEMNIST_SCRATCH_BYTES + 3U) / 4U];
    int best = 0;
    edgemnist_scalar_forward(model, input, outputs, (uint8_t *)scratch);
    for (int i = 1; i < EDGEMNIST_OUTPUTS; ++i) {
        if (outputs[i] > outputs[best]) {
            best = i;
        }
    }
    return best;
}

#ifdef EDGEMNIST_MAPS
int edgemnist_classify(const uint8_t input[EDGEMNIST_INPUTS], uint8_t outputs[EDGEMNIST_OUTPUTS])
{
    return edgemnist_answer(&edgemnist_network, input, outputs);
}

int edgemnist_classify_levels(const uint8_t input[EDGEMNIST_INPUTS], uint8_t outputs[EDGEMNIST_OUTPUTS])
{
    return edgemnist_answer(&edgemnist_level_network, input, outputs);
}
#endif
