#ifdef EDGEMNIST_MAPS
/* The same as edgemnist_classify, of what the bytes of a picture become first: distances from EDGEMNIST_INPUT_LOWEST. */
int edgemnist_classify_levels(const uint8_t input[EDGEMNIST_INPUTS], uint8_t outputs[EDGEMNIST_OUTPUTS]);

#endif
/* Takes the input tensor of the TFLite file to its output tensor, both in their own types, and returns the index of the
 * first of the highest outputs, or 0 where these are numbers. Where it is called and the input is int8, it needs
 * EDGEMNIST_INPUT_BYTES of static memory more. Not reentrant. */
#if defined(__GNUC__)
__attribute__((unused))
#endif
static inline int edgemnist_run(const void *input, void *output)
{
    const uint8_t *levels = (const uint8_t *)input;
    uint8_t *const outputs = (uint8_t *)output;
#if EDGEMNIST_INPUT_LOWEST != 0
    /* The engine holds numbers as their distances from the lowest. */
    static uint8_t distances[EDGEMNIST_INPUT_BYTES];
    for (uint32_t i = 0; i < EDGEMNIST_INPUT_BYTES; ++i) {
        distances[i] = (uint8_t)(levels[i] ^ 0x80U);
    }
    levels = distances;
#endif
#ifdef EDGEMNIST_MAPS
    const int best = edgemnist_classify_levels(levels, outputs);
#else
    const int best = edgemnist_classify(levels, outputs);
#endif
#if EDGEMNIST_OUTPUT_LOWEST != 0
    for (uint32_t i = 0; i < EDGEMNIST_OUTPUT_BYTES; ++i) {
        outputs[i] = (uint8_t)(outputs[i] ^ 0x80U);
    }
#endif
#ifdef EDGEMNIST_CLASSES
    return best;
#else
    (void)best;
    return 0;
#endif
}
