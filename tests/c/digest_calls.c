/* The digest of every public function that computes: what it chooses among kernels, blocks and
 * threads. Each runs with one thread and with two. digest_calls_f64.c is the same for double. */
#include "digest_inputs.h"

/* Work that is split: more than SPLIT_ELEMENTS and SPLIT_UPDATE_ELEMENTS of tuning.h, and no
 * multiple of a task. */
enum { LARGE = (1 << 17) + 12345, LARGE_UPDATE = (1 << 18) + 12345 };

/* A stream of random numbers, with bits in both halves. */
#define KEY ((uint64_t)0x0123456789abcdefu)
#define COUNTER ((uint64_t)0xfedcba9876543210u)

static uint64_t with_threads(void (*run)(uint64_t *digest)) {
    uint64_t digest = DIGEST_START;
    const int before = dc_num_threads();
    for (int threads = 1; threads <= 2; threads++) {
        dc_set_num_threads(threads);
        start_workload();
        run(&digest);
    }
    dc_set_num_threads(before);
    return digest;
}

/* A call that fails has a digest of its own. */
static void add_status(uint64_t *digest, int status) {
    *digest = digest_word(*digest, (uint64_t)status, 1);
}

/* ---- Matrix multiply ------------------------------------------------------------------------- */

static void matmul_case(uint64_t *digest, unsigned turn, size_t m, size_t n, size_t k,
                        size_t more_columns) {
    start_case();
    const int transpose_a = turn & 1, transpose_b = turn >> 1 & 1;
    const size_t lda = (transpose_a ? m : k) + 1, ldc = n + 2;
    const size_t ldb = (transpose_b ? k : n) + more_columns;
    const real *a = numbers(turn % 7 ? ORDINARY : TINY, (transpose_a ? k : m) * lda);
    const real *b = numbers(turn % 5 ? ORDINARY : WIDE, (transpose_b ? n : k) * ldb);
    const real *bias = turn % 3 ? numbers(ORDINARY, n) : NULL;
    real *c = numbers(ORDINARY, m * ldc);
    add_status(digest, TYPED(dc_matmul)(transpose_a, transpose_b, m, n, k, a, lda, b, ldb,
                                        turn / 4 % 2 == 0, bias, (int)(turn / 4 % 4), 0, c, ldc));
    add_reals(digest, m * ldc, c);
}

static void run_matmul(uint64_t *digest) {
    static const size_t ms[] = {1, 2, 3, 7, 14, 29}, ns[] = {1, 2, 10, 17, 33, 70},
                        ks[] = {0, 1, 5, 33, 256, 300};
    /* Several blocks of each side, enough work for two threads. */
    static const size_t large[][3] = {{230, 210, 270}, {40, 1100, 30}, {3, 1100, 300},
                                      {1, 1500, 800},  {1500, 1, 800}, {1500, 9, 80}};
    unsigned turn = 0;
    for (size_t i = 0; i < COUNT(ms); i++)
        for (size_t j = 0; j < COUNT(ns); j++)
            for (size_t p = 0; p < COUNT(ks); p++)
                for (int orientation = 0; orientation < 4; orientation++)
                    matmul_case(digest, turn++, ms[i], ns[j], ks[p], 1);
    for (size_t i = 0; i < COUNT(large); i++)
        for (int orientation = 0; orientation < 4; orientation++)
            matmul_case(digest, turn++, large[i][0], large[i][1], large[i][2], i ? 0 : 1024);
}

/* A b of more than half a megabyte, read in short rounds; and rows so many that it is packed
 * whatever the orientation. */
static void run_matmul_large(uint64_t *digest) {
    static const size_t shapes[][3] = {{9, 530, 300}, {33, 270, 515}, {511, 310, 20}};
    unsigned turn = 0;
    for (size_t i = 0; i < COUNT(shapes); i++)
        for (int orientation = 0; orientation < 4; orientation++)
            matmul_case(digest, turn++, shapes[i][0], shapes[i][1], shapes[i][2], 1);
}

