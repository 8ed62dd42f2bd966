/* The matrix product in register tiles, of operands where they are or packed (gemm_pack.h).
 *
 * Every element of a product is computed in the order that DESIGN states: within a block of K_BLOCK
 * one chain of fused multiply-adds from +0 in increasing k, blocks added in increasing order. Which
 * tile, orientation or packing computed it can therefore not be seen in its bits.
 *
 * Products with one row are in gemv.h, with few columns in gemm_few.h. The choice between these
 * kernels, the blocking for the caches and the threads are in typed/gemm.c. */
#ifndef DEEPC_GEMM_TILE_H
#define DEEPC_GEMM_TILE_H

#include "elementwise.h"
#include "table.h"
#include "vec.h"

enum { TILE_COLS = TILE_VECS * VL };
enum { LINE = 64 / sizeof(real) }; /* elements of a line of the caches */
/* A tile of PAIR rows needs PAIR_VECS vectors of columns, more than others, to keep enough
 * multiply-adds in flight; that also reads b in longer pieces. The rest of a row uses up to
 * PAIR_REST vectors. */
enum { PAIR = 2, PAIR_REST = 4, MOST_VECS = 8 };

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
    struct fetching *fetching; /* of tiles that do */
} tile_operands;

/* What tiles bring into the caches beside their work: `step` elements in each step of k. */
typedef struct fetching {
    const real *next, *end;
    size_t step;
} fetching;

/* acc += a b over k. `rows`, `vecs`, `part` and `fetch` are constants at every call, so the loops
 * over them unroll and the accumulators live in registers. The pointers to every third row keep the
 * addresses within the registers of x86-64: a base plus 0, 1 or 2 times a_row. */
ALWAYS_INLINE void tile_multiply(const int rows, const int vecs, const int part, const int fetch,
                                 const tile_operands *t, vec acc[TILE_ROWS][MOST_VECS]) {
    const real *a[(TILE_ROWS + 2) / 3];
#pragma GCC unroll 5
    for (int g = 0; g < (rows + 2) / 3; g++) a[g] = t->a + 3 * g * t->a_row;
    const real *b = t->b;
    const ptrdiff_t a_row = t->a_row, a_col = t->a_col, b_row = t->b_row;
    const size_t last = t->last, step = fetch ? t->fetching->step : 0;
    const real *next = fetch ? t->fetching->next : NULL;
    for (size_t p = t->k; p > 0; p--) {
        if (fetch) { /* hardly a step is longer than two lines */
            __builtin_prefetch(next, 0, 2);
            __builtin_prefetch(next + LINE, 0, 2);
            next += step;
        }
        vec bp[MOST_VECS];
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++)
            bp[v] = part && v == vecs - 1 ? v_load_part(b + v * VL, last) : v_load(b + v * VL);
#pragma GCC unroll 14
        for (int r = 0; r < rows; r++) {
            const vec ap = v_set(a[r / 3][(r % 3) * a_row]);
#pragma GCC unroll 8
            for (int v = 0; v < vecs; v++) acc[r][v] = v_fma(ap, bp[v], acc[r][v]);
        }
#pragma GCC unroll 5
        for (int g = 0; g < (rows + 2) / 3; g++) a[g] += a_col;
        b += b_row;
    }
    if (fetch) t->fetching->next = next < t->fetching->end ? next : NULL;
}

ALWAYS_INLINE void tile_start(const int rows, const int vecs, vec acc[TILE_ROWS][MOST_VECS]) {
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++) acc[r][v] = v_zero();
}

