/* What every instruction set offers: one list of kernels, and the table type that follows from it.
 *
 * A kernel is a pure function over contiguous buffers of `real`; it cannot fail, allocates nothing,
 * and does nothing at size 0. Adding one is one line in KERNELS and one definition in a header that
 * kernels.c includes. The caller (typed/) has checked the arguments, chosen blocks, and split the
 * work over threads. */
#ifndef DEEPC_TABLE_H
#define DEEPC_TABLE_H

#include "real.h"

/* What follows a matrix product while its rows are in the first-level cache: bias (n elements or
 * NULL), then the activation (a dc_activation) with its parameter. Or, where `outputs` is not NULL,
 * the activation's backward pass: each element, a gradient with respect to that activation's
 * output, is multiplied by its slope, which must be one of the output; outputs has the shape of the
 * product and its own row step. */
typedef struct epilogue {
    const real *bias;
    int activation;
    real parameter;
    const real *outputs;
    ptrdiff_t outputs_row;
} epilogue;

/* The formulas of the update rules, see update.h, and what a step has beside, as bits. Formula and
 * bits together are the form of a step. */
enum {
    FORMULA_DESCENT,
    FORMULA_MEAN_SQUARE,
    FORMULA_MOMENTS,
    FORMULA_DELTAS,
    FORMULA_LARGEST,
    FORMULA_SIGNS,
    FORMULA_BITS = 7,
    HAS_FIRST = 1 << 3, /* the tensors of this name are given and kept */
    HAS_SECOND = 1 << 4,
    HAS_THIRD = 1 << 5,
    HAS_INSIDE = 1 << 6, /* these numbers are used */
    HAS_WEIGHT_DECAY = 1 << 7,
    HAS_SHRINK = 1 << 8,
    HAS_SCALE = 1 << 9,
    HAS_LIMIT = 1 << 10,
    HAS_EPSILON_INSIDE = 1 << 11,
    HAS_NESTEROV = 1 << 12,
    IS_BEYOND = 1 << 13 /* a number is beyond the dtype: not for the kernels */
};

/* The numbers of a step, as typed/optimizer.c makes them of a rule's settings and the step's
 * number.
 *
 * rate                        what the update is multiplied by, at last
 * inside                      what the gradient is multiplied by, at first
 * momentum, decay             of the averages, and momentum_rest, decay_rest what they leave to the
 *                             new number: 1 - momentum and 1 - decay, or 1 for sums
 * correction                  what the root of the second tensor is multiplied by
 * epsilon, epsilon_inside     added to the divisor, and under its root
 * weight_decay                g += weight_decay p
 * shrink                      p -= shrink p, before the rule
 * scale, limit                g = scale g, held between -limit and limit, before all else */
#define UPDATE_NUMBERS(N)                                                                          \
    N(rate)                                                                                        \
    N(inside)                                                                                      \
    N(momentum)                                                                                    \
    N(momentum_rest)                                                                               \
    N(decay)                                                                                       \
    N(decay_rest)                                                                                  \
    N(correction)                                                                                  \
    N(epsilon)                                                                                     \
    N(epsilon_inside)                                                                              \
    N(weight_decay)                                                                                \
    N(shrink)                                                                                      \
    N(scale)                                                                                       \
    N(limit)

typedef struct update_step {
    int form;
#define UPDATE_NUMBER(name) real name;
    UPDATE_NUMBERS(UPDATE_NUMBER)
#undef UPDATE_NUMBER
} update_step;

/* What a loss is computed of; see losses.h for what each kind makes of it. */
typedef struct loss_work {
    int kind;                  /* a dc_loss_kind */
    real parameter, smoothing; /* the latter 0 where the loss takes none */
    size_t rows, cols;
    const real *predicted, *targets;
    const int64_t *labels; /* where targets is NULL, one a row */
    const real *weights;   /* one a row, or NULL */
    real scale;            /* of the gradient */
    real *values;          /* the weighted losses, of each row or element, or NULL */
    real *d;               /* the gradient, or NULL */
} loss_work;

/* The steps of k, within a block, at which SKIP_ROWS rows of a matrix are not all zero: few rows,
 * because many are seldom zero together. */
enum { SKIP_ROWS = 4 };
typedef struct step_list {
    uint32_t count;
    uint16_t steps[K_BLOCK];
} step_list;