/* A transposed b and few rows, where c is computed as its transpose, in one block and in more. */
static void run_matmul_turned(uint64_t *digest) {
    static const size_t shapes[][3] = {{16, 700, 100}, {29, 300, 300}, {32, 2005, 60}};
    for (size_t i = 0; i < COUNT(shapes); i++)
        for (unsigned turn = 0; turn < 16; turn++)
            if (turn & 2) matmul_case(digest, turn, shapes[i][0], shapes[i][1], shapes[i][2], 1);
}

/* An a that is mostly zero, which is left out where b is finite and no sum is -0: both in the first
 * turns, then numbers so small that products vanish, and others that are none. */
static void run_matmul_zeros(uint64_t *digest) {
    static const size_t shapes[][3] = {{37, 130, 300}, {140, 71, 280}, {300, 200, 40}};
    static const number_kind kinds[][2] = {{ORDINARY, WIDE},
                                           {TINY, ORDINARY},
                                           {ORDINARY, SPECIAL},
                                           {SPECIAL, ORDINARY},
                                           {TINY, TINY}};
    unsigned turn = 0;
    for (size_t i = 0; i < COUNT(shapes); i++)
        for (size_t j = 0; j < COUNT(kinds); j++)
            for (int transpose = 0; transpose < 2; transpose++, turn++) {
                const size_t m = shapes[i][0], n = shapes[i][1], k = shapes[i][2], ldc = n + 1;
                const size_t rows = transpose ? k : m, lda = (transpose ? m : k) + 3;
                start_case();
                real *a = numbers(kinds[j][0], rows * lda);
                clear_patches(rows, lda, lda, a);
                const real *b = numbers(kinds[j][1], k * (n + 5));
                const real *bias = turn % 3 ? numbers(kinds[j][1], n) : NULL;
                real *c = numbers(ORDINARY, m * ldc);
                add_status(digest,
                           TYPED(dc_matmul)(transpose, 0, m, n, k, a, lda, b, n + 5, turn / 2 % 2,
                                            bias, (int)(turn % 4), 0, c, ldc));
                add_reals(digest, m * ldc, c);
            }
}

/* ---- Elementwise functions, reductions, softmax, losses -------------------------------------- */

static void run_exp(uint64_t *digest) {
    real *x = numbers(SPECIAL, LARGE);
    add_status(digest, TYPED(dc_exp)(LARGE, x, x));
    add_reals(digest, LARGE, x);
}

static void run_log(uint64_t *digest) {
    real *x = numbers(SPECIAL, LARGE);
    add_status(digest, TYPED(dc_log)(LARGE, x, x));
    add_reals(digest, LARGE, x);
}

static void run_scale(uint64_t *digest) {
    real *x = numbers(SPECIAL, LARGE);
    add_status(digest, TYPED(dc_scale)(0.3, LARGE, x, x));
    add_reals(digest, LARGE, x);
}

static void run_add_scaled(uint64_t *digest) {
    const real *x = numbers(SPECIAL, LARGE);
    real *y = numbers(SPECIAL, LARGE);
    add_status(digest, TYPED(dc_add_scaled)(0.3, LARGE, x, 0.7, y));
    add_reals(digest, LARGE, y);
}

static void forward_case(uint64_t *digest, int activation, double parameter) {
    start_case();
    real *x = numbers(SPECIAL, LARGE);
    add_status(digest, TYPED(dc_activation_forward)(activation, parameter, LARGE, x, x));
    add_reals(digest, LARGE, x);
}

static void backward_case(uint64_t *digest, int activation, double parameter) {
    start_case();
    real *kept = numbers(SPECIAL, LARGE), *d = numbers(SPECIAL, LARGE);
    add_status(digest, TYPED(dc_activation_backward)(activation, parameter, LARGE, kept, d, d));
    add_reals(digest, LARGE, d);
}

/* The four that came first share these two lines. */
static void run_activation_forward(uint64_t *digest) {
    for (int a = DC_IDENTITY; a <= DC_RELU; a++) forward_case(digest, a, 0);
}
static void run_activation_backward(uint64_t *digest) {
    for (int a = DC_IDENTITY; a <= DC_RELU; a++) backward_case(digest, a, 0);
}

