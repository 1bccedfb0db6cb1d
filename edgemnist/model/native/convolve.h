/* Convolutions, a row of outputs at a time: included by windows.h for kernels that define, beside what forward.h asks for,
 *
 *   PLACES             places of a row whose sums are computed at once, up to 8: each weight is loaded once for them
 *   LANES              outputs whose weights for one group of inputs are a kernel_weights
 *   VECTORS            of these at once
 *   FEW                if the last places of a row are computed one by one: that is less code
 *   kernel_sum         sums of LANES outputs
 *   KERNEL(begin), KERNEL(end)       load the sums' beginnings, and store them
 *   KERNEL(load), KERNEL(spread)     load weights, and the same group of inputs for all of them
 *   KERNEL(dot)                      adds the products of weights and inputs
 *   KERNEL(take)                     loads a group of inputs for each of LANES outputs, of 4 bytes each
 *   KERNEL(line_of), KERNEL(follow)  load the lines of SCALED outputs, and rescale their sums by them
 *
 * The rows that a window covers have what stands for 0 beyond the edges, where they are or copied, so that each place finds
 * its inputs in the same way. Of a depthwise convolution a group is what one column has in several rows.
 */
#define SMALL_VECTORS (16U / LANES < VECTORS ? 16U / LANES : VECTORS) /* of a block of 16 */
#ifndef TUNED
#define TUNED TARGET /* of what has the innermost loop */
#endif
#define EACH_INLINE TARGET static inline __attribute__((always_inline))
/* Bytes of a table of rows, at the beginning of a patch. */
#define TABLE_BYTES(rows) ROUND_UP((rows) * sizeof(const uint8_t *), ALIGNMENT)

/* Where the inputs of a row of places are: where each row that a window covers begins, and how many bytes it is from one
 * run of a row to the next, and from one place to the next. */
typedef struct {
    const uint8_t **row;
    size_t rows;
    size_t runs, run_bytes;
    size_t groups; /* in a run */
    size_t step;
} KERNEL(strip);

/* What of a row of the image the window covers, in bytes: what lies before it, of it, and all. */
typedef struct {
    size_t before, inside, row_bytes;
} KERNEL(covering);

static inline KERNEL(covering) KERNEL(covering_of)(const edgemnist_window *window)
{
    const size_t columns = (window->out_width - 1U) * (size_t)window->stride_width +
                           (window->kernel_width - 1U) * (size_t)window->dilation_width + 1U;
    const size_t left = window->left < columns ? window->left : columns;
    const size_t there = columns - left < window->width ? columns - left : window->width;
    return (KERNEL(covering)){left * window->channels, there * window->channels, columns * window->channels};
}

/* Writes what stands for 0, or groups of GROUP of it of 4 bytes, and up to 15 bytes more: there follows what is written later,
 * or room for it. */
TARGET static inline void KERNEL(fill)(uint32_t zero, size_t bytes, uint8_t *to)
{
    for (size_t i = 0; i < bytes; i += 16U) {
        const uint32_t four[4] = {zero, zero, zero, zero};
        __builtin_memcpy(to + i, four, sizeof four);
    }
}

/* Finds the rows that the window covers, with what stands for 0 around them: where they are, if that is there, as it is in
 * whole groups; or copied into `to`, as are those above and below the image. */
TARGET static void KERNEL(find_rows)(const edgemnist_window *window, const KERNEL(rows) * image, const KERNEL(span) * down,
                                     int whole, const uint8_t **row, uint8_t *to)
{
    const KERNEL(covering) covering = KERNEL(covering_of)(window);
    const size_t end = covering.before + covering.inside, after = covering.row_bytes - end;
    const uint32_t zero = window->zero * 0x01010101U;
    size_t slot = down->at % image->kept;
    for (size_t y = 0; y < window->kernel_height; ++y, to += covering.row_bytes) {
        row[y] = to;
        if (y < down->begin || y >= down->end) {
            KERNEL(fill)(zero, covering.row_bytes, to);
            continue;
        }
        const uint8_t *const from = image->first + slot * image->row_bytes;
        slot = KERNEL(next)(slot, window, image->kept);
        if (whole && covering.before <= image->edge && after <= image->edge) {
            row[y] = from - covering.before;
            continue;
        }
        KERNEL(fill)(zero, covering.before, to);
        __builtin_memcpy(to + covering.before, from, covering.inside);
        KERNEL(fill)(zero, after, to + end);
    }
}

