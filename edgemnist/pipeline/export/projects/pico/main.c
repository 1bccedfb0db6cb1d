/* Reads inputs from the serial port, EDGEMNIST_INPUTS bytes each, or as many float32 where the model takes numbers, and
 * answers each with a line: the class and its probability, or its logit where the file has no softmax; or all numbers. */
#include <stdio.h>

#include "edgemnist.h"
#include "pico/stdlib.h"

static uint8_t input[EDGEMNIST_INPUTS], outputs[EDGEMNIST_OUTPUTS];

static double value(int output)
{
    return (double)(edgemnist_score_scale * (float)(outputs[output] - edgemnist_score_zero_point));
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
