/* The digest of every kernel, by itself: one function for each line of KERNELS, so that a kernel
 * without one does not compile. digest_kernels_f64.c is the same for double. */
#include "digest_inputs.h"
#include "typed/optimizer.h"
#include "typed/tables.h"

/* ---- Matrix products ------------------------------------------------------------------------- */

/* Every height and width of a tile, alone and after full ones. */
static const size_t heights[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 29, 43};
static const size_t widths[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  11, 12,
                                13, 16, 17, 24, 31, 32, 33, 36, 49, 65};
static const size_t depths[] = {0, 1, 2, 3, 17, 40};
/* One block of k, one and a little, several. */
static const size_t deep[][3] = {{29, 37, 256}, {15, 33, 257}, {31, 49, 600}, {1, 5, 1300}};

/* Bias, activation, its backward pass and none of them take turns. */
static const epilogue *turn_epilogue(unsigned turn, size_t m, size_t n, epilogue *end) {
    if (turn % 5 == 0) return NULL;
    *end = (epilogue){.activation = (int)(turn % 4)};
    if (turn % 7 < 2) {
        end->outputs = numbers(SPECIAL, m * n);
        end->outputs_row = (ptrdiff_t)n;
    } else if (turn % 3 > 0) {
        end->bias = numbers(ORDINARY, n);
    }
    return end;
}

/* Few of the products are to be NaN, as those all look the same. */
static number_kind turn_kind(unsigned turn) {
    static const number_kind kinds[] = {ORDINARY, WIDE, TINY, ORDINARY, WIDE, SPECIAL};
    return kinds[turn % COUNT(kinds)];
}

static void gemm_case(uint64_t *digest, unsigned turn, size_t m, size_t n, size_t k) {
    start_case();
    const int transpose = turn & 1;
    const ptrdiff_t step = (ptrdiff_t)(transpose ? m : k) + 1;
    const real *a = numbers(turn_kind(turn), (transpose ? k : m) * (size_t)step);
    const real *b = numbers(turn / 6 % 3 ? ORDINARY : WIDE, k * (n + 2));
    real *c = numbers(ORDINARY, m * (n + 1));
    epilogue end;
    const epilogue *given = turn_epilogue(turn, m, n, &end);
    TYPED(dc_kernels)()->gemm(m, n, k, a, transpose ? 1 : step, transpose ? step : 1, b,
                              (ptrdiff_t)n + 2, turn / 2 % 3 == 0, given, c, (ptrdiff_t)n + 1, 0);
    add_reals(digest, m * (n + 1), c);
}

static void gemm_packed_case(uint64_t *digest, unsigned turn, size_t m, size_t n, size_t k) {
    if (k == 0 || k > K_BLOCK) return;
    start_case();
    const kernel_table *kernel = TYPED(dc_kernels)();
    const size_t high = (size_t)kernel->tile_rows, wide = (size_t)kernel->tile_cols;
    const real *a = numbers(turn_kind(turn), m * k);
    const real *b = numbers(turn / 6 % 3 ? ORDINARY : WIDE, k * n);
    real *c = numbers(ORDINARY, m * (n + 1));
    epilogue end;
    const epilogue *given = turn_epilogue(turn, m, n, &end);
    real *packed_a = zeros((m + high) * k), *packed_b = zeros((n + wide) * k);
    kernel->pack_b(k, n, b, (ptrdiff_t)n, packed_b);
    const int in_place = turn % 2;
    if (!in_place) kernel->pack_a(m, k, a, (ptrdiff_t)k, 1, packed_a);
    kernel->gemm_packed(m, n, k, in_place ? a : packed_a, in_place ? (ptrdiff_t)k : 0, 1, packed_b,
                        turn / 2 % 3 == 0, given, c, (ptrdiff_t)n + 1);
    add_reals(digest, m * (n + 1), c);
}

static uint64_t over_products(void (*one)(uint64_t *, unsigned, size_t, size_t, size_t)) {
    uint64_t digest = DIGEST_START;
    unsigned turn = 0;
    for (size_t i = 0; i < COUNT(heights); i++)
        for (size_t j = 0; j < COUNT(widths); j++)
            for (size_t p = 0; p < COUNT(depths); p++)
                one(&digest, turn++, heights[i], widths[j], depths[p]);
    for (size_t i = 0; i < COUNT(deep); i++)
        for (int times = 0; times < 12; times++)
            one(&digest, turn++, deep[i][0], deep[i][1], deep[i][2]);
    return digest;
}

static uint64_t run_gemm(void) { return over_products(gemm_case); }
static uint64_t run_gemm_packed(void) { return over_products(gemm_packed_case); }

/* m x n outputs from few columns; or, transposed, from few rows. An instruction set for which the
 * product is out of gemm_few's reach computes it by gemm: the bits are to be the same. */
