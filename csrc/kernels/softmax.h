/* Softmax over rows, and its backward pass.
 *
 * y = exp(x - max) / sum of the same. Rows of a few vectors stay in registers; longer ones take
 * three passes. Both follow the same order: element j belongs to virtual lane j mod 16, whatever
 * the hardware's width. The division by the sum is a division, not a product with a reciprocal,
 * which would round twice.
 *
 * A row with NaN or +inf, or of nothing but -inf, gives NaN throughout; other elements of -inf
 * give +0. */
#ifndef DEEPC_SOFTMAX_H
#define DEEPC_SOFTMAX_H

#include "reduce.h"
#include "square.h"
#include "vec.h"
#include "vecmath.h"

/* A row of up to this many vectors is kept in registers, in float: in double, which classifiers
 * rarely compute in, the code for that is left out. */
enum { ROW_VECS = 4, ROWS_IN_REGISTERS = MANY_VARIANTS && DEEPC_REAL_BITS == 32 };

/* 0 in the first n lanes, -inf in the others. */
ALWAYS_INLINE vec padding(size_t n) {
#define INF (-(real)__builtin_inf())
    static const real window[2 * SUM_LANES] = {
        0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,
        INF, INF, INF, INF, INF, INF, INF, INF, INF, INF, INF, INF, INF, INF, INF, INF};
#undef INF
    return v_load(window + SUM_LANES - n);
}

/* The first n lanes of a row's last vector; the others are -inf, which is never the largest. Adding
 * +0 changes no number (but -0, which does not matter here). */
ALWAYS_INLINE vec load_padded(const real *x, size_t n) {
    return v_add(v_load_part(x, n), padding(n));
}

/* exp of the first n lanes, +0 in the others. Those are given 0, because the way to the result +0
 * leads through tiny numbers, on which processors are slow. */
ALWAYS_INLINE vec exp_part(vec x, size_t n) {
    const vmask used = v_eq(padding(n), v_zero());
    return v_select(used, v_exp(v_select(used, x, v_zero())), v_zero());
}

/* ---- Rows in registers: `vecs` vectors, the last one of `last` lanes ------------------------- */

ALWAYS_INLINE void row_load(const int vecs, size_t last, const real *x, vec row[ROW_VECS]) {
    UNROLL(4)
    for (int v = 0; v < vecs - 1; v++) row[v] = v_load(x + v * VL);
    row[vecs - 1] = load_padded(x + (vecs - 1) * VL, last);
}

ALWAYS_INLINE void row_store(const int vecs, size_t last, const vec row[ROW_VECS], real *y) {
    UNROLL(4)
    for (int v = 0; v < vecs - 1; v++) v_store(y + v * VL, row[v]);
    if (last == VL)
        v_store(y + (vecs - 1) * VL, row[vecs - 1]);
    else
        v_store_part(y + (vecs - 1) * VL, row[vecs - 1], last);
}

ALWAYS_INLINE void row_exp(const int vecs, size_t last, vec row[ROW_VECS]) {
    UNROLL(4)
    for (int v = 0; v < vecs - 1; v++) row[v] = v_exp(row[v]);
    row[vecs - 1] = exp_part(row[vecs - 1], last);
}

/* The sum of a row in virtual lanes. */
ALWAYS_INLINE vec row_sum(const int vecs, const vec row[ROW_VECS]) {
    vec acc[ROW_VECS];
    UNROLL(4)
    for (int v = 0; v < vecs; v++)
        acc[v % SUM_VECS] = v < SUM_VECS ? row[v] : v_add(acc[v % SUM_VECS], row[v]);
    return lanes_sum(vecs, acc);
}

ALWAYS_INLINE vec row_max(const int vecs, const vec row[ROW_VECS]) {
    vec largest = row[0];
    UNROLL(4)
    for (int v = 1; v < vecs; v++) largest = v_max(largest, row[v]);
    return lanes_max(largest);
}

ALWAYS_INLINE void softmax_short(const int vecs, size_t rows, size_t cols, const real *x, real *y) {
    const size_t last = cols - (size_t)(vecs - 1) * VL;
    for (; rows > 0; rows--, x += cols, y += cols) {
        vec row[ROW_VECS];
        row_load(vecs, last, x, row);
        const vec largest = row_max(vecs, row);
        UNROLL(4)
        for (int v = 0; v < vecs; v++) row[v] = v_sub(row[v], largest);
        row_exp(vecs, last, row);
        const vec sum = row_sum(vecs, row);
        UNROLL(4)
        for (int v = 0; v < vecs; v++) row[v] = v_div(row[v], sum);
        row_store(vecs, last, row, y);
    }
}

