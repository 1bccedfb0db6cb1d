/* What the shared library offers to Python: kernels by number, and answers as float32.
 *
 * It neither includes Python.h nor links to Python: the functions that a call with one image needs are handed over as
 * pointers. So it is compiled without the headers of Python and NumPy, once for every version of theirs.
 */
#include "engine.h"
#include "quantize.h"

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

/* Changes with the structures below and in engine.h, so that a library of another version is told apart. */
#ifndef EDGEMNIST_ABI
#define EDGEMNIST_ABI 17
#endif

typedef struct python_object python_object;

/* An array of NumPy 2, behind the head that every object of Python has: part of its ABI. */
typedef struct {
    uint8_t *memory;
    int dimensions;
    const ptrdiff_t *shape;
    const ptrdiff_t *strides;
    python_object *base;
    const python_object *type;
    int flags;
} numpy_array;

#define IN_ORDER 0x101 /* NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED */
#define FLOAT32 11   /* NPY_FLOAT */
#define CACHE_LINE 64U
#define MOST_FETCHED 4096U

typedef struct {
    size_t head;                                               /* bytes of it; its class is the last pointer */
    const python_object *array;                                /* numpy.ndarray */
    python_object *(*new_array)(const python_object *, int, const ptrdiff_t *, int, const ptrdiff_t *, void *, int,
                                int, python_object *);         /* PyArray_New */
    python_object *(*call)(python_object *, python_object *);  /* PyObject_CallOneArg */
    void *(*pointer)(python_object *, const char *);           /* PyCapsule_GetPointer */
} python_facts;

typedef struct {
    const edgemnist_kernel *kernel;
    const edgemnist_model *model;
    const uint8_t *images;
    size_t count;
    uint8_t *scores; /* [count][classes] */
    float *answers;  /* [count][classes] */
    void *scratch;
    float step, zero; /* an answer is step * (score - zero) */
} edgemnist_call;

/* A call with one input at a time: an image or numbers and their answer, or the tensors of the file. */
typedef struct {
    edgemnist_call call;
    python_object *otherwise;      /* called with whatever is not one input in order */
    const python_object *taken;    /* the dtype of an input, from NumPy */
    size_t dimensions, made_dimensions;
    ptrdiff_t shape[5], made_shape[5]; /* of an array of one input, and of its answer */
    uint8_t *levels;               /* what an input is brought to, [inputs]; NULL where it is taken as it is */
    const float *scales, *offsets; /* of each number of an input, [inputs]; NULL where it is bytes */
    float input_step;
    int32_t input_zero_point;      /* above the lowest number of the input tensor's type */
    int32_t made;                  /* the type of an answer, as NumPy numbers them: FLOAT32, or bytes of a tensor */
    uint8_t lowest, made_lowest;   /* of the types of a tensor of bytes */
} edgemnist_single;

EXPORT int edgemnist_abi(void);
EXPORT const edgemnist_kernel *edgemnist_kernel_number(size_t index);
EXPORT void edgemnist_answer(const edgemnist_call *call);
EXPORT python_object *edgemnist_answer_one(python_object *capsule, python_object *images);

EXPORT void edgemnist_use_python(const python_facts *facts);

static const python_facts *python;

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
        call->answers[i] = call->step * ((float)call->scores[i] - call->zero);
    }
}

EXPORT void edgemnist_use_python(const python_facts *facts)
{
    python = facts;
}

static const numpy_array *array_of(const python_object *object)
{
    return (const numpy_array *)(const void *)((const char *)object + python->head);
}

/* Write the levels of one input, as `quantize.c` does; return whether its numbers are finite. */
static int quantize_one(const edgemnist_single *single, const float *numbers)
{
    int finite = 1;
    for (size_t i = 0; i < single->call.model->inputs; ++i) {
        /* Two statements, which ISO C does not fuse into one rounding. */
        const float scaled = numbers[i] * single->scales[i];
        const float real = scaled + single->offsets[i];
        finite &= numbers[i] - numbers[i] == 0.0F;
        single->levels[i] = edgemnist_level(real / single->input_step + 0.5F, single->input_zero_point);
    }
    return finite;
}

/* Whether an object is an array of one input, in order. */
static int is_one_input(const edgemnist_single *single, const python_object *object)
{
    const python_object *const *const head = (const python_object *const *)(const void *)object;
    const numpy_array *const array = array_of(object);
    if (head[python->head / sizeof *head - 1U] != python->array || (size_t)array->dimensions != single->dimensions ||
        array->type != single->taken || (array->flags & IN_ORDER) != IN_ORDER) {
        return 0;
    }
    for (size_t i = 0; i < single->dimensions; ++i) {
        if (array->shape[i] != single->shape[i]) {
            return 0;
        }
    }
    return 1;
}

/* The bytes of a tensor, and their distances from the lowest number of its type. */
static void from_lowest(const uint8_t *bytes, uint8_t *distances, size_t count, uint8_t lowest)
{
    for (size_t i = 0; i < count; ++i) {
        distances[i] = bytes[i] ^ lowest;
    }
}

/* The C side of a built-in function of Python (METH_O), called with its lock held. */
EXPORT python_object *edgemnist_answer_one(python_object *capsule, python_object *input)
{
    const edgemnist_single *const single = python->pointer(capsule, NULL);
    edgemnist_call call;
    python_object *answers;
    if (single == NULL) {
        return NULL;
    }
    if (!is_one_input(single, input)) {
        return python->call(single->otherwise, input);
    }
    call = single->call;
    if (single->levels == NULL) {
        call.images = array_of(input)->memory;
        /* An input that is not in the nearest cache is on its way there while the array is made. */
        for (size_t at = 0; at < call.model->inputs && at < MOST_FETCHED; at += CACHE_LINE) {
            __builtin_prefetch(call.images + at);
        }
    } else {
        const uint8_t *const memory = array_of(input)->memory;
        call.images = single->levels;
        if (single->scales == NULL) {
            from_lowest(memory, single->levels, call.model->inputs, single->lowest);
        } else if (!quantize_one(single, (const float *)(const void *)memory)) {
            return python->call(single->otherwise, input);
        }
    }
    answers = python->new_array(python->array, (int)single->made_dimensions, single->made_shape, single->made, NULL, NULL, 0,
                                0, NULL);
    if (answers != NULL && single->made == FLOAT32) {
        call.answers = (float *)(void *)array_of(answers)->memory;
        edgemnist_answer(&call);
    } else if (answers != NULL) {
        uint8_t *const bytes = array_of(answers)->memory;
        call.kernel->run(call.model, call.images, 1, bytes, call.scratch);
        from_lowest(bytes, bytes, call.model->classes, single->made_lowest);
    }
    return answers;
}
