/* The forward pass around one kernel's arithmetic. A kernel's file includes this after it has defined
 *
 *   KERNEL(name)       the name of a function of its own
 *   TARGET             attributes of its functions, such as the instruction set
 *   GROUP              inputs whose weights for one output lie side by side
 *   BLOCK, AT_ONCE     outputs of a block, and blocks that are computed at once for a single image
 *   ALIGNMENT          of the numbers and of the lists, in bytes
 *   TOGETHER           images whose lists are made at once, so that a block of weights is read once for all of them
 *   KERNEL(list)       writes the groups that are not zero to a kernel_list, and returns how many
 *   KERNEL(sums)       adds up bias and weights * inputs of a list for some blocks of outputs
 *   KERNEL(requantize) as edgemnist_requantize
 *   kernel_list        what stands for the input: LIST_BYTES(groups) of scratch
 */
#include "engine.h"
#include "softmax.h"

#define ROUND_UP(value, step) (((value) + (step)-1U) / (step) * (step))
/* Bytes of the numbers of one layer, and of one list. */
#define LEVELS_BYTES(inputs_or_outputs) ROUND_UP((size_t)(inputs_or_outputs), ALIGNMENT)
#define WHOLE_LIST_BYTES(inputs) ROUND_UP((size_t)LIST_BYTES(ROUND_UP((size_t)(inputs), GROUP) / GROUP), ALIGNMENT)

/* Room for the outputs of any layer, or for an image whose pixels become other numbers. */
static size_t KERNEL(levels_bytes)(const edgemnist_model *model)
{
    const size_t outputs = model->most_outputs;
    return LEVELS_BYTES(model->pixel_map != NULL && outputs < EDGEMNIST_PIXELS ? EDGEMNIST_PIXELS : outputs);
}

#ifndef EDGEMNIST_AMALGAMATION
static size_t KERNEL(scratch_bytes)(const edgemnist_model *model, size_t images)
{
    const size_t together = images < TOGETHER ? images : TOGETHER;
    return together * (2U * KERNEL(levels_bytes)(model) + WHOLE_LIST_BYTES(model->most_inputs));
}
#endif /* EDGEMNIST_AMALGAMATION */

static void KERNEL(look_up)(const uint8_t *map, const uint8_t *from, uint8_t *to, size_t count)
{
    for (size_t i = 0; i < count; ++i) {
        to[i] = map[from[i]];
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

/* Runs up to TOGETHER images through all layers. */
TARGET static void KERNEL(forward)(const edgemnist_model *model, const uint8_t *images, size_t count, uint8_t *scores,
                                   uint8_t *scratch)
{
    const size_t levels_bytes = KERNEL(levels_bytes)(model);
    const size_t list_bytes = WHOLE_LIST_BYTES(model->most_inputs);
    uint8_t *const lists = scratch;
    /* Layers write to the two halves in turn: image by image, first the one half, then the other. */
    uint8_t *const levels = scratch + count * list_bytes;
    size_t found[TOGETHER];
    int32_t sums[AT_ONCE * BLOCK];
    const uint8_t *inputs = images;
    size_t input_step = EDGEMNIST_PIXELS;

    if (model->pixel_map != NULL) {
        for (size_t image = 0; image < count; ++image) {
            KERNEL(look_up)(model->pixel_map, images + image * EDGEMNIST_PIXELS,
                            levels + (2U * image + 1U) * levels_bytes, EDGEMNIST_PIXELS);
        }
        inputs = levels + levels_bytes;
        input_step = 2U * levels_bytes;
    }
    for (size_t index = 0; index < model->layer_count; ++index) {
        const edgemnist_layer *const layer = &model->layers[index];
        uint8_t *const outputs = levels + (index % 2U) * levels_bytes;
        const size_t blocks = layer->blocks;
        /* A single image is fastest with as many sums as there are registers, several with few weights at a time. */
        const size_t step = count > 1U ? 1U : AT_ONCE;

        for (size_t image = 0; image < count; ++image) {
            found[image] = KERNEL(list)(inputs + image * input_step, layer->inputs, lists + image * list_bytes);
        }
        for (size_t block = 0; block < blocks; block += step) {
            const size_t some = blocks - block < step ? blocks - block : step;
            for (size_t image = 0; image < count; ++image) {
                const uint8_t *const list = lists + image * list_bytes;
                KERNEL(sums)(layer, block, some, inputs + image * input_step, list, found[image], sums);
                KERNEL(requantize)(layer, block * layer->block, some * layer->block, sums,
                                   outputs + image * 2U * levels_bytes);
            }
        }
        for (size_t image = 0; image < count; ++image) {
            KERNEL(finish)(layer, outputs + image * 2U * levels_bytes);
        }
        inputs = outputs;
        input_step = 2U * levels_bytes;
    }
    const size_t classes = model->layers[model->layer_count - 1U].outputs;
    for (size_t image = 0; image < count; ++image) {
        for (size_t i = 0; i < classes; ++i) {
            scores[image * classes + i] = inputs[image * input_step + i];
        }
    }
}

#ifndef EDGEMNIST_AMALGAMATION
static void KERNEL(run)(const edgemnist_model *model, const uint8_t *images, size_t count, uint8_t *scores,
                        void *scratch)
{
    const size_t classes = model->layers[model->layer_count - 1U].outputs;
    for (size_t first = 0; first < count; first += TOGETHER) {
        const size_t some = count - first < TOGETHER ? count - first : TOGETHER;
        KERNEL(forward)(model, images + first * EDGEMNIST_PIXELS, some, scores + first * classes, scratch);
    }
}
#endif /* EDGEMNIST_AMALGAMATION */