#ifdef LINES
/* What lines there are for SCALED outputs from `output` on: none, simple ones, or others. */
enum { KERNEL(EXACT), KERNEL(SIMPLE), KERNEL(LINED) };

static inline int KERNEL(lines)(const edgemnist_layer *layer, size_t output)
{
    if (layer->line == NULL || !(layer->line[output] > 0.0F)) {
        return KERNEL(EXACT);
    }
    const float *const exceptions = layer->line + 3U * (size_t)layer->blocks * layer->block;
    return exceptions[output / 16U * 16U] == EDGEMNIST_SIMPLE ? KERNEL(SIMPLE) : KERNEL(LINED);
}

#else
enum { KERNEL(EXACT) };
#endif /* LINES */

/* Where the outputs of some places go: from `output` on, `step` from one place to the next. */
typedef struct {
    const edgemnist_layer *layer;
    size_t output;
    uint8_t *to;
    size_t step;
} KERNEL(target);

#ifdef LINES
/* Rescales the sums of some places by lines; all numbers are constants where this is inlined. */
EACH_INLINE void KERNEL(follow_places)(const KERNEL(target) * target, const kernel_sum *sum, unsigned places,
                                       unsigned vectors, int simple)
{
#pragma GCC unroll 4
    for (unsigned v = vectors; v > 0U;) {
        v -= SCALED / LANES; /* the last first, as in KERNEL(sweep) */
        const kernel_line line = KERNEL(line_of)(target->layer, target->output + v * LANES);
#pragma GCC unroll 8
        for (unsigned place = 0; place < places; ++place) {
            KERNEL(follow)(&line, sum + place * vectors + v, target->to + place * target->step + v * LANES, simple);
        }
    }
}

#endif /* LINES */

/* `vectors` times LANES outputs at some places; both are constants where this is inlined, as are `each`, whether an output has
 * inputs of its own, and `how`. `first` is where the first place begins in each row, and `stride` from the weights of one
 * group to those of the next. */
EACH_INLINE void KERNEL(some_places)(const KERNEL(strip) * strip, size_t first, unsigned places, unsigned vectors,
                                     int each, int how, const int8_t *weights, size_t stride, const KERNEL(target) * target)
{
    kernel_sum sum[PLACES * VECTORS];
#pragma GCC unroll 16
    for (unsigned i = 0; i < places * vectors; ++i) {
        sum[i] = KERNEL(begin)(target->layer->bias + target->output + i % vectors * LANES);
    }
    const size_t step = strip->step, run_weights = strip->groups * stride;
    for (size_t y = 0; y < strip->rows; ++y) {
        const uint8_t *run = strip->row[y] + first;
        for (size_t x = 0; x < strip->runs; ++x, run += strip->run_bytes) {
            /* Three places from each: no more registers than there are, and no address that takes a calculation. */
            const uint8_t *a = run, *b = run + 3U * step, *c = run + 6U * step;
            for (const int8_t *const end = weights + run_weights; weights != end;
                 a += GROUP, b += GROUP, c += GROUP, weights += stride) {
                kernel_weights some[VECTORS];
#pragma GCC unroll 4
                for (unsigned v = 0; v < vectors; ++v) {
                    some[v] = KERNEL(load)(weights + v * (LANES * GROUP));
                }
#pragma GCC unroll 8
                for (unsigned place = 0; place < places; ++place) {
                    const uint8_t *const from = (place < 3U ? a : place < 6U ? b : c) + place % 3U * step;
#pragma GCC unroll 4
                    for (unsigned v = 0; v < vectors; ++v) {
                        const kernel_inputs mine = each ? KERNEL(take)(from + v * LANES * 4U) : KERNEL(spread)(from);
                        sum[place * vectors + v] = KERNEL(dot)(sum[place * vectors + v], some[v], mine);
                    }
                }
            }
        }
    }
#ifdef LINES
    if (how != KERNEL(EXACT)) {
        KERNEL(follow_places)(target, sum, places, vectors, how == KERNEL(SIMPLE));
        return;
    }
#endif
    (void)how;
#pragma GCC unroll 8
    for (unsigned place = 0; place < places; ++place) {
        int32_t sums[VECTORS * LANES];
#pragma GCC unroll 4
        for (unsigned v = 0; v < vectors; ++v) {
            KERNEL(end)(sum[place * vectors + v], sums + v * LANES);
        }
        KERNEL(requantize)(target->layer, target->output, vectors * LANES, sums,
                           target->to + place * target->step - target->output);
    }
}

