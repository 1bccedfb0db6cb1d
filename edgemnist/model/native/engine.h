/* The int8 engine: a graph of convolutions, pooling and what joins two branches, then dense layers, over 8-bit numbers;
 * equal in every bit to edgemnist's NumPy reference.
 *
 * Every 8-bit tensor is held as its distance from the lowest number of its type, 0 to 255: int8 as q + 128, uint8 as it
 * is. An image whose numbers stand for pixel / 255 is then just its pixels, a ReLU's zero is 0, and a 0 adds nothing to
 * any sum, so its weights are not read. Other zero points are folded into the biases when a model is prepared
 * (sum of w * (u - z) = sum of w * u - z * sum of w), which is exact and needs no second kernel.
 *
 * C99 and nothing else: no allocation, no recursion, no global state that changes, and no floating point but where a line
 * has been shown to come to the same integers, see lines.py. Right shifts of negative numbers are arithmetic, as in every
 * compiler of note (C99 6.5.7 leaves it to them).
 */
#ifndef EDGEMNIST_ENGINE_H
#define EDGEMNIST_ENGINE_H

#include <stddef.h>
#include <stdint.h>

/* Python reads these structures from here (structures.py): pointers first, then unsigned numbers. */

/* One layer, and what follows it until the next one. Arrays of outputs are padded to whole blocks. Of a convolution,
 * inputs are what its window covers and outputs are channels: it is a dense layer at each place of the window. */
typedef struct {
    const int8_t *weights;       /* in the kernel's layout, see kernel_*.c; depthwise [place in the window][output] */
    const int32_t *bias;         /* what each sum starts from */
    const int64_t *wide_bias;    /* added to each sum where an int32 might not hold the whole; or NULL */
    const int32_t *multiplier;   /* output scale, a fraction of 2^31, ... */
    const uint8_t *shift;        /* ... and how far to shift the product right, 1 to 62 */
    const uint8_t *map;          /* [256], applied to each output: ReLU, another scale; or NULL */
    const int32_t *exponentials; /* [exponential_count], makes the outputs a softmax; or NULL */
    const uint8_t *softmax_map;  /* [256], applied after the softmax; or NULL */
    const int32_t *terms;        /* of a sum of two tensors [6], see KERNEL(add_row), or a 0 and the multiplier and the
                                    shift that make what it adds of a number, [2][2]; of a PReLU these alone, of numbers
                                    above and below 0 */
    const float *line;           /* of a convolution of whole rows, what is fast and comes to the same: for outputs in whole
                                    blocks slope, offset, that of negative sums, a sum that is an exception, and what is
                                    added there, [5][outputs]. The slopes of 16 are 0 where one has no line, and the first
                                    exception is EDGEMNIST_SIMPLE where slopes and offsets are all; or NULL */
    const uint16_t *places;      /* of a selection: the row of the source of each row, then of columns and channels; 65535
                                    for what stands for 0 */
    uint32_t inputs;
    uint32_t outputs;
    uint32_t blocks;             /* of outputs, the last perhaps not full */
    uint32_t place;              /* of its outputs in the arena */
    uint16_t block;              /* outputs whose weights lie side by side */
    uint16_t exponential_count;  /* exponentials of greater distances from the maximum add nothing */
    uint8_t zero_point;          /* of the outputs */
    uint8_t low;                 /* least output: the zero point where a ReLU is fused */
    uint8_t high;
    uint8_t rounding;            /* of sums that are rescaled, see requantize.h */
    uint8_t weight_bits;         /* 8; in a C file 4 or 2, and with EDGEMNIST_NIBBLES 4, if all weights are so small */
} edgemnist_layer;

/* Sums are rescaled in one step, or in two; SMALL is added where all shifts are 33 at least, and what is shifted last leaves
 * room in an int32 for the zero point and a half, too. */
enum { EDGEMNIST_ONCE, EDGEMNIST_TWICE, EDGEMNIST_SMALL };

/* No sum is this. */
#define EDGEMNIST_SIMPLE 0.5F

/* A pick has what the window covers in its last row and column. Constants are there from the beginning, as their layer's
 * weights. From a sum on, two tensors are joined. */
enum {
    EDGEMNIST_CONVOLUTION, EDGEMNIST_DEPTHWISE, EDGEMNIST_MAXIMUM, EDGEMNIST_AVERAGE, EDGEMNIST_PICK,
    EDGEMNIST_SELECTION, EDGEMNIST_CONSTANT, EDGEMNIST_SUM, EDGEMNIST_DIFFERENCE, EDGEMNIST_PRODUCT, EDGEMNIST_PRELU,
    EDGEMNIST_CONCATENATION
};

