/* What the shared library offers to Python: `edgemnist.digits.images.fitting`. */
#include "fit.h"

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

EXPORT int edgemnist_fit_picture(const uint8_t *picture, uint32_t width, uint32_t height, uint8_t *image,
                                 edgemnist_found *found, void *scratch);
EXPORT int edgemnist_fit_inked(const uint8_t *ink, uint32_t width, uint32_t height, uint8_t *image,
                               edgemnist_found *found, void *scratch);
EXPORT void edgemnist_fit_one(const uint8_t *ink, uint32_t width, uint32_t height, uint8_t *image, void *scratch);

/* Pictures, and ink of up to 1023 x 1023; scratch has room for any. */
EXPORT int edgemnist_fit_picture(const uint8_t *picture, uint32_t width, uint32_t height, uint8_t *image,
                                 edgemnist_found *found, void *scratch)
{
    return edgemnist_fit(picture, width, height, image, found, scratch);
}

EXPORT int edgemnist_fit_inked(const uint8_t *ink, uint32_t width, uint32_t height, uint8_t *image,
                               edgemnist_found *found, void *scratch)
{
    *found = (edgemnist_found){0};
    return edgemnist_fit_ink(ink, width, height, image, found, scratch);
}

EXPORT void edgemnist_fit_one(const uint8_t *ink, uint32_t width, uint32_t height, uint8_t *image, void *scratch)
{
    edgemnist_fit_digit(ink, width, height, image, scratch);
}
