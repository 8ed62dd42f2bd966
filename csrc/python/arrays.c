/* From NumPy arrays to the library's pointers and sizes. */
#define NPY_NO_DEPRECATED_API NPY_1_22_API_VERSION
#define NPY_TARGET_VERSION NPY_1_22_API_VERSION
/* Before all other headers, as Python asks; then one that NumPy's needs and does not include. */
#include <Python.h>

#include <stdio.h>

#include <math.h>
#include <numpy/ndarraytypes.h>

#include "../deepc.h"
#include "arrays_api.h"

typedef enum dtype { OTHER, FLOAT32, FLOAT64, INT64 } dtype;

static uintptr_t type_ndarray;

void dc_arrays_initialize(uintptr_t ndarray) { type_ndarray = ndarray; }

/* ---- Looking at an array ----------------------------------------------------------------------
 *
 * By the macros that read the fields of the object, not by functions of NumPy's C API, which would
 * need its table of pointers and the interpreter's lock. */

typedef struct array {
    dtype dtype;
    int flags;
    int ndim;
    const npy_intp *shape, *strides;
    char *data;
} array;

static array look(uintptr_t id) {
    PyObject *object = (PyObject *)id; /* NOLINT: the address of an object is what id() means */
    array x = {.dtype = OTHER};
    if ((uintptr_t)Py_TYPE(object) != type_ndarray) return x;
    const PyArrayObject *o = (const PyArrayObject *)object;
    const int number = PyArray_TYPE(o);
    if (PyArray_ISNOTSWAPPED(o))
        x.dtype = number == NPY_FLOAT                             ? FLOAT32
                  : number == NPY_DOUBLE                          ? FLOAT64
                  : number == NPY_INT64 || number == NPY_LONGLONG ? INT64
                                                                  : OTHER;
    x.flags = PyArray_FLAGS(o);
    x.ndim = PyArray_NDIM(o);
    x.shape = PyArray_DIMS((PyArrayObject *)object);
    x.strides = PyArray_STRIDES((PyArrayObject *)object);
    x.data = PyArray_DATA((PyArrayObject *)object);
    return x;
}

static int is_real(const array *x) { return x->dtype == FLOAT32 || x->dtype == FLOAT64; }

static int is_contiguous(const array *x) { return (x->flags & NPY_ARRAY_C_CONTIGUOUS) != 0; }

static int is_output(const array *x, dtype dtype) {
    return x->dtype == dtype && is_contiguous(x) && (x->flags & NPY_ARRAY_WRITEABLE);
}

static size_t size_of(const array *x) {
    size_t size = 1;
    for (int i = 0; i < x->ndim; i++) size *= (size_t)x->shape[i];
    return size;
}

static int same_shape(const array *x, const array *y) {
    if (x->ndim != y->ndim) return 0;
    for (int i = 0; i < x->ndim; i++)
        if (x->shape[i] != y->shape[i]) return 0;
    return 1;
}

static size_t item_size(const array *x) { return x->dtype == FLOAT32 ? 4 : 8; }

/* Whether the memory from x's first to its last element touches that of y, which is contiguous.
 * Neither has a negative stride. */
static int overlap(const array *x, const array *y) {
    const size_t x_size = size_of(x), y_size = size_of(y);
    if (x_size == 0 || y_size == 0) return 0;
    const char *x_end = x->data + item_size(x), *y_end = y->data + y_size * item_size(y);
    for (int i = 0; i < x->ndim; i++) x_end += (x->shape[i] - 1) * x->strides[i];
    return x->data < y_end && y->data < x_end;
}

/* ---- Elementwise functions -------------------------------------------------------------------- */

#define MAP(suffix, type)                                                                          \
    static int map_##suffix(int function, const array *array_x, const array *array_y) {            \
        const size_t n = size_of(array_x);                                                         \
        const type *x = (const type *)(const void *)array_x->data;                                 \
        type *y = (type *)(void *)array_y->data;                                                   \
        if (function == DC_FUNCTION_EXP) return dc_exp_##suffix(n, x, y);                          \
        if (function == DC_FUNCTION_LOG) return dc_log_##suffix(n, x, y);                          \
        if (function != DC_FUNCTION_SOFTMAX)                                                       \
            return dc_activation_forward_##suffix(function, n, x, y);                              \
        const size_t cols = array_x->ndim ? (size_t)array_x->shape[array_x->ndim - 1] : 1;         \
        return dc_softmax_##suffix(cols ? n / cols : 0, cols, x, y);                               \
    }