/* ---- Rows of a few elements, VL of them side by side ----------------------------------------- */

/* The longest such rows, with which the sums need no shuffles and a row no whole vector. */
enum { ACROSS_COLS = SUM_LANES };
/* The fewest rows for which it pays. */
enum { ACROSS_ROWS = (VL + 1) / 2 };

/* The sum of `cols` columns in the order of the virtual lanes; what is absent would add +0. */
static vec columns_sum(size_t cols, const real *columns) {
    real part[SUM_LANES / 2 * VL];
    size_t count = cols < SUM_LANES / 2 ? cols : SUM_LANES / 2;
    for (size_t j = 0; j < count; j++) {
        vec a = v_load(columns + j * VL);
        if (j + SUM_LANES / 2 < cols) a = v_add(a, v_load(columns + (j + SUM_LANES / 2) * VL));
        v_store(part + j * VL, a);
    }
    for (size_t half = SUM_LANES / 4; half > 0; half /= 2) {
        for (size_t j = 0; j + half < count; j++)
            v_store(part + j * VL, v_add(v_load(part + j * VL), v_load(part + (j + half) * VL)));
        if (count > half) count = half;
    }
    return v_load(part);
}

/* From columns of x to s = x - max and, in the same place, exp(s); returns the sum of that. */
static vec exp_across(size_t cols, real *columns, real *s) {
    vec largest = v_load(columns);
    for (size_t j = 1; j < cols; j++) largest = v_max(largest, v_load(columns + j * VL));
    for (size_t j = 0; j < cols; j++) {
        const vec below = v_sub(v_load(columns + j * VL), largest);
        v_store(s + j * VL, below);
        v_store(columns + j * VL, v_exp(below));
    }
    return columns_sum(cols, columns);
}

static void softmax_across(size_t rows, size_t cols, const real *x, real *y) {
    real columns[SUM_LANES * VL], s[SUM_LANES * VL];
    rows_to_columns(rows, cols, x, columns);
    const vec total = exp_across(cols, columns, s);
    for (size_t j = 0; j < cols; j++)
        v_store(columns + j * VL, v_div(v_load(columns + j * VL), total));
    columns_to_rows(rows, cols, columns, s, y);
}

/* ---- Rows in memory -------------------------------------------------------------------------- */

/* The largest of n >= 1 elements; not NaN's, see the head. */
static real largest_of(size_t n, const real *x) {
    vec a = load_padded(x, n < VL ? n : VL), b = a;
    size_t i = 0;
    for (; i + 2 * VL <= n; i += 2 * VL) {
        a = v_max(a, v_load(x + i));
        b = v_max(b, v_load(x + i + VL));
    }
    for (; i < n; i += VL) a = v_max(a, load_padded(x + i, n - i < VL ? n - i : VL));
    return v_first(lanes_max(v_max(a, b)));
}

/* The sum over n elements of exp(x - largest), in virtual lanes, a long row in blocks of
 * SUM_BLOCK; each exponential is written to e, which may be x, or NULL. */
ONE_COPY real exp_and_sum(size_t n, const real *x, real largest, real *e) {
    const vec m = v_set(largest);
    real total = 0;
    for (size_t i = 0; i < n;) {
        const size_t end = n - i < SUM_BLOCK ? n : i + SUM_BLOCK;
        vec acc[SUM_VECS];
        UNROLL(4)
        for (int v = 0; v < SUM_VECS; v++) acc[v] = v_zero();
        for (; i + SUM_LANES <= end; i += SUM_LANES) UNROLL(4)
        for (int v = 0; v < SUM_VECS; v++) {
            const vec a = v_exp(v_sub(v_load(x + i + v * VL), m));
            if (e) v_store(e + i + v * VL, a);
            acc[v] = v_add(acc[v], a);
        }
        if (i < end) {
            real tail[SUM_LANES] = {0};
            for (int v = 0; i < end; i += VL, v++) {
                const size_t lanes = end - i < VL ? end - i : VL;
                const vec a = exp_part(v_sub(v_load_part(x + i, lanes), m), lanes);
                if (e) v_store_part(e + i, a, lanes);
                v_store(tail + v * VL, a);
            }
            UNROLL(4)
            for (int v = 0; v < SUM_VECS; v++) acc[v] = v_add(acc[v], v_load(tail + v * VL));
        }
        total += sum_tree(acc);
    }
    return total;
}

/* y = x / divisor. */
static void divide(size_t n, const real *x, real divisor, real *y) {
    const vec d = v_set(divisor);
    size_t i = 0;
    for (; i + VL <= n; i += VL) v_store(y + i, v_div(v_load(x + i), d));
    if (i < n) v_store_part(y + i, v_div(v_load_part(x + i, n - i), d), n - i);
}

