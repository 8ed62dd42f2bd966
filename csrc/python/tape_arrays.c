/* Operations on bare arrays: what the library's functions can take as it is. Anything else (other
 * dtypes, other strides, broadcasting in more than one direction) goes to Python's helpers. */
#include "tape.h"

#include <math.h>
#include <string.h>

#include "../deepc.h"

static PyObject *new_array(dtype dtype, int ndim, const npy_intp *shape) {
    return dc_block_new(dtype, ndim, shape);
}

PyObject *dc_array_like(PyObject *object) {
    const array x = look(object);
    if (is_real(&x) && is_contiguous(&x)) return dc_block_new(x.dtype, x.ndim, x.shape);
    return PyArray_NewLikeArray((PyArrayObject *)object, NPY_KEEPORDER, NULL, 0);
}

int dc_array_assign(PyObject *target, PyObject *object) {
    const array to = look(target), from = look(object);
    if (to.dtype == from.dtype && is_real(&to) && is_contiguous(&to) && is_contiguous(&from) &&
        same_shape(&from, to.ndim, to.shape)) {
        memcpy(to.data, from.data, size_of(&to) * item_size(&to));
        return 0;
    }
    PyObject *const x = dc_tape_visible(Py_NewRef(object)), *const y =
                                                                dc_tape_visible(Py_NewRef(target));
    const int status = x && y ? PyArray_CopyInto((PyArrayObject *)y, (PyArrayObject *)x) : -1;
    Py_XDECREF(x);
    Py_XDECREF(y);
    return status;
}

PyObject *dc_array_copy(PyObject *x) {
    PyObject *copy = dc_array_like(x);
    if (copy && dc_array_assign(copy, x) < 0) Py_CLEAR(copy);
    return copy;
}

int dc_array_is_exclusive(PyObject *object) {
    return Py_REFCNT(object) == 1 && (is_block(object) || (Py_TYPE(object) == &PyArray_Type &&
                                                           !PyArray_BASE((PyArrayObject *)object)));
}

/* ---- Two operands ---------------------------------------------------------------------------- */

typedef struct side {
    const void *data;
    size_t row, col; /* steps */
    float f32;
    double f64;
} side;

int dc_tape_is_number(PyObject *object, double *number) {
    if (PyFloat_Check(object)) {
        *number = PyFloat_AsDouble(object);
        return 1;
    }
    if (is_block(object) || PyArray_Check(object)) return 0;
    if (!PyLong_Check(object) && !PyArray_CheckScalar(object)) return 0;
    *number = PyFloat_AsDouble(object);
    if (*number != -1 || !PyErr_Occurred()) return 1;
    PyErr_Clear();
    return 0;
}

/* How x lies in a result of rows x cols that has the shape of `full`; 0: in no way that dc_combine
 * knows. */
static int lies(const array *x, const array *full, size_t rows, size_t cols, side *out) {
    const size_t size = size_of(x);
    out->data = x->data;
    if (size == rows * cols && x->ndim == full->ndim) {
        *out = (side){.data = x->data, .row = cols, .col = 1};
        return same_shape(x, full->ndim, full->shape);
    }
    if (x->ndim > full->ndim) return 0;
    if (size == 1) {
        out->row = out->col = 0;
        return 1;
    }
    if (size == cols && x->shape[x->ndim - 1] == full->shape[full->ndim - 1]) {
        out->row = 0, out->col = 1;
        return 1;
    }
    if (size == rows && x->ndim == full->ndim && x->shape[x->ndim - 1] == 1) {
        for (int i = 0; i + 1 < x->ndim; i++)
            if (x->shape[i] != full->shape[i]) return 0;
        out->row = 1, out->col = 0;
        return 1;
    }
    return 0;
}

static void set_number(side *out, double number) {
    out->f64 = number;
    out->f32 = (float)number;
    out->row = out->col = 0;
    out->data = NULL;
}

