/* Backward formulas, each written once: over arrays, or over Tensors and Scalars where the pass
 * makes a graph, so that gradients can be differentiated again. */
#include "tape.h"

#include <string.h>

#include "../deepc.h"

/* ---- Small words ----------------------------------------------------------------------------- */

/* An operation on two values or one, which it takes over; NULL if one of them is. */
static PyObject *two(int op, PyObject *a, PyObject *b) {
    PyObject *result = a && b ? dc_tape_binary(op, a, b) : NULL;
    Py_XDECREF(a);
    Py_XDECREF(b);
    return result;
}

static PyObject *one(int op, PyObject *x) {
    PyObject *result = x ? dc_tape_unary(op, x) : NULL;
    Py_XDECREF(x);
    return result;
}

static PyObject *times(PyObject *a, PyObject *b) { return two(OP_MULTIPLY, a, b); }

/* The result itself. */
static PyObject *result_of(const pass *p, node *n) {
    return p->create ? Py_NewRef((PyObject *)n) : dc_tape_payload((PyObject *)n);
}

static PyObject *ref(PyObject *g) { return Py_NewRef(g); }

/* Gives to operand i what `expression` computes, if that is wanted. */
#define GIVE(i, expression) (dc_tape_wants(p, n, i) ? dc_tape_give(p, n, i, (expression)) : 0)

/* ---- Arithmetic ------------------------------------------------------------------------------ */

/* The last operand's gradient takes the place of the result's, if nobody else sees that. */
static int multiply_rule(pass *p, node *n, PyObject *g) {
    const int both = dc_tape_wants(p, n, 1);
    if (!both || p->create) {
        if (GIVE(0, times(dc_tape_value(p, n, 1), ref(g))) < 0) return -1;
        return GIVE(1, times(dc_tape_value(p, n, 0), ref(g)));
    }
    PyObject *const a = operands_of(n)[0].value.object, *const b = operands_of(n)[1].value.object;
    if (dc_tape_wants(p, n, 0)) {
        PyObject *d_a = dc_array_combine(DC_MULTIPLY, b, g);
        if (!d_a && PyErr_Occurred()) return -1;
        if (dc_tape_give(p, n, 0, d_a ? d_a : times(ref(b), ref(g))) < 0) return -1;
    }
    const int done = dc_array_is_exclusive(g) && dc_array_combine_in_place(DC_MULTIPLY, a, g);
    return dc_tape_give(p, n, 1, done ? ref(g) : times(ref(a), ref(g)));
}

static int divide_rule(pass *p, node *n, PyObject *g) {
    if (GIVE(0, two(OP_QUOTIENT, ref(g), dc_tape_value(p, n, 1))) < 0) return -1;
    if (!dc_tape_wants(p, n, 1)) return 0;
    PyObject *slope =
        two(OP_QUOTIENT, times(ref(g), dc_tape_value(p, n, 0)), dc_tape_value(p, n, 1));
    return GIVE(1, one(OP_NEGATE, two(OP_QUOTIENT, slope, dc_tape_value(p, n, 1))));
}

/* Of Scalars only: Tensors have theirs in Python. */
static int power_rule(pass *p, node *n, PyObject *g) {
    if (dc_tape_wants(p, n, 0)) {
        PyObject *less = two(OP_SUBTRACT, dc_tape_value(p, n, 1), PyFloat_FromDouble(1));
        PyObject *slope =
            times(dc_tape_value(p, n, 1), two(OP_POWER, dc_tape_value(p, n, 0), less));
        if (GIVE(0, times(ref(g), slope)) < 0) return -1;
    }
    if (!dc_tape_wants(p, n, 1)) return 0;
    return GIVE(1, times(ref(g), times(ref((PyObject *)n), one(OP_LOG, dc_tape_value(p, n, 0)))));
}