/* Each of them all has a line of its own, and so shows when its bits change. */
#define ACTIVATION_CALLS(NAME, name, ...)                                                          \
    static void run_##name(uint64_t *digest) {                                                     \
        forward_case(digest, DC_##NAME, dc_activation_default(DC_##NAME));                         \
        backward_case(digest, DC_##NAME, dc_activation_default(DC_##NAME));                        \
    }
DC_ACTIVATION_LIST(ACTIVATION_CALLS)
#undef ACTIVATION_CALLS

static void run_dropout(uint64_t *digest) {
    real *x = numbers(SPECIAL, LARGE);
    add_status(digest, TYPED(dc_dropout)(KEY, COUNTER, 0.3, LARGE, x, x));
    add_reals(digest, LARGE, x);
}

static void run_combine(uint64_t *digest) {
    enum { ROWS = 70, COLS = 33 };
    for (int turn = 0; turn < 16 * (DC_QUOTIENT + 1); turn++) {
        start_case();
        const real *a = numbers(SPECIAL, ROWS * COLS), *b = numbers(SPECIAL, ROWS * COLS);
        real *y = numbers(ORDINARY, ROWS * COLS);
        const size_t a_col = turn & 1, b_col = turn >> 2 & 1;
        const size_t a_row = turn >> 1 & 1 ? COLS : 0, b_row = turn >> 3 & 1 ? COLS : 0;
        add_status(digest,
                   TYPED(dc_combine)(turn / 16, ROWS, COLS, a, a_row, a_col, b, b_row, b_col, y));
        add_reals(digest, ROWS * COLS, y);
    }
}

static void run_column_sum(uint64_t *digest) {
    enum { ROWS = 700, COLS = 33 };
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        start_case();
        const real *x = numbers(WIDE, ROWS * COLS);
        real *y = numbers(ORDINARY, COLS);
        add_status(digest, TYPED(dc_column_sum)(ROWS, COLS, x, accumulate, y));
        add_reals(digest, COLS, y);
    }
}

static void over_products(uint64_t *digest, int backward) {
    static const size_t sizes[][3] = {{70, 33, 1}, {3, 9, 70}, {1, 100, 1}, {1, 20, 33}};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        const size_t before = sizes[i][0], count = sizes[i][1], after = sizes[i][2];
        const size_t n = before * (backward ? count : 1) * after;
        start_case();
        const real *x = numbers(i % 2 ? WIDE : ORDINARY, before * count * after);
        const real *d_y = numbers(ORDINARY, before * after);
        real *y = numbers(ORDINARY, n);
        add_status(digest, backward ? TYPED(dc_prod_backward)(before, count, after, x, d_y, y)
                                    : TYPED(dc_prod)(before, count, after, x, y));
        add_reals(digest, n, y);
    }
}

static void run_prod(uint64_t *digest) { over_products(digest, 0); }
static void run_prod_backward(uint64_t *digest) { over_products(digest, 1); }

static void run_sum(uint64_t *digest) {
    add_double(digest, TYPED(dc_sum)(LARGE, numbers(ORDINARY, LARGE)));
    add_double(digest, TYPED(dc_sum)(LARGE, numbers(WIDE, LARGE)));
}

static void run_sum_squares(uint64_t *digest) {
    add_double(digest, TYPED(dc_sum_squares)(LARGE, numbers(ORDINARY, LARGE)));
    add_double(digest, TYPED(dc_sum_squares)(LARGE, numbers(WIDE, LARGE)));
}

static void run_argmax_equals(uint64_t *digest) {
    enum { ROWS = 300, COLS = 9 };
    for (int kind = 0; kind < NUMBER_KINDS; kind++) {
        start_case();
        int64_t places[ROWS];
        uint8_t equal[ROWS];
        const real *x = numbers((number_kind)kind, ROWS * COLS);
        for (size_t cols = 1; cols <= COLS; cols++) {
            for (size_t i = 0; i < ROWS; i++) places[i] = (int64_t)(i * i % (cols + 2)) - 1;
            add_status(digest, TYPED(dc_argmax_equals)(ROWS, cols, x, places, equal));
            for (size_t i = 0; i < ROWS; i++) *digest = digest_word(*digest, equal[i], 1);
        }
    }
}

