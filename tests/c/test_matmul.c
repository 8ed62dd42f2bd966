/* dc_matmul against the order of sum that its comment promises, computed with the C library's fma:
 * bit for bit on every instruction set with fused multiply-add, to rounding on the portable build.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "deepc.h"

#define GUARD 12345.0f

static unsigned state = 1;
static double random_value(void) {
    state = state * 1664525u + 1013904223u;
    return (double)(state >> 8) / (1 << 23) - 1;
}

/* Element (i, j) of the product, started from c where it accumulates. */
static float element(int ta, int tb, size_t i, size_t j, size_t k, const float *a, size_t lda,
                     const float *b, size_t ldb, int accumulate, float c) {
    float total = c;
    int started = accumulate;
    size_t p = 0;
    do {
        const size_t end = k - p < 256 ? k : p + 256;
        float block = 0;
        for (; p < end; p++)
            block = fmaf(ta ? a[p * lda + i] : a[i * lda + p], tb ? b[j * ldb + p] : b[p * ldb + j],
                         block);
        total = started ? total + block : block;
        started = 1;
    } while (p < k);
    return total;
}

/* How many elements of c differ from `sums`, activated, or, beside the n columns, from the
 * guard. */
static int count_wrong(size_t m, size_t n, size_t k, size_t ldc, size_t size_c, int activation,
                       const float *sums, float *want, const float *c) {
    const int exact = dc_isa_promises_bits(dc_isa());
    CHECK(dc_activation_forward_f32(activation, 0, m * n, sums, want) == DC_OK);
    int wrong = 0;
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < ldc && i * ldc + j < size_c - 1; j++) {
            const float *got = &c[i * ldc + j], *right = &want[i * n + j];
            if (j >= n)
                wrong += *got != GUARD;
            else
                wrong += exact ? memcmp(got, right, sizeof *got) != 0
                               : !(fabsf(*got - *right) <= 1e-5f * (1 + (float)k));
        }
    return wrong;
}

/* One product on every instruction set; the reference, which takes longest, is computed once. gap:
 * elements between two rows of c. */
static void check_product(int ta, int tb, size_t m, size_t n, size_t k, int accumulate,
                          int with_bias, int activation, size_t gap) {
    const size_t lda = (ta ? m : k) + 1, ldb = (tb ? k : n) + 2, ldc = n + gap;
    const size_t size_a = (ta ? k : m) * lda + 1, size_b = (tb ? n : k) * ldb + 1,
                 size_c = m * ldc + 1;
    float *memory = malloc((size_a + size_b + size_c + n + 1) * sizeof *memory);
    float *start = malloc(size_c * sizeof *start);
    float *sums = malloc(2 * m * n * sizeof *sums);
    CHECK(memory && start && sums);
    /* One element off any alignment. */
    float *a = memory + 1, *b = a + size_a, *bias = b + size_b, *c = bias + n;
    for (float *x = a; x < c; x++) *x = (float)random_value();
    for (size_t i = 0; i < size_c - 1; i++) start[i] = i % ldc < n ? (float)random_value() : GUARD;
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++)
            sums[i * n + j] =
                element(ta, tb, i, j, k, a, lda, b, ldb, accumulate, start[i * ldc + j]) +
                (with_bias ? bias[j] : 0);

    for (size_t i = 0; dc_isa_available(i); i++) {
        CHECK(dc_set_isa(dc_isa_available(i)) == DC_OK);
        memcpy(c, start, (size_c - 1) * sizeof *c);
        CHECK(dc_matmul_f32(ta, tb, m, n, k, a, lda, b, ldb, accumulate, with_bias ? bias : NULL,
                            activation, 0, c, ldc) == DC_OK);
        const int wrong = count_wrong(m, n, k, ldc, size_c, activation, sums, sums + m * n, c);
        if (wrong)
            printf("%s ta %d tb %d m %zu n %zu k %zu accumulate %d\n", dc_isa(), ta, tb, m, n, k,
                   accumulate);
        CHECK(wrong == 0);
    }
    dc_set_isa(dc_isa_available(0));
    free(memory);
    free(start);
    free(sums);
}

static const size_t ms[] = {1, 2, 3, 5, 7, 13, 14, 15, 29, 64, 131};
static const size_t ns[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 17, 31, 32, 33, 70, 130};
static const size_t ks[] = {0, 1, 5, 16, 33, 255, 256, 257, 784};
#define COUNT(array) (sizeof array / sizeof *array)

