/* Sums of arrays, products and repetitions: over all elements, over axes, to another's shape. */
#include "tape.h"

#include <string.h>

#include "../deepc.h"

static double sum_of(const array *x) {
    const size_t n = size_of(x);
    double sum;
    if (x->dtype == FLOAT32)
        COMPUTE(n, sum = dc_sum_f32(n, (const void *)x->data));
    else
        COMPUTE(n, sum = dc_sum_f64(n, (const void *)x->data));
    return sum;
}

void dc_array_fill(PyObject *target, double number) {
    const array x = look(target);
    const size_t n = size_of(&x);
    for (size_t i = 0; i < n; i++)
        if (x.dtype == FLOAT32)
            ((float *)(void *)x.data)[i] = (float)number;
        else
            ((double *)(void *)x.data)[i] = number;
}

/* One number as a new array. */
static PyObject *all_in_one(const array *x, int ndim, const npy_intp *shape) {
    PyObject *result = dc_block_new(x->dtype, ndim, shape);
    if (result) dc_array_fill(result, sum_of(x));
    return result;
}

PyObject *dc_array_sum(PyObject *object) {
    const array x = look(object);
    return is_real(&x) && is_contiguous(&x) ? all_in_one(&x, 0, NULL) : NULL;
}

/* ---- Along axes ------------------------------------------------------------------------------ */

/* y (before x after) = x (before x count x after), summed over the middle. */
static void sum_middle_f32(size_t before, size_t count, size_t after, const float *x, float *y) {
    for (size_t i = 0; i < before; i++)
        if (after == 1)
            y[i] = (float)dc_sum_f32(count, x + i * count);
        else
            dc_column_sum_f32(count, after, x + i * count * after, 0, y + i * after);
}

static void sum_middle_f64(size_t before, size_t count, size_t after, const double *x, double *y) {
    for (size_t i = 0; i < before; i++)
        if (after == 1)
            y[i] = dc_sum_f64(count, x + i * count);
        else
            dc_column_sum_f64(count, after, x + i * count * after, 0, y + i * after);
}

static size_t product(const npy_intp *shape, int from, int to) {
    size_t size = 1;
    for (int i = from; i < to; i++) size *= (size_t)shape[i];
    return size;
}

/* From the last axis to the first, neighbours in one: so the order of additions does not depend on
 * how the sum was asked for. Each time the array becomes one of two dimensions. */
PyObject *dc_array_summed(PyObject *object, uint64_t axes, int ndim, const npy_intp *shape) {
    const array x = look(object);
    if (!is_real(&x) || !is_contiguous(&x)) return NULL;
    PyObject *from = Py_NewRef(object);
    int end = x.ndim;
    size_t after = 1;
    while (from && axes) {
        while (!(axes >> (end - 1) & 1)) after *= (size_t)x.shape[--end];
        int first = end;
        while (first > 0 && axes >> (first - 1) & 1) axes &= ~((uint64_t)1 << --first);
        const size_t before = product(x.shape, 0, first), count = product(x.shape, first, end);
        const npy_intp between[] = {(npy_intp)before, (npy_intp)after};
        PyObject *to =
            axes ? dc_block_new(x.dtype, 2, between) : dc_block_new(x.dtype, ndim, shape);
        const void *const source = numbers_of(from);
        void *const target = to ? numbers_of(to) : NULL;
        if (to && x.dtype == FLOAT32)
            COMPUTE(before * count * after, sum_middle_f32(before, count, after, source, target));
        else if (to)
            COMPUTE(before * count * after, sum_middle_f64(before, count, after, source, target));
        Py_DECREF(from);
        from = to;
        end = first;
    }
    return from;
}

/* summed(x, axes, keepdims): a tuple of axes in order. None if x is nothing that C takes. */
PyObject *dc_tape_summed(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    const Py_ssize_t given = count == 3 ? PyTuple_Size(arguments[1]) : -1;
    const int keeps = given < 0 ? -1 : PyObject_IsTrue(arguments[2]);
    if (keeps < 0) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "summed: expected 3 arguments");
        return NULL;
    }
    const array x = look(arguments[0]);
    if (!is_real(&x) || !is_contiguous(&x) || given == 0) return Py_NewRef(Py_None);
    uint64_t axes = 0;
    for (Py_ssize_t i = 0; i < given; i++) {
        const Py_ssize_t axis = PyLong_AsSsize_t(PyTuple_GetItem(arguments[1], i));
        if (axis < 0 || axis >= x.ndim) return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
        axes |= (uint64_t)1 << axis;
    }
    npy_intp shape[64];
    int ndim = 0;
    for (int i = 0; i < x.ndim; i++) {
        if (!(axes >> i & 1))
            shape[ndim++] = x.shape[i];
        else if (keeps)
            shape[ndim++] = 1;
    }
    return dc_tape_visible(dc_array_summed(arguments[0], axes, ndim, shape));
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static void add_rows_f32(size_t count, size_t cols, const int64_t *rows, const float *g, float *y) {
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < cols; j++) y[(size_t)rows[i] * cols + j] += g[i * cols + j];
}

