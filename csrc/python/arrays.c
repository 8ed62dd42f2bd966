/* The library as functions of the Python module over NumPy arrays: see arrays_api.h. */
#define DEEPC_IMPORTS_NUMPY
#include "operand.h"
#include "tape.h"

#include <math.h>

#include "../deepc.h"
#include "arrays_api.h"
#include "lists.h"

/* ---- Arguments and results ------------------------------------------------------------------- */

static PyObject *of_status(int status) { return PyLong_FromLong(status); }

/* The result if all went well, else the status and no result. */
static PyObject *result_or_status(PyObject *result, int status) {
    if (!status) return result;
    Py_DECREF(result);
    return of_status(status);
}

/* A new array, or another reference to `out` unless that is None; *y is what it looks like. With an
 * `out` that cannot take the result, y->dtype is OTHER. NULL with an exception without memory. */
static PyObject *output(PyObject *out, dtype dtype, int ndim, const npy_intp *shape, array *y) {
    PyObject *result;
    if (out == Py_None)
        result = PyArray_SimpleNew(ndim, shape, dtype == FLOAT32 ? NPY_FLOAT : NPY_DOUBLE);
    else
        result = Py_NewRef(out);
    if (!result) return NULL;
    *y = look(result);
    if (y->dtype != dtype || !is_contiguous(y) || !(y->flags & NPY_ARRAY_WRITEABLE) ||
        !same_shape(y, ndim, shape))
        y->dtype = OTHER;
    return result;
}

static int is_count(Py_ssize_t count, Py_ssize_t expected) {
    if (count == expected) return 1;
    PyErr_Format(PyExc_TypeError, "expected %zd arguments, got %zd", expected, count);
    return 0;
}

/* A whole number that is not negative, as all that comes from the Python side is. */
static int as_number(PyObject *object, size_t *out) {
    *out = PyLong_AsSize_t(object);
    return *out != (size_t)-1 || !PyErr_Occurred();
}

/* A status of a call that may have read lists: where it has, Python converts them itself, and says
 * what is wrong with them. */
static PyObject *refused(int has_lists, int status) {
    return of_status(has_lists ? DC_NOT_TAKEN : status);
}

/* A list that could not be read. */
static PyObject *unread(void) { return PyErr_Occurred() ? NULL : of_status(DC_NOT_TAKEN); }

/* ---- Elementwise functions ------------------------------------------------------------------- */

/* What map or activation computes, over rows of the last dimension. */
typedef struct elementwise_call {
    int is_activation, number;
    double parameter;
    size_t rows, cols;
    const void *x;
    void *y;
} elementwise_call;

#define ELEMENTWISE(suffix)                                                                        \
    static int elementwise_##suffix(const elementwise_call *c) {                                   \
        const size_t n = c->rows * c->cols;                                                        \
        if (c->is_activation)                                                                      \
            return dc_activation_forward_##suffix(c->number, c->parameter, n, c->x, c->y);         \
        switch (c->number) {                                                                       \
        case DC_FUNCTION_EXP: return dc_exp_##suffix(n, c->x, c->y);                               \
        case DC_FUNCTION_LOG: return dc_log_##suffix(n, c->x, c->y);                               \
        case DC_FUNCTION_SOFTMAX: return dc_softmax_##suffix(c->rows, c->cols, c->x, c->y);        \
        default: return DC_BAD_NAME;                                                               \
        }                                                                                          \
    }
ELEMENTWISE(f32)
ELEMENTWISE(f64)
#undef ELEMENTWISE

/* Fills in the arrays and computes it. */
static PyObject *elementwise(elementwise_call *call, PyObject *from, PyObject *out) {
    const array x = look(from);
    if (!is_real(&x) || !is_contiguous(&x)) return of_status(DC_NOT_TAKEN);
    array y;
    PyObject *result = output(out, x.dtype, x.ndim, x.shape, &y);
    if (!result) return NULL;
    int status = DC_NOT_TAKEN;
    if (y.dtype != OTHER && (x.data == y.data || !overlap(&x, &y))) {
        call->cols = x.ndim ? (size_t)x.shape[x.ndim - 1] : 1;
        call->rows = call->cols ? size_of(&x) / call->cols : 0;
        call->x = x.data;
        call->y = y.data;
        if (x.dtype == FLOAT32)
            UNLOCKED(status = elementwise_f32(call));
        else
            UNLOCKED(status = elementwise_f64(call));
    }
    return result_or_status(result, status);
}

