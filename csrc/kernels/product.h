/* Products along the middle one of three axes, and their slopes. The order is fixed, so the bits do
 * not depend on the width of the hardware's vectors: columns are multiplied row by row; a single
 * one is read as rows of 16 virtual lanes, whose products a tree combines (see real.h).
 *
 * A slope is the product of the other elements, not a quotient, so zeros need no case of their
 * own. */
#ifndef DEEPC_PRODUCT_H
#define DEEPC_PRODUCT_H

#include "vec.h"

/* Columns to multiply, at most 16: `rows` rows of them, `step` apart, then for a run, whose columns
 * are its lanes, a row of which only `last` elements are there. */
typedef struct strip {
    const real *x;
    size_t rows, last;
    ptrdiff_t step;
    int is_run;
} strip;

ALWAYS_INLINE strip strip_of_run(size_t count, const real *x) {
    return (strip){x, count / SUM_LANES, count % SUM_LANES, SUM_LANES, 1};
}

/* How many of n elements vector v holds. */
ALWAYS_INLINE size_t part_of(size_t n, int v) {
    const size_t before = (size_t)v * VL;
    return n > before ? n - before : 0;
}

ALWAYS_INLINE void set_ones(vec acc[SUM_VECS]) {
    UNROLL(16)
    for (int v = 0; v < SUM_VECS; v++) acc[v] = v_set(1);
}

/* acc = acc times the n elements of a row; the other lanes stay as they are. */
ALWAYS_INLINE void times_row(size_t n, const real *x, vec acc[SUM_VECS]) {
    static const real lanes[SUM_LANES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    UNROLL(16)
    for (int v = 0; v < SUM_VECS; v++) {
        const size_t part = part_of(n, v);
        if (part >= VL) {
            acc[v] = v_mul(acc[v], v_load(x + v * VL));
        } else if (part > 0) {
            const vec times = v_mul(acc[v], v_load_part(x + v * VL, part));
            acc[v] = v_select(v_lt(v_load(lanes), v_set((real)part)), times, acc[v]);
        }
    }
}

/* Stores the n elements of a row. */
ALWAYS_INLINE void put_row(size_t n, const vec row[SUM_VECS], real *y) {
    UNROLL(16)
    for (int v = 0; v < SUM_VECS; v++)
        if (part_of(n, v) > 0) v_store_up_to(y + v * VL, row[v], part_of(n, v));
}

/* d = (d times acc) times g, for the n elements of a row. */
ALWAYS_INLINE void slopes_of_row(size_t n, const vec acc[SUM_VECS], const vec g[SUM_VECS],
                                 real *d) {
    UNROLL(16)
    for (int v = 0; v < SUM_VECS; v++) {
        const size_t part = part_of(n, v);
        if (part == 0) break;
        const vec slope = v_mul(v_load_up_to(d + v * VL, part), acc[v]);
        v_store_up_to(d + v * VL, v_mul(slope, g[v]), part);
    }
}

/* All lanes = the product of all; others = that of the other lanes. Lanes i and i + 8 come first,
 * then i + 4, i + 2, i + 1. */
ALWAYS_INLINE void lanes_product(vec acc[SUM_VECS], vec others[SUM_VECS]) {
    set_ones(others);
#pragma GCC unroll 4
    for (int half = SUM_VECS / 2; half > 0; half /= 2)
#pragma GCC unroll 16
        for (int v = 0; v < SUM_VECS; v++) {
            if (v & half) continue;
            others[v] = v_mul(others[v], acc[v + half]);
            others[v + half] = v_mul(others[v + half], acc[v]);
            acc[v] = acc[v + half] = v_mul(acc[v], acc[v + half]);
        }
#pragma GCC unroll 4
    for (int half = VL / 2; half > 0; half /= 2)
#pragma GCC unroll 16
        for (int v = 0; v < SUM_VECS; v++) {
            const vec other = v_across(acc[v], half);
            others[v] = v_mul(others[v], other);
            acc[v] = v_mul(acc[v], other);
        }
}

/* y = the product of each of n columns, or of the run. */
ALWAYS_INLINE void strip_product(const strip *s, size_t n, real *y) {
    vec acc[SUM_VECS], others[SUM_VECS];
    set_ones(acc);
    const real *x = s->x;
    for (size_t i = 0; i < s->rows; i++, x += s->step) times_row(n, x, acc);
    if (s->last) times_row(s->last, x, acc);
    if (s->is_run) {
        lanes_product(acc, others);
        *y = v_first(acc[0]);
    } else {
        put_row(n, acc, y);
    }
}

/* d = g times the product of the elements of the column after each, then also of those before; and
 * for a run of those in other lanes. */
ALWAYS_INLINE void strip_slopes(const strip *s, size_t n, const real *g, real *d) {
    vec acc[SUM_VECS], others[SUM_VECS], factor[SUM_VECS];
    set_ones(acc);
    const ptrdiff_t end = (ptrdiff_t)s->rows * s->step;
    if (s->last) {
        put_row(s->last, acc, d + end);
        times_row(s->last, s->x + end, acc);
    }
    for (ptrdiff_t at = end; at > 0;) {
        at -= s->step;
        put_row(n, acc, d + at);
        times_row(n, s->x + at, acc);
    }
    if (s->is_run)
        lanes_product(acc, others);
    else
        set_ones(others);
    UNROLL(16)
    for (int v = 0; v < SUM_VECS; v++)
        factor[v] = s->is_run ? v_set(*g) : v_load_part(g + v * VL, part_of(n, v));
    for (ptrdiff_t at = 0; at < end; at += s->step) {
        slopes_of_row(n, others, factor, d + at);
        times_row(n, s->x + at, others);
    }
    if (s->last) slopes_of_row(s->last, others, factor, d + end);
}

/* Runs `strip_of` with the number of columns, where that is 16 as a constant. */
#define STRIP(function, s, n, ...)                                                                 \
    do {                                                                                           \
        if ((n) == SUM_LANES)                                                                      \
            function(s, SUM_LANES, __VA_ARGS__);                                                   \
        else                                                                                       \
            function(s, n, __VA_ARGS__);                                                           \
    } while (0)

/* The strip from column j on; *n: its columns. */
ALWAYS_INLINE strip strip_at(size_t count, size_t after, size_t j, const real *x, size_t *n) {
    *n = after == 1 || after - j > SUM_LANES ? SUM_LANES : after - j;
    return after == 1 ? strip_of_run(count, x) : (strip){x + j, count, 0, (ptrdiff_t)after, 0};
}

/* y (before x after) = x (before x count x after), multiplied over the middle. */
static void product(size_t before, size_t count, size_t after, const real *x, real *y) {
    for (size_t i = 0; i < before; i++, x += count * after, y += after)
        for (size_t j = 0, n; j < after; j += SUM_LANES) {
            const strip s = strip_at(count, after, j, x, &n);
            STRIP(strip_product, &s, n, y + j);
        }
}

/* d_x = d_y times the products of the other elements. */
static void product_backward(size_t before, size_t count, size_t after, const real *x,
                             const real *d_y, real *d_x) {
    for (size_t i = 0; i < before; i++, x += count * after, d_x += count * after, d_y += after)
        for (size_t j = 0, n; j < after; j += SUM_LANES) {
            const strip s = strip_at(count, after, j, x, &n);
            STRIP(strip_slopes, &s, n, d_y + j, d_x + j);
        }
}

#endif
