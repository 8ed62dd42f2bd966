/* The tape as functions of the Python module. They check no more than keeps them from a crash:
 * deepc/_c/tape.py and the modules above it say what is wrong. */
#include "tape.h"

#include <string.h>

#include "../deepc.h"
#include "tape_api.h"

static int is_count(Py_ssize_t count, Py_ssize_t expected) {
    if (count == expected) return 1;
    PyErr_Format(PyExc_TypeError, "expected %zd arguments, got %zd", expected, count);
    return 0;
}

/* An argument as a node of either payload; NULL with an exception. */
static node *node_of(PyObject *object, int scalars) {
    node *const n = as_node(object);
    if (n && (scalars || !is_scalar(n))) return n;
    PyErr_Format(PyExc_TypeError, "expected a %s, got %R", scalars ? "Scalar or Tensor" : "Tensor",
                 object);
    return NULL;
}

/* ---- Settings -------------------------------------------------------------------------------- */

/* tape_register(families, helpers): a list of classes, a dict of functions; and of the class of
 * parameters, which is known from then on. */
static PyObject *tape_register(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    if (!is_count(count, 2)) return NULL;
    const Py_ssize_t families = PyList_Size(arguments[0]);
    if (families < 0 || families > MOST_FAMILIES) {
        if (families >= 0) PyErr_SetString(PyExc_ValueError, "too many families");
        return NULL;
    }
    for (Py_ssize_t i = 0; i < families; i++) {
        PyObject *type = PyList_GetItem(arguments[0], i);
        if (!PyType_Check(type) || !PyType_IsSubtype((PyTypeObject *)type, dc_tape_type)) {
            PyErr_SetString(PyExc_TypeError, "families: expected classes derived from Node");
            return NULL;
        }
        if (dc_tape_families[i] == (PyTypeObject *)type) continue;
        if (dc_tape_families[i]) {
            /* Spare nodes are of the old one. */
            PyErr_SetString(PyExc_ValueError, "families: they stay what they are");
            return NULL;
        }
        dc_tape_families[i] = (PyTypeObject *)Py_NewRef(type);
        dc_tape_keep_spare((int)i);
    }
    PyObject *const parameter = PyDict_GetItemString(arguments[1], "parameter");
    if (parameter && !dc_tape_parameter && PyType_Check(parameter) &&
        PyType_IsSubtype((PyTypeObject *)parameter, dc_tape_type))
        dc_tape_parameter = (PyTypeObject *)Py_NewRef(parameter);
#define HELPER(name)                                                                               \
    {                                                                                              \
        PyObject *function = PyDict_GetItemString(arguments[1], #name);                            \
        if (function) replace(&dc_tape_helpers.name, Py_NewRef(function));                         \
    }
    HELPERS(HELPER)
#undef HELPER
    return Py_NewRef(Py_None);
}

/* tape_silent(value), tape_detects(value): sets it for this thread, returns what it was. */
static PyObject *set_flag(PyObject *const *arguments, Py_ssize_t count, int *flag) {
    const int value = is_count(count, 1) ? PyObject_IsTrue(arguments[0]) : -1;
    return value < 0 ? NULL : PyBool_FromLong(dc_tape_setting(flag, value));
}

static PyObject *tape_silent(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    return set_flag(arguments, count, &dc_tape_settings.silent);
}

static PyObject *tape_detects(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    return set_flag(arguments, count, &dc_tape_settings.detects);
}

static PyObject *tape_after_fork(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module, (void)arguments;
    if (!is_count(count, 0)) return NULL;
    dc_tape_after_fork();
    return Py_NewRef(Py_None);
}

/* ---- Operations ------------------------------------------------------------------------------ */

#define UNARY(name, op)                                                                            \
    static PyObject *tape_##name(PyObject *module, PyObject *x) {                                  \
        (void)module;                                                                              \
        return dc_tape_visible(dc_tape_unary(op, x));                                              \
    }
