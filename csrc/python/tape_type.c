/* The node as a Python type: what makes one, its operators, the families. See tape.h. What Python
 * reads and sets is in tape_attributes.c. */
#include "tape.h"

#include <stddef.h>

/* ---- Made by Python -------------------------------------------------------------------------- */

/* The family whose class it is, or whose class it is derived from; later families first, because a
 * face derives its classes from the earlier ones. */
static int family_of(PyTypeObject *type) {
    for (int family = MOST_FAMILIES - 1; family >= 0; family--)
        if (dc_tape_families[family] && PyType_IsSubtype(type, dc_tape_families[family]))
            return family;
    PyErr_SetString(PyExc_TypeError, "Node: make a Scalar or a Tensor");
    return -1;
}

/* Scalar(data, _backward, _prev): the two are what the notebook's Function hands over. */
static PyObject *new_scalar(PyTypeObject *type, PyObject *data, PyObject *backward,
                            PyObject *prev) {
    const double number = PyFloat_AsDouble(data);
    if (number == -1 && PyErr_Occurred()) return NULL;
    node *n = dc_tape_allocate(type, SCALARS, NULL);
    if (!n) return NULL;
    n->data.number = number;
    n->flags |= REQUIRES;
    if (!backward || backward == Py_None || is_silent()) return (PyObject *)n;
    PyObject *list = PySequence_Tuple(prev ? prev : Py_None);
    const Py_ssize_t count = list ? PyTuple_Size(list) : -1;
    if (count < 0 || dc_tape_reserve(n, (size_t)count) < 0 || !dc_tape_extra(n)) goto failed;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *operand = PyTuple_GetItem(list, i);
        if (!is_node(operand)) {
            PyErr_Format(PyExc_TypeError, "_prev: expected Scalars, got %R", operand);
            goto failed;
        }
        operands_of(n)[i].node = (node *)Py_NewRef(operand);
    }
    n->op = OP_LENT;
    n->extra->rule = Py_NewRef(backward);
    dc_tape_track(n);
    Py_DECREF(list);
    return (PyObject *)n;
failed:
    Py_XDECREF(list);
    Py_DECREF(n);
    return NULL;
}

/* Tensor(data, requires_grad=False, dtype=None): float arrays are taken where they are. */
static PyObject *new_tensor(PyTypeObject *type, int family, PyObject *data, PyObject *requires,
                            PyObject *dtype) {
    const int wanted = requires ? PyObject_IsTrue(requires) : 0;
    if (wanted < 0) return NULL;
    const array x = look(data);
    PyObject *result;
    if (is_real(&x) && is_contiguous(&x) && (!dtype || dtype == Py_None)) {
        result = Py_NewRef(data);
    } else {
        PyObject *const arguments[] = {data, dtype ? dtype : Py_None};
        result = dc_tape_help(dc_tape_helpers.convert, 2, arguments);
        if (!result) return NULL;
    }
    const array y = look(result);
    if (wanted && !is_real(&y)) {
        PyErr_Format(PyExc_TypeError,
                     "requires_grad: only float32 and float64 have gradients, got %R of dtype %R",
                     (PyObject *)Py_TYPE(data), (PyObject *)PyArray_DESCR((PyArrayObject *)result));
        Py_DECREF(result);
        return NULL;
    }
    node *n = dc_tape_allocate(type, family, result);
    if (n && wanted) n->flags |= REQUIRES;
    return (PyObject *)n;
}

PyObject *dc_tape_over(PyTypeObject *type, PyObject *array) {
    const int family = family_of(type);
    if (family == SCALARS) PyErr_SetString(PyExc_TypeError, "expected a class of Tensors");
    if (family <= SCALARS) return NULL;
    return (PyObject *)dc_tape_allocate(type, family, Py_NewRef(array));
}