/* The same for as many places as there are. */
EACH_INLINE void KERNEL(all_places)(const KERNEL(strip) * strip, size_t first, size_t places, unsigned vectors,
                                    int each, int how, const int8_t *weights, size_t stride, const KERNEL(target) * target)
{
#define SOME(places) \
    case places: KERNEL(some_places)(strip, first, places, vectors, each, how, weights, stride, target); break
    switch (places) {
        SOME(1U);
#if PLACES == 2 || !defined(FEW)
        SOME(2U);
#endif
#if PLACES > 2 && !defined(FEW)
        SOME(3U);
#endif
#if PLACES > 2
        SOME(4U);
#endif
#if PLACES > 4
        SOME(5U);
        SOME(6U);
        SOME(7U);
        SOME(8U);
#endif
    default: break;
    }
#undef SOME
}

/* Outputs of all places of a row; `each` and `vectors` are constants where this is inlined. The last outputs come first: whole
 * blocks are written, and what lies beyond the outputs of a place is written again. */
EACH_INLINE void KERNEL(sweep)(const edgemnist_layer *layer, const KERNEL(strip) * strip, size_t columns, size_t count,
                               unsigned vectors, int each, uint8_t *outputs)
{
    const size_t width = vectors * LANES, stride = (size_t)layer->block * GROUP;
    const size_t block_bytes = strip->rows * strip->runs * strip->groups * stride;
    for (size_t first = ROUND_UP(count, width); first > 0U;) {
        first -= width;
        const int8_t *const weights =
            layer->weights + first / layer->block * block_bytes + first % layer->block * GROUP;
        size_t from = each ? first * 4U : 0U;
#ifdef LINES
        int how = KERNEL(lines)(layer, first);
        for (size_t i = SCALED; i < width; i += SCALED) {
            const int lines = KERNEL(lines)(layer, first + i);
            how = how == KERNEL(EXACT) || lines == KERNEL(EXACT) ? KERNEL(EXACT) : how > lines ? how : lines;
        }
#endif
        KERNEL(target) target = {layer, first, outputs + first, count};
        for (size_t column = 0, places; column < columns; column += places) {
            const size_t left = columns - column;
#ifdef FEW
            places = left < PLACES ? 1U : PLACES;
#else
            places = left < PLACES ? left : PLACES;
#endif
#ifndef LINES
            KERNEL(all_places)(strip, from, places, vectors, each, KERNEL(EXACT), weights, stride, &target);
#else
            if (how == KERNEL(SIMPLE)) {
                KERNEL(all_places)(strip, from, places, vectors, each, KERNEL(SIMPLE), weights, stride, &target);
            } else if (how == KERNEL(LINED)) {
                KERNEL(all_places)(strip, from, places, vectors, each, KERNEL(LINED), weights, stride, &target);
            } else {
                KERNEL(target) one = target;
                for (size_t place = 0; place < places; ++place, one.to += count) {
                    KERNEL(some_places)(strip, from + place * strip->step, 1U, vectors, each, KERNEL(EXACT), weights, stride,
                                        &one);
                }
            }
#endif
            from += places * strip->step;
            target.to += places * count;
        }
    }
}