static void gemm_few_case(uint64_t *digest, unsigned turn, size_t m, size_t n, size_t k) {
    const kernel_table *kernel = TYPED(dc_kernels)();
    const int can = kernel->few_cost > 0 && n <= FEW_COLS && k >= (size_t)kernel->few_depth;
    const int transposed = turn / 3 % 2, accumulate = turn / 2 % 3 == 0;
    const size_t rows = transposed ? n : m, cols = transposed ? m : n;
    start_case();
    const real *a = numbers(turn_kind(turn), m * k), *b = numbers(ORDINARY, k * n);
    real *c = numbers(ORDINARY, rows * (cols + 1));
    epilogue end;
    const epilogue *given = turn_epilogue(turn, rows, cols, &end);
    const ptrdiff_t width = (ptrdiff_t)n, depth = (ptrdiff_t)k, step = (ptrdiff_t)cols + 1;
    if (can) {
        kernel->gemm_few(m, n, k, a, depth, b, width, 1, accumulate, given, c,
                         transposed ? 1 : step, transposed ? step : 1);
    } else if (transposed) {
        real *columns = zeros(m * k);
        for (size_t i = 0; i < m * k; i++) columns[i % k * m + i / k] = a[i];
        kernel->gemm(n, m, k, b, 1, width, columns, (ptrdiff_t)m, accumulate, given, c, step, 0);
    } else {
        kernel->gemm(m, n, k, a, depth, 1, b, width, accumulate, given, c, step, 0);
    }
    add_reals(digest, rows * (cols + 1), c);
}

static uint64_t run_gemm_few(void) {
    static const size_t ks[] = {2, 4, 7, 8, 9, 15, 16, 33, 256, 257, 300, 530};
    uint64_t digest = DIGEST_START;
    unsigned turn = 0;
    for (size_t i = 0; i < COUNT(heights); i++)
        for (size_t n = 1; n <= 10; n++)
            for (size_t p = 0; p < COUNT(ks); p++)
                gemm_few_case(&digest, turn++, heights[i], n, ks[p]);
    return digest;
}

/* Panels differ from one instruction set to the next, what they hold does not: `lines` lines of k
 * elements, panels of `width` lines, zeros where a line is missing. */
static void add_panels(uint64_t *digest, size_t lines, size_t width, size_t k, const real *packed) {
    int filled = 1;
    for (size_t i = 0; i < (lines + width - 1) / width * width; i++)
        for (size_t p = 0; p < k; p++) {
            const real *x = packed + i / width * width * k + p * width + i % width;
            if (i < lines)
                add_reals(digest, 1, x);
            else
                filled &= *x == 0;
        }
    *digest = digest_word(*digest, (uint64_t)filled, 1);
}

typedef enum packing { PACK_A, PACK_A_TRANSPOSED, PACK_B, PACK_B_TRANSPOSED } packing;

static void over_panels(uint64_t *digest, packing how) {
    static const size_t panel_depths[] = {1, 2, 3, 4, 7, 8, 9, 16, 17, 33, 64};
    const kernel_table *kernel = TYPED(dc_kernels)();
    const size_t width = (size_t)(how < PACK_B ? kernel->tile_rows : kernel->tile_cols);
    const int by_line = how == PACK_A || how == PACK_B_TRANSPOSED; /* a line is contiguous */
    for (size_t i = 0; i < COUNT(lengths) && lengths[i] <= 128; i++)
        for (size_t j = 0; j < COUNT(panel_depths); j++) {
            const size_t n = lengths[i], k = panel_depths[j];
            const ptrdiff_t step = (ptrdiff_t)(by_line ? k : n) + 1;
            start_case();
            const real *x = numbers(SPECIAL, (by_line ? n : k) * (size_t)step);
            real *packed = zeros((n + width) * k);
            memset(packed, 0xff, (n + width) * k * sizeof *packed);
            switch (how) {
            case PACK_A: kernel->pack_a(n, k, x, step, 1, packed); break;
            case PACK_A_TRANSPOSED: kernel->pack_a(n, k, x, 1, step, packed); break;
            case PACK_B: kernel->pack_b(k, n, x, step, packed); break;
            case PACK_B_TRANSPOSED: kernel->pack_b_transposed(k, n, x, step, packed); break;
            }
            add_panels(digest, n, width, k, packed);
        }
}

static uint64_t run_pack_a(void) {
    uint64_t digest = DIGEST_START;
    over_panels(&digest, PACK_A);
    over_panels(&digest, PACK_A_TRANSPOSED);
    return digest;
}
static uint64_t run_pack_b(void) {
    uint64_t digest = DIGEST_START;
    over_panels(&digest, PACK_B);
    return digest;
}
static uint64_t run_pack_b_transposed(void) {
    uint64_t digest = DIGEST_START;
    over_panels(&digest, PACK_B_TRANSPOSED);
    return digest;
}

/* ---- Products that skip zeros ---------------------------------------------------------------- */

/* A multiple of every skip_cols. */
enum { SKIP_WIDTH = 128 };

static uint64_t run_skip_prepare(void) {
    const kernel_table *kernel = TYPED(dc_kernels)();
    uint64_t digest = DIGEST_START;
    for (size_t k = 0; k <= 40; k++)
        for (int packs = 0; packs < 2; packs++) {
            start_case();
            real *b = numbers(WIDE, k * (SKIP_WIDTH + 3));
            /* One that is not finite, in another place each time, in or beside the matrix. */
            if (k % 4)
                b[k * 37 % (k * (SKIP_WIDTH + 3))] = k % 4 == 1 ? (real)-INFINITY : (real)NAN;
            real *packed = zeros(k * SKIP_WIDTH);
            const int finite =
                kernel->skip_prepare(k, SKIP_WIDTH, b, SKIP_WIDTH + 3, packs ? packed : NULL);
            digest = digest_word(digest, (uint64_t)finite, 1);
            if (packs) add_panels(&digest, SKIP_WIDTH, (size_t)kernel->skip_cols, k, packed);
        }
    return digest;
}

