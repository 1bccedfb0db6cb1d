/* A {model} of {reads}, made by edgemnist {origin.version}. */
#ifndef EDGEMNIST_CLASSIFIER_H
#define EDGEMNIST_CLASSIFIER_H

#include <stdint.h>

#define EDGEMNIST_INPUTS {network.inputs}
#define EDGEMNIST_OUTPUTS {network.classes}
{classes}{levels}{maps}
/* The tensors of the TFLite file: bytes, and the lowest number of their type, -128 of int8 and 0 of uint8. */
#define EDGEMNIST_INPUT_BYTES EDGEMNIST_INPUTS
#define EDGEMNIST_INPUT_LOWEST {input_lowest}
#define EDGEMNIST_OUTPUT_BYTES EDGEMNIST_OUTPUTS
#define EDGEMNIST_OUTPUT_LOWEST {output_lowest}

#ifdef __cplusplus
extern "C" {{
#endif

/* Writes the {meaning}, and returns the index of the
 * {chosen}. {read} Not reentrant. */
int edgemnist_classify(const uint8_t input[EDGEMNIST_INPUTS], uint8_t outputs[EDGEMNIST_OUTPUTS]);
{quantizes}
{names}extern const float edgemnist_score_scale;
extern const int edgemnist_score_zero_point;

{run}{finder}
#ifdef __cplusplus
}}
#endif

#endif
