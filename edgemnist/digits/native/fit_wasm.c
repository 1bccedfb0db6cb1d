/* What the WebAssembly module offers to a page of digits, see edgemnist/digits/page/digit.js. */
#include "fit.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT size_t edgemnist_fit_bytes(uint32_t width, uint32_t height);
EXPORT int edgemnist_find(const uint8_t *picture, uint32_t width, uint32_t height, uint8_t *image,
                          edgemnist_found *found, void *scratch);

EXPORT size_t edgemnist_fit_bytes(uint32_t width, uint32_t height)
{
    return EDGEMNIST_FIT_BYTES(width, height);
}

/* `edgemnist_fit`, which is not seen from outside itself. */
EXPORT int edgemnist_find(const uint8_t *picture, uint32_t width, uint32_t height, uint8_t *image,
                          edgemnist_found *found, void *scratch)
{
    return edgemnist_fit(picture, width, height, image, found, scratch);
}
