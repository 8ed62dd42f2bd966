/* Which kernel computes a product, in which blocks, on how many threads.
 *
 * The blocking follows Goto and van de Geijn, "Anatomy of high-performance matrix multiplication"
 * (2008), with one difference: the block of k is fixed by the promise of the same bits. Threads
 * split the outputs, never k. */
#include "gemm.h"

#include <string.h>

#include "../activations.h"
#include "../deepc.h"
#include "../mode.h"
#include "../threads.h"
#include "../tuning.h"
#include "tables.h"

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }
static size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

/* n in parts of equal size, about `most`. */
static size_t even_part(size_t n, size_t most) {
    const size_t parts = n < 2 * most ? (n + most / 2) / most : n / most;
    return parts > 1 ? (n + parts - 1) / parts : n;
}

/* The part of a product that makes rows i .. i + m - 1 and columns j .. j + n - 1 of c. */
static product part(const product *p, size_t i, size_t m, size_t j, size_t n) {
    product q = *p;
    q.m = m;
    q.n = n;
    q.a += p->transpose_a ? i : i * p->lda;
    q.b += p->transpose_b ? j * p->ldb : j;
    q.c += i * p->ldc + j;
    if (q.end.bias) q.end.bias += j;
    if (q.end.outputs) q.end.outputs += (ptrdiff_t)i * q.end.outputs_row + (ptrdiff_t)j;
    return q;
}

/* Products with one row or one column that need no packing and no tile; returns 0 where none of
 * them fits. */
static int multiply_vector(const kernel_table *kernel, const product *p) {
    const ptrdiff_t lda = (ptrdiff_t)p->lda, ldb = (ptrdiff_t)p->ldb;
    if (p->m == 1 && (!p->transpose_a || p->lda == 1)) {
        (p->transpose_b ? kernel->gemv_transposed : kernel->gemv)(p->n, p->k, p->a, p->b, ldb,
                                                                  p->accumulate, &p->end, p->c);
        return 1;
    }
    /* c is the transpose of op(b)' op(a)'; a bias would be one number for all. */
    if (p->n == 1 && p->ldc == 1 && (p->transpose_b || p->ldb == 1) && !p->end.bias &&
        (!p->end.outputs || p->end.outputs_row == 1)) {
        (p->transpose_a ? kernel->gemv : kernel->gemv_transposed)(p->m, p->k, p->b, p->a, lda,
                                                                  p->accumulate, &p->end, p->c);
        return 1;
    }
    return 0;
}

/* Vectors of n elements; lanes is a power of two. */
static size_t vectors(const kernel_table *kernel, size_t n) {
    const size_t lanes = (size_t)kernel->lanes;
    return (n + lanes - 1) >> __builtin_ctzll(lanes);
}

/* What a product takes of tiles, in multiply-adds of vectors; the packing of a transposed b is part
 * of it. */
static size_t tile_work(const kernel_table *kernel, const product *p) {
    return (p->m + (p->transpose_b ? PACK_COLUMNS : 0)) * vectors(kernel, p->n) * p->k;
}

/* What it takes as the transpose of c (multiply_turned), whose columns are the rows of a. These are
 * packed in place of b; and c is turned and copied to where it belongs, an element of which takes
 * four times as long as to pack one. */
static size_t turned_work(const kernel_table *kernel, const product *p) {
    return vectors(kernel, p->m) * (p->n * p->k + PACK_COLUMNS * (p->k + 4 * p->n));
}

/* Whether that pays. Only with no more rows in a than in b: all of a is packed at once. And rows of
 * b that are a page apart and more could not be read where they are. */
static int turning_pays(const kernel_table *kernel, const product *p) {
    return p->transpose_b && !p->accumulate && p->k > 0 && p->m <= p->n &&
           p->ldb * sizeof(real) < PACK_A_ROW_BYTES &&
           turned_work(kernel, p) < tile_work(kernel, p);
}

/* Whether gemm_few, in portions, is a faster way to rows x n outputs than so many multiply-adds of
 * vectors: it computes a vector of rows at a time, the tile one of columns. */
static int few_pays(const kernel_table *kernel, size_t rows, size_t n, size_t k, size_t work) {
    const size_t rest = n % FEW_COLS;
    const size_t portions = n / FEW_COLS + (rest > 0) + (rest > 4 && rest < 9);
    const size_t few = (n + n % 2 + portions * (size_t)kernel->few_cost) * k + portions * FEW_SETUP;
    return vectors(kernel, rows) * few < work;
}

