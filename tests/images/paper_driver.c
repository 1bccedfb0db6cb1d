/* Light and ink of pictures of chance, with memory of exactly the size asked for: paper_driver WIDTH HEIGHT SEED.
 *
 * Writes the picture, the numbers of its light, and its ink taken as dark and as bright. */
#include <stdio.h>
#include <stdlib.h>

#include "paper_library.c"

int main(int count, char **given)
{
    if (count != 4) {
        return 2;
    }
    const uint32_t width = (uint32_t)atoi(given[1]), height = (uint32_t)atoi(given[2]);
    const size_t size = (size_t)width * height;
    uint64_t state = (uint64_t)atoi(given[3]) * 2U + 1U;
    uint8_t *const grey = malloc(size), *const ink = malloc(size), *const scratch = malloc(EDGEMNIST_PAPER_BYTES);
    edgemnist_light light;
    for (size_t i = 0; i < size; ++i) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        grey[i] = (uint8_t)((state >> 56) / 8U + (i % width / 32U * 97U + i / width / 32U * 61U) % 224U);
    }
    edgemnist_paper_light(grey, width, height, &light, scratch);
    fwrite(grey, 1, size, stdout);
    fwrite(&light, sizeof light, 1, stdout);
    for (uint32_t dark = 0; dark < 2U; ++dark) {
        edgemnist_paper_ink(grey, width, height, dark, ink, scratch);
        fwrite(ink, 1, size, stdout);
    }
    free(grey);
    free(ink);
    free(scratch);
    return 0;
}