/* map(function, x, out) */
static PyObject *map(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    size_t function;
    if (!is_count(count, 3) || !as_number(arguments[0], &function)) return NULL;
    elementwise_call call = {.number = (int)function};
    return elementwise(&call, arguments[1], arguments[2]);
}

/* activation(activation, parameter, x, out) */
static PyObject *activation(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    size_t number;
    if (!is_count(count, 4) || !as_number(arguments[0], &number)) return NULL;
    const double parameter = PyFloat_AsDouble(arguments[1]);
    if (parameter == -1 && PyErr_Occurred()) return NULL;
    elementwise_call call = {.is_activation = 1, .number = (int)number, .parameter = parameter};
    return elementwise(&call, arguments[2], arguments[3]);
}

/* ---- Matrix multiply ------------------------------------------------------------------------- */

/* matmul(a, b, out, transpose_a, transpose_b) */
static PyObject *matmul(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    if (!is_count(count, 5)) return NULL;
    const int transpose_a = PyObject_IsTrue(arguments[3]);
    const int transpose_b = PyObject_IsTrue(arguments[4]);
    if (transpose_a < 0 || transpose_b < 0) return NULL;
    const array a = look(arguments[0]), b = look(arguments[1]);
    matrix op_a, op_b;
    if (!as_matrix(&a, transpose_a, 0, &op_a) || !as_matrix(&b, transpose_b, 1, &op_b) ||
        a.dtype != b.dtype || op_a.cols != op_b.rows)
        return of_status(DC_NOT_TAKEN);
    const size_t m = op_a.rows, n = op_b.cols, k = op_a.cols;
    int ndim = 0;
    npy_intp shape[2];
    if (a.ndim == 2) shape[ndim++] = (npy_intp)m;
    if (b.ndim == 2) shape[ndim++] = (npy_intp)n;
    array c;
    PyObject *result = output(arguments[2], a.dtype, ndim, shape, &c);
    if (!result) return NULL;
    int status = DC_NOT_TAKEN;
#define MATMUL(suffix, type)                                                                       \
    UNLOCKED(status = dc_matmul_##suffix(op_a.transposed, op_b.transposed, m, n, k,                \
                                         (const type *)(void *)a.data, op_a.leading,               \
                                         (const type *)(void *)b.data, op_b.leading, 0, NULL,      \
                                         DC_IDENTITY, 0, (type *)(void *)c.data, n))
    if (c.dtype == OTHER || overlap(&a, &c) || overlap(&b, &c))
        status = DC_NOT_TAKEN;
    else if (a.dtype == FLOAT32)
        MATMUL(f32, float);
    else
        MATMUL(f64, double);
#undef MATMUL
    return result_or_status(result, status);
}

/* ---- Losses ---------------------------------------------------------------------------------- */

typedef struct loss_arguments {
    dc_loss_rule rule;
    size_t rows, cols;
    const void *targets, *weights;
    const int64_t *labels;
    array_operand predicted, actual, weighing;
} loss_arguments;

static void drop_loss(loss_arguments *l) {
    dc_operand_drop(&l->predicted);
    dc_operand_drop(&l->actual);
    dc_operand_drop(&l->weighing);
}

/* Arguments that are dropped at the end of the block. */
#define LOSS_ARGUMENTS(name)                                                                       \
    loss_arguments name __attribute__((cleanup(drop_loss)));                                       \
    name.predicted.array = name.actual.array = name.weighing.array = NULL

/* From a tuple of kind, reduction, parameter and smoothing; 0 with an exception. */
static int take_rule(PyObject *tuple, dc_loss_rule *rule) {
    if (!PyTuple_Check(tuple) || PyTuple_Size(tuple) != 4) {
        PyErr_SetString(PyExc_TypeError, "expected a rule: kind, reduction, parameter, smoothing");
        return 0;
    }
    rule->kind = (int)PyLong_AsLong(PyTuple_GetItem(tuple, 0));
    rule->reduction = (int)PyLong_AsLong(PyTuple_GetItem(tuple, 1));
    rule->parameter = PyFloat_AsDouble(PyTuple_GetItem(tuple, 2));
    rule->smoothing = PyFloat_AsDouble(PyTuple_GetItem(tuple, 3));
    return !PyErr_Occurred();
}

