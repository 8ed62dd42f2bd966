/* Batch and layer normalization: sums over the rows or along them, and the pass that applies them.
 *
 * Sums over rows go as a product's (blocks of K_BLOCK rows, each a chain of fused multiply-adds
 * from +0, blocks in order); sums along a row go into virtual lanes by blocks of SUM_BLOCK. */
#ifndef DEEPC_NORMALIZE_H
#define DEEPC_NORMALIZE_H

#include "reduce.h"
#include "softmax.h"
#include "vec.h"

/* ---- Columns --------------------------------------------------------------------------------- */

ALWAYS_INLINE vec load_lanes(const real *x, size_t n) {
    return n < VL ? v_load_part(x, n) : v_load(x);
}
ALWAYS_INLINE void store_lanes(real *y, vec a, size_t n) {
    if (n < VL)
        v_store_part(y, a, n);
    else
        v_store(y, a);
}

/* Up to MOMENT_VECS vectors of columns, the last of `last` lanes. */
enum { MOMENT_VECS = 4 };
ALWAYS_INLINE void moment_strip(const int vecs, size_t last, size_t rows, const real *x,
                                ptrdiff_t x_row, const real *mean, const real *d, ptrdiff_t d_row,
                                real *y) {
    vec total[MOMENT_VECS], m[MOMENT_VECS];
#pragma GCC unroll 4
    for (int v = 0; v < vecs; v++) {
        m[v] = load_lanes(mean + v * VL, v < vecs - 1 ? VL : last);
        total[v] = v_zero();
    }
    for (size_t start = 0; start < rows; start += K_BLOCK) {
        const size_t end = rows - start < K_BLOCK ? rows : start + K_BLOCK;
        vec acc[MOMENT_VECS];
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) acc[v] = v_zero();
        for (size_t i = start; i < end; i++, x += x_row, d = d ? d + d_row : NULL)
#pragma GCC unroll 4
            for (int v = 0; v < vecs; v++) {
                const size_t n = v < vecs - 1 ? VL : last;
                const vec e = v_sub(load_lanes(x + v * VL, n), m[v]);
                acc[v] = v_fma(e, d ? load_lanes(d + v * VL, n) : e, acc[v]);
            }
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) total[v] = start ? v_add(total[v], acc[v]) : acc[v];
    }
#pragma GCC unroll 4
    for (int v = 0; v < vecs; v++) store_lanes(y + v * VL, total[v], v < vecs - 1 ? VL : last);
}

/* y (cols) = the sum over the rows of (x - mean) d, or of (x - mean)^2 where d is NULL. */
static void column_moment(size_t rows, size_t cols, const real *x, ptrdiff_t x_row,
                          const real *mean, const real *d, ptrdiff_t d_row, real *y) {
    size_t j = 0;
    for (; j + MOMENT_VECS * VL <= cols; j += MOMENT_VECS * VL)
        moment_strip(MOMENT_VECS, VL, rows, x + j, x_row, mean + j, d ? d + j : NULL, d_row, y + j);
    for (; j < cols; j += VL)
        moment_strip(1, cols - j < VL ? cols - j : VL, rows, x + j, x_row, mean + j,
                     d ? d + j : NULL, d_row, y + j);
}

/* y = (x - mean) slope + shift, and where d is not NULL + d factor; mean, slope, shift and factor
 * are one for each column. */
static void columns_map(size_t rows, size_t cols, const real *x, ptrdiff_t x_row, const real *mean,
                        const real *slope, const real *shift, const real *d, ptrdiff_t d_row,
                        const real *factor, real *y, ptrdiff_t y_row) {
    for (size_t i = 0; i < rows; i++, x += x_row, d = d ? d + d_row : NULL, y += y_row)
        for (size_t j = 0; j < cols; j += VL) {
            const size_t n = cols - j;
            const vec e = v_sub(load_lanes(x + j, n), load_lanes(mean + j, n));
            vec z = v_fma(e, load_lanes(slope + j, n), load_lanes(shift + j, n));
            if (d) z = v_fma(load_lanes(d + j, n), load_lanes(factor + j, n), z);
            store_lanes(y + j, z, n);
        }
}

/* ---- Rows ------------------------------------------------------------------------------------ */

/* For each row, with mean and variance (the biased one) of its elements: z = (x - mean) /
 * sqrt(variance + epsilon), y = z gamma + beta; gamma and beta, one for each column, or NULL.
 * stats: mean and 1 / sqrt(variance + epsilon) of each row, or NULL. */
static void layer_norm(size_t rows, size_t cols, real epsilon, const real *x, const real *gamma,
                       const real *beta, real *stats, real *y) {
    for (; rows > 0; rows--, x += cols, y += cols) {
        const real mean = (real)(sum(cols, x) / (double)cols);
        const vec m = v_set(mean);
        for (size_t j = 0; j < cols; j += VL)
            store_lanes(y + j, v_sub(load_lanes(x + j, cols - j), m), cols - j);
        const vec variance = v_div(v_set(dot(cols, y, y)), v_set((real)cols));
        const vec inverse = v_div(v_set(1), v_sqrt(v_add(variance, v_set(epsilon))));
        for (size_t j = 0; j < cols; j += VL) {
            const size_t n = cols - j;
            vec z = v_mul(load_lanes(y + j, n), inverse);
            if (gamma) z = v_mul(z, load_lanes(gamma + j, n));
            if (beta) z = v_add(z, load_lanes(beta + j, n));
            store_lanes(y + j, z, n);
        }
        if (stats) {
            stats[0] = mean;
            stats[1] = v_first(inverse);
            stats += 2;
        }
    }
}

/* From the stats of forward: d_x = (g - sum of g / cols - z sum of g z / cols) / sqrt(variance +
 * epsilon) with g = d_y gamma, or NULL where it is not wanted; and scaled = d_y z, whose columns
 * add up to the gradient of gamma. d_x is none of the others. */
static void layer_norm_backward(size_t rows, size_t cols, const real *x, const real *stats,
                                const real *gamma, const real *d_y, real *scaled, real *d_x) {
    for (; rows > 0; rows--, x += cols, stats += 2, d_y += cols, scaled += cols) {
        const vec mean = v_set(stats[0]), inverse = v_set(stats[1]), size = v_set((real)cols);
        for (size_t j = 0; j < cols; j += VL) {
            const size_t n = cols - j;
            store_lanes(scaled + j, v_mul(v_sub(load_lanes(x + j, n), mean), inverse), n);
            if (!d_x) continue;
            const vec d = load_lanes(d_y + j, n);
            store_lanes(d_x + j, gamma ? v_mul(d, load_lanes(gamma + j, n)) : d, n);
        }
        vec a = v_zero(), b = v_zero();
        if (d_x) {
            a = v_div(v_set((real)sum(cols, d_x)), size);
            b = v_div(v_set(dot(cols, d_x, scaled)), size);
        }
        for (size_t j = 0; j < cols; j += VL) {
            const size_t n = cols - j;
            const vec z = load_lanes(scaled + j, n);
            store_lanes(scaled + j, v_mul(load_lanes(d_y + j, n), z), n);
            if (d_x)
                store_lanes(d_x + j, v_mul(v_fnma(z, b, v_sub(load_lanes(d_x + j, n), a)), inverse),
                            n);
        }
        if (d_x) d_x += cols;
    }
}

#endif
