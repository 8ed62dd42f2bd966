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
    A(RELU, relu, OUTPUT, "", 0, 0)                                                                \
    A(LEAKY_RELU, leaky_relu, OUTPUT, "slope", 0.01, 0)                                            \
    A(ELU, elu, OUTPUT, "alpha", 1, 0)                                                             \
    A(CELU, celu, OUTPUT, "alpha", 1, 0x1p-64)                                                     \
    A(SELU, selu, OUTPUT, "", 0, 0)                                                                \
    A(SOFTPLUS, softplus, OUTPUT, "", 0, 0)                                                        \
    A(SOFTSIGN, softsign, OUTPUT, "", 0, 0)                                                        \
    A(HARD_SIGMOID, hard_sigmoid, OUTPUT, "", 0, 0)                                                \
    A(HARD_SILU, hard_silu, INPUT, "", 0, 0)                                                       \
    A(RELU6, relu6, OUTPUT, "", 0, 0)                                                              \
    A(EXPONENTIAL, exponential, OUTPUT, "", 0, 0)                                                  \
    A(LOG_SIGMOID, log_sigmoid, OUTPUT, "", 0, 0)                                                  \
    A(SILU, silu, INPUT, "", 0, 0)                                                                 \
    A(GELU_TANH, gelu_tanh, INPUT, "", 0, 0)                                                       \
    A(MISH, mish, INPUT, "", 0, 0)                                                                 \
    A(GELU, gelu, INPUT, "", 0, 0)

typedef enum dc_activation {
#define DC_ACTIVATION_NUMBER(NAME, name, kept, parameter, usual, least) DC_##NAME,
    DC_ACTIVATION_LIST(DC_ACTIVATION_NUMBER)
#undef DC_ACTIVATION_NUMBER
        DC_ACTIVATION_COUNT
} dc_activation;

#endif