UNARY(exp, OP_EXP)
UNARY(log, OP_LOG)
UNARY(tanh, OP_TANH)
UNARY(sigmoid, OP_SIGMOID)
UNARY(relu, OP_RELU)
UNARY(relu_product, OP_RELU_PRODUCT)
UNARY(sum, OP_SUM)

/* tape_quotient(a, b): a / b, but 0 where a is 0. */
static PyObject *tape_quotient(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    if (!is_count(count, 2)) return NULL;
    return dc_tape_visible(dc_tape_binary(OP_QUOTIENT, arguments[0], arguments[1]));
}

/* tape_gate(a, b): (a > 0) b */
static PyObject *tape_gate(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    if (!is_count(count, 2)) return NULL;
    return dc_tape_visible(dc_tape_binary(OP_GATE, arguments[0], arguments[1]));
}

/* tape_power(a, b): Scalars and numbers only, else NotImplemented. */
static PyObject *tape_power(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    if (!is_count(count, 2)) return NULL;
    node *const a = as_node(arguments[0]), *const b = as_node(arguments[1]);
    double x = 0, y = 0;
    if (!(a ? is_scalar(a) : dc_tape_is_number(arguments[0], &x)) ||
        !(b ? is_scalar(b) : dc_tape_is_number(arguments[1], &y)))
        return Py_NewRef(Py_NotImplemented);
    return dc_tape_scalar_binary(OP_POWER, a, x, b, y);
}

/* tape_matmul(a, b, transpose_a, transpose_b): matrices, else NotImplemented. */
static PyObject *tape_matmul(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    if (!is_count(count, 4)) return NULL;
    const int ta = PyObject_IsTrue(arguments[2]), tb = PyObject_IsTrue(arguments[3]);
    if (ta < 0 || tb < 0) return NULL;
    return dc_tape_visible(dc_tape_matmul(arguments[0], arguments[1], ta, tb));
}

/* tape_fit(x, array): x summed or repeated to the array's shape. */
static PyObject *tape_fit(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    if (!is_count(count, 2)) return NULL;
    return dc_tape_visible(dc_tape_fit(arguments[0], arguments[1]));
}

/* tape_record(name, rule, data, inputs, context): an operation that Python computed. inputs: a
 * tuple of nodes, arrays and numbers. The rule is a function of a module, nothing that could refer
 * back. */
static PyObject *tape_record(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    if (!is_count(count, 5)) return NULL;
    const Py_ssize_t inputs = PyTuple_Size(arguments[3]);
    if (inputs < 0 || !PyArray_Check(arguments[2])) {
        if (inputs >= 0) PyErr_SetString(PyExc_TypeError, "data: expected an array");
        return NULL;
    }
    PyObject **operands = PyMem_Calloc((size_t)inputs + 1, sizeof *operands);
    if (!operands) return PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < inputs; i++) operands[i] = PyTuple_GetItem(arguments[3], i);
    PyObject *result = dc_tape_record(OP_PYTHON, Py_NewRef(arguments[2]), operands, (size_t)inputs);
    PyMem_Free(operands);
    node *const n = result ? as_node(result) : NULL;
    if (!n || n->op != OP_PYTHON) return result;
    if (!dc_tape_extra(n)) {
        Py_DECREF(result);
        return NULL;
    }
    n->extra->name = Py_NewRef(arguments[0]);
    n->extra->rule = Py_NewRef(arguments[1]);
    n->extra->context = Py_NewRef(arguments[4]);
    return result;
}

/* tape_lent(data, inputs, backward, name): a result whose gradient a user's function carries back:
 * backward(*inputs, output). */
