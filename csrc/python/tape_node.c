/* The node: how one is made and dropped. See tape.h; what Python calls is in tape_type.c. */
#include "tape.h"

#include <stddef.h>
#include <string.h>

PyTypeObject *dc_tape_families[MOST_FAMILIES];
PyTypeObject *dc_tape_type, *dc_tape_parameter;
helpers dc_tape_helpers;
OF_A_THREAD settings dc_tape_settings;
_Atomic int dc_tape_set;

int dc_tape_setting(int *setting, int value) {
    const int before = *setting;
    *setting = value;
    dc_tape_set += value - before;
    return before;
}

const char *const dc_tape_names[OPERATION_COUNT] = {
#define OPERATION(name, text, for_first, for_second) [OP_##name] = text,
    OPERATIONS(OPERATION)
#undef OPERATION
};

PyObject *dc_tape_help(PyObject *helper, size_t count, PyObject *const *arguments) {
    if (!helper) {
        PyErr_SetString(PyExc_RuntimeError, "the tape has no Python side: import deepc.autodiff");
        return NULL;
    }
    PyObject *tuple = PyTuple_New((Py_ssize_t)count);
    if (!tuple) return NULL;
    int failed = 0;
    for (size_t i = 0; i < count; i++) {
        PyObject *argument = dc_tape_visible(Py_NewRef(arguments[i])); /* NOLINT */
        failed |= !argument || PyTuple_SetItem(tuple, (Py_ssize_t)i, argument) < 0;
    }
    PyObject *result = failed ? NULL : PyObject_CallObject(helper, tuple);
    Py_DECREF(tuple);
    return result;
}

/* ---- Making ---------------------------------------------------------------------------------- */

/* All but operands, of which there are none yet. */
static void start(node *n, int family, PyObject *array) {
    n->grad.object = n->g.object = NULL;
    n->pass = 0;
    n->extra = NULL;
    n->count = n->version = 0;
    n->code = 0;
    n->op = OP_LEAF;
    n->family = (uint8_t)family;
    n->flags = family == SCALARS ? IS_SCALAR : 0;
    n->data.object = array;
}

/* Nodes that were dropped are kept: making one again takes a third of the time that Python's
 * allocator and garbage collector ask. Of Scalars as many as the lesson's graph has (16 MiB), else
 * each of its steps would ask the system for that memory anew. */
#ifdef Py_GIL_DISABLED
enum { MOST_SPARE_SCALARS = 0, MOST_SPARE = 0 };
#else
enum { MOST_SPARE_SCALARS = 131072, MOST_SPARE = 8192 };
#endif
spare dc_tape_spare[MOST_FAMILIES];

/* Keeps a node that nothing refers to and that holds nothing; 0: there are enough. */
static int keep_spare(node *n, int family) {
    spare *const s = &dc_tape_spare[family];
    const unsigned most = family == SCALARS ? MOST_SPARE_SCALARS : MOST_SPARE;
    if (!s->possible || s->count >= most) return 0;
    const unsigned piece = (unsigned)((uintptr_t)n >> PIECE_SHIFT) % PIECES;
    n->link = s->first[piece];
    s->first[piece] = n;
    s->filled[piece / WORD] |= (uint64_t)1 << piece % WORD;
    s->filled_words |= (uint64_t)1 << piece / WORD;
    s->count++;
    return 1;
}

node *dc_tape_new(int family, PyObject *array) {
    node *n = take_spare(family);
    if (!n) {
        n = PyObject_GC_New(node, dc_tape_families[family]);
        if (!n) {
            Py_XDECREF(array);
            return NULL;
        }
    }
    start(n, family, array);
    return n;
}

Py_ssize_t dc_tape_size(int family) {
    return (Py_ssize_t)(family == SCALARS
                            ? offsetof(node, first) + SCALAR_OPERANDS * sizeof(operand)
                            : sizeof(node));
}

/* Whether an attribute of a type is this number. */
static int is_number(PyTypeObject *type, const char *name, Py_ssize_t expected) {
    PyObject *attribute = PyObject_GetAttrString((PyObject *)type, name);
    const Py_ssize_t number = attribute ? PyLong_AsSsize_t(attribute) : -1;
    Py_XDECREF(attribute);
    PyErr_Clear();
    return number == expected;
}

/* A node of any class. One that the user derived may have attributes, and with them cycles; of one
 * that cannot have any (a Parameter) the garbage collector need not know. */
node *dc_tape_allocate(PyTypeObject *type, int family, PyObject *array) {
    if (type == dc_tape_families[family]) return dc_tape_new(family, array);
    const allocfunc make = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    node *n = (node *)make(type, 0);
    if (!n) {
        Py_XDECREF(array);
        return NULL;
    }
    start(n, family, array);
    if (is_number(type, "__basicsize__", dc_tape_size(family)) &&
        is_number(type, "__dictoffset__", 0))
        PyObject_GC_UnTrack(n);
    else
        n->flags |= IS_TRACKED | HAS_HISTORY_OF_CALLABLES;
    return n;
}

