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
    uint32_t inputs, outputs, zero_point, low, high, exponential_count, sums, wide, twice, windowed;
    uint32_t height, width, channels, out_height, out_width, sides[8];
    int8_t *weights;
    int64_t *bias;
    int32_t *multiplier;
    uint8_t *shift, *map, *softmax_map;
    int32_t *exponentials;
} plain_layer;

enum { KERNEL_HEIGHT, KERNEL_WIDTH, STRIDE_HEIGHT, STRIDE_WIDTH, TOP, LEFT, KIND, ZERO };

static void *padded(const void *from, size_t count, size_t whole, size_t item)
{
    uint8_t *const to = room(whole * item);
    memset(to, 0, whole * item);
    memcpy(to, from, count * item);
    return to;
}

static int8_t *packed(const plain_layer *plain, const edgemnist_kernel *kernel, size_t squares, size_t block,
                      size_t blocks)
{
    const size_t groups = (plain->inputs + kernel->group - 1U) / kernel->group;
    int8_t *const weights = room(blocks * block * groups * kernel->group);
    for (size_t o = 0; o < blocks * block; ++o) {
        for (size_t i = 0; i < groups * kernel->group; ++i) {
            const size_t square = i / 4U, corner = i % 4U;
            const size_t across = squares / 2U + (squares == 0U);
            const size_t row = 2U * (square / across) + corner / 2U, column = 2U * (square % across) + corner % 2U;
            const size_t input = squares ? row * squares + column : i;
            int value = o < plain->outputs && input < plain->inputs ? plain->weights[o * plain->inputs + input] : 0;
            const size_t group = o / block * groups + i / kernel->group;
            size_t place = (group * block + o % block) * kernel->group + i % kernel->group;
            if (kernel->weights == EDGEMNIST_PAIRED) {
                place = ((group * (block / 2U) + o % block / 2U) * kernel->group + i % kernel->group) * 2U + o % 2U;
            }
            if (kernel->weights == EDGEMNIST_UNSIGNED || (kernel->weights == EDGEMNIST_PAIRED && o % 2U == 0U)) {
                value = value + 128 > 127 ? value + 128 - 256 : value + 128;
            }
            weights[place] = (int8_t)value;
        }
    }
    return weights;
}

static void prepare(const plain_layer *plain, const edgemnist_kernel *kernel, size_t row, edgemnist_layer *layer)
{
    const size_t block = plain->outputs <= kernel->small_block ? kernel->small_block : kernel->block;
    const size_t blocks = (plain->outputs + block - 1) / block;
    const size_t whole = blocks * block;
    const int summed = !plain->windowed || plain->sides[KIND] == EDGEMNIST_CONVOLUTION;
    *layer = (edgemnist_layer){
        .map = plain->map,
        .exponentials = plain->exponentials,
        .softmax_map = plain->softmax_map,
        .exponential_count = (uint16_t)plain->exponential_count,
        .inputs = summed ? plain->inputs : 0,
        .outputs = plain->outputs,
        .block = (uint16_t)block,
        .blocks = (uint32_t)blocks,
        .zero_point = (uint8_t)plain->zero_point,
        .low = (uint8_t)plain->low,
        .high = (uint8_t)plain->high,
        .rounds_twice = (uint8_t)plain->twice,
        .weight_bits = 8,
    };
    if (summed) {
        layer->weights = packed(plain, kernel, kernel->squares ? row : 0, block, blocks);
    } else if (plain->weights != NULL) {
        layer->weights = padded(plain->weights, plain->inputs * plain->outputs, plain->inputs * plain->outputs, 1);
    }
    if (plain->sums) {
        int32_t *const bias = room(whole * sizeof *bias);
        uint8_t *const shift = room(whole);
        for (size_t o = 0; o < whole; ++o) {
            bias[o] = o < plain->outputs && !plain->wide ? (int32_t)plain->bias[o] : 0;
            shift[o] = o < plain->outputs ? plain->shift[o] : 1;
        }
        layer->bias = bias;
        layer->shift = shift;
        layer->wide_bias = plain->wide ? padded(plain->bias, plain->outputs, whole, sizeof(int64_t)) : NULL;
        layer->multiplier = padded(plain->multiplier, plain->outputs, whole, sizeof(int32_t));
    }
}