static uint64_t run_skip_list(void) {
    static const size_t ks[] = {0, 1, 5, 16, 33, 255, 256};
    uint64_t digest = DIGEST_START;
    unsigned turn = 0;
    for (size_t m = 0; m <= 5 * SKIP_ROWS; m += SKIP_ROWS)
        for (size_t j = 0; j < COUNT(ks); j++)
            for (int transpose = 0; transpose < 2; transpose++) {
                const size_t k = ks[j], rows = transpose ? k : m, step = (transpose ? m : k) + 2;
                start_case();
                real *a = numbers(turn++ % 2 ? SPECIAL : TINY, rows * step);
                clear_patches(rows, step, step, a);
                step_list lists[5];
                const size_t total =
                    TYPED(dc_kernels)()->skip_list(m, k, a, transpose ? 1 : (ptrdiff_t)step,
                                                   transpose ? (ptrdiff_t)step : 1, lists);
                digest = digest_word(digest, total, sizeof(uint32_t));
                for (size_t g = 0; g < m / SKIP_ROWS; g++)
                    for (size_t i = 0; i < lists[g].count; i++)
                        digest = digest_word(digest, lists[g].steps[i], sizeof(uint16_t));
            }
    return digest;
}

static uint64_t run_gemm_skip(void) {
    static const size_t ks[] = {0, 1, 2, 17, 130, 256};
    const kernel_table *kernel = TYPED(dc_kernels)();
    uint64_t digest = DIGEST_START;
    unsigned turn = 0;
    for (size_t m = SKIP_ROWS; m <= 6 * SKIP_ROWS; m += SKIP_ROWS)
        for (size_t j = 0; j < COUNT(ks); j++)
            for (int transpose = 0; transpose < 2; transpose++, turn++) {
                const size_t k = ks[j], rows = transpose ? k : m, step = (transpose ? m : k) + 2;
                start_case();
                real *a = numbers(turn_kind(turn), rows * step);
                clear_patches(rows, step, step, a);
                const real *b = numbers(turn / 6 % 3 ? ORDINARY : TINY, k * SKIP_WIDTH);
                real *c = numbers(ORDINARY, m * SKIP_WIDTH), *packed = zeros(k * SKIP_WIDTH);
                const ptrdiff_t a_row = transpose ? 1 : (ptrdiff_t)step;
                const ptrdiff_t a_col = transpose ? (ptrdiff_t)step : 1;
                step_list lists[6];
                (void)kernel->skip_list(m, k, a, a_row, a_col, lists);
                const int packs = turn / 2 % 2;
                if (packs) (void)kernel->skip_prepare(k, SKIP_WIDTH, b, SKIP_WIDTH, packed);
                kernel->gemm_skip(m, SKIP_WIDTH, k, lists, a, a_row, a_col, packs ? packed : b,
                                  packs ? 0 : SKIP_WIDTH, turn / 4 % 2, c, SKIP_WIDTH);
                add_reals(&digest, m * SKIP_WIDTH, c);
            }
    return digest;
}

/* ---- Products with a vector ------------------------------------------------------------------ */

static uint64_t over_vectors(int transposed) {
    static const size_t ks[] = {0, 1, 2, 3, 5, 8, 17, 33, 255, 256, 257, 600, 1030};
    const kernel_table *kernel = TYPED(dc_kernels)();
    uint64_t digest = DIGEST_START;
    unsigned turn = 0;
    for (size_t i = 0; i < COUNT(lengths) && lengths[i] <= 257; i++)
        for (size_t j = 0; j < COUNT(ks); j++, turn++) {
            const size_t n = lengths[i], k = ks[j];
            const ptrdiff_t step = (ptrdiff_t)(transposed ? k : n) + 1;
            start_case();
            const real *x = numbers(turn_kind(turn), k);
            const real *w =
                numbers(turn / 6 % 3 ? ORDINARY : WIDE, (transposed ? n : k) * (size_t)step);
            real *y = numbers(ORDINARY, n + 1);
            epilogue end;
            const epilogue *given = turn_epilogue(turn, 1, n, &end);
            (transposed ? kernel->gemv_transposed : kernel->gemv)(n, k, x, w, step, turn % 4 == 0,
                                                                  given, y);
            add_reals(&digest, n + 1, y);
        }
    return digest;
}

static uint64_t run_gemv(void) { return over_vectors(0); }
static uint64_t run_gemv_transposed(void) { return over_vectors(1); }

static uint64_t run_column_sum(void) {
    static const size_t rows[] = {0, 1, 2, 3, 255, 256, 257, 600};
    uint64_t digest = DIGEST_START;
    unsigned turn = 0;
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t j = 0; j < COUNT(lengths) && lengths[j] <= 257; j++, turn++) {
            const size_t cols = lengths[j];
            start_case();
            const real *x = numbers(turn_kind(turn), rows[i] * (cols + 1));
            real *y = numbers(ORDINARY, cols + 1);
            TYPED(dc_kernels)()->column_sum(rows[i], cols, x, (ptrdiff_t)cols + 1, turn % 3 == 0,
                                            y);
            add_reals(&digest, cols + 1, y);
        }
    return digest;
}