/* c = acc, or c + acc, plus the bias; `plain`: there is no bias and no part of a vector. */
ALWAYS_INLINE void tile_end(const int rows, const int vecs, const int plain, const tile_operands *t,
                            vec acc[TILE_ROWS][MOST_VECS]) {
    const size_t last = plain ? VL : t->last;
    if (t->accumulate) {
#pragma GCC unroll 14
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
            for (int v = 0; v < vecs; v++) {
                const real *c = t->c + r * t->c_row + v * VL;
                acc[r][v] =
                    v_add(!plain && v == vecs - 1 ? v_load_part(c, last) : v_load(c), acc[r][v]);
            }
    }
    if (!plain && t->bias) {
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++) {
            const real *bias = t->bias + v * VL;
            const vec add = v == vecs - 1 ? v_load_part(bias, last) : v_load(bias);
#pragma GCC unroll 14
            for (int r = 0; r < rows; r++) acc[r][v] = v_add(acc[r][v], add);
        }
    }
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int v = 0; v < vecs; v++) {
            real *c = t->c + r * t->c_row + v * VL;
            if (v < vecs - 1 || last == VL)
                v_store(c, acc[r][v]);
            else
                v_store_part(c, acc[r][v], last);
        }
}

/* One tile. */
ALWAYS_INLINE void tile_body(const int rows, const int vecs, const int fetch,
                             const tile_operands *t) {
    vec acc[TILE_ROWS][MOST_VECS];
    tile_start(rows, vecs, acc);
    if (!fetch && (PART_LOADS_ARE_FREE || t->last < VL))
        tile_multiply(rows, vecs, 1, fetch, t, acc);
    else
        tile_multiply(rows, vecs, 0, fetch, t, acc);
    tile_end(rows, vecs, fetch, t, acc);
}

/* One function per tile shape, so that the object code of each can be read by itself (a test does).
 */
#define TILE(rows, vecs)                                                                           \
    static void tile_##rows##x##vecs(const tile_operands *t) { tile_body(rows, vecs, 0, t); }
TILE(1, 1)
TILE(1, 2)
TILE(1, 3)
TILE(1, 4)
TILE(2, 1)
TILE(2, 2)
TILE(2, 3)
TILE(2, 4)
TILE(2, 8)
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

/* Indexed by rows - 1 and vecs - 1, or 4 for 8 of them; between 8 and 14 rows there are none, two
 * lower tiles do as well. Shapes beyond this instruction set's tile are never called. */
#define FITS(rows, vecs)                                                                           \
    ((rows) <= TILE_ROWS &&                                                                        \
             ((vecs) <= TILE_VECS || (MANY_VARIANTS && (rows) == PAIR && (vecs) <= PAIR_VECS)) &&  \
             (MANY_VARIANTS || (rows) == 1 || (rows) == TILE_ROWS)                                 \
         ? tile_##rows##x##vecs                                                                    \
         : NULL)
static void (*const tiles[14][5])(const tile_operands *t) = {
    {FITS(1, 1), FITS(1, 2), FITS(1, 3), FITS(1, 4)},
    {FITS(2, 1), FITS(2, 2), FITS(2, 3), FITS(2, 4), FITS(2, 8)},
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

/* Tiles that fetch. A product of few rows passes over b so quickly that it waits for memory, which
 * sees pieces of a row from a column of tiles and cannot guess the next ones; and of packed
 * operands the next panel of b is far away. They are functions of their own because to fetch what
 * is near already costs up to a fifth of a short product. For size they know no bias and no part of
 * a vector, and there are those of full height and two between: other heights do without. */
#define TILE(rows)                                                                                 \
    static void fetching_tile_##rows(const tile_operands *t) { tile_body(rows, TILE_VECS, 1, t); }
TILE(5)
TILE(6)
TILE(7)
TILE(8)
TILE(14)
#define FITS(rows)                                                                                 \
    (((rows) == TILE_ROWS || ((rows) < TILE_ROWS && ((rows) == 5 || (rows) == 8))) &&              \
             MANY_VARIANTS                                                                         \
         ? fetching_tile_##rows                                                                    \
         : NULL)
static void (*const fetching_tiles[14])(const tile_operands *t) = {[4] = FITS(5),
                                                                   [5] = FITS(6),
                                                                   [6] = FITS(7),
                                                                   [7] = FITS(8),
                                                                   [13] = FITS(14)};
#undef TILE
#undef FITS

/* The activation of an epilogue, or its backward pass, over `cols` elements of row i from column j
 * on. */
ALWAYS_INLINE void finish_row(const epilogue *end, size_t i, size_t j, size_t cols, real *row) {
    if (end->outputs)
        activation_backward(end->activation, end->parameter, cols,
                            end->outputs + (ptrdiff_t)i * end->outputs_row + j, row, row, 0);
    else
        activation_forward(end->activation, end->parameter, cols, row, row, 0);
}

/* How many of `left` rows the next tile takes: a full tile while there are many, then tiles of
 * equal height. */
ALWAYS_INLINE size_t tile_height(size_t left) {
    enum { LOWER = TILE_ROWS > 8 ? 8 : TILE_ROWS };
    if (left >= 2 * TILE_ROWS || left == TILE_ROWS) return TILE_ROWS;
    if (!MANY_VARIANTS) return left > TILE_ROWS ? TILE_ROWS : 1;
    /* A division of 64 bits takes 5 ns. */
    const uint32_t groups = (uint32_t)(left + LOWER - 1) / LOWER;
    return ((uint32_t)left + groups - 1) / groups;
}

/* The tile's elements of c come nearer while it multiplies. */
ALWAYS_INLINE void fetch_c(size_t rows, const tile_operands *t) {
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < TILE_COLS; j += LINE)
            __builtin_prefetch(t->c + (ptrdiff_t)r * t->c_row + j, 1, 2);
}

