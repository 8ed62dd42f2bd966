/* Products along the middle one of three axes, and their slopes. The order is fixed, so the bits do
 * not depend on the width of the hardware's vectors: columns are multiplied row by row; a single
 * one is read as rows of 16 virtual lanes, whose products a tree combines (see real.h).
 *
 * A slope is the product of the other elements, not a quotient, so zeros need no case of their
 * own. */
#ifndef DEEPC_PRODUCT_H
#define DEEPC_PRODUCT_H

#include "vec.h"

ALWAYS_INLINE void set_ones(vec acc[SUM_VECS]) {
    UNROLL(16)
    for (int v = 0; v < SUM_VECS; v++) acc[v] = v_set(1);
}

/* All lanes = the product of all; others = that of the other lanes. Lanes i and i + 8 come first,
 * then i + 4, i + 2, i + 1. */
ALWAYS_INLINE void lanes_product(vec acc[SUM_VECS], vec others[SUM_VECS]) {
    set_ones(others);
    UNROLL(4)
    for (int half = SUM_VECS / 2; half > 0; half /= 2) UNROLL(16)
    for (int v = 0; v < SUM_VECS; v++) {
        if (v & half) continue;
        others[v] = v_mul(others[v], acc[v + half]);
        others[v + half] = v_mul(others[v + half], acc[v]);
        acc[v] = acc[v + half] = v_mul(acc[v], acc[v + half]);
    }
#pragma GCC unroll 4
    for (int half = VL / 2; half > 0; half /= 2) UNROLL(16)
    for (int v = 0; v < SUM_VECS; v++) {
        const vec other = v_across(acc[v], half);
        others[v] = v_mul(others[v], other);
        acc[v] = v_mul(acc[v], other);
    }
}

ALWAYS_INLINE void take_lanes(const real *lanes, vec acc[SUM_VECS]) {
    UNROLL(16)
    for (int v = 0; v < SUM_VECS; v++) acc[v] = v_load(lanes + v * VL);
}
ALWAYS_INLINE void put_lanes(const vec acc[SUM_VECS], real *lanes) {
    UNROLL(16)
    for (int v = 0; v < SUM_VECS; v++) v_store(lanes + v * VL, acc[v]);
}

/* ---- Fewer than 16 columns, one by one ------------------------------------------------------- */

/* acc = acc times the rows of n columns; where d is not NULL, acc as it is before each goes there,
 * and the last row comes first. */
ONE_COPY void times_part(size_t rows, size_t n, const real *x, ptrdiff_t step, real *d, real *acc) {
    if (d) x += (ptrdiff_t)rows * step, d += (ptrdiff_t)rows * step;
    for (size_t i = 0; i < rows; i++) {
        if (d) x -= step, d -= step;
        for (size_t j = 0; j < n; j++) {
            if (d) d[j] = acc[j];
            acc[j] *= x[j];
        }
        if (!d) x += step;
    }
}

/* d = (d times the rows of x before) times g, which has an element for each column or one. */
ONE_COPY void slopes_of_part(size_t rows, size_t n, const real *x, ptrdiff_t step, const real *g,
                             size_t g_step, real *d, real *acc) {
    for (size_t i = 0; i < rows; i++, x += step, d += step)
        for (size_t j = 0; j < n; j++) {
            d[j] = d[j] * acc[j] * g[j * g_step];
            acc[j] *= x[j];
        }
}

ALWAYS_INLINE void lanes_of_ones(real lanes[SUM_LANES]) {
    for (int i = 0; i < SUM_LANES; i++) lanes[i] = 1;
}

/* ---- Full rows ------------------------------------------------------------------------------- */

/* acc = acc times a row. */
ALWAYS_INLINE void times_row(const real *x, vec acc[SUM_VECS]) {
    UNROLL(16)
    for (int v = 0; v < SUM_VECS; v++) acc[v] = v_mul(acc[v], v_load(x + v * VL));
}

