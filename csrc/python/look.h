/* NumPy's arrays as C sees them: dtype, shape and memory, read where they are. For the files of
 * this folder, which includes Python and NumPy through here alone, in the order that they ask for.
 *
 * One file of the module imports NumPy's functions (DEEPC_IMPORTS_NUMPY), the others share them. */
#ifndef DEEPC_LOOK_H
#define DEEPC_LOOK_H

#define NPY_NO_DEPRECATED_API NPY_1_22_API_VERSION
#define NPY_TARGET_VERSION NPY_1_22_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL dc_numpy_functions
#ifndef DEEPC_IMPORTS_NUMPY
#define NO_IMPORT_ARRAY
#endif
/* Before all other headers, as Python asks; then one that NumPy's needs and does not include. */
#include <Python.h>

#include <stdio.h>

#include <numpy/arrayobject.h>

/* ---- Looking at an array --------------------------------------------------------------------- */

typedef enum dtype { OTHER, FLOAT32, FLOAT64, INT64 } dtype;

/* Valid as long as the interpreter's lock is held. */
typedef struct array {
    dtype dtype;
    int flags;
    int ndim;
    const npy_intp *shape, *strides;
    char *data;
} array;

/* The tape's own array, which Python never sees (tape_block.c): numbers in C's order. */
enum { BLOCK_DIMENSIONS = 2 };
typedef struct block {
    PyObject_HEAD union {
        npy_intp shape[BLOCK_DIMENSIONS];
        struct block *next; /* of a list of those that nobody has */
    };
    npy_intp strides[BLOCK_DIMENSIONS];
    char *data;
    uint32_t size; /* of the block in bytes */
    int8_t class, ndim, dtype;
    _Alignas(16) char numbers[];
} block;

extern PyTypeObject *dc_block_type;
static inline int is_block(PyObject *object) { return Py_TYPE(object) == dc_block_type; }

static inline array look_at_block(block *b) {
    return (array){.dtype = b->dtype,
                   .flags = NPY_ARRAY_CARRAY,
                   .ndim = b->ndim,
                   .shape = b->shape,
                   .strides = b->strides,
                   .data = b->data};
}

static inline dtype dtype_of_array(PyArrayObject *o) {
    if (!PyArray_ISNOTSWAPPED(o)) return OTHER;
    const int number = PyArray_TYPE(o);
    return number == NPY_FLOAT                             ? FLOAT32
           : number == NPY_DOUBLE                          ? FLOAT64
           : number == NPY_INT64 || number == NPY_LONGLONG ? INT64
                                                           : OTHER;
}

static inline array look(PyObject *object) {
    if (is_block(object)) return look_at_block((block *)object);
    if (Py_TYPE(object) != &PyArray_Type) return (array){.dtype = OTHER};
    PyArrayObject *o = (PyArrayObject *)object;
    return (array){.dtype = dtype_of_array(o),
                   .flags = PyArray_FLAGS(o),
                   .ndim = PyArray_NDIM(o),
                   .shape = PyArray_DIMS(o),
                   .strides = PyArray_STRIDES(o),
                   .data = PyArray_DATA(o)};
}

static inline int is_real(const array *x) { return x->dtype == FLOAT32 || x->dtype == FLOAT64; }

static inline int is_contiguous(const array *x) { return (x->flags & NPY_ARRAY_C_CONTIGUOUS) != 0; }

static inline size_t size_of(const array *x) {
    size_t size = 1;
    for (int i = 0; i < x->ndim; i++) size *= (size_t)x->shape[i];
    return size;
}

static inline int same_shape(const array *x, int ndim, const npy_intp *shape) {
    if (x->ndim != ndim) return 0;
    for (int i = 0; i < ndim; i++)
        if (x->shape[i] != shape[i]) return 0;
    return 1;
}

static inline size_t item_size(const array *x) { return x->dtype == FLOAT32 ? 4 : 8; }

/* Whether the memory from x's first to its last element touches that of y, which is contiguous.
 * Neither has a negative stride. */
static inline int overlap(const array *x, const array *y) {
    const size_t x_size = size_of(x), y_size = size_of(y);
    if (x_size == 0 || y_size == 0) return 0;
    const char *x_end = x->data + item_size(x), *y_end = y->data + y_size * item_size(y);
    for (int i = 0; i < x->ndim; i++) x_end += (x->shape[i] - 1) * x->strides[i];
    return x->data < y_end && y->data < x_end;
}

/* ---- A matrix, as the library's products take it --------------------------------------------- */

typedef struct matrix {
    size_t rows, cols; /* of op(x) */
    int transposed; /* whether the library has to transpose what is stored to get op(x) */
    size_t leading;
} matrix;

/* Finds out how op(x) is stored; 0 if the library cannot read it where it is. */
static inline int as_matrix(const array *x, int transpose, int vector_is_column, matrix *out) {
    const npy_intp item = (npy_intp)item_size(x);
    if (!is_real(x)) return 0;
    if (x->ndim == 1) {
        const size_t n = (size_t)x->shape[0];
        *out = vector_is_column ? (matrix){n, 1, 0, 1} : (matrix){1, n, 0, n};
        return is_contiguous(x);
    }
    if (x->ndim != 2) return 0;
    for (int turned = 0; turned < 2; turned++) {
        const npy_intp rows = x->shape[turned], cols = x->shape[!turned];
        /* The stride of a dimension of one element says nothing. */
        const npy_intp step = rows > 1 ? x->strides[turned] : cols * item;
        const npy_intp inner = cols > 1 ? x->strides[!turned] : item;
        if (inner != item || step < cols * item || step & (item - 1)) continue;
        const int back = turned != transpose;
        *out = (matrix){(size_t)(back ? cols : rows), (size_t)(back ? rows : cols), back,
                        (size_t)step >> (item == 4 ? 2 : 3)}; /* a division takes 5 ns */
        return 1;
    }
    return 0;
}

/* Computes without the interpreter's lock. What `look` found is not looked at meanwhile. */
#define UNLOCKED(statement)                                                                        \
    do {                                                                                           \
        PyThreadState *const interpreter = PyEval_SaveThread();                                    \
        statement;                                                                                 \
        PyEval_RestoreThread(interpreter);                                                         \
    } while (0)

/* Multiply-adds or elements from which on other threads of Python may run meanwhile: letting go of
 * the interpreter's lock and taking it again costs about as much as 1000 of them. */
enum { WORTH_UNLOCKING = 32768 };

/* Computes with the interpreter's lock only if that is short. */
#define COMPUTE(work, statement)                                                                   \
    do {                                                                                           \
        if ((work) < WORTH_UNLOCKING)                                                              \
            statement;                                                                             \
        else                                                                                       \
            UNLOCKED(statement);                                                                   \
    } while (0)

#endif
