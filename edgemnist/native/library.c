/* What the shared library offers to Python: kernels by number, and answers as float32.
 *
 * It neither includes Python.h nor links to Python: the functions that a call with one image needs, all of the
 * stable ABI, are handed over as pointers. So it is compiled without Python's headers, once for every version.
 */
#include "engine.h"

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

/* Changes with the structures below and in engine.h, so that a library of another version is told apart. */
#ifndef EDGEMNIST_ABI
#define EDGEMNIST_ABI 2
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

#define C_CONTIGUOUS 0x38 /* PyBUF_C_CONTIGUOUS */

typedef struct {
    int (*get_buffer)(python_object *, python_buffer *, int);       /* PyObject_GetBuffer */
    void (*release_buffer)(python_buffer *);                        /* PyBuffer_Release */
    python_object *(*call)(python_object *);                        /* PyObject_CallNoArgs */
    python_object *(*call_with)(python_object *, python_object *);  /* PyObject_CallOneArg */
    void *(*pointer)(python_object *, const char *);                /* PyCapsule_GetPointer */
    void (*clear_error)(void);                                      /* PyErr_Clear */
    void (*let_go)(python_object *);                                /* Py_DecRef */
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
    python_object *contiguous; /* returns its argument, an array, with its elements in order */
} edgemnist_single;

EXPORT int edgemnist_abi(void);
EXPORT const edgemnist_kernel *edgemnist_kernel_number(size_t index);
EXPORT void edgemnist_answer(const edgemnist_call *call);
EXPORT python_object *edgemnist_answer_one(python_object *capsule, python_object *image);

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
    const size_t values = call->count * model->layers[model->layer_count - 1U].outputs;
    call->kernel->run(model, call->images, call->count, call->scores, call->scratch);
    for (size_t i = 0; i < values; ++i) {
        call->answers[i] = call->decoded[call->scores[i]];
    }
}

EXPORT void edgemnist_use_python(const python_functions *functions)
{
    python = functions;
}

/* The C side of a built-in function of Python (METH_O), called with its lock held. `image` is an array of
 * EDGEMNIST_PIXELS bytes. */
EXPORT python_object *edgemnist_answer_one(python_object *capsule, python_object *image)
{
    edgemnist_single *const single = python->pointer(capsule, NULL);
    python_buffer buffer;
    python_object *copied = NULL;
    if (single == NULL) {
        return NULL;
    }
    if (python->get_buffer(image, &buffer, C_CONTIGUOUS) != 0) {
        python->clear_error();
        copied = python->call_with(single->contiguous, image);
        if (copied == NULL) {
            return NULL;
        }
        if (python->get_buffer(copied, &buffer, C_CONTIGUOUS) != 0) {
            python->let_go(copied);
            return NULL;
        }
    }
    single->call.images = buffer.memory;
    edgemnist_answer(&single->call);
    python->release_buffer(&buffer);
    if (copied != NULL) {
        python->let_go(copied);
    }
    return python->call(single->copy);
}
