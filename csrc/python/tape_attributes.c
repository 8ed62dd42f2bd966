/* What Python reads of a node and sets on it. */
#include "tape.h"

#include <string.h>

#include "../deepc.h"

static int refuse_delete(const char *name) {
    PyErr_Format(PyExc_TypeError, "%s: cannot be deleted", name);
    return -1;
}

PyObject *dc_tape_shape(PyObject *object) {
    if (!is_block(object)) return PyObject_GetAttrString(object, "shape");
    const array x = look(object);
    PyObject *shape = PyTuple_New(x.ndim);
    for (int i = 0; shape && i < x.ndim; i++)
        if (PyTuple_SetItem(shape, i, PyLong_FromSsize_t(x.shape[i])) < 0) Py_CLEAR(shape);
    return shape;
}

/* Copies a value into an array of a node, which stays where it is: optimizers and layers know it.
 */
static int copy_into(PyObject **place, PyObject *value, const char *name) {
    PyObject *const arguments[] = {value, Py_None};
    PyObject *new = dc_tape_help(dc_tape_helpers.convert, 2, arguments);
    if (!new || dc_tape_reveal(place) < 0) {
        Py_XDECREF(new);
        return -1;
    }
    const array to = look(*place), from = look(new);
    int status = -1;
    if (same_shape(&from, to.ndim, to.shape)) {
        status = PyArray_CopyInto((PyArrayObject *)*place, (PyArrayObject *)new);
    } else {
        PyObject *expected = dc_tape_shape(*place), *got = dc_tape_shape(new);
        if (expected && got)
            PyErr_Format(PyExc_ValueError, "%s: expected shape %R, got %R", name, expected, got);
        Py_XDECREF(expected);
        Py_XDECREF(got);
    }
    Py_DECREF(new);
    return status;
}

/* ---- data ------------------------------------------------------------------------------------ */

static PyObject *get_data(PyObject *self, void *closure) {
    (void)closure;
    node *const n = (node *)self;
    if (is_scalar(n)) return PyFloat_FromDouble(n->data.number);
    return dc_tape_reveal(&n->data.object) < 0 ? NULL : Py_NewRef(n->data.object);
}

static int set_data(PyObject *self, PyObject *value, void *closure) {
    (void)closure;
    node *const n = (node *)self;
    if (!value) return refuse_delete("data");
    if (is_scalar(n)) {
        const double number = PyFloat_AsDouble(value);
        if (number == -1 && PyErr_Occurred()) return -1;
        n->data.number = number;
        return 0;
    }
    const array x = look(n->data.object);
    if (value != n->data.object) {
        double number;
        if (dc_tape_is_number(value, &number) && size_of(&x) > 1) {
            PyObject *shape = dc_tape_shape(n->data.object);
            if (shape)
                PyErr_Format(PyExc_ValueError,
                             "data: a number would set all elements of shape %R to it; assign an "
                             "array, or to single elements through scalars()",
                             shape);
            Py_XDECREF(shape);
            return -1;
        }
        if (copy_into(&n->data.object, value, "data") < 0) return -1;
    }
    n->version++;
    return 0;
}

/* ---- grad ------------------------------------------------------------------------------------ */

int dc_tape_settle(node *n) {
    if (!(n->flags & STALE) || !n->grad.object) return 0;
    const array g = look(n->grad.object);
    if (is_contiguous(&g))
        memset(g.data, 0, size_of(&g) * item_size(&g));
    else if (PyArray_FILLWBYTE((PyArrayObject *)n->grad.object, 0) < 0)
        return -1;
    n->flags &= (uint16_t)~STALE;
    return 0;
}

int dc_tape_zero(node *n) {
    n->flags |= STALE;
    return n->flags & IS_SHARED ? dc_tape_settle(n) : 0;
}

static PyObject *get_grad(PyObject *self, void *closure) {
    (void)closure;
    node *const n = (node *)self;
    if (n->flags & IS_LENT) return Py_NewRef(n->grad.object);
    if (is_scalar(n)) return PyFloat_FromDouble(n->grad.number);
    if (!n->grad.object) return Py_NewRef(Py_None);
    if (dc_tape_settle(n) < 0 || dc_tape_reveal(&n->grad.object) < 0) return NULL;
    return Py_NewRef(n->grad.object);
}

