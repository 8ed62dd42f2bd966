/* Every kind of layer, by the list: its gradients against finite differences, one row at a time
 * against a batch, in parts against in one piece, and what a pass leaves in the layer that is taken
 * back. Then what single kinds promise. test_layers_f64.c is the same for double. */
#include "arrays.h"

#include "any_layer.h"
#include "typed/network.h"

typedef TYPED(dc_network) network;

enum { ROWS = 700, COLS = ANY_INPUTS, MOST_OUTPUTS = COLS * ANY_OUTPUTS };

static real parameter_number(void) { return (real)uniform(0.1, 1); }

/* A network of the layer, once or twice, with what goes in and comes out. */
typedef struct trial {
    any_layer a;
    network *net;
    int indices;
    size_t rows, outputs;
    real x[ROWS * COLS], y[ROWS * MOST_OUTPUTS], d_y[ROWS * MOST_OUTPUTS], d_x[ROWS * COLS];
    int64_t which[ROWS * COLS];
} trial;

static void trial_make(trial *t, int kind, int training, int twice, size_t rows) {
    dc_layer *layers[] = {&t->a.layer, &t->a.layer};
    any_layer_make(&t->a, kind, training, parameter_number);
    if (twice) t->a.layer.outputs = COLS;
    if (twice && kind == DC_LAYER_LINEAR) t->a.layer.parameters[0].size = COLS * COLS;
    if (twice && kind == DC_LAYER_LINEAR) t->a.layer.parameters[1].size = COLS;
    CHECK(!TYPED(dc_network_create)(twice ? 2 : 1, layers, &t->net));
    t->indices = TYPED(dc_network_takes_indices)(t->net);
    t->rows = rows;
    t->outputs = TYPED(dc_network_outputs)(t->net, COLS);
    fill(rows * COLS, -2, 2, t->x);
    fill(rows * t->outputs, -1, 1, t->d_y);
    for (size_t i = 0; i < rows * COLS; i++) t->which[i] = (int64_t)uniform(0, COLS - 0.001);
}

static int forward(trial *t) {
    return t->indices ? TYPED(dc_network_forward_indices)(t->net, t->rows, COLS, t->which, t->y)
                      : TYPED(dc_network_forward)(t->net, t->rows, COLS, t->x, t->y);
}

static int backward(trial *t) {
    return t->indices ? TYPED(dc_network_backward_indices)(t->net, t->rows, COLS, t->which, t->d_y)
                      : TYPED(dc_network_backward)(t->net, t->rows, COLS, t->x, t->d_y, t->d_x);
}

/* ---- All kinds ------------------------------------------------------------------------------- */

/* The sum of d_y y, with the random numbers of the first pass. */
static double objective(trial *t) {
    double total = 0;
    t->a.layer.counter = 0;
    CHECK(!forward(t));
    for (size_t i = 0; i < t->rows * t->outputs; i++) total += (double)t->d_y[i] * (double)t->y[i];
    return total;
}

static void check_slope(trial *t, real *number, double gradient) {
    const double step = 1e-5, before = (double)*number;
    *number = (real)(before + step);
    const double above = objective(t);
    *number = (real)(before - step);
    const double below = objective(t);
    *number = (real)before;
    const double slope = (above - below) / (2 * step);
    CHECK(fabs(slope - gradient) <= 1e-6 * (1 + fabs(gradient)));
}

/* Each gradient is the slope of what forward computes; of a layer that stands twice, of both. */
static void test_slopes_of(int kind, int training, int twice) {
    static trial t;
    trial_make(&t, kind, training, twice, 5);
    t.a.layer.counter = 0;
    CHECK(!forward(&t));
    if (kind == DC_LAYER_DROPOUT && !training) {
        CHECK(backward(&t) == DC_BAD_STATE);
    } else {
        CHECK(!backward(&t));
        const any_layer seen = t.a;
        static real d_x[ROWS * COLS];
        memcpy(d_x, t.d_x, sizeof d_x);
        for (size_t i = 0; DEEPC_REAL_BITS == 64 && !t.indices && i < t.rows * COLS; i++)
            check_slope(&t, &t.x[i], (double)d_x[i]);
        for (int p = 0; DEEPC_REAL_BITS == 64 && p < DC_LAYER_PARAMETERS; p++)
            for (size_t i = 0; i < seen.layer.parameters[p].size; i++)
                if (seen.layer.parameters[p].gradient)
                    check_slope(&t, &t.a.values[p][i], (double)seen.gradients[p][i]);
    }
    TYPED(dc_network_free)(t.net);
}