/* Predictions that are a list are of float64; other lists are of the dtype of the predictions. */
static int take_operands(PyObject *const *arguments, loss_arguments *out) {
    array *const predicted = &out->predicted.x;
    if (!dc_operand_take(&out->predicted, arguments[1], FLOAT64)) return 0;
    const dtype beside = is_real(predicted) ? predicted->dtype : FLOAT64;
    return dc_operand_take(&out->actual, arguments[2], beside) &&
           dc_operand_take(&out->weighing, arguments[3], beside);
}

/* From (rule, predicted, actual, weights). -1 with an exception, 0 for arrays of another form. */
static int take_loss(PyObject *const *arguments, Py_ssize_t count, loss_arguments *out) {
    if (!is_count(count, 4) || !take_rule(arguments[0], &out->rule)) return -1;
    if (!take_operands(arguments, out)) return PyErr_Occurred() ? -1 : 0;
    const array *const predicted = &out->predicted.x, *const actual = &out->actual.x;
    if (!is_real(predicted) || !is_contiguous(predicted) || !is_contiguous(actual) ||
        predicted->ndim < 1 || predicted->ndim > 2)
        return 0;
    const int batch = predicted->ndim == 2;
    out->rows = batch ? (size_t)predicted->shape[0] : 1;
    out->cols = (size_t)predicted->shape[batch];
    out->targets = actual->dtype == predicted->dtype ? actual->data : NULL;
    out->labels = actual->dtype == INT64 ? (const int64_t *)(void *)actual->data : NULL;
    out->weights = NULL;
    if (out->rows == 0 || out->cols == 0) return 0;
    if (arguments[3] != Py_None) {
        const array *const weights = &out->weighing.x;
        if (weights->dtype != predicted->dtype || !is_contiguous(weights) || weights->ndim != 1 ||
            (size_t)weights->shape[0] != out->rows)
            return 0;
        out->weights = weights->data;
    }
    if (out->targets) return same_shape(actual, predicted->ndim, predicted->shape);
    return out->labels && batch && actual->ndim == 1 && actual->shape[0] == predicted->shape[0];
}

/* The loss to *value and the gradient to d, or NULL. */
static int compute_loss(const loss_arguments *l, double *value, void *d) {
    const void *predicted = l->predicted.x.data;
    if (l->predicted.x.dtype == FLOAT32)
        return dc_loss_f32(&l->rule, l->rows, l->cols, predicted, l->targets, l->labels, l->weights,
                           1, value, d);
    return dc_loss_f64(&l->rule, l->rows, l->cols, predicted, l->targets, l->labels, l->weights, 1,
                       value, d);
}

/* loss(rule, predicted, actual, weights) */
static PyObject *loss(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    LOSS_ARGUMENTS(l);
    const int taken = take_loss(arguments, count, &l);
    if (taken < 0) return NULL;
    double value = NAN;
    if (taken) UNLOCKED(compute_loss(&l, &value, NULL));
    return PyFloat_FromDouble(value);
}

/* The gradient, a list for a list of predictions, and the loss to *value. */
static PyObject *gradient_and(PyObject *const *arguments, Py_ssize_t count, double *value) {
    LOSS_ARGUMENTS(l);
    const int taken = take_loss(arguments, count, &l);
    if (taken < 0) return NULL;
    if (!taken) return of_status(DC_NOT_TAKEN);
    const array *const predicted = &l.predicted.x;
    OPERAND(y);
    if (!dc_operand_make(&y, l.predicted.is_list, predicted->dtype, predicted->ndim,
                         predicted->shape))
        return NULL;
    int status;
    UNLOCKED(status = compute_loss(&l, value, y.x.data));
    return dc_operand_result(&y, status);
}

/* loss_gradient(rule, predicted, actual, weights) */
static PyObject *loss_gradient(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    return gradient_and(arguments, count, NULL);
}

