/* The operations of a training step in one node each: a product with bias and activation, whose
 * backward writes into the parameters' gradients where they are; and a loss, whose gradient is
 * computed together with its value. */
#include "tape.h"

#include "../deepc.h"

/* ---- linear: activation(x w + b) ------------------------------------------------------------- */

/* Beside the number of an activation: w is (outputs, inputs), as PyTorch has it. */
enum { TRANSPOSED = 1 << 16 };

typedef struct product {
    dtype dtype;
    matrix x, w;
    const char *x_data, *w_data;
    int x_ndim;
} product;

/* What two arrays are as the factors of a product; 0: something else. */
static int take_product(PyObject *x_object, PyObject *w_object, int transposed, product *out) {
    const array x = look(x_object), w = look(w_object);
    out->dtype = x.dtype;
    out->x_data = x.data;
    out->w_data = w.data;
    out->x_ndim = x.ndim;
    return x.dtype == w.dtype && w.ndim == 2 && as_matrix(&x, 0, 0, &out->x) &&
           as_matrix(&w, transposed, 0, &out->w) && out->x.cols == out->w.rows;
}

static void multiply(dtype dtype, int transpose_a, int transpose_b, size_t m, size_t n, size_t k,
                     const void *a, size_t lda, const void *b, size_t ldb, int accumulate,
                     const void *bias, int activation, void *c, size_t ldc) {
    if (dtype == FLOAT32)
        dc_matmul_f32(transpose_a, transpose_b, m, n, k, a, lda, b, ldb, accumulate, bias,
                      activation, 0, c, ldc);
    else
        dc_matmul_f64(transpose_a, transpose_b, m, n, k, a, lda, b, ldb, accumulate, bias,
                      activation, 0, c, ldc);
}

static PyObject *compute(PyObject *x, PyObject *w, PyObject *b, int activation) {
    product q;
    array bias = {0};
    if (!take_product(x, w, (activation & TRANSPOSED) != 0, &q)) return NULL;
    activation &= ~TRANSPOSED;
    const size_t m = q.x.rows, n = q.w.cols, k = q.x.cols;
    if (b != Py_None) {
        bias = look(b);
        if (bias.dtype != q.dtype || !is_contiguous(&bias) || bias.ndim != 1 ||
            (size_t)bias.shape[0] != n)
            return NULL;
    }
    npy_intp shape[2] = {(npy_intp)m, (npy_intp)n};
    PyObject *result = dc_block_new(q.dtype, q.x_ndim, q.x_ndim == 2 ? shape : shape + 1);
    if (!result) return NULL;
    void *const y = numbers_of(result);
    if (m * n * k < 2 * WORTH_UNLOCKING)
        multiply(q.dtype, q.x.transposed, q.w.transposed, m, n, k, q.x_data, q.x.leading, q.w_data,
                 q.w.leading, 0, bias.data, activation, y, n);
    else
        UNLOCKED(multiply(q.dtype, q.x.transposed, q.w.transposed, m, n, k, q.x_data, q.x.leading,
                          q.w_data, q.w.leading, 0, bias.data, activation, y, n));
    return result;
}

/* The result of compute() as a node; operands are x, w and b, which may be None. */
static PyObject *written_down(PyObject *result, PyObject *const *operands, long activation) {
    result = dc_tape_record(OP_LINEAR, result, operands, operands[2] == Py_None ? 2 : 3);
    node *const n = result ? as_node(result) : NULL;
    if (n) n->code = (int32_t)activation;
    return result;
}

PyObject *dc_tape_fused_linear(PyObject *const *operands, long activation) {
    PyObject *payloads[3], *result = NULL;
    for (int i = 0; i < 3; i++) payloads[i] = dc_tape_payload(operands[i]);
    if (payloads[0] && payloads[1] && payloads[2])
        result = compute(payloads[0], payloads[1], payloads[2], (int)activation);
    for (int i = 0; i < 3; i++) Py_XDECREF(payloads[i]);
    if (result) return dc_tape_visible(written_down(result, operands, activation));
    PyObject *const number = PyErr_Occurred() ? NULL : PyLong_FromLong(activation);
    PyObject *const given[] = {operands[0], operands[1], operands[2], number};
    if (number) result = dc_tape_help(dc_tape_helpers.linear, 4, given);
    Py_XDECREF(number);
    return result;
}

