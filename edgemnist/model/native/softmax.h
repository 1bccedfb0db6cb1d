/* The softmax of TFLite's int8 reference kernel, in the fixed-point arithmetic of gemmlowp (fixedpoint/fixedpoint.h).
 *
 * Exponentials come from a table, as a row's depend on 256 possible distances from its maximum only; what is left is
 * their sum, its reciprocal and one product for each class.
 */
#ifndef EDGEMNIST_SOFTMAX_H
#define EDGEMNIST_SOFTMAX_H

#include <stdint.h>

#define EDGEMNIST_ACCUMULATION_BITS 12 /* exponentials, Q0.31, are added up in Q12.19 */

/* round(a * b / 2^31), halves up, saturated: the product of two Q0.31 numbers. */
static int64_t edgemnist_high_product(int64_t a, int64_t b)
{
    const int64_t product = (a * b + (INT64_C(1) << 30)) >> 31;
    return product > INT32_MAX ? INT32_MAX : product;
}

/* value / 2^exponent to the nearest, halves up, for a value of at least 0. */
static int64_t edgemnist_round_shift(int64_t value, int exponent)
{
    return (value + (INT64_C(1) << (exponent - 1))) >> exponent;
}

static int64_t edgemnist_saturate(int64_t value)
{
    return value > INT32_MAX ? INT32_MAX : value < INT32_MIN ? INT32_MIN : value;
}

/* 2^31 / (value / 2^31) for 2^31 <= value < 2^32: three steps of Newton's division, in Q2.29. */
static int64_t edgemnist_reciprocal(int64_t value)
{
    const int64_t half = value >> 1;
    /* 48/17 - 32/17 * half: the start with the smallest error over 0.5 to 1. */
    int64_t estimate = INT64_C(1515870810) + edgemnist_high_product(half, INT64_C(-1010580540));
    for (int step = 0; step < 3; ++step) {
        const int64_t error = (INT64_C(1) << 29) - edgemnist_high_product(half, estimate);
        estimate += edgemnist_saturate(edgemnist_high_product(estimate, error) * 4);
    }
    return edgemnist_saturate(estimate * 2);
}

/* Replaces `count` logits by probabilities in steps of 1/256. `table` has the exponentials of the distances 0, 1, ...,
 * Q0.31, up to the last that adds anything: below 2^11 one is 0 in Q12.19, and its share of any sum rounds to 0. */
static void edgemnist_softmax(uint8_t *values, unsigned count, const int32_t *table, unsigned table_count)
{
    unsigned highest = 0;
    int64_t total = 0;
    for (unsigned i = 0; i < count; ++i) {
        if (values[i] > highest) {
            highest = values[i];
        }
    }
    for (unsigned i = 0; i < count; ++i) {
        const unsigned distance = highest - values[i];
        if (distance < table_count) {
            total += edgemnist_round_shift(table[distance], EDGEMNIST_ACCUMULATION_BITS);
        }
    }
    int leading = 0;
    while (leading < 31 && (total << leading) < (INT64_C(1) << 31)) {
        ++leading;
    }
    const int64_t inverse = edgemnist_reciprocal(total << leading);
    /* From Q0.31 to steps of 1/256: 31 - 8 bits, and those that the sum is above 1. */
    const int shift = EDGEMNIST_ACCUMULATION_BITS - leading + 31 - 8;
    for (unsigned i = 0; i < count; ++i) {
        const unsigned distance = highest - values[i];
        int64_t share = 0;
        if (distance < table_count) {
            share = edgemnist_round_shift(edgemnist_high_product(inverse, table[distance]), shift);
        }
        values[i] = (uint8_t)(share > 255 ? 255 : share);
    }
}

#endif
