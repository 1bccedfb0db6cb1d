/* What the WebAssembly module offers to a web page, see edgemnist/pipeline/export/page/engine.js.
 *
 * A model comes as one array: edgemnist_model, its layers and whatever they point to, with offsets from the array's
 * beginning in the place of pointers.
 */
#include "engine.h"

#define EXPORT __attribute__((visibility("default")))

extern const edgemnist_kernel edgemnist_wasm;

EXPORT size_t edgemnist_open(edgemnist_model *model);
EXPORT void edgemnist_run(const edgemnist_model *model, const uint8_t *images, size_t count, uint8_t *scores,
                          void *scratch);

/* Makes an offset a pointer; 0 stands for none. */
#define RESOLVE(pointer) ((pointer) = (pointer) == NULL ? NULL : (const void *)((uintptr_t)(pointer) + base))

/* Makes a model ready, once; returns how much scratch memory a run of it needs. */
EXPORT size_t edgemnist_open(edgemnist_model *model)
{
    const uintptr_t base = (uintptr_t)model;
    RESOLVE(model->pixel_map);
    RESOLVE(model->layers);
    RESOLVE(model->windows);
    edgemnist_layer *const layers = (edgemnist_layer *)(uintptr_t)model->layers;
    for (size_t i = 0; i < model->layer_count; ++i) {
        RESOLVE(layers[i].weights);
        RESOLVE(layers[i].bias);
        RESOLVE(layers[i].wide_bias);
        RESOLVE(layers[i].multiplier);
        RESOLVE(layers[i].shift);
        RESOLVE(layers[i].map);
        RESOLVE(layers[i].exponentials);
        RESOLVE(layers[i].softmax_map);
        RESOLVE(layers[i].terms);
        RESOLVE(layers[i].line);
        RESOLVE(layers[i].places);
    }
    return edgemnist_wasm.scratch_bytes(model);
}

EXPORT void edgemnist_run(const edgemnist_model *model, const uint8_t *images, size_t count, uint8_t *scores,
                          void *scratch)
{
    edgemnist_wasm.run(model, images, count, scores, scratch);
}
