/* A compiled network as one operation: its parameters are leaves, into whose gradients its backward
 * writes where they are. */
#include "tape.h"

#include "../deepc.h"

/* ---- Forward --------------------------------------------------------------------------------- */

static int forward(dtype dtype, void *net, size_t rows, size_t cols, const void *x, void *y) {
    int status;
    if (dtype == FLOAT32)
        UNLOCKED(status = dc_network_forward_f32(net, rows, cols, x, y));
    else
        UNLOCKED(status = dc_network_forward_f64(net, rows, cols, x, y));
    return status;
}

static PyObject *compute(const node *x_node, const node *leaf, void *net) {
    const array x = look(x_node->data.object), w = look(leaf->data.object);
    if (x.ndim != 2 || x.dtype != w.dtype || !is_real(&x) || !is_contiguous(&x)) return NULL;
    const size_t rows = (size_t)x.shape[0], cols = (size_t)x.shape[1];
    const size_t outputs =
        x.dtype == FLOAT32 ? dc_network_outputs_f32(net, cols) : dc_network_outputs_f64(net, cols);
    if (outputs == 0) return NULL;
    const npy_intp shape[2] = {(npy_intp)rows, (npy_intp)outputs};
    PyObject *result = dc_block_new(x.dtype, 2, shape);
    if (result && forward(x.dtype, net, rows, cols, x.data, numbers_of(result))) Py_CLEAR(result);
    return result;
}

/* network(x, address, leaves, owner, name): the output of a network for rows, whose parameters are
 * these leaves, one at least; their gradients' arrays are where it puts them. The owner holds the
 * network as long as the pass may go back, and is asked to `restore` its modes before. What does
 * not fit gives NotImplemented. */
PyObject *dc_tape_network(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    const Py_ssize_t leaves = count == 5 ? PyList_Size(arguments[2]) : -1;
    void *const net = leaves > 0 ? PyLong_AsVoidPtr(arguments[1]) : NULL;
    if (!net) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "network: expected 5 arguments");
        return NULL;
    }
    PyObject **operands = PyMem_Calloc((size_t)leaves + 1, sizeof *operands);
    if (!operands) return PyErr_NoMemory();
    operands[0] = arguments[0];
    for (Py_ssize_t i = 0; i < leaves; i++) operands[i + 1] = PyList_GetItem(arguments[2], i);
    const node *const x = as_node(operands[0]), *const leaf = as_node(operands[1]);
    PyObject *result =
        x && leaf && !is_scalar(x) && !is_scalar(leaf) ? compute(x, leaf, net) : NULL;
    if (result) result = dc_tape_record(OP_NETWORK, result, operands, (size_t)leaves + 1);
    PyMem_Free(operands);
    if (!result) return PyErr_Occurred() ? NULL : Py_NewRef(Py_NotImplemented);
    node *const n = (node *)result;
    if (n->op != OP_NETWORK) return dc_tape_visible(result);
    PyObject *context = PyTuple_New(2);
    if (!context || !dc_tape_extra(n)) {
        Py_XDECREF(context);
        Py_DECREF(result);
        return NULL;
    }
    PyTuple_SetItem(context, 0, Py_NewRef(arguments[1]));
    PyTuple_SetItem(context, 1, Py_NewRef(arguments[3]));
    n->extra->context = context;
    n->extra->name = Py_NewRef(arguments[4]);
    return dc_tape_visible(result);
}

/* ---- Backward -------------------------------------------------------------------------------- */

/* Whether the array of a leaf's gradient holds nothing that is needed: neither what was added to it
 * so far nor a contribution of this pass. */
static int is_free(const node *leaf) { return leaf->flags & STALE && !leaf->g.object; }