static void add_rows_f64(size_t count, size_t cols, const int64_t *rows, const double *g,
                         double *y) {
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < cols; j++) y[(size_t)rows[i] * cols + j] += g[i * cols + j];
}

/* add_rows(y, rows, g): each row of g is added to the row of y, counted from its first dimension,
 * whose number is at the same place among `rows`, in order. Whether C takes them as they are;
 * nothing is changed if not. */
PyObject *dc_tape_add_rows(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    if (count != 3) {
        PyErr_SetString(PyExc_TypeError, "add_rows: expected 3 arguments");
        return NULL;
    }
    const array y = look(arguments[0]), rows = look(arguments[1]), g = look(arguments[2]);
    if (!is_real(&y) || y.ndim == 0 || g.dtype != y.dtype || rows.dtype != INT64 ||
        !is_contiguous(&y) || !is_contiguous(&rows) || !is_contiguous(&g))
        return Py_NewRef(Py_False);
    const size_t n = size_of(&rows), cols = product(y.shape, 1, y.ndim);
    const int64_t *const at = (const void *)rows.data;
    if (size_of(&g) != n * cols) return Py_NewRef(Py_False);
    for (size_t i = 0; i < n; i++)
        if (at[i] < 0 || at[i] >= y.shape[0]) return Py_NewRef(Py_False);
    if (y.dtype == FLOAT32)
        COMPUTE(n * cols, add_rows_f32(n, cols, at, (const void *)g.data, (void *)y.data));
    else
        COMPUTE(n * cols, add_rows_f64(n, cols, at, (const void *)g.data, (void *)y.data));
    return Py_NewRef(Py_True);
}

/* ---- Products -------------------------------------------------------------------------------- */

/* x as before x count x after around an axis; -1: all in one. */
typedef struct around {
    size_t before, count, after;
} around;

static around around_axis(const array *x, int axis) {
    if (axis < 0) return (around){1, size_of(x), 1};
    return (around){product(x->shape, 0, axis), (size_t)x->shape[axis],
                    product(x->shape, axis + 1, x->ndim)};
}

/* What of x's shape is left. */
static int shape_without(const array *x, int axis, int keeps, npy_intp shape[64]) {
    int ndim = 0;
    for (int i = 0; i < x->ndim; i++)
        if (axis >= 0 && i != axis)
            shape[ndim++] = x->shape[i];
        else if (keeps)
            shape[ndim++] = 1;
    return ndim;
}

/* product(x, axis, keepdims): of a Tensor or an array, along an axis or, -1, of all elements;
 * NotImplemented of what C does not take. */
PyObject *dc_tape_product(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    const long axis = count == 3 ? PyLong_AsLong(arguments[1]) : -2;
    const int keeps = axis < -1 ? -1 : PyObject_IsTrue(arguments[2]);
    if (keeps < 0) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "product: no such axis");
        return NULL;
    }
    PyObject *const payload = dc_tape_payload(arguments[0]);
    const array given = payload ? look(payload) : (array){0};
    if (!is_real(&given) || axis >= given.ndim) {
        Py_XDECREF(payload);
        return payload ? Py_NewRef(Py_NotImplemented) : NULL;
    }
    PyObject *const flat = dc_array_flat(payload);
    Py_DECREF(payload);
    if (!flat) return NULL;
    const array x = look(flat);
    const around a = around_axis(&x, (int)axis);
    npy_intp shape[64];
    PyObject *result = dc_block_new(x.dtype, shape_without(&x, (int)axis, keeps, shape), shape);
    void *const y = result ? numbers_of(result) : NULL;
    if (result && x.dtype == FLOAT32)
        COMPUTE(size_of(&x), dc_prod_f32(a.before, a.count, a.after, (const void *)x.data, y));
    else if (result)
        COMPUTE(size_of(&x), dc_prod_f64(a.before, a.count, a.after, (const void *)x.data, y));
    Py_DECREF(flat);
    if (!result) return NULL;
    result = dc_tape_record(OP_PRODUCT, result, arguments, 1);
    node *const n = result ? as_node(result) : NULL;
    if (n) n->code = (int32_t)axis;
    return dc_tape_visible(result);
}

