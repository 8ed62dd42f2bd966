/* Blocks: what the tape has instead of NumPy's arrays as long as Python does not ask for one.
 *
 * NumPy takes some 130 ns to make an array and to drop it, several times what an operation of a few
 * elements takes; a block takes a tenth. It is a header and numbers in C's order. Once Python wants
 * to see it, an array over its memory takes its place (dc_tape_reveal).
 *
 * Blocks of more than a few hundred bytes are kept when they are dropped: the C library would give
 * their memory back to the system and fault it in again, page by page, in each step. */
#include "tape.h"

#include <stddef.h>

PyTypeObject *dc_block_type;

/* A block of up to 512 bytes with its header comes from Python's own allocator, which keeps it.
 * Above, sizes go in four steps an octave, so that at most a fifth is wasted, up to 64 KiB: larger
 * arrays are NumPy's, whose allocator asks for huge pages. What is kept is limited to 8 MiB. */
enum {
    SMALL = 512,
    LARGEST = 65536,
    LINE = 64, /* the numbers of all but small blocks begin on a cache line */
    CLASSES = 30,
#ifdef Py_GIL_DISABLED
    MOST_KEPT = 0,
#else
    MOST_KEPT = 8 << 20,
#endif
};

static struct {
    block *first; /* by the first bytes of the numbers */
} kept[CLASSES];
static size_t kept_bytes;

/* The class of a size above SMALL, and the size that blocks of the class have. */
static int class_of(size_t *size) {
    int octave = 0;
    while ((size_t)2 * SMALL << octave < *size) octave++;
    const size_t step = (size_t)SMALL / 4 << octave;
    const size_t steps = (*size - ((size_t)SMALL << octave) + step - 1) / step;
    *size = ((size_t)SMALL << octave) + steps * step;
    return 4 * octave + (int)steps - 1;
}

static block *allocate(size_t size, int *class) {
    *class = -1;
    if (size > SMALL) {
        *class = class_of(&size);
        block *const b = kept[*class].first;
        if (b) {
            kept[*class].first = *(block **)(void *)b->data;
            kept_bytes -= size;
            return b;
        }
    }
    block *const b = PyObject_Malloc(size);
    if (!b) return NULL;
    b->data = (char *)b->numbers;
    if (*class >= 0) b->data += -(uintptr_t)b->data % LINE;
    b->size = (uint32_t)size;
    return b;
}

PyObject *dc_block_new(dtype dtype, int ndim, const npy_intp *shape) {
    const size_t item = dtype == FLOAT32 ? 4 : 8;
    size_t bytes = item;
    for (int i = 0; i < ndim && bytes <= LARGEST; i++) bytes *= (size_t)shape[i];
    if (ndim > BLOCK_DIMENSIONS || bytes > LARGEST || bytes == 0)
        return PyArray_SimpleNew(ndim, shape, dtype == FLOAT32 ? NPY_FLOAT : NPY_DOUBLE);
    const size_t header = offsetof(block, numbers);
    int class;
    block *const b = allocate(header + bytes + (header + bytes > SMALL ? LINE : 0), &class);
    if (!b) return PyErr_NoMemory();
    PyObject_Init((PyObject *)b, dc_block_type);
    b->class = (int8_t)class;
    b->ndim = (int8_t)ndim;
    b->dtype = (int8_t)dtype;
    npy_intp stride = (npy_intp)item;
    for (int i = ndim - 1; i >= 0; i--) {
        b->shape[i] = shape[i];
        b->strides[i] = stride;
        stride *= shape[i];
    }
    return (PyObject *)b;
}

static void block_dealloc(PyObject *self) {
    block *const b = (block *)self;
    if (b->class >= 0 && kept_bytes + b->size <= MOST_KEPT) {
        *(block **)(void *)b->data = kept[b->class].first;
        kept[b->class].first = b;
        kept_bytes += b->size;
    } else {
        PyObject_Free(self);
    }
    Py_DECREF(dc_block_type);
}

PyObject *dc_tape_visible(PyObject *object) {
    if (!object || !is_block(object)) return object;
    block *const b = (block *)object;
    PyObject *array =
        PyArray_New(&PyArray_Type, b->ndim, b->shape, b->dtype == FLOAT32 ? NPY_FLOAT : NPY_DOUBLE,
                    NULL, b->data, 0, NPY_ARRAY_CARRAY, NULL);
    if (!array) {
        Py_DECREF(object);
        return NULL;
    }
    /* It takes the reference over, also where it fails. */
    if (PyArray_SetBaseObject((PyArrayObject *)array, object) < 0) Py_CLEAR(array);
    return array;
}

int dc_tape_reveal(PyObject **place) {
    if (!*place || !is_block(*place)) return 0;
    PyObject *array = dc_tape_visible(Py_NewRef(*place));
    if (!array) return -1;
    replace(place, array);
    return 0;
}

int dc_block_make_type(void) {
    static PyType_Slot slots[] = {{Py_tp_dealloc, block_dealloc}, {0, NULL}};
    static PyType_Spec spec = {
        .name = "deepc._deepc.Block",
        .basicsize = sizeof(block),
        .flags = Py_TPFLAGS_DEFAULT,
        .slots = slots,
    };
    dc_block_type = (PyTypeObject *)PyType_FromSpec(&spec);
    return dc_block_type ? 0 : -1;
}