/* K(result, name, arguments). Row and column steps of matrices count elements.
 *
 * gemm               c (m x n) = a b, or c + a b where accumulate, then the epilogue (or NULL).
 *                    Element (i, p) of a is a[i a_row + p a_col]; of b, b[p b_row + j]; any k,
 *                    blocks of K_BLOCK in order. Meanwhile `soon` elements from b[k b_row] on,
 *                    which the next call reads, are fetched into the caches; unless this is 0,
 *                    there is no epilogue.
 * skip_prepare       k x n of b, n a multiple of skip_cols, into panels of skip_cols columns,
 *                    k-major, unless packed is NULL; returns whether all is finite.
 * skip_list          makes the list of each SKIP_ROWS of m rows of a, for k <= K_BLOCK, where one
 *                    of a_row and a_col is 1 and m a multiple; returns how many steps are listed.
 * gemm_skip          c (m x n) = a b, or c + a b where accumulate, for k <= K_BLOCK, by these
 *                    lists, m and n multiples, of b that is finite: in panels made by skip_prepare
 *                    where b_row is 0, else where it is.
 * gemm_packed        as gemm for b in panels made by pack_b, and a in panels made by pack_a where
 *                    a_row is 0, else where it is.
 * pack_a             m x k of a into panels of TILE_ROWS rows, k-major, the last filled with zeros.
 * pack_b             k x n of b (element (p, j) at b[p b_row + j]) into panels of TILE_VECS * VL
 *                    columns, k-major, the last filled with zeros.
 * pack_b_transposed  the same where element (p, j) is at b[j b_row + p].
 * gemm_few           c (m x n) = a b, or c + a b, then the epilogue, for n = 1 to 4, 9, 10 and
 *                    k >= few_depth. Element (i, p) of a is
 *                    a[i a_row + p]; (p, j) of b is b[p b_row + j b_col]; (i, j) of c is c[i c_row
 *                    + j c_col], one of whose steps is 1; where c_col is not, the epilogue is one
 *                    of the transpose of c.
 * gemv               y (n) = x (k) w (k x n, rows w_row apart), or y + x w; then the epilogue.
 * gemv_transposed    y (n) = w (n x k, rows w_row apart) x (k), or y + w x; then the epilogue.
 * column_sum         y (cols) = the sum of the rows of x, or y + that; order as a product with
 *                    ones.
 * exponential ... activation_backward
 *                    where `stream`, the result, on a cache line, is written past the caches.
 * add_scaled         y = a x + b y; where b is 0, y is not read.
 * combine            a dc_combination of two runs of n elements; a step is 0 (one number) or 1. y
 *                    may be a run whose step is 1.
 * sum                of n elements, in virtual lanes by blocks of SUM_BLOCK, the blocks in order.
 * sum_squares        of factor x, likewise.
 * product            y (before x after) = x (before x count x after), multiplied over the middle.
 * product_backward   d_x = d_y times the product of the others; overlaps nothing.
 * penalty            l1 |p| + l2 p^2 likewise, and its slope added to g, unless g is NULL.
 * log_softmax        as softmax, and its backward pass.
 * column_moment      y (cols) = the sum of the rows of (x - mean) d, or of (x - mean)^2 where d is
 *                    NULL.
 * columns_map        y = (x - mean) slope + shift, + d factor where d is not NULL; see normalize.h
 *                    for this and for layer_norm.
 * elementwise_loss   the loss of elements start .. start + n - 1, and what else the work asks for.
 * rowwise_loss       the same for rows, whose width is not 0.
 * dropout            elements first .. first + n - 1 of the stream; kept where its 32 bits are
 *                    >= threshold.
 * update             one step over n elements.
 * update_outer       one step of a rows x cols parameter whose gradient is the outer product of
 *                    x (rows) and g (cols), which is never written; not with a third tensor. */