/* c = a b. A panel of b stays in the cache while the rows pass over it. The blocks of k follow each
 * other tile by tile, and the activation follows them, while the tile's part of c is in cache. */
ALWAYS_INLINE void gemm_tiles(size_t m, size_t n, size_t k, tile_operands *t, ptrdiff_t a_panel,
                              ptrdiff_t b_panel, int packed, int fetch, const epilogue *end) {
    const real *a = t->a, *const first = t->b, *b = first, *bias = end ? end->bias : NULL;
    const int accumulate = t->accumulate;
    const size_t down = packed ? (m + TILE_ROWS - 1) / TILE_ROWS : 0; /* tiles of a panel */
    size_t width = TILE_COLS;
    real *c = t->c;
    for (size_t j = 0; j < n; j += width, b += packed ? b_panel : (ptrdiff_t)width) {
        if (!packed && m == PAIR && MANY_VARIANTS)
            width = VL * (n - j < PAIR_VECS * VL ? PAIR_REST : PAIR_VECS);
        const size_t cols = n - j < width ? n - j : width;
        const size_t vecs = (cols + VL - 1) / VL;
        t->last = cols - (vecs - 1) * VL;
        /* The next panel comes nearer in the steps of the tiles, a little in each. Asked for all at
         * once it would stop the processor, which waits when it has asked for some ten lines. */
        if (packed) {
            const real *next = j + width < n ? b + b_panel : first;
            *t->fetching = (fetching){next, next + b_panel, TILE_COLS / down + 1};
        }
        size_t rows;
        for (size_t i = 0; i < m; i += rows) {
            if (packed) { /* no tile crosses the edge of a panel */
                const size_t within = i % TILE_ROWS, room = TILE_ROWS - within;
                rows = tile_height(m - i < room ? m - i : room);
                t->a = a + (ptrdiff_t)(i / TILE_ROWS) * a_panel + (ptrdiff_t)within * t->a_row;
            } else {
                rows = tile_height(m - i);
                t->a = a + (ptrdiff_t)i * t->a_row;
            }
            t->b = b;
            t->c = c + (ptrdiff_t)i * t->c_row + (ptrdiff_t)j;
            if (packed) fetch_c(rows, t);
            t->accumulate = accumulate;
            size_t left = k;
            do {
                t->k = left < K_BLOCK ? left : K_BLOCK;
                left -= t->k;
                t->bias = bias && left == 0 ? bias + j : NULL;
                if (fetch && t->fetching->next && cols == TILE_COLS && !t->bias &&
                    fetching_tiles[rows - 1])
                    fetching_tiles[rows - 1](t);
                else
                    tiles[rows - 1][vecs > 4 ? 4 : vecs - 1](t);
                t->a += (ptrdiff_t)t->k * t->a_col;
                t->b += (ptrdiff_t)t->k * t->b_row;
                t->accumulate = 1;
            } while (left > 0);
            if (end && end->activation)
                for (size_t r = 0; r < rows; r++)
                    finish_row(end, i + r, j, cols, t->c + (ptrdiff_t)r * t->c_row);
        }
    }
}