/* Outside training a row's output does not depend on the others, and the layer stays as it is. */
static void test_rows_of(int kind) {
    static trial t;
    static real all[ROWS * MOST_OUTPUTS];
    trial_make(&t, kind, 0, 0, 37);
    const any_layer before = t.a;
    CHECK(!forward(&t));
    CHECK(memcmp(&before, &t.a, sizeof before) == 0);
    memcpy(all, t.y, sizeof all);
    const size_t rows = t.rows;
    t.rows = 1;
    for (size_t r = 0; r < rows; r++) {
        memmove(t.x, t.x + (r > 0) * COLS, (rows - r) * COLS * sizeof(real));
        memmove(t.which, t.which + (r > 0) * COLS, (rows - r) * COLS * sizeof *t.which);
        CHECK(!forward(&t));
        CHECK(same_bits(t.outputs, t.y, all + r * t.outputs));
    }
    TYPED(dc_network_free)(t.net);
}

static int asked;
static int never(void) { return asked++, 0; }
static int at_once(void) { return 1; }

/* In parts of 256 rows, and computed again because it was not kept, it has the same bits. */
static void test_parts_of(int kind, int training) {
    static trial whole, parts;
    for (int lost = 0; lost < 2; lost++) {
        const uint64_t start = random_state;
        trial_make(&whole, kind, training, 0, ROWS);
        random_state = start;
        trial_make(&parts, kind, training, 0, ROWS);
        watch w = {.interrupted = never, .asked = -1, .part_work = 1};
        const int two_modes = any_traits(&parts.a) & TWO_MODES;
        CHECK(!TYPED(dc_network_reserve)(parts.net, 1, COLS)); /* which sets the widths */
        if (lost) parts.net->rows_kept = 3;
        if (!lost) parts.net->watch = &w;
        CHECK(!forward(&whole) && !forward(&parts));
        CHECK((parts.net->state == FORWARD_LOST) == (lost && !(training && two_modes)));
        CHECK(same_bits(ROWS * whole.outputs, whole.y, parts.y));
        CHECK(backward(&whole) == backward(&parts));
        CHECK(same_bits(ROWS * COLS, whole.d_x, parts.d_x));
        CHECK(
            same_bits(DC_LAYER_PARAMETERS * ANY_SIZE, whole.a.gradients[0], parts.a.gradients[0]));
        CHECK(same_bits(DC_LAYER_PARAMETERS * ANY_SIZE, whole.a.values[0], parts.a.values[0]));
        CHECK(whole.a.layer.counter == parts.a.layer.counter);
        parts.net->watch = NULL;
        TYPED(dc_network_free)(whole.net);
        TYPED(dc_network_free)(parts.net);
    }
}

/* A pass that is interrupted leaves the layer as it was. */
static void test_undo_of(int kind, int training) {
    static trial t;
    trial_make(&t, kind, training, 1 - (kind == DC_LAYER_EMBEDDING), ROWS);
    any_layer before = t.a;
    watch w = {.interrupted = at_once, .asked = -1, .part_work = 1};
    t.net->watch = &w;
    CHECK(forward(&t) == DC_INTERRUPTED);
    t.net->watch = NULL;
    CHECK(memcmp(before.values, t.a.values, sizeof before.values) == 0);
    CHECK(before.layer.counter == t.a.layer.counter);
    CHECK(backward(&t) == DC_BAD_STATE);
    TYPED(dc_network_free)(t.net);
}

