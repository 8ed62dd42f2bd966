/* The public functions of the tape's arithmetic: two arrays combined, where either may be one row
 * for all, one column for all or one number; sums of rows; products over an axis. */
#include "../deepc.h"
#include "../mode.h"
#include "tables.h"

static int too_large(size_t rows, size_t cols) {
    return cols > 0 && rows > PTRDIFF_MAX / sizeof(real) / cols;
}

int TYPED(dc_combine)(int function, size_t rows, size_t cols, const real *a, size_t a_row,
                      size_t a_col, const real *b, size_t b_row, size_t b_col, real *y) {
    DEFAULT_MODE;
    if (function < DC_ADD || function > DC_QUOTIENT) return DC_BAD_NAME;
    if (a_col > 1 || b_col > 1 || too_large(rows, cols)) return DC_BAD_SIZE;
    if (rows == 0 || cols == 0) return DC_OK;
    if (!a || !b || !y) return DC_BAD_POINTER;
    const kernel_table *const kernel = TYPED(dc_kernels)();
    if (a_row == a_col * cols && b_row == b_col * cols) {
        kernel->combine(function, rows * cols, a, a_col, b, b_col, y);
        return DC_OK;
    }
    for (size_t i = 0; i < rows; i++)
        kernel->combine(function, cols, a + i * a_row, a_col, b + i * b_row, b_col, y + i * cols);
    return DC_OK;
}

int TYPED(dc_column_sum)(size_t rows, size_t cols, const real *x, int accumulate, real *y) {
    DEFAULT_MODE;
    if (cols == 0) return DC_OK;
    if (!y || (rows > 0 && !x)) return DC_BAD_POINTER;
    if (too_large(rows, cols)) return DC_BAD_SIZE;
    TYPED(dc_kernels)()->column_sum(rows, cols, x, (ptrdiff_t)cols, accumulate != 0, y);
    return DC_OK;
}

/* Whether no array can be so large; for a size of 0 in any place it can. */
static int too_large_for_three(size_t before, size_t count, size_t after) {
    return too_large(count, after) || too_large(before, after) ||
           (count > 0 && too_large(before, count * after));
}

int TYPED(dc_prod)(size_t before, size_t count, size_t after, const real *x, real *y) {
    DEFAULT_MODE;
    if (before == 0 || after == 0) return DC_OK;
    if (too_large_for_three(before, count, after)) return DC_BAD_SIZE;
    if (!y || (count > 0 && !x)) return DC_BAD_POINTER;
    TYPED(dc_kernels)()->product(before, count, after, x, y);
    return DC_OK;
}

int TYPED(dc_prod_backward)(size_t before, size_t count, size_t after, const real *x,
                            const real *d_y, real *d_x) {
    DEFAULT_MODE;
    if (before == 0 || count == 0 || after == 0) return DC_OK;
    if (too_large_for_three(before, count, after)) return DC_BAD_SIZE;
    if (!x || !d_y || !d_x) return DC_BAD_POINTER;
    TYPED(dc_kernels)()->product_backward(before, count, after, x, d_y, d_x);
    return DC_OK;
}
