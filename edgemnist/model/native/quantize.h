/* From steps of the input tensor's scale to bytes. */
#ifndef EDGEMNIST_QUANTIZE_H
#define EDGEMNIST_QUANTIZE_H

#include <stdint.h>

/* The whole number of steps below, above the lowest number of the tensor's type, within 0 and 255. */
static inline uint8_t edgemnist_level(float steps, int zero_point)
{
    if (!(steps >= (float)-zero_point)) {
        return 0;
    }
    if (steps >= (float)(256 - zero_point)) {
        return 255;
    }
    const int whole = (int)steps;
    return (uint8_t)(whole - ((float)whole > steps) + zero_point);
}

#endif