/* ---- Single kinds ---------------------------------------------------------------------------- */

static void check_near(size_t n, const real *x, const double *expected) {
    for (size_t i = 0; i < n; i++)
        CHECK(fabs((double)x[i] - expected[i]) <= (DEEPC_REAL_BITS == 32 ? 1e-6 : 1e-7));
}

/* Numbers of Keras 3: two rows in training, then what was learned of them; and torch's variance. */
static void test_batch_norm(void) {
    static const double normal[] = {-.99950037, -.99987502, .99950037, .99987502};
    static const double mean[] = {.02, .04}, biased[] = {1.0, 1.03}, unbiased[] = {1.01, 1.07};
    const real x[] = {1, 2, 3, 6};
    real y[4], running_mean[2], running_variance[2], gamma[2] = {2, 3}, beta[2] = {5, 7};
    for (int torch = 0; torch < 2; torch++) {
        dc_layer l = {.kind = DC_LAYER_BATCH_NORM,
                      .training = 1,
                      .inputs = 2,
                      .momentum = 0.99,
                      .epsilon = 1e-3,
                      .unbiased = torch};
        dc_layer *layers[] = {&l};
        network *net = NULL;
        CHECK(TYPED(dc_network_create)(1, layers, &net) == DC_BAD_POINTER);
        l.parameters[2] = (dc_parameter){2, running_mean, NULL};
        l.parameters[3] = (dc_parameter){2, running_variance, NULL};
        CHECK(!TYPED(dc_network_create)(1, layers, &net));
        running_mean[0] = running_mean[1] = 0;
        running_variance[0] = running_variance[1] = 1;
        CHECK(!TYPED(dc_network_forward)(net, 2, 2, x, y));
        check_near(4, y, normal);
        check_near(2, running_mean, mean);
        check_near(2, running_variance, torch ? unbiased : biased);
        l.parameters[0] = (dc_parameter){2, gamma, NULL};
        l.parameters[1] = (dc_parameter){2, beta, NULL};
        CHECK(!TYPED(dc_network_forward)(net, 1, 2, x, y)); /* one row is its own mean */
        CHECK(y[0] == beta[0] && y[1] == beta[1] && isfinite(running_variance[0]));
        running_mean[0] = running_mean[1] = 1;
        running_variance[0] = running_variance[1] = 4;
        l.training = 0;
        l.epsilon = 0;
        static const double by_running[] = {5, 8.5, 7, 14.5};
        CHECK(!TYPED(dc_network_forward)(net, 2, 2, x, y));
        check_near(4, y, by_running);
        CHECK(running_mean[0] == 1 && running_variance[1] == 4);
        TYPED(dc_network_free)(net);
    }
}

static void test_layer_norm(void) {
    static const double expected[] = {-1.22382736, 0, 1.22382736};
    const real x[] = {1, 2, 3};
    real y[3];
    dc_layer l = {.kind = DC_LAYER_LAYER_NORM, .inputs = 3, .epsilon = 1e-3};
    dc_layer *layers[] = {&l};
    network *net = NULL;
    CHECK(!TYPED(dc_network_create)(1, layers, &net));
    CHECK(!TYPED(dc_network_forward)(net, 1, 3, x, y));
    check_near(3, y, expected);
    TYPED(dc_network_free)(net);
}

/* Kept elements are divided by 1 - rate; all are dropped at rate 1; outside training nothing
 * happens. */