static void run_argmax(uint64_t *digest) {
    enum { ROWS = 300, COLS = 9 };
    for (int kind = 0; kind < NUMBER_KINDS; kind++) {
        start_case();
        int64_t places[ROWS];
        const real *x = numbers((number_kind)kind, ROWS * COLS);
        for (size_t cols = 1; cols <= COLS; cols++) {
            add_status(digest, TYPED(dc_argmax)(ROWS, cols, x, places));
            for (size_t i = 0; i < ROWS; i++)
                *digest = digest_word(*digest, (uint64_t)places[i], 8);
        }
    }
}

static void run_penalize(uint64_t *digest) {
    start_case();
    const real *large = numbers(WIDE, LARGE), *small = numbers(SPECIAL, 70);
    real *g = numbers(ORDINARY, LARGE);
    const TYPED(dc_penalty)
        penalties[] = {{LARGE, large, g, 1e-4, 0.01}, {70, small, NULL, 0.1, 0}};
    for (int gradients = 0; gradients < 2; gradients++)
        for (size_t count = 1; count <= COUNT(penalties); count++) {
            double penalty = 0;
            add_status(digest, TYPED(dc_penalize)(count, penalties, gradients, &penalty));
            add_double(digest, penalty);
            add_reals(digest, LARGE, g);
        }
}

static void run_clip_arrays(uint64_t *digest) {
    for (int clip = DC_CLIP_NONE; clip <= DC_CLIP_GLOBAL_NORM; clip++) {
        start_case();
        const size_t sizes[] = {LARGE, 70};
        real *const arrays[] = {numbers(ORDINARY, LARGE), numbers(ORDINARY, 70)};
        double norm = 0;
        add_status(digest, TYPED(dc_clip_arrays)(clip, 0.5, 1e-6, 2, sizes, arrays, &norm));
        add_double(digest, norm);
        for (size_t i = 0; i < COUNT(arrays); i++) add_reals(digest, sizes[i], arrays[i]);
    }
}

static void run_softmax(uint64_t *digest) {
    static const size_t widths[] = {7, 33, 9000};
    for (size_t i = 0; i < COUNT(widths); i++) {
        const size_t cols = widths[i], rows = LARGE / cols;
        start_case();
        real *x = numbers(ORDINARY, rows * cols);
        add_status(digest, TYPED(dc_softmax)(rows, cols, x, x));
        add_reals(digest, rows * cols, x);
    }
}

static void run_softmax_backward(uint64_t *digest) {
    static const size_t widths[] = {7, 33, 9000};
    for (size_t i = 0; i < COUNT(widths); i++) {
        const size_t cols = widths[i], rows = LARGE / cols;
        start_case();
        real *y = numbers(ORDINARY, rows * cols), *d = numbers(ORDINARY, rows * cols);
        add_status(digest, TYPED(dc_softmax_backward)(rows, cols, y, d, d));
        add_reals(digest, rows * cols, d);
    }
}

static void run_log_softmax(uint64_t *digest) {
    static const size_t widths[] = {7, 33, 9000};
    for (size_t i = 0; i < COUNT(widths); i++) {
        const size_t cols = widths[i], rows = LARGE / cols;
        start_case();
        real *x = numbers(ORDINARY, rows * cols);
        add_status(digest, TYPED(dc_log_softmax)(rows, cols, x, x));
        add_reals(digest, rows * cols, x);
    }
}

static void run_log_softmax_backward(uint64_t *digest) {
    static const size_t widths[] = {7, 33, 9000};
    for (size_t i = 0; i < COUNT(widths); i++) {
        const size_t cols = widths[i], rows = LARGE / cols;
        start_case();
        real *y = numbers(ORDINARY, rows * cols), *d = numbers(ORDINARY, rows * cols);
        add_status(digest, TYPED(dc_log_softmax_backward)(rows, cols, y, d, d));
        add_reals(digest, rows * cols, d);
    }
}

