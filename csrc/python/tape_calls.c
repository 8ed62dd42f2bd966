/* Functions of Python that each step of a training calls, as builtins: to enter one of Python's own
 * costs a fifth of a small product. What is usual is done here at once; any other call is handed on
 * to Python's function, which knows all words and says what is wrong. And the steps of a model one
 * after the other, for the same reason. */
#include "tape.h"

#include <string.h>

#include "../deepc.h"

enum { MOST_ARGUMENTS = 4 };

/* A function of two operands at least, of which the last argument is a word that stands for a
 * number. The builtin has Python's name, text and signature. */
typedef struct quick {
    PyMethodDef method;
    PyObject *(*call)(PyObject *const *operands, long number); /* NULL without an exception: else */
    Py_ssize_t count;
    PyObject *names[MOST_ARGUMENTS];
    PyObject *words; /* a dict */
    PyObject *python;
    long usual; /* without a word */
} quick;

/* Hands a call on to Python as it came. */
static PyObject *hand_on(const quick *q, PyObject *const *given, Py_ssize_t count,
                         PyObject *keywords) {
    PyObject *const tuple = PyTuple_New(count), *const dict = keywords ? PyDict_New() : NULL;
    int failed = !tuple || (keywords && !dict);
    for (Py_ssize_t i = 0; !failed && i < count; i++)
        failed = PyTuple_SetItem(tuple, i, Py_NewRef(given[i])) < 0;
    for (Py_ssize_t i = 0; !failed && keywords && i < PyTuple_Size(keywords); i++)
        failed = PyDict_SetItem(dict, PyTuple_GetItem(keywords, i), given[count + i]) < 0;
    PyObject *result = failed ? NULL : PyObject_Call(q->python, tuple, dict);
    Py_XDECREF(tuple);
    Py_XDECREF(dict);
    return result;
}

/* Puts each argument in its place; 0: they are not what the function has. */
static int take(const quick *q, PyObject *const *given, Py_ssize_t count, PyObject *keywords,
                PyObject **out) {
    if (count > q->count) return 0;
    memcpy(out, given, (size_t)count * sizeof *out);
    const Py_ssize_t named = keywords ? PyTuple_Size(keywords) : 0;
    for (Py_ssize_t i = 0; i < named; i++) {
        PyObject *const name = PyTuple_GetItem(keywords, i);
        Py_ssize_t place = 0; /* names that a program has written are one object each */
        while (place < q->count && q->names[place] != name) place++;
        if (place == q->count || out[place]) return 0;
        out[place] = given[count + i];
    }
    return out[0] && out[1];
}

static PyObject *call(const quick *q, PyObject *const *given, Py_ssize_t count,
                      PyObject *keywords) {
    PyObject *arguments[MOST_ARGUMENTS] = {NULL};
    if (!take(q, given, count, keywords, arguments)) return hand_on(q, given, count, keywords);
    PyObject *const word = arguments[q->count - 1];
    PyObject *const number = word ? PyDict_GetItemWithError(q->words, word) : NULL;
    PyObject *result = NULL;
    if (number || !word) result = q->call(arguments, number ? PyLong_AsLong(number) : q->usual);
    if (result) return result;
    if (word && !number) PyErr_Clear(); /* of what has no hash */
    return PyErr_Occurred() ? NULL : hand_on(q, given, count, keywords);
}

/* ---- The functions --------------------------------------------------------------------------- */

static PyObject *of_linear(PyObject *const *operands, long activation) {
    PyObject *const given[] = {operands[0], operands[1], operands[2] ? operands[2] : Py_None};
    return dc_tape_fused_linear(given, activation);
}

static PyObject *of_loss(int kind, PyObject *const *operands, long is_mean) {
    return dc_tape_fused_loss(kind, is_mean ? DC_MEAN_OF_ROWS : DC_SUM, dc_loss_default(kind),
                              operands);
}

static PyObject *of_cross_entropy(PyObject *const *operands, long is_mean) {
    return of_loss(DC_SOFTMAX_CROSS_ENTROPY, operands, is_mean);
}