static void test_inverted_dropout(void) {
    enum { N = 3000 };
    static real x[N], y[N], kept[N];
    dc_layer l = {.kind = DC_LAYER_INVERTED_DROPOUT, .training = 1, .rate = 0.25, .key = 5};
    dc_layer *layers[] = {&l};
    network *net = NULL;
    fill(N, 1, 2, x);
    CHECK(!TYPED(dc_network_create)(1, layers, &net));
    CHECK(!TYPED(dc_network_forward)(net, 1, N, x, y) && l.counter == 1 && l.pass_cols == N);
    CHECK(!TYPED(dc_dropout)(5, 0, 0.25, N, x, kept));
    for (size_t i = 0; i < N; i++) CHECK(y[i] == kept[i] * (real)(1 / 0.75));
    l.rate = 1;
    CHECK(!TYPED(dc_network_forward)(net, 1, N, x, y));
    for (size_t i = 0; i < N; i++) CHECK(y[i] == 0);
    l.training = 0;
    CHECK(!TYPED(dc_network_forward)(net, 1, N, x, y) && same_bits(N, x, y));
    CHECK(!TYPED(dc_network_backward)(net, 1, N, x, x, y) && same_bits(N, x, y));
    TYPED(dc_network_free)(net);
}

/* Numbers of both noises: their mean and deviation, drawn anew in each pass. */
static void test_noise(void) {
    enum { N = 20000 };
    static real x[N], y[N], again[N];
    for (int kind = DC_LAYER_GAUSSIAN_DROPOUT; kind <= DC_LAYER_GAUSSIAN_NOISE; kind++) {
        dc_layer l = {.kind = kind, .training = 1, .rate = 0.2, .key = 5};
        dc_layer *layers[] = {&l};
        network *net = NULL;
        double sum = 0, squares = 0;
        for (size_t i = 0; i < N; i++) x[i] = 3;
        CHECK(!TYPED(dc_network_create)(1, layers, &net));
        CHECK(!TYPED(dc_network_forward)(net, 1, N, x, y));
        CHECK(!TYPED(dc_network_forward)(net, 1, N, x, again) && !same_bits(N, y, again));
        for (size_t i = 0; i < N; i++) {
            sum += (double)y[i] - 3;
            squares += ((double)y[i] - 3) * ((double)y[i] - 3);
        }
        const double deviation = kind == DC_LAYER_GAUSSIAN_NOISE ? 0.2 : 3 * 0.5;
        CHECK(fabs(sum / N) < 5 * deviation / sqrt(N));
        CHECK(fabs(sqrt(squares / N) / deviation - 1) < 0.03);
        TYPED(dc_network_free)(net);
    }
}

/* Its input is whole numbers below the rows of the table, and it stands first. */
static void test_embedding(void) {
    any_layer a, b;
    any_layer_make(&a, DC_LAYER_EMBEDDING, 1, parameter_number);
    any_layer_make(&b, DC_LAYER_LINEAR, 1, parameter_number);
    dc_layer *layers[] = {&a.layer, &b.layer}, *wrong[] = {&b.layer, &a.layer};
    network *net = NULL;
    CHECK(TYPED(dc_network_create)(2, wrong, &net) == DC_BAD_NAME);
    CHECK(!TYPED(dc_network_create)(2, layers, &net));
    CHECK(TYPED(dc_network_inputs)(net) == 2 && TYPED(dc_network_outputs)(net, 2) == ANY_OUTPUTS);
    CHECK(TYPED(dc_network_outputs)(net, 3) == 0);
    int64_t which[] = {5, 0, 3, 3};
    real x[4] = {0}, y[2 * ANY_OUTPUTS], d_y[2 * ANY_OUTPUTS] = {1, 2, 3, 4, 5, 6};
    CHECK(TYPED(dc_network_forward)(net, 2, 2, x, y) == DC_BAD_NAME);
    CHECK(TYPED(dc_network_backward)(net, 2, 2, x, d_y, NULL) == DC_BAD_NAME);
    CHECK(!TYPED(dc_network_forward_indices)(net, 2, 2, which, y));
    CHECK(!TYPED(dc_network_backward_indices)(net, 2, 2, which, d_y));
    for (size_t i = 0; i < ANY_INPUTS * ANY_OUTPUTS; i++)
        CHECK((a.gradients[0][i] != 0) == (i / 3 == 5 || i / 3 == 0 || i / 3 == 3));
    static const int64_t bad[] = {-1, ANY_INPUTS, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < COUNT(bad); i++) {
        which[3] = bad[i];
        CHECK(TYPED(dc_network_forward_indices)(net, 2, 2, which, y) == DC_BAD_LABEL);
    }
    TYPED(dc_network_free)(net);
    dc_layer *only[] = {&b.layer};
    CHECK(!TYPED(dc_network_create)(1, only, &net));
    CHECK(TYPED(dc_network_forward_indices)(net, 2, 6, which, y) == DC_BAD_NAME);
    TYPED(dc_network_free)(net);
}