/* Products with few columns, whose lanes are the rows of a; where b is transposed and would have to
 * be packed also those with not too many rows, whose lanes are the rows of b, as the transpose of
 * c. turns: the other way would be multiply_turned. Returns 0 where neither is so. */
static int multiply_few(const kernel_table *kernel, const product *p, int turns) {
    const ptrdiff_t lda = (ptrdiff_t)p->lda, ldb = (ptrdiff_t)p->ldb, ldc = (ptrdiff_t)p->ldc;
    if (kernel->few_cost == 0 || p->k < (size_t)kernel->few_depth || (p->m < 4 && !p->transpose_b))
        return 0;
    const size_t work = turns ? turned_work(kernel, p) : tile_work(kernel, p);
    /* gemm_few takes a column step of 1 for rows of c as they are, so a transpose whose steps are
     * both 1 (n = 1, ldc = 1) would get the bias of the wrong row: it goes the other way below. */
    if (p->transpose_b && p->ldc > 1 && few_pays(kernel, p->n, p->m, p->k, work)) {
        for (size_t i = 0, rows; i < p->m; i += rows) {
            rows = few_portion(p->m - i);
            const product q = part(p, i, rows, 0, p->n);
            kernel->gemm_few(q.n, q.m, q.k, q.b, ldb, q.a, q.transpose_a ? lda : 1,
                             q.transpose_a ? 1 : lda, q.accumulate, &q.end, q.c, 1, ldc);
        }
        return 1;
    }
    if (!p->transpose_a && (!p->transpose_b || p->n <= FEW_COLS) &&
        few_pays(kernel, p->m, p->n, p->k, work)) {
        for (size_t j = 0, cols; j < p->n; j += cols) {
            cols = few_portion(p->n - j);
            const product q = part(p, 0, p->m, j, cols);
            kernel->gemm_few(q.m, q.n, q.k, q.a, lda, q.b, q.transpose_b ? 1 : ldb,
                             q.transpose_b ? ldb : 1, q.accumulate, &q.end, q.c, ldc, 1);
        }
        return 1;
    }
    return 0;
}

/* Products whose operands are read where they are: in rounds of k, because a tile walks down all
 * rows of b, and these are still in the caches for the next tile only where they are not too many.
 * In short rounds, which fetch what the next one reads, where b comes from far; but neither for few
 * rows, which only wait for b, nor for so many that c, which each round reads and writes, comes
 * from far as well. */
static void multiply_in_place(const kernel_table *kernel, const product *p) {
    const ptrdiff_t lda = (ptrdiff_t)p->lda;
    const size_t blocks = (p->k + K_BLOCK - 1) / K_BLOCK;
    const int short_rounds = p->transpose_a || (p->m >= IN_PLACE_ROWS && p->m < PACK_ROWS &&
                                                p->k * p->ldb >= IN_PLACE_BYTES / sizeof(real));
    const size_t most = short_rounds ? IN_PLACE_DEPTH_SHORT : IN_PLACE_DEPTH;
    /* Divisions would be a tenth of the time of a tiny product. */
    const size_t depth = p->k <= most ? p->k : even_part(blocks, most / K_BLOCK) * K_BLOCK;
    size_t q = 0;
    do {
        const size_t k = smaller(depth, p->k - q), more = smaller(depth, p->k - q - k);
        /* Rows that are parts of much longer ones would bring what nobody reads. */
        const size_t soon = short_rounds && p->ldb < 2 * p->n ? more * p->ldb : 0;
        kernel->gemm(p->m, p->n, k, p->a + (p->transpose_a ? q * p->lda : q),
                     p->transpose_a ? 1 : lda, p->transpose_a ? lda : 1, p->b + q * p->ldb,
                     (ptrdiff_t)p->ldb, p->accumulate || q > 0, q + k == p->k ? &p->end : NULL,
                     p->c, (ptrdiff_t)p->ldc, soon);
        q += k;
    } while (q < p->k);
}

/* Whether it pays to pack b, which need not be. */
static int packing_pays(const product *p) {
    const size_t apart = p->ldb * sizeof(real);
    const int soon = p->transpose_a || apart >= PACK_A_ROW_BYTES;
    return p->m >= (soon ? PACK_ROWS_SOON : PACK_ROWS) && p->n >= PACK_COLS && p->k > 0 &&
           apart >= (p->transpose_a ? PACK_ROW_BYTES_TRANSPOSED : PACK_B_ROW_BYTES);
}

