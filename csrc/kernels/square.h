/* Squares of VL x VL elements, transposed in registers: how the lanes of vectors become rows, or
 * columns. */
#ifndef DEEPC_SQUARE_H
#define DEEPC_SQUARE_H

#include "vec.h"

/* Vector q of y from column q of x; rows of x are x_row apart, vectors of y y_row. A function of
 * its own, because inlined into its loop the square would not fit the registers. */
static __attribute__((noinline)) void transpose_square(const real *x, ptrdiff_t x_row, real *y,
                                                       size_t y_row) {
    vec_rows rows = rows_of(VL, x, x_row);
    for (size_t j = 0; j < VL; j += SQUARE) {
        vec column[SQUARE];
        v_columns(&rows, column);
        rows_forward(&rows, SQUARE);
#pragma GCC unroll 16
        for (size_t q = 0; q < SQUARE; q++) v_store(y + (j + q) * y_row, column[q]);
    }
}

/* Rows of `cols` <= SUM_LANES elements, up to VL of them side by side: lane r of vector j is
 * element j of row r. Rows from `rows` on are zeros. There is room for SUM_LANES vectors. */
static void rows_to_columns(size_t rows, size_t cols, const real *x, real *columns) {
    for (size_t j = 0; j < SUM_LANES && j < cols; j += VL) {
        real square[VL * VL];
        for (size_t r = 0; r < VL; r++)
            v_store(square + r * VL, r < rows ? v_load_part(x + r * cols + j, cols - j) : v_zero());
        transpose_square(square, VL, columns + j * VL, VL);
    }
}

/* And back, through `squares`. Whole vectors are stored: what spills over the end of a row is
 * overwritten by the next one. */
static void columns_to_rows(size_t rows, size_t cols, const real *columns, real *squares, real *y) {
    for (size_t j = 0; j < SUM_LANES && j < cols; j += VL)
        transpose_square(columns + j * VL, VL, squares + j * VL, VL);
    const real *end = y + rows * cols;
    for (size_t r = 0; r < rows; r++, y += cols)
#pragma GCC unroll 4
        for (size_t j = 0; j < SUM_LANES; j += VL) {
            if (j >= cols) break;
            const vec part = v_load(squares + j * VL + r * VL);
            if (end - (y + j) >= VL)
                v_store(y + j, part);
            else
                v_store_part(y + j, part, cols - j);
        }
}

#endif
