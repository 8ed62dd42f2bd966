/* What every activation and its slope should be, by formulas over the C library's functions: the
 * oracle of the C tests and benchmarks, a pair of functions for each line of the list. Without a
 * pair its users do not compile.
 *
 * <name>_value(x, p) is the activation of x with parameter p; <name>_slope(k, p) its derivative,
 * given what it keeps, the output or the input. `wide` is long double, or double where a test goes
 * over every float; <tgmath.h> takes the functions of that type. */
#ifndef DEEPC_TEST_ACTIVATION_REFERENCES_H
#define DEEPC_TEST_ACTIVATION_REFERENCES_H

#include <tgmath.h>

#include "deepc.h"

#ifdef REFERENCES_IN_DOUBLE
typedef double wide;
#else
typedef long double wide;
#endif

#define VALUE(name, formula)                                                                       \
    static inline wide name##_value(wide x, wide p) { return (void)x, (void)p, (formula); }
#define SLOPE(name, formula)                                                                       \
    static inline wide name##_slope(wide k, wide p) { return (void)k, (void)p, (formula); }

VALUE(identity, x)
SLOPE(identity, 1)
VALUE(sigmoid, 1 / (1 + exp(-x)))
SLOPE(sigmoid, k * (1 - k))
VALUE(tanh, tanh(x))
SLOPE(tanh, (1 - k) * (1 + k))
VALUE(relu, x > 0 || isnan(x) ? x : 0)
SLOPE(relu, k > 0 ? 1 : 0)

static inline wide activation_value(int activation, wide x, wide p) {
    switch (activation) {
#define CASE(NAME, name, ...)                                                                      \
    case DC_##NAME: return name##_value(x, p);
        DC_ACTIVATION_LIST(CASE)
#undef CASE
    default: return NAN;
    }
}

static inline wide activation_slope(int activation, wide kept, wide p) {
    switch (activation) {
#define CASE(NAME, name, ...)                                                                      \
    case DC_##NAME: return name##_slope(kept, p);
        DC_ACTIVATION_LIST(CASE)
#undef CASE
    default: return NAN;
    }
}

#endif
