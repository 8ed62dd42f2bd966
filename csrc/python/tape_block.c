/* Blocks: what the tape has instead of NumPy's arrays as long as Python does not ask for one.
 *
 * NumPy takes some 130 ns to make an array and to drop it, several times what an operation of a few
 * elements takes; a block takes a tenth. It is a header and numbers in C's order. Once Python wants
 * to see it, an array over its memory takes its place (dc_tape_reveal).
 *
 * Blocks are kept when they are dropped, as objects without a reference: from Python's allocator
 * anew they would take three times as long, and large ones the C library would give back to the
 * system and fault in again, page by page, in each step. */
#include "tape.h"

#include <stddef.h>

PyTypeObject *dc_block_type;

/* With its header, a block of up to 512 bytes is a number of lines. Above, sizes go in four steps
 * an octave, so that at most a fifth is wasted, up to 64 KiB: larger arrays are NumPy's, whose
 * allocator asks for huge pages. Small ones may take 256 KiB of what is kept, all others 8 MiB. */
enum {
    SMALL = 512,
    LARGEST = 65536,
    LINE = 64, /* the numbers of all but small blocks begin on a cache line */
    SMALL_CLASSES = SMALL / LINE,
    CLASSES = SMALL_CLASSES + 30,
#ifdef Py_GIL_DISABLED
    MOST_SMALL = 0,
    MOST_KEPT = 0,
#else
    MOST_SMALL = 256 << 10,
    MOST_KEPT = 8 << 20,
#endif
};

static block *kept[CLASSES]; /* lists */
static size_t kept_bytes[2]; /* of small ones, of the others */

/* The class of a block with so many bytes of numbers, and the size of all of the class. */
static int class_of(size_t bytes, size_t *size) {
    size_t all = offsetof(block, numbers) + bytes;
    if (all <= SMALL) {
        *size = (all + LINE - 1) / LINE * LINE;
        return (int)(*size / LINE) - 1;
    }
    all += LINE;
    int octave = 0;
    while ((size_t)2 * SMALL << octave < all) octave++;
    const size_t step = (size_t)SMALL / 4 << octave;
    const size_t steps = (all - ((size_t)SMALL << octave) + step - 1) / step;
    *size = ((size_t)SMALL << octave) + steps * step;
    return SMALL_CLASSES + 4 * octave + (int)steps - 1;
}

static block *allocate(size_t bytes) {
    size_t size;
    const int class = class_of(bytes, &size);
    block *b = kept[class];
    if (b) {
        kept[class] = b->next;
        kept_bytes[class >= SMALL_CLASSES] -= size;
        Py_SET_REFCNT((PyObject *)b, 1);
        return b;
    }
    b = PyObject_Malloc(size);
    if (!b) return NULL;
    PyObject_Init((PyObject *)b, dc_block_type);
    b->data = (char *)b->numbers;
    if (class >= SMALL_CLASSES) b->data += -(uintptr_t)b->data % LINE;
    b->size = (uint32_t)size;
    b->class = (int8_t)class;
    return b;
}

PyObject *dc_block_new(dtype dtype, int ndim, const npy_intp *shape) {
    const size_t item = dtype == FLOAT32 ? 4 : 8;
    size_t bytes = item;
    for (int i = 0; i < ndim && bytes <= LARGEST; i++) bytes *= (size_t)shape[i];
    if (ndim > BLOCK_DIMENSIONS || bytes > LARGEST || bytes == 0)
        return PyArray_SimpleNew(ndim, shape, dtype == FLOAT32 ? NPY_FLOAT : NPY_DOUBLE);
    block *const b = allocate(bytes);
    if (!b) return PyErr_NoMemory();
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
    const int large = b->class >= SMALL_CLASSES;
    if (kept_bytes[large] + b->size <= (large ? MOST_KEPT : MOST_SMALL)) {
        b->next = kept[b->class];
        kept[b->class] = b;
        kept_bytes[large] += b->size;
        return;
    }
    PyObject_Free(self);
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