/* Every number of lanes, and of columns, alone and after full strips. */
static uint64_t over_axes(int backward) {
    static const size_t counts[] = {0, 1, 2, 3, 5, 15, 16, 17, 33, 40};
    uint64_t digest = DIGEST_START;
    unsigned turn = 0;
    for (size_t i = 0; i < COUNT(counts); i++)
        for (size_t j = 0; j < COUNT(lengths) && lengths[j] <= 40; j++, turn++) {
            const size_t before = 1 + turn % 3, count = counts[i], after = lengths[j];
            const size_t n = before * count * after;
            start_case();
            const real *x = numbers(turn_kind(turn), n), *d_y = numbers(ORDINARY, before * after);
            real *y = numbers(ORDINARY, before * after), *d_x = numbers(ORDINARY, n);
            if (backward)
                TYPED(dc_kernels)()->product_backward(before, count, after, x, d_y, d_x);
            else
                TYPED(dc_kernels)()->product(before, count, after, x, y);
            add_reals(&digest, backward ? n : before * after, backward ? d_x : y);
        }
    return digest;
}

static uint64_t run_product(void) { return over_axes(0); }
static uint64_t run_product_backward(void) { return over_axes(1); }

/* ---- Elementwise functions ------------------------------------------------------------------- */

/* y = f(x), or of x and x2, over numbers of every kind. */
static uint64_t over_elements(void (*function)(size_t n, const real *x, const real *x2, real *y)) {
    uint64_t digest = DIGEST_START;
    for (int kind = 0; kind < NUMBER_KINDS; kind++)
        for (size_t i = 0; i < COUNT(lengths); i++) {
            const size_t n = lengths[i];
            start_case();
            const real *x = numbers((number_kind)kind, n), *x2 = numbers(SPECIAL, n);
            real *y = numbers(ORDINARY, n + 1);
            function(n, x, x2, y);
            add_reals(&digest, n + 1, y);
        }
    return digest;
}

static void exponential_of(size_t n, const real *x, const real *x2, real *y) {
    (void)x2;
    TYPED(dc_kernels)()->exponential(n, x, y, 0);
}
static uint64_t run_exponential(void) { return over_elements(exponential_of); }

static void logarithm_of(size_t n, const real *x, const real *x2, real *y) {
    (void)x2;
    TYPED(dc_kernels)()->logarithm(n, x, y, 0);
}
static uint64_t run_logarithm(void) { return over_elements(logarithm_of); }

static void scale_of(size_t n, const real *x, const real *x2, real *y) {
    TYPED(dc_kernels)()->scale(n ? x2[0] : 1, n, x, y, 0);
}
static uint64_t run_scale(void) { return over_elements(scale_of); }

static void add_scaled_of(size_t n, const real *x, const real *x2, real *y) {
    TYPED(dc_kernels)()->add_scaled(n ? x2[0] : 1, n, x, n % 3 ? (real)0.75 : 0, y);
}
static uint64_t run_add_scaled(void) { return over_elements(add_scaled_of); }

static int activation_in_turn;
static real parameter_in_turn;

static void forward_of(size_t n, const real *x, const real *x2, real *y) {
    (void)x2;
    TYPED(dc_kernels)()->activation_forward(activation_in_turn, parameter_in_turn, n, x, y, 0);
}
static void backward_of(size_t n, const real *x, const real *x2, real *y) {
    TYPED(dc_kernels)()->activation_backward(activation_in_turn, parameter_in_turn, n, x, x2, y, 0);
}

/* The four that came first share these two lines. */
static uint64_t over_first_activations(void (*function)(size_t n, const real *x, const real *x2,
                                                        real *y)) {
    uint64_t digest = DIGEST_START;
    for (activation_in_turn = DC_IDENTITY; activation_in_turn <= DC_RELU; activation_in_turn++)
        digest = digest_word(digest, over_elements(function), 8);
    return digest;
}
static uint64_t run_activation_forward(void) { return over_first_activations(forward_of); }
static uint64_t run_activation_backward(void) { return over_first_activations(backward_of); }

/* Each of them all has a line of its own, and so shows when its bits change: forward and back, with
 * the usual parameter and with another one. */
static uint64_t run_activation(int activation) {
    uint64_t digest = DIGEST_START;
    activation_in_turn = activation;
    for (int other = 0; other < 2; other++) {
        const double usual = dc_activation_default(activation);
        parameter_in_turn = (real)(other ? usual + 0.375 : usual);
        digest = digest_word(digest, over_elements(forward_of), 8);
        digest = digest_word(digest, over_elements(backward_of), 8);
    }
    return digest;
}