MAP(f32, float)
MAP(f64, double)

int dc_arrays_map(int function, uintptr_t id_x, uintptr_t id_y) {
    const array x = look(id_x), y = look(id_y);
    if (!is_real(&x) || !is_contiguous(&x) || !is_output(&y, x.dtype) || !same_shape(&x, &y) ||
        (x.data != y.data && overlap(&x, &y)))
        return DC_OTHER_ARRAYS;
    return x.dtype == FLOAT32 ? map_f32(function, &x, &y) : map_f64(function, &x, &y);
}

/* ---- Matrix multiply -------------------------------------------------------------------------- */

typedef struct matrix {
    size_t rows, cols; /* of op(x) */
    int transposed; /* whether the library has to transpose what is stored to get op(x) */
    size_t leading;
} matrix;

/* Finds out how op(x) is stored; 0 if the library cannot read it where it is. */
static int as_matrix(const array *x, int transpose, int vector_is_column, matrix *out) {
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
        if (inner != item || step < cols * item || step % item) continue;
        const int back = turned != (transpose != 0);
        *out = (matrix){(size_t)(back ? cols : rows), (size_t)(back ? rows : cols), back,
                        (size_t)(step / item)};
        return 1;
    }
    return 0;
}

int dc_arrays_matmul(int transpose_a, int transpose_b, uintptr_t id_a, uintptr_t id_b,
                     uintptr_t id_c) {
    const array a = look(id_a), b = look(id_b), c = look(id_c);
    matrix op_a, op_b;
    if (!as_matrix(&a, transpose_a, 0, &op_a) || !as_matrix(&b, transpose_b, 1, &op_b) ||
        a.dtype != b.dtype || op_a.cols != op_b.rows || !is_output(&c, a.dtype) ||
        c.ndim != (a.ndim == 2) + (b.ndim == 2))
        return DC_OTHER_ARRAYS;
    const size_t m = op_a.rows, n = op_b.cols, k = op_a.cols;
    if ((a.ndim == 2 && (size_t)c.shape[0] != m) ||
        (b.ndim == 2 && (size_t)c.shape[c.ndim - 1] != n) || overlap(&a, &c) || overlap(&b, &c))
        return DC_OTHER_ARRAYS;
#define MATMUL(suffix, type)                                                                       \
    dc_matmul_##suffix(op_a.transposed, op_b.transposed, m, n, k, (const type *)(void *)a.data,    \
                       op_a.leading, (const type *)(void *)b.data, op_b.leading, 0, NULL,          \
                       DC_IDENTITY, (type *)(void *)c.data, n)
    return a.dtype == FLOAT32 ? MATMUL(f32, float) : MATMUL(f64, double);
}

/* ---- Losses ----------------------------------------------------------------------------------- */

typedef struct loss_arguments {
    size_t rows, cols;
    double scale;
    const void *predicted, *targets;
    const int64_t *labels;
} loss_arguments;

static int take_loss(int mean, const array *predicted, const array *actual, loss_arguments *out) {
    if (!is_real(predicted) || !is_contiguous(predicted) || !is_contiguous(actual) ||
        predicted->ndim < 1 || predicted->ndim > 2)
        return 0;
    const int batch = predicted->ndim == 2;
    out->rows = batch ? (size_t)predicted->shape[0] : 1;
    out->cols = (size_t)predicted->shape[batch];
    out->scale = mean ? 1.0 / (double)out->rows : 1.0;
    out->predicted = predicted->data;
    out->targets = actual->dtype == predicted->dtype ? actual->data : NULL;
    out->labels = actual->dtype == INT64 ? (const int64_t *)(void *)actual->data : NULL;
    if (out->rows == 0 || out->cols == 0) return 0;
    if (out->targets) return same_shape(predicted, actual);
    return out->labels && batch && actual->ndim == 1 && actual->shape[0] == predicted->shape[0];
}

