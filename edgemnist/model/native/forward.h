/* The forward pass around one kernel's arithmetic. A kernel's file includes this after it has defined
 *
 *   KERNEL(name)       the name of a function of its own
 *   TARGET             attributes of its functions, such as the instruction set
 *   GROUP              inputs whose weights for one output lie side by side
 *   BLOCK, AT_ONCE     outputs of a block, and blocks that are computed at once
 *   ALIGNMENT          of the numbers and of the lists, in bytes
 *   KERNEL(list)       writes the groups that are not zero to a kernel_list, and returns how many
 *   KERNEL(sums)       adds up bias and weights * inputs of a list for some blocks of outputs
 *   KERNEL(requantize) as edgemnist_requantize, and with convolve.h KERNEL(requantize_places)
 *   kernel_list        what stands for the input: LIST_BYTES(groups) of scratch
 *
 * and perhaps
 *
 *   SQUARES            where KERNEL(list_squares) lists squares of pixels for a dense layer of them, see `row`
 *   TILE, TILE_IMAGES  blocks whose weights stay in the fastest cache for so many images, in batches
 */
#include "engine.h"
#include "softmax.h"

#define ROUND_UP(value, step) (((value) + (step)-1U) / (step) * (step))
/* Bytes of the numbers of one layer, and of one list. */
#define LEVELS_BYTES(inputs_or_outputs) ROUND_UP((size_t)(inputs_or_outputs), ALIGNMENT)
#define WHOLE_LIST_BYTES(inputs) ROUND_UP((size_t)LIST_BYTES(ROUND_UP((size_t)(inputs), GROUP) / GROUP), ALIGNMENT)

/* Bytes behind a patch that may be written, see KERNEL(copy). */
#ifdef EDGEMNIST_AMALGAMATION
#define PATCH_SLACK 0U
#else
#define PATCH_SLACK 15U
#endif
/* Scratch memory: a list, a patch, how many rows of each image there are and who asked for one, and the arena. */
#define PATCH_PLACE(model) WHOLE_LIST_BYTES((model)->most_inputs)
#define ROWS_PLACE(model) (PATCH_PLACE(model) + LEVELS_BYTES((model)->patch_bytes + PATCH_SLACK))
#define ARENA_PLACE(model) (ROWS_PLACE(model) + LEVELS_BYTES((model)->window_count * 2U * sizeof(uint16_t)))

#ifndef EDGEMNIST_AMALGAMATION
#define IMAGE_BYTES(model) (ARENA_PLACE(model) + LEVELS_BYTES((model)->arena_bytes))

static size_t KERNEL(scratch_bytes)(const edgemnist_model *model)
{
#ifdef TILE
    if (model->window_count == 0U) { /* see KERNEL(run_batch) */
        return IMAGE_BYTES(model) * TILE_IMAGES;
    }
#endif
    return IMAGE_BYTES(model);
}
#endif /* EDGEMNIST_AMALGAMATION */

static void KERNEL(look_up)(const uint8_t *map, const uint8_t *from, uint8_t *to, size_t count)
{
    for (size_t i = 0; i < count; ++i) {
        to[i] = map[from[i]];
    }
}

/* Bytes of an input become the numbers that the first layer takes. */
static void KERNEL(map_input)(const edgemnist_model *model, const uint8_t *from, uint8_t *to)
{
    const size_t inputs = model->inputs, maps = model->pixel_maps;
    for (size_t channel = 0; channel < maps; ++channel) {
        const uint8_t *const map = model->pixel_map + 256U * channel;
        for (size_t i = channel; i < inputs; i += maps) {
            to[i] = map[from[i]];
        }
    }
}

/* What follows the sums: a map, a softmax, another map. */
static void KERNEL(finish)(const edgemnist_layer *layer, uint8_t *outputs)
{
    if (layer->map != NULL) {
        KERNEL(look_up)(layer->map, outputs, outputs, layer->outputs);
    }
    if (layer->exponentials != NULL) {
        edgemnist_softmax(outputs, layer->outputs, layer->exponentials, layer->exponential_count);
    }
    if (layer->softmax_map != NULL) {
        KERNEL(look_up)(layer->softmax_map, outputs, outputs, layer->outputs);
    }
}

/* Lists the inputs of a dense layer; squares of pixels in rows of `row`, if that is not 0. */
TARGET static inline size_t KERNEL(list_inputs)(const edgemnist_layer *layer, size_t row, const uint8_t *inputs,
                                                void *list)
{
#ifdef SQUARES
    if (row != 0U) {
        return KERNEL(list_squares)(inputs, layer->inputs, row, list);
    }
#endif
    (void)row;
    return KERNEL(list)(inputs, layer->inputs, list);
}

/* Sums, rescaled, of one vector of inputs: all of a dense layer, and one place of a convolution. */
TARGET static inline void KERNEL(dense)(const edgemnist_layer *layer, const uint8_t *inputs, void *list, size_t found,
                                        int32_t *sums, uint8_t *outputs)
{
    for (size_t block = 0; block < layer->blocks; block += AT_ONCE) {
        const size_t left = layer->blocks - block;
        const size_t some = left < AT_ONCE ? left : AT_ONCE;
        KERNEL(sums)(layer, block, some, inputs, list, found, sums);
        KERNEL(requantize)(layer, block * layer->block, some * layer->block, sums, outputs);
    }
}