static uint64_t run_dropout(void) {
    static const uint64_t firsts[] = {0, 1, 2, 3, 4, 37, ((uint64_t)1 << 34) - 5};
    static const uint64_t thresholds[] = {0, 1, 0x40000000u, 0xfffffff0u, (uint64_t)1 << 32};
    uint64_t digest = DIGEST_START;
    for (size_t i = 0; i < COUNT(lengths); i++)
        for (size_t f = 0; f < COUNT(firsts); f++)
            for (size_t t = 0; t < COUNT(thresholds); t++) {
                const size_t n = lengths[i];
                start_case();
                const real *x = numbers(SPECIAL, n);
                real *y = numbers(ORDINARY, n + 1);
                const uint64_t key = random_word(), counter = random_word();
                TYPED(dc_kernels)()->dropout(key, counter, firsts[f], thresholds[t], n, x, y);
                add_reals(&digest, n + 1, y);
            }
    return digest;
}

/* ---- Reductions, softmax, losses ------------------------------------------------------------- */

static uint64_t run_sum(void) {
    static const size_t more[] = {16384, 20000, 45000};
    uint64_t digest = DIGEST_START;
    for (int kind = 0; kind < NUMBER_KINDS; kind++)
        for (size_t i = 0; i < COUNT(lengths) + COUNT(more); i++) {
            const size_t n = i < COUNT(lengths) ? lengths[i] : more[i - COUNT(lengths)];
            start_case();
            add_double(&digest, TYPED(dc_kernels)()->sum(n, numbers((number_kind)kind, n)));
        }
    return digest;
}

static uint64_t run_sum_squares(void) {
    static const size_t more[] = {16384, 45000};
    uint64_t digest = DIGEST_START;
    for (int kind = 0; kind < NUMBER_KINDS; kind++)
        for (size_t i = 0; i < COUNT(lengths) + COUNT(more); i++) {
            const size_t n = i < COUNT(lengths) ? lengths[i] : more[i - COUNT(lengths)];
            start_case();
            const real factor = i % 2 ? 1 : (real)0x1p-40;
            const real *x = numbers((number_kind)kind, n);
            add_double(&digest, TYPED(dc_kernels)()->sum_squares(factor, n, x));
        }
    return digest;
}

static uint64_t run_penalty(void) {
    uint64_t digest = DIGEST_START;
    for (int kind = 0; kind < NUMBER_KINDS; kind++)
        for (size_t i = 0; i < COUNT(lengths); i++)
            for (int which = 0; which < 4; which++) {
                const size_t n = lengths[i];
                const real l1 = which % 2 ? (real)0.3 : 0, l2 = which < 2 ? (real)0.01 : 0;
                start_case();
                const real *x = numbers((number_kind)kind, n);
                real *g = numbers(ORDINARY, n + 1);
                add_double(&digest, TYPED(dc_kernels)()->penalty(l1, l2, n, x, i % 5 ? g : NULL));
                add_reals(&digest, n + 1, g);
            }
    return digest;
}

static uint64_t run_combine(void) {
    uint64_t digest = DIGEST_START;
    for (int kind = 0; kind < NUMBER_KINDS; kind++)
        for (size_t i = 0; i < COUNT(lengths); i++)
            for (int turn = 0; turn < 4 * (DC_QUOTIENT + 1); turn++) {
                const size_t n = lengths[i];
                start_case();
                const real *a = numbers((number_kind)kind, n + 1), *b = numbers(SPECIAL, n + 1);
                real *y = numbers(ORDINARY, n + 1);
                TYPED(dc_kernels)()->combine(turn / 4, n, a, turn & 1, b, turn >> 1 & 1, y);
                add_reals(&digest, n + 1, y);
            }
    return digest;
}

static uint64_t run_softmax(void) {
    enum { ROWS = 4 };
    uint64_t digest = DIGEST_START;
    for (int kind = 0; kind < NUMBER_KINDS; kind++)
        for (size_t i = 0; i < COUNT(lengths); i++) {
            const size_t n = ROWS * lengths[i];
            start_case();
            const real *x = numbers((number_kind)kind, n);
            real *y = numbers(ORDINARY, n + 1);
            TYPED(dc_kernels)()->softmax(ROWS, lengths[i], x, y);
            add_reals(&digest, n + 1, y);
        }
    return digest;
}

static uint64_t run_softmax_backward(void) {
    enum { ROWS = 4 };
    uint64_t digest = DIGEST_START;
    for (int kind = 0; kind < NUMBER_KINDS; kind++)
        for (size_t i = 0; i < COUNT(lengths); i++) {
            const size_t n = ROWS * lengths[i];
            start_case();
            const real *y = numbers((number_kind)kind, n), *d_y = numbers(ORDINARY, n);
            real *d_x = numbers(ORDINARY, n + 1);
            TYPED(dc_kernels)()->softmax_backward(ROWS, lengths[i], y, d_y, d_x);
            add_reals(&digest, n + 1, d_x);
        }
    return digest;
}

static uint64_t run_log_softmax(void) {
    enum { ROWS = 4 };
    uint64_t digest = DIGEST_START;
    for (int kind = 0; kind < NUMBER_KINDS; kind++)
        for (size_t i = 0; i < COUNT(lengths); i++) {
            const size_t n = ROWS * lengths[i];
            start_case();
            const real *x = numbers((number_kind)kind, n);
            real *y = numbers(ORDINARY, n + 1);
            TYPED(dc_kernels)()->log_softmax(ROWS, lengths[i], x, y);
            add_reals(&digest, n + 1, y);
        }
    return digest;
}