/* loss_and_gradient(rule, predicted, actual, weights) */
static PyObject *loss_and_gradient(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    double value = NAN;
    PyObject *gradient = gradient_and(arguments, count, &value);
    if (!gradient || PyLong_Check(gradient)) return gradient;
    PyObject *both = Py_BuildValue("(dN)", value, gradient);
    return both;
}

static int compute_loss_rows(const loss_arguments *l, void *losses) {
    const void *predicted = l->predicted.x.data;
    if (l->predicted.x.dtype == FLOAT32)
        return dc_loss_rows_f32(&l->rule, l->rows, l->cols, predicted, l->targets, l->labels,
                                l->weights, losses);
    return dc_loss_rows_f64(&l->rule, l->rows, l->cols, predicted, l->targets, l->labels,
                            l->weights, losses);
}

/* loss_rows(rule, predicted, actual, weights) */
static PyObject *loss_rows(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    LOSS_ARGUMENTS(l);
    const int taken = take_loss(arguments, count, &l);
    if (taken < 0) return NULL;
    if (!taken) return of_status(DC_NOT_TAKEN);
    const array *const predicted = &l.predicted.x;
    array y;
    PyObject *result = output(Py_None, predicted->dtype, predicted->ndim - 1, predicted->shape, &y);
    if (!result) return NULL;
    int status;
    UNLOCKED(status = compute_loss_rows(&l, y.data));
    return result_or_status(result, status);
}

/* ---- Networks -------------------------------------------------------------------------------- */

/* Whether it is one sample or a batch of a dtype. */
static int is_input(const array *x, dtype dtype) {
    return x->dtype == dtype && is_contiguous(x) && (x->ndim == 1 || x->ndim == 2);
}

