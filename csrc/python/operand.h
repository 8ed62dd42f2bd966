/* What a call over arrays computes with: arrays of Python, or the numbers of lists, which need no
 * array; making and freeing one takes longer than reading a short list. */
#ifndef DEEPC_PYTHON_OPERAND_H
#define DEEPC_PYTHON_OPERAND_H

#include "look.h"

enum { OPERAND_ROOM = 4096 }; /* bytes; a call has four of them on its stack at most */

/* An argument or a result. */
typedef struct array_operand {
    array x; /* what it looks like, wherever it is */
    int is_list;
    npy_intp shape[2];
    PyObject *array; /* made for it, if the room was too small or no list is asked for */
    _Alignas(64) char room[OPERAND_ROOM];
} array_operand;

void dc_operand_drop(array_operand *o);

/* One that is dropped at the end of the block. The room is not cleared. */
#define OPERAND(name)                                                                              \
    array_operand name __attribute__((cleanup(dc_operand_drop)));                                  \
    name.array = NULL

/* Looks at an array, or anything else but a list, whose numbers it reads as that dtype. 0: they are
 * no such numbers (lists.h), mostly without an exception. */
int dc_operand_take(array_operand *o, PyObject *object, dtype dtype);

/* Makes room for a result: a new array, or the numbers of a list. 0 with an exception. */
int dc_operand_make(array_operand *o, int is_list, dtype dtype, int ndim, const npy_intp *shape);

/* The result as Python gets it; or a status, if that is not 0. */
PyObject *dc_operand_result(const array_operand *o, int status);

/* An array with the numbers of a list that was taken: the one of before if it can hold them and
 * nobody but the caller's object and the call itself has it, else another. */
PyObject *dc_operand_keep(const array_operand *o, PyObject *before);

#endif