static uint64_t run_log_softmax_backward(void) {
    enum { ROWS = 4 };
    uint64_t digest = DIGEST_START;
    for (int kind = 0; kind < NUMBER_KINDS; kind++)
        for (size_t i = 0; i < COUNT(lengths); i++) {
            const size_t n = ROWS * lengths[i];
            start_case();
            const real *y = numbers((number_kind)kind, n), *d_y = numbers(ORDINARY, n);
            real *d_x = numbers(ORDINARY, n + 1);
            TYPED(dc_kernels)()->log_softmax_backward(ROWS, lengths[i], y, d_y, d_x);
            add_reals(&digest, n + 1, d_x);
        }
    return digest;
}

/* ---- Normalization --------------------------------------------------------------------------- */

static uint64_t run_column_moment(void) {
    static const size_t rows[] = {0, 1, 2, 255, 256, 257, 600};
    uint64_t digest = DIGEST_START;
    unsigned turn = 0;
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t j = 0; j < COUNT(lengths) && lengths[j] <= 257; j++, turn++) {
            const size_t cols = lengths[j];
            start_case();
            const real *x = numbers(turn_kind(turn), rows[i] * (cols + 1));
            const real *d = turn % 3 ? numbers(ORDINARY, rows[i] * (cols + 2)) : NULL;
            const real *mean = numbers(ORDINARY, cols);
            real *y = numbers(ORDINARY, cols + 1);
            TYPED(dc_kernels)()->column_moment(rows[i], cols, x, (ptrdiff_t)cols + 1, mean, d,
                                               (ptrdiff_t)cols + 2, y);
            add_reals(&digest, cols + 1, y);
        }
    return digest;
}

static uint64_t run_columns_map(void) {
    enum { ROWS = 3 };
    uint64_t digest = DIGEST_START;
    for (unsigned turn = 0; turn < 2 * COUNT(lengths); turn++) {
        const size_t cols = lengths[turn / 2];
        const ptrdiff_t row = (ptrdiff_t)cols;
        start_case();
        const real *x = numbers(turn_kind(turn), ROWS * (cols + 1));
        const real *d = turn % 2 ? numbers(ORDINARY, ROWS * (cols + 2)) : NULL;
        const real *mean = numbers(ORDINARY, cols), *slope = numbers(ORDINARY, cols);
        const real *shift = numbers(ORDINARY, cols), *factor = numbers(ORDINARY, cols);
        real *y = numbers(ORDINARY, ROWS * (cols + 3));
        TYPED(dc_kernels)()->columns_map(ROWS, cols, x, row + 1, mean, slope, shift, d, row + 2,
                                         factor, y, row + 3);
        add_reals(&digest, ROWS * (cols + 3), y);
    }
    return digest;
}

static uint64_t run_layer_norm(void) {
    enum { ROWS = 3 };
    uint64_t digest = DIGEST_START;
    for (unsigned turn = 0; turn < 4 * COUNT(lengths); turn++) {
        const size_t cols = lengths[turn / 4];
        start_case();
        const real *x = numbers(turn_kind(turn), ROWS * cols);
        const real *gamma = turn & 1 ? numbers(ORDINARY, cols) : NULL;
        const real *beta = turn & 2 ? numbers(ORDINARY, cols) : NULL;
        real *stats = numbers(ORDINARY, 2 * ROWS), *y = numbers(ORDINARY, ROWS * cols + 1);
        TYPED(dc_kernels)()->layer_norm(ROWS, cols, (real)0.125, x, gamma, beta,
                                        turn % 3 ? stats : NULL, y);
        add_reals(&digest, 2 * ROWS, stats);
        add_reals(&digest, ROWS * cols + 1, y);
    }
    return digest;
}

static uint64_t run_layer_norm_backward(void) {
    enum { ROWS = 3 };
    uint64_t digest = DIGEST_START;
    for (unsigned turn = 0; turn < 4 * COUNT(lengths); turn++) {
        const size_t cols = lengths[turn / 4];
        start_case();
        const real *x = numbers(turn_kind(turn), ROWS * cols), *stats = numbers(ORDINARY, 2 * ROWS);
        const real *gamma = turn & 1 ? numbers(ORDINARY, cols) : NULL;
        const real *d_y = numbers(ORDINARY, ROWS * cols);
        real *scaled = numbers(ORDINARY, ROWS * cols + 1),
             *d_x = numbers(ORDINARY, ROWS * cols + 1);
        TYPED(dc_kernels)()->layer_norm_backward(ROWS, cols, x, stats, gamma, d_y, scaled,
                                                 turn & 2 ? d_x : NULL);
        add_reals(&digest, ROWS * cols + 1, scaled);
        add_reals(&digest, ROWS * cols + 1, d_x);
    }
    return digest;
}

/* ---- Losses ---------------------------------------------------------------------------------- */

/* What a case asks for, beside the gradient. */
enum { LOSS_GRADIENT = 1, LOSS_WEIGHTS = 2, LOSS_VALUES = 4, LOSS_LABELS = 8, LOSS_OTHER = 16 };

static double run_work(const loss_work *work, size_t start, size_t n) {
    const kernel_table *kernel = TYPED(dc_kernels)();
    return dc_loss_is_rowwise(work->kind) ? kernel->rowwise_loss(work, start, n)
                                          : kernel->elementwise_loss(work, start, n);
}

