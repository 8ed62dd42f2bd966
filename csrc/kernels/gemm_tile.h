/* The matrix products: register tiles, packing, and the two orientations of matrix times vector.
 *
 * Every element of a product is computed in the order that DESIGN states: within a block of K_BLOCK
 * one chain of fused multiply-adds from +0 in increasing k, blocks added in increasing order. Which
 * tile, orientation or packing computed it can therefore not be seen in its bits.
 *
 * The choice between these kernels, the blocking for the caches and the threads are in
 * typed/gemm.c. */
#ifndef DEEPC_GEMM_TILE_H
#define DEEPC_GEMM_TILE_H

#include "activation.h"
#include "table.h"
#include "vec.h"

enum { TILE_COLS = TILE_VECS * VL };

/* Where a tile's operands are; steps count elements. `last` lanes of the last vector of a row are
 * in use. */
typedef struct tile_operands {
    size_t k;
    const real *a;
    ptrdiff_t a_row, a_col;
    const real *b;
    ptrdiff_t b_row;
    size_t last;
    int accumulate;
    const real *bias;
    real *c;
    ptrdiff_t c_row;
} tile_operands;

/* acc += a b over k. `rows`, `vecs` and `part` are constants at every call, so the loops over them
 * unroll and the accumulators live in registers. The pointers to every third row keep the addresses
 * within the registers of x86-64: a base plus 0, 1 or 2 times a_row. */
ALWAYS_INLINE void tile_multiply(const int rows, const int vecs, const int part,
                                 const tile_operands *t, vec acc[TILE_ROWS][TILE_VECS]) {
    const real *a[(TILE_ROWS + 2) / 3];
#pragma GCC unroll 5
    for (int g = 0; g < (rows + 2) / 3; g++) a[g] = t->a + 3 * g * t->a_row;
    const real *b = t->b;
    const ptrdiff_t a_row = t->a_row, a_col = t->a_col, b_row = t->b_row;
    const size_t last = t->last;
    for (size_t p = t->k; p > 0; p--) {
        vec bp[TILE_VECS];
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++)
            bp[v] = part && v == vecs - 1 ? v_load_part(b + v * VL, last) : v_load(b + v * VL);
#pragma GCC unroll 14
        for (int r = 0; r < rows; r++) {
            const vec ap = v_set(a[r / 3][(r % 3) * a_row]);
#pragma GCC unroll 4
            for (int v = 0; v < vecs; v++) acc[r][v] = v_fma(ap, bp[v], acc[r][v]);
        }
#pragma GCC unroll 5
        for (int g = 0; g < (rows + 2) / 3; g++) a[g] += a_col;
        b += b_row;
    }
}

/* One tile: c = a b, or c + a b, plus the bias. */
ALWAYS_INLINE void tile_body(const int rows, const int vecs, const tile_operands *t) {
    vec acc[TILE_ROWS][TILE_VECS];
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) acc[r][v] = v_zero();
    if (PART_LOADS_ARE_FREE || t->last < VL)
        tile_multiply(rows, vecs, 1, t, acc);
    else
        tile_multiply(rows, vecs, 0, t, acc);

    const size_t last = t->last;
    if (t->accumulate) {
#pragma GCC unroll 14
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
            for (int v = 0; v < vecs; v++) {
                const real *c = t->c + r * t->c_row + v * VL;
                acc[r][v] = v_add(v == vecs - 1 ? v_load_part(c, last) : v_load(c), acc[r][v]);
            }
    }
    if (t->bias) {
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) {
            const real *bias = t->bias + v * VL;
            const vec add = v == vecs - 1 ? v_load_part(bias, last) : v_load(bias);
#pragma GCC unroll 14
            for (int r = 0; r < rows; r++) acc[r][v] = v_add(acc[r][v], add);
        }
    }
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) {
            real *c = t->c + r * t->c_row + v * VL;
            if (v < vecs - 1 || last == VL)
                v_store(c, acc[r][v]);
            else
                v_store_part(c, acc[r][v], last);
        }
}

/* One function per tile shape, so that the object code of each can be read by itself (a test does).
 */