/* Each loss with each kind of targets: squared error, cross-entropy, cross-entropy with labels. */
static void over_losses(uint64_t *digest,
                        void (*one)(uint64_t *digest, int kind, size_t rows, size_t cols,
                                    const real *x, const real *targets, const int64_t *labels)) {
    static const size_t shapes[][2] = {{5, 10}, {300, 3}, {LARGE / 10, 10}, {20, 9000}};
    static int64_t labels[LARGE / 10];
    for (size_t i = 0; i < COUNT(shapes); i++)
        for (int form = 0; form < 3; form++) {
            const size_t rows = shapes[i][0], cols = shapes[i][1];
            start_case();
            const real *x = numbers(ORDINARY, rows * cols);
            const real *targets = form == 2 ? NULL : numbers(ORDINARY, rows * cols);
            for (size_t r = 0; r < rows; r++) labels[r] = (int64_t)(random_word() % cols);
            one(digest, form == 0 ? DC_SQUARED_ERROR : DC_SOFTMAX_CROSS_ENTROPY, rows, cols, x,
                targets, form == 2 ? labels : NULL);
        }
}

static void loss_case(uint64_t *digest, int kind, size_t rows, size_t cols, const real *x,
                      const real *targets, const int64_t *labels) {
    const dc_loss_rule rule = {.kind = kind, .parameter = dc_loss_default(kind)};
    real *d = numbers(ORDINARY, rows * cols);
    double loss;
    add_status(digest, TYPED(dc_loss)(&rule, rows, cols, x, targets, labels, NULL,
                                      1.0 / (double)rows, &loss, d));
    add_double(digest, loss);
    add_reals(digest, rows * cols, d);
}
static void run_loss(uint64_t *digest) { over_losses(digest, loss_case); }

static void loss_value_case(uint64_t *digest, int kind, size_t rows, size_t cols, const real *x,
                            const real *targets, const int64_t *labels) {
    const dc_loss_rule rule = {.kind = kind, .parameter = dc_loss_default(kind)};
    add_double(digest, TYPED(dc_loss_value)(&rule, rows, cols, x, targets, labels, NULL));
}
static void run_loss_value(uint64_t *digest) { over_losses(digest, loss_value_case); }

static void loss_rows_case(uint64_t *digest, int kind, size_t rows, size_t cols, const real *x,
                           const real *targets, const int64_t *labels) {
    const dc_loss_rule rule = {kind, DC_MEAN_OF_ELEMENTS, dc_loss_default(kind), 0};
    const real *weights = numbers(ORDINARY, rows);
    real *losses = zeros(rows);
    add_status(digest, TYPED(dc_loss_rows)(&rule, rows, cols, x, targets, labels, weights, losses));
    add_reals(digest, rows, losses);
}
static void run_loss_rows(uint64_t *digest) { over_losses(digest, loss_rows_case); }

/* One loss in each reduction, with weights, with labels where it takes them; much of it at once. */
static void run_one_loss(uint64_t *digest, int kind) {
    static const size_t shapes[][2] = {{300, 3}, {LARGE, 1}, {LARGE / 10, 10}, {20, 9000}};
    static int64_t labels[LARGE];
    for (size_t i = 0; i < COUNT(shapes); i++) {
        const size_t rows = shapes[i][0], cols = shapes[i][1];
        const dc_loss_rule rule = {kind, (int)i, dc_loss_default(kind), 0};
        const int labelled = i % 2 && dc_loss_takes_labels(kind);
        start_case();
        const real *x = numbers(ORDINARY, rows * cols), *targets = numbers(ORDINARY, rows * cols);
        const real *weights = numbers(ORDINARY, rows);
        for (size_t r = 0; r < rows; r++) labels[r] = (int64_t)(random_word() % cols);
        real *d = numbers(ORDINARY, rows * cols);
        double loss;
        add_status(digest, TYPED(dc_loss)(&rule, rows, cols, x, labelled ? NULL : targets,
                                          labelled ? labels : NULL, weights, 0.5, &loss, d));
        add_double(digest, loss);
        add_reals(digest, rows * cols, d);
    }
}
/* Each has a line of its own, and so shows when its bits change. */
#define LOSS_CALLS(NAME, name, ...)                                                                \
    static void run_##name(uint64_t *digest) { run_one_loss(digest, DC_##NAME); }
DC_LOSS_LIST(LOSS_CALLS)
#undef LOSS_CALLS

/* ---- Random numbers -------------------------------------------------------------------------- */

enum { DRAWS = 5000 };

