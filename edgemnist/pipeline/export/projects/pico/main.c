/* Reads inputs from the serial port, EDGEMNIST_INPUTS bytes each, or as many float32 where the network takes numbers, and
 * answers each with a line: the class and its probability, or its logit where the file has no softmax; or all numbers. */
#include <stdio.h>

#include "edgemnist.h"
#include "pico/stdlib.h"

static uint8_t input[EDGEMNIST_INPUTS], outputs[EDGEMNIST_OUTPUTS];

static double value(int output)
{
#if defined(EDGEMNIST_CLASSES) && EDGEMNIST_CLASSES > EDGEMNIST_OUTPUTS
    /* The only number is the probability of the second of two classes. */
    const double second = (double)(edgemnist_score_scale * (float)(outputs[0] - edgemnist_score_zero_point));
    return output == 1 ? second : 1 - second;
#else
    return (double)(edgemnist_score_scale * (float)(outputs[output] - edgemnist_score_zero_point));
#endif
}

static void read(void *memory, size_t size)
{
    uint8_t *const bytes = memory;
    for (size_t i = 0; i < size; ++i) {
        bytes[i] = (uint8_t)getchar();
    }
}

int main(void)
{
    stdio_init_all();
    for (;;) {
#ifdef EDGEMNIST_QUANTIZES
        static float given[EDGEMNIST_INPUTS];
        read(given, sizeof given);
        edgemnist_quantize(given, input);
#else
        read(input, sizeof input);
#endif
        const int best = edgemnist_classify(input, outputs);
#ifdef EDGEMNIST_CLASSES
        printf("%s %.4f\n", edgemnist_labels[best], value(best));
#else
        (void)best;
        for (int i = 0; i < EDGEMNIST_OUTPUTS; ++i) {
            printf("%.4f%c", value(i), i + 1 < EDGEMNIST_OUTPUTS ? ' ' : '\n');
        }
#endif
    }
}