static PyObject *tape_lent(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    if (!is_count(count, 4)) return NULL;
    node *const n = node_of(arguments[0], 1);
    const Py_ssize_t inputs = n ? PyTuple_Size(arguments[1]) : -1;
    if (inputs < 0) return NULL;
    int requires = 0;
    for (Py_ssize_t i = 0; i < inputs; i++) {
        const node *const o = node_of(PyTuple_GetItem(arguments[1], i), 1);
        if (!o) return NULL;
        requires |= o->flags & REQUIRES;
    }
    if (is_silent() || !requires) return Py_NewRef(arguments[0]);
    if (n->op != OP_LEAF || !dc_tape_extra(n) || dc_tape_reserve(n, (size_t)inputs) < 0)
        return NULL;
    for (Py_ssize_t i = 0; i < inputs; i++)
        operands_of(n)[i].node = (node *)Py_NewRef(PyTuple_GetItem(arguments[1], i));
    n->op = OP_LENT;
    n->flags |= REQUIRES;
    n->extra->rule = Py_NewRef(arguments[2]);
    n->extra->name = Py_NewRef(arguments[3]);
    dc_tape_track(n);
    return Py_NewRef(arguments[0]);
}

/* ---- Scalars and Tensors --------------------------------------------------------------------- */

/* tape_gather(list): a list of Scalars and numbers as one float64 Tensor. */
static PyObject *tape_gather(PyObject *module, PyObject *list) {
    (void)module;
    const Py_ssize_t count = PyList_Size(list);
    if (count < 0) return NULL;
    const npy_intp shape = count;
    PyObject *array = dc_block_new(FLOAT64, 1, &shape);
    if (!array) return NULL;
    double *const x = numbers_of(array);
    int requires = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = PyList_GetItem(list, i);
        const node *const o = as_node(item);
        if (o && is_scalar(o)) {
            x[i] = o->data.number;
            requires |= o->flags & REQUIRES;
        } else if (o || !dc_tape_is_number(item, &x[i])) {
            Py_DECREF(array);
            PyErr_Format(PyExc_TypeError, "x[%zd]: expected a Scalar or a number, got %R", i, item);
            return NULL;
        }
    }
    node *n = dc_tape_new(TENSORS, array);
    if (!n || !requires || is_silent()) return (PyObject *)n;
    n->op = OP_GATHER;
    n->flags |= REQUIRES;
    if (dc_tape_reserve(n, (size_t)count) < 0) {
        Py_DECREF(n);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        node *const o = as_node(PyList_GetItem(list, i));
        operands_of(n)[i].node = (node *)Py_XNewRef((PyObject *)o);
        if (o && o->flags & HAS_HISTORY_OF_CALLABLES) n->flags |= HAS_HISTORY_OF_CALLABLES;
    }
    if (n->flags & HAS_HISTORY_OF_CALLABLES) dc_tape_track(n);
    return (PyObject *)n;
}

/* tape_spread(tensor): its elements as a list of Scalars. */
static PyObject *tape_spread(PyObject *module, PyObject *tensor) {
    (void)module;
    node *const n = node_of(tensor, 0);
    if (!n) return NULL;
    const array x = look(n->data.object);
    if (!is_real(&x) || !is_contiguous(&x)) {
        PyErr_SetString(PyExc_TypeError, "expected a contiguous Tensor of floats");
        return NULL;
    }
    const Py_ssize_t count = (Py_ssize_t)size_of(&x);
    PyObject *list = PyList_New(count);
    for (Py_ssize_t i = 0; list && i < count; i++) {
        PyObject *item = dc_tape_item(tensor, (size_t)i);
        if (item)
            PyList_SetItem(list, i, item);
        else
            Py_CLEAR(list);
    }
    return list;
}

/* ---- Parameters ------------------------------------------------------------------------------ */

/* tape_adopt(tensor, gradient, shared): an array that is the tensor's gradient from now on, and
 * stays it. Of one that is shared with somebody else, zeros are written, not only noted. */
