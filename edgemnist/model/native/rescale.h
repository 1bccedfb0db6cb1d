/* edgemnist_requantize with KERNEL(rescale), for small sums. Included after that, KERNEL and TARGET are defined. */
TARGET static void KERNEL(requantize)(const edgemnist_layer *layer, size_t first, size_t count, const int32_t *sums,
                                      uint8_t *outputs)
{
    if (layer->rounding < EDGEMNIST_SMALL) {
        edgemnist_requantize(layer, first, count, sums, outputs);
    } else if ((layer->rounding & EDGEMNIST_TWICE) != 0U) {
        KERNEL(rescale)(layer, first, count, sums, outputs, 1);
    } else {
        KERNEL(rescale)(layer, first, count, sums, outputs, 0);
    }
}