#define KERNELS(K)                                                                                 \
    K(void, gemm,                                                                                  \
      (size_t m, size_t n, size_t k, const real *a, ptrdiff_t a_row, ptrdiff_t a_col,              \
       const real *b, ptrdiff_t b_row, int accumulate, const epilogue *end, real *c,               \
       ptrdiff_t c_row, size_t soon))                                                              \
    K(int, skip_prepare, (size_t k, size_t n, const real *b, ptrdiff_t b_row, real *packed))       \
    K(size_t, skip_list,                                                                           \
      (size_t m, size_t k, const real *a, ptrdiff_t a_row, ptrdiff_t a_col, step_list *lists))     \
    K(void, gemm_skip,                                                                             \
      (size_t m, size_t n, size_t k, const step_list *lists, const real *a, ptrdiff_t a_row,       \
       ptrdiff_t a_col, const real *b, ptrdiff_t b_row, int accumulate, real *c, ptrdiff_t c_row)) \
    K(void, gemm_packed,                                                                           \
      (size_t m, size_t n, size_t k, const real *a, ptrdiff_t a_row, ptrdiff_t a_col,              \
       const real *packed_b, int accumulate, const epilogue *end, real *c, ptrdiff_t c_row))       \
    K(void, pack_a,                                                                                \
      (size_t m, size_t k, const real *a, ptrdiff_t a_row, ptrdiff_t a_col, real *packed))         \
    K(void, pack_b, (size_t k, size_t n, const real *b, ptrdiff_t b_row, real *packed))            \
    K(void, pack_b_transposed, (size_t k, size_t n, const real *b, ptrdiff_t b_row, real *packed)) \
    K(void, gemm_few,                                                                              \
      (size_t m, size_t n, size_t k, const real *a, ptrdiff_t a_row, const real *b,                \
       ptrdiff_t b_row, ptrdiff_t b_col, int accumulate, const epilogue *end, real *c,             \
       ptrdiff_t c_row, ptrdiff_t c_col))                                                          \
    K(void, gemv,                                                                                  \
      (size_t n, size_t k, const real *x, const real *w, ptrdiff_t w_row, int accumulate,          \
       const epilogue *end, real *y))                                                              \
    K(void, gemv_transposed,                                                                       \
      (size_t n, size_t k, const real *x, const real *w, ptrdiff_t w_row, int accumulate,          \
       const epilogue *end, real *y))                                                              \
    K(void, column_sum,                                                                            \
      (size_t rows, size_t cols, const real *x, ptrdiff_t x_row, int accumulate, real *y))         \
    K(void, exponential, (size_t n, const real *x, real *y, int stream))                           \
    K(void, logarithm, (size_t n, const real *x, real *y, int stream))                             \
    K(void, scale, (real factor, size_t n, const real *x, real *y, int stream))                    \
    K(void, add_scaled, (real a, size_t n, const real *x, real b, real *y))                        \
    K(void, activation_forward,                                                                    \
      (int activation, real parameter, size_t n, const real *x, real *y, int stream))              \
    K(void, activation_backward,                                                                   \
      (int activation, real parameter, size_t n, const real *kept, const real *d_y, real *d_x,     \
       int stream))                                                                                \
    K(void, combine,                                                                               \
      (int function, size_t n, const real *a, size_t a_step, const real *b, size_t b_step,         \
       real *y))                                                                                   \
    K(double, sum, (size_t n, const real *x))                                                      \
    K(double, sum_squares, (real factor, size_t n, const real *x))                                 \
    K(void, product, (size_t before, size_t count, size_t after, const real *x, real *y))          \
    K(void, product_backward,                                                                      \
      (size_t before, size_t count, size_t after, const real *x, const real *d_y, real *d_x))      \
    K(double, penalty, (real l1, real l2, size_t n, const real *p, real *g))                       \
    K(void, softmax, (size_t rows, size_t cols, const real *x, real *y))                           \
    K(void, softmax_backward,                                                                      \
      (size_t rows, size_t cols, const real *y, const real *d_y, real *d_x))                       \
    K(void, log_softmax, (size_t rows, size_t cols, const real *x, real *y))                       \
    K(void, log_softmax_backward,                                                                  \
      (size_t rows, size_t cols, const real *y, const real *d_y, real *d_x))                       \
    K(void, column_moment,                                                                         \
      (size_t rows, size_t cols, const real *x, ptrdiff_t x_row, const real *mean, const real *d,  \
       ptrdiff_t d_row, real *y))                                                                  \
    K(void, columns_map,                                                                           \
      (size_t rows, size_t cols, const real *x, ptrdiff_t x_row, const real *mean,                 \
       const real *slope, const real *shift, const real *d, ptrdiff_t d_row, const real *factor,   \
       real *y, ptrdiff_t y_row))                                                                  \
    K(void, layer_norm,                                                                            \
      (size_t rows, size_t cols, real epsilon, const real *x, const real *gamma, const real *beta, \
       real *stats, real *y))                                                                      \
    K(void, layer_norm_backward,                                                                   \
      (size_t rows, size_t cols, const real *x, const real *stats, const real *gamma,              \
       const real *d_y, real *scaled, real *d_x))                                                  \
    K(double, elementwise_loss, (const loss_work *work, size_t start, size_t n))                   \
    K(double, rowwise_loss, (const loss_work *work, size_t start, size_t n))                       \
    K(void, dropout,                                                                               \
      (uint64_t key, uint64_t counter, uint64_t first, uint64_t threshold, size_t n,               \
       const real *x, real *y))                                                                    \
    K(void, update,                                                                                \
      (const update_step *step, size_t n, const real *g, real *p, real *first, real *second,       \
       real *third))                                                                               \
    K(void, update_outer,                                                                          \
      (const update_step *step, size_t rows, size_t cols, const real *x, const real *g, real *p,   \
       real *first, real *second))

/* The most columns of gemm_few, and the portions in which it takes any number of them. */
enum { FEW_COLS = 10 };
static inline size_t few_portion(size_t left) {
    return left >= FEW_COLS ? FEW_COLS : left == 9 || left <= 4 ? left : 4;
}

typedef struct kernel_table {
    const char *isa;
    int lanes;                /* of a vector */
    int tile_rows, tile_cols; /* the panels of pack_a and pack_b */
    int skip_cols;            /* the panels of skip_prepare */
    int few_depth;            /* the least k that gemm_few takes */
    /* What gemm_few pays to transpose rows of a, counted in columns of c that it could have
     * computed meanwhile. 0: this instruction set never uses gemm_few. */
    int few_cost;
#define KERNEL_POINTER(result, name, arguments) result(*name) arguments;
    KERNELS(KERNEL_POINTER)
#undef KERNEL_POINTER
} kernel_table;

#endif