static void run_random_uniform(uint64_t *digest) {
    real *y = zeros(DRAWS);
    add_status(digest, TYPED(dc_random_uniform)(KEY, COUNTER, DRAWS, y));
    add_reals(digest, DRAWS, y);
}

static void run_random_normal(uint64_t *digest) {
    real *y = zeros(DRAWS);
    add_status(digest, TYPED(dc_random_normal)(KEY, COUNTER, DRAWS, 0.1, 0.7, y));
    add_reals(digest, DRAWS, y);
}

static void run_random_permutation(uint64_t *digest) {
    static int64_t order[DRAWS];
    add_status(digest, dc_random_permutation(KEY, COUNTER, DRAWS, order));
    for (size_t i = 0; i < DRAWS; i++) *digest = digest_word(*digest, (uint64_t)order[i], 8);
}

/* ---- Optimizers and networks ----------------------------------------------------------------- */

static void run_optimizer_step(uint64_t *digest) {
    static const size_t sizes[] = {1, 70, LARGE_UPDATE / 2, LARGE_UPDATE / 2};
    for (size_t r = 0; r < COUNT(rules); r++)
        for (size_t i = 0; i < COUNT(sizes); i += 2) {
            TYPED(dc_tensor) tensors[2];
            start_case();
            for (size_t t = 0; t < 2; t++) {
                const size_t n = sizes[i + t];
                tensors[t] = (TYPED(dc_tensor)){.size = n,
                                                .gradient = numbers(ORDINARY, n),
                                                .parameter = numbers(ORDINARY, n),
                                                .first = zeros(n),
                                                .second = zeros(n)};
            }
            dc_optimizer o = rules[r];
            for (int step = 0; step < 2; step++)
                add_status(digest, TYPED(dc_optimizer_step)(&o, 2, tensors));
            for (size_t t = 0; t < 2; t++) {
                add_reals(digest, tensors[t].size, tensors[t].parameter);
                add_reals(digest, tensors[t].size, tensors[t].first);
                add_reals(digest, tensors[t].size, tensors[t].second);
            }
        }
}

/* Three linear layers, every activation, dropout. */
enum { LAYERS = 7, LINEARS = 3 };
typedef struct model {
    TYPED(dc_network) * network;
    dc_layer layers[LAYERS];
    TYPED(dc_tensor) tensors[2 * LINEARS];
    size_t inputs, outputs;
} model;

/* Layer i, the linear one after `before` others. */
static dc_parameter parameter_of(const TYPED(dc_tensor) * t) {
    return (dc_parameter){t->size, t->parameter, (real *)t->gradient};
}

static void add_linear(model *net, size_t i, size_t before, size_t inputs, size_t outputs) {
    const size_t sizes[2] = {inputs * outputs, outputs};
    TYPED(dc_tensor) *tensors = &net->tensors[2 * before];
    for (size_t t = 0; t < 2; t++)
        tensors[t] = (TYPED(dc_tensor)){.size = sizes[t],
                                        .gradient = zeros(sizes[t]),
                                        .parameter = numbers(ORDINARY, sizes[t]),
                                        .first = zeros(sizes[t]),
                                        .second = zeros(sizes[t])};
    /* Small weights, so that the activations are not all at their ends. */
    TYPED(dc_scale)(0.1, sizes[0], tensors[0].parameter, tensors[0].parameter);
    net->layers[i] =
        (dc_layer){.kind = DC_LAYER_LINEAR,
                   .inputs = inputs,
                   .outputs = outputs,
                   .parameters = {parameter_of(&tensors[0]), parameter_of(&tensors[1])}};
}

static void make_model(uint64_t *digest, model *net, size_t inputs, size_t hidden, size_t outputs) {
    dc_layer *layers[LAYERS];
    add_linear(net, 0, 0, inputs, hidden);
    net->layers[1] = (dc_layer){.kind = DC_LAYER_ACTIVATION, .activation = DC_TANH};
    net->layers[2] = (dc_layer){.kind = DC_LAYER_DROPOUT, .training = 1, .rate = 0.2, .key = 7};
    add_linear(net, 3, 1, hidden, hidden / 2);
    net->layers[4] = (dc_layer){.kind = DC_LAYER_ACTIVATION, .activation = DC_RELU};
    net->layers[5] = (dc_layer){.kind = DC_LAYER_ACTIVATION, .activation = DC_SIGMOID};
    add_linear(net, 6, 2, hidden / 2, outputs);
    for (size_t i = 0; i < LAYERS; i++) layers[i] = &net->layers[i];
    net->inputs = inputs;
    net->outputs = outputs;
    net->network = NULL;
    add_status(digest, TYPED(dc_network_create)(LAYERS, layers, &net->network));
}

