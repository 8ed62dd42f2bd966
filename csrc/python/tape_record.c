/* An operation on nodes: computes the result and writes down what its backward formula needs. */
#include "tape.h"

#include "../deepc.h"

/* Of which operands the value is kept for the gradient of operand 0 and of operand 1. */
static const unsigned char needs[OPERATION_COUNT][2] = {
#define OPERATION(name, text, for_first, for_second) [OP_##name] = {for_first, for_second},
    OPERATIONS(OPERATION)
#undef OPERATION
};

PyObject *dc_tape_payload(PyObject *operand) {
    const node *const n = as_node(operand);
    if (!n) return Py_NewRef(operand);
    return is_scalar(n) ? PyFloat_FromDouble(n->data.number) : Py_NewRef(n->data.object);
}

/* ---- Writing down ---------------------------------------------------------------------------- */

static int complain_of_nan(const node *n, PyObject *const *operands, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const node *const o = as_node(operands[i]);
        if (o && !is_scalar(o) && dc_array_has_nan(o->data.object)) return 0;
    }
    PyErr_Format(PyExc_FloatingPointError,
                 "detect_nan: the forward of %s made a NaN from operands without one",
                 dc_tape_name(n));
    return -1;
}

/* Keeps operands and the values that backward needs: those of constants too. */
static int write_down(node *n, PyObject *const *operands, size_t count) {
    unsigned kept = n->op == OP_PYTHON || n->op == OP_NETWORK ? ~0u : 0;
    if (dc_tape_reserve(n, count) < 0) return -1;
    operand *const to = operands_of(n);
    uint32_t *const versions = versions_of(n);
    for (size_t i = 0; i < count; i++) {
        node *const o = as_node(operands[i]);
        if (!o) continue;
        n->flags |= o->flags & HAS_HISTORY_OF_CALLABLES;
        to[i].node = (node *)Py_NewRef(operands[i]);
        versions[i] = o->version;
        if (o->flags & REQUIRES) kept |= n->op == OP_LINEAR ? 3u : needs[n->op][i < 2 ? i : 1];
    }
    for (size_t i = 0; kept && i < count; i++) {
        if (!(kept >> (i < 31 ? i : 31) & 1)) continue;
        const node *const o = to[i].node;
        to[i].value.object =
            o && !is_scalar(o) ? Py_NewRef(o->data.object) : dc_tape_payload(operands[i]);
        if (!to[i].value.object) return -1;
    }
    return 0;
}

PyObject *dc_tape_record(int op, PyObject *result, PyObject *const *operands, size_t count) {
    int family = -1, requires = 0;
    for (size_t i = 0; i < count; i++) {
        const node *const o = as_node(operands[i]);
        if (!o) continue;
        if (o->family > family) family = o->family;
        if (o->flags & REQUIRES) requires = 1;
    }
    if (family < 0) return result;
    node *n = dc_tape_new(family > TENSORS ? family : TENSORS, result);
    if (!n) return NULL;
    const array y = look(result);
    if (requires && !is_silent() && is_real(&y)) {
        n->op = (uint8_t)op;
        n->flags |= REQUIRES;
        if (write_down(n, operands, count) < 0) {
            Py_DECREF(n);
            return NULL;
        }
        if (n->flags & HAS_HISTORY_OF_CALLABLES) dc_tape_track(n);
    }
    if (detects() && dc_array_has_nan(result) && complain_of_nan(n, operands, count) < 0) {
        Py_DECREF(n);
        return NULL;
    }
    return (PyObject *)n;
}

/* ---- Operations ------------------------------------------------------------------------------ */

static const int combinations[OPERATION_COUNT] = {
    [OP_ADD] = DC_ADD,       [OP_SUBTRACT] = DC_SUBTRACT, [OP_MULTIPLY] = DC_MULTIPLY,
    [OP_DIVIDE] = DC_DIVIDE, [OP_GATE] = DC_GATE,         [OP_QUOTIENT] = DC_QUOTIENT,
};

/* What Python computes: an array, or NotImplemented. */
static PyObject *helped(PyObject *helper, int op, PyObject *a, PyObject *b) {
    PyObject *name = PyUnicode_FromString(dc_tape_names[op]);
    PyObject *const arguments[] = {name, a, b};
    PyObject *result = name ? dc_tape_help(helper, b ? 3 : 2, arguments) : NULL;
    Py_XDECREF(name);
    return result;
}

/* A number, or the number of a Scalar. */
static int scalar_side(PyObject *object, node **n, double *number) {
    *n = as_node(object);
    if (!*n) return dc_tape_is_number(object, number);
    return is_scalar(*n);
}

/* An operand of a new node; its value (stolen) is kept only if backward needs it. */
static inline void keep(node *n, int i, node *from, PyObject *value, int needed) {
    n->first[i].node = (node *)Py_XNewRef((PyObject *)from);
    n->first[i].value.object = needed ? value : NULL;
    n->versions[i] = from ? from->version : 0;
    if (from && from->flags & HAS_HISTORY_OF_CALLABLES) n->flags |= HAS_HISTORY_OF_CALLABLES;
    if (!needed) Py_DECREF(value);
}