/* linear(x, w, b, activation): b may be None; activation may be TRANSPOSED. */
PyObject *dc_tape_linear(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    if (count != 4) {
        PyErr_SetString(PyExc_TypeError, "linear: expected 4 arguments");
        return NULL;
    }
    const long activation = PyLong_AsLong(arguments[3]);
    if (activation == -1 && PyErr_Occurred()) return NULL;
    return dc_tape_fused_linear(arguments, activation);
}

/* linears(x, steps): linear of x and each (w, b, activation) of a list, one after the other. What
 * does not fit as it is gives NotImplemented: who asked says why, in words of his own. */
PyObject *dc_tape_linears(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    const Py_ssize_t steps = count == 2 ? PyList_Size(arguments[1]) : -1;
    if (steps < 0) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "linears: expected a list");
        return NULL;
    }
    const node *const first = as_node(arguments[0]);
    PyObject *y = first && !is_scalar(first) ? Py_NewRef(arguments[0]) : NULL;
    for (Py_ssize_t i = 0; y && i < steps; i++) {
        PyObject *const step = PyList_GetItem(arguments[1], i);
        PyObject *const operands[] = {y, PyTuple_GetItem(step, 0), PyTuple_GetItem(step, 1)};
        PyObject *const number = PyTuple_GetItem(step, 2);
        const node *const w = operands[1] ? as_node(operands[1]) : NULL;
        const node *const b = operands[2] ? as_node(operands[2]) : NULL;
        const long activation = number && w && !is_scalar(w) ? PyLong_AsLong(number) : -1;
        const int fits = activation >= 0 && (b ? !is_scalar(b) : operands[2] == Py_None);
        PyObject *result = fits ? compute(((node *)y)->data.object, w->data.object,
                                          b ? b->data.object : Py_None, (int)activation)
                                : NULL;
        replace(&y, result ? written_down(result, operands, activation) : NULL);
    }
    if (!y && !PyErr_Occurred()) return Py_NewRef(Py_NotImplemented);
    return y ? dc_tape_visible(y) : NULL;
}

/* The array for the gradient of operand i: where it is kept, or a new one, which *new says. */
static PyObject *room_for(pass *p, node *n, size_t i, int *accumulate, int *new) {
    PyObject *room = dc_tape_room(p, n, i, accumulate);
    *new = !room;
    if (room || PyErr_Occurred()) return room;
    *accumulate = 0;
    return dc_array_like(operands_of(n)[i].node->data.object);
}

/* d_w = x^T d_z, in the layout of the array that takes it. */
static int give_weights(pass *p, node *n, const product *q, const char *d_z) {
    int accumulate, new;
    PyObject *room = room_for(p, n, 1, &accumulate, &new);
    if (!room) return -1;
    const array d_w = look(room);
    matrix to;
    if (!as_matrix(&d_w, (n->code & TRANSPOSED) != 0, 0, &to)) return -1;
    const size_t m = q->x.rows, cols = q->w.cols, k = q->x.cols;
    if (to.transposed)
        multiply(q->dtype, 1, q->x.transposed, cols, k, m, d_z, cols, q->x_data, q->x.leading,
                 accumulate, NULL, DC_IDENTITY, d_w.data, to.leading);
    else
        multiply(q->dtype, !q->x.transposed, 0, k, cols, m, q->x_data, q->x.leading, d_z, cols,
                 accumulate, NULL, DC_IDENTITY, d_w.data, to.leading);
    return new ? dc_tape_give(p, n, 1, room) : 0;
}

/* d_b = the sum of the rows of d_z. */
static int give_bias(pass *p, node *n, const product *q, const char *d_z) {
    int accumulate, new;
    PyObject *room = room_for(p, n, 2, &accumulate, &new);
    if (!room) return -1;
    void *const d_b = numbers_of(room);
    if (q->dtype == FLOAT32)
        dc_column_sum_f32(q->x.rows, q->w.cols, (const void *)d_z, accumulate, d_b);
    else
        dc_column_sum_f64(q->x.rows, q->w.cols, (const void *)d_z, accumulate, d_b);
    return new ? dc_tape_give(p, n, 2, room) : 0;
}

