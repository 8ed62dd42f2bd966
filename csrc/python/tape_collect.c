/* The parameters of a model, found among the attributes of Python objects. See tape.h. */
#include "tape.h"

/* What cannot be or hold a parameter, and is not worth a call of Python. What is no class derived
 * from another is known at a glance. */
static int is_plain(PyObject *value) {
    PyTypeObject *const type = Py_TYPE(value);
    return value == Py_None || type == &PyUnicode_Type || type == &PyBool_Type ||
           PyUnicode_Check(value) || PyLong_Check(value) || PyFloat_Check(value) ||
           PyArray_Check(value);
}

static int zero(node *n) {
    if (!is_scalar(n)) return dc_tape_zero(n);
    n->grad.number = 0;
    return 0;
}

static int collect(PyObject *value, PyObject *found, PyObject *other);

static int collect_list(PyObject *list, PyObject *found, PyObject *other) {
    /* Its length is asked for each time: `other` may change it. */
    for (Py_ssize_t i = 0; i < PyList_Size(list); i++) {
        PyObject *const value = Py_NewRef(PyList_GetItem(list, i));
        const int status = collect(value, found, other);
        Py_DECREF(value);
        if (status < 0) return -1;
    }
    return 0;
}

static int collect_tuple(PyObject *tuple, PyObject *found, PyObject *other) {
    const Py_ssize_t count = PyTuple_Size(tuple);
    for (Py_ssize_t i = 0; i < count; i++)
        if (collect(PyTuple_GetItem(tuple, i), found, other) < 0) return -1;
    return 0;
}

static int collect_dict(PyObject *dict, PyObject *found, PyObject *other) {
    PyObject *values = PyDict_Values(dict);
    const int status = values ? collect_list(values, found, other) : -1;
    Py_XDECREF(values);
    return status;
}

/* What Python finds in a value that is none of these: a list. */
static int collect_other(PyObject *value, PyObject *found, PyObject *other) {
    PyObject *more = PyObject_CallFunctionObjArgs(other, value, NULL);
    const Py_ssize_t count = more ? PyList_Size(more) : -1;
    int status = count < 0 ? -1 : 0;
    if (!status && found != Py_None)
        status = PyList_SetSlice(found, PyList_Size(found), PyList_Size(found), more);
    for (Py_ssize_t i = 0; !status && found == Py_None && i < count; i++) {
        node *const n = as_node(PyList_GetItem(more, i));
        if (n) status = zero(n);
    }
    Py_XDECREF(more);
    return status;
}

/* Adds the parameters in a value to those found, in order; of None, sets their gradients to 0. */
static int collect(PyObject *value, PyObject *found, PyObject *other) {
    PyTypeObject *const type = Py_TYPE(value);
    if (type != &PyList_Type && type != &PyTuple_Type && type != &PyUnicode_Type) {
        node *const n = as_node(value);
        if (n && (!(n->flags & REQUIRES) || n->op != OP_LEAF)) return 0;
        if (n) return found == Py_None ? zero(n) : PyList_Append(found, value);
    }
    if (type != &PyList_Type && type != &PyTuple_Type && is_plain(value)) return 0;
    if (Py_EnterRecursiveCall(" in the search for parameters")) return -1;
    /* The check of a class asks Python. */
    const int is_list = type == &PyList_Type || (type != &PyTuple_Type && PyList_Check(value));
    const int status = is_list                ? collect_list(value, found, other)
                       : PyTuple_Check(value) ? collect_tuple(value, found, other)
                       : PyDict_Check(value)  ? collect_dict(value, found, other)
                                              : collect_other(value, found, other);
    Py_LeaveRecursiveCall();
    return status;
}

/* Whether all of a short list are different objects. */
static int are_different(PyObject *list) {
    enum { SHORT = 16 };
    const Py_ssize_t count = PyList_Size(list);
    if (count > SHORT) return 0;
    for (Py_ssize_t i = 1; i < count; i++)
        for (Py_ssize_t k = 0; k < i; k++)
            if (PyList_GetItem(list, i) == PyList_GetItem(list, k)) return 0;
    return 1;
}

/* Each of a list once. By identity: a user's class may compare otherwise. */
static PyObject *each_once(PyObject *list) {
    if (are_different(list)) return Py_NewRef(list);
    PyObject *found = PyDict_New();
    int status = found ? 0 : -1;
    for (Py_ssize_t i = 0; status == 0 && i < PyList_Size(list); i++) {
        PyObject *const value = PyList_GetItem(list, i), *key = PyLong_FromVoidPtr(value);
        status = key ? PyDict_SetItem(found, key, value) : -1;
        Py_XDECREF(key);
    }
    PyObject *result = status ? NULL : PyDict_Values(found);
    Py_XDECREF(found);
    return result;
}

/* collect(dict, function): the parameters in its values. */
PyObject *dc_tape_collect(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    if (count != 2 || !PyDict_Check(arguments[0])) {
        PyErr_SetString(PyExc_TypeError, "collect: expected a dict and a function");
        return NULL;
    }
    PyObject *found = PyList_New(0), *result = NULL;
    if (found && collect_dict(arguments[0], found, arguments[1]) == 0) result = each_once(found);
    Py_XDECREF(found);
    return result;
}

/* zero_own(object, function, other): sets the gradients of the parameters among an object's
 * attributes to 0. False: it or its class has another method `parameters` than the function, which
 * may find others. */
PyObject *dc_tape_zero_own(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    static PyObject *name;
    if (!name) name = PyUnicode_InternFromString("parameters");
    PyObject *const own = count == 3 && name ? PyObject_GenericGetDict(arguments[0], NULL) : NULL;
    if (!own) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "zero_own: expected 3 arguments");
        return NULL;
    }
    PyObject *const found = PyObject_GetAttr((PyObject *)Py_TYPE(arguments[0]), name);
    int has = found ? found != arguments[1] : -1;
    if (!has) has = PyDict_Contains(own, name);
    if (!has && collect_dict(own, Py_None, arguments[2]) < 0) has = -1;
    Py_XDECREF(found);
    Py_DECREF(own);
    return has < 0 ? NULL : PyBool_FromLong(!has);
}

/* Before each step of an optimizer: what a node's gradient needs is looked at here, not in a call
 * for each. */
int dc_tape_settle_all(PyObject *list) {
    const Py_ssize_t count = PyList_Size(list);
    for (Py_ssize_t i = 0; i < count; i++) {
        node *const n = as_node(PyList_GetItem(list, i));
        if (!n || is_scalar(n)) {
            PyErr_SetString(PyExc_TypeError, "settle: expected Tensors");
            return -1;
        }
        if (n->flags & STALE && dc_tape_settle(n) < 0) return -1;
        n->version++;
    }
    return count < 0 ? -1 : 0;
}