/* The product while `soon` elements behind b are fetched, in equal shares of its tiles. Apart from
 * the others, which are too short to carry what this needs. */
static __attribute__((noinline)) void gemm_and_fetch(size_t m, size_t n, size_t k,
                                                     const tile_operands *operands, size_t soon) {
    const size_t down = (m + TILE_ROWS - 1) / TILE_ROWS, across = (n + TILE_COLS - 1) / TILE_COLS;
    tile_operands t = *operands;
    const real *next = t.b + (ptrdiff_t)k * t.b_row;
    fetching ahead = {.next = next, .end = next + soon, .step = soon / (down * across * k) + 1};
    t.fetching = &ahead;
    gemm_tiles(m, n, k, &t, 0, 0, 0, 1, NULL);
}

/* The product of a column and a row, which is a gradient of one sample: the tiles' chains of one
 * step, without the tiles. */
static void outer(size_t m, size_t n, const real *a, ptrdiff_t a_row, const real *b, real *c,
                  ptrdiff_t c_row) {
    for (; m > 0; m--, a += a_row, c += c_row) {
        const vec factor = v_set(*a);
        size_t j = 0;
        for (; j + VL < n; j += VL) v_store(c + j, v_fma(factor, v_load(b + j), v_zero()));
        v_store_part(c + j, v_fma(factor, v_load_part(b + j, n - j), v_zero()), n - j);
    }
}

/* Where k is this short, what takes time is to write c. */
enum { SHALLOW = 16 };

static void gemm(size_t m, size_t n, size_t k, const real *a, ptrdiff_t a_row, ptrdiff_t a_col,
                 const real *b, ptrdiff_t b_row, int accumulate, const epilogue *end, real *c,
                 ptrdiff_t c_row, size_t soon) {
    if (MANY_VARIANTS && k == 1 && !accumulate && n > 0 &&
        (!end || (!end->bias && !end->activation))) {
        outer(m, n, a, a_row, b, c, c_row);
        return;
    }
    /* A few rows of c at a time are written from end to end, not columns of tiles from top to
     * bottom. */
    const size_t step = k <= SHALLOW ? 2 * TILE_ROWS : m;
    for (size_t i = 0; i < m; i += step) {
        tile_operands t = {.a = a + (ptrdiff_t)i * a_row,
                           .a_row = a_row,
                           .a_col = a_col,
                           .b = b,
                           .b_row = b_row,
                           .accumulate = accumulate,
                           .c = c + (ptrdiff_t)i * c_row,
                           .c_row = c_row};
        epilogue rest = {0};
        if (end) rest = *end;
        if (rest.outputs) rest.outputs += (ptrdiff_t)i * rest.outputs_row;
        if (soon > 0)
            gemm_and_fetch(m, n, k, &t, soon);
        else
            gemm_tiles(m - i < step ? m - i : step, n, k, &t, 0, 0, 0, 0, &rest);
    }
}

static void gemm_packed(size_t m, size_t n, size_t k, const real *a, ptrdiff_t a_row,
                        ptrdiff_t a_col, const real *packed_b, int accumulate, const epilogue *end,
                        real *c, ptrdiff_t c_row) {
    const int in_place = a_row > 0;
    fetching ahead;
    tile_operands t = {.a = a,
                       .a_row = in_place ? a_row : 1,
                       .a_col = in_place ? a_col : TILE_ROWS,
                       .b = packed_b,
                       .b_row = TILE_COLS,
                       .accumulate = accumulate,
                       .c = c,
                       .c_row = c_row,
                       .fetching = &ahead};
    gemm_tiles(m, n, k, &t, TILE_ROWS * (in_place ? a_row : (ptrdiff_t)k),
               (ptrdiff_t)(k * TILE_COLS), 1, 1, end);
}

#endif