/* A row of a convolution; `patch` has room for a table of the rows that the window covers, and for them. */
TUNED static void KERNEL(convolve)(const edgemnist_layer *layer, const edgemnist_window *window,
                                    const KERNEL(rows) * image, const KERNEL(span) * down, uint8_t *patch,
                                    uint8_t *outputs)
{
    const size_t channels = window->channels, columns = window->out_width;
    const int apart = window->dilation_width != 1U;
    const size_t run = apart ? channels : window->kernel_width * channels;
    const KERNEL(strip) strip = {
        .row = (const uint8_t **)(void *)patch,
        .rows = window->kernel_height,
        .runs = apart ? window->kernel_width : 1U,
        .run_bytes = window->dilation_width * channels,
        .groups = (run + GROUP - 1U) / GROUP,
        .step = window->stride_width * channels,
    };
    KERNEL(find_rows)(window, image, down, run % GROUP == 0U, strip.row, patch + TABLE_BYTES(strip.rows));
#if VECTORS * LANES > 16
    if (layer->block < VECTORS * LANES) {
        KERNEL(sweep)(layer, &strip, columns, layer->outputs, SMALL_VECTORS, 0, outputs);
        return;
    }
#endif
    KERNEL(sweep)(layer, &strip, columns, layer->outputs, VECTORS, 0, outputs);
}

#ifndef INTERLEAVES
/* Groups of what some rows have in each column. */
TARGET static void KERNEL(interleave)(const uint8_t *const *rows, size_t count, uint8_t *to)
{
    for (size_t i = 0; i < count; ++i, to += 4) {
#if GROUP == 2
        const uint32_t group = (uint32_t)rows[0][i] | (uint32_t)rows[1][i] << 16;
#else
        const uint32_t group =
            (uint32_t)rows[0][i] | (uint32_t)rows[1][i] << 8 | (uint32_t)rows[2][i] << 16 | (uint32_t)rows[3][i] << 24;
#endif
        __builtin_memcpy(to, &group, sizeof group);
    }
}
#endif

/* A row of a depthwise convolution. In `patch` there is room for a table of rows of groups, for a row of the image, and for
 * the groups of all columns: of the first GROUP rows that the window covers, then of the next. */
TARGET static void KERNEL(convolve_each)(const edgemnist_layer *layer, const edgemnist_window *window,
                                         const KERNEL(rows) * image, const KERNEL(span) * down, uint8_t *patch,
                                         uint8_t *outputs)
{
    const KERNEL(covering) covering = KERNEL(covering_of)(window);
    const size_t rows_of_groups = (window->kernel_height + GROUP - 1U) / GROUP;
    const int alone = window->kernel_width == 1U; /* one run in each row */
    KERNEL(strip) strip = {
        .row = (const uint8_t **)(void *)patch,
        .rows = alone ? 1U : rows_of_groups,
        .runs = alone ? rows_of_groups : window->kernel_width,
        .run_bytes = alone ? covering.row_bytes * 4U : (size_t)window->dilation_width * window->channels * 4U,
        .groups = 1U,
        .step = (size_t)window->stride_width * window->channels * 4U,
    };
    uint8_t *const blank = patch + TABLE_BYTES(rows_of_groups);
    uint8_t *to = blank + ROUND_UP((size_t)window->width * window->channels, ALIGNMENT);
    const uint32_t zero = window->zero * (GROUP == 2U ? 0x00010001U : 0x01010101U);
    size_t slot = down->at % image->kept;
    if (down->end - down->begin != window->kernel_height) {
        __builtin_memset(blank, window->zero, covering.inside);
    }
    for (size_t y = 0; y < window->kernel_height; y += GROUP, to += covering.row_bytes * 4U) {
        const size_t after = covering.row_bytes - covering.before - covering.inside;
        const uint8_t *rows[GROUP];
        strip.row[y / GROUP] = to;
        for (size_t i = 0; i < GROUP; ++i) {
            /* Any row in the place of one that is not there: its weights are 0. */
            rows[i] = y + i < window->kernel_height ? blank : rows[0];
            if (y + i >= down->begin && y + i < down->end) {
                rows[i] = image->first + slot * image->row_bytes;
                slot = KERNEL(next)(slot, window, image->kept);
            }
        }
        KERNEL(fill)(zero, covering.before * 4U, to);
        KERNEL(interleave)(rows, covering.inside, to + covering.before * 4U);
        KERNEL(fill)(zero, after * 4U, to + (covering.before + covering.inside) * 4U);
    }
    size_t columns = window->out_width, count = layer->outputs;
    if (count < 16U && 16U % count == 0U && window->stride_width == 1U) {
        /* Several columns at once, as all tables have these outputs several times. */
        columns = (columns * count + 15U) / 16U;
        count = 16U;
        strip.step = 16U * 4U;
    }
    KERNEL(sweep)(layer, &strip, columns, count, SMALL_VECTORS, 1, outputs);
}