static void softmax_long(size_t rows, size_t cols, const real *x, real *y) {
    for (; rows > 0; rows--, x += cols, y += cols) {
        const real total = exp_and_sum(cols, x, largest_of(cols, x), y);
        divide(cols, y, total, y);
    }
}

/* Each row of y = softmax of the row of x; rows x cols, in place or not. */
static void softmax(size_t rows, size_t cols, const real *x, real *y) {
    if (cols == 0) return;
    for (; MANY_VARIANTS && cols <= ACROSS_COLS && rows >= ACROSS_ROWS;
         x += VL * cols, y += VL * cols) {
        const size_t n = rows < VL ? rows : VL;
        softmax_across(n, cols, x, y);
        rows -= n;
    }
    switch (ROWS_IN_REGISTERS ? (cols - 1) / VL : ROW_VECS) {
    case 0: softmax_short(1, rows, cols, x, y); break;
    case 1: softmax_short(2, rows, cols, x, y); break;
    case 2: softmax_short(3, rows, cols, x, y); break;
    case 3: softmax_short(4, rows, cols, x, y); break;
    default: softmax_long(rows, cols, x, y); break;
    }
}

/* The sum over n elements of a b: in virtual lanes, each a chain of fused multiply-adds from +0;
 * a long row in blocks. */
static real dot(size_t n, const real *a, const real *b) {
    real total = 0;
    for (size_t i = 0; i < n;) {
        const size_t end = n - i < SUM_BLOCK ? n : i + SUM_BLOCK;
        vec acc[SUM_VECS];
        UNROLL(8)
        for (int v = 0; v < SUM_VECS; v++) acc[v] = v_zero();
        for (; i + SUM_LANES <= end; i += SUM_LANES) UNROLL(8)
        for (int v = 0; v < SUM_VECS; v++)
            acc[v] = v_fma(v_load(a + i + v * VL), v_load(b + i + v * VL), acc[v]);
        const size_t left = end - i;
        UNROLL(8)
        for (int v = 0; v < SUM_VECS; v++) {
            const size_t at = (size_t)v * VL;
            if (at < left)
                acc[v] = v_fma(v_load_part(a + i + at, left - at),
                               v_load_part(b + i + at, left - at), acc[v]);
        }
        i = end;
        total += sum_tree(acc);
    }
    return total;
}

/* d_x = y (d_y - sum over the row of y d_y), given y = softmax(x); d_x may be d_y. */
static void softmax_backward(size_t rows, size_t cols, const real *y, const real *d_y, real *d_x) {
    for (; rows > 0; rows--, y += cols, d_y += cols, d_x += cols) {
        const vec mean = v_set(dot(cols, y, d_y));
        size_t j = 0;
        for (; j + VL <= cols; j += VL)
            v_store(d_x + j, v_mul(v_load(y + j), v_sub(v_load(d_y + j), mean)));
        if (j < cols) {
            const vec a =
                v_mul(v_load_part(y + j, cols - j), v_sub(v_load_part(d_y + j, cols - j), mean));
            v_store_part(d_x + j, a, cols - j);
        }
    }
}

/* Each row of y = x - max x - log(sum of exp(x - max x)); rows x cols, in place or not. */
static void log_softmax(size_t rows, size_t cols, const real *x, real *y) {
    if (cols == 0) return;
    for (; rows > 0; rows--, x += cols, y += cols) {
        const real largest = largest_of(cols, x);
        const vec m = v_set(largest);
        const vec log_total = v_log(v_set(exp_and_sum(cols, x, largest, NULL)));
        for (size_t j = 0; j < cols; j += VL) {
            const vec s = v_sub(v_load_part(x + j, cols - j), m);
            v_store_part(y + j, v_sub(s, log_total), cols - j);
        }
    }
}

/* d_x = d_y - exp(y) sum over the row of d_y, given y = log_softmax(x); d_x may be d_y. */
static void log_softmax_backward(size_t rows, size_t cols, const real *y, const real *d_y,
                                 real *d_x) {
    for (; rows > 0; rows--, y += cols, d_y += cols, d_x += cols) {
        const vec total = v_set((real)sum(cols, d_y));
        for (size_t j = 0; j < cols; j += VL) {
            const vec p = exp_part(v_load_part(y + j, cols - j), cols - j < VL ? cols - j : VL);
            v_store_part(d_x + j, v_fnma(p, total, v_load_part(d_y + j, cols - j)), cols - j);
        }
    }
}

#endif