/* Over Tensors, in Python: (g, x, axis). */
static PyObject *slopes_over_tensors(node *n, PyObject *g) {
    PyObject *const axis = PyLong_FromLong(n->code);
    PyObject *const arguments[] = {g, (PyObject *)n->first[0].node, axis};
    PyObject *result = axis ? dc_tape_help(dc_tape_helpers.product_rule, 3, arguments) : NULL;
    Py_XDECREF(axis);
    return result;
}

int dc_tape_product_rule(pass *p, node *n, PyObject *g) {
    if (!dc_tape_wants(p, n, 0)) return 0;
    if (p->create) return dc_tape_give(p, n, 0, slopes_over_tensors(n, g));
    PyObject *const flat = dc_array_flat(n->first[0].value.object);
    PyObject *const upstream = flat ? dc_array_flat(g) : NULL;
    const array x = upstream ? look(flat) : (array){0};
    PyObject *const result = upstream ? dc_block_new(x.dtype, x.ndim, x.shape) : NULL;
    if (result) {
        const around a = around_axis(&x, n->code);
        const void *const from = numbers_of(upstream);
        void *const d = numbers_of(result);
        if (x.dtype == FLOAT32)
            COMPUTE(3 * size_of(&x), dc_prod_backward_f32(a.before, a.count, a.after,
                                                          (const void *)x.data, from, d));
        else
            COMPUTE(3 * size_of(&x), dc_prod_backward_f64(a.before, a.count, a.after,
                                                          (const void *)x.data, from, d));
    }
    Py_XDECREF(upstream);
    Py_XDECREF(flat);
    return dc_tape_give(p, n, 0, result);
}

/* ---- To another shape ------------------------------------------------------------------------ */

/* x repeated along dimensions in which it has one element, or which it lacks; 0: it does not fit.
 * The innermost loop copies a run of elements, or one element many times. */
static int repeat(const array *x, const array *like, char *y) {
    const int extra = like->ndim - x->ndim;
    npy_intp steps[64], place[64] = {0};
    if (extra < 0) return 0;
    npy_intp step = 1;
    for (int i = like->ndim - 1; i >= 0; i--) {
        const npy_intp n = i < extra ? 1 : x->shape[i - extra];
        if (n != like->shape[i] && n != 1) return 0;
        steps[i] = n == 1 ? 0 : step;
        step *= n;
    }
    if (size_of(like) == 0) return 1;
    const int last = like->ndim - 1;
    const size_t run = last < 0 ? 1 : (size_t)like->shape[last], item = item_size(x);
    const npy_intp inner = last < 0 ? 0 : steps[last];
    for (;;) {
        npy_intp from = 0;
        for (int i = 0; i < last; i++) from += place[i] * steps[i];
        const char *const source = x->data + (size_t)from * item;
        if (inner)
            memcpy(y, source, run * item);
        else if (x->dtype == FLOAT32)
            for (size_t i = 0; i < run; i++) ((float *)(void *)y)[i] = *(const float *)source;
        else
            for (size_t i = 0; i < run; i++) ((double *)(void *)y)[i] = *(const double *)source;
        y += run * item;
        int i = last - 1;
        while (i >= 0 && ++place[i] == like->shape[i]) place[i--] = 0;
        if (i < 0) return 1;
    }
}

/* Which axes of x are summed to get the shape of `like`: 0 if that is not all it takes. */
static uint64_t axes_to_sum(const array *x, const array *like) {
    const int extra = x->ndim - like->ndim;
    uint64_t axes = 0;
    for (int i = 0; i < x->ndim; i++) {
        const npy_intp n = i < extra ? 1 : like->shape[i - extra];
        if (i < extra || (n == 1 && x->shape[i] != 1))
            axes |= (uint64_t)1 << i;
        else if (n != x->shape[i])
            return 0;
    }
    return axes;
}

/* x summed or repeated to the shape of `like`, which has its dtype. */
PyObject *dc_array_fit(PyObject *object, PyObject *like_object) {
    const array x = look(object), like = look(like_object);
    if (!is_real(&x) || x.dtype != like.dtype) return NULL;
    if (!is_contiguous(&x)) {
        PyObject *const flat = dc_array_flat(object);
        PyObject *fitting = flat ? dc_array_fit(flat, like_object) : NULL;
        Py_XDECREF(flat);
        return fitting;
    }
    if (same_shape(&x, like.ndim, like.shape)) return Py_NewRef(object);
    if (size_of(&like) == 1 && like.ndim <= x.ndim) return all_in_one(&x, like.ndim, like.shape);
    const uint64_t axes = x.ndim < like.ndim ? 0 : axes_to_sum(&x, &like);
    if (axes) return dc_array_summed(object, axes, like.ndim, like.shape);
    PyObject *result = dc_block_new(x.dtype, like.ndim, like.shape);
    if (result && !repeat(&x, &like, numbers_of(result))) Py_CLEAR(result);
    return result;
}
