/* Two runs of elements combined one by one, either of which may be one number: the arithmetic of
 * the tape. Every operation is correctly rounded, and memory sets the pace. */
#ifndef DEEPC_COMBINE_H
#define DEEPC_COMBINE_H

#include "../deepc.h"
#include "vec.h"

/* gate: (a > 0) b as a product, so that 0 times an infinite b is NaN. quotient: a / b, but 0 where
 * a is 0. */
ALWAYS_INLINE vec combine_vec(int function, vec a, vec b) {
    switch (function) {
    case DC_ADD: return v_add(a, b);
    case DC_SUBTRACT: return v_sub(a, b);
    case DC_MULTIPLY: return v_mul(a, b);
    case DC_DIVIDE: return v_div(a, b);
    case DC_GATE: return v_mul(v_select(v_lt(v_zero(), a), v_set(1), v_zero()), b);
    default: return v_select(v_eq(a, v_zero()), v_zero(), v_div(a, b));
    }
}

/* Both runs, of which one may stay at its first element: its step is 0 then, else 1. Two vectors at
 * a time are loaded before they are stored, so y may be a or b. The operation is looked at for each
 * vector, because memory sets the pace and the code stays small. */
static void combine(int function, size_t n, const real *a, size_t a_step, const real *b,
                    size_t b_step, real *y) {
    const vec all_a = v_set(n ? *a : 0), all_b = v_set(n ? *b : 0);
    size_t i = 0;
    for (; i + 2 * VL <= n; i += 2 * VL) {
        const vec a0 = a_step ? v_load(a + i) : all_a, b0 = b_step ? v_load(b + i) : all_b;
        const vec a1 = a_step ? v_load(a + i + VL) : all_a,
                  b1 = b_step ? v_load(b + i + VL) : all_b;
        v_store(y + i, combine_vec(function, a0, b0));
        v_store(y + i + VL, combine_vec(function, a1, b1));
    }
    for (; i < n; i += VL) {
        const vec a0 = a_step ? v_load_part(a + i, n - i) : all_a;
        const vec b0 = b_step ? v_load_part(b + i, n - i) : all_b;
        v_store_part(y + i, combine_vec(function, a0, b0), n - i);
    }
}

#endif