/* A row of maxima. In `patch` there is room for a row with what the window covers beyond the edges, where 0 is the least. */
TARGET static void KERNEL(maximum_row)(const edgemnist_window *window, const KERNEL(rows) * image,
                                       const KERNEL(span) * down, uint8_t *patch, uint8_t *outputs)
{
    const KERNEL(covering) covering = KERNEL(covering_of)(window);
    const size_t channels = window->channels, step = window->stride_width * channels;
    uint8_t *const inside = patch + covering.before;
    size_t slot = down->at % image->kept, length = covering.row_bytes;
    __builtin_memset(patch, 0, length);
    for (size_t y = down->begin; y < down->end; ++y) {
        const uint8_t *const row = image->first + slot * image->row_bytes;
        for (size_t i = 0; i < covering.inside; ++i) {
            inside[i] = row[i] > inside[i] ? row[i] : inside[i];
        }
        slot = KERNEL(next)(slot, window, image->kept);
    }
    for (size_t x = 1; x < window->kernel_width; ++x) {
        length -= channels;
        for (size_t i = 0; i < length; ++i) {
            patch[i] = patch[i + channels] > patch[i] ? patch[i + channels] : patch[i];
        }
    }
    for (size_t column = 0; column < window->out_width; ++column) {
        KERNEL(copy)(patch + column * step, outputs + column * channels, channels, (window->out_width - column) * channels);
    }
}

/* A row of means, or of sums that are rescaled. In `patch` there is room for the sums of all columns. */
TARGET static void KERNEL(mean_row)(const edgemnist_layer *layer, const edgemnist_window *window, const KERNEL(rows) * image,
                                    const KERNEL(span) * down, uint8_t *patch, uint8_t *outputs)
{
    const size_t channels = window->channels;
    /* Columns that no place looks at are not made. */
    const KERNEL(span) last = KERNEL(covered)(window->out_width - 1U, window->stride_width, 1U, window->left,
                                              window->kernel_width, window->width);
    const size_t length = (last.at + (last.end - last.begin)) * channels;
    int32_t *const totals = (int32_t *)(void *)patch;
    size_t slot = down->at % image->kept;
    for (size_t i = 0; i < length; ++i) {
        totals[i] = 0;
    }
    for (size_t y = down->begin; y < down->end; ++y) {
        const uint8_t *const row = image->first + slot * image->row_bytes;
        for (size_t i = 0; i < length; ++i) {
            totals[i] += row[i];
        }
        slot = KERNEL(next)(slot, window, image->kept);
    }
    for (size_t column = 0; column < window->out_width; ++column, outputs += channels) {
        const KERNEL(span) across =
            KERNEL(covered)(column, window->stride_width, 1U, window->left, window->kernel_width, window->width);
        const size_t places = across.end - across.begin;
        const int32_t count = (int32_t)((down->end - down->begin) * places), zero = window->zero;
        const int32_t *const from = totals + across.at * channels;
        for (size_t first = 0; first < channels; first += 16U) {
            const size_t some = channels - first < 16U ? channels - first : 16U;
            int32_t sums[16];
            for (size_t i = 0; i < 16U; ++i) {
                sums[i] = -zero * count;
            }
            for (size_t x = 0; x < places; ++x) {
                for (size_t i = 0; i < some; ++i) {
                    sums[i] += from[x * channels + first + i];
                }
            }
            if (window->kind == EDGEMNIST_DEPTHWISE) {
                for (size_t i = 0; i < some; ++i) {
                    sums[i] += layer->bias[first + i];
                }
                KERNEL(requantize)(layer, first, 16U, sums, outputs);
                continue;
            }
            for (size_t i = 0; i < some; ++i) {
                /* Halves away from zero, as a division cuts off towards it. */
                const int32_t value = zero + (sums[i] > 0 ? sums[i] + count / 2 : sums[i] - count / 2) / count;
                outputs[first + i] =
                    (uint8_t)(value < layer->low ? layer->low : value > layer->high ? layer->high : value);
            }
        }
    }
}