static PyObject *node_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
    const int family = family_of(type);
    if (family < 0) return NULL;
    PyObject *given[3] = {NULL, NULL, NULL};
    if (!keywords && PyTuple_Size(arguments) == 1) {
        given[0] = PyTuple_GetItem(arguments, 0);
    } else {
        static char *for_scalars[] = {"data", "_backward", "_prev", NULL};
        static char *for_tensors[] = {"data", "requires_grad", "dtype", NULL};
        if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O|OO",
                                         family == SCALARS ? for_scalars : for_tensors, &given[0],
                                         &given[1], &given[2]))
            return NULL;
    }
    return family == SCALARS ? new_scalar(type, given[0], given[1], given[2])
                             : new_tensor(type, family, given[0], given[1], given[2]);
}

/* ---- The type -------------------------------------------------------------------------------- */

#define BINARY(name, op)                                                                           \
    static PyObject *name(PyObject *a, PyObject *b) {                                              \
        PyObject *const quick = dc_tape_quick_binary(op, a, b);                                    \
        return quick ? quick : dc_tape_binary(op, a, b);                                           \
    }
BINARY(node_add, OP_ADD)
BINARY(node_subtract, OP_SUBTRACT)
BINARY(node_multiply, OP_MULTIPLY)
BINARY(node_divide, OP_DIVIDE)
static PyObject *node_negative(PyObject *x) { return dc_tape_unary(OP_NEGATE, x); }
static PyObject *node_positive(PyObject *x) { return Py_NewRef(x); }

static PyType_Slot slots[] = {
    {Py_tp_new, node_new},
    {Py_tp_dealloc, dc_tape_dealloc},
    {Py_tp_traverse, dc_tape_traverse},
    {Py_tp_clear, dc_tape_clear},
    {Py_tp_getset, dc_tape_attributes},
    {Py_nb_add, node_add},
    {Py_nb_subtract, node_subtract},
    {Py_nb_multiply, node_multiply},
    {Py_nb_true_divide, node_divide},
    {Py_nb_negative, node_negative},
    {Py_nb_positive, node_positive},
    {Py_tp_doc, "What Scalar and Tensor share: a value, what it was computed from, its gradient."},
    {0, NULL},
};
static PyType_Spec spec = {
    .name = "deepc._deepc.Node",
    .basicsize = offsetof(node, first),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

int dc_tape_make_type(PyObject *module) {
    dc_tape_type = (PyTypeObject *)PyType_FromSpec(&spec);
    dc_tape_name_attributes();
    if (!dc_tape_type || dc_block_make_type() < 0) return -1;
    return PyModule_AddObjectRef(module, "Node", (PyObject *)dc_tape_type);
}

PyObject *dc_tape_family(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    const char *const name = count == 3 ? PyUnicode_AsUTF8AndSize(arguments[0], NULL) : NULL;
    const int scalars = count == 3 ? PyObject_IsTrue(arguments[1]) : -1;
    if (!name || scalars < 0 || !PyDict_Check(arguments[2])) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "tape_family: expected a dict");
        return NULL;
    }
    /* The list ends where there is no slot: Tensors find their attributes as usual. */
    PyType_Slot own[] = {
        {Py_tp_dealloc, dc_tape_dealloc},
        {Py_tp_traverse, dc_tape_traverse},
        {Py_tp_clear, dc_tape_clear},
        {scalars ? Py_tp_getattro : 0, dc_tape_get_attribute},
        {Py_tp_setattro, dc_tape_set_attribute},
        {0, NULL},
    };
    PyType_Spec of = spec;
    of.name = name;
    Py_INCREF(arguments[0]); /* as long as the class, which is for ever */
    of.basicsize = (int)dc_tape_size(scalars ? SCALARS : TENSORS);
    of.slots = own;
    PyObject *const bases = PyTuple_New(1);
    if (!bases) return NULL;
    PyTuple_SetItem(bases, 0, Py_NewRef((PyObject *)dc_tape_type));
    PyObject *type = PyType_FromSpecWithBases(&of, bases);
    Py_DECREF(bases);
    PyObject *key, *value;
    for (Py_ssize_t i = 0; type && PyDict_Next(arguments[2], &i, &key, &value);)
        if (PyObject_SetAttr(type, key, value) < 0) Py_CLEAR(type);
    return type;
}