#define TILE(rows, vecs)                                                                           \
    static void tile_##rows##x##vecs(const tile_operands *t) { tile_body(rows, vecs, t); }
TILE(1, 1)
TILE(1, 2)
TILE(1, 3)
TILE(1, 4)
TILE(2, 1)
TILE(2, 2)
TILE(2, 3)
TILE(2, 4)
TILE(3, 1)
TILE(3, 2)
TILE(3, 3)
TILE(3, 4)
TILE(4, 1)
TILE(4, 2)
TILE(4, 3)
TILE(4, 4)
TILE(5, 1)
TILE(5, 2)
TILE(5, 3)
TILE(6, 1)
TILE(6, 2)
TILE(6, 3)
TILE(7, 1)
TILE(7, 2)
TILE(7, 3)
TILE(8, 1)
TILE(8, 2)
TILE(14, 1)
TILE(14, 2)

/* Indexed by rows - 1 and vecs - 1; between 8 and 14 rows there are none, two lower tiles do as well.
 * Shapes beyond this instruction set's tile are never called. */
#define FITS(rows, vecs)                                                                           \
    ((rows) <= TILE_ROWS && (vecs) <= TILE_VECS &&                                                 \
             (MANY_VARIANTS || (rows) == 1 || (rows) == TILE_ROWS)                                 \
         ? tile_##rows##x##vecs                                                                    \
         : NULL)
static void (*const tiles[14][4])(const tile_operands *t) = {
    {FITS(1, 1), FITS(1, 2), FITS(1, 3), FITS(1, 4)},
    {FITS(2, 1), FITS(2, 2), FITS(2, 3), FITS(2, 4)},
    {FITS(3, 1), FITS(3, 2), FITS(3, 3), FITS(3, 4)},
    {FITS(4, 1), FITS(4, 2), FITS(4, 3), FITS(4, 4)},
    {FITS(5, 1), FITS(5, 2), FITS(5, 3)},
    {FITS(6, 1), FITS(6, 2), FITS(6, 3)},
    {FITS(7, 1), FITS(7, 2), FITS(7, 3)},
    {FITS(8, 1), FITS(8, 2)},
    [13] = {FITS(14, 1), FITS(14, 2)},
};
#undef TILE
#undef FITS

/* The activation of an epilogue, or its backward pass, over `cols` elements of row i from column j
 * on. */
ALWAYS_INLINE void finish_row(const epilogue *end, size_t i, size_t j, size_t cols, real *row) {
    if (end->outputs)
        activation_backward(end->activation, cols,
                            end->outputs + (ptrdiff_t)i * end->outputs_row + j, row, row);
    else
        activation_forward(end->activation, cols, row, row);
}

/* How many of `left` rows the next tile takes: a full tile while there are many, then tiles of equal
 * height. */
ALWAYS_INLINE size_t tile_height(size_t left) {
    enum { LOWER = TILE_ROWS > 8 ? 8 : TILE_ROWS };
    if (left >= 2 * TILE_ROWS || left == TILE_ROWS) return TILE_ROWS;
    if (!MANY_VARIANTS) return left > TILE_ROWS ? TILE_ROWS : 1;
    const size_t groups = (left + LOWER - 1) / LOWER;
    return (left + groups - 1) / groups;
}

/* c = a b for one block of k. A panel of b stays in the cache while the rows pass over it. The
 * activation follows each tile, while its rows are in cache. */
