/* Runs networks from a file through every kernel of this processor, and compares: driver FILE. Without a file it prints
 * what each kernel wants of a network: its name, group, small block, block, form of weights, whether it takes squares, and how
 * it takes convolutions.
 *
 * The file is what `networks.py` writes. Every array and the scratch memory are exactly as large as the engine asks for, so
 * that a sanitizer sees a step beyond.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "fields.h" /* Of each structure: how many pointers and numbers it has, and what fills it, in their order. */

static FILE *file;

static void *room(size_t bytes)
{
    void *memory = NULL;
    /* Sizes that are not multiples of the alignment are kept: the end must be the end. */
    if (posix_memalign(&memory, 64, bytes ? bytes : 1) != 0) {
        exit(3);
    }
    return memory;
}

static void *take(size_t bytes)
{
    void *memory = room(bytes);
    if (fread(memory, 1, bytes, file) != bytes) {
        fprintf(stderr, "the file ends early\n");
        exit(3);
    }
    return memory;
}

static uint32_t number(void)
{
    uint8_t *const raw = take(4);
    const uint32_t value = raw[0] | (uint32_t)raw[1] << 8 | (uint32_t)raw[2] << 16 | (uint32_t)raw[3] << 24;
    free(raw);
    return value;
}

static void *array(void)
{
    const uint32_t bytes = number();
    return bytes ? take(bytes) : NULL;
}

static void arrays(void **to, size_t count)
{
    for (size_t i = 0; i < count; ++i) {
        to[i] = array();
    }
}

static void numbers(uint32_t *to, size_t count)
{
    for (size_t i = 0; i < count; ++i) {
        to[i] = number();
    }
}

static size_t differing(const edgemnist_kernel *kernel, const edgemnist_model *model, const uint8_t *images,
                        size_t count, const uint8_t *expected, size_t at_once)
{
    const size_t classes = model->classes;
    size_t found = 0;
    for (size_t first = 0; first < count; first += at_once) {
        const size_t some = count - first < at_once ? count - first : at_once;
        void *const scratch = room(kernel->scratch_bytes(model));
        uint8_t *const mine = room(some * model->inputs);
        uint8_t *const scores = room(some * classes);
        memcpy(mine, images + first * model->inputs, some * model->inputs);
        /* What an earlier call left behind must not matter. */
        memset(scratch, 0xA5, kernel->scratch_bytes(model));
        (at_once == 1U ? kernel->run : kernel->run_batch)(model, mine, some, scores, scratch);
        for (size_t i = 0; i < some; ++i) {
            found += memcmp(scores + i * classes, expected + (first + i) * classes, classes) != 0;
        }
        free(scores);
        free(mine);
        free(scratch);
    }
    return found;
}

int main(int argc, char **argv)
{
    size_t wrong[8] = {0}, networks = 0, images_seen = 0;
    const edgemnist_kernel *kernel;
    if (argc < 2) {
        for (size_t k = 0; (kernel = edgemnist_kernel_at(k)) != NULL; ++k) {
            printf("%s %u %u %u %u %u %u\n", kernel->name, kernel->group, kernel->small_block, kernel->block,
                   kernel->weights, kernel->squares, kernel->rows);
        }
        return 0;
    }
    file = fopen(argv[1], "rb");
    if (file == NULL) {
        return 2;
    }
    for (uint32_t count = number(); count != 0; count = number()) {
        uint8_t *const images = array(), *const expected = array();
        for (size_t k = 0; (kernel = edgemnist_kernel_at(k)) != NULL; ++k) {
            void *pointers[LAYER_POINTERS > 3 ? LAYER_POINTERS : 3];
            uint32_t values[64];
            edgemnist_model model;
            pointers[0] = array();
            numbers(values, MODEL_NUMBERS);
            fill_model(&model, pointers, values);
            edgemnist_layer *const layers = room(model.layer_count * sizeof *layers);
            edgemnist_window *const windows = room(model.window_count * sizeof *windows);
            void **const kept = room(model.layer_count * LAYER_POINTERS * sizeof *kept);
            for (size_t i = 0; i < model.layer_count; ++i) {
                arrays(kept + i * LAYER_POINTERS, LAYER_POINTERS);
                numbers(values, LAYER_NUMBERS);
                fill_layer(&layers[i], kept + i * LAYER_POINTERS, values);
            }
            for (size_t i = 0; i < model.window_count; ++i) {
                numbers(values, WINDOW_NUMBERS);
                fill_window(&windows[i], NULL, values);
            }
            model.layers = layers;
            model.windows = windows;
            wrong[k] += differing(kernel, &model, images, count, expected, 1);
            wrong[k] += differing(kernel, &model, images, count, expected, 21);
            for (size_t i = 0; i < model.layer_count * LAYER_POINTERS; ++i) {
                free(kept[i]);
            }
            free(kept);
            free(windows);
            free(layers);
            free(pointers[0]);
        }
        ++networks;
        images_seen += count;
        free(images);
        free(expected);
    }
    fclose(file);
    for (size_t k = 0; edgemnist_kernel_at(k) != NULL; ++k) {
        printf("%s %lu %lu %lu\n", edgemnist_kernel_at(k)->name, (unsigned long)networks, (unsigned long)images_seen,
               (unsigned long)wrong[k]);
    }
    return 0;
}