/* A Tensor's gradient: None, a number for all elements, or an array of its shape. */
static int set_tensor_grad(node *n, PyObject *value) {
    double number = 0;
    if (value == Py_None) {
        if (n->flags & KEEPS_ARRAY) return dc_tape_zero(n);
        Py_CLEAR(n->grad.object);
        return 0;
    }
    const int is_number = dc_tape_is_number(value, &number);
    if (!n->grad.object) {
        PyObject *new = dc_tape_visible(dc_array_like(n->data.object));
        const int status = !new        ? -1
                           : is_number ? PyArray_FillWithScalar((PyArrayObject *)new, value)
                                       : copy_into(&new, value, "grad");
        if (status < 0) {
            Py_XDECREF(new);
            return -1;
        }
        n->grad.object = new;
        n->flags &= (uint16_t)~STALE;
        return 0;
    }
    if (is_number && number == 0) {
        /* The next pass writes its gradient there; who reads it before that sees zeros. */
        return dc_tape_zero(n);
    }
    if (dc_tape_reveal(&n->grad.object) < 0) return -1;
    const int status = is_number ? PyArray_FillWithScalar((PyArrayObject *)n->grad.object, value)
                                 : copy_into(&n->grad.object, value, "grad");
    if (status == 0) n->flags &= (uint16_t)~STALE;
    return status;
}

/* The gradient, but None where it stands for zeros: what a face calls no gradient. */
static PyObject *get_found(PyObject *self, void *closure) {
    const node *const n = (node *)self;
    return is_scalar(n) || !(n->flags & STALE) ? get_grad(self, closure) : Py_NewRef(Py_None);
}

static int set_grad(PyObject *self, PyObject *value, void *closure) {
    (void)closure;
    node *const n = (node *)self;
    if (!value) return refuse_delete("grad");
    if (n->flags & IS_LENT) {
        replace(&n->grad.object, Py_NewRef(value));
        return 0;
    }
    if (is_scalar(n)) {
        const double number = PyFloat_AsDouble(value);
        if (number == -1 && PyErr_Occurred()) return -1;
        n->grad.number = number;
        return 0;
    }
    return value == n->grad.object ? dc_tape_settle(n) : set_tensor_grad(n, value);
}

/* ---- What else there is ---------------------------------------------------------------------- */

static PyObject *get_requires(PyObject *self, void *closure) {
    (void)closure;
    return PyBool_FromLong(((node *)self)->flags & REQUIRES);
}

static int set_requires(PyObject *self, PyObject *value, void *closure) {
    (void)closure;
    node *const n = (node *)self;
    if (!value) return refuse_delete("requires_grad");
    const int wanted = PyObject_IsTrue(value);
    if (wanted < 0) return -1;
    if (n->op != OP_LEAF) {
        if (wanted) return 0;
        PyErr_SetString(PyExc_RuntimeError,
                        "requires_grad: this is the result of an operation; detach() cuts it off");
        return -1;
    }
    if (!is_scalar(n)) {
        const array x = look(n->data.object);
        if (wanted && !is_real(&x)) {
            PyErr_SetString(PyExc_TypeError,
                            "requires_grad: only float32 and float64 have gradients");
            return -1;
        }
    }
    n->flags = (uint16_t)(wanted ? n->flags | REQUIRES : n->flags & ~REQUIRES);
    return 0;
}

static PyObject *get_prev(PyObject *self, void *closure) {
    (void)closure;
    const node *const n = (node *)self;
    PyObject *list = PyList_New(0);
    for (uint32_t i = 0; list && i < n->count; i++)
        if (operands_of(n)[i].node && PyList_Append(list, (PyObject *)operands_of(n)[i].node) < 0)
            Py_CLEAR(list);
    PyObject *tuple = list ? PyList_AsTuple(list) : NULL;
    Py_XDECREF(list);
    return tuple;
}

const char *dc_tape_name(const node *n) {
    if (n->extra && n->extra->name) {
        const char *const text = PyUnicode_AsUTF8AndSize(n->extra->name, NULL);
        if (text) return text;
        PyErr_Clear();
    }
    const int op = operation_of(n);
    return op == OP_ACTIVATION ? dc_activation_name(n->code) : dc_tape_names[op];
}

static PyObject *get_op(PyObject *self, void *closure) {
    (void)closure;
    const node *const n = (node *)self;
    return PyUnicode_FromString(n->op == OP_LEAF ? "" : dc_tape_name(n));
}

static PyObject *get_code(PyObject *self, void *closure) {
    (void)closure;
    const node *const n = (node *)self;
    const int is_loss = operation_of(n) == OP_LOSS;
    return PyLong_FromLong(is_loss ? n->code & ((1 << REDUCTION_SHIFT) - 1) : n->code);
}

static PyObject *get_version(PyObject *self, void *closure) {
    (void)closure;
    return PyLong_FromUnsignedLong(((node *)self)->version);
}

