/* Lists of floats, read and made: see lists.h. */
#include "lists.h"

#include "../mode.h"

/* Without the interpreter's lock a list may change while it is read. */
#ifdef Py_GIL_DISABLED
#define READS_LISTS 0
#else
#define READS_LISTS 1
#endif

/* ---- What lists and floats are made of ------------------------------------------------------- */

/* The stable ABI has functions for an item of a list and the number in a float, which take most of
 * the time of a long list. Where these are inside the objects it does not say, so dc_lists_probe
 * looks whether they are where they have always been; elsewhere the functions are called. */
typedef struct list_inside {
    PyVarObject head;
    PyObject **items;
    Py_ssize_t room;
} list_inside;
typedef struct float_inside {
    PyObject head;
    double number;
} float_inside;
static int knows_inside;

static int has_size(PyTypeObject *type, size_t size) {
    PyObject *found = PyObject_GetAttrString((PyObject *)type, "__basicsize__");
    const int same = found && PyLong_AsSize_t(found) == size;
    Py_XDECREF(found);
    return same;
}

void dc_lists_probe(void) {
    enum { ITEMS = 3 };
    PyObject *list = READS_LISTS ? PyList_New(0) : NULL;
    int same = list && has_size(&PyList_Type, sizeof(list_inside)) &&
               has_size(&PyFloat_Type, sizeof(float_inside));
    for (int i = 0; same && i < ITEMS; i++) {
        PyObject *item = PyFloat_FromDouble(1.25 + i);
        same = item && ((float_inside *)item)->number == 1.25 + i && Py_REFCNT(item) == 1 &&
               PyList_Append(list, item) == 0;
        Py_XDECREF(item);
    }
    const list_inside *inside = (const list_inside *)list;
    same = same && inside->head.ob_size == ITEMS && inside->room >= ITEMS && inside->room < 100;
    for (int i = 0; same && i < ITEMS; i++) same = inside->items[i] == PyList_GetItem(list, i);
    knows_inside = same;
    Py_XDECREF(list);
    PyErr_Clear();
}

/* ---- Reading --------------------------------------------------------------------------------- */

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

/* Reads items from `first` on as long as they are floats; returns the place of the one that is
 * not, or `count`. Inlined, so that each width has a loop of its own. */
static inline Py_ssize_t read_floats(PyObject *const *items, Py_ssize_t first, Py_ssize_t count,
                                     const int wide, void *out) {
    PyTypeObject *const float_type = &PyFloat_Type;
    for (; first < count && Py_TYPE(items[first]) == float_type; first++) {
        const double number = ((const float_inside *)items[first])->number;
        if (wide)
            ((double *)out)[first] = number;
        else
            ((float *)out)[first] = (float)number;
    }
    return first;
}

