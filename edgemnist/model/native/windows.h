/* Convolutions, pooling, crops, and what joins two tensors, around one kernel's arithmetic: included by forward.h.
 *
 * A convolution is a dense layer at each place of its window: what the window covers becomes a patch, and the kernel
 * adds it up as it does any vector. Depthwise ones and pooling have few products, and are portable C with loops over
 * channels, for compilers to make vectors of.
 *
 * Rows are computed when a layer that takes them needs them, and kept only as long as one does: a few rows of each image
 * are in memory, and whole images only where that takes less, or a layer looks at all of one.
 */
#include "engine.h"
#include "requantize.h"

/* A C file leaves out what its network does not have: EDGEMNIST_CHAIN is one without anything joined, selected or dilated,
 * where each layer takes the one before. */
#ifdef EDGEMNIST_CHAIN
#define DILATION(window) ((size_t)1U)
#define DILATION_DOWN(window) ((size_t)1U)
#else
#define DILATION(window) ((size_t)(window)->dilation_width)
#define DILATION_DOWN(window) ((size_t)(window)->dilation_height)
#endif

/* Rows of an image, of which `kept` are there, row r at r % kept. */
typedef struct {
    const uint8_t *first;
    size_t row_bytes;
    size_t kept;
#ifdef PLACES
    size_t edge; /* bytes of what stands for 0 before and after each */
#endif
} KERNEL(rows);

/* Part of a window that lies on the image, along one side: from `begin` to before `end`, at `at` of the image. */
typedef struct {
    size_t begin;
    size_t end;
    size_t at;
} KERNEL(span);

static KERNEL(span) KERNEL(covered)(size_t place, size_t stride, size_t dilation, size_t before, size_t kernel, size_t size)
{
    const size_t start = place * stride;
    size_t begin = start < before ? before - start : 0U;
#ifndef EDGEMNIST_CHAIN
    if (dilation != 1U) {
        begin = (begin + dilation - 1U) / dilation;
        const size_t first = start + begin * dilation - before;
        const size_t beyond = first < size ? (size - first + dilation - 1U) / dilation : 0U;
        const size_t inside = kernel > begin ? kernel - begin : 0U;
        return (KERNEL(span)){begin, begin + (inside < beyond ? inside : beyond), first};
    }
#endif /* EDGEMNIST_CHAIN */
    (void)dilation;
    const size_t at = start + begin - before, left = size - at;
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
#ifdef EDGEMNIST_DSP
    for (; count >= 4U; count -= 4U, from += 4, to += 4) {
        __builtin_memcpy(to, from, 4U);
    }
#endif
    for (size_t i = 0; i < count; ++i) {
        to[i] = from[i];
    }
}

/* Where the next row is that a window covers. */
static inline size_t KERNEL(next)(size_t slot, const edgemnist_window *window, size_t kept)
{
#ifdef EDGEMNIST_CHAIN
    (void)window;
    return slot + 1U == kept ? 0U : slot + 1U;
#else
    slot += window->dilation_height;
    while (slot >= kept) {
        slot -= kept;
    }
    return slot;
#endif
}

