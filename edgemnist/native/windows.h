/* Convolutions and pooling around one kernel's arithmetic: included by forward.h.
 *
 * A convolution is a dense layer at each place of its window: what the window covers becomes a patch, and the kernel
 * adds it up as it does any vector. Depthwise ones and pooling have few products, and are portable C.
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

/* Copies what a window covers, [row][column][channel]. */
TARGET static void KERNEL(gather)(const edgemnist_window *window, const KERNEL(rows) * image, KERNEL(span) down,
                                  KERNEL(span) across, uint8_t *patch)
{
    const size_t channels = window->channels;
    const size_t before = across.begin * channels;
    const size_t covered = (across.end - across.begin) * channels;
    const size_t after = (window->kernel_width - across.end) * channels;
    size_t slot = down.at % image->kept;
    for (size_t y = 0; y < window->kernel_height; ++y) {
        if (y < down.begin || y >= down.end) {
            for (size_t i = 0; i < window->kernel_width * channels; ++i) {
                *patch++ = window->zero;
            }
            continue;
        }
        const uint8_t *const row = image->first + slot * image->row_bytes + across.at * channels;
        for (size_t i = 0; i < before; ++i) {
            *patch++ = window->zero;
        }
        for (size_t i = 0; i < covered; ++i) {
            *patch++ = row[i];
        }
        for (size_t i = 0; i < after; ++i) {
            *patch++ = window->zero;
        }
        slot = slot + 1U == image->kept ? 0U : slot + 1U;
    }
}

/* Adds up, channel by channel, the products of weights and what the window covers; without weights, what it covers. */
TARGET static void KERNEL(depthwise)(const edgemnist_layer *layer, const edgemnist_window *window,
                                     const KERNEL(rows) * image, KERNEL(span) down, KERNEL(span) across,
                                     int32_t *sums, uint8_t *outputs)
{
    for (size_t block = 0; block < layer->blocks; ++block) {
        const size_t first = block * layer->block;
        const size_t left = layer->outputs - first;
        const size_t some = left < layer->block ? left : layer->block;
        size_t slot = down.at % image->kept;
        for (size_t o = 0; o < layer->block; ++o) {
            sums[o] = layer->bias[first + o];
        }
        for (size_t y = down.begin; y < down.end; ++y) {
            const uint8_t *input = image->first + slot * image->row_bytes + across.at * window->channels + first;
            size_t weight = (y * window->kernel_width + across.begin) * layer->outputs + first;
            for (size_t x = across.begin; x < across.end; ++x) {
                for (size_t o = 0; o < some; ++o) {
                    sums[o] += (input[o] - window->zero) * (layer->weights != NULL ? layer->weights[weight + o] : 1);
                }
                input += window->channels;
                weight += layer->outputs;
            }
            slot = slot + 1U == image->kept ? 0U : slot + 1U;
        }
        KERNEL(requantize)(layer, first, layer->block, sums, outputs);
    }
}

/* The greatest number, or the mean, of each channel. */
TARGET static void KERNEL(pool)(const edgemnist_layer *layer, const edgemnist_window *window,
                                const KERNEL(rows) * image, KERNEL(span) down, KERNEL(span) across, uint8_t *outputs)
{
    const int32_t count = (int32_t)((down.end - down.begin) * (across.end - across.begin));
    for (size_t channel = 0; channel < window->channels; ++channel) {
        size_t slot = down.at % image->kept;
        int32_t greatest = 0;
        int32_t sum = 0;
        for (size_t y = down.begin; y < down.end; ++y) {
            const uint8_t *input = image->first + slot * image->row_bytes + across.at * window->channels + channel;
            for (size_t x = across.begin; x < across.end; ++x) {
                greatest = *input > greatest ? *input : greatest;
                sum += *input - window->zero;
                input += window->channels;
            }
            slot = slot + 1U == image->kept ? 0U : slot + 1U;
        }
        if (window->kind == EDGEMNIST_AVERAGE) {
            /* Halves away from zero, as a division cuts off towards it. */
            greatest = window->zero + (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
        }
        outputs[channel] = (uint8_t)(greatest < layer->low ? layer->low : greatest > layer->high ? layer->high : greatest);
    }
}

/* Computes one row of a layer's outputs. */
TARGET static void KERNEL(row)(const edgemnist_layer *layer, const edgemnist_window *window,
                               const KERNEL(rows) * image, size_t row, uint8_t *list, uint8_t *patch, int32_t *sums,
                               uint8_t *outputs)
{
    const KERNEL(span) down =
        KERNEL(covered)(row, window->stride_height, window->top, window->kernel_height, window->height);
    for (size_t column = 0; column < window->out_width; ++column) {
        const KERNEL(span) across =
            KERNEL(covered)(column, window->stride_width, window->left, window->kernel_width, window->width);
        if (window->kind == EDGEMNIST_CONVOLUTION) {
            KERNEL(gather)(window, image, down, across, patch);
            KERNEL(dense)(layer, patch, list, sums, outputs);
        } else if (window->kind == EDGEMNIST_DEPTHWISE) {
            KERNEL(depthwise)(layer, window, image, down, across, sums, outputs);
        } else {
            KERNEL(pool)(layer, window, image, down, across, outputs);
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