/* d_x = d_z w^T. */
static int give_input(pass *p, node *n, const product *q, const char *d_z) {
    const array x = look(operands_of(n)[0].node->data.object);
    PyObject *room = dc_block_new(q->dtype, x.ndim, x.shape);
    if (!room) return -1;
    multiply(q->dtype, 0, !q->w.transposed, q->x.rows, q->x.cols, q->w.cols, d_z, q->w.cols,
             q->w_data, q->w.leading, 0, NULL, DC_IDENTITY, numbers_of(room), q->x.cols);
    return dc_tape_give(p, n, 0, room);
}

/* The gradient before the activation: of the identity g itself. */
static PyObject *before_activation(node *n, PyObject *g) {
    PyObject *flat = dc_array_flat(g);
    const int activation = n->code & ~TRANSPOSED;
    if (!flat || activation == DC_IDENTITY) return flat;
    PyObject *d_z = dc_array_slope(activation == DC_SIGMOID ? OP_SIGMOID
                                   : activation == DC_TANH  ? OP_TANH
                                                            : OP_RELU,
                                   n->data.object, flat);
    Py_DECREF(flat);
    return d_z;
}

/* Over Tensors, in Python: (g, y, x, w, activation) -> the gradients of x, w and b. */
static int rule_over_tensors(pass *p, node *n, PyObject *g) {
    PyObject *const activation = PyLong_FromLong(n->code);
    PyObject *const x = dc_tape_value(p, n, 0), *const w = dc_tape_value(p, n, 1);
    PyObject *const arguments[] = {g, (PyObject *)n, x, w, activation};
    PyObject *result = activation ? dc_tape_help(dc_tape_helpers.linear_rule, 5, arguments) : NULL;
    int status = result ? 0 : -1;
    for (uint32_t i = 0; !status && i < n->count; i++) {
        if (!dc_tape_wants(p, n, i)) continue;
        PyObject *c = PySequence_GetItem(result, (Py_ssize_t)i);
        status = dc_tape_give(p, n, i, c);
    }
    Py_XDECREF(result);
    Py_DECREF(x);
    Py_DECREF(w);
    Py_XDECREF(activation);
    return status;
}

int dc_tape_linear_rule(pass *p, node *n, PyObject *g) {
    if (p->create) return rule_over_tensors(p, n, g);
    product q;
    PyObject *const d_z = before_activation(n, g);
    if (!d_z || !take_product(operands_of(n)[0].value.object, operands_of(n)[1].value.object,
                              (n->code & TRANSPOSED) != 0, &q)) {
        Py_XDECREF(d_z);
        return -1;
    }
    const char *const d = numbers_of(d_z);
    int status = dc_tape_wants(p, n, 1) ? give_weights(p, n, &q, d) : 0;
    if (!status && n->count == 3 && dc_tape_wants(p, n, 2)) status = give_bias(p, n, &q, d);
    if (!status && dc_tape_wants(p, n, 0)) status = give_input(p, n, &q, d);
    Py_DECREF(d_z);
    return status;
}

/* ---- Losses ---------------------------------------------------------------------------------- */

/* The loss as an array of no dimensions, and where `gradient` is not NULL that of `predicted`. NULL
 * without an exception: other arrays. */
static PyObject *loss_of(const dc_loss_rule *rule, const array *predicted, const array *actual,
                         PyObject **gradient, PyObject *predicted_object) {
    if (!is_real(predicted) || !is_contiguous(predicted) || !is_contiguous(actual)) return NULL;
    if (predicted->ndim < 1 || predicted->ndim > 2) return NULL;
    const int batch = predicted->ndim == 2, has_labels = actual->dtype == INT64;
    if (!(has_labels ? batch && actual->ndim == 1 && actual->shape[0] == predicted->shape[0]
                     : actual->dtype == predicted->dtype &&
                           same_shape(actual, predicted->ndim, predicted->shape)))
        return NULL;
    const size_t rows = batch ? (size_t)predicted->shape[0] : 1;
    const size_t cols = (size_t)predicted->shape[batch];
    if (rows == 0 || cols == 0) return NULL;
    PyObject *result = dc_block_new(predicted->dtype, 0, NULL);
    if (gradient) *gradient = result ? dc_array_like(predicted_object) : NULL;
    if (!result || (gradient && !*gradient)) {
        Py_XDECREF(result);
        return NULL;
    }
    void *const d = gradient ? numbers_of(*gradient) : NULL;
    void *const to = numbers_of(result);
    const void *const targets = has_labels ? NULL : actual->data;
    const int64_t *const labels = has_labels ? (const void *)actual->data : NULL;
    double value = 0;
    int status;
    if (predicted->dtype == FLOAT32) {
        status = dc_loss_f32(rule, rows, cols, (const void *)predicted->data, targets, labels, NULL,
                             1, &value, d);
        *(float *)to = (float)value;
    } else {
        status = dc_loss_f64(rule, rows, cols, (const void *)predicted->data, targets, labels, NULL,
                             1, &value, d);
        *(double *)to = value;
    }
    if (!status) return result;
    Py_DECREF(result);
    if (gradient) Py_CLEAR(*gradient);
    return NULL;
}