static PyObject *tape_adopt(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    node *const n = is_count(count, 3) ? node_of(arguments[0], 0) : NULL;
    const int shared = n ? PyObject_IsTrue(arguments[2]) : -1;
    if (shared < 0) return NULL;
    const array x = look(n->data.object), g = look(arguments[1]);
    if (g.dtype != x.dtype || !is_real(&x) || !same_shape(&g, x.ndim, x.shape)) {
        PyErr_SetString(PyExc_ValueError, "gradient: expected the shape and dtype of the data");
        return NULL;
    }
    replace(&n->grad.object, Py_NewRef(arguments[1]));
    n->flags =
        (uint16_t)((n->flags & ~(STALE | IS_SHARED)) | KEEPS_ARRAY | (shared ? IS_SHARED : 0));
    return Py_NewRef(Py_None);
}

/* tape_zero(list, passes = False): gradients stand for zeros, whatever is in them. Whether what is
 * no node is passed over or refused. */
static PyObject *tape_zero(PyObject *module, PyObject *const *arguments, Py_ssize_t given) {
    (void)module;
    const int passes = given == 2 ? PyObject_IsTrue(arguments[1]) : 0;
    if (given != 2 && !is_count(given, 1)) return NULL;
    const Py_ssize_t count = passes < 0 ? -1 : PyList_Size(arguments[0]);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *const item = PyList_GetItem(arguments[0], i);
        node *const n = passes ? as_node(item) : node_of(item, 1);
        if (!n && passes) continue;
        if (!n) return NULL;
        if (is_scalar(n))
            n->grad.number = 0;
        else if (dc_tape_zero(n) < 0)
            return NULL;
    }
    return count < 0 ? NULL : Py_NewRef(Py_None);
}

/* tape_settle(list): before an optimizer reads gradients and writes parameters by their addresses:
 * stale gradients become zeros, and results computed from the parameters so far are out of date. */
static PyObject *tape_settle(PyObject *module, PyObject *list) {
    (void)module;
    return dc_tape_settle_all(list) < 0 ? NULL : Py_NewRef(Py_None);
}

/* tape_due(list): how many have a gradient, which an optimizer is about to step by: what was
 * computed from those parameters so far is out of date. */
static PyObject *tape_due(PyObject *module, PyObject *list) {
    (void)module;
    const Py_ssize_t count = PyList_Size(list);
    long due = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        node *const n = node_of(PyList_GetItem(list, i), 0);
        if (!n) return NULL;
        if (!n->grad.object || n->flags & STALE) continue;
        n->version++;
        due++;
    }
    return count < 0 ? NULL : PyLong_FromLong(due);
}

/* tape_over(class, array): a Tensor of that class over an array as it is, whatever its strides. */
static PyObject *tape_over(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    if (!is_count(count, 2)) return NULL;
    if (!PyType_Check(arguments[0]) || Py_TYPE(arguments[1]) != &PyArray_Type) {
        PyErr_SetString(PyExc_TypeError, "expected a class of Tensors and an array");
        return NULL;
    }
    return dc_tape_over((PyTypeObject *)arguments[0], arguments[1]);
}

/* tape_retain(tensor): it keeps its gradient although it is no leaf. */
static PyObject *tape_retain(PyObject *module, PyObject *tensor) {
    (void)module;
    node *const n = node_of(tensor, 1);
    if (!n) return NULL;
    n->flags |= RETAINS;
    return Py_NewRef(Py_None);
}

/* tape_item(tensor, index): an element, by its number in memory, as a Scalar. */
static PyObject *tape_item(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    node *const n = is_count(count, 2) ? node_of(arguments[0], 0) : NULL;
    const Py_ssize_t index = n ? PyLong_AsSsize_t(arguments[1]) : -1;
    if (index < 0) return NULL;
    const array x = look(n->data.object);
    if (!is_real(&x) || !is_contiguous(&x) || index >= (Py_ssize_t)size_of(&x)) {
        PyErr_SetString(PyExc_IndexError, "no such element");
        return NULL;
    }
    return dc_tape_item(arguments[0], (size_t)index);
}

/* tape_swap(tensor, array): another array of the same shape and dtype in the place of a leaf's.
 * What was computed so far keeps the old one, so that its gradients are right as they were. */
