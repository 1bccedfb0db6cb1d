/* Runs networks from a file through every kernel of this processor, and compares: driver FILE.
 *
 * The file is what `stream.py` writes. Weights are packed here, by other code than the product's, and every array and
 * the scratch memory are exactly as large as the engine asks for, so that a sanitizer sees a step beyond.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

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

static uint32_t number(size_t bytes)
{
    uint8_t *const raw = take(bytes);
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; ++i) {
        value |= (uint32_t)raw[i] << (8U * i);
    }
    free(raw);
    return value;
}

typedef struct {
    uint32_t inputs, outputs, zero_point, low, high, exponential_count;
    int8_t *weights;
    int64_t *bias;
    int32_t *multiplier;
    uint8_t *shift, *map, *softmax_map;
    int32_t *exponentials;
    uint32_t wide;
} plain_layer;

static void *padded(const void *from, size_t count, size_t whole, size_t item)
{
    uint8_t *const to = room(whole * item);
    memset(to, 0, whole * item);
    memcpy(to, from, count * item);
    return to;
}

static void prepare(const plain_layer *plain, const edgemnist_kernel *kernel, edgemnist_layer *layer)
{
    const size_t block = plain->outputs <= kernel->small_block ? kernel->small_block : kernel->block;
    const size_t blocks = (plain->outputs + block - 1) / block;
    const size_t groups = (plain->inputs + kernel->group - 1U) / kernel->group;
    const size_t whole = blocks * block;
    int8_t *const weights = room(whole * groups * kernel->group);
    int32_t *const bias = room(whole * sizeof *bias);
    uint8_t *shift = room(whole);
    for (size_t o = 0; o < whole; ++o) {
        for (size_t i = 0; i < groups * kernel->group; ++i) {
            int value = o < plain->outputs && i < plain->inputs ? plain->weights[o * plain->inputs + i] : 0;
            if (kernel->unsigned_weights) {
                value = value + 128 > 127 ? value + 128 - 256 : value + 128;
            }
            weights[((o / block * groups + i / kernel->group) * block + o % block) * kernel->group +
                    i % kernel->group] = (int8_t)value;
        }
        bias[o] = o < plain->outputs && !plain->wide ? (int32_t)plain->bias[o] : 0;
        shift[o] = o < plain->outputs ? plain->shift[o] : 1;
    }
    *layer = (edgemnist_layer){
        .weights = weights,
        .bias = bias,
        .wide_bias = plain->wide ? padded(plain->bias, plain->outputs, whole, sizeof(int64_t)) : NULL,
        .multiplier = padded(plain->multiplier, plain->outputs, whole, sizeof(int32_t)),
        .shift = shift,
        .map = plain->map,
        .exponentials = plain->exponentials,
        .softmax_map = plain->softmax_map,
        .exponential_count = (uint16_t)plain->exponential_count,
        .inputs = (uint16_t)plain->inputs,
        .outputs = (uint16_t)plain->outputs,
        .block = (uint16_t)block,
        .blocks = (uint16_t)blocks,
        .zero_point = (uint8_t)plain->zero_point,
        .low = (uint8_t)plain->low,
        .high = (uint8_t)plain->high,
    };
}

static void release(edgemnist_layer *layer)
{
    free((void *)(uintptr_t)layer->weights);
    free((void *)(uintptr_t)layer->bias);
    free((void *)(uintptr_t)layer->wide_bias);
    free((void *)(uintptr_t)layer->multiplier);
    free((void *)(uintptr_t)layer->shift);
}

static size_t differing(const edgemnist_kernel *kernel, const edgemnist_model *model, const uint8_t *images,
                        size_t count, const uint8_t *expected, size_t classes, size_t at_once)
{
    size_t found = 0;
    for (size_t first = 0; first < count; first += at_once) {
        const size_t some = count - first < at_once ? count - first : at_once;
        void *const scratch = room(kernel->scratch_bytes(model));
        uint8_t *const mine = padded(images + first * EDGEMNIST_PIXELS, some, some, EDGEMNIST_PIXELS);
        uint8_t *const scores = room(some * classes);
        /* What an earlier call left behind must not matter. */
        memset(scratch, 0xA5, kernel->scratch_bytes(model));
        kernel->run(model, mine, some, scores, scratch);
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
    file = argc == 2 ? fopen(argv[1], "rb") : NULL;
    if (file == NULL) {
        return 2;
    }
    for (uint32_t layers = number(2); layers != 0; layers = number(2)) {
        uint8_t *const pixel_map = number(1) ? take(256) : NULL;
        plain_layer *const plain = room(layers * sizeof *plain);
        for (uint32_t i = 0; i < layers; ++i) {
            plain_layer *const one = &plain[i];
            one->inputs = number(2);
            one->outputs = number(2);
            one->zero_point = number(1);
            one->low = number(1);
            one->high = number(1);
            one->wide = number(1);
            one->weights = take((size_t)one->inputs * one->outputs);
            one->bias = take(one->outputs * sizeof(int64_t));
            one->multiplier = take(one->outputs * sizeof(int32_t));
            one->shift = take(one->outputs);
            one->map = number(1) ? take(256) : NULL;
            one->exponential_count = number(2);
            one->exponentials = one->exponential_count ? take(one->exponential_count * sizeof(int32_t)) : NULL;
            one->softmax_map = number(1) ? take(256) : NULL;
        }
        const size_t count = number(4), classes = plain[layers - 1].outputs;
        uint8_t *const images = take(count * EDGEMNIST_PIXELS);
        uint8_t *const expected = take(count * classes);
        const edgemnist_kernel *kernel;
        for (size_t k = 0; (kernel = edgemnist_kernel_at(k)) != NULL; ++k) {
            uint16_t most_inputs = 0, most_outputs = 0;
            edgemnist_layer *const ready = room(layers * sizeof *ready);
            for (uint32_t i = 0; i < layers; ++i) {
                prepare(&plain[i], kernel, &ready[i]);
                const size_t outputs = (size_t)ready[i].blocks * ready[i].block;
                most_inputs = ready[i].inputs > most_inputs ? ready[i].inputs : most_inputs;
                most_outputs = outputs > most_outputs ? (uint16_t)outputs : most_outputs;
            }
            const edgemnist_model model = {pixel_map, ready, (uint16_t)layers, most_inputs, most_outputs};
            wrong[k] += differing(kernel, &model, images, count, expected, classes, 1);
            wrong[k] += differing(kernel, &model, images, count, expected, classes, 21);
            for (uint32_t i = 0; i < layers; ++i) {
                release(&ready[i]);
            }
            free(ready);
        }
        ++networks;
        images_seen += count;
        for (uint32_t i = 0; i < layers; ++i) {
            free(plain[i].weights);
            free(plain[i].bias);
            free(plain[i].multiplier);
            free(plain[i].shift);
            free(plain[i].map);
            free(plain[i].exponentials);
            free(plain[i].softmax_map);
        }
        free(plain);
        free(pixel_map);
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