#ifndef EDGEMNIST_DENSE_ONLY
#include "windows.h"
#endif

/* Takes one image through all layers. */
TARGET static void KERNEL(forward)(const edgemnist_model *model, const uint8_t *image, uint8_t *scores,
                                   uint8_t *scratch)
{
    uint8_t *const list = scratch;
    uint8_t *const arena = scratch + ARENA_PLACE(model);
    int32_t sums[AT_ONCE * BLOCK];
    const uint8_t *inputs = image;

    if (model->pixel_map != NULL) {
        KERNEL(map_input)(model, image, arena + model->image_place);
        inputs = arena + model->image_place;
    }
#ifndef EDGEMNIST_DENSE_ONLY
    if (model->window_count != 0U) {
        inputs = KERNEL(slide)(model, inputs, sums, scratch);
    }
#endif
    for (size_t index = model->window_count; index < model->layer_count; ++index) {
        const edgemnist_layer *const layer = &model->layers[index];
        uint8_t *const outputs = arena + layer->place;
        const size_t found = KERNEL(list_inputs)(layer, index == 0U ? model->row : 0U, inputs, list);
        KERNEL(dense)(layer, inputs, list, found, sums, outputs);
        KERNEL(finish)(layer, outputs);
        inputs = outputs;
    }
#ifdef EDGEMNIST_AMALGAMATION
    for (size_t i = 0; i < model->classes; ++i) {
        scores[i] = inputs[i];
    }
#else
    __builtin_memcpy(scores, inputs, model->classes);
#endif
}

#ifndef EDGEMNIST_AMALGAMATION
static void KERNEL(run)(const edgemnist_model *model, const uint8_t *images, size_t count, uint8_t *scores,
                        void *scratch)
{
    for (size_t image = 0; image < count; ++image) {
        KERNEL(forward)(model, images + image * model->inputs, scores + image * model->classes, scratch);
    }
}

#ifdef TILE
/* Takes some images through a dense layer, a tile of weights after the other. */
TARGET static void KERNEL(dense_batch)(const edgemnist_layer *layer, size_t row, const uint8_t *const *inputs,
                                       size_t count, uint8_t *scratch, size_t image_bytes, uint8_t *const *outputs)
{
    size_t found[TILE_IMAGES];
    int32_t sums[TILE * BLOCK];
    for (size_t image = 0; image < count; ++image) {
        found[image] = KERNEL(list_inputs)(layer, row, inputs[image], scratch + image * image_bytes);
    }
    for (size_t block = 0; block < layer->blocks; block += TILE) {
        const size_t left = layer->blocks - block;
        const size_t some = left < TILE ? left : TILE;
        for (size_t image = 0; image < count; ++image) {
            KERNEL(sums)(layer, block, some, inputs[image], scratch + image * image_bytes, found[image], sums);
            KERNEL(requantize)(layer, block * layer->block, some * layer->block, sums, outputs[image]);
        }
    }
    for (size_t image = 0; image < count; ++image) {
        KERNEL(finish)(layer, outputs[image]);
    }
}

TARGET static void KERNEL(run_batch)(const edgemnist_model *model, const uint8_t *images, size_t count,
                                     uint8_t *scores, void *scratch)
{
    const size_t image_bytes = IMAGE_BYTES(model);
    const uint8_t *inputs[TILE_IMAGES];
    uint8_t *outputs[TILE_IMAGES];
    if (model->window_count != 0U) {
        KERNEL(run)(model, images, count, scores, scratch);
        return;
    }
    for (size_t begin = 0; begin < count; begin += TILE_IMAGES) {
        const size_t some = count - begin < TILE_IMAGES ? count - begin : TILE_IMAGES;
        for (size_t image = 0; image < some; ++image) {
            inputs[image] = images + (begin + image) * model->inputs;
            if (model->pixel_map != NULL) {
                uint8_t *const mapped = (uint8_t *)scratch + image * image_bytes + ARENA_PLACE(model) + model->image_place;
                KERNEL(map_input)(model, inputs[image], mapped);
                inputs[image] = mapped;
            }
        }
        for (size_t index = 0; index < model->layer_count; ++index) {
            const edgemnist_layer *const layer = &model->layers[index];
            for (size_t image = 0; image < some; ++image) {
                outputs[image] = (uint8_t *)scratch + image * image_bytes + ARENA_PLACE(model) + layer->place;
            }
            KERNEL(dense_batch)(layer, index == 0U ? model->row : 0U, inputs, some, scratch, image_bytes, outputs);
            for (size_t image = 0; image < some; ++image) {
                inputs[image] = outputs[image];
            }
        }
        for (size_t i = 0; i < some * model->classes; ++i) {
            scores[begin * model->classes + i] = inputs[i / model->classes][i % model->classes];
        }
    }
}
#endif /* TILE */
#endif /* EDGEMNIST_AMALGAMATION */