ALWAYS_INLINE void gemm_block(size_t m, size_t n, tile_operands t, ptrdiff_t a_panel,
                              ptrdiff_t b_panel, const int packed, const epilogue *end) {
    const real *a = t.a, *b = t.b, *bias = end ? end->bias : NULL;
    real *c = t.c;
    for (size_t j = 0; j < n; j += TILE_COLS, b += b_panel) {
        const size_t cols = n - j < TILE_COLS ? n - j : TILE_COLS;
        const size_t vecs = (cols + VL - 1) / VL;
        t.b = b;
        t.bias = bias ? bias + j : NULL;
        t.last = cols - (vecs - 1) * VL;
        size_t rows;
        for (size_t i = 0; i < m; i += rows) {
            if (packed) { /* no tile crosses the edge of a panel */
                const size_t within = i % TILE_ROWS, room = TILE_ROWS - within;
                rows = tile_height(m - i < room ? m - i : room);
                t.a = a + (ptrdiff_t)(i / TILE_ROWS) * a_panel + (ptrdiff_t)within;
            } else {
                rows = tile_height(m - i);
                t.a = a + (ptrdiff_t)i * t.a_row;
            }
            t.c = c + (ptrdiff_t)i * t.c_row + (ptrdiff_t)j;
            tiles[rows - 1][vecs - 1](&t);
            if (end && end->activation)
                for (size_t r = 0; r < rows; r++)
                    finish_row(end, i + r, j, cols, t.c + (ptrdiff_t)r * t.c_row);
        }
    }
}

static void gemm(size_t m, size_t n, size_t k, const real *a, ptrdiff_t a_row, ptrdiff_t a_col,
                 const real *b, ptrdiff_t b_row, int accumulate, const epilogue *end, real *c,
                 ptrdiff_t c_row) {
    size_t p = 0;
    do {
        const size_t block = k - p < K_BLOCK ? k - p : K_BLOCK;
        const int final = p + block == k;
        const tile_operands t = {.k = block,
                                 .a = a + (ptrdiff_t)p * a_col,
                                 .a_row = a_row,
                                 .a_col = a_col,
                                 .b = b + (ptrdiff_t)p * b_row,
                                 .b_row = b_row,
                                 .accumulate = accumulate || p > 0,
                                 .c = c,
                                 .c_row = c_row};
        gemm_block(m, n, t, 0, TILE_COLS, 0, final ? end : NULL);
        p += block;
    } while (p < k);
}

static void gemm_packed(size_t m, size_t n, size_t k, const real *packed_a, const real *packed_b,
                        int accumulate, const epilogue *end, real *c, ptrdiff_t c_row) {
    const tile_operands t = {.k = k,
                             .a = packed_a,
                             .a_row = 1,
                             .a_col = TILE_ROWS,
                             .b = packed_b,
                             .b_row = TILE_COLS,
                             .accumulate = accumulate,
                             .c = c,
                             .c_row = c_row};
    gemm_block(m, n, t, (ptrdiff_t)(k * TILE_ROWS), (ptrdiff_t)(k * TILE_COLS), 1, end);
}

/* A square of x, transposed: VL vectors `width` apart, vector q from column q of x. A function of its own,
 * because inlined into its loop the square would not fit the registers. */
static __attribute__((noinline)) void pack_square(const real *x, ptrdiff_t x_row, size_t width,
                                                  real *packed) {
    vec column[VL];
#pragma GCC unroll 16
    for (size_t r = 0; r < VL; r++) column[r] = v_load(x + (ptrdiff_t)r * x_row);
    v_transpose(column);
#pragma GCC unroll 16
    for (size_t q = 0; q < VL; q++) v_store(packed + q * width, column[q]);
}

/* A part of one: `rows` x `cols` of x, the other lanes zero; only `room` elements may be written. */
static __attribute__((noinline)) void pack_part(size_t rows, size_t cols, const real *x,
                                                ptrdiff_t x_row, size_t width, size_t room,
                                                real *packed) {
    vec column[VL];
    for (size_t r = 0; r < VL; r++)
        column[r] = r < rows ? v_load_part(x + (ptrdiff_t)r * x_row, cols) : v_zero();
    v_transpose(column);
    for (size_t q = 0; q < cols; q++) v_store_part(packed + q * width, column[q], room - q * width);
}

/* `depth` vectors of `width` lanes, k-major: packed[p width + i] = x[i x_row + p] for i < used, else 0; x has
 * `there` >= used rows. Whole vectors are stored; what spills over the end of one row of the panel
 * is overwritten when that place gets its own value, which is why the lanes go in decreasing order.
 * Only at the panel's end the store is exact. */
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
                (p + VL) * width + i + VL <= depth * width)
                pack_square(from, x_row, width, packed + at);
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

