/* A vector times a matrix, in the two orientations. */
#ifndef DEEPC_GEMV_H
#define DEEPC_GEMV_H

#include "gemm_tile.h"

/* Adds a finished block to the outputs so far, or starts them. */
ALWAYS_INLINE vec add_block(int started, vec total, vec block) {
    return started ? v_add(total, block) : block;
}

/* One step of `blocks` chains that lie K_BLOCK apart, for `vecs` vectors of outputs. */
ALWAYS_INLINE void gemv_step(const int vecs, const int blocks, const real *x, const real *w,
                             ptrdiff_t w_row, size_t last, vec acc[4][8]) {
#pragma GCC unroll 4
    for (int s = 0; s < blocks; s++) {
        const vec xs = v_set(x[s * K_BLOCK]);
        const real *row = w + s * K_BLOCK * w_row;
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++)
            acc[s][v] =
                v_fma(xs, v == vecs - 1 ? v_load_part(row + v * VL, last) : v_load(row + v * VL),
                      acc[s][v]);
    }
}

/* `vecs` vectors of y = x w over `blocks` blocks of k, all full but the last one: x, w and y are
 * the tile's a, b and c. One output is one chain of dependent multiply-adds, so where there are few
 * of them several blocks run side by side to hide the latency; their sums meet only at the end, in
 * order. */
ALWAYS_INLINE void gemv_strip(const int vecs, const int blocks, const tile_operands *t) {
    const real *x = t->a, *w = t->b;
    const ptrdiff_t w_row = t->b_row;
    const size_t last = t->last;
    vec acc[4][8];
#pragma GCC unroll 4
    for (int s = 0; s < blocks; s++)
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++) acc[s][v] = v_zero();
    const size_t tail = t->k - (size_t)(blocks - 1) * K_BLOCK;
    size_t p = 0;
    for (; p < tail; p++)
        gemv_step(vecs, blocks, x + p, w + (ptrdiff_t)p * w_row, w_row, last, acc);
    if (blocks > 1)
        for (; p < K_BLOCK; p++)
            gemv_step(vecs, blocks - 1, x + p, w + (ptrdiff_t)p * w_row, w_row, last, acc);
#pragma GCC unroll 8
    for (int v = 0; v < vecs; v++) {
        const size_t lanes = v == vecs - 1 ? last : VL;
        vec total = t->accumulate ? v_load_part(t->c + v * VL, lanes) : v_zero();
#pragma GCC unroll 4
        for (int s = 0; s < blocks; s++)
            total = add_block(t->accumulate || s > 0, total, acc[s][v]);
        if (t->bias) total = v_add(total, v_load_part(t->bias + v * VL, lanes));
        v_store_part(t->c + v * VL, total, lanes);
    }
}

/* The strips in use: 8 chains or a little more, enough for the latency of every core. From 5 to 7
 * vectors are a strip of 4 and another one. */
#define STRIP(vecs, blocks)                                                                        \
    static void strip_##vecs##x##blocks(const tile_operands *t) { gemv_strip(vecs, blocks, t); }
STRIP(1, 1)
STRIP(1, 2)
STRIP(1, 3)
STRIP(1, 4)
STRIP(2, 1)
STRIP(2, 2)
STRIP(2, 3)
STRIP(2, 4)
STRIP(3, 1)
STRIP(3, 2)
STRIP(4, 1)
STRIP(4, 2)
STRIP(8, 1)
#undef STRIP

static void gemv(size_t n, size_t k, const real *x, const real *w, ptrdiff_t w_row, int accumulate,
                 const epilogue *end, real *y) {
    /* Indexed by vectors - 1 (4 for 8 of them) and blocks - 1. */
#define STRIP(vecs, blocks) (MANY_VARIANTS ? strip_##vecs##x##blocks : NULL)
    static void (*const strips[5][4])(const tile_operands *t) = {
        {strip_1x1, STRIP(1, 2), STRIP(1, 3), STRIP(1, 4)},
        {STRIP(2, 1), STRIP(2, 2), STRIP(2, 3), STRIP(2, 4)},
        {STRIP(3, 1), STRIP(3, 2)},
        {STRIP(4, 1), STRIP(4, 2)},
        {strip_8x1},
    };
#undef STRIP
    static const size_t side_by_side[5] = {MANY_VARIANTS ? 4 : 1, 4, 2, 2, 1};
    size_t vecs;
    for (size_t j = 0; j < n; j += vecs * VL) {
        const size_t left = (n - j + VL - 1) / VL;
        vecs = left >= 8 ? 8 : !MANY_VARIANTS ? 1 : left > 4 ? 4 : left;
        const size_t kind = vecs == 8 ? 4 : vecs - 1;
        tile_operands t; /* not cleared: a strip knows no more of it than this */
        t.b_row = w_row;
        t.last = vecs < left ? VL : n - j - (vecs - 1) * VL;
        t.c = y + j;
        size_t p = 0;
        do {
            size_t blocks = (k - p + K_BLOCK - 1) / K_BLOCK;
            if (blocks > side_by_side[kind]) blocks = side_by_side[kind];
            if (blocks == 0) blocks = 1; /* k = 0: an empty chain */
            t.k = k - p < blocks * K_BLOCK ? k - p : blocks * K_BLOCK;
            t.a = x + p;
            t.b = w + (ptrdiff_t)p * w_row + (ptrdiff_t)j;
            t.accumulate = accumulate || p > 0;
            p += t.k;
            t.bias = p == k && end && end->bias ? end->bias + j : NULL;
            strips[kind][blocks - 1](&t);
        } while (p < k);
    }
    if (end && end->activation) finish_row(end, 0, 0, n, y);
}