/* Products of which b, and where it pays a, is copied into panels in the order in which the tile
 * reads them. */
static int multiply_packed(const kernel_table *kernel, const product *p) {
    const int pack_a =
        p->lda * sizeof(real) >= (p->transpose_a ? PACK_ROW_BYTES_TRANSPOSED : PACK_A_ROW_BYTES);
    /* Whole blocks of k, in equal rounds: each round trip of c to memory then serves as much
     * arithmetic. */
    const size_t blocks = (p->k + K_BLOCK - 1) / K_BLOCK;
    const size_t depth = smaller(p->k, even_part(blocks, GEMM_DEPTH / K_BLOCK) * K_BLOCK);
    const size_t tile_rows = (size_t)kernel->tile_rows, tile_cols = (size_t)kernel->tile_cols;
    const size_t rows = round_up(even_part(p->m, GEMM_A / depth), tile_rows);
    const size_t cols = round_up(even_part(p->n, GEMM_B / depth), tile_cols);
    /* One line more than needed keeps the panels of a and b from the same sets of the cache. */
    real *packed_b = dc_thread_scratch(((pack_a ? rows : 0) + cols) * depth * sizeof(real) + 64);
    if (!packed_b) return DC_NO_MEMORY;
    real *packed_a = packed_b + cols * depth + 64 / sizeof(real);
    const ptrdiff_t lda = (ptrdiff_t)p->lda, ldb = (ptrdiff_t)p->ldb, ldc = (ptrdiff_t)p->ldc;
    const ptrdiff_t a_row = p->transpose_a ? 1 : lda, a_col = p->transpose_a ? lda : 1;

    for (size_t j = 0; j < p->n; j += cols) {
        const size_t n = smaller(cols, p->n - j);
        for (size_t q = 0; q < p->k; q += depth) {
            const size_t k = smaller(depth, p->k - q);
            const int final = q + k == p->k;
            epilogue end = p->end;
            if (end.bias) end.bias += j;
            if (p->transpose_b)
                kernel->pack_b_transposed(k, n, p->b + j * p->ldb + q, ldb, packed_b);
            else
                kernel->pack_b(k, n, p->b + q * p->ldb + j, ldb, packed_b);
            for (size_t i = 0; i < p->m; i += rows) {
                const size_t m = smaller(rows, p->m - i);
                if (end.outputs)
                    end.outputs = p->end.outputs + (ptrdiff_t)i * end.outputs_row + (ptrdiff_t)j;
                const real *a = p->a + (p->transpose_a ? q * p->lda + i : i * p->lda + q);
                if (pack_a) kernel->pack_a(m, k, a, a_row, a_col, packed_a);
                kernel->gemm_packed(m, n, k, pack_a ? packed_a : a, pack_a ? 0 : a_row, a_col,
                                    packed_b, p->accumulate || q > 0, final ? &end : NULL,
                                    p->c + i * p->ldc + j, ldc);
            }
        }
    }
    return DC_OK;
}

/* The epilogue of rows x n finished sums. */
static void finish_rows(const kernel_table *kernel, const epilogue *end, size_t rows, size_t n,
                        real *c, size_t ldc) {
    const real *outputs = end->outputs;
    for (; rows > 0; rows--, c += ldc) {
        if (end->bias) kernel->combine(DC_ADD, n, c, 1, end->bias, 1, c);
        if (!end->activation) continue;
        if (outputs) {
            kernel->activation_backward(end->activation, end->parameter, n, outputs, c, c, 0);
            outputs += end->outputs_row;
        } else {
            kernel->activation_forward(end->activation, end->parameter, n, c, c, 0);
        }
    }
}

/* Products for which turning pays, as the transpose of c, some of its rows at a time. Returns 0
 * without memory. */
