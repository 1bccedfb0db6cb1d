/* Convolutions, pooling and crops around one kernel's arithmetic: included by forward.h.
 *
 * A convolution is a dense layer at each place of its window: what the window covers becomes a patch, and the kernel
 * adds it up as it does any vector. Depthwise ones and pooling have few products, and are portable C with loops over
 * channels, for compilers to make vectors of.
 *
 * Rows are computed when the next layer needs them, and kept only as long as it does: a few rows of each image are in
 * memory, never whole images but the last.
 */
#include "engine.h"

/* Rows of an image, of which `kept` are there, row r at r % kept. */
typedef struct {
    const uint8_t *first;
    size_t row_bytes;
    size_t kept;
} KERNEL(rows);

/* Part of a window that lies on the image, along one side: from `begin` to before `end`, at `at` of the image. */
typedef struct {
    size_t begin;
    size_t end;
    size_t at;
} KERNEL(span);

static KERNEL(span) KERNEL(covered)(size_t place, size_t stride, size_t before, size_t kernel, size_t size)
{
    const size_t start = place * stride;
    const size_t begin = start < before ? before - start : 0U;
    const size_t at = start + begin - before;
    const size_t left = size - at;
    return (KERNEL(span)){begin, kernel - begin < left ? kernel : begin + left, at};
}

/* Copies what a window covers of one row. */
TARGET static inline void KERNEL(copy)(const uint8_t *from, uint8_t *to, size_t count, size_t readable)
{
#ifndef EDGEMNIST_AMALGAMATION
    /* A few bytes more, wherever there are some: loops of a few bytes take longer than all else. The next row, or what
     * follows a patch, is written later. */
    if (count + 15U <= readable) {
        for (size_t i = 0; i < count; i += 16U) {
            __builtin_memcpy(to + i, from + i, 16U);
        }
        return;
    }
#endif /* EDGEMNIST_AMALGAMATION */
    (void)readable;
    for (size_t i = 0; i < count; ++i) {
        to[i] = from[i];
    }
}

/* Copies what a window covers, [row][column][channel]. */
TARGET static void KERNEL(gather)(const edgemnist_window *window, const KERNEL(rows) * image, KERNEL(span) down,
                                  KERNEL(span) across, uint8_t *patch)
{
    const size_t channels = window->channels;
    const size_t row_bytes = window->kernel_width * channels;
    const size_t covered = (across.end - across.begin) * channels;
    const size_t image_bytes = image->kept * image->row_bytes;
    const int whole = covered == row_bytes && down.end - down.begin == window->kernel_height;
    size_t slot = down.at % image->kept;
    if (!whole) {
        for (size_t i = 0; i < window->kernel_height * row_bytes; ++i) {
            patch[i] = window->zero;
        }
        patch += down.begin * row_bytes + across.begin * channels;
    }
    for (size_t y = down.begin; y < down.end; ++y) {
        const size_t at = slot * image->row_bytes + across.at * channels;
        KERNEL(copy)(image->first + at, patch, covered, whole ? image_bytes - at : 0U);
        patch += row_bytes;
        slot = slot + 1U == image->kept ? 0U : slot + 1U;
    }
}

/* One weight of a depthwise convolution. */
TARGET static inline int32_t KERNEL(weight)(const edgemnist_layer *layer, size_t index)
{
#ifdef EDGEMNIST_PACKED
    /* Several a byte, the first in the lowest bits, as w + 8 or w + 2. */
    if (layer->weight_bits != 8U) {
        const size_t bit = index * layer->weight_bits;
        const int32_t half = 1 << (layer->weight_bits - 1U);
        const uint8_t byte = ((const uint8_t *)layer->weights)[bit / 8U];
        return (byte >> bit % 8U & (2 * half - 1)) - half;
    }
#endif
    return layer->weights[index];
}

/* Adds up, channel by channel, the products of weights and what the window covers, and rescales the sums; without
 * weights, what it covers. Or it finds the greatest number of each channel, or the mean. */