static void test_products(void) {
    for (size_t x = 0; x < COUNT(ms); x++)
        for (size_t y = 0; y < COUNT(ns); y++)
            for (size_t z = 0; z < COUNT(ks); z++)
                for (int t = 0; t < 4; t++) {
                    /* All options over the shapes, not all with each: a few thousand products in
                     * all. */
                    const size_t turn = x + y + z + (size_t)t;
                    check_product(t & 1, t >> 1, ms[x], ns[y], ks[z], turn % 2 == 0, turn % 3 != 0,
                                  (int)(turn % 4), turn % 5 ? 3 : 0);
                }
}

/* One column without a gap, where rows and columns of c are both one element apart: with a bias for
 * that column, which is not one a row. */
static void test_one_column(void) {
    for (size_t m = 1; m < 40; m += 3)
        for (size_t k = 1; k < 66; k += 13)
            for (int t = 0; t < 4; t++)
                for (int options = 0; options < 4; options++)
                    check_product(t & 1, t >> 1, m, 1, k, options & 1, 1, options & 2 ? 2 : 0, 0);
}

/* More k than one round of a product that reads its operands in place. */
static void test_rounds(void) {
    for (int options = 0; options < 4; options++)
        check_product(options & 1, 0, 5, 17, 1300, options & 1, 1, DC_TANH, 0);
    /* Short rounds, which fetch ahead, of tiles with and without that; their columns in a part of a
     * vector and in none. */
    for (size_t m = 7; m < 36; m += 7)
        for (int options = 0; options < 2; options++)
            check_product(0, 0, m, 512 + 9 * (size_t)options, 530, options, !options, DC_TANH, 3);
}

/* Puts zeros of either sign into a, as the background of images has them: in every row, and more
 * beside, but for a few rows in the middle. */
static void clear_background(size_t rows, size_t cols, size_t step, float *a) {
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++)
            if (j % 9 < 5 || (i / 6 + j / 5) % 3 == 0) a[i * step + j] = (i + j) % 3 ? 0.0f : -0.0f;
}

/* The same product where a is mostly zero; `small`: sums are -0, as products vanish; `infinite`:
 * what is not finite stands in b beside zeros and beside others. */
static void check_zeros(int ta, size_t m, size_t n, size_t k, int accumulate, int small,
                        int infinite) {
    const size_t lda = (ta ? m : k) + 1, ldb = n + 2, ldc = n + 3, rows = ta ? k : m;
    float *a = malloc(rows * lda * sizeof *a), *b = malloc(k * ldb * sizeof *b);
    float *start = malloc(m * ldc * sizeof *start), *c = malloc(m * ldc * sizeof *c);
    float *bias = malloc(n * sizeof *bias);
    CHECK(a && b && start && c && bias);
    for (size_t i = 0; i < rows * lda; i++) a[i] = (float)random_value() * (small ? 1e-30f : 1);
    for (size_t i = 0; i < k * ldb; i++) b[i] = (float)random_value() * (small ? 1e-25f : 1);
    clear_background(rows, lda, lda, a);
    if (infinite)
        for (size_t p = 2; p < k; p += 97) b[p * ldb + p % n] = p % 2 ? INFINITY : NAN;
    for (size_t i = 0; i < m * ldc; i++)
        start[i] = small ? (i % 2 ? -0.0f : 0.0f) : (float)random_value();
    for (size_t j = 0; j < n; j++) bias[j] = j % 3 ? -0.0f : (float)random_value();
    size_t minus_zeros = 0;
    for (size_t isa = 0; dc_isa_available(isa); isa++) {
        CHECK(dc_set_isa(dc_isa_available(isa)) == DC_OK);
        const int exact = dc_isa_promises_bits(dc_isa());
        memcpy(c, start, m * ldc * sizeof *c);
        CHECK(dc_matmul_f32(ta, 0, m, n, k, a, lda, b, ldb, accumulate, bias, 0, 0, c, ldc) ==
              DC_OK);
        size_t wrong = 0;
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < ldc; j++) {
                const float *got = &c[i * ldc + j], before = start[i * ldc + j];
                float want = before;
                if (j < n)
                    want = element(ta, 0, i, j, k, a, lda, b, ldb, accumulate, before) + bias[j];
                minus_zeros += want == 0 && signbit(want);
                if (isnan(want))
                    wrong += !isnan(*got);
                else
                    wrong += exact ? memcmp(got, &want, sizeof want) != 0
                                   : !(*got == want || fabsf(*got - want) <= 1e-5f * (float)k);
            }
        if (wrong)
            printf("%s ta %d m %zu n %zu k %zu accumulate %d small %d infinite %d: %zu wrong\n",
                   dc_isa(), ta, m, n, k, accumulate, small, infinite, wrong);
        CHECK(wrong == 0);
    }
    CHECK(!small || minus_zeros > 0);
    dc_set_isa(dc_isa_available(0));
    free(a);
    free(b);
    free(start);
    free(c);
    free(bias);
}