static PyObject *get_shape(PyObject *self, void *closure) {
    (void)closure;
    const node *const n = (node *)self;
    return is_scalar(n) ? PyTuple_New(0) : dc_tape_shape(n->data.object);
}

static PyObject *get_dtype(PyObject *self, void *closure) {
    (void)closure;
    const node *const n = (node *)self;
    if (!is_scalar(n) && !is_block(n->data.object))
        return PyObject_GetAttrString(n->data.object, "dtype");
    const int is_double = is_scalar(n) || look(n->data.object).dtype == FLOAT64;
    return (PyObject *)PyArray_DescrFromType(is_double ? NPY_DOUBLE : NPY_FLOAT);
}

static PyObject *get_hooks(PyObject *self, void *closure) {
    (void)closure;
    const extra *const e = ((node *)self)->extra;
    return Py_NewRef(e && e->hooks ? e->hooks : Py_None);
}

/* A dict of callables: once it is there, the garbage collector has to see the node. */
static int set_hooks(PyObject *self, PyObject *value, void *closure) {
    (void)closure;
    node *const n = (node *)self;
    if (!value || !PyDict_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "_hooks: expected a dict");
        return -1;
    }
    if (!dc_tape_extra(n)) return -1;
    replace(&n->extra->hooks, Py_NewRef(value));
    dc_tape_track(n);
    return 0;
}

static PyObject *get_label(PyObject *self, void *closure) {
    (void)closure;
    const extra *const e = ((node *)self)->extra;
    return Py_NewRef(e && e->label ? e->label : Py_None);
}

static int set_label(PyObject *self, PyObject *value, void *closure) {
    (void)closure;
    node *const n = (node *)self;
    if (!value || !PyUnicode_Check(value)) {
        PyErr_Format(PyExc_TypeError, "label: expected a str, got %R", value ? value : Py_None);
        return -1;
    }
    if (!dc_tape_extra(n)) return -1;
    replace(&n->extra->label, Py_NewRef(value));
    return 0;
}

PyGetSetDef dc_tape_attributes[] = {
    {"data", get_data, set_data, "The value: a float, or an array.", NULL},
    {"grad", get_grad, set_grad, "The gradient of what backward() was called on.", NULL},
    {"_data", get_data, set_data, "The same, whatever a subclass makes of data.", NULL},
    {"_grad", get_found, set_grad, "The gradient, None where there is none yet.", NULL},
    {"requires_grad", get_requires, set_requires, "Whether a gradient is wanted.", NULL},
    {"shape", get_shape, NULL, "The shape of the value.", NULL},
    {"dtype", get_dtype, NULL, "The dtype of the value.", NULL},
    {"label", get_label, set_label, "A name, for drawings and messages.", NULL},
    {"_prev", get_prev, NULL, "The nodes that it was computed from.", NULL},
    {"_op", get_op, NULL, "The operation that computed it.", NULL},
    {"_code", get_code, NULL, "Of the operation: which activation, loss, element.", NULL},
    {"_version", get_version, NULL, "How often its array was changed in place.", NULL},
    {"_hooks", get_hooks, set_hooks, "What is called with its gradient.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

/* ---- Of Scalars ------------------------------------------------------------------------------ */

/* The names as the interpreter has them, once each; NULL without memory for them, which is never an
 * attribute's name. */
static PyObject *name_of_data, *name_of_grad;

/* The number that a name stands for; NULL if it is anything else, or of a class that may have an
 * attribute of its own by that name. */
static inline double *number_of(PyObject *self, PyObject *name) {
    node *const n = (node *)self;
    if (Py_TYPE(self) != dc_tape_families[SCALARS]) return NULL;
    if (name == name_of_data) return &n->data.number;
    return name == name_of_grad && !(n->flags & IS_LENT) ? &n->grad.number : NULL;
}

PyObject *dc_tape_get_attribute(PyObject *self, PyObject *name) {
    const double *const number = number_of(self, name);
    return number ? PyFloat_FromDouble(*number) : PyObject_GenericGetAttr(self, name);
}

int dc_tape_set_attribute(PyObject *self, PyObject *name, PyObject *value) {
    double *const number = value && PyFloat_CheckExact(value) ? number_of(self, name) : NULL;
    if (!number) return PyObject_GenericSetAttr(self, name, value);
    *number = PyFloat_AsDouble(value);
    return 0;
}

void dc_tape_name_attributes(void) {
    name_of_data = PyUnicode_InternFromString("data");
    name_of_grad = PyUnicode_InternFromString("grad");
    PyErr_Clear();
}