/* dc_tape_record of two operands whose values (stolen) are at hand. */
static PyObject *record_two(int op, PyObject *result, node *x, PyObject *left, node *z,
                            PyObject *right) {
    const int by_x = x && x->flags & REQUIRES, by_z = z && z->flags & REQUIRES;
    int family = TENSORS;
    if (x && x->family > family) family = x->family;
    if (z && z->family > family) family = z->family;
    const array y = look(result);
    node *n = dc_tape_new(family, result);
    if (!n || !(by_x || by_z) || is_silent() || !is_real(&y)) {
        Py_DECREF(left);
        Py_DECREF(right);
        return (PyObject *)n;
    }
    const int needed = (by_x ? needs[op][0] : 0) | (by_z ? needs[op][1] : 0);
    n->op = (uint8_t)op;
    n->flags |= REQUIRES;
    n->count = 2;
    keep(n, 0, x, left, needed & 1);
    keep(n, 1, z, right, needed & 2);
    if (n->flags & HAS_HISTORY_OF_CALLABLES) dc_tape_track(n);
    return (PyObject *)n;
}

PyObject *dc_tape_binary(int op, PyObject *a, PyObject *b) {
    node *x, *z;
    double x_number = 0, z_number = 0;
    const int numbers = scalar_side(a, &x, &x_number);
    if (scalar_side(b, &z, &z_number) && numbers)
        return dc_tape_scalar_binary(op, x, x_number, z, z_number);
    PyObject *result = NULL;
    PyObject *const left = dc_tape_payload(a), *const right = dc_tape_payload(b);
    if (left && right) {
        result = dc_array_combine(combinations[op], left, right);
        if (!result && !PyErr_Occurred()) result = helped(dc_tape_helpers.binary, op, left, right);
    }
    const int is_plain = result && result != Py_NotImplemented && (x || z) && !detects();
    if (is_plain) return record_two(op, result, x, left, z, right);
    Py_XDECREF(left);
    Py_XDECREF(right);
    if (!result || result == Py_NotImplemented) return result;
    PyObject *const operands[] = {a, b};
    return dc_tape_record(op, result, operands, 2);
}

PyObject *dc_tape_unary(int op, PyObject *x) {
    node *const n = as_node(x);
    if (n && is_scalar(n) && op != OP_SUM) return dc_tape_scalar_unary(op, n);
    PyObject *const payload = dc_tape_payload(x);
    if (!payload) return NULL;
    PyObject *result = op == OP_SUM ? dc_array_sum(payload) : dc_array_map(op, payload);
    if (!result && !PyErr_Occurred()) result = helped(dc_tape_helpers.unary, op, payload, NULL);
    Py_DECREF(payload);
    if (!result || result == Py_NotImplemented) return result;
    return dc_tape_record(op, result, &x, 1);
}

PyObject *dc_tape_fit(PyObject *x, PyObject *like) {
    const array to = look(like);
    node *const n = as_node(x);
    if (n && !is_scalar(n)) {
        const array from = look(n->data.object);
        if (from.dtype == to.dtype && same_shape(&from, to.ndim, to.shape)) return Py_NewRef(x);
    }
    PyObject *const payload = dc_tape_payload(x);
    PyObject *result = payload ? dc_array_fit(payload, like) : NULL;
    if (!result && !PyErr_Occurred()) {
        PyObject *const arguments[] = {payload, like};
        result = dc_tape_help(dc_tape_helpers.fit, 2, arguments);
    }
    Py_XDECREF(payload);
    return result && n ? dc_tape_record(OP_FIT, result, &x, 1) : result;
}

/* A product of matrices in any layout; NULL without an exception if they do not fit. */
static PyObject *product(PyObject *a, PyObject *b, int transpose_a, int transpose_b) {
    PyObject *result = dc_array_matmul(a, b, transpose_a, transpose_b);
    const array x = look(a), z = look(b);
    if (result || PyErr_Occurred() || !is_real(&x) || x.dtype != z.dtype) return result;
    PyObject *const left = dc_array_flat(a);
    PyObject *const right = dc_array_flat(b);
    if (left && right) result = dc_array_matmul(left, right, transpose_a, transpose_b);
    Py_XDECREF(left);
    Py_XDECREF(right);
    return result;
}

PyObject *dc_tape_matmul(PyObject *a, PyObject *b, int transpose_a, int transpose_b) {
    PyObject *const left = dc_tape_payload(a), *const right = dc_tape_payload(b);
    PyObject *result = NULL;
    if (left && right) {
        result = product(left, right, transpose_a, transpose_b);
        if (!result && !PyErr_Occurred()) result = Py_NewRef(Py_NotImplemented);
    }
    Py_XDECREF(left);
    Py_XDECREF(right);
    if (!result || result == Py_NotImplemented) return result;
    PyObject *const operands[] = {a, b};
    result = dc_tape_record(OP_MATMUL, result, operands, 2);
    node *const n = result ? as_node(result) : NULL;
    if (n) n->code = transpose_a | transpose_b << 1;
    return result;
}