/* Keeps what the network is about to overwrite. */
static int keep(const node *n, PyObject **kept) {
    for (uint32_t i = 1; i < n->count; i++) {
        const node *const leaf = operands_of(n)[i].node;
        if (!leaf || !leaf->grad.object || Py_TYPE(leaf->grad.object) != &PyArray_Type) {
            PyErr_SetString(PyExc_RuntimeError, "network: a parameter has no place for a gradient");
            return -1;
        }
        if (is_free(leaf)) continue;
        kept[i] = PyArray_NewCopy((PyArrayObject *)leaf->grad.object, NPY_KEEPORDER);
        if (!kept[i]) return -1;
    }
    return 0;
}

/* Gives each leaf what the network has written, and puts back what had been there. */
static int give_leaves(pass *p, const node *n, PyObject *const *kept) {
    int status = 0;
    for (uint32_t i = 1; i < n->count; i++) {
        node *const leaf = operands_of(n)[i].node;
        PyObject *const written = leaf->grad.object;
        const int wanted = !status && dc_tape_wants(p, n, i);
        if (!kept[i] && wanted && !p->to_targets && !p->clean &&
            !(leaf->extra && leaf->extra->hooks)) {
            leaf->g.object = Py_NewRef(written);
            leaf->flags |= IN_PLACE;
            continue;
        }
        PyObject *c = wanted ? PyArray_NewCopy((PyArrayObject *)written, NPY_KEEPORDER) : NULL;
        if (kept[i] && PyArray_CopyInto((PyArrayObject *)written, (PyArrayObject *)kept[i]) < 0)
            status = -1;
        if (wanted && dc_tape_give(p, n, i, c) < 0) status = -1;
    }
    return status;
}

static int backward(dtype dtype, void *net, const array *x, const array *g, PyObject *d_x) {
    const size_t rows = (size_t)x->shape[0], cols = (size_t)x->shape[1];
    void *const to = d_x ? numbers_of(d_x) : NULL;
    int status;
    if (dtype == FLOAT32)
        UNLOCKED(status = dc_network_backward_f32(net, rows, cols, (const void *)x->data,
                                                  (const void *)g->data, to));
    else
        UNLOCKED(status = dc_network_backward_f64(net, rows, cols, (const void *)x->data,
                                                  (const void *)g->data, to));
    return status;
}

static int refuse_twice(const node *n) {
    PyErr_Format(PyExc_RuntimeError,
                 "%s: its gradient cannot be differentiated again; write it with operations where "
                 "second derivatives are wanted",
                 dc_tape_name(n));
    return -1;
}

int dc_tape_network_rule(pass *p, node *n, PyObject *g_object) {
    if (p->create) return refuse_twice(n);
    PyObject *const context = n->extra->context;
    void *const net = PyLong_AsVoidPtr(PyTuple_GetItem(context, 0));
    PyObject *restored = PyObject_CallMethod(PyTuple_GetItem(context, 1), "restore", NULL);
    PyObject *const flat = restored ? dc_array_flat(g_object) : NULL;
    PyObject **const kept = PyMem_Calloc(n->count, sizeof *kept);
    Py_XDECREF(restored);
    int status = flat && kept ? keep(n, kept) : -1;
    PyObject *d_x = NULL;
    if (!status && dc_tape_wants(p, n, 0)) {
        d_x = dc_array_like(operands_of(n)[0].value.object);
        if (!d_x) status = -1;
    }
    if (!status) {
        const array x = look(operands_of(n)[0].value.object), g = look(flat);
        const int code = backward(x.dtype, net, &x, &g, d_x);
        if (code) {
            PyErr_Format(PyExc_RuntimeError, "backward of %s: status %d", dc_tape_name(n), code);
            status = -1;
        }
        if (give_leaves(p, n, kept) < 0) status = -1;
    }
    if (!status && d_x)
        status = dc_tape_give(p, n, 0, d_x);
    else
        Py_XDECREF(d_x);
    for (uint32_t i = 1; kept && i < n->count; i++) Py_XDECREF(kept[i]);
    PyMem_Free(kept);
    Py_XDECREF(flat);
    return status;
}