static void add_parameters(uint64_t *digest, const model *net) {
    for (size_t t = 0; t < COUNT(net->tensors); t++) {
        add_reals(digest, net->tensors[t].size, net->tensors[t].parameter);
        add_reals(digest, net->tensors[t].size, net->tensors[t].first);
        add_reals(digest, net->tensors[t].size, net->tensors[t].second);
    }
}

/* Rows; and inputs, hidden width, outputs. The last one is large enough for two threads. */
static const size_t batches[][4] = {{1, 20, 33, 5},
                                    {7, 20, 33, 5},
                                    {50, 3, 16, 1},
                                    {130, 130, 140, 70}};

static void run_network_forward(uint64_t *digest) {
    for (size_t i = 0; i < COUNT(batches); i++)
        for (int training = 0; training < 2; training++) {
            const size_t rows = batches[i][0], cols = batches[i][1];
            model net;
            start_case();
            make_model(digest, &net, cols, batches[i][2], batches[i][3]);
            net.layers[2].training = training;
            const real *x = numbers(ORDINARY, rows * cols);
            real *y = zeros(rows * net.outputs);
            add_status(digest, TYPED(dc_network_forward)(net.network, rows, cols, x, y));
            add_reals(digest, rows * net.outputs, y);
            TYPED(dc_network_free)(net.network);
        }
}

static void run_network_backward(uint64_t *digest) {
    for (size_t i = 0; i < COUNT(batches); i++) {
        const size_t rows = batches[i][0], cols = batches[i][1];
        model net;
        start_case();
        make_model(digest, &net, cols, batches[i][2], batches[i][3]);
        const real *x = numbers(ORDINARY, rows * cols);
        const real *d_y = numbers(ORDINARY, rows * net.outputs);
        real *y = zeros(rows * net.outputs), *d_x = zeros(rows * cols);
        add_status(digest, TYPED(dc_network_forward)(net.network, rows, cols, x, y));
        add_status(digest, TYPED(dc_network_backward)(net.network, rows, cols, x, d_y, d_x));
        add_reals(digest, rows * cols, d_x);
        for (size_t t = 0; t < COUNT(net.tensors); t++)
            add_reals(digest, net.tensors[t].size, net.tensors[t].gradient);
        TYPED(dc_network_free)(net.network);
    }
}

static void train_case(uint64_t *digest, const dc_optimizer *rule, size_t batch_size, int labelled,
                       int penalized, const size_t batch[4]) {
    enum { MOST_ROWS = 130 };
    const size_t rows = batch[0], cols = batch[1];
    int64_t labels[MOST_ROWS], order[MOST_ROWS];
    model net;
    start_case();
    make_model(digest, &net, cols, batch[2], batch[3]);
    for (size_t r = 0; r < rows; r++) {
        labels[r] = (int64_t)(random_word() % net.outputs);
        order[r] = (int64_t)(rows - 1 - r);
    }
    TYPED(dc_penalty) penalties[COUNT(net.tensors)];
    for (size_t t = 0; t < COUNT(net.tensors); t++)
        penalties[t] = (TYPED(dc_penalty)){net.tensors[t].size, net.tensors[t].parameter,
                                           (real *)net.tensors[t].gradient, 0.001, 0.01};
    const TYPED(dc_samples)
        samples = {.rows = rows,
                   .penalties = penalties,
                   .penalty_count = penalized ? COUNT(net.tensors) : 0,
                   .cols = cols,
                   .x = numbers(ORDINARY, rows * cols),
                   .targets = labelled ? NULL : numbers(ORDINARY, rows * net.outputs),
                   .labels = labelled ? labels : NULL,
                   .order = order,
                   .batch_size = batch_size,
                   .loss = {.kind = labelled ? DC_SOFTMAX_CROSS_ENTROPY : DC_SQUARED_ERROR,
                            .reduction = labelled ? DC_MEAN_OF_ROWS : DC_SUM}};
    dc_optimizer o = *rule;
    for (int epoch = 0; epoch < 2; epoch++) {
        size_t next = 0;
        double loss = 0;
        add_status(digest, TYPED(dc_network_train)(net.network, &o, COUNT(net.tensors), net.tensors,
                                                   &samples, 1e9, &next, &loss));
        add_double(digest, loss);
    }
    add_parameters(digest, &net);
    TYPED(dc_network_free)(net.network);
}