/* How a layer's window slides over an image, [height][width][channels]. */
typedef struct {
    uint32_t row_bytes;          /* from one row of outputs to the next */
    uint32_t channels;
    uint32_t other_step;         /* of what is joined to the image: bytes from one column to the next, 0 if it has one */
    uint16_t kept;               /* rows of outputs that are there at a time, row r at r % kept */
    uint16_t height;
    uint16_t width;
    uint16_t out_height;
    uint16_t out_width;
    uint16_t kernel_height;      /* of a mean all rows, however many */
    uint16_t kernel_width;
    uint16_t source;             /* the layer whose outputs the image is, from 1 on; 0 is the input */
    uint16_t other;              /* the layer that is joined to it */
    uint16_t edge;               /* bytes of its zero point before and after each row of outputs, for kernels of ROWS */
    uint8_t stride_height;
    uint8_t stride_width;
    uint8_t dilation_height;     /* from one row that the window covers to the next */
    uint8_t dilation_width;
    uint8_t top;                 /* rows that the first place lies above the image */
    uint8_t left;
    uint8_t kind;                /* a depthwise one without weights adds up what it covers */
    uint8_t zero;                /* input that stands for 0, as does whatever lies beyond the edges; of an average, the
                                    0 that halves are rounded away from */
    uint8_t other_zero;          /* the same of what is joined */
    uint8_t whole;               /* 1 if the source is complete, without gaps, before the first row, 2 if the other is */
    uint8_t other_row;           /* 1 if what is joined has a row for each, 0 if one for all */
    uint8_t other_channel;       /* 1 if it has a number for each channel, 0 if one for all */
} edgemnist_window;

typedef struct {
    const uint8_t *pixel_map;    /* [pixel_maps][256], input number of each byte; or NULL where they are the same */
    const edgemnist_layer *layers;
    const edgemnist_window *windows; /* of the first layers, each after what it takes; or NULL */
    uint32_t arena_bytes;        /* for the outputs of all layers, ... */
    uint32_t image_place;        /* ... and for the input, if its bytes become other numbers */
    uint32_t inputs;             /* bytes of one input */
    uint32_t most_inputs;        /* of a dense layer or a convolution */
    uint32_t patch_bytes;        /* most inputs of a convolution */
    uint16_t layer_count;
    uint16_t window_count;
    uint16_t classes;            /* or other outputs */
    uint16_t pixel_maps;         /* one for each channel of a picture in turn, or one for all */
    uint16_t row;                /* pixels of a row, if the first layer takes squares of 2 x 2; or 0 */
} edgemnist_model;

#ifndef EDGEMNIST_AMALGAMATION
/* How a kernel wants its weights: [block of outputs][group of inputs][output in the block][input in the group] as int8;
 * the same as uint8, w + 128; or [...][pair of outputs][input in the group][output in the pair], of each pair the first
 * as w + 128; or as int8, but those of a dense layer in 4 bits, where they fit and its blocks are not the small ones:
 * [block][group][output in half the block][input in the group], the block's first half as w + 8 in the low bits. With
 * the last, blocks of a dense layer, but for small ones, have an odd number of groups, one more if need be: so those of
 * several blocks do not fall into the same few places of a cache. */
enum { EDGEMNIST_SIGNED, EDGEMNIST_UNSIGNED, EDGEMNIST_PAIRED, EDGEMNIST_NIBBLES };

/* How a kernel takes the inputs of a convolution: what the window covers at one place; or the rows that it covers for a whole
 * row of places, with weights as int8 in any case, those of each run of inputs in whole groups and depthwise ones too, whose
 * groups are of rows. Added are whether 128 less than each input is taken, and whether there may be lines. */
enum { EDGEMNIST_PATCHES, EDGEMNIST_ROWS, EDGEMNIST_LESS_128, EDGEMNIST_LINES = 4 };

typedef struct {
    const char *name;
    uint8_t group;
    uint8_t weights;
    uint8_t squares;             /* 1 if the groups of a dense layer of pixels may be squares of 2 x 2 of them, in rows
                                    of up to 32 */
    uint8_t rows;                /* how it takes convolutions */
    uint16_t small_block;        /* for layers of no more outputs than this, ... */
    uint16_t block;              /* ... and for all others */
    size_t (*scratch_bytes)(const edgemnist_model *model);
    /* Writes the last layer's outputs, [images][outputs]. Scratch needs an alignment of 64 bytes. */
    void (*run)(const edgemnist_model *model, const uint8_t *images, size_t count, uint8_t *scores, void *scratch);
    /* The same, not necessarily one image after the other. */
    void (*run_batch)(const edgemnist_model *model, const uint8_t *images, size_t count, uint8_t *scores,
                      void *scratch);
} edgemnist_kernel;

/* Kernels that this processor can run, the fastest first; NULL beyond the last. The portable one is always there. */
const edgemnist_kernel *edgemnist_kernel_at(size_t index);
#endif /* EDGEMNIST_AMALGAMATION */

#endif