static int multiply_turned(const kernel_table *kernel, const product *p) {
    const size_t width = (size_t)kernel->tile_cols;
    const size_t most = round_up(even_part(p->n, GEMM_A / p->k), (size_t)kernel->tile_rows);
    const size_t packed = round_up(p->m, width) * p->k, turned = most * p->m;
    real *packed_a =
        dc_thread_scratch((packed + turned + round_up(most, width) * p->m) * sizeof(real));
    if (!packed_a) return 0;
    real *turned_c = packed_a + packed, *panels = turned_c + turned;
    (p->transpose_a ? kernel->pack_b : kernel->pack_b_transposed)(p->k, p->m, p->a,
                                                                  (ptrdiff_t)p->lda, packed_a);
    for (size_t j = 0, cols; j < p->n; j += cols) {
        cols = smaller(most, p->n - j);
        const product q = part(p, 0, p->m, j, cols);
        kernel->gemm_packed(cols, q.m, q.k, q.b, (ptrdiff_t)q.ldb, 1, packed_a, 0, NULL, turned_c,
                            (ptrdiff_t)q.m);
        kernel->pack_b_transposed(q.m, cols, turned_c, (ptrdiff_t)q.m, panels);
        for (size_t i = 0; i < q.m; i++)
            for (size_t v = 0; v < cols; v += width)
                memcpy(q.c + i * q.ldc + v, panels + v * q.m + i * width,
                       smaller(width, cols - v) * sizeof(real));
        finish_rows(kernel, &q.end, q.m, cols, q.c, q.ldc);
    }
    return 1;
}

/* Whether so much of a is zero that to skip it pays: guessed from some elements of its first row as
 * it stands in memory, which most often says no, then from some of its tiles. */
static int skipping_pays(const kernel_table *kernel, const product *p) {
    if (p->transpose_b || p->end.outputs || p->n < (size_t)kernel->skip_cols) return 0;
    const size_t pays = p->m < SKIP_PACK_ROWS ? SKIP_PAYS_FEW : SKIP_PAYS;
    const size_t width = p->transpose_a ? p->m : p->k, step = width / SKIP_SAMPLES + 1;
    size_t zeros = 0;
    for (size_t i = 0; i < width; i += step) zeros += p->a[i] == 0;
    if (zeros * step * pays < width) return 0;
    step_list list;
    const size_t a_row = p->transpose_a ? 1 : p->lda, a_col = p->transpose_a ? p->lda : 1;
    const size_t k = smaller(p->k, K_BLOCK);
    size_t skipped = 0;
    for (size_t look = 0; look < SKIP_LOOKS; look++) {
        const size_t i = look * (p->m / SKIP_ROWS) / SKIP_LOOKS * SKIP_ROWS;
        const size_t q = look * (p->k - k) / SKIP_LOOKS;
        skipped += k - kernel->skip_list(SKIP_ROWS, k, p->a + i * a_row + q * a_col,
                                         (ptrdiff_t)a_row, (ptrdiff_t)a_col, &list);
        if (2 * skipped * pays < (look + 1) * k) return 0;
    }
    return skipped * pays >= SKIP_LOOKS * k;
}

/* Products of which rows of a are often zero together: these are not multiplied. Returns 0 where
 * that would not pay. Not inlined, because tiny products would pay for the lists on the stack. */
static __attribute__((noinline)) int multiply_skipping(const kernel_table *kernel,
                                                       const product *p) {
    if (!skipping_pays(kernel, p)) return 0;
    const size_t width = (size_t)kernel->skip_cols;
    const size_t m = p->m / SKIP_ROWS * SKIP_ROWS, n = p->n / width * width;
    const size_t a_row = p->transpose_a ? 1 : p->lda, a_col = p->transpose_a ? p->lda : 1;
    const ptrdiff_t row = (ptrdiff_t)a_row, col = (ptrdiff_t)a_col;
    const ptrdiff_t ldb = (ptrdiff_t)p->ldb, ldc = (ptrdiff_t)p->ldc;
    step_list lists[SKIP_LISTS];
    /* Without memory b is read where it is. */
    real *packed_b =
        m < SKIP_PACK_ROWS ? NULL : dc_thread_scratch(smaller(p->k, K_BLOCK) * n * sizeof(real));
    for (size_t q = 0; q < p->k; q += K_BLOCK) {
        const size_t k = smaller(K_BLOCK, p->k - q);
        const int accumulate = p->accumulate || q > 0;
        const real *b = p->b + q * p->ldb;
        const int finite = kernel->skip_prepare(k, n, b, ldb, packed_b);
        for (size_t i = 0, rows; i < m; i += rows) {
            rows = smaller(SKIP_LISTS * SKIP_ROWS, m - i);
            const real *a = p->a + i * a_row + q * a_col;
            real *c = p->c + i * p->ldc;
            if (finite) {
                (void)kernel->skip_list(rows, k, a, row, col, lists);
                kernel->gemm_skip(rows, n, k, lists, a, row, col, packed_b ? packed_b : b,
                                  packed_b ? 0 : ldb, accumulate, c, ldc);
            } else {
                kernel->gemm(rows, n, k, a, row, col, b, ldb, accumulate, NULL, c, ldc, 0);
            }
            if (q + k == p->k) finish_rows(kernel, &p->end, rows, n, c, p->ldc);
        }
    }
    const product below = part(p, m, p->m - m, 0, n), beside = part(p, 0, p->m, n, p->n - n);
    if (below.m > 0) multiply_in_place(kernel, &below);
    if (beside.n > 0) multiply_in_place(kernel, &beside);
    return 1;
}

