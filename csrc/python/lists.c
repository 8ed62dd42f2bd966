/* Lists of floats, read and made: see lists.h. */
#include "lists.h"

#include "../mode.h"

/* Without the interpreter's lock a list may change while it is read. */
#ifdef Py_GIL_DISABLED
#define READS_LISTS 0
#else
#define READS_LISTS 1
#endif

int dc_list_shape(PyObject *list, Py_ssize_t shape[2]) {
    if (!READS_LISTS || !PyList_CheckExact(list)) return 0;
    shape[0] = PyList_Size(list);
    if (shape[0] == 0) return 0;
    PyObject *row = PyList_GetItem(list, 0);
    if (!PyList_CheckExact(row)) return 1;
    shape[1] = PyList_Size(row);
    return shape[1] > 0 ? 2 : 0;
}

/* A float of Python or one of its subclass, as NumPy's float64, or an int; 0 for all else. */
static int number_of(PyObject *item, double *out) {
    if (PyFloat_Check(item)) {
        *out = PyFloat_AsDouble(item);
        return 1;
    }
    if (!PyLong_CheckExact(item)) return 0;
    *out = PyLong_AsDouble(item);
    if (*out != -1 || !PyErr_Occurred()) return 1;
    PyErr_Clear();
    return 0;
}

static int read_row(PyObject *row, Py_ssize_t count, int wide, void *out) {
    double number;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = PyList_GetItem(row, i);
        if (PyFloat_CheckExact(item))
            number = PyFloat_AsDouble(item);
        else if (!number_of(item, &number))
            return 0;
        if (wide)
            ((double *)out)[i] = number;
        else
            ((float *)out)[i] = (float)number;
    }
    return 1;
}

int dc_list_read(PyObject *list, int ndim, const Py_ssize_t *shape, int wide, void *out) {
    DEFAULT_MODE;
    if (ndim == 1) return read_row(list, shape[0], wide, out);
    const size_t row_size = (size_t)shape[1] * (wide ? sizeof(double) : sizeof(float));
    for (Py_ssize_t r = 0; r < shape[0]; r++) {
        PyObject *row = PyList_GetItem(list, r);
        if (!PyList_CheckExact(row) || PyList_Size(row) != shape[1]) return 0;
        if (!read_row(row, shape[1], wide, (char *)out + (size_t)r * row_size)) return 0;
    }
    return 1;
}

PyObject *dc_list_make(int ndim, const Py_ssize_t *shape, int wide, const void *x) {
    PyObject *list = PyList_New(shape[0]);
    const size_t size = wide ? sizeof(double) : sizeof(float);
    for (Py_ssize_t i = 0; list && i < shape[0]; i++) {
        const char *at = (const char *)x + (size_t)i * size * (size_t)(ndim == 2 ? shape[1] : 1);
        PyObject *item = ndim == 2 ? dc_list_make(1, shape + 1, wide, at)
                                   : PyFloat_FromDouble(wide ? *(const double *)(const void *)at
                                                             : *(const float *)(const void *)at);
        if (!item) {
            Py_DECREF(list);
            return NULL;
        }
        PyList_SetItem(list, i, item);
    }
    return list;
}
