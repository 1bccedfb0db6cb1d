/* The int8 engine: chains of dense layers over 8-bit numbers, equal in every bit to edgemnist's NumPy reference.
 *
 * Every 8-bit tensor is held as its distance from the lowest number of its type, 0 to 255: int8 as q + 128, uint8 as it
 * is. An image whose numbers stand for pixel / 255 is then just its pixels, a ReLU's zero is 0, and a 0 adds nothing to
 * any sum, so its weights are not read. Other zero points are folded into the biases when a model is prepared
 * (sum of w * (u - z) = sum of w * u - z * sum of w), which is exact and needs no second kernel.
 *
 * C99 and nothing else: no allocation, no floating point, no recursion, no global state that changes. Right shifts of
 * negative numbers are arithmetic, as in every compiler of note (C99 6.5.7 leaves it to them).
 */
#ifndef EDGEMNIST_ENGINE_H
#define EDGEMNIST_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#define EDGEMNIST_PIXELS 784U /* 28 * 28 */
/* Inputs or outputs of a layer: so many products of 255 and -128 fit an int32, and a uint16 counts whole blocks. */
#define EDGEMNIST_MAX_UNITS 65504U

/* One dense layer, and what follows it until the next one. Arrays of outputs are padded to whole blocks. */
typedef struct {
    const int8_t *weights;       /* in the kernel's layout, see kernel_*.c */
    const int32_t *bias;         /* what each sum starts from */
    const int64_t *wide_bias;    /* added to each sum where an int32 might not hold the whole; or NULL */
    const int32_t *multiplier;   /* output scale, a fraction of 2^31, ... */
    const uint8_t *shift;        /* ... and how far to shift the product right, 1 to 62 */
    const uint8_t *map;          /* [256], applied to each output: ReLU, another scale; or NULL */
    const int32_t *exponentials; /* [exponential_count], makes the outputs a softmax; or NULL */
    const uint8_t *softmax_map;  /* [256], applied after the softmax; or NULL */
    uint16_t exponential_count;  /* exponentials of greater distances from the maximum add nothing */
    uint16_t inputs;
    uint16_t outputs;
    uint16_t block;              /* outputs whose weights lie side by side */
    uint16_t blocks;             /* of outputs, the last perhaps not full */
    uint8_t zero_point;          /* of the outputs */
    uint8_t low;                 /* least output: the zero point where a ReLU is fused */
    uint8_t high;
} edgemnist_layer;

typedef struct {
    const uint8_t *pixel_map;    /* [256], input number of each pixel value; or NULL where they are the same */
    const edgemnist_layer *layers;
    uint16_t layer_count;
    uint16_t most_inputs;        /* of a layer */
    uint16_t most_outputs;       /* of a layer, in whole blocks */
} edgemnist_model;

#ifndef EDGEMNIST_AMALGAMATION
/* Where a kernel wants its weights: [block of outputs][group of inputs][output in the block][input in the group]. */
typedef struct {
    const char *name;
    uint8_t group;
    uint8_t unsigned_weights;    /* 1 for w + 128 as uint8 */
    uint16_t small_block;        /* for layers of no more outputs than this, ... */
    uint16_t block;              /* ... and for all others */
    size_t (*scratch_bytes)(const edgemnist_model *model);
    /* Writes the last layer's outputs, [images][outputs]. Scratch needs an alignment of 64 bytes. */
    void (*run)(const edgemnist_model *model, const uint8_t *images, size_t count, uint8_t *scores, void *scratch);
} edgemnist_kernel;

/* Kernels that this processor can run, the fastest first; NULL beyond the last. The portable one is always there. */
const edgemnist_kernel *edgemnist_kernel_at(size_t index);
#endif /* EDGEMNIST_AMALGAMATION */

#endif