/* sigmoid: y (1 - y) g; tanh: (1 - y^2) g; relu: g where y > 0. */
static PyObject *slope_of(pass *p, node *n, PyObject *g) {
    if (!p->create) {
        PyObject *const flat = dc_array_flat(g);
        PyObject *result = flat ? dc_array_slope(n->op, n->data.object, flat) : NULL;
        Py_XDECREF(flat);
        return result;
    }
    PyObject *const y = (PyObject *)n;
    if (n->op == OP_RELU) return dc_tape_binary(OP_GATE, y, g);
    PyObject *rest = n->op == OP_TANH
                         ? two(OP_SUBTRACT, PyFloat_FromDouble(1), times(ref(y), ref(y)))
                         : times(ref(y), two(OP_SUBTRACT, PyFloat_FromDouble(1), ref(y)));
    return times(ref(g), rest);
}

static int matmul_rule(pass *p, node *n, PyObject *g) {
    const int ta = n->code & 1, tb = n->code >> 1;
    PyObject *const a = dc_tape_value(p, n, 0), *const b = dc_tape_value(p, n, 1);
    int status = GIVE(0, ta ? dc_tape_matmul(b, g, tb, 1) : dc_tape_matmul(g, b, 0, !tb));
    if (!status) status = GIVE(1, tb ? dc_tape_matmul(g, a, 1, ta) : dc_tape_matmul(a, g, !ta, 0));
    Py_DECREF(a);
    Py_DECREF(b);
    return status;
}

/* ---- Elements -------------------------------------------------------------------------------- */

/* Zeros with one element 1. */
static PyObject *one_hot(const node *like, size_t index) {
    const array x = look(like->data.object);
    PyObject *result = dc_block_new(x.dtype, x.ndim, x.shape);
    if (!result) return NULL;
    void *const data = numbers_of(result);
    memset(data, 0, size_of(&x) * item_size(&x));
    if (x.dtype == FLOAT32)
        ((float *)data)[index] = 1;
    else
        ((double *)data)[index] = 1;
    return result;
}

/* The gradients of a Tensor's elements are added into one array, not into an array each. */
static int item_rule(pass *p, node *n, PyObject *g) {
    if (!dc_tape_wants(p, n, 0)) return 0;
    node *const from = operands_of(n)[0].node;
    const size_t index = (size_t)n->code;
    if (p->create) return dc_tape_give(p, n, 0, times(one_hot(from, index), ref(g)));
    if (!from->g.object || from->flags & IN_PLACE || !dc_array_is_exclusive(from->g.object)) {
        PyObject *array = one_hot(from, index);
        if (!array) return -1;
        PyObject *number = PyFloat_FromDouble(n->g.number);
        return dc_tape_give(p, n, 0, times(array, number));
    }
    const array d = look(from->g.object);
    if (d.dtype == FLOAT32)
        ((float *)(void *)d.data)[index] += (float)n->g.number;
    else
        ((double *)(void *)d.data)[index] += n->g.number;
    return 0;
}

static double element(const array *x, size_t i) {
    return x->dtype == FLOAT32 ? (double)((const float *)(const void *)x->data)[i]
                               : ((const double *)(const void *)x->data)[i];
}

PyObject *dc_tape_item(PyObject *tensor, size_t index) {
    node *const x = (node *)tensor;
    const array data = look(x->data.object);
    node *n = dc_tape_new(SCALARS, NULL);
    if (!n) return NULL;
    n->data.number = element(&data, index);
    if (!(x->flags & REQUIRES) || is_silent()) return (PyObject *)n;
    n->flags |= REQUIRES;
    n->op = OP_ITEM;
    n->count = 1;
    n->code = (int32_t)index;
    n->first[0].node = (node *)Py_NewRef(tensor);
    if (x->flags & HAS_HISTORY_OF_CALLABLES) dc_tape_track(n);
    return (PyObject *)n;
}

static int gather_rule(pass *p, node *n, PyObject *g) {
    if (p->create) {
        for (uint32_t i = 0; i < n->count; i++)
            if (GIVE(i, dc_tape_item(g, i)) < 0) return -1;
        return 0;
    }
    PyObject *const flat = dc_array_flat(g);
    if (!flat) return -1;
    const array x = look(flat);
    for (uint32_t i = 0; i < n->count; i++)
        if (dc_tape_wants(p, n, i)) operands_of(n)[i].node->g.number += element(&x, i);
    Py_DECREF(flat);
    return 0;
}