/* The library's function of that name for a network of a dtype. */
#define OF_NETWORK(dtype, name, ...)                                                               \
    ((dtype) == FLOAT32 ? dc_network_##name##_f32(__VA_ARGS__)                                     \
                        : dc_network_##name##_f64(__VA_ARGS__))

static size_t rows_of(const array *x) { return x->ndim == 2 ? (size_t)x->shape[0] : 1; }
static size_t cols_of(const array *x) { return (size_t)x->shape[x->ndim - 1]; }

static int compute_forward(void *network, dtype dtype, const array *x, void *y) {
    const size_t rows = rows_of(x), cols = cols_of(x);
    if (x->dtype == INT64)
        return OF_NETWORK(dtype, forward_indices, network, rows, cols, (const void *)x->data, y);
    if (x->ndim == 2)
        return OF_NETWORK(dtype, forward, network, rows, cols, (const void *)x->data, y);
    return OF_NETWORK(dtype, forward_sample, network, cols, (const void *)x->data, y);
}

/* What a forward of a list returns: that list, behind the array that is to be kept for backward if
 * that is another than so far. */
static PyObject *with_kept(PyObject *list, const array_operand *x, PyObject *before) {
    PyObject *kept = list ? dc_operand_keep(x, before) : NULL;
    PyObject *result = kept == before ? Py_XNewRef(list) : NULL;
    if (kept && !result) result = PyTuple_Pack(2, kept, list);
    Py_XDECREF(kept);
    Py_XDECREF(list);
    return result;
}

/* y of x, of either dtype. */
static PyObject *forward(dtype dtype, PyObject *const *arguments, Py_ssize_t count) {
    void *network;
    if (!is_count(count, 3) || !(network = PyLong_AsVoidPtr(arguments[0]))) return NULL;
    OPERAND(x);
    OPERAND(y);
    if (!dc_operand_take(&x, arguments[1], dtype)) return unread();
    const int indices = OF_NETWORK(dtype, takes_indices, network);
    if (!is_input(&x.x, indices ? INT64 : dtype)) return of_status(DC_NOT_TAKEN);
    const size_t outputs = OF_NETWORK(dtype, outputs, network, cols_of(&x.x));
    if (outputs == 0) return refused(x.is_list, DC_BAD_SIZE);
    npy_intp shape[2] = {x.x.shape[0]};
    shape[x.x.ndim - 1] = (npy_intp)outputs;
    if (!dc_operand_make(&y, x.is_list, dtype, x.x.ndim, shape)) return NULL;
    int status;
    UNLOCKED(status = compute_forward(network, dtype, &x.x, y.x.data));
    if (status) return refused(x.is_list, status);
    PyObject *result = dc_operand_result(&y, status);
    return x.is_list ? with_kept(result, &x, arguments[2]) : result;
}

static int compute_backward(void *network, dtype dtype, const array *x, const void *d_y,
                            void *d_x) {
    const size_t rows = rows_of(x), cols = cols_of(x);
    if (x->dtype == INT64)
        return OF_NETWORK(dtype, backward_indices, network, rows, cols, (const void *)x->data, d_y);
    return OF_NETWORK(dtype, backward, network, rows, cols, (const void *)x->data, d_y, d_x);
}

/* The gradients of the parameters and, if it is wanted, of x. */
static PyObject *backward(dtype dtype, PyObject *const *arguments, Py_ssize_t count) {
    void *network;
    if (!is_count(count, 4) || !(network = PyLong_AsVoidPtr(arguments[0]))) return NULL;
    const int wanted = PyObject_IsTrue(arguments[3]);
    if (wanted < 0) return NULL;
    OPERAND(d_y);
    OPERAND(d_x);
    if (!dc_operand_take(&d_y, arguments[2], dtype)) return unread();
    const array x = look(arguments[1]);
    const int indices = OF_NETWORK(dtype, takes_indices, network);
    if (!is_input(&x, indices ? INT64 : dtype) || !is_input(&d_y.x, dtype) || x.ndim != d_y.x.ndim)
        return of_status(DC_NOT_TAKEN);
    npy_intp shape[2] = {x.shape[0]};
    shape[x.ndim - 1] = (npy_intp)OF_NETWORK(dtype, outputs, network, cols_of(&x));
    if (!same_shape(&d_y.x, x.ndim, shape)) return of_status(DC_NOT_TAKEN);
    const int has_result = wanted && !indices;
    if (has_result && !dc_operand_make(&d_x, d_y.is_list, dtype, x.ndim, x.shape)) return NULL;
    void *const to = has_result ? d_x.x.data : NULL;
    int status;
    UNLOCKED(status = compute_backward(network, dtype, &x, d_y.x.data, to));
    if (status) return refused(d_y.is_list, status);
    return has_result ? dc_operand_result(&d_x, status) : Py_NewRef(Py_None);
}

static PyObject *forward_f32(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    return forward(FLOAT32, arguments, count);
}
static PyObject *forward_f64(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    return forward(FLOAT64, arguments, count);
}
static PyObject *backward_f32(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    return backward(FLOAT32, arguments, count);
}
static PyObject *backward_f64(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    return backward(FLOAT64, arguments, count);
}

/* ---- Optimizers ------------------------------------------------------------------------------ */

/* Item i of a tuple or a list, borrowed; NULL of other objects. */
static PyObject *item_of(PyObject *items, Py_ssize_t i) {
    if (PyTuple_Check(items)) return PyTuple_GetItem(items, i);
    return PyList_Check(items) ? PyList_GetItem(items, i) : NULL;
}

static Py_ssize_t length_of(PyObject *items) {
    if (PyTuple_Check(items)) return PyTuple_Size(items);
    return PyList_Check(items) ? PyList_Size(items) : -1;
}

/* Whether all are arrays that may be written. */
static int are_writable(PyObject *arrays, Py_ssize_t count) {
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *array = item_of(arrays, i);
        if (Py_TYPE(array) != &PyArray_Type ||
            !(PyArray_FLAGS((PyArrayObject *)array) & NPY_ARRAY_WRITEABLE))
            return 0;
    }
    return 1;
}

/* Whether an array still is that memory. */
static int is_memory(PyObject *array_object, dtype dtype, const void *data, size_t size) {
    const array x = look(array_object);
    return x.dtype == dtype && x.data == data && size_of(&x) == size;
}