static void run_network_train(uint64_t *digest) {
    static const size_t small[4] = {23, 20, 33, 5};
    static const size_t batch_sizes[] = {1, 7, 23};
    for (size_t r = 0; r < COUNT(rules); r++)
        for (size_t b = 0; b < COUNT(batch_sizes); b++)
            for (int labelled = 0; labelled < 2; labelled++)
                train_case(digest, &rules[r], batch_sizes[b], labelled, 0, small);
    train_case(digest, &rules[COUNT(rules) - 2], 130, 1, 0, batches[COUNT(batches) - 1]);
}

static void run_network_train_penalized(uint64_t *digest) {
    static const size_t small[4] = {23, 20, 33, 5};
    for (size_t r = 0; r < COUNT(rules); r++)
        for (int labelled = 0; labelled < 2; labelled++)
            train_case(digest, &rules[r], r % 2 ? 7 : 1, labelled, 1, small);
}

/* ---- The list -------------------------------------------------------------------------------- */

#define CALLS(C)                                                                                   \
    C(matmul)                                                                                      \
    C(matmul_large)                                                                                \
    C(matmul_turned)                                                                               \
    C(matmul_zeros)                                                                                \
    C(exp)                                                                                         \
    C(log)                                                                                         \
    C(activation_forward)                                                                          \
    C(activation_backward)                                                                         \
    C(combine)                                                                                     \
    C(column_sum)                                                                                  \
    C(prod)                                                                                        \
    C(prod_backward)                                                                               \
    C(sum)                                                                                         \
    C(softmax)                                                                                     \
    C(softmax_backward)                                                                            \
    C(log_softmax)                                                                                 \
    C(log_softmax_backward)                                                                        \
    C(loss)                                                                                        \
    C(loss_value)                                                                                  \
    C(loss_rows)                                                                                   \
    C(random_uniform)                                                                              \
    C(random_normal)                                                                               \
    C(random_permutation)                                                                          \
    C(dropout)                                                                                     \
    C(scale)                                                                                       \
    C(sum_squares)                                                                                 \
    C(clip_arrays)                                                                                 \
    C(penalize)                                                                                    \
    C(argmax)                                                                                      \
    C(argmax_equals)                                                                               \
    C(add_scaled)                                                                                  \
    C(optimizer_step)                                                                              \
    C(network_forward)                                                                             \
    C(network_backward)                                                                            \
    C(network_train)                                                                               \
    C(network_train_penalized)

#define DIGEST_OF(name)                                                                            \
    static uint64_t digest_##name(void) { return with_threads(run_##name); }
CALLS(DIGEST_OF)
#define DIGEST_OF_ACTIVATION(NAME, name, ...) DIGEST_OF(name)
DC_ACTIVATION_LIST(DIGEST_OF_ACTIVATION)
#define DIGEST_OF_LOSS(NAME, name, ...) DIGEST_OF(name)
DC_LOSS_LIST(DIGEST_OF_LOSS)

#define ENTRY(name) {"dc_" #name, digest_##name},
#define ACTIVATION_ENTRY(NAME, name, ...) {"dc_activation:" #name, digest_##name},
#define LOSS_ENTRY(NAME, name, ...) {"dc_loss:" #name, digest_##name},
const workload TYPED(call_workloads)[] = {CALLS(ENTRY) DC_ACTIVATION_LIST(ACTIVATION_ENTRY)
                                              DC_LOSS_LIST(LOSS_ENTRY){NULL, NULL}};