static void test_zeros(void) {
    static const size_t shapes[][3] = {{16, 150, 300},
                                       {70, 64, 257},
                                       {203, 131, 40},
                                       {21, 70, 784}};
    for (size_t s = 0; s < COUNT(shapes); s++)
        for (int options = 0; options < 16; options++)
            check_zeros(options & 1, shapes[s][0], shapes[s][1], shapes[s][2], options >> 1 & 1,
                        options >> 2 & 1, options >> 3 & 1);
}

/* Wider and taller than a block of panels, whose size no tile need divide. */
static void test_blocks(void) {
    dc_set_num_threads(1);
    for (int t = 0; t < 4; t++)
        check_product(t & 1, t >> 1, t == 0 ? 501 : 231, 1101, 5, 0, 1, DC_IDENTITY, 3);
}

/* Few rows of a and many of a transposed b, of which some at a time make columns of the transpose
 * of c; the last of them are no whole panel. */
static void test_turned(void) {
    for (size_t m = 13; m < 50; m += 18)
        for (int options = 0; options < 4; options++)
            check_product(options & 1, 1, m, 2005, 60, 0, options >> 1, DC_TANH, 3);
}

/* Large enough for the threads to take part: the same bits as with one. */
static void test_threads(void) {
    const size_t sizes[][3] = {{300, 300, 300}, {1000, 40, 600}, {40, 1000, 600}, {1, 4000, 800}};
    for (size_t s = 0; s < COUNT(sizes); s++) {
        const size_t m = sizes[s][0], n = sizes[s][1], k = sizes[s][2];
        float *a = malloc(m * k * sizeof *a), *b = malloc(k * n * sizeof *b);
        float *one = malloc(m * n * sizeof *one), *four = malloc(m * n * sizeof *four);
        CHECK(a && b && one && four);
        for (size_t i = 0; i < m * k; i++) a[i] = (float)random_value();
        for (size_t i = 0; i < k * n; i++) b[i] = (float)random_value();
        for (int t = 0; t < 4; t++) {
            const size_t lda = t & 1 ? m : k, ldb = t & 2 ? k : n;
            dc_set_num_threads(1);
            CHECK(
                !dc_matmul_f32(t & 1, t & 2, m, n, k, a, lda, b, ldb, 0, NULL, DC_RELU, 0, one, n));
            dc_set_num_threads(4);
            CHECK(!dc_matmul_f32(t & 1, t & 2, m, n, k, a, lda, b, ldb, 0, NULL, DC_RELU, 0, four,
                                 n));
            CHECK(memcmp(one, four, m * n * sizeof *one) == 0);
        }
        free(a);
        free(b);
        free(one);
        free(four);
    }
}

static void test_arguments(void) {
    float x[4] = {0};
    CHECK(dc_matmul_f32(0, 0, 1, 1, 1, x, 1, x + 1, 1, 0, NULL, DC_ACTIVATION_COUNT, 0, x + 2, 1) ==
          DC_BAD_NAME);
    CHECK(dc_matmul_f32(0, 0, 1, 1, 2, x, 1, x + 1, 1, 0, NULL, 0, 0, x + 2, 1) == DC_BAD_SIZE);
    CHECK(dc_matmul_f32(0, 0, 1, 2, 1, x, 1, x + 1, 2, 0, NULL, 0, 0, x + 2, 1) == DC_BAD_SIZE);
    CHECK(dc_matmul_f32(0, 0, 1, 1, 1, NULL, 1, x + 1, 1, 0, NULL, 0, 0, x + 2, 1) ==
          DC_BAD_POINTER);
    CHECK(dc_matmul_f32(0, 0, 1, 1, 1, x, 1, x + 1, 1, 0, NULL, 0, 0, NULL, 1) == DC_BAD_POINTER);
    CHECK(dc_matmul_f32(0, 0, 0, 1, 1, NULL, 1, NULL, 1, 0, NULL, 0, 0, NULL, 1) == DC_OK);
}

int main(void) {
    test_products();
    test_one_column();
    test_rounds();
    test_zeros();
    test_blocks();
    test_turned();
    test_threads();
    test_arguments();
    return check_result();
}
