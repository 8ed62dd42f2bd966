/* The activations: the one list from which everything about them follows.
 *
 * A line is A(NAME, name, KEPT, parameter, usual, least):
 *   NAME, name   DC_<NAME> is its number, from 0 in the order of the list; "name" is what it is
 *                called everywhere
 *   KEPT         OUTPUT or INPUT: what its slope is computed from. One that keeps its OUTPUT may be
 *                computed in place, and as part of a matrix product forward and back; of the others
 *                a network keeps the input as well
 *   parameter    the name of its parameter, "" for none; `usual` is its value where none is given,
 *                `least` the smallest that makes sense
 * The formulas, forward and back, are in kernels/activations.h. New lines go to the end: the
 * numbers are part of the interface. */
#ifndef DEEPC_ACTIVATIONS_H
#define DEEPC_ACTIVATIONS_H

#define DC_ACTIVATION_LIST(A)                                                                      \
    A(IDENTITY, identity, OUTPUT, "", 0, 0)                                                        \
    A(SIGMOID, sigmoid, OUTPUT, "", 0, 0)                                                          \
    A(TANH, tanh, OUTPUT, "", 0, 0)                                                                \
    A(RELU, relu, OUTPUT, "", 0, 0)

typedef enum dc_activation {
#define DC_ACTIVATION_NUMBER(NAME, name, kept, parameter, usual, least) DC_##NAME,
    DC_ACTIVATION_LIST(DC_ACTIVATION_NUMBER)
#undef DC_ACTIVATION_NUMBER
        DC_ACTIVATION_COUNT
} dc_activation;

#endif
