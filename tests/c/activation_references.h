/* What every activation and its slope should be, by formulas over the C library's functions: the
 * oracle of the C tests and benchmarks, a pair of functions for each line of the list. Without a
 * pair its users do not compile.
 *
 * <name>_value(x, p) is the activation of x with parameter p; <name>_slope(k, p) its derivative,
 * given what it keeps, the output or the input. */
#ifndef DEEPC_TEST_ACTIVATION_REFERENCES_H
#define DEEPC_TEST_ACTIVATION_REFERENCES_H

#include "deepc.h"
#include "wide_math.h"

#define VALUE(name, formula)                                                                       \
    static inline wide name##_value(wide x, wide p) { return (void)x, (void)p, (formula); }
#define SLOPE(name, formula)                                                                       \
    static inline wide name##_slope(wide k, wide p) { return (void)k, (void)p, (formula); }

/* Klambauer et al., "Self-normalizing neural networks" (2017). */
#define SELU_SCALE ((wide)1.0507009873554804934193349852946L)
#define SELU_ALPHA ((wide)1.6732632423543772848170429916717L)

VALUE(identity, x)
SLOPE(identity, 1)
VALUE(sigmoid, 1 / (1 + exp(-x)))
SLOPE(sigmoid, k * (1 - k))
VALUE(tanh, tanh(x))
SLOPE(tanh, (1 - k) * (1 + k))
VALUE(relu, x > 0 || isnan(x) ? x : 0)
SLOPE(relu, k > 0 ? 1 : 0)
VALUE(leaky_relu, x > 0 ? x : p * x)
SLOPE(leaky_relu, k > 0 ? 1 : p)
VALUE(elu, x > 0 ? x : p * expm1(x))
SLOPE(elu, k > 0 ? 1 : k + p)
VALUE(celu, x > 0 ? x : p * expm1(x / p))
SLOPE(celu, k > 0 ? 1 : k / p + 1)
VALUE(selu, SELU_SCALE *(x > 0 ? x : SELU_ALPHA * expm1(x)))
SLOPE(selu, k > 0 ? SELU_SCALE : k + SELU_SCALE * SELU_ALPHA)
VALUE(softplus, (x > 0 ? x : 0) + log1p(exp(-fabs(x))))
SLOPE(softplus, -expm1(-k))
VALUE(softsign, isinf(x) ? copysign((wide)1, x) : x / (1 + fabs(x)))
SLOPE(softsign, (1 - fabs(k)) * (1 - fabs(k)))
VALUE(relu6, x > 6 ? 6 : relu_value(x, p))
SLOPE(relu6, k > 0 && k < 6 ? 1 : 0)
VALUE(hard_sigmoid, relu6_value(x + 3, p) / 6)
SLOPE(hard_sigmoid, k > 0 && k < 1 ? (wide)1 / 6 : 0)
VALUE(hard_silu, x <= -3 ? -(wide)0 : x * hard_sigmoid_value(x, p))
SLOPE(hard_silu, k <= -3 ? 0 : k >= 3 ? 1 : k / 3 + (wide)0.5)
VALUE(exponential, exp(x))
SLOPE(exponential, k)
VALUE(log_sigmoid, -softplus_value(-x, p))
SLOPE(log_sigmoid, -expm1(k))
/* Far out the formulas would give 0 times infinity. */
VALUE(silu, x < -20000 ? -(wide)0 : x / (1 + exp(-x)))
SLOPE(silu, fabs(k) > 20000 ? k > 0 : sigmoid_value(k, p) * (1 + k * sigmoid_value(-k, p)))
#define GELU_FIRST ((wide)1.59576912160573071175978423973752747L) /* 2 sqrt(2 / pi) */
#define GELU_SIGMOID(x) (1 / (1 + exp(-GELU_FIRST * ((x) + (wide)0.044715L * (x) * (x) * (x)))))
VALUE(gelu_tanh, x < -100 ? -(wide)0 : x > 100 ? x : x * GELU_SIGMOID(x))
SLOPE(gelu_tanh, fabs(k) > 100 ? k > 0
                               : GELU_SIGMOID(k) * (1 + k * GELU_SIGMOID(-k) * GELU_FIRST *
                                                            (1 + 3 * (wide)0.044715L * k * k)))
#define NORMAL(x) (erfc(-(x) / sqrt((wide)2)) / 2)
VALUE(gelu, x < -100 ? -(wide)0 : x > 100 ? x : x * NORMAL(x))
SLOPE(gelu,
      fabs(k) > 100 ? k > 0 : NORMAL(k) + k * exp(-k * k / 2) * (wide)0.39894228040143267793995L)
VALUE(mish, x < -20000 ? -(wide)0 : x * tanh(softplus_value(x, p)))
SLOPE(mish, fabs(k) > 20000 ? k > 0
                            : tanh(softplus_value(k, p)) +
                                  k * sigmoid_value(k, p) /
                                      (cosh(softplus_value(k, p)) * cosh(softplus_value(k, p))))

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
