/* The penalty of large parameters, which a loss may have beside it: l1 sum |p| + l2 sum p^2. */
#ifndef DEEPC_PENALTY_H
#define DEEPC_PENALTY_H

#include "reduce.h"
#include "vec.h"

/* Returns the penalty of n elements, in the order of sum; a vector's terms are |p| (l2 |p| + l1).
 * g += l1 sign(p) + 2 l2 p, or nothing where g is NULL; the sign of 0 is 0. */
static double penalty(real l1, real l2, size_t n, const real *p, real *g) {
    const vec first = v_set(l1), second = v_set(l2), twice = v_set(l2 + l2);
    double total = 0;
    for (size_t from = 0; from < n; from += SUM_BLOCK) {
        const size_t end = n - from < SUM_BLOCK ? n : from + SUM_BLOCK;
        vec acc[SUM_VECS];
        for (int v = 0; v < SUM_VECS; v++) acc[v] = v_zero();
        for (size_t i = from, lane = 0; i < end; i += VL, lane = (lane + 1) % SUM_VECS) {
            const vec x = v_load_up_to(p + i, end - i), size = v_abs(x);
            acc[lane] = v_fma(size, v_fma(second, size, first), acc[lane]);
            if (!g) continue;
            const vec pull = v_copysign(v_fma(twice, size, first), x);
            const vec slope = v_select(v_eq(x, v_zero()), v_zero(), pull);
            v_store_up_to(g + i, v_add(v_load_up_to(g + i, end - i), slope), end - i);
        }
        total += (double)sum_tree(acc);
    }
    return total;
}

#endif
