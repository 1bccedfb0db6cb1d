/* edgemnist_requantize with KERNEL(rescale), which rounds once or twice as its last argument says. Included after both
 * KERNEL and TARGET, and that function, are defined. */
TARGET static void KERNEL(requantize)(const edgemnist_layer *layer, size_t first, size_t count, const int32_t *sums,
                                      uint8_t *outputs)
{
    if (layer->wide_bias != NULL) {
        edgemnist_requantize(layer, first, count, sums, outputs);
    } else if (layer->rounds_twice != 0U) {
        KERNEL(rescale)(layer, first, count, sums, outputs, 1);
    } else {
        KERNEL(rescale)(layer, first, count, sums, outputs, 0);
    }
}