/* Places all outputs behind each other, each with as much room as it needs and no more. */
static size_t lay_out(const plain_layer *plain, size_t count, edgemnist_layer *layers, edgemnist_window *windows)
{
    size_t end = 0;
    for (size_t i = 0; i < count; ++i) {
        const plain_layer *const one = &plain[i];
        const size_t whole = one->sums ? (size_t)layers[i].blocks * layers[i].block : one->outputs;
        const plain_layer *const next = i + 1 < count && plain[i + 1].windowed ? one + 1 : NULL;
        layers[i].place = (uint32_t)end;
        if (!one->windowed) {
            end += (whole + 63) / 64 * 64;
            continue;
        }
        const size_t last = next == NULL ? one->outputs : whole;
        const size_t row = (one->out_width - 1) * one->outputs + last;
        const size_t kept = next != NULL && next->sides[KERNEL_HEIGHT] < one->out_height ? next->sides[KERNEL_HEIGHT]
                                                                                         : one->out_height;
        windows[i] = (edgemnist_window){
            (uint32_t)row, one->channels, (uint16_t)kept, (uint16_t)one->height, (uint16_t)one->width,
            (uint16_t)one->out_height, (uint16_t)one->out_width, (uint16_t)one->sides[KERNEL_HEIGHT],
            (uint16_t)one->sides[KERNEL_WIDTH], (uint8_t)one->sides[STRIDE_HEIGHT], (uint8_t)one->sides[STRIDE_WIDTH],
            (uint8_t)one->sides[TOP], (uint8_t)one->sides[LEFT], (uint8_t)one->sides[KIND], (uint8_t)one->sides[ZERO],
        };
        end += (kept * row + whole - last + 63) / 64 * 64;
    }
    return end;
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
        uint8_t *const mine = padded(images + first * model->inputs, some, some, model->inputs);
        uint8_t *const scores = room(some * classes);
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
    uint8_t same[256];
    for (size_t i = 0; i < 256; ++i) {
        same[i] = (uint8_t)i;
    }
    file = argc == 2 ? fopen(argv[1], "rb") : NULL;
    if (file == NULL) {
        return 2;
    }
    for (uint32_t layers = number(2); layers != 0; layers = number(2)) {
        const uint32_t inputs = number(4), row = number(2), maps = number(2);
        uint8_t *const pixel_map = maps ? take(maps * 256) : NULL;
        plain_layer *const plain = room(layers * sizeof *plain);
        uint32_t windows = 0;
        for (uint32_t i = 0; i < layers; ++i) {
            plain_layer *const one = &plain[i];
            memset(one, 0, sizeof *one);
            one->outputs = number(4);
            one->zero_point = number(1);
            one->low = number(1);
            one->high = number(1);
            one->windowed = number(1);
            if (one->windowed) {
                ++windows;
                one->height = number(2);
                one->width = number(2);
                one->channels = number(4);
                one->out_height = number(2);
                one->out_width = number(2);
                for (size_t k = 0; k < 8; ++k) {
                    one->sides[k] = number(k <= KERNEL_WIDTH ? 2 : 1);
                }
            }
            one->inputs = number(4);
            one->sums = number(1);
            one->weights = one->inputs ? take((size_t)one->inputs * one->outputs) : NULL;
            if (one->sums) {
                one->wide = number(1);
                one->twice = number(1);
                one->bias = take(one->outputs * sizeof(int64_t));
                one->multiplier = take(one->outputs * sizeof(int32_t));
                one->shift = take(one->outputs);
            }
            one->map = number(1) ? take(256) : NULL;
            one->exponential_count = number(2);
            one->exponentials = one->exponential_count ? take(one->exponential_count * sizeof(int32_t)) : NULL;
            one->softmax_map = number(1) ? take(256) : NULL;
        }
        const size_t count = number(4), classes = number(2);
        uint8_t *const images = take(count * inputs);
        uint8_t *const expected = take(count * classes);
        const edgemnist_kernel *kernel;
        for (size_t k = 0; (kernel = edgemnist_kernel_at(k)) != NULL; ++k) {
            uint32_t most_inputs = 0, patch = 0;
            edgemnist_layer *const ready = room(layers * sizeof *ready);
            edgemnist_window *const sliding = room(windows * sizeof *sliding);
            for (uint32_t i = 0; i < layers; ++i) {
                prepare(&plain[i], kernel, i == 0 ? row : 0, &ready[i]);
                most_inputs = ready[i].inputs > most_inputs ? ready[i].inputs : most_inputs;
                patch = plain[i].windowed && ready[i].inputs > patch ? ready[i].inputs : patch;
            }
            const size_t end = lay_out(plain, layers, ready, sliding);
            /* A kernel reads whole groups of a dense layer's inputs. */
            const int copied = pixel_map == NULL && windows == 0 && inputs % kernel->group != 0;
            const edgemnist_model model = {
                .pixel_map = copied ? same : pixel_map,
                .pixel_maps = (uint16_t)(copied ? 1 : maps),
                .inputs = inputs,
                .row = (uint16_t)(kernel->squares ? row : 0),
                .layers = ready,
                .windows = sliding,
                .arena_bytes = (uint32_t)(end + (copied || pixel_map != NULL ? (inputs + 3) / 4 * 4 : 0)),
                .image_place = (uint32_t)end,
                .layer_count = (uint16_t)layers,
                .window_count = (uint16_t)windows,
                .most_inputs = most_inputs,
                .patch_bytes = patch,
                .classes = (uint16_t)classes,
            };
            wrong[k] += differing(kernel, &model, images, count, expected, classes, 1);
            wrong[k] += differing(kernel, &model, images, count, expected, classes, 21);
            for (uint32_t i = 0; i < layers; ++i) {
                release(&ready[i]);
            }
            free(sliding);
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
