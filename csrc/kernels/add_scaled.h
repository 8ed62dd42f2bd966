/* One array added to another: gradients that accumulate, averages of parameters. */
#ifndef DEEPC_ADD_SCALED_H
#define DEEPC_ADD_SCALED_H

#include "vec.h"

/* y = a x + b y; where b is 0, y is not read, so it may hold NaN. */
static void add_scaled(real a, size_t n, const real *x, real b, real *y) {
    const vec a_lanes = v_set(a), b_lanes = v_set(b);
    for (size_t i = 0; i < n; i += VL) {
        const vec kept = b == 0 ? v_zero() : v_mul(b_lanes, v_load_up_to(y + i, n - i));
        v_store_up_to(y + i, v_fma(a_lanes, v_load_up_to(x + i, n - i), kept), n - i);
    }
}

#endif