#ifndef PLACES
/* Returns what a window covers, [row][column][channel]: where it is, or copied. */
TARGET static const uint8_t *KERNEL(gather)(const edgemnist_window *window, const KERNEL(rows) * image, KERNEL(span) down,
                                            KERNEL(span) across, uint8_t *patch)
{
    uint8_t *const start = patch;
    const size_t channels = window->channels;
    const size_t row_bytes = window->kernel_width * channels;
    const size_t covered = (across.end - across.begin) * channels;
    const size_t image_bytes = image->kept * image->row_bytes;
    const int whole = covered == row_bytes && down.end - down.begin == window->kernel_height;
    size_t slot = down.at % image->kept;
    if (whole && window->kernel_height == 1U && row_bytes % 4U == 0U && (window->kernel_width == 1U || DILATION(window) == 1U)) {
        return image->first + slot * image->row_bytes + across.at * channels;
    }
    if (!whole) {
        for (size_t i = 0; i < window->kernel_height * row_bytes; ++i) {
            patch[i] = window->zero;
        }
        patch += down.begin * row_bytes + across.begin * channels;
    }
    for (size_t y = down.begin; y < down.end; ++y) {
        const size_t at = slot * image->row_bytes + across.at * channels;
#ifndef EDGEMNIST_CHAIN
        if (window->dilation_width != 1U) {
            for (size_t x = 0; x < across.end - across.begin; ++x) {
                const uint8_t *const from = image->first + at + x * window->dilation_width * channels;
                KERNEL(copy)(from, patch + x * channels, channels, 0U);
            }
        } else
#endif /* EDGEMNIST_CHAIN */
        {
            KERNEL(copy)(image->first + at, patch, covered, whole ? image_bytes - at : 0U);
        }
        patch += row_bytes;
        slot = KERNEL(next)(slot, window, image->kept);
    }
    return start;
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

#ifdef EDGEMNIST_DSP
/* A depthwise convolution, four channels at a time, or eight; `places` has room for what the window covers. */
TARGET static void KERNEL(four_channels)(const edgemnist_layer *layer, const edgemnist_window *window,
                                         const KERNEL(rows) * image, KERNEL(span) down, KERNEL(span) across,
                                         KERNEL(place) * places, int32_t *sums, uint8_t *outputs)
{
    const size_t channels = layer->outputs;
    size_t slot = down.at % image->kept;
    KERNEL(place) *end = places;
    for (size_t y = down.begin; y < down.end; ++y) {
        KERNEL(place) one = {image->first + slot * image->row_bytes + across.at * channels,
                             layer->weights + (y * window->kernel_width + across.begin) * channels};
        for (size_t x = across.begin; x < across.end; ++x) {
            *end++ = one;
            one.input += DILATION(window) * channels;
            one.weight += channels;
        }
        slot = KERNEL(next)(slot, window, image->kept);
    }
#ifdef EDGEMNIST_HELIUM
    for (size_t first = 0, done = 0; first < channels; done = first) {
        for (int32_t *sum = sums; sum != sums + AT_ONCE * BLOCK && first < channels; sum += 8, first += 8) {
            KERNEL(add_eight)(places, end, first, channels - first, window->zero, layer->bias, sum);
        }
#else
    const uint32_t less = (0x10000U - window->zero) % 0x10000U * 0x00010001U;
    for (size_t first = 0, done = 0; first < channels; done = first) {
        for (int32_t *sum = sums; sum != sums + AT_ONCE * BLOCK && first < channels; sum += 4, first += 4) {
            int32_t total[4] = {layer->bias[first], layer->bias[first + 1U], layer->bias[first + 2U], layer->bias[first + 3U]};
            for (const KERNEL(place) *place = places; place != end;) {
                place = KERNEL(add_four)(place, first, less, total);
            }
            sum[0] = total[0];
            sum[1] = total[1];
            sum[2] = total[2];
            sum[3] = total[3];
        }
#endif
        KERNEL(requantize)(layer, done, first - done, sums, outputs);
    }
}
#endif /* EDGEMNIST_DSP */

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
                input += DILATION(window) * window->channels;
                weight += layer->outputs;
            }
            slot = KERNEL(next)(slot, window, image->kept);
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
#endif /* PLACES */

#ifndef EDGEMNIST_CHAIN
/* Takes a number of its source for each of a row, or what stands for 0. */
TARGET static void KERNEL(select)(const edgemnist_layer *layer, const edgemnist_window *window, const KERNEL(rows) * image,
                                  size_t row, uint8_t *outputs)
{
    const uint16_t *const columns = layer->places + window->out_height, *const channels = columns + window->out_width;
    const size_t y = layer->places[row];
    const uint8_t *const from = image->first + y % image->kept * image->row_bytes;
    for (size_t column = 0; column < window->out_width; ++column) {
        for (size_t channel = 0; channel < layer->outputs; ++channel) {
            const size_t x = columns[column], at = channels[channel];
            const int nowhere = y == UINT16_MAX || x == UINT16_MAX || at == UINT16_MAX;
            *outputs++ = nowhere ? window->zero : from[x * window->channels + at];
        }
    }
}

/* What a number of one of two tensors adds to their sum. */
static inline int32_t KERNEL(term)(const int32_t *terms, uint8_t number, int32_t zero)
{
    return (int32_t)edgemnist_rescaled((int64_t)(number - zero) * (1 << 20), terms[0], (unsigned)terms[1], 1U);
}

/* A sum or a difference of which Python has tried all pairs of numbers: a multiplication of each by a whole number and a
 * fraction of 2^15 comes to the same; KERNEL(add_pairs) where the whole numbers have 16 bits. `each` is a constant where
 * this is inlined. */
TARGET static inline void KERNEL(add_row)(const edgemnist_layer *layer, const uint8_t *a, const uint8_t *b, size_t each,
                                          size_t count, uint8_t *outputs)
{
    const int32_t down = layer->terms[0], plus = layer->terms[5], low = layer->low, high = layer->high;
    const int32_t a_whole = layer->terms[1], a_part = layer->terms[2], b_whole = layer->terms[3], b_part = layer->terms[4];
#ifdef PAIRS
    if (each != 0U && a_whole == (int16_t)a_whole && b_whole == (int16_t)b_whole) {
        KERNEL(add_pairs)(layer, a, b, count, outputs);
        return;
    }
#endif
    for (size_t i = 0; i < count; ++i) {
        const int32_t x = a[i], y = b[i * each];
        const int32_t part = (x * a_part + y * b_part) >> 15;
        int32_t value = (x * a_whole + y * b_whole + part + plus) >> down;
        value = value < low ? low : value;
        outputs[i] = (uint8_t)(value > high ? high : value);
    }
}

/* Joins a row of an image to a row of another tensor, which has a number for each of the image's, or one for several. */
TARGET static void KERNEL(join)(const edgemnist_layer *layer, const edgemnist_window *window, const uint8_t *first,
                                const uint8_t *other, int32_t *sums, uint8_t *outputs)
{
    const size_t channels = window->channels, step = window->other_step, each = window->other_channel;
    const int32_t zero = window->zero, other_zero = window->other_zero;
    const uint8_t kind = window->kind;
    if (kind == EDGEMNIST_CONCATENATION) {
        for (size_t column = 0; column < window->out_width; ++column) {
            KERNEL(copy)(first + column * channels, outputs, channels, 0U);
            KERNEL(copy)(other + column * step, outputs + channels, step, 0U);
            outputs += channels + step;
        }
        return;
    }
    /* A whole row at once, if there is a number for each. */
    const int alike = each != 0U && step == channels;
    const size_t columns = alike ? 1U : window->out_width;
    const size_t count = alike ? window->out_width * channels : channels;
    const int simple = kind <= EDGEMNIST_DIFFERENCE && layer->terms[0] != 0;
    for (size_t column = 0; column < columns; ++column) {
        if (simple && each != 0U) {
            KERNEL(add_row)(layer, first, other, 1U, count, outputs);
        } else if (simple) {
            KERNEL(add_row)(layer, first, other, 0U, count, outputs);
        }
        for (size_t begin = simple ? count : 0U; begin < count; begin += layer->block) {
            const size_t some = count - begin < layer->block ? count - begin : layer->block;
            const uint8_t *const a = first + begin, *const b = other + begin * each;
            for (size_t i = some; i < layer->block; ++i) {
                sums[i] = 0;
            }
            if (kind == EDGEMNIST_PRODUCT) {
                for (size_t i = 0; i < some; ++i) {
                    sums[i] = (a[i] - zero) * (b[i * each] - other_zero);
                }
            } else if (kind == EDGEMNIST_PRELU) {
                for (size_t i = 0; i < some; ++i) {
                    const int32_t level = a[i] - zero;
                    const int below = level < 0;
                    const int64_t value = layer->zero_point + edgemnist_rescaled(
                        below ? level * (b[i * each] - other_zero) : level, layer->terms[2 * below],
                        (unsigned)layer->terms[2 * below + 1], layer->rounding & EDGEMNIST_TWICE);
                    outputs[begin + i] = (uint8_t)(value < layer->low ? layer->low : value > layer->high ? layer->high : value);
                }
                continue;
            } else {
                const int32_t sign = kind == EDGEMNIST_SUM ? 1 : -1;
                for (size_t i = 0; i < some; ++i) {
                    sums[i] = KERNEL(term)(layer->terms + 1, a[i], zero) +
                              sign * KERNEL(term)(layer->terms + 3, b[i * each], other_zero);
                }
            }
            KERNEL(requantize)(layer, 0U, layer->block, sums, outputs + begin);
        }
        first += count;
        other += step;
        outputs += count;
    }
}
#endif /* EDGEMNIST_CHAIN */

#ifdef PLACES
#include "convolve.h"
#endif

/* Computes one row of a layer's outputs. */
TARGET static void KERNEL(row)(const edgemnist_layer *layer, const edgemnist_window *window,
                               const KERNEL(rows) * image, const KERNEL(rows) * others, size_t row, uint8_t *list,
                               uint8_t *patch, int32_t *sums, uint8_t *outputs)
{
    const uint8_t kind = window->kind;
    const KERNEL(span) down = KERNEL(covered)(row, window->stride_height, window->dilation_height, window->top,
                                              window->kernel_height, window->height);
    if (kind == EDGEMNIST_PICK) {
        const size_t slot = (row + window->kernel_height - 1U) % image->kept;
        const uint8_t *const from =
            image->first + slot * image->row_bytes + (window->kernel_width - 1U) * (size_t)window->channels;
        KERNEL(copy)(from, outputs, (size_t)window->out_width * window->channels, 0U);
    }
#ifdef EDGEMNIST_CHAIN
    (void)others;
#else
    if (kind == EDGEMNIST_SELECTION) {
        KERNEL(select)(layer, window, image, row, outputs);
    } else if (kind >= EDGEMNIST_SUM) {
        KERNEL(join)(layer, window, image->first + row % image->kept * image->row_bytes,
                     others->first + (window->other_row != 0U ? row % others->kept * others->row_bytes : 0U), sums, outputs);
    }
#endif /* EDGEMNIST_CHAIN */
#ifdef PLACES
    for (size_t i = 0; row == 0U && window->edge != 0U && i <= window->kept; ++i) {
        __builtin_memset(outputs + i * window->row_bytes - window->edge, layer->zero_point, window->edge);
    }
    if (kind == EDGEMNIST_CONVOLUTION) {
        KERNEL(convolve)(layer, window, image, &down, patch, outputs);
    } else if (kind == EDGEMNIST_DEPTHWISE && layer->weights != NULL) {
        KERNEL(convolve_each)(layer, window, image, &down, patch, outputs);
    } else if (kind == EDGEMNIST_MAXIMUM) {
        KERNEL(maximum_row)(window, image, &down, patch, outputs);
    } else if (kind <= EDGEMNIST_AVERAGE) {
        KERNEL(mean_row)(layer, window, image, &down, patch, outputs);
    }
    const uint8_t low = layer->low, high = layer->high;
    const size_t all = (size_t)window->out_width * layer->outputs;
    /* What is nearly always the range of a byte is not looked at before. */
    for (size_t i = 0; kind <= EDGEMNIST_MAXIMUM && (low != 0U || high != 255U) && i < all; ++i) {
        const uint8_t value = outputs[i] < low ? low : outputs[i];
        outputs[i] = value > high ? high : value;
    }
    if (layer->map == NULL && layer->exponentials == NULL && layer->softmax_map == NULL) {
        return;
    }
    for (size_t column = 0; column < window->out_width; ++column, outputs += layer->outputs) {
        KERNEL(finish)(layer, outputs);
    }
    (void)list;
#else
    for (size_t column = 0; column < window->out_width; ++column) {
        const KERNEL(span) across = KERNEL(covered)(column, window->stride_width, window->dilation_width, window->left,
                                                    window->kernel_width, window->width);
        if (kind == EDGEMNIST_CONVOLUTION) {
            const uint8_t *const inputs = KERNEL(gather)(window, image, down, across, patch);
            KERNEL(dense)(layer, inputs, list, KERNEL(list)(inputs, layer->inputs, list), sums, outputs);
#ifdef EDGEMNIST_DSP
        } else if (kind == EDGEMNIST_DEPTHWISE && layer->weights != NULL && layer->outputs % CHANNELS == 0U) {
            KERNEL(four_channels)(layer, window, image, down, across, (KERNEL(place) *)(void *)patch, sums, outputs);
#endif
        } else if (kind <= EDGEMNIST_AVERAGE) {
            KERNEL(each_channel)(layer, window, image, down, across, sums, outputs);
        }
        KERNEL(finish)(layer, outputs);
        outputs += layer->outputs;
    }
#endif /* PLACES */
}

/* Finds the rows of what a layer takes: of the input and of what it takes as a whole one after the other, as it sees
 * them. */
static void KERNEL(locate)(const edgemnist_model *model, size_t number, int whole, const uint8_t *arena,
                           KERNEL(rows) * seen)
{
    if (number != 0U) {
        const edgemnist_layer *const layer = &model->layers[number - 1U];
        const edgemnist_window *const window = &model->windows[number - 1U];
        seen->first = window->kind == EDGEMNIST_CONSTANT ? (const uint8_t *)layer->weights : arena + layer->place;
        if (!whole) {
            seen->row_bytes = window->row_bytes;
            seen->kept = window->kept;
#ifdef PLACES
            seen->edge = window->edge;
#endif
        }
    }
}

/* Rows that must be there of the image before one of the outputs can be made. */
static size_t KERNEL(needed)(const edgemnist_layer *layer, const edgemnist_window *window, size_t row)
{
#ifndef EDGEMNIST_CHAIN
    if (window->kind == EDGEMNIST_SELECTION) {
        return layer->places[row] == UINT16_MAX ? 0U : layer->places[row] + 1U;
    }
#endif /* EDGEMNIST_CHAIN */
    (void)layer;
    const size_t end = row * window->stride_height + (window->kernel_height - 1U) * DILATION_DOWN(window) + 1U;
    const size_t below = end > window->top ? end - window->top : 0U;
    return below < window->height ? below : window->height;
}

/* Takes an image through all layers with windows; returns the last one's outputs. */
TARGET static const uint8_t *KERNEL(slide)(const edgemnist_model *model, const uint8_t *image, int32_t *sums,
                                           uint8_t *scratch)
{
    uint16_t *const made = (uint16_t *)(void *)(scratch + ROWS_PLACE(model)); /* rows of each layer's outputs */
    uint16_t *const asker = made + model->window_count; /* for whom a layer makes a row */
    uint8_t *const arena = scratch + ARENA_PLACE(model);
    const size_t last = model->window_count - 1U;
    size_t index = last;
    for (size_t i = 0; i <= last; ++i) {
        made[i] = model->windows[i].kind == EDGEMNIST_CONSTANT ? model->windows[i].out_height : 0U;
    }
    while (made[last] < model->windows[last].out_height) {
        const edgemnist_layer *const layer = &model->layers[index];
        const edgemnist_window *const window = &model->windows[index];
        const size_t row = made[index], source = window->source;
        size_t missing = 0; /* the layer of which there are too few rows */
        if (source != 0U && made[source - 1U] < ((window->whole & 1U) != 0U ? model->windows[source - 1U].out_height
                                                                          : KERNEL(needed)(layer, window, row))) {
            missing = source;
        }
        KERNEL(rows) others = {.first = image, .kept = window->height};
#ifndef EDGEMNIST_CHAIN
        const size_t other = window->kind >= EDGEMNIST_SUM ? window->other : 0U;
        if (missing == 0U && other != 0U &&
            made[other - 1U] < ((window->whole & 2U) != 0U ? model->windows[other - 1U].out_height
                                : window->other_row != 0U  ? row + 1U
                                                           : 1U)) {
            missing = other;
        }
        others.row_bytes = window->other_step != 0U      ? (size_t)window->width * window->other_step
                           : window->other_channel != 0U ? window->channels
                                                         : 1U;
        KERNEL(locate)(model, other, window->whole & 2U, arena, &others);
#endif /* EDGEMNIST_CHAIN */
        if (missing != 0U) {
            asker[missing - 1U] = (uint16_t)index;
            index = missing - 1U;
            continue;
        }
        KERNEL(rows) rows = {
            .first = image, .row_bytes = (size_t)window->width * window->channels, .kept = window->height};
        KERNEL(locate)(model, source, window->whole & 1U, arena, &rows);
        uint8_t *const outputs = arena + layer->place + row % window->kept * window->row_bytes;
        KERNEL(row)(layer, window, &rows, &others, row, scratch, scratch + PATCH_PLACE(model), sums, outputs);
        ++made[index];
        index = index == last ? last : asker[index];
    }
    return arena + model->layers[last].place;
}
