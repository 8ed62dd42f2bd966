/* The product of a matrix with many zeros and one without special values: images with an empty
 * background, columns of categories and words that are mostly absent.
 *
 * A tile multiplies only at the steps of k at which one of its rows of a is not zero. The result is
 * the chain of every other kernel (see gemm_tile.h) to the bit. A step that is left out would have
 * added +0 or -0, as long as b is finite there, and that changes no sum but -0, which +0 turns to
 * +0. A chain starts from +0 and comes to -0 only where a product below 0 is too small for a
 * number; tiles with a sum of -0 are therefore computed once more, with every step. */
#ifndef DEEPC_GEMM_SKIP_H
#define DEEPC_GEMM_SKIP_H

#include "gemm_tile.h"

enum { SKIP_COLS = SKIP_VECS * VL };

/* Panels of SKIP_COLS columns of b, k-major, unless packed is NULL; n is a multiple. It goes row
 * after row of b, as memory gives it soonest. Returns whether all is finite: 0 x is not a number
 * where x is not finite. */
static int skip_prepare(size_t k, size_t n, const real *b, ptrdiff_t b_row, real *packed) {
    vec acc[SKIP_VECS];
    UNROLL(4)
    for (int v = 0; v < SKIP_VECS; v++) acc[v] = v_zero();
    for (size_t p = 0; p < k; p++, b += b_row)
        for (size_t j = 0; j < n; j += SKIP_COLS) {
            real *to = packed ? packed + j * k + p * SKIP_COLS : NULL;
            UNROLL(4)
            for (size_t v = 0; v < SKIP_VECS; v++) {
                const vec x = v_load(b + j + v * VL);
                acc[v] = v_fma(x, v_zero(), acc[v]);
                if (to) v_store(to + v * VL, x);
            }
        }
    UNROLL(4)
    for (int v = 1; v < SKIP_VECS; v++) acc[0] = v_add(acc[0], acc[v]);
    const vec is_no_number = v_select(v_eq(acc[0], v_zero()), v_zero(), v_set(1));
    return v_first(lanes_max(is_no_number)) == 0;
}

/* Whether one of SKIP_ROWS elements at x is not zero, by their bits but the signs. */
ALWAYS_INLINE int any_used(const real *x) {
    enum { WORDS = SKIP_ROWS * sizeof(real) / sizeof(uint64_t) };
    const uint64_t sign = (uint64_t)1 << 63;
    uint64_t words[WORDS], any = 0;
    __builtin_memcpy(words, x, sizeof words);
    UNROLL(4)
    for (size_t i = 0; i < WORDS; i++) any |= words[i];
    return (any & ~(sizeof(real) == sizeof any ? sign : sign | sign >> 32)) != 0;
}

static size_t skip_list(size_t m, size_t k, const real *a, ptrdiff_t a_row, ptrdiff_t a_col,
                        step_list *lists) {
    size_t total = 0;
    for (; m > 0; m -= SKIP_ROWS, a += SKIP_ROWS * a_row, lists++) {
        union {
            real real[K_BLOCK];
            real_bits bits[K_BLOCK];
        } size; /* the sums of the absolute values of a step */
        for (size_t p = 0; p < k && a_row != 1; p += VL) {
            vec sum = v_zero();
            UNROLL(4)
            for (int r = 0; r < SKIP_ROWS; r++)
                sum = v_add(sum, v_abs(v_load_up_to(a + r * a_row + (ptrdiff_t)p, k - p)));
            v_store_up_to(size.real + p, sum, k - p);
        }
        uint32_t count = 0;
        for (size_t p = 0; p < k; p++) {
            const int used = a_row == 1 ? any_used(a + (ptrdiff_t)p * a_col) : size.bits[p] != 0;
            lists->steps[count] = (uint16_t)p;
            count += (uint32_t)used;
        }
        lists->count = count;
        total += count;
    }
    return total;
}

/* A tile by the steps of a list; returns 0, and computes nothing, where a sum is -0 and steps are
 * missing. */
ONE_COPY int tile_skip(const tile_operands *t, const step_list *list) {
    vec acc[TILE_ROWS][MOST_VECS];
    tile_start(SKIP_ROWS, SKIP_VECS, acc);
    const ptrdiff_t a_row = t->a_row, a_col = t->a_col, b_row = t->b_row;
    for (size_t i = 0; i < list->count; i++) {
        const ptrdiff_t p = list->steps[i];
        const real *const a = t->a + p * a_col, *const b = t->b + p * b_row;
        vec bp[SKIP_VECS];
#pragma GCC unroll 4
        for (int v = 0; v < SKIP_VECS; v++) bp[v] = v_load(b + v * VL);
#pragma GCC unroll 4
        for (int r = 0; r < SKIP_ROWS; r++) {
            const vec ap = v_set(a[r * a_row]);
#pragma GCC unroll 4
            for (int v = 0; v < SKIP_VECS; v++) acc[r][v] = v_fma(ap, bp[v], acc[r][v]);
        }
    }
    vec minus_zero = v_zero();
    UNROLL(4)
    for (int r = 0; r < SKIP_ROWS; r++) {
        UNROLL(4)
        for (int v = 0; v < SKIP_VECS; v++)
            minus_zero = v_select(v_is_minus_zero(acc[r][v]), v_set(1), minus_zero);
    }
    if (v_first(lanes_max(minus_zero)) != 0 && list->count < t->k) return 0;
    tile_end(SKIP_ROWS, SKIP_VECS, 1, t, acc);
    return 1;
}

static __attribute__((cold, noinline)) void tile_by_all_steps(const tile_operands *t) {
    step_list all = {.count = (uint32_t)t->k};
    for (size_t p = 0; p < t->k; p++) all.steps[p] = (uint16_t)p;
    (void)tile_skip(t, &all);
}

static void gemm_skip(size_t m, size_t n, size_t k, const step_list *lists, const real *a,
                      ptrdiff_t a_row, ptrdiff_t a_col, const real *b, ptrdiff_t b_row,
                      int accumulate, real *c, ptrdiff_t c_row) {
    tile_operands t = {.k = k,
                       .a_row = a_row,
                       .a_col = a_col,
                       .b_row = b_row > 0 ? b_row : SKIP_COLS,
                       .accumulate = accumulate,
                       .c_row = c_row};
    const ptrdiff_t panel = b_row > 0 ? SKIP_COLS : (ptrdiff_t)k * SKIP_COLS;
    for (size_t j = 0; j < n; j += SKIP_COLS, b += panel)
        for (size_t i = 0; i < m; i += SKIP_ROWS) {
            t.a = a + (ptrdiff_t)i * a_row;
            t.b = b;
            t.c = c + (ptrdiff_t)i * c_row + (ptrdiff_t)j;
            if (!tile_skip(&t, lists + i / SKIP_ROWS)) tile_by_all_steps(&t);
        }
}

#endif
