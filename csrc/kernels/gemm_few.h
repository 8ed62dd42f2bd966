/* Products with few columns, c = a b for n <= FEW_COLS: the output layer of a classifier. The
 * register tile would use n lanes of a vector; here the lanes are rows of a, which is transposed in
 * registers on its way, and the few columns of b are broadcast.
 *
 * Each element is the chain of every other kernel (see gemm_tile.h), so its bits are the same. */
#ifndef DEEPC_GEMM_FEW_H
#define DEEPC_GEMM_FEW_H

#include "gemm_pack.h"

/* With fewer lanes the tile uses them as well. */
enum { FEW_PAYS = VL >= 8 };

/* Up to VL rows of a; total[j]: column j, the outputs so far where they have started. */
typedef struct few_operands {
    size_t n, k;
    const real *a;
    ptrdiff_t a_row;
    size_t rows;
    const real *b;
    ptrdiff_t b_row, b_col;
    int started;
    vec total[FEW_COLS];
} few_operands;

/* Where the columns of b are. An address of x86 reaches a base + 0, 1 or 2 steps, so one pointer
 * serves three columns, and the last column has its own. A pointer for each column would not fit
 * the general registers; gcc would then keep sums of them in vectors. */
typedef struct few_pointers {
    const real *third[FEW_COLS / 3], *last;
} few_pointers;

ALWAYS_INLINE void few_forward(const int n, few_pointers *b, ptrdiff_t by) {
#pragma GCC unroll 3
    for (int j = 0; j < (n + 1) / 3; j++) b->third[j] += by;
    b->last += by;
}

/* SQUARE steps of all chains, but for the first `skip`. */
ALWAYS_INLINE void few_steps(const int n, const few_operands *t, size_t skip, vec_rows *a,
                             few_pointers *b, vec acc[FEW_COLS]) {
    vec column[SQUARE];
    v_columns(a, column);
    rows_forward(a, SQUARE);
#pragma GCC unroll 8
    for (size_t q = 0; q < SQUARE; q++) {
        if (q >= skip) {
#pragma GCC unroll 10
            for (int j = 0; j < n; j++) {
                const real *x = j == n - 1 ? b->last : b->third[j / 3] + j % 3 * t->b_col;
                acc[j] = v_fma(v_set(*x), column[q], acc[j]);
            }
        }
        few_forward(n, b, t->b_row);
    }
}

/* `n` columns, of which the last ones may be the same. */
ALWAYS_INLINE void few_body(const int n, few_operands *t) {
    vec_rows a = rows_of(t->rows, t->a, t->a_row);
    few_pointers b = {.last = t->b + (ptrdiff_t)(t->n - 1) * t->b_col};
#pragma GCC unroll 3
    for (int j = 0; j < (n + 1) / 3; j++) b.third[j] = t->b + 3 * j * t->b_col;
    int started = t->started;
    size_t left = t->k;
    do {
        size_t block = left < K_BLOCK ? left : K_BLOCK;
        left -= block;
        vec acc[FEW_COLS];
#pragma GCC unroll 10
        for (int j = 0; j < n; j++) acc[j] = v_zero();
        while (block > 0) {
            /* Where less than a square is left, the last one again without the steps that are
             * done. */
            const size_t skip = block < SQUARE ? SQUARE - block : 0;
            if (skip) {
                rows_forward(&a, -(ptrdiff_t)skip);
                few_forward(n, &b, -(ptrdiff_t)skip * t->b_row);
            }
            few_steps(n, t, skip, &a, &b, acc);
            block -= SQUARE - skip;
        }
#pragma GCC unroll 10
        for (int j = 0; j < n; j++) t->total[j] = started ? v_add(t->total[j], acc[j]) : acc[j];
        started = 1;
    } while (left > 0);
}

/* Only these widths have functions, for size: where there is a column less, the last is computed
 * twice. They begin on a line of the cache: 64 rows times 25 x 4 took 0.42 to 0.52 us by where code
 * that came before had moved their loops. */
#define FEW(n)                                                                                     \
    static __attribute__((aligned(64))) void few_##n(few_operands *t) { few_body(n, t); }
FEW(2)
FEW(4)
FEW(10)
#undef FEW

