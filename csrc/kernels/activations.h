/* The activations: of each its formula, forward and back, side by side, in the order of the list in
 * deepc_activations.h. The loops over arrays are in elementwise.h.
 *
 * <name>_forward(x, p) is the activation of x; p is its parameter in every lane, and means nothing
 * where it has none. <name>_backward(kept, d_y, p) is d_y times the slope; kept is the output y or
 * the input x, as the list says. */
#ifndef DEEPC_KERNEL_ACTIVATIONS_H
#define DEEPC_KERNEL_ACTIVATIONS_H

#include "../deepc_activations.h"
#include "vec.h"
#include "vecmath.h"

/* y = x. p is 1, and known to the caller only: a loop that copied would be made a call of memcpy,
 * and kernels call nothing. */
ALWAYS_INLINE vec identity_forward(vec x, vec p) { return v_mul(p, x); }
ALWAYS_INLINE vec identity_backward(vec y, vec d_y, vec p) { return (void)y, v_mul(p, d_y); }

/* y = 1 / (1 + e^-x); y' = y (1 - y). */
ALWAYS_INLINE vec sigmoid_forward(vec x, vec p) { return (void)p, v_sigmoid(x); }
ALWAYS_INLINE vec sigmoid_backward(vec y, vec d_y, vec p) {
    (void)p;
    return v_mul(v_mul(y, v_sub(v_set(1), y)), d_y);
}

/* y = tanh x; y' = 1 - y^2. */
ALWAYS_INLINE vec tanh_forward(vec x, vec p) { return (void)p, v_tanh(x); }
ALWAYS_INLINE vec tanh_backward(vec y, vec d_y, vec p) {
    (void)p;
    return v_mul(v_fnma(y, y, v_set(1)), d_y);
}

/* y = x where x > 0 or NaN, else +0, also for -0; y' = 1 where y > 0, else 0. */
ALWAYS_INLINE vec relu_forward(vec x, vec p) {
    (void)p;
    return v_select(v_le(x, v_zero()), v_zero(), x);
}
ALWAYS_INLINE vec relu_backward(vec y, vec d_y, vec p) {
    (void)p;
    return v_select(v_lt(v_zero(), y), d_y, v_zero());
}

/* y = x where x > 0, else p x; y' = 1 where y > 0, else p. */
ALWAYS_INLINE vec leaky_relu_forward(vec x, vec p) {
    return v_select(v_lt(v_zero(), x), x, v_mul(p, x));
}
ALWAYS_INLINE vec leaky_relu_backward(vec y, vec d_y, vec p) {
    return v_select(v_lt(v_zero(), y), d_y, v_mul(p, d_y));
}

/* y = x where x > 0, else p (e^x - 1); y' = 1 where y > 0, else p e^x = y + p. */
ALWAYS_INLINE vec elu_forward(vec x, vec p) {
    return v_select(v_lt(v_zero(), x), x, v_mul(p, v_expm1_below(x)));
}
ALWAYS_INLINE vec elu_backward(vec y, vec d_y, vec p) {
    return v_select(v_lt(v_zero(), y), d_y, v_mul(v_add(y, p), d_y));
}

/* y = x where x > 0, else p (e^(x/p) - 1); y' = 1 where y > 0, else e^(x/p) = y / p + 1. */
ALWAYS_INLINE vec celu_forward(vec x, vec p) {
    return v_select(v_lt(v_zero(), x), x, v_mul(p, v_expm1_below(v_div(x, p))));
}
ALWAYS_INLINE vec celu_backward(vec y, vec d_y, vec p) {
    const vec slope = v_add(v_div(y, p), v_set(1));
    return v_select(v_lt(v_zero(), y), d_y, v_mul(slope, d_y));
}

/* y = s x where x > 0, else s a (e^x - 1), with the s and a that keep mean 0 and variance 1
 * (Klambauer et al., "Self-normalizing neural networks", 2017); y' = s where y > 0, else
 * s a e^x = y + s a. */