/* One loss over rows x cols, from an item on that is no boundary; the usual parameter and no
 * smoothing, or with LOSS_OTHER another one. */
static void loss_work_case(uint64_t *digest, int kind, int form, number_kind values, size_t rows,
                           size_t cols) {
    int64_t labels[600];
    start_case();
    const size_t n = rows * cols;
    const int rowwise = dc_loss_is_rowwise(kind);
    const size_t items = rowwise ? rows : n, start = items > 3 ? 3 : 0;
    const int labelled = form & LOSS_LABELS && dc_loss_takes_labels(kind);
    loss_work work = {.kind = kind, .rows = rows, .cols = cols};
    work.parameter = (real)(dc_loss_default(kind) + (form & LOSS_OTHER ? 0.375 : 0));
    if (form & LOSS_OTHER && dc_loss_takes_smoothing(kind)) work.smoothing = (real)0.125;
    work.predicted = numbers(values, n);
    const real *targets = numbers(ORDINARY, n);
    if (!labelled) work.targets = targets;
    for (size_t i = 0; i < rows; i++) labels[i] = (int64_t)(random_word() % cols);
    if (labelled) work.labels = labels;
    if (form & LOSS_WEIGHTS) {
        real *weights = numbers(ORDINARY, rows);
        for (size_t i = 0; i < rows; i += 3) weights[i] = 0;
        work.weights = weights;
    }
    work.scale = random_real(ORDINARY);
    real *d = numbers(ORDINARY, n + 1), *each = numbers(ORDINARY, items + 1);
    if (form & LOSS_GRADIENT) work.d = d;
    if (form & LOSS_VALUES) work.values = each;
    add_double(digest, run_work(&work, start, items - start));
    add_reals(digest, n + 1, d);
    add_reals(digest, items + 1, each);
}

/* Each loss has a line of its own, and so shows when its bits change. */
static uint64_t run_loss(int kind) {
    static const size_t shapes[][2] = {{0, 3},  {2, 3},  {15, 5},  {16, 10}, {17, 3},  {33, 1},
                                       {37, 2}, {37, 1}, {257, 7}, {9, 33},  {600, 10}};
    static const int forms[] = {0,
                                LOSS_GRADIENT,
                                LOSS_GRADIENT | LOSS_WEIGHTS,
                                LOSS_GRADIENT | LOSS_WEIGHTS | LOSS_VALUES | LOSS_LABELS,
                                LOSS_GRADIENT | LOSS_WEIGHTS | LOSS_VALUES | LOSS_OTHER,
                                LOSS_GRADIENT | LOSS_LABELS | LOSS_OTHER};
    uint64_t digest = DIGEST_START;
    unsigned turn = 0;
    for (size_t f = 0; f < COUNT(forms); f++) {
        for (size_t i = 0; i < COUNT(lengths); i++)
            if (lengths[i] > 0)
                loss_work_case(&digest, kind, forms[f], turn_kind(turn++), 1, lengths[i]);
        for (size_t i = 0; i < COUNT(shapes); i++)
            loss_work_case(&digest, kind, forms[f], turn_kind(turn++), shapes[i][0], shapes[i][1]);
    }
    return digest;
}

/* The two that came first share these lines with nobody, and have those of their old names
 * besides. */
static uint64_t run_elementwise_loss(void) { return run_loss(DC_SQUARED_ERROR); }
static uint64_t run_rowwise_loss(void) { return run_loss(DC_SOFTMAX_CROSS_ENTROPY); }

static uint64_t run_squared_error(void) {
    uint64_t digest = DIGEST_START;
    for (int kind = 0; kind < NUMBER_KINDS; kind++)
        for (size_t i = 0; i < COUNT(lengths); i++)
            for (int with_gradient = 0; with_gradient < 2; with_gradient++) {
                const size_t n = lengths[i];
                start_case();
                const real *x = numbers((number_kind)kind, n), *targets = numbers(ORDINARY, n);
                real *d = numbers(ORDINARY, n + 1);
                const loss_work work = {.kind = DC_SQUARED_ERROR,
                                        .rows = 1,
                                        .cols = n,
                                        .predicted = x,
                                        .targets = targets,
                                        .scale = random_real(ORDINARY),
                                        .d = with_gradient ? d : NULL};
                add_double(&digest, run_work(&work, 0, n));
                add_reals(&digest, n + 1, d);
            }
    return digest;
}

/* `form`: with or without gradient, with targets, with one-hot targets, or with labels. */
static void cross_entropy_case(uint64_t *digest, int form, number_kind kind, size_t rows,
                               size_t cols) {
    int64_t labels[600];
    start_case();
    const real *x = numbers(kind, rows * cols);
    real *targets = form / 2 == 1 ? zeros(rows * cols) : numbers(ORDINARY, rows * cols);
    for (size_t i = 0; i < rows; i++) {
        labels[i] = (int64_t)(random_word() % cols);
        if (form / 2 == 1) targets[i * cols + (size_t)labels[i]] = 1;
    }
    real *d = numbers(ORDINARY, rows * cols + 1);
    const loss_work work = {.kind = DC_SOFTMAX_CROSS_ENTROPY,
                            .rows = rows,
                            .cols = cols,
                            .predicted = x,
                            .targets = form / 2 == 2 ? NULL : targets,
                            .labels = form / 2 == 2 ? labels : NULL,
                            .scale = random_real(ORDINARY),
                            .d = form % 2 ? d : NULL};
    add_double(digest, run_work(&work, 0, rows));
    add_reals(digest, rows * cols + 1, d);
}