double dc_arrays_loss(int loss_kind, int mean, uintptr_t id_predicted, uintptr_t id_actual) {
    const array predicted = look(id_predicted), actual = look(id_actual);
    loss_arguments l;
    if (!take_loss(mean, &predicted, &actual, &l)) return NAN;
    const double sum =
        predicted.dtype == FLOAT32
            ? dc_loss_value_f32(loss_kind, l.rows, l.cols, l.predicted, l.targets, l.labels)
            : dc_loss_value_f64(loss_kind, l.rows, l.cols, l.predicted, l.targets, l.labels);
    return sum * l.scale;
}

int dc_arrays_loss_gradient(int loss_kind, int mean, uintptr_t id_predicted, uintptr_t id_actual,
                            uintptr_t id_d_predicted) {
    const array predicted = look(id_predicted), actual = look(id_actual);
    const array d_predicted = look(id_d_predicted);
    loss_arguments l;
    if (!take_loss(mean, &predicted, &actual, &l) || !is_output(&d_predicted, predicted.dtype) ||
        !same_shape(&predicted, &d_predicted))
        return DC_OTHER_ARRAYS;
    return predicted.dtype == FLOAT32
               ? dc_loss_f32(loss_kind, l.rows, l.cols, l.predicted, l.targets, l.labels, l.scale,
                             NULL, (float *)(void *)d_predicted.data)
               : dc_loss_f64(loss_kind, l.rows, l.cols, l.predicted, l.targets, l.labels, l.scale,
                             NULL, (double *)(void *)d_predicted.data);
}

/* ---- Networks --------------------------------------------------------------------------------- */

/* Whether both are samples or both batches of as many. */
static int same_rows(const array *x, const array *y) {
    return x->ndim == y->ndim && (x->ndim == 1 || (x->ndim == 2 && x->shape[0] == y->shape[0]));
}

int dc_arrays_forward(void *network, uintptr_t id_x, uintptr_t id_y) {
    const array x = look(id_x), y = look(id_y);
    if (!is_real(&y) || !is_output(&y, x.dtype) || !is_contiguous(&x) || !same_rows(&x, &y))
        return DC_OTHER_ARRAYS;
    const size_t rows = x.ndim == 2 ? (size_t)x.shape[0] : 1, cols = (size_t)x.shape[x.ndim - 1];
    return x.dtype == FLOAT32
               ? dc_network_forward_f32(network, rows, cols, (const float *)(void *)x.data,
                                        (float *)(void *)y.data)
               : dc_network_forward_f64(network, rows, cols, (const double *)(void *)x.data,
                                        (double *)(void *)y.data);
}

int dc_arrays_backward(void *network, size_t outputs, uintptr_t id_x, uintptr_t id_d_y,
                       uintptr_t id_d_x) {
    const array x = look(id_x), d_y = look(id_d_y);
    if (!is_real(&x) || !is_contiguous(&x) || d_y.dtype != x.dtype || !is_contiguous(&d_y) ||
        !same_rows(&x, &d_y))
        return DC_OTHER_ARRAYS;
    const size_t rows = x.ndim == 2 ? (size_t)x.shape[0] : 1, cols = (size_t)x.shape[x.ndim - 1];
    if ((size_t)d_y.shape[d_y.ndim - 1] != (outputs ? outputs : cols)) return DC_OTHER_ARRAYS;
    void *d_x = NULL;
    if (id_d_x) {
        const array result = look(id_d_x);
        if (!is_output(&result, x.dtype) || !same_shape(&result, &x)) return DC_OTHER_ARRAYS;
        d_x = result.data;
    }
    return x.dtype == FLOAT32
               ? dc_network_backward_f32(network, rows, cols, (const float *)(void *)x.data,
                                         (const float *)(void *)d_y.data, d_x)
               : dc_network_backward_f64(network, rows, cols, (const double *)(void *)x.data,
                                         (const double *)(void *)d_y.data, d_x);
}