TARGET static void KERNEL(each_channel)(const edgemnist_layer *layer, const edgemnist_window *window,
                                        const KERNEL(rows) * image, KERNEL(span) down, KERNEL(span) across,
                                        int32_t *sums, uint8_t *outputs)
{
    const int32_t zero = window->zero;
    const int32_t count = (int32_t)((down.end - down.begin) * (across.end - across.begin));
    for (size_t first = 0; first < layer->outputs; first += layer->block) {
        const size_t left = layer->outputs - first;
        const size_t some = left < layer->block ? left : layer->block;
        size_t slot = down.at % image->kept;
        for (size_t o = 0; o < layer->block; ++o) {
            sums[o] = layer->bias != NULL ? layer->bias[first + o] : 0;
        }
        for (size_t y = down.begin; y < down.end; ++y) {
            const uint8_t *input = image->first + slot * image->row_bytes + across.at * window->channels + first;
            size_t weight = (y * window->kernel_width + across.begin) * layer->outputs + first;
            for (size_t x = across.begin; x < across.end; ++x) {
                if (window->kind == EDGEMNIST_MAXIMUM) {
                    for (size_t o = 0; o < some; ++o) {
                        sums[o] = input[o] > sums[o] ? input[o] : sums[o];
                    }
                } else if (layer->weights != NULL) {
                    for (size_t o = 0; o < some; ++o) {
                        sums[o] += (input[o] - zero) * KERNEL(weight)(layer, weight + o);
                    }
                } else {
                    for (size_t o = 0; o < some; ++o) {
                        sums[o] += input[o] - zero;
                    }
                }
                input += window->channels;
                weight += layer->outputs;
            }
            slot = slot + 1U == image->kept ? 0U : slot + 1U;
        }
        if (window->kind == EDGEMNIST_DEPTHWISE) {
            KERNEL(requantize)(layer, first, layer->block, sums, outputs);
            continue;
        }
        for (size_t o = 0; o < some; ++o) {
            int32_t value = sums[o];
            if (window->kind == EDGEMNIST_AVERAGE) {
                /* Halves away from zero, as a division cuts off towards it. */
                value = zero + (value > 0 ? value + count / 2 : value - count / 2) / count;
            }
            outputs[first + o] = (uint8_t)(value < layer->low ? layer->low : value > layer->high ? layer->high : value);
        }
    }
}

/* Computes one row of a layer's outputs. */
TARGET static void KERNEL(row)(const edgemnist_layer *layer, const edgemnist_window *window,
                               const KERNEL(rows) * image, size_t row, uint8_t *list, uint8_t *patch, int32_t *sums,
                               uint8_t *outputs)
{
    const KERNEL(span) down =
        KERNEL(covered)(row, window->stride_height, window->top, window->kernel_height, window->height);
    if (window->kind == EDGEMNIST_CROP) {
        const size_t slot = (row + window->kernel_height - 1U) % image->kept;
        const uint8_t *const from =
            image->first + slot * image->row_bytes + (window->kernel_width - 1U) * (size_t)window->channels;
        KERNEL(copy)(from, outputs, (size_t)window->out_width * window->channels, 0U);
    }
    for (size_t column = 0; column < window->out_width; ++column) {
        const KERNEL(span) across =
            KERNEL(covered)(column, window->stride_width, window->left, window->kernel_width, window->width);
        if (window->kind == EDGEMNIST_CONVOLUTION) {
            KERNEL(gather)(window, image, down, across, patch);
            KERNEL(dense)(layer, patch, list, KERNEL(list)(patch, layer->inputs, list), sums, outputs);
        } else if (window->kind != EDGEMNIST_CROP) {
            KERNEL(each_channel)(layer, window, image, down, across, sums, outputs);
        }
        KERNEL(finish)(layer, outputs);
        outputs += layer->outputs;
    }
}

/* Takes an image through all layers with windows; returns the last one's outputs. */
TARGET static const uint8_t *KERNEL(slide)(const edgemnist_model *model, const uint8_t *image, int32_t *sums,
                                           uint8_t *scratch)
{
    uint16_t *const made = (uint16_t *)(void *)(scratch + ROWS_PLACE(model)); /* rows of each layer's outputs */
    uint8_t *const arena = scratch + ARENA_PLACE(model);
    const size_t last = model->window_count - 1U;
    size_t index = last;
    for (size_t i = 0; i <= last; ++i) {
        made[i] = 0;
    }
    while (made[last] < model->windows[last].out_height) {
        const edgemnist_layer *const layer = &model->layers[index];
        const edgemnist_window *const window = &model->windows[index];
        const size_t row = made[index];
        KERNEL(rows) source = {image, (size_t)window->width * window->channels, window->height};
        if (index > 0U) {
            const edgemnist_window *const before = window - 1;
            const size_t end = row * window->stride_height + window->kernel_height;
            const size_t needed = end < (size_t)window->top + window->height ? end - window->top : window->height;
            if (made[index - 1U] < needed) {
                --index;
                continue;
            }
            source = (KERNEL(rows)){arena + model->layers[index - 1U].place, before->row_bytes, before->kept};
        }
        uint8_t *const outputs = arena + layer->place + row % window->kept * window->row_bytes;
        KERNEL(row)(layer, window, &source, row, scratch, scratch + PATCH_PLACE(model), sums, outputs);
        ++made[index];
        index += index < last;
    }
    return arena + model->layers[last].place;
}
