/* Packing: the operands of the matrix product copied into panels, in the order in which the
 * register tile reads them. */
#ifndef DEEPC_GEMM_PACK_H
#define DEEPC_GEMM_PACK_H

#include "gemm_tile.h"
#include "square.h"

/* `rows` x `cols` of a square of x, transposed; the other lanes are zero. Only `room` elements may
 * be written. */
static __attribute__((noinline)) void pack_part(size_t rows, size_t cols, const real *x,
                                                ptrdiff_t x_row, size_t width, size_t room,
                                                real *packed) {
    real square[VL * VL], columns[VL * VL];
    for (size_t r = 0; r < VL; r++)
        v_store(square + r * VL, r < rows ? v_load_part(x + (ptrdiff_t)r * x_row, cols) : v_zero());
    transpose_square(square, VL, columns, VL);
    for (size_t q = 0; q < cols; q++)
        v_store_part(packed + q * width, v_load(columns + q * VL), room - q * width);
}

/* `depth` vectors of `width` lanes, k-major: packed[p width + i] = x[i x_row + p] for i < used,
 * else 0; x has `there` >= used rows. Whole vectors are stored; what spills over the end of one row
 * of the panel is overwritten when that place gets its own value, which is why the lanes go in
 * decreasing order. Only at the panel's end the store is exact. */
static void pack_panel_transposed(size_t used, size_t there, size_t width, size_t depth,
                                  const real *x, ptrdiff_t x_row, real *packed) {
    for (size_t p = 0; p < depth; p += VL) {
        const size_t cols = depth - p < VL ? depth - p : VL;
        for (size_t g = (width + VL - 1) / VL; g-- > 0;) {
            const size_t i = g * VL, at = p * width + i;
            const size_t rows = used <= i ? 0 : used - i;
            const int fills = rows >= (width - i < VL ? width - i : VL);
            const real *from = x + (ptrdiff_t)i * x_row + (ptrdiff_t)p;
            if (fills && there >= i + VL && cols == VL &&
                (p + VL - 1) * width + i + VL <= depth * width)
                transpose_square(from, x_row, packed + at, width);
            else
                pack_part(rows, cols, from, x_row, width, depth * width - at, packed + at);
        }
    }
}

/* The same from vectors that are contiguous already: packed[p width + i] = x[p x_row + i]. */
static void pack_panel(size_t used, size_t width, size_t depth, const real *x, ptrdiff_t x_row,
                       real *packed) {
    if (used == TILE_COLS && width == TILE_COLS) {
        for (size_t p = 0; p < depth; p++)
#pragma GCC unroll 4
            for (size_t v = 0; v < TILE_VECS; v++)
                v_store(packed + p * TILE_COLS + v * VL, v_load(x + (ptrdiff_t)p * x_row + v * VL));
        return;
    }
    for (size_t p = 0; p < depth; p++)
        for (size_t i = 0; i < width; i += VL) {
            const size_t lanes = used <= i ? 0 : used - i;
            v_store_part(packed + p * width + i,
                         v_load_part(x + (ptrdiff_t)p * x_row + (ptrdiff_t)i, lanes), width - i);
        }
}

static void pack_a(size_t m, size_t k, const real *a, ptrdiff_t a_row, ptrdiff_t a_col,
                   real *packed) {
    for (size_t i = 0; i < m; i += TILE_ROWS) {
        const size_t used = m - i < TILE_ROWS ? m - i : TILE_ROWS;
        if (a_col == 1)
            pack_panel_transposed(used, m - i, TILE_ROWS, k, a + (ptrdiff_t)i * a_row, a_row,
                                  packed + i * k);
        else
            pack_panel(used, TILE_ROWS, k, a + (ptrdiff_t)i, a_col, packed + i * k);
    }
}

static void pack_b(size_t k, size_t n, const real *b, ptrdiff_t b_row, real *packed) {
    for (size_t j = 0; j < n; j += TILE_COLS)
        pack_panel(n - j < TILE_COLS ? n - j : TILE_COLS, TILE_COLS, k, b + j, b_row,
                   packed + j * k);
}

static void pack_b_transposed(size_t k, size_t n, const real *b, ptrdiff_t b_row, real *packed) {
    for (size_t j = 0; j < n; j += TILE_COLS)
        pack_panel_transposed(n - j < TILE_COLS ? n - j : TILE_COLS, n - j, TILE_COLS, k,
                              b + (ptrdiff_t)j * b_row, b_row, packed + j * k);
}

#endif