PyObject *dc_tape_fused_loss(int kind, int reduction, double parameter, PyObject *const *operands) {
    const dc_loss_rule rule = {.kind = kind, .reduction = reduction, .parameter = parameter};
    node *const n = as_node(operands[0]), *const target = as_node(operands[1]);
    PyObject *gradient = NULL, *result = NULL;
    PyObject *const predicted = dc_tape_payload(operands[0]), *const actual =
                                                                  dc_tape_payload(operands[1]);
    const int recorded = n && !is_scalar(n) && n->flags & REQUIRES && !is_silent();
    if (predicted && actual && !(target && target->flags & REQUIRES)) {
        const array x = look(predicted), z = look(actual);
        result = loss_of(&rule, &x, &z, recorded ? &gradient : NULL, predicted);
    }
    Py_XDECREF(predicted);
    if (result) result = dc_tape_record(OP_LOSS, result, operands, 2);
    node *const y = result && recorded ? (node *)result : NULL;
    if (y) {
        y->code = (int32_t)(kind | reduction << REDUCTION_SHIFT);
        operands_of(y)[0].value.object = gradient;
        operands_of(y)[1].value.object = Py_XNewRef(actual);
    } else {
        Py_XDECREF(gradient);
    }
    Py_XDECREF(actual);
    return dc_tape_visible(result);
}

/* loss(kind, reduction, predicted, actual[, parameter]): the mean of rows where it is True. */
PyObject *dc_tape_loss(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    if (count != 4 && count != 5) {
        PyErr_SetString(PyExc_TypeError, "loss: expected 4 or 5 arguments");
        return NULL;
    }
    const long kind = PyLong_AsLong(arguments[0]), reduction = PyLong_AsLong(arguments[1]);
    const double parameter =
        count == 5 ? PyFloat_AsDouble(arguments[4]) : dc_loss_default((int)kind);
    if ((kind == -1 || reduction == -1 || parameter == -1) && PyErr_Occurred()) return NULL;
    PyObject *result = dc_tape_fused_loss((int)kind, (int)reduction, parameter, arguments + 2);
    if (result || PyErr_Occurred()) return result;
    return dc_tape_help(dc_tape_helpers.loss, (size_t)count, arguments);
}

int dc_tape_loss_rule(pass *p, node *n, PyObject *g) {
    PyObject *const slope = operands_of(n)[0].value.object;
    if (!p->create) {
        const array x = look(g);
        const double number = x.dtype == FLOAT32 ? *(const float *)(const void *)x.data
                                                 : *(const double *)(const void *)x.data;
        return dc_tape_give(p, n, 0,
                            number == 1 ? Py_NewRef(slope) : dc_tape_binary(OP_MULTIPLY, slope, g));
    }
    PyObject *const kind = PyLong_FromLong(n->code & ((1 << REDUCTION_SHIFT) - 1));
    PyObject *const reduction = PyLong_FromLong(n->code >> REDUCTION_SHIFT);
    PyObject *const arguments[] = {kind, reduction, g, (PyObject *)operands_of(n)[0].node,
                                   operands_of(n)[1].value.object};
    PyObject *result =
        kind && reduction ? dc_tape_help(dc_tape_helpers.loss_rule, 5, arguments) : NULL;
    Py_XDECREF(kind);
    Py_XDECREF(reduction);
    return dc_tape_give(p, n, 0, result);
}