/* ---- Python ---------------------------------------------------------------------------------- */

/* Gives what a Python function returned: a tuple or list with a value for each operand, or, where
 * there is one operand, its value. None is no gradient. */
static int give_all(pass *p, const node *n, PyObject *result) {
    if (!PyTuple_Check(result) && !PyList_Check(result)) {
        if (n->count == 1) return result == Py_None ? 0 : GIVE(0, ref(result));
        PyErr_Format(PyExc_TypeError, "backward of %s: expected a tuple of %u gradients, got %R",
                     dc_tape_name(n), n->count, (PyObject *)Py_TYPE(result));
        return -1;
    }
    const Py_ssize_t count = PySequence_Size(result);
    if (count != (Py_ssize_t)n->count) {
        PyErr_Format(PyExc_ValueError, "backward of %s: expected %u gradients, got %zd",
                     dc_tape_name(n), n->count, count);
        return -1;
    }
    for (uint32_t i = 0; i < n->count; i++) {
        PyObject *c = PySequence_GetItem(result, (Py_ssize_t)i);
        if (!c) return -1;
        if (c == Py_None)
            Py_DECREF(c);
        else if (dc_tape_give(p, n, i, c) < 0)
            return -1;
    }
    return 0;
}

/* rule(g, y, inputs, context): the gradients of the inputs. */
static int python_rule(pass *p, node *n, PyObject *g) {
    PyObject *const y = dc_tape_visible(result_of(p, n));
    PyObject *const inputs = PyTuple_New((Py_ssize_t)n->count);
    int status = y && inputs && (g = dc_tape_visible(Py_NewRef(g))) ? 0 : -1;
    for (uint32_t i = 0; !status && i < n->count; i++) {
        PyObject *value = dc_tape_visible(dc_tape_value(p, n, i));
        if (!value || PyTuple_SetItem(inputs, (Py_ssize_t)i, value) < 0) status = -1;
    }
    PyObject *const context = n->extra->context ? n->extra->context : Py_None;
    PyObject *result =
        status ? NULL : PyObject_CallFunctionObjArgs(n->extra->rule, g, y, inputs, context, NULL);
    status = result ? give_all(p, n, result) : -1;
    Py_XDECREF(result);
    if (y && inputs) Py_XDECREF(g);
    Py_XDECREF(inputs);
    Py_XDECREF(y);
    return status;
}

/* ---- A gradient on loan ---------------------------------------------------------------------- */

typedef struct loan {
    node *node; /* NULL: an operand that comes a second time */
    value grad;
} loan;

/* Puts another gradient in the place of a node's own, as a Python object. */
static void lend(loan *l, node *n, PyObject *grad) {
    l->node = n;
    l->grad = n->grad;
    n->grad.object = grad;
    n->flags |= IS_LENT;
}

/* Takes it back; what the user's function made of it. */
static PyObject *take_back(loan *l) {
    PyObject *const made = l->node->grad.object;
    l->node->grad = l->grad;
    l->node->flags &= (uint16_t)~IS_LENT;
    return made;
}

/* The user's backward: a Function's gets inputs and output, a Scalar's own takes nothing. */
static PyObject *call_lent(const node *n) {
    if (!n->extra->name) return PyObject_CallNoArgs(n->extra->rule);
    PyObject *arguments = PyTuple_New((Py_ssize_t)n->count + 1);
    if (!arguments) return NULL;
    for (uint32_t i = 0; i < n->count; i++)
        PyTuple_SetItem(arguments, (Py_ssize_t)i, Py_NewRef((PyObject *)operands_of(n)[i].node));
    PyTuple_SetItem(arguments, (Py_ssize_t)n->count, Py_NewRef((PyObject *)n));
    PyObject *result = PyObject_CallObject(n->extra->rule, arguments);
    Py_DECREF(arguments);
    return result;
}