/* Seldom needed, so short rather than fast: n columns of `rows` <= VL outputs so far as vectors,
 * row r in lane row_lane(rows, r). */
static __attribute__((cold, noinline)) void
few_start(size_t rows, size_t n, const real *c, ptrdiff_t c_row, ptrdiff_t c_col, vec *total) {
    for (size_t j = 0; j < n; j++) {
        real lanes[VL] = {0};
        for (size_t r = 0; r < rows; r++)
            lanes[row_lane(rows, r)] = c[(ptrdiff_t)r * c_row + (ptrdiff_t)j * c_col];
        total[j] = v_load(lanes);
    }
}

/* Row r to lane r, where the last rows are elsewhere. */
static __attribute__((cold, noinline)) void few_order(size_t rows, size_t n, vec *total) {
    for (size_t j = 0; j < n; j++) {
        real lanes[VL];
        v_store(lanes, total[j]);
        for (size_t r = rows / 4 * 4; r < rows; r++) lanes[r] = lanes[row_lane(rows, r)];
        total[j] = v_load(lanes);
    }
}

/* Rows of c, plus the bias, from the columns in `total`: element by element, or through a
 * transposition where that is quicker. */
static void few_store(size_t rows, size_t n, const vec *total, const real *bias, real *c,
                      ptrdiff_t c_row) {
    real column[VL * VL], row[VL * VL];
    for (size_t j = 0; j < n; j += VL) {
        const size_t lanes = n - j < VL ? n - j : VL;
        for (size_t v = 0; v < lanes; v++)
            v_store(column + v * VL, bias ? v_add(total[j + v], v_set(bias[j + v])) : total[j + v]);
        if (n > 4) transpose_square(column, VL, row, VL);
        for (size_t r = 0; r < rows; r++) {
            real *to = c + (ptrdiff_t)r * c_row + (ptrdiff_t)j;
            if (n > 4)
                v_store_part(to, v_load(row + r * VL), lanes);
            else
                for (size_t v = 0; v < lanes; v++) to[v] = column[v * VL + r];
        }
    }
}

/* The epilogue and the way to c of a group of rows that begins at row i. */
static void few_finish(size_t i, size_t rows, size_t n, vec *total, const epilogue *end, real *c,
                       ptrdiff_t c_row, ptrdiff_t c_col) {
    const real *bias = end ? end->bias : NULL;
    const int activation = end ? end->activation : 0;
    if (rows > 4 && rows % 4 > 0) few_order(rows, n, total);
    if (c_col == 1) {
        few_store(rows, n, total, bias, c, c_row);
        for (size_t r = 0; activation && r < rows; r++)
            finish_row(end, i + r, 0, n, c + (ptrdiff_t)r * c_row);
        return;
    }
    for (size_t j = 0; j < n; j++, c += c_col) { /* a part of row j of the transpose */
        v_store_part(c, bias ? v_add(total[j], v_load_part(bias + i, rows)) : total[j], rows);
        if (activation) finish_row(end, j, i, rows, c);
    }
}

static void gemm_few(size_t m, size_t n, size_t k, const real *a, ptrdiff_t a_row, const real *b,
                     ptrdiff_t b_row, ptrdiff_t b_col, int accumulate, const epilogue *end, real *c,
                     ptrdiff_t c_row, ptrdiff_t c_col) {
    if (!FEW_PAYS) return;
    void (*const few)(few_operands *t) = n <= 2 ? few_2 : n <= 4 ? few_4 : few_10;
    few_operands t; /* not initialized as a whole: clearing `total` costs as much as a product */
    t.n = n;
    t.k = k;
    t.a_row = a_row;
    t.b = b;
    t.b_row = b_row;
    t.b_col = b_col;
    t.started = accumulate;
    for (size_t i = 0; i < m; i += VL) {
        real *group = c + (ptrdiff_t)i * c_row;
        t.rows = m - i < VL ? m - i : VL;
        t.a = a + (ptrdiff_t)i * a_row;
        if (accumulate) few_start(t.rows, n, group, c_row, c_col, t.total);
        few(&t);
        few_finish(i, t.rows, n, t.total, end, group, c_row, c_col);
    }
}

#endif
