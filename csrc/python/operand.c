/* Arrays and lists as arguments and results: see operand.h. */
#include "operand.h"

#include <string.h>

#include "lists.h"

void dc_operand_drop(array_operand *o) { Py_XDECREF(o->array); }

static PyObject *new_array(dtype dtype, int ndim, const npy_intp *shape) {
    /* It wants a pointer to what it does not change. */
    return PyArray_SimpleNew(ndim, (npy_intp *)shape, dtype == FLOAT32 ? NPY_FLOAT : NPY_DOUBLE);
}

/* Gives an operand of known shape its memory; 0 with an exception. */
static int place(array_operand *o, dtype dtype, int ndim) {
    const npy_intp most = OPERAND_ROOM / (npy_intp)sizeof(double);
    const npy_intp rows = ndim == 2 ? o->shape[0] : 1, cols = o->shape[ndim - 1];
    if (o->is_list && rows <= most && cols <= most && rows * cols <= most) {
        o->x = (array){.dtype = dtype,
                       .flags = NPY_ARRAY_C_CONTIGUOUS,
                       .ndim = ndim,
                       .shape = o->shape,
                       .data = o->room};
        return 1;
    }
    o->array = new_array(dtype, ndim, o->shape);
    if (!o->array) return 0;
    o->x = look(o->array);
    return 1;
}

int dc_operand_take(array_operand *o, PyObject *object, dtype dtype) {
    o->is_list = PyList_CheckExact(object);
    if (!o->is_list) {
        o->x = look(object);
        return 1;
    }
    const int ndim = dc_list_shape(object, o->shape);
    return ndim && place(o, dtype, ndim) &&
           dc_list_read(object, ndim, o->shape, dtype == FLOAT64, o->x.data);
}

int dc_operand_make(array_operand *o, int is_list, dtype dtype, int ndim, const npy_intp *shape) {
    o->is_list = is_list;
    for (int i = 0; i < ndim; i++) o->shape[i] = shape[i];
    return place(o, dtype, ndim);
}

PyObject *dc_operand_result(const array_operand *o, int status) {
    if (status) return PyLong_FromLong(status);
    if (!o->is_list) return Py_NewRef(o->array);
    return dc_list_make(o->x.ndim, o->x.shape, o->x.dtype == FLOAT64, o->x.data);
}

/* Whether an array is nobody's beside the one object that remembers it and the call in which it is
 * an argument, and may be written over by numbers of that form. An array that is another's memory
 * does not own it. */
static int is_free(PyObject *before, const array *form) {
    enum { HOLDERS = 2, FLAGS = NPY_ARRAY_CARRAY | NPY_ARRAY_OWNDATA };
    const array x = look(before);
    return x.dtype == form->dtype && same_shape(&x, form->ndim, form->shape) &&
           (x.flags & FLAGS) == FLAGS && Py_REFCNT(before) == HOLDERS;
}

PyObject *dc_operand_keep(const array_operand *o, PyObject *before) {
    if (o->array) return Py_NewRef(o->array);
    PyObject *kept =
        is_free(before, &o->x) ? Py_NewRef(before) : new_array(o->x.dtype, o->x.ndim, o->x.shape);
    if (kept) memcpy(look(kept).data, o->x.data, size_of(&o->x) * item_size(&o->x));
    return kept;
}