/* The strips in use: 8 chains or a little more, enough for the latency of every core. */
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
STRIP(5, 1)
STRIP(6, 1)
STRIP(7, 1)
STRIP(8, 1)
#undef STRIP

static void gemv(size_t n, size_t k, const real *x, const real *w, ptrdiff_t w_row, int accumulate,
                 const epilogue *end, real *y) {
    /* Indexed by vectors - 1 and blocks - 1. */
#define STRIP(vecs, blocks) (MANY_VARIANTS ? strip_##vecs##x##blocks : NULL)
    static void (*const strips[8][4])(const tile_operands *t) = {
        {strip_1x1, STRIP(1, 2), STRIP(1, 3), STRIP(1, 4)},
        {STRIP(2, 1), STRIP(2, 2), STRIP(2, 3), STRIP(2, 4)},
        {STRIP(3, 1), STRIP(3, 2)},
        {STRIP(4, 1), STRIP(4, 2)},
        {STRIP(5, 1)},
        {STRIP(6, 1)},
        {STRIP(7, 1)},
        {strip_8x1},
    };
#undef STRIP
    static const size_t side_by_side[8] = {MANY_VARIANTS ? 4 : 1, 4, 2, 2, 1, 1, 1, 1};
    size_t vecs;
    for (size_t j = 0; j < n; j += vecs * VL) {
        vecs = (n - j + VL - 1) / VL;
        if (!MANY_VARIANTS && vecs < 8) vecs = 1;
        tile_operands t = {.b_row = w_row,
                           .last = vecs > 8 ? VL : n - j - (vecs - 1) * VL,
                           .c = y + j};
        if (vecs > 8) vecs = 8;
        size_t p = 0;
        do {
            size_t blocks = (k - p + K_BLOCK - 1) / K_BLOCK;
            if (blocks > side_by_side[vecs - 1]) blocks = side_by_side[vecs - 1];
            if (blocks == 0) blocks = 1; /* k = 0: an empty chain */
            t.k = k - p < blocks * K_BLOCK ? k - p : blocks * K_BLOCK;
            t.a = x + p;
            t.b = w + (ptrdiff_t)p * w_row + (ptrdiff_t)j;
            t.accumulate = accumulate || p > 0;
            p += t.k;
            t.bias = p == k && end && end->bias ? end->bias + j : NULL;
            strips[vecs - 1][blocks - 1](&t);
        } while (p < k);
    }
    if (end && end->activation) finish_row(end, 0, 0, n, y);
}

/* Goes on with the chains of VL outputs, the products of VL rows of w with x, for `cols` <= VL steps:
 * the square of w is transposed in registers, and its columns are what the chains take. */
ALWAYS_INLINE vec transposed_step(vec acc, const int full, size_t rows, size_t cols, const real *x,
                                  const real *w, ptrdiff_t w_row) {
    vec column[VL];
#pragma GCC unroll 16
    for (size_t r = 0; r < VL; r++) {
        const real *row = w + (ptrdiff_t)r * w_row;
        column[r] = full ? v_load(row) : r < rows ? v_load_part(row, cols) : v_zero();
    }
    v_transpose(column);
#pragma GCC unroll 16
    for (size_t q = 0; q < VL; q++) {
        if (!full && q == cols) break;
        acc = v_fma(v_set(x[q]), column[q], acc);
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

/* Up to 2 VL outputs: two groups of rows take turns, so that the chain of one hides behind the
 * transposition of the other. */
ALWAYS_INLINE void gemv_transposed_strip(const int groups, size_t rows, size_t k, const real *x,
                                         const real *w, ptrdiff_t w_row, int accumulate,
                                         const real *bias, real *y) {
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
    size_t i = 0;
    for (; i + VL < n; i += 2 * VL)
        gemv_transposed_strip(2, n - i, k, x, w + (ptrdiff_t)i * w_row, w_row, accumulate,
                              bias ? bias + i : NULL, y + i);
    if (i < n)
        gemv_transposed_strip(1, n - i, k, x, w + (ptrdiff_t)i * w_row, w_row, accumulate,
                              bias ? bias + i : NULL, y + i);
    if (end && end->activation) finish_row(end, 0, 0, n, y);
}

#endif