/* y = the product of each of 16 columns; of a run of 16 lanes, then of a row of which only `last`
 * elements are there, that of all. */
ONE_COPY void strip_product(size_t rows, ptrdiff_t step, int is_run, size_t last, const real *x,
                            real *y) {
    vec acc[SUM_VECS], others[SUM_VECS];
    set_ones(acc);
    for (size_t i = 0; i < rows; i++, x += step) times_row(x, acc);
    if (!is_run) {
        put_lanes(acc, y);
        return;
    }
    real lanes[SUM_LANES];
    put_lanes(acc, lanes);
    times_part(1, last, x, 0, NULL, lanes);
    take_lanes(lanes, acc);
    lanes_product(acc, others);
    *y = v_first(acc[0]);
}

/* d = g times the product of the elements of the column after each, then also of those before; and
 * for a run of those in other lanes. */
ONE_COPY void strip_slopes(size_t rows, ptrdiff_t step, int is_run, size_t last, const real *x,
                           const real *g, real *d) {
    vec acc[SUM_VECS], others[SUM_VECS], factor[SUM_VECS];
    real lanes[SUM_LANES];
    const ptrdiff_t end = (ptrdiff_t)rows * step;
    lanes_of_ones(lanes);
    times_part(1, last, x + end, 0, d + end, lanes);
    take_lanes(lanes, acc);
    for (ptrdiff_t at = end; at > 0;) {
        at -= step;
        put_lanes(acc, d + at);
        times_row(x + at, acc);
    }
    if (is_run)
        lanes_product(acc, others);
    else
        set_ones(others);
    UNROLL(16)
    for (int v = 0; v < SUM_VECS; v++) factor[v] = is_run ? v_set(*g) : v_load(g + v * VL);
    for (ptrdiff_t at = 0; at < end; at += step) {
        UNROLL(16)
        for (int v = 0; v < SUM_VECS; v++) {
            real *const to = d + at + v * VL;
            v_store(to, v_mul(v_mul(v_load(to), others[v]), factor[v]));
        }
        times_row(x + at, others);
    }
    put_lanes(others, lanes);
    slopes_of_part(1, last, x + end, 0, g, 0, d + end, lanes);
}

/* y (before x after) = x (before x count x after), multiplied over the middle. */
static void product(size_t before, size_t count, size_t after, const real *x, real *y) {
    const ptrdiff_t step = (ptrdiff_t)after;
    for (size_t i = 0; i < before; i++, x += count * after, y += after) {
        if (after == 1) {
            strip_product(count / SUM_LANES, SUM_LANES, 1, count % SUM_LANES, x, y);
            continue;
        }
        size_t j = 0;
        for (; j + SUM_LANES <= after; j += SUM_LANES)
            strip_product(count, step, 0, 0, x + j, y + j);
        for (size_t k = j; k < after; k++) y[k] = 1;
        times_part(count, after - j, x + j, step, NULL, y + j);
    }
}

/* d_x = d_y times the products of the other elements. */
static void product_backward(size_t before, size_t count, size_t after, const real *x,
                             const real *d_y, real *d_x) {
    const ptrdiff_t step = (ptrdiff_t)after;
    for (size_t i = 0; i < before; i++, x += count * after, d_x += count * after, d_y += after) {
        if (after == 1) {
            strip_slopes(count / SUM_LANES, SUM_LANES, 1, count % SUM_LANES, x, d_y, d_x);
            continue;
        }
        size_t j = 0;
        for (; j + SUM_LANES <= after; j += SUM_LANES)
            strip_slopes(count, step, 0, 0, x + j, d_y + j, d_x + j);
        real lanes[SUM_LANES];
        lanes_of_ones(lanes);
        times_part(count, after - j, x + j, step, d_x + j, lanes);
        lanes_of_ones(lanes);
        slopes_of_part(count, after - j, x + j, step, d_y + j, 1, d_x + j, lanes);
    }
}

#endif