#define SELU_SCALE ((real)1.0507009873554804934)
#define SELU_ALPHA ((real)1.7580993408473768599) /* s a */
ALWAYS_INLINE vec selu_forward(vec x, vec p) {
    (void)p;
    return v_select(v_lt(v_zero(), x), v_mul(v_set(SELU_SCALE), x),
                    v_mul(v_set(SELU_ALPHA), v_expm1_below(x)));
}
ALWAYS_INLINE vec selu_backward(vec y, vec d_y, vec p) {
    (void)p;
    const vec slope = v_select(v_lt(v_zero(), y), v_set(SELU_SCALE), v_add(y, v_set(SELU_ALPHA)));
    return v_mul(slope, d_y);
}

/* y = log(1 + e^x); y' = 1 / (1 + e^-x) = 1 - e^-y. */
ALWAYS_INLINE vec softplus_forward(vec x, vec p) { return (void)p, v_softplus(x); }
ALWAYS_INLINE vec softplus_backward(vec y, vec d_y, vec p) {
    (void)p;
    return v_mul(v_abs(v_expm1_below(v_sub(v_zero(), y))), d_y);
}

/* y = x / (1 + |x|), +-1 for infinity; y' = (1 - |y|)^2. */
ALWAYS_INLINE vec softsign_forward(vec x, vec p) {
    (void)p;
    const vec a = v_at_most(v_abs(x), LARGEST);
    return v_copysign(v_div(a, v_add(v_set(1), a)), x);
}
ALWAYS_INLINE vec softsign_backward(vec y, vec d_y, vec p) {
    (void)p;
    const vec rest = v_sub(v_set(1), v_abs(y));
    return v_mul(v_mul(rest, rest), d_y);
}

/* y = x clipped to 0 .. 6; y' = 1 where 0 < y < 6, else 0. */
ALWAYS_INLINE vec relu6_forward(vec x, vec p) { return v_at_most(relu_forward(x, p), 6); }
ALWAYS_INLINE vec relu6_backward(vec y, vec d_y, vec p) {
    return v_select(v_lt(y, v_set(6)), relu_backward(y, d_y, p), v_zero());
}

/* y = x / 6 + 1/2 clipped to 0 .. 1, as the clipped x + 3 divided by 6; y' = 1/6 where 0 < y < 1,
 * else 0. */
ALWAYS_INLINE vec hard_sigmoid_forward(vec x, vec p) {
    return v_div(relu6_forward(v_add(x, v_set(3)), p), v_set(6));
}
ALWAYS_INLINE vec hard_sigmoid_backward(vec y, vec d_y, vec p) {
    const vec inside = v_select(v_lt(y, v_set(1)), v_div(d_y, v_set(6)), v_zero());
    return relu_backward(y, inside, p);
}

/* y = x hard_sigmoid(x), -0 for -infinity; y' = 0 where x <= -3, 1 where x >= 3, else x / 3 +
 * 1/2. */
ALWAYS_INLINE vec hard_silu_forward(vec x, vec p) {
    return v_mul(v_at_least(x, -LARGEST), hard_sigmoid_forward(x, p));
}
ALWAYS_INLINE vec hard_silu_backward(vec x, vec d_y, vec p) {
    (void)p;
    const vec slope = v_add(v_div(x, v_set(3)), v_set((real)0.5));
    const vec below = v_select(v_le(v_set(3), x), d_y, v_mul(slope, d_y)); /* NaN stays */
    return v_select(v_le(x, v_set(-3)), v_zero(), below);
}

/* y = e^x; y' = y. */
ALWAYS_INLINE vec exponential_forward(vec x, vec p) { return (void)p, v_exp(x); }
ALWAYS_INLINE vec exponential_backward(vec y, vec d_y, vec p) { return (void)p, v_mul(y, d_y); }

/* y = -log(1 + e^-x); y' = 1 / (1 + e^x) = 1 - e^y. */
ALWAYS_INLINE vec log_sigmoid_forward(vec x, vec p) {
    return v_sub(v_set((real)-0.0), softplus_forward(v_sub(v_set((real)-0.0), x), p));
}
ALWAYS_INLINE vec log_sigmoid_backward(vec y, vec d_y, vec p) {
    (void)p;
    return v_mul(v_abs(v_expm1_below(y)), d_y);
}

#endif
