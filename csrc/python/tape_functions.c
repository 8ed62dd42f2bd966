/* The library's activations and softmax as operations: value and gradient by its own functions, the
 * gradient of a gradient by Python's formulas. See tape.h. */
#include "tape.h"

#include "../deepc.h"

typedef struct sizes {
    size_t rows, cols, all;
} sizes;

static sizes sizes_of(const array *x) {
    const size_t all = size_of(x), cols = x->ndim ? (size_t)x->shape[x->ndim - 1] : 0;
    return (sizes){cols ? all / cols : 0, cols, all};
}

/* y = f(x), element by element or row by row. */
static void compute(int op, int code, double parameter, const array *x, void *y) {
    const sizes s = sizes_of(x);
    const void *const from = x->data;
    if (op == OP_ACTIVATION && x->dtype == FLOAT32)
        dc_activation_forward_f32(code, parameter, s.all, from, y);
    else if (op == OP_ACTIVATION)
        dc_activation_forward_f64(code, parameter, s.all, from, y);
    else if (op == OP_SOFTMAX && x->dtype == FLOAT32)
        dc_softmax_f32(s.rows, s.cols, from, y);
    else if (op == OP_SOFTMAX)
        dc_softmax_f64(s.rows, s.cols, from, y);
    else if (x->dtype == FLOAT32)
        dc_log_softmax_f32(s.rows, s.cols, from, y);
    else
        dc_log_softmax_f64(s.rows, s.cols, from, y);
}

/* The gradient of x, given what is kept and that of the result. */
static void carry_back(int op, int code, double parameter, const array *kept, const void *g,
                       void *d) {
    const sizes s = sizes_of(kept);
    const void *const k = kept->data;
    if (op == OP_ACTIVATION && kept->dtype == FLOAT32)
        dc_activation_backward_f32(code, parameter, s.all, k, g, d);
    else if (op == OP_ACTIVATION)
        dc_activation_backward_f64(code, parameter, s.all, k, g, d);
    else if (op == OP_SOFTMAX && kept->dtype == FLOAT32)
        dc_softmax_backward_f32(s.rows, s.cols, k, g, d);
    else if (op == OP_SOFTMAX)
        dc_softmax_backward_f64(s.rows, s.cols, k, g, d);
    else if (kept->dtype == FLOAT32)
        dc_log_softmax_backward_f32(s.rows, s.cols, k, g, d);
    else
        dc_log_softmax_backward_f64(s.rows, s.cols, k, g, d);
}

/* The operation on a Tensor or an array; NotImplemented of anything that C does not take as it is.
 * `parameter` is a Python float. */
static PyObject *apply(int op, PyObject *operand, int code, PyObject *parameter) {
    const node *const from = as_node(operand);
    if (from && is_scalar(from)) return Py_NewRef(Py_NotImplemented);
    const double number = PyFloat_AsDouble(parameter);
    if (number == -1 && PyErr_Occurred()) return NULL;
    PyObject *const payload = dc_tape_payload(operand);
    const array x = look(payload);
    PyObject *result = NULL;
    if (!is_real(&x) || !is_contiguous(&x) || (op != OP_ACTIVATION && x.ndim == 0))
        result = Py_NewRef(Py_NotImplemented);
    else
        result = dc_block_new(x.dtype, x.ndim, x.shape);
    if (result && result != Py_NotImplemented) {
        void *const y = numbers_of(result);
        COMPUTE(8 * size_of(&x), compute(op, code, number, &x, y));
        PyObject *const operands[] = {operand, parameter};
        result = dc_tape_record(op, result, operands, 2);
    }
    node *const n = result ? as_node(result) : NULL;
    if (n && n->op == op) {
        n->code = code;
        if (op == OP_ACTIVATION && dc_activation_needs_input(code))
            n->first[0].value.object = Py_NewRef(payload);
    }
    Py_DECREF(payload);
    return dc_tape_visible(result);
}

PyObject *dc_tape_activation(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    const long code = count == 3 ? PyLong_AsLong(arguments[1]) : -1;
    if (code < 0 || code >= DC_ACTIVATION_COUNT) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "activation: no such one");
        return NULL;
    }
    return apply(OP_ACTIVATION, arguments[0], (int)code, arguments[2]);
}

static PyObject *of_rows(int op, PyObject *x) {
    PyObject *const zero = PyFloat_FromDouble(0);
    PyObject *result = zero ? apply(op, x, 0, zero) : NULL;
    Py_XDECREF(zero);
    return result;
}

PyObject *dc_tape_softmax(PyObject *module, PyObject *x) {
    (void)module;
    return of_rows(OP_SOFTMAX, x);
}

PyObject *dc_tape_log_softmax(PyObject *module, PyObject *x) {
    (void)module;
    return of_rows(OP_LOG_SOFTMAX, x);
}

/* Over Tensors, in Python: (name, parameter, g, y, x). */
static PyObject *over_tensors(node *n, PyObject *g) {
    PyObject *const name = PyUnicode_FromString(dc_tape_name(n));
    PyObject *const arguments[] = {name, n->first[1].value.object, g, (PyObject *)n,
                                   (PyObject *)n->first[0].node};
    PyObject *result = name ? dc_tape_help(dc_tape_helpers.function_rule, 5, arguments) : NULL;
    Py_XDECREF(name);
    return result;
}

int dc_tape_function_rule(pass *p, node *n, PyObject *g) {
    if (!dc_tape_wants(p, n, 0)) return 0;
    if (p->create) return dc_tape_give(p, n, 0, over_tensors(n, g));
    PyObject *const own = n->first[0].value.object, *const flat = dc_array_flat(g);
    const array kept = look(own ? own : n->data.object);
    PyObject *const d = flat ? dc_block_new(kept.dtype, kept.ndim, kept.shape) : NULL;
    if (d) {
        const double parameter = PyFloat_AsDouble(n->first[1].value.object);
        const void *const from = numbers_of(flat);
        void *const to = numbers_of(d);
        COMPUTE(8 * size_of(&kept), carry_back(n->op, n->code, parameter, &kept, from, to));
    }
    Py_XDECREF(flat);
    return dc_tape_give(p, n, 0, d);
}