extra *dc_tape_extra(node *n) {
    if (!n->extra) {
        n->extra = PyMem_Calloc(1, sizeof *n->extra);
        if (!n->extra) PyErr_NoMemory();
    }
    return n->extra;
}

int dc_tape_reserve(node *n, size_t count) {
    if (count <= (is_scalar(n) ? SCALAR_OPERANDS : TENSOR_OPERANDS)) {
        for (size_t i = 0; i < count; i++) n->first[i] = (operand){NULL, {.object = NULL}};
    } else {
        operand *more =
            count <= UINT32_MAX ? PyMem_Calloc(count, sizeof *more + sizeof *n->versions) : NULL;
        if (!more) {
            PyErr_NoMemory();
            return -1;
        }
        n->more = more;
        n->flags |= HAS_MORE;
    }
    n->count = (uint32_t)count;
    return 0;
}

void dc_tape_track(node *n) {
    n->flags |= HAS_HISTORY_OF_CALLABLES;
    if (n->flags & IS_TRACKED) return;
    n->flags |= IS_TRACKED;
    PyObject_GC_Track(n);
}

/* ---- Dropping -------------------------------------------------------------------------------- */

/* Whether the reference that the caller holds is the only one. */
static int held_alone(node *n) {
#ifdef Py_GIL_DISABLED
    return PyUnstable_Object_IsUniquelyReferenced((PyObject *)n);
#else
    return Py_REFCNT((PyObject *)n) == 1;
#endif
}

/* Drops a Scalar's last reference, without the detour through Python, where it holds nothing. */
static inline int recycle(node *n) {
    return Py_TYPE((PyObject *)n) == dc_tape_families[SCALARS] && !n->extra &&
           !(n->flags & (IS_TRACKED | IS_LENT)) && keep_spare(n, SCALARS);
}

/* Drops the operands of a node. Those that it alone holds go on a list, threaded through the nodes,
 * together with theirs: recursion would need a stack as deep as the graph. */
void dc_tape_clear_history(node *n) {
    node *list = NULL;
    for (node *of = n;;) {
        operand *const operands = operands_of(of);
        operand *const more = of->flags & HAS_MORE ? operands : NULL;
        const uint32_t count = of->count;
        of->count = 0;
        of->flags &= (uint16_t)~HAS_MORE;
        for (uint32_t i = 0; i < count; i++) {
            node *const operand = operands[i].node;
            if (!is_scalar(of)) Py_XDECREF(operands[i].value.object);
            if (!operand) continue;
            if (held_alone(operand)) {
                operand->link = list;
                list = operand;
            } else {
                Py_DECREF(operand);
            }
        }
        PyMem_Free(more);
        /* The node whose operands are on the list now has none left: dropping it goes no deeper. */
        if (of != n && !recycle(of)) Py_DECREF(of);
        if (!list) break;
        of = list;
        list = of->link;
    }
}

static void clear_extra(node *n) {
    extra *const e = n->extra;
    if (!e) return;
    n->extra = NULL;
    Py_XDECREF(e->rule);
    Py_XDECREF(e->context);
    Py_XDECREF(e->hooks);
    Py_XDECREF(e->name);
    Py_XDECREF(e->label);
    PyMem_Free(e);
}

int dc_tape_clear(PyObject *self) {
    node *const n = (node *)self;
    if (n->count) dc_tape_clear_history(n);
    clear_extra(n);
    if (!is_scalar(n) || n->flags & IS_LENT) Py_CLEAR(n->grad.object);
    if (!is_scalar(n)) {
        Py_CLEAR(n->data.object);
        Py_CLEAR(n->g.object);
    }
    return 0;
}

void dc_tape_dealloc(PyObject *self) {
    PyTypeObject *const type = Py_TYPE(self);
    node *const n = (node *)self;
    const int family = n->family, is_plain = type == dc_tape_families[family];
    /* Of a class that Python made, it comes here tracked whatever it was before. */
    if (n->flags & IS_TRACKED || !is_plain || !dc_tape_spare[family].possible)
        PyObject_GC_UnTrack(self);
    dc_tape_clear(self);
    if (is_plain && keep_spare(n, family)) return;
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

int dc_tape_traverse(PyObject *self, visitproc visit, void *arg) {
    node *const n = (node *)self;
    Py_VISIT(Py_TYPE(self));
    for (uint32_t i = 0; i < n->count; i++) {
        Py_VISIT(operands_of(n)[i].node);
        if (!is_scalar(n)) Py_VISIT(operands_of(n)[i].value.object);
    }
    if (n->extra) {
        Py_VISIT(n->extra->rule);
        Py_VISIT(n->extra->context);
        Py_VISIT(n->extra->hooks);
    }
    if (!is_scalar(n)) Py_VISIT(n->grad.object);
    return 0;
}

void dc_tape_keep_spare(int family) {
    dc_tape_spare[family].possible = PyType_GetSlot(dc_tape_families[family], Py_tp_dealloc) ==
                                     (void *)dc_tape_dealloc; /* NOLINT */
}