static uint64_t over_cross_entropy(int first_form, int last_form) {
    static const size_t shapes[][2] = {{0, 3},  {2, 3},  {15, 5},  {16, 10}, {17, 3},
                                       {33, 1}, {37, 2}, {256, 4}, {257, 7}, {600, 10}};
    uint64_t digest = DIGEST_START;
    for (int kind = 0; kind < NUMBER_KINDS; kind++)
        for (int form = first_form; form <= last_form; form++) {
            for (size_t i = 0; i < COUNT(lengths); i++)
                if (lengths[i] > 0)
                    cross_entropy_case(&digest, form, (number_kind)kind, 1, lengths[i]);
            for (size_t i = 0; i < COUNT(shapes); i++)
                cross_entropy_case(&digest, form, (number_kind)kind, shapes[i][0], shapes[i][1]);
        }
    return digest;
}
static uint64_t run_cross_entropy(void) { return over_cross_entropy(0, 5); }
static uint64_t run_cross_entropy_one_hot(void) { return over_cross_entropy(2, 5); }

/* ---- Updates --------------------------------------------------------------------------------- */

/* Two steps of a rule over rows x cols elements; the gradient flat, or as an outer product. */
static void update_case(uint64_t *digest, const dc_optimizer *rule, number_kind kind, int outer,
                        size_t rows, size_t cols) {
    const kernel_table *kernel = TYPED(dc_kernels)();
    const size_t n = rows * cols;
    start_case();
    const real *x = numbers(ORDINARY, rows), *g = numbers(kind, outer ? cols : n);
    real *p = numbers(ORDINARY, n + 1), *first = zeros(n + 1), *second = zeros(n + 1);
    dc_optimizer o = *rule;
    for (o.steps = 1; o.steps <= 2; o.steps++) {
        update_step step;
        TYPED(dc_update_step)(&o, &step);
        if (outer)
            kernel->update_outer(&step, rows, cols, x, g, p, first, second);
        else
            kernel->update(&step, n, g, p, first, second, NULL);
    }
    add_reals(digest, n + 1, p);
    add_reals(digest, n + 1, first);
    add_reals(digest, n + 1, second);
}

static uint64_t run_update(void) {
    uint64_t digest = DIGEST_START;
    for (size_t r = 0; r < COUNT(rules); r++)
        for (int kind = 0; kind < NUMBER_KINDS; kind++)
            for (size_t i = 0; i < COUNT(lengths) && lengths[i] <= 1000; i++)
                update_case(&digest, &rules[r], (number_kind)kind, 0, 1, lengths[i]);
    return digest;
}

static uint64_t run_update_outer(void) {
    static const size_t rows[] = {1, 2, 3, 17};
    uint64_t digest = DIGEST_START;
    unsigned turn = 0;
    for (size_t r = 0; r < COUNT(rules); r++)
        for (size_t i = 0; i < COUNT(rows); i++)
            for (size_t j = 0; j < COUNT(lengths) && lengths[j] <= 128; j++)
                update_case(&digest, &rules[r], turn_kind(turn++), 1, rows[i], lengths[j]);
    return digest;
}

/* ---- The list -------------------------------------------------------------------------------- */

#define DIGEST_OF(result, name, arguments)                                                         \
    static uint64_t digest_##name(void) {                                                          \
        start_workload();                                                                          \
        return run_##name();                                                                       \
    }
KERNELS(DIGEST_OF)

#define DIGEST_OF_ACTIVATION(NAME, name, ...)                                                      \
    static uint64_t digest_of_##name(void) {                                                       \
        start_workload();                                                                          \
        return run_activation(DC_##NAME);                                                          \
    }
DC_ACTIVATION_LIST(DIGEST_OF_ACTIVATION)

#define DIGEST_OF_LOSS(NAME, name, ...)                                                            \
    static uint64_t digest_of_##name(void) {                                                       \
        start_workload();                                                                          \
        return run_loss(DC_##NAME);                                                                \
    }
DC_LOSS_LIST(DIGEST_OF_LOSS)

/* The names that two of the losses had as kernels of their own. */
DIGEST_OF(uint64_t, squared_error, ())
DIGEST_OF(uint64_t, cross_entropy, ())
DIGEST_OF(uint64_t, cross_entropy_one_hot, ())

#define ENTRY(result, name, arguments) {#name, digest_##name},
#define ACTIVATION_ENTRY(NAME, name, ...) {"activation:" #name, digest_of_##name},
#define LOSS_ENTRY(NAME, name, ...) {"loss:" #name, digest_of_##name},
const workload TYPED(kernel_workloads)[] = {
    KERNELS(ENTRY) DC_ACTIVATION_LIST(ACTIVATION_ENTRY) DC_LOSS_LIST(LOSS_ENTRY)
        ENTRY(, squared_error, ) ENTRY(, cross_entropy, )
            ENTRY(, cross_entropy_one_hot, ){NULL, NULL}};