/* Whether parameters and gradients still are the memory of the tensors. */
static int are_tensors_f32(PyObject *params, PyObject *grads, Py_ssize_t n,
                           const dc_tensor_f32 *t) {
    for (Py_ssize_t i = 0; i < n; i++)
        if (!is_memory(item_of(params, i), FLOAT32, t[i].parameter, t[i].size) ||
            !is_memory(item_of(grads, i), FLOAT32, t[i].gradient, t[i].size))
            return 0;
    return 1;
}
static int are_tensors_f64(PyObject *params, PyObject *grads, Py_ssize_t n,
                           const dc_tensor_f64 *t) {
    for (Py_ssize_t i = 0; i < n; i++)
        if (!is_memory(item_of(params, i), FLOAT64, t[i].parameter, t[i].size) ||
            !is_memory(item_of(grads, i), FLOAT64, t[i].gradient, t[i].size))
            return 0;
    return 1;
}

static size_t elements_of(dtype dtype, size_t n, const void *tensors) {
    const dc_tensor_f32 *const f32 = tensors;
    const dc_tensor_f64 *const f64 = tensors;
    size_t elements = 0;
    for (size_t i = 0; i < n; i++) elements += dtype == FLOAT32 ? f32[i].size : f64[i].size;
    return elements;
}

static int step_of(dtype dtype, dc_optimizer *optimizer, size_t n, const void *tensors) {
    return dtype == FLOAT32 ? dc_optimizer_step_f32(optimizer, n, tensors)
                            : dc_optimizer_step_f64(optimizer, n, tensors);
}

/* One step of an optimizer over tensors of either dtype: step(optimizer, tensors, leaves, params,
 * grads), with None for grads where all are known to be these. Leaves of the tape over the same
 * arrays learn of it. */
static PyObject *step(dtype dtype, PyObject *const *arguments, Py_ssize_t count) {
    dc_optimizer *optimizer;
    const void *tensors;
    if (!is_count(count, 5) || !(optimizer = PyLong_AsVoidPtr(arguments[0])) ||
        !(tensors = PyLong_AsVoidPtr(arguments[1])) || dc_tape_settle_all(arguments[2]) < 0)
        return NULL;
    PyObject *const params = arguments[3], *const grads = arguments[4];
    const Py_ssize_t n = length_of(params);
    if (n < 0 || !are_writable(params, n)) return of_status(DC_NOT_TAKEN);
    if (grads != Py_None &&
        (length_of(grads) != n || !(dtype == FLOAT32 ? are_tensors_f32(params, grads, n, tensors)
                                                     : are_tensors_f64(params, grads, n, tensors))))
        return of_status(DC_NOT_TAKEN);
    int status;
    COMPUTE(4 * elements_of(dtype, (size_t)n, tensors),
            status = step_of(dtype, optimizer, (size_t)n, tensors));
    return of_status(status);
}
static PyObject *step_f32(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    return step(FLOAT32, arguments, count);
}
static PyObject *step_f64(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    return step(FLOAT64, arguments, count);
}

int dc_arrays_interrupted(void) {
    const PyGILState_STATE lock = PyGILState_Ensure();
    /* Asking takes the signal's mark away; set again, it is handled as soon as Python goes on. */
    const int interrupted = PyOS_InterruptOccurred();
    if (interrupted) PyErr_SetInterrupt();
    PyGILState_Release(lock);
    return interrupted;
}

/* ---- The module ------------------------------------------------------------------------------ */

/* The detour keeps compilers quiet: Python casts it back. */
#define METHOD(name) {#name, (PyCFunction)(void (*)(void))name, METH_FASTCALL, NULL}

static PyMethodDef methods[] = {
    METHOD(map),           METHOD(activation),        METHOD(matmul),       METHOD(loss),
    METHOD(loss_gradient), METHOD(loss_and_gradient), METHOD(loss_rows),    METHOD(forward_f32),
    METHOD(forward_f64),   METHOD(backward_f32),      METHOD(backward_f64), METHOD(step_f32),
    METHOD(step_f64),      {NULL, NULL, 0, NULL},
};

int dc_arrays_initialize(uintptr_t module) {
    const PyGILState_STATE lock = PyGILState_Ensure();
    /* An exception stays set: Python raises it when the call returns. */
    const int failed = PyArray_ImportNumPyAPI() < 0 ||
                       PyModule_AddFunctions((PyObject *)module, methods) < 0; /* NOLINT */
    if (!failed) dc_lists_probe();
    PyGILState_Release(lock);
    return failed ? DC_BAD_STATE : DC_OK;
}