static PyObject *combine(int combination, const array *full, const side *a, const side *b,
                         size_t rows, size_t cols) {
    PyObject *result = new_array(full->dtype, full->ndim, full->shape);
    if (!result) return NULL;
    void *const y = numbers_of(result);
    const size_t work = rows * cols;
    if (full->dtype == FLOAT32) {
        const float *x = a->data ? a->data : &a->f32, *z = b->data ? b->data : &b->f32;
        COMPUTE(work,
                dc_combine_f32(combination, rows, cols, x, a->row, a->col, z, b->row, b->col, y));
    } else {
        const double *x = a->data ? a->data : &a->f64, *z = b->data ? b->data : &b->f64;
        COMPUTE(work,
                dc_combine_f64(combination, rows, cols, x, a->row, a->col, z, b->row, b->col, y));
    }
    return result;
}

/* Whether two arrays are of one dtype and shape, their numbers in C's order. */
static inline int are_alike(const array *x, const array *z) {
    return x->dtype == z->dtype && is_real(x) && is_contiguous(x) && is_contiguous(z) &&
           same_shape(x, z->ndim, z->shape);
}

int dc_array_alike(PyObject *a, PyObject *b) {
    const array x = look(a), z = look(b);
    return are_alike(&x, &z);
}

static void combine_alike(int combination, const array *x, const array *z, void *y) {
    const size_t n = size_of(x);
    if (x->dtype == FLOAT32)
        COMPUTE(n, dc_combine_f32(combination, 1, n, (const void *)x->data, n, 1,
                                  (const void *)z->data, n, 1, y));
    else
        COMPUTE(n, dc_combine_f64(combination, 1, n, (const void *)x->data, n, 1,
                                  (const void *)z->data, n, 1, y));
}

int dc_array_combine_in_place(int combination, PyObject *a, PyObject *target) {
    const array x = look(a), y = look(target);
    if (!are_alike(&x, &y)) return 0;
    combine_alike(combination, &x, &y, y.data);
    return 1;
}

PyObject *dc_array_combine(int combination, PyObject *a, PyObject *b) {
    const array x = look(a), z = look(b);
    if (are_alike(&x, &z)) {
        PyObject *result = new_array(x.dtype, x.ndim, x.shape);
        if (result) combine_alike(combination, &x, &z, numbers_of(result));
        return result;
    }
    const int x_real = is_real(&x), z_real = is_real(&z);
    side left, right;
    double number;
    if (x_real && z_real) {
        if (x.dtype != z.dtype || !is_contiguous(&x) || !is_contiguous(&z)) return NULL;
        const size_t x_size = size_of(&x), z_size = size_of(&z);
        const int x_full = x_size > z_size || (x_size == z_size && x.ndim >= z.ndim);
        const array *full = x_full ? &x : &z;
        const size_t size = x_full ? x_size : z_size;
        const size_t cols = full->ndim ? (size_t)full->shape[full->ndim - 1] : 1;
        const size_t rows = cols ? size / cols : 0;
        if (!lies(&x, full, rows, cols, &left) || !lies(&z, full, rows, cols, &right)) return NULL;
        return combine(combination, full, &left, &right, rows, cols);
    }
    const array *full = x_real ? &x : &z;
    if ((!x_real && !z_real) || !is_contiguous(full)) return NULL;
    if (!dc_tape_is_number(x_real ? b : a, &number)) return NULL;
    const size_t size = size_of(full);
    side all = {.data = full->data, .row = size, .col = 1}, one;
    set_number(&one, number);
    return combine(combination, full, x_real ? &all : &one, x_real ? &one : &all, 1, size);
}

int dc_array_add(PyObject *target, PyObject *x) {
    const array to = look(target), from = look(x);
    if (!are_alike(&to, &from)) return 0;
    combine_alike(DC_ADD, &to, &from, to.data);
    return 1;
}

/* ---- One operand ----------------------------------------------------------------------------- */

static int activation_of(int op) {
    return op == OP_SIGMOID ? DC_SIGMOID : op == OP_TANH ? DC_TANH : DC_RELU;
}

