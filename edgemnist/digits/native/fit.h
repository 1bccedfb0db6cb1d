/* From a picture of one digit to what the network takes: found, scaled and centred as MNIST's digits were.
 *
 * The same 28 x 28 bytes as `edgemnist.digits.images.normalize_digit` gives, in integers and without allocation.
 */
#ifndef EDGEMNIST_FIT_H
#define EDGEMNIST_FIT_H

#include <stddef.h>
#include <stdint.h>

/* What `edgemnist_fit` answers. */
#define EDGEMNIST_FITTED 0
#define EDGEMNIST_BLANK 1  /* there is nothing on the picture but its ground */
#define EDGEMNIST_UNEVEN 2 /* the ground is not plain white or black, as in a photograph */

#define EDGEMNIST_WORKING_SIDE 512U /* pictures of twice that and more are made smaller first */
#define EDGEMNIST_MAX_SIDE 65535U

/* Memory, in bytes, for a picture of this width and height. */
#define EDGEMNIST_FIT_SIDE(width, height) ((size_t)((width) > (height) ? (width) : (height)))
#define EDGEMNIST_FIT_WITHIN(side, most) ((side) < (most) ? (side) : (size_t)(most))
#define EDGEMNIST_FIT_BYTES_OF(side) (2U * (side) * (side) + 100U * (side) + 63000U + \
    4U * EDGEMNIST_FIT_WITHIN(side, 160U) * EDGEMNIST_FIT_WITHIN(side, 160U) + \
    8U * (EDGEMNIST_FIT_WITHIN(side, 160U) / 2U + 2U) * (EDGEMNIST_FIT_WITHIN(side, 160U) / 2U + 2U))
#define EDGEMNIST_FIT_BYTES(width, height) \
    EDGEMNIST_FIT_BYTES_OF(EDGEMNIST_FIT_WITHIN(EDGEMNIST_FIT_SIDE(width, height), 2U * EDGEMNIST_WORKING_SIDE - 1U))

/* Where a digit was, in pixels of the picture that was searched, which has `side` of them along its longer side. */
typedef struct {
    uint32_t left, top, width, height, side;
    uint32_t inverted; /* 1 for a digit darker than its ground */
    uint32_t several;  /* 1 where another piece as tall as a digit stands beside it */
} edgemnist_found;

/* Finds the digit in a picture, a byte a pixel, and writes it to `image`, white on black. `scratch` has
 * EDGEMNIST_FIT_BYTES(width, height) bytes, and sides are 1 to EDGEMNIST_MAX_SIDE. Returns one of the above. */
int edgemnist_fit(const uint8_t *picture, uint32_t width, uint32_t height, uint8_t image[784], edgemnist_found *found,
                  void *scratch);

/* The same for ink, 0 where there is none, of up to 1023 x 1023 pixels. */
int edgemnist_fit_ink(const uint8_t *ink, uint32_t width, uint32_t height, uint8_t image[784], edgemnist_found *found,
                      void *scratch);

/* The last step of both alone: the ink of one digit, of up to 1023 x 1023 pixels, as MNIST would have it. */
void edgemnist_fit_digit(const uint8_t *ink, uint32_t width, uint32_t height, uint8_t image[784], void *scratch);

#endif