/* What was added to .grad came of numbers: it cannot be differentiated again. */
static int refuse_loan(const node *n) {
    PyErr_Format(PyExc_RuntimeError,
                 "backward of %s: it adds to .grad, which cannot be differentiated again; let it "
                 "return the gradients, computed from its inputs as Tensors",
                 dc_tape_name(n));
    return -1;
}

int dc_tape_lend(pass *p, node *n, PyObject *g) {
    loan *const loans = PyMem_Calloc((size_t)n->count + 1, sizeof *loans);
    PyObject *const own = g ? dc_tape_visible(ref(g)) : PyFloat_FromDouble(n->g.number);
    if (!loans || !own) {
        PyMem_Free(loans);
        Py_XDECREF(own);
        PyErr_NoMemory();
        return -1;
    }
    for (uint32_t i = 0; i < n->count; i++) {
        node *const o = operands_of(n)[i].node;
        if (o && !(o->flags & IS_LENT)) lend(&loans[i], o, PyFloat_FromDouble(0));
    }
    lend(&loans[n->count], n, own);
    int *const silent = &dc_tape_settings.silent;
    /* Nobody wants the history of what it computes. */
    const int before = dc_tape_setting(silent, p->create ? *silent : 1);
    PyObject *result = call_lent(n);
    dc_tape_setting(silent, before);
    int status = result ? 0 : -1;
    if (result == Py_None && p->create) status = refuse_loan(n);
    Py_DECREF(take_back(&loans[n->count]));
    for (uint32_t i = 0; i < n->count; i++) {
        if (!loans[i].node) continue;
        PyObject *made = take_back(&loans[i]);
        if (status || (result && result != Py_None))
            Py_XDECREF(made);
        else
            status = dc_tape_give(p, n, i, made);
    }
    if (!status && result != Py_None) status = give_all(p, n, result);
    Py_XDECREF(result);
    PyMem_Free(loans);
    return status;
}

/* ---- All of them ----------------------------------------------------------------------------- */

int dc_tape_rule(pass *p, node *n, PyObject *g) {
    switch (n->op) {
    case OP_ADD: return GIVE(0, ref(g)) < 0 ? -1 : GIVE(1, ref(g));
    case OP_SUBTRACT: return GIVE(0, ref(g)) < 0 ? -1 : GIVE(1, dc_tape_unary(OP_NEGATE, g));
    case OP_MULTIPLY: return multiply_rule(p, n, g);
    case OP_DIVIDE:
    case OP_QUOTIENT: return divide_rule(p, n, g);
    case OP_GATE: return GIVE(1, two(OP_GATE, dc_tape_value(p, n, 0), ref(g)));
    case OP_NEGATE: return GIVE(0, dc_tape_unary(OP_NEGATE, g));
    case OP_POWER: return power_rule(p, n, g);
    case OP_RELU_PRODUCT: return GIVE(0, two(OP_GATE, dc_tape_value(p, n, 0), ref(g)));
    case OP_EXP: return GIVE(0, times(ref(g), result_of(p, n)));
    case OP_LOG: return GIVE(0, two(OP_QUOTIENT, ref(g), dc_tape_value(p, n, 0)));
    case OP_SIGMOID:
    case OP_TANH:
    case OP_RELU: return GIVE(0, slope_of(p, n, g));
    case OP_ACTIVATION:
    case OP_SOFTMAX:
    case OP_LOG_SOFTMAX: return dc_tape_function_rule(p, n, g);
    case OP_SUM:
    case OP_FIT: return GIVE(0, ref(g)); /* which fits it to the operand's shape */
    case OP_PRODUCT: return dc_tape_product_rule(p, n, g);
    case OP_MATMUL: return matmul_rule(p, n, g);
    case OP_LINEAR: return dc_tape_linear_rule(p, n, g);
    case OP_LOSS: return dc_tape_loss_rule(p, n, g);
    case OP_NETWORK: return dc_tape_network_rule(p, n, g);
    case OP_ITEM: return item_rule(p, n, g);
    case OP_GATHER: return gather_rule(p, n, g);
    case OP_PYTHON: return python_rule(p, n, g);
    default: return 0;
    }
}
