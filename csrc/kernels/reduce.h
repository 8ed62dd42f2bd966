/* Sums: of all elements, and of the rows of a matrix. The order of the additions is fixed (see
 * real.h), so the bits do not depend on the width of the hardware's vectors. */
#ifndef DEEPC_REDUCE_H
#define DEEPC_REDUCE_H

#include "vec.h"

/* One lane's additions wait for each other, so full blocks are summed several at a time, as many
 * as the registers hold. */
enum { BLOCKS_AT_ONCE = SUM_VECS <= 2 ? 4 : SUM_VECS <= 4 ? 2 : 1 };

/* Adds the last n < 16 elements of a block to their lanes. */
ALWAYS_INLINE void add_tail(size_t n, const real *x, vec acc[SUM_VECS]) {
    UNROLL(16)
    for (int v = 0; v < SUM_VECS; v++)
        if (n > (size_t)v * VL) acc[v] = v_add(acc[v], v_load_part(x + v * VL, n - (size_t)v * VL));
}

/* The sum of n <= SUM_BLOCK elements in 16 virtual lanes from +0, then by the tree. */
static real block_sum(size_t n, const real *x) {
    vec acc[SUM_VECS];
    UNROLL(16)
    for (int v = 0; v < SUM_VECS; v++) acc[v] = v_zero();
    size_t i = 0;
    for (; i + SUM_LANES <= n; i += SUM_LANES) UNROLL(16)
    for (int v = 0; v < SUM_VECS; v++) acc[v] = v_add(acc[v], v_load(x + i + v * VL));
    add_tail(n - i, x + i, acc);
    return sum_tree(acc);
}

/* The sums of BLOCKS_AT_ONCE full blocks, each added to total in order. */
static double full_blocks_sum(double total, const real *x) {
    vec acc[BLOCKS_AT_ONCE][SUM_VECS];
    UNROLL(4)
    for (int b = 0; b < BLOCKS_AT_ONCE; b++) UNROLL(16)
    for (int v = 0; v < SUM_VECS; v++) acc[b][v] = v_zero();
    for (size_t i = 0; i < SUM_BLOCK; i += SUM_LANES) UNROLL(4)
    for (int b = 0; b < BLOCKS_AT_ONCE; b++) UNROLL(16)
    for (int v = 0; v < SUM_VECS; v++)
        acc[b][v] = v_add(acc[b][v], v_load(x + b * SUM_BLOCK + i + v * VL));
    UNROLL(4)
    for (int b = 0; b < BLOCKS_AT_ONCE; b++) total += (double)sum_tree(acc[b]);
    return total;
}

/* The sum of n elements: of each block, and the blocks in order in double. */
static double sum(size_t n, const real *x) {
    double total = 0;
    size_t i = 0;
    for (; n - i >= (size_t)BLOCKS_AT_ONCE * SUM_BLOCK; i += (size_t)BLOCKS_AT_ONCE * SUM_BLOCK)
        total = full_blocks_sum(total, x + i);
    for (; i < n; i += SUM_BLOCK)
        total += (double)block_sum(n - i < SUM_BLOCK ? n - i : SUM_BLOCK, x + i);
    return total;
}

/* The sum of the squares of factor x over n elements, in the same order: a square is added in one
 * rounding. */
static double sum_squares(real factor, size_t n, const real *x) {
    const vec factors = v_set(factor);
    double total = 0;
    for (size_t from = 0; from < n; from += SUM_BLOCK) {
        const size_t block = n - from < SUM_BLOCK ? n - from : SUM_BLOCK;
        vec acc[SUM_VECS];
        UNROLL(16)
        for (int v = 0; v < SUM_VECS; v++) acc[v] = v_zero();
        for (size_t i = 0; i < block; i += SUM_LANES) UNROLL(16)
        for (int v = 0; v < SUM_VECS; v++) {
            const size_t at = i + (size_t)v * VL;
            if (at >= block) break;
            const vec y = v_mul(factors, v_load_up_to(x + from + at, block - at));
            acc[v] = v_fma(y, y, acc[v]);
        }
        total += (double)sum_tree(acc);
    }
    return total;
}

/* `vecs` vectors of columns, or, where `part` is not 0, one of `part` lanes: y = the sum of the
 * rows, or y + that. */
ALWAYS_INLINE void column_strip(const int vecs, size_t part, size_t rows, const real *x,
                                ptrdiff_t x_row, int accumulate, real *y) {
    do {
        const size_t block = rows < K_BLOCK ? rows : K_BLOCK;
        vec acc[8];
        UNROLL(8)
        for (int v = 0; v < vecs; v++) acc[v] = v_zero();
        for (size_t i = 0; i < block; i++, x += x_row) UNROLL(8)
        for (int v = 0; v < vecs; v++)
            acc[v] = v_add(acc[v], part ? v_load_part(x, part) : v_load(x + v * VL));
        UNROLL(8)
        for (int v = 0; v < vecs; v++) {
            if (accumulate)
                acc[v] = v_add(part ? v_load_part(y, part) : v_load(y + v * VL), acc[v]);
            if (part)
                v_store_part(y, acc[v], part);
            else
                v_store(y + v * VL, acc[v]);
        }
        accumulate = 1;
        rows -= block;
    } while (rows > 0);
}

/* y (cols) = the sum of the rows of x (rows x cols, x_row apart), or y + that: as a product with
 * ones, so in blocks of K_BLOCK rows, each from +0 in order, the blocks added in order. No rows:
 * zeros, or y as it is. */
static void column_sum(size_t rows, size_t cols, const real *x, ptrdiff_t x_row, int accumulate,
                       real *y) {
    if (rows == 0 && accumulate) return;
    size_t j = 0;
    for (; j + 8 * VL <= cols; j += 8 * VL)
        column_strip(8, 0, rows, x + j, x_row, accumulate, y + j);
    for (; j + 2 * VL <= cols; j += 2 * VL)
        column_strip(2, 0, rows, x + j, x_row, accumulate, y + j);
    if (j + VL <= cols) {
        column_strip(1, 0, rows, x + j, x_row, accumulate, y + j);
        j += VL;
    }
    if (j < cols) column_strip(1, cols - j, rows, x + j, x_row, accumulate, y + j);
}

#endif
