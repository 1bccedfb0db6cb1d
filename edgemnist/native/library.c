/* What the shared library offers to Python: kernels by number, and answers as float32.
 *
 * It neither includes Python.h nor links to Python: the functions that a call with one image needs, all of the
 * stable ABI, are handed over as pointers. So it is compiled without Python's headers, once for every version.
 */
#include "engine.h"
#include "fit.h"

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

/* Changes with the structures below and in engine.h, so that a library of another version is told apart. */
#ifndef EDGEMNIST_ABI
#define EDGEMNIST_ABI 9
#endif

typedef struct python_object python_object;

/* Py_buffer, whose layout is part of the stable ABI since Python 3.11. */
typedef struct {
    void *memory;
    python_object *owner;
    ptrdiff_t bytes;
    ptrdiff_t item_bytes;
    int read_only;
    int dimensions;
    char *format;
    ptrdiff_t *shape;
    ptrdiff_t *strides;
    ptrdiff_t *suboffsets;
    void *internal;
} python_buffer;

#define IN_ORDER 0x3C /* PyBUF_C_CONTIGUOUS | PyBUF_FORMAT */

typedef struct {
    int (*get_buffer)(python_object *, python_buffer *, int);       /* PyObject_GetBuffer */
    void (*release_buffer)(python_buffer *);                        /* PyBuffer_Release */
    python_object *(*call)(python_object *);                        /* PyObject_CallNoArgs */
    python_object *(*call_with)(python_object *, python_object *);  /* PyObject_CallOneArg */
    void *(*pointer)(python_object *, const char *);                /* PyCapsule_GetPointer */
    void (*clear_error)(void);                                      /* PyErr_Clear */
} python_functions;

typedef struct {
    const edgemnist_kernel *kernel;
    const edgemnist_model *model;
    const float *decoded; /* [256], the score that each output stands for */
    const uint8_t *images;
    size_t count;
    uint8_t *scores; /* [count][classes] */
    float *answers;  /* [count][classes] */
    void *scratch;
} edgemnist_call;

/* A call with one image at a time, whose answers are copied out before the next. */
typedef struct {
    edgemnist_call call;
    python_object *copy;       /* returns a copy of the array at call.answers */
    python_object *otherwise; /* called with whatever is not one image in order */
} edgemnist_single;

EXPORT int edgemnist_abi(void);
EXPORT const edgemnist_kernel *edgemnist_kernel_number(size_t index);
EXPORT void edgemnist_answer(const edgemnist_call *call);
EXPORT python_object *edgemnist_answer_one(python_object *capsule, python_object *images);

EXPORT int edgemnist_fit_picture(const uint8_t *picture, uint32_t width, uint32_t height, uint8_t image[784],
                                 edgemnist_found *found, void *scratch);
EXPORT int edgemnist_fit_inked(const uint8_t *ink, uint32_t width, uint32_t height, uint8_t image[784],
                               edgemnist_found *found, void *scratch);
EXPORT void edgemnist_fit_one(const uint8_t *ink, uint32_t width, uint32_t height, uint8_t image[784], void *scratch);

EXPORT void edgemnist_use_python(const python_functions *functions);

static const python_functions *python;

EXPORT int edgemnist_abi(void)
{
    return EDGEMNIST_ABI;
}

EXPORT const edgemnist_kernel *edgemnist_kernel_number(size_t index)
{
    return edgemnist_kernel_at(index);
}

EXPORT void edgemnist_answer(const edgemnist_call *call)
{
    const edgemnist_model *const model = call->model;
    const size_t values = call->count * model->classes;
    if (call->count == 1U) {
        call->kernel->run(model, call->images, 1, call->scores, call->scratch);
    } else {
        call->kernel->run_batch(model, call->images, call->count, call->scores, call->scratch);
    }
    for (size_t i = 0; i < values; ++i) {
        call->answers[i] = call->decoded[call->scores[i]];
    }
}

/* Pictures, and ink of up to 1023 x 1023; scratch has room for any. */
EXPORT int edgemnist_fit_picture(const uint8_t *picture, uint32_t width, uint32_t height, uint8_t image[784],
                                 edgemnist_found *found, void *scratch)
{
    return edgemnist_fit(picture, width, height, image, found, scratch);
}

EXPORT int edgemnist_fit_inked(const uint8_t *ink, uint32_t width, uint32_t height, uint8_t image[784],
                               edgemnist_found *found, void *scratch)
{
    *found = (edgemnist_found){0};
    return edgemnist_fit_ink(ink, width, height, image, found, scratch);
}

EXPORT void edgemnist_fit_one(const uint8_t *ink, uint32_t width, uint32_t height, uint8_t image[784], void *scratch)
{
    edgemnist_fit_digit(ink, width, height, image, scratch);
}

EXPORT void edgemnist_use_python(const python_functions *functions)
{
    python = functions;
}

/* Whether a buffer is uint8 [1, 28, 28]. */
static int is_one_image(const python_buffer *buffer)
{
    return buffer->dimensions == 3 && buffer->shape[0] == 1 && buffer->shape[1] == 28 && buffer->shape[2] == 28 &&
           buffer->format[0] == 'B' && buffer->format[1] == '\0';
}

/* The C side of a built-in function of Python (METH_O), called with its lock held. */
EXPORT python_object *edgemnist_answer_one(python_object *capsule, python_object *images)
{
    const edgemnist_single *const single = python->pointer(capsule, NULL);
    edgemnist_call call;
    python_buffer buffer;
    if (single == NULL) {
        return NULL;
    }
    if (python->get_buffer(images, &buffer, IN_ORDER) != 0) {
        python->clear_error();
        return python->call_with(single->otherwise, images);
    }
    if (!is_one_image(&buffer)) {
        python->release_buffer(&buffer);
        return python->call_with(single->otherwise, images);
    }
    call = single->call;
    call.images = buffer.memory;
    edgemnist_answer(&call);
    python->release_buffer(&buffer);
    return python->call(single->copy);
}