static int multiply_serial(const product *p) {
    const kernel_table *kernel = TYPED(dc_kernels)();
    if (multiply_vector(kernel, p)) return DC_OK;
    const int turns = turning_pays(kernel, p);
    if (multiply_few(kernel, p, turns) || (turns && multiply_turned(kernel, p))) return DC_OK;
    /* What is tiny is seen by one comparison. */
    if (p->m >= SKIP_LOOKS * SKIP_ROWS && p->m * p->n * p->k >= SKIP_WORK &&
        multiply_skipping(kernel, p))
        return DC_OK;
    if ((p->transpose_b && p->k > 0) || packing_pays(p)) return multiply_packed(kernel, p);
    multiply_in_place(kernel, p);
    return DC_OK;
}

/* The outputs as a grid of tasks, rows_each x cols_each but for the last ones. */
typedef struct split {
    const product *whole;
    size_t rows_each, cols_each, across;
    _Atomic int status;
} split;

static void multiply_part(void *context, size_t task) {
    split *s = context;
    const size_t i = task / s->across * s->rows_each, j = task % s->across * s->cols_each;
    const product q = part(s->whole, i, smaller(s->rows_each, s->whole->m - i), j,
                           smaller(s->cols_each, s->whole->n - j));
    const int status = multiply_serial(&q);
    if (status) s->status = status;
}

int TYPED(dc_multiply)(const product *p) {
    if (p->m == 0 || p->n == 0) return DC_OK;
    const double work = (double)p->m * (double)p->n * (double)(p->k + 1);
    if (work < GEMM_THREAD_WORK) return multiply_serial(p);
    const int threads = dc_threads_available();
    if (threads == 1) return multiply_serial(p);

    /* Cut the longer side, at the tile's edges, so that each thread reads as little as possible
     * twice. */
    const kernel_table *kernel = TYPED(dc_kernels)();
    size_t parts = (size_t)(work / GEMM_THREAD_WORK * 2);
    parts = smaller(parts, (size_t)threads);
    split s = {.whole = p, .rows_each = p->m, .cols_each = p->n, .across = 1, .status = DC_OK};
    size_t down = 1;
    if (p->m >= p->n) {
        s.rows_each = round_up((p->m + parts - 1) / parts, (size_t)kernel->tile_rows);
        down = (p->m + s.rows_each - 1) / s.rows_each;
    } else {
        s.cols_each = round_up((p->n + parts - 1) / parts, (size_t)kernel->tile_cols);
        s.across = (p->n + s.cols_each - 1) / s.cols_each;
    }
    dc_parallel_for(down * s.across, threads, multiply_part, &s);
    return s.status;
}

int TYPED(dc_matmul)(int transpose_a, int transpose_b, size_t m, size_t n, size_t k, const real *a,
                     size_t lda, const real *b, size_t ldb, int accumulate, const real *bias,
                     int activation, double parameter, real *c, size_t ldc) {
    DEFAULT_MODE;
    ROUND_FROM_HERE(parameter);
    const int status = check_activation(activation, parameter);
    if (status) return status;
    if (lda < (transpose_a ? m : k) || ldb < (transpose_b ? k : n) || ldc < n) return DC_BAD_SIZE;
    if (m == 0 || n == 0) return DC_OK;
    if (!c || (k > 0 && (!a || !b))) return DC_BAD_POINTER;
    const product p = {
        .transpose_a = transpose_a != 0,
        .transpose_b = transpose_b != 0,
        .m = m,
        .n = n,
        .k = k,
        .a = a,
        .lda = lda,
        .b = b,
        .ldb = ldb,
        .accumulate = accumulate != 0,
        .end = {bias, activation, (real)parameter, NULL, 0}, /* all: it is not cleared first */
        .c = c,
        .ldc = ldc};
    return TYPED(dc_multiply)(&p);
}