static PyObject *of_squared_error(PyObject *const *operands, long is_mean) {
    return of_loss(DC_SQUARED_ERROR, operands, is_mean);
}

/* A builtin does not know which one it is. */
#define QUICKS(Q) Q(linear) Q(cross_entropy) Q(squared_error)
enum {
#define QUICK(name) QUICK_##name,
    QUICKS(QUICK) QUICK_COUNT
#undef QUICK
};
static quick quicks[QUICK_COUNT];

#define QUICK(name)                                                                                \
    static PyObject *call_##name(PyObject *module, PyObject *const *given, Py_ssize_t count,       \
                                 PyObject *keywords) {                                             \
        (void)module;                                                                              \
        return call(&quicks[QUICK_##name], given, count, keywords);                                \
    }
QUICKS(QUICK)
#undef QUICK

#define QUICK(name)                                                                                \
    {.method = {#name, (PyCFunction)(void (*)(void))call_##name, METH_FASTCALL | METH_KEYWORDS,    \
                NULL},                                                                             \
     .call = of_##name},
static quick quicks[QUICK_COUNT] = {QUICKS(QUICK)};
#undef QUICK

/* quick(function, names, words, usual, text): the builtin for a function of that name, whose text
 * begins with its signature. */
PyObject *dc_tape_quick(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    PyObject *name = count == 5 ? PyObject_GetAttrString(arguments[0], "__name__") : NULL;
    const char *const wanted = name ? PyUnicode_AsUTF8AndSize(name, NULL) : NULL;
    const char *const text = name ? PyUnicode_AsUTF8AndSize(arguments[4], NULL) : NULL;
    const Py_ssize_t names = text ? PyTuple_Size(arguments[1]) : -1;
    quick *q = quicks;
    while (q < quicks + QUICK_COUNT && wanted && strcmp(q->method.ml_name, wanted)) q++;
    Py_XDECREF(name);
    if (names < 2 || names > MOST_ARGUMENTS || q == quicks + QUICK_COUNT) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "quick: no such function");
        return NULL;
    }
    /* What is kept stays: the builtin is a module's for ever. */
    for (Py_ssize_t i = 0; i < names; i++)
        q->names[i] = Py_NewRef(PyTuple_GetItem(arguments[1], i));
    q->count = names;
    q->python = Py_NewRef(arguments[0]);
    q->words = Py_NewRef(arguments[2]);
    q->usual = PyLong_AsLong(arguments[3]);
    Py_INCREF(arguments[4]);
    q->method.ml_doc = text;
    PyObject *const home = PyObject_GetAttrString(arguments[0], "__module__");
    PyObject *const made = home ? PyCFunction_NewEx(&q->method, NULL, home) : NULL;
    Py_XDECREF(home);
    return made;
}

/* ---- Steps of layers ------------------------------------------------------------------------- */

/* chain(steps, x): each of a list of steps applied to what the one before gave. A step is a tuple
 * (w, b, activation) of a linear, or a function. */
PyObject *dc_tape_chain(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    if (count != 2 || !PyList_Check(arguments[0])) {
        PyErr_SetString(PyExc_TypeError, "chain: expected a list of steps and a Tensor");
        return NULL;
    }
    PyObject *const steps = arguments[0], *x = Py_NewRef(arguments[1]);
    for (Py_ssize_t i = 0; x && i < PyList_Size(steps); i++) {
        PyObject *const step = Py_NewRef(PyList_GetItem(steps, i)), *y;
        if (PyTuple_Check(step) && PyTuple_Size(step) == 3) {
            PyObject *const given[] = {x, PyTuple_GetItem(step, 0), PyTuple_GetItem(step, 1),
                                       PyTuple_GetItem(step, 2)};
            y = dc_tape_linear(module, given, 4);
        } else {
            y = PyObject_CallFunctionObjArgs(step, x, NULL);
        }
        Py_DECREF(step);
        Py_DECREF(x);
        x = y;
    }
    return x;
}
