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

#endif