PyObject *dc_array_map(int op, PyObject *object) {
    const array x = look(object);
    if (!is_real(&x) || !is_contiguous(&x)) return NULL;
    if (op == OP_NEGATE) {
        PyObject *const minus = PyFloat_FromDouble(-1);
        PyObject *result = minus ? dc_array_combine(DC_MULTIPLY, object, minus) : NULL;
        Py_XDECREF(minus);
        return result;
    }
    if (op == OP_RELU_PRODUCT) return dc_array_combine(DC_GATE, object, object);
    PyObject *result = new_array(x.dtype, x.ndim, x.shape);
    if (!result) return NULL;
    const size_t n = size_of(&x);
    void *const y = numbers_of(result);
#define MAP(suffix)                                                                                \
    do {                                                                                           \
        if (op == OP_EXP)                                                                          \
            COMPUTE(8 * n, dc_exp_##suffix(n, (const void *)x.data, y));                           \
        else if (op == OP_LOG)                                                                     \
            COMPUTE(8 * n, dc_log_##suffix(n, (const void *)x.data, y));                           \
        else                                                                                       \
            COMPUTE(8 * n, dc_activation_forward_##suffix(activation_of(op), 0, n,                 \
                                                          (const void *)x.data, y));               \
    } while (0)
    if (x.dtype == FLOAT32)
        MAP(f32);
    else
        MAP(f64);
#undef MAP
    return result;
}

PyObject *dc_array_slope(int op, PyObject *y_object, PyObject *g_object) {
    const array y = look(y_object), g = look(g_object);
    if (!is_real(&y) || y.dtype != g.dtype || !is_contiguous(&y) || !is_contiguous(&g) ||
        !same_shape(&g, y.ndim, y.shape))
        return NULL;
    PyObject *result = new_array(y.dtype, y.ndim, y.shape);
    if (!result) return NULL;
    const size_t n = size_of(&y);
    const int activation = activation_of(op);
    void *const d = numbers_of(result);
    if (y.dtype == FLOAT32)
        COMPUTE(n, dc_activation_backward_f32(activation, 0, n, (const void *)y.data,
                                              (const void *)g.data, d));
    else
        COMPUTE(n, dc_activation_backward_f64(activation, 0, n, (const void *)y.data,
                                              (const void *)g.data, d));
    return result;
}

/* ---- Products -------------------------------------------------------------------------------- */

PyObject *dc_array_matmul(PyObject *a_object, PyObject *b_object, int transpose_a,
                          int transpose_b) {
    const array a = look(a_object), b = look(b_object);
    matrix op_a, op_b;
    if (a.ndim != 2 || b.ndim != 2 || a.dtype != b.dtype || !as_matrix(&a, transpose_a, 0, &op_a) ||
        !as_matrix(&b, transpose_b, 1, &op_b) || op_a.cols != op_b.rows)
        return NULL;
    const size_t m = op_a.rows, n = op_b.cols, k = op_a.cols;
    const npy_intp shape[2] = {(npy_intp)m, (npy_intp)n};
    PyObject *result = new_array(a.dtype, 2, shape);
    if (!result) return NULL;
    void *const c = numbers_of(result);
    if (a.dtype == FLOAT32)
        COMPUTE(m * n * k, dc_matmul_f32(op_a.transposed, op_b.transposed, m, n, k,
                                         (const void *)a.data, op_a.leading, (const void *)b.data,
                                         op_b.leading, 0, NULL, DC_IDENTITY, 0, c, n));
    else
        COMPUTE(m * n * k, dc_matmul_f64(op_a.transposed, op_b.transposed, m, n, k,
                                         (const void *)a.data, op_a.leading, (const void *)b.data,
                                         op_b.leading, 0, NULL, DC_IDENTITY, 0, c, n));
    return result;
}

PyObject *dc_array_flat(PyObject *x) {
    if (is_block(x) || PyArray_IS_C_CONTIGUOUS((PyArrayObject *)x)) return Py_NewRef(x);
    return PyArray_NewCopy((PyArrayObject *)x, NPY_CORDER);
}

int dc_array_has_nan(PyObject *object) {
    const array x = look(object);
    if (!is_real(&x) || !is_contiguous(&x)) return 0;
    const size_t n = size_of(&x);
    for (size_t i = 0; i < n; i++)
        if (x.dtype == FLOAT32 ? isnan(((const float *)(const void *)x.data)[i])
                               : isnan(((const double *)(const void *)x.data)[i]))
            return 1;
    return 0;
}