static int read_row(PyObject *row, Py_ssize_t count, int wide, void *out) {
    PyObject *const *const items = knows_inside ? ((const list_inside *)row)->items : NULL;
    double number;
    for (Py_ssize_t i = 0;; i++) {
        if (items)
            i = wide ? read_floats(items, i, count, 1, out) : read_floats(items, i, count, 0, out);
        if (i >= count) return 1;
        if (!number_of(PyList_GetItem(row, i), &number)) return 0;
        if (wide)
            ((double *)out)[i] = number;
        else
            ((float *)out)[i] = (float)number;
    }
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

/* ---- Making ---------------------------------------------------------------------------------- */

/* Lists that were made and that nobody but this file may hold any more. A loop drops the gradient
 * of its input at once, and its predictions a step later; making and freeing their floats took
 * longer than all else of a step on a picture. Floats that nobody else holds are written to, and
 * the list is given out again. Of short lists a loop holds several of one length; of long ones,
 * which take memory, one is kept. */
enum { SHORT_LISTS = 64, LONGEST = 4096, SHELVES = 8, PLACES = 4 };
static PyObject *short_spares[SHELVES][PLACES], *long_spare[1];

static double number_at(const void *x, int wide, Py_ssize_t i) {
    return wide ? ((const double *)x)[i] : ((const float *)x)[i];
}

/* Puts number i in place of an item that somebody else holds, or that is no float: 0 if that
 * cannot be, or the item's end would run code of the user. */
static int replace_item(PyObject *list, Py_ssize_t i, double number) {
    if (!PyFloat_CheckExact(PyList_GetItem(list, i))) return 0;
    PyObject *item = PyFloat_FromDouble(number);
    if (!item) PyErr_Clear();
    return item && PyList_SetItem(list, i, item) == 0;
}

/* Writes numbers from `first` on as long as the items are floats that nobody else holds; returns
 * the place of the one that is not, or `count`. */
static inline Py_ssize_t write_floats(PyObject *const *items, Py_ssize_t first, Py_ssize_t count,
                                      const int wide, const void *x) {
    PyTypeObject *const float_type = &PyFloat_Type;
    for (; first < count; first++) {
        PyObject *const item = items[first];
        if (Py_TYPE(item) != float_type || Py_REFCNT(item) != 1) break;
        ((float_inside *)item)->number = number_at(x, wide, first);
    }
    return first;
}

/* A spare list with these numbers, or NULL if somebody holds it or it is of another length. */
static PyObject *take_spare(PyObject *list, Py_ssize_t count, int wide, const void *x) {
    if (!list || Py_REFCNT(list) != 1 || ((list_inside *)list)->head.ob_size != count) return NULL;
    PyObject *const *const items = ((list_inside *)list)->items;
    for (Py_ssize_t i = 0;; i++) {
        i = wide ? write_floats(items, i, count, 1, x) : write_floats(items, i, count, 0, x);
        if (i >= count) return Py_NewRef(list);
        if (!replace_item(list, i, number_at(x, wide, i))) return NULL;
    }
}

static PyObject *new_row(Py_ssize_t count, int wide, const void *x) {
    PyObject *list = PyList_New(count);
    for (Py_ssize_t i = 0; list && i < count; i++) {
        PyObject *item = PyFloat_FromDouble(number_at(x, wide, i));
        if (!item) Py_CLEAR(list);
        if (item) PyList_SetItem(list, i, item);
    }
    return list;
}

/* One of these places' lists with these numbers, or a new one, which takes a place. */
static PyObject *from_spares(PyObject **places, int most, Py_ssize_t count, int wide,
                             const void *x) {
    static unsigned turn;
    PyObject *list = NULL;
    for (int i = 0; i < most && !list; i++) list = take_spare(places[i], count, wide, x);
    if (list || !(list = new_row(count, wide, x))) return list;
    PyObject **const place = &places[turn++ % (unsigned)most], *const before = *place;
    *place = Py_NewRef(list);
    Py_XDECREF(before); /* may run a user's code, which finds all in order */
    return list;
}

/* The rows of a batch are held together: short ones never come back one by one. */
static PyObject *make_row(Py_ssize_t count, int wide, const void *x, int alone) {
    if (!knows_inside || count > LONGEST || (count < SHORT_LISTS && !alone))
        return new_row(count, wide, x);
    return count < SHORT_LISTS ? from_spares(short_spares[count % SHELVES], PLACES, count, wide, x)
                               : from_spares(long_spare, 1, count, wide, x);
}

PyObject *dc_list_make(int ndim, const Py_ssize_t *shape, int wide, const void *x) {
    if (ndim == 1) return make_row(shape[0], wide, x, 1);
    const size_t row_size = (size_t)shape[1] * (wide ? sizeof(double) : sizeof(float));
    PyObject *list = PyList_New(shape[0]);
    for (Py_ssize_t r = 0; list && r < shape[0]; r++) {
        PyObject *row = make_row(shape[1], wide, (const char *)x + (size_t)r * row_size, 0);
        if (!row) Py_CLEAR(list);
        if (row) PyList_SetItem(list, r, row);
    }
    return list;
}
