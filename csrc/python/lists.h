/* Lists of Python's floats, and lists of such lists of one length: read and made in one pass.
 * Whatever else may stand in a list is left to Python, which knows how to convert it or what is
 * wrong with it. */
#ifndef DEEPC_PYTHON_LISTS_H
#define DEEPC_PYTHON_LISTS_H

#include <Python.h>

/* Looks how Python keeps lists and floats, which makes the rest several times as fast. Once, before
 * all else here, with the interpreter's lock. */
void dc_lists_probe(void);

/* The number of dimensions, 1 or 2, and their lengths, all above 0; 0: it is none of these lists.
 */
int dc_list_shape(PyObject *list, Py_ssize_t shape[2]);

/* Reads a list of that shape into floats, or doubles if `wide`, row by row. 0: something in it is
 * no float or int, a row is of another length, or an int is beyond the largest double. No code of
 * the user runs meanwhile, and no exception is left. */
int dc_list_read(PyObject *list, int ndim, const Py_ssize_t *shape, int wide, void *out);

/* A list of that many floats, or of as many lists of floats; NULL with an exception without memory.
 */
PyObject *dc_list_make(int ndim, const Py_ssize_t *shape, int wide, const void *x);

#endif