/* Slopes of which there is one for all columns. */
static void test_one_slope(void) {
    real slope = (real)0.5, gradient = 0, x[] = {-2, 4, -6}, y[3], d_x[3];
    const real d_y[] = {1, 10, 100};
    dc_layer l = {.kind = DC_LAYER_SLOPES, .parameters = {{1, &slope, &gradient}}};
    dc_layer *layers[] = {&l};
    network *net = NULL;
    CHECK(!TYPED(dc_network_create)(1, layers, &net) && TYPED(dc_network_inputs)(net) == 0);
    CHECK(!TYPED(dc_network_forward)(net, 1, 3, x, y) && y[0] == -1 && y[1] == 4 && y[2] == -3);
    CHECK(!TYPED(dc_network_backward)(net, 1, 3, x, d_y, d_x));
    CHECK(d_x[0] == (real)0.5 && d_x[1] == 10 && d_x[2] == 50 && gradient == -602);
    TYPED(dc_network_free)(net);
}

/* Numbers out of their range, when a network is made and when they become so. */
static void test_numbers(void) {
    static const struct {
        int kind;
        size_t offset;
        double bad;
    } cases[] = {
        {DC_LAYER_DROPOUT, offsetof(dc_layer, rate), 1.5},
        {DC_LAYER_INVERTED_DROPOUT, offsetof(dc_layer, rate), -0.5},
        {DC_LAYER_GAUSSIAN_DROPOUT, offsetof(dc_layer, rate), 1},
        {DC_LAYER_GAUSSIAN_NOISE, offsetof(dc_layer, rate), -1},
        {DC_LAYER_BATCH_NORM, offsetof(dc_layer, momentum), 1.5},
        {DC_LAYER_BATCH_NORM, offsetof(dc_layer, epsilon), -1},
        {DC_LAYER_LAYER_NORM, offsetof(dc_layer, epsilon), -1},
    };
    static trial t;
    for (size_t i = 0; i < 2 * COUNT(cases); i++) {
        trial_make(&t, cases[i / 2].kind, 1, 0, 3);
        double *number = (double *)(void *)((char *)&t.a.layer + cases[i / 2].offset);
        dc_layer *layers[] = {&t.a.layer};
        network *other = NULL;
        *number = i % 2 ? NAN : cases[i / 2].bad;
        const any_layer before = t.a;
        CHECK(TYPED(dc_network_create)(1, layers, &other) == DC_BAD_VALUE && !other);
        CHECK(forward(&t) == DC_BAD_VALUE);
        CHECK(memcmp(before.values, t.a.values, sizeof before.values) == 0);
        CHECK(t.a.layer.counter == 0);
        TYPED(dc_network_free)(t.net);
    }
}

int main(void) {
    for (size_t i = 0; use_isa(i); i++) {
        for (int kind = 0; kind < DC_LAYER_COUNT; kind++) {
            CHECK(dc_layer_kind_name(kind) != NULL);
            for (int training = 0; training < 2; training++) {
                test_slopes_of(kind, training, 0);
                if (kind != DC_LAYER_EMBEDDING) test_slopes_of(kind, training, 1);
                test_parts_of(kind, training);
                test_undo_of(kind, training);
            }
            test_rows_of(kind);
        }
        test_batch_norm();
        test_layer_norm();
    }
    test_inverted_dropout();
    test_noise();
    test_embedding();
    test_one_slope();
    test_numbers();
    return check_result();
}