static PyObject *tape_swap(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    node *const n = is_count(count, 2) ? node_of(arguments[0], 0) : NULL;
    if (!n) return NULL;
    const array x = look(n->data.object), y = look(arguments[1]);
    if (n->op != OP_LEAF || y.dtype != x.dtype || !is_contiguous(&y) ||
        !same_shape(&y, x.ndim, x.shape)) {
        PyErr_SetString(PyExc_ValueError, "expected the shape and dtype of a leaf's data");
        return NULL;
    }
    replace(&n->data.object, Py_NewRef(arguments[1]));
    return Py_NewRef(Py_None);
}

/* tape_backward(node, seed, free) */
static PyObject *tape_backward(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    if (!is_count(count, 3) || !node_of(arguments[0], 1)) return NULL;
    const int free_graph = PyObject_IsTrue(arguments[2]);
    return free_graph < 0 ? NULL : dc_tape_backward(arguments[0], arguments[1], free_graph);
}

/* ---- The module ------------------------------------------------------------------------------ */

#define FAST(name, function) {name, (PyCFunction)(void (*)(void))function, METH_FASTCALL, NULL}
#define SINGLE(name, function) {name, function, METH_O, NULL}

static PyMethodDef methods[] = {
    FAST("tape_register", tape_register),
    FAST("tape_family", dc_tape_family),
    FAST("tape_silent", tape_silent),
    FAST("tape_detects", tape_detects),
    FAST("tape_after_fork", tape_after_fork),
    SINGLE("tape_exp", tape_exp),
    SINGLE("tape_log", tape_log),
    SINGLE("tape_tanh", tape_tanh),
    SINGLE("tape_sigmoid", tape_sigmoid),
    SINGLE("tape_relu", tape_relu),
    SINGLE("tape_relu_product", tape_relu_product),
    SINGLE("tape_sum", tape_sum),
    FAST("tape_quotient", tape_quotient),
    FAST("tape_gate", tape_gate),
    FAST("tape_power", tape_power),
    FAST("tape_matmul", tape_matmul),
    FAST("tape_fit", tape_fit),
    FAST("tape_quick", dc_tape_quick),
    FAST("tape_linear", dc_tape_linear),
    FAST("tape_chain", dc_tape_chain),
    FAST("tape_linears", dc_tape_linears),
    FAST("tape_summed", dc_tape_summed),
    FAST("tape_add_rows", dc_tape_add_rows),
    FAST("tape_product", dc_tape_product),
    FAST("tape_activation", dc_tape_activation),
    SINGLE("tape_softmax", dc_tape_softmax),
    SINGLE("tape_log_softmax", dc_tape_log_softmax),
    FAST("tape_network", dc_tape_network),
    FAST("tape_loss", dc_tape_loss),
    FAST("tape_collect", dc_tape_collect),
    FAST("tape_zero_own", dc_tape_zero_own),
    FAST("tape_record", tape_record),
    FAST("tape_lent", tape_lent),
    SINGLE("tape_gather", tape_gather),
    SINGLE("tape_spread", tape_spread),
    FAST("tape_item", tape_item),
    FAST("tape_swap", tape_swap),
    FAST("tape_adopt", tape_adopt),
    FAST("tape_zero", tape_zero),
    SINGLE("tape_settle", tape_settle),
    SINGLE("tape_due", tape_due),
    FAST("tape_over", tape_over),
    SINGLE("tape_retain", tape_retain),
    FAST("tape_backward", tape_backward),
    FAST("tape_gradients", dc_tape_gradients),
    {NULL, NULL, 0, NULL},
};

int dc_tape_initialize(uintptr_t module) {
    const PyGILState_STATE state = PyGILState_Ensure();
    PyObject *const object = (PyObject *)module; /* NOLINT */
    const int failed = dc_tape_make_type(object) < 0 || PyModule_AddFunctions(object, methods) < 0;
    PyGILState_Release(state);
    return failed ? DC_BAD_STATE : DC_OK;
}