/* Goes on with the chains of VL outputs, the products of VL rows of w with x, for `cols` <= VL
 * steps: the square of w is transposed on its way, and its columns are what the chains take. Each
 * line of w is read once, into a copy, because rows that lie a power of two apart push each other
 * out of the first-level cache. Rows that are not there are the last one again. */
ALWAYS_INLINE vec transposed_step(vec acc, const int full, size_t rows, size_t cols, const real *x,
                                  const real *w, ptrdiff_t w_row) {
    real square[VL * VL];
    const real *row = w;
#pragma GCC unroll 16
    for (size_t r = 0; r < VL; r++) {
        v_store(square + r * VL, full ? v_load(row) : v_load_part(row, cols));
        if (full || r + 1 < rows) row += w_row;
    }
    vec_rows from = rows_of(VL, square, VL);
#pragma GCC unroll 2
    for (size_t j = 0; j < VL; j += SQUARE) {
        if (!full && j >= cols) break;
        vec column[SQUARE];
        v_columns(&from, column);
        rows_forward(&from, SQUARE);
#pragma GCC unroll 16
        for (size_t q = 0; q < SQUARE; q++) {
            if (!full && j + q == cols) break;
            acc = v_fma(v_set(x[j + q]), column[q], acc);
        }
    }
    return acc;
}

/* Functions of their own: inlined into their loops they would not fit the registers. */
static __attribute__((noinline)) vec transposed_whole(vec acc, const real *x, const real *w,
                                                      ptrdiff_t w_row) {
    return transposed_step(acc, 1, VL, VL, x, w, w_row);
}
static __attribute__((noinline)) vec transposed_part(vec acc, size_t rows, size_t cols,
                                                     const real *x, const real *w,
                                                     ptrdiff_t w_row) {
    return transposed_step(acc, 0, rows, cols, x, w, w_row);
}

/* From this size on w is not in the second-level cache, and more rows are read side by side than
 * processors recognize as streams. So many bytes ahead is far enough, and not so far that rows a
 * power of two apart push the lines out again. */
enum { FAR_BYTES = 1 << 20, AHEAD = 5 * 64 / sizeof(real) };

/* Up to 2 VL outputs: two groups of rows take turns, so that the chain of one hides behind the
 * transposition of the other. */
ALWAYS_INLINE void gemv_transposed_strip(const int groups, int far, size_t rows, size_t k,
                                         const real *x, const real *w, ptrdiff_t w_row,
                                         int accumulate, const real *bias, real *y) {
    vec total[2];
#pragma GCC unroll 2
    for (int g = 0; g < groups; g++)
        total[g] = accumulate ? v_load_part(y + g * VL, rows - (size_t)g * VL) : v_zero();
    int started = accumulate;
    size_t p = 0;
    do {
        const size_t end = k - p < K_BLOCK ? k : p + K_BLOCK;
        vec acc[2];
#pragma GCC unroll 2
        for (int g = 0; g < groups; g++) acc[g] = v_zero();
        for (; p < end; p += VL) {
            const size_t cols = end - p < VL ? end - p : VL;
#pragma GCC unroll 2
            for (int g = 0; g < groups; g++) {
                const size_t left = rows - (size_t)g * VL;
                const real *square = w + (ptrdiff_t)p + g * VL * w_row;
                for (ptrdiff_t r = 0; far && r < VL; r++)
                    __builtin_prefetch(square + r * w_row + AHEAD, 0, 2);
                acc[g] = left >= VL && cols == VL
                             ? transposed_whole(acc[g], x + p, square, w_row)
                             : transposed_part(acc[g], left, cols, x + p, square, w_row);
            }
        }
        p = end;
#pragma GCC unroll 2
        for (int g = 0; g < groups; g++) total[g] = add_block(started, total[g], acc[g]);
        started = 1;
    } while (p < k);
#pragma GCC unroll 2
    for (int g = 0; g < groups; g++) {
        const size_t lanes = rows - (size_t)g * VL;
        if (bias) total[g] = v_add(total[g], v_load_part(bias + g * VL, lanes));
        v_store_part(y + g * VL, total[g], lanes);
    }
}

static void gemv_transposed(size_t n, size_t k, const real *x, const real *w, ptrdiff_t w_row,
                            int accumulate, const epilogue *end, real *y) {
    const real *bias = end ? end->bias : NULL;
    const int far = n * k >= FAR_BYTES / sizeof(real);
    size_t i = 0;
    for (; i + VL < n; i += 2 * VL)
        gemv_transposed_strip(2, far, n - i, k, x, w + (ptrdiff_t)i * w_row, w_row, accumulate,
                              bias ? bias + i : NULL, y + i);
    if (i < n)
        gemv_transposed_strip(1, far, n - i, k, x, w + (ptrdiff_t)i * w_row, w_row, accumulate,
                              bias ? bias + i : NULL, y + i);
    if (end && end->activation) finish_row(end, 0, 0, n, y);
}

#endif
