/* The compiled network against the same network made of single calls, bit for bit; training in one
 * call against single steps; what it refuses. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "deepc.h"

enum { MOST = 6000 };

/* A linear layer with its arrays. */
typedef struct linear {
    dc_layer layer;
    float w[MOST], b[100], d_w[MOST], d_b[100], first_w[MOST], first_b[100], second_w[MOST],
        second_b[100];
} linear;

static void linear_init(linear *l, size_t inputs, size_t outputs, uint64_t key) {
    memset(l, 0, sizeof *l);
    l->layer = (dc_layer){.kind = DC_LAYER_LINEAR,
                          .inputs = inputs,
                          .outputs = outputs,
                          .weights = l->w,
                          .bias = l->b,
                          .d_weights = l->d_w,
                          .d_bias = l->d_b};
    dc_random_normal_f32(key, 0, inputs * outputs, 0, 0.3, l->w);
    dc_random_normal_f32(key, 1, outputs, 0, 0.3, l->b);
}

static void tensors_of(linear *l, dc_tensor_f32 t[2]) {
    const size_t n = l->layer.inputs * l->layer.outputs;
    t[0] = (dc_tensor_f32){n, l->d_w, l->w, l->first_w, l->second_w};
    t[1] = (dc_tensor_f32){l->layer.outputs, l->d_b, l->b, l->first_b, l->second_b};
}

enum { IN = 70, HIDDEN = 37, OUT = 5, ROWS = 45 };
static linear first, second, first_copy, second_copy;
static dc_layer drop = {.kind = DC_LAYER_DROPOUT, .training = 1, .rate = 0.25, .key = 11};
static dc_layer act = {.kind = DC_LAYER_TANH};
static float x[ROWS * IN], targets[ROWS * OUT], y[ROWS * OUT], d_y[ROWS * OUT], d_x[ROWS * IN];

static dc_network_f32 *make(void) {
    dc_layer *layers[] = {&first.layer, &drop, &act, &second.layer};
    dc_network_f32 *net = NULL;
    CHECK(dc_network_create_f32(4, layers, &net) == DC_OK);
    return net;
}

static void reset(void) {
    linear_init(&first, IN, HIDDEN, 1);
    linear_init(&second, HIDDEN, OUT, 2);
    drop.counter = 0;
    dc_random_normal_f32(3, 0, ROWS * IN, 0, 1, x);
    dc_random_normal_f32(4, 0, ROWS * OUT, 0, 1, targets);
}

static void test_layer_by_layer(size_t rows) {
    static float h[ROWS * HIDDEN], o[ROWS * OUT], dh[ROWS * HIDDEN], dx[ROWS * IN], dw[MOST],
        ones[ROWS], db[100];
    reset();
    dc_network_f32 *net = make();
    CHECK(!dc_network_forward_f32(net, rows, IN, x, y));
    CHECK(!dc_matmul_f32(0, 0, rows, HIDDEN, IN, x, IN, first.w, HIDDEN, 0, first.b, 0, h, HIDDEN));
    CHECK(!dc_dropout_f32(drop.key, 0, drop.rate, rows * HIDDEN, h, h));
    CHECK(!dc_activation_forward_f32(DC_TANH, rows * HIDDEN, h, h));
    CHECK(
        !dc_matmul_f32(0, 0, rows, OUT, HIDDEN, h, HIDDEN, second.w, OUT, 0, second.b, 0, o, OUT));
    CHECK(memcmp(y, o, rows * OUT * sizeof *y) == 0);
    CHECK(drop.counter == 1 && drop.rows == rows && drop.width == HIDDEN);

    for (size_t i = 0; i < rows * OUT; i++) d_y[i] = y[i] - targets[i];
    CHECK(!dc_network_backward_f32(net, rows, IN, x, d_y, d_x));
    CHECK(!dc_matmul_f32(1, 0, HIDDEN, OUT, rows, h, HIDDEN, d_y, OUT, 0, NULL, 0, dw, OUT));
    CHECK(memcmp(dw, second.d_w, HIDDEN * OUT * sizeof *dw) == 0);
    for (size_t i = 0; i < rows; i++) ones[i] = 1;
    CHECK(!dc_matmul_f32(0, 0, 1, OUT, rows, ones, rows, d_y, OUT, 0, NULL, 0, db, OUT));
    CHECK(memcmp(db, second.d_b, OUT * sizeof *db) == 0);
    CHECK(!dc_matmul_f32(0, 1, rows, HIDDEN, OUT, d_y, OUT, second.w, OUT, 0, NULL, 0, dh, HIDDEN));
    CHECK(!dc_activation_backward_f32(DC_TANH, rows * HIDDEN, h, dh, dh));
    CHECK(!dc_dropout_f32(drop.key, 0, drop.rate, rows * HIDDEN, dh, dh));
    CHECK(!dc_matmul_f32(1, 0, IN, HIDDEN, rows, x, IN, dh, HIDDEN, 0, NULL, 0, dw, HIDDEN));
    CHECK(memcmp(dw, first.d_w, IN * HIDDEN * sizeof *dw) == 0);
    CHECK(!dc_matmul_f32(0, 1, rows, IN, HIDDEN, dh, HIDDEN, first.w, HIDDEN, 0, NULL, 0, dx, IN));
    CHECK(memcmp(dx, d_x, rows * IN * sizeof *dx) == 0);
    dc_network_free_f32(net);
}

/* One call of train against single calls, for each rule and batch size, with the order reversed. */
static void test_train(int rule, size_t batch) {
    const dc_optimizer start = {.rule = rule,
                                .learning_rate = 0.01,
                                .momentum = 0.9,
                                .decay = 0.99,
                                .epsilon = 1e-8,
                                .weight_decay = 0.001};
    int64_t order[ROWS];
    for (int i = 0; i < ROWS; i++) order[i] = ROWS - 1 - i;
    dc_tensor_f32 tensors[4];

    reset();
    dc_network_f32 *net = make();
    dc_optimizer optimizer = start;
    double loss = 0;
    for (size_t from = 0; from < ROWS; from += batch) {
        static float bx[ROWS * IN], bt[ROWS * OUT];
        const size_t rows = ROWS - from < batch ? ROWS - from : batch;
        for (size_t r = 0; r < rows; r++) {
            memcpy(bx + r * IN, x + (size_t)order[from + r] * IN, IN * sizeof *x);
            memcpy(bt + r * OUT, targets + (size_t)order[from + r] * OUT, OUT * sizeof *x);
        }
        CHECK(!dc_network_forward_f32(net, rows, IN, bx, y));
        double value;
        CHECK(!dc_loss_f32(DC_SQUARED_ERROR, rows, OUT, y, bt, NULL, 1.0 / (double)rows, &value,
                           d_y));
        loss += value;
        CHECK(!dc_network_backward_f32(net, rows, IN, bx, d_y, NULL));
        tensors_of(&first, tensors);
        tensors_of(&second, tensors + 2);
        CHECK(!dc_optimizer_step_f32(&optimizer, 4, tensors));
    }
    first_copy = first;
    second_copy = second;

    reset();
    tensors_of(&first, tensors);
    tensors_of(&second, tensors + 2);
    optimizer = start;
    const dc_samples_f32 samples = {.rows = ROWS,
                                    .cols = IN,
                                    .x = x,
                                    .targets = targets,
                                    .order = order,
                                    .batch_size = batch,
                                    .loss = DC_SQUARED_ERROR,
                                    .mean = 1};
    size_t next = 0;
    double together = 0;
    CHECK(!dc_network_train_f32(net, &optimizer, 4, tensors, &samples, 1e9, &next, &together));
    CHECK(next == ROWS && together == loss);
    CHECK(optimizer.steps == (ROWS + batch - 1) / batch);
    CHECK(memcmp(first.w, first_copy.w, sizeof first.w) == 0);
    CHECK(memcmp(second.w, second_copy.w, sizeof second.w) == 0);
    CHECK(memcmp(first.b, first_copy.b, sizeof first.b) == 0);
    CHECK(memcmp(second.first_w, second_copy.first_w, sizeof second.first_w) == 0);
    dc_network_free_f32(net);
}

static void test_refusals(void) {
    reset();
    dc_network_f32 *net = NULL;
    dc_layer *wrong[] = {&second.layer, &first.layer};
    CHECK(dc_network_create_f32(2, wrong, &net) == DC_BAD_SIZE && !net);
    CHECK(dc_network_create_f32(0, wrong, &net) == DC_BAD_SIZE);
    CHECK(dc_network_create_f32(1, NULL, &net) == DC_BAD_POINTER);
    net = make();
    CHECK(dc_network_backward_f32(net, 1, IN, x, d_y, d_x) == DC_BAD_STATE);
    CHECK(dc_network_forward_f32(net, 0, IN, x, y) == DC_BAD_SIZE);
    CHECK(dc_network_forward_f32(net, 1, IN + 1, x, y) == DC_BAD_SIZE);
    CHECK(dc_network_forward_f32(net, 1, IN, x, y) == DC_OK);
    CHECK(dc_network_backward_f32(net, 2, IN, x, d_y, d_x) == DC_BAD_STATE);
    drop.training = 0;
    CHECK(dc_network_backward_f32(net, 1, IN, x, d_y, d_x) == DC_BAD_STATE);
    drop.training = 1;

    dc_optimizer optimizer = {.rule = DC_GRADIENT_DESCENT, .learning_rate = 0.1};
    dc_tensor_f32 tensors[4];
    tensors_of(&first, tensors);
    tensors_of(&second, tensors + 2);
    const int64_t labels[ROWS] = {OUT};
    dc_samples_f32 samples = {.rows = 2,
                              .cols = IN,
                              .x = x,
                              .labels = labels,
                              .batch_size = 1,
                              .loss = DC_SOFTMAX_CROSS_ENTROPY};
    size_t next = 0;
    double loss = 0;
    CHECK(dc_network_train_f32(net, &optimizer, 4, tensors, &samples, 1, &next, &loss) ==
          DC_BAD_LABEL);
    samples.labels = NULL;
    CHECK(dc_network_train_f32(net, &optimizer, 4, tensors, &samples, 1, &next, &loss) ==
          DC_BAD_POINTER);
    samples.targets = targets;
    samples.batch_size = 0;
    CHECK(dc_network_train_f32(net, &optimizer, 4, tensors, &samples, 1, &next, &loss) ==
          DC_BAD_SIZE);
    const int64_t order[] = {0, 2};
    samples.batch_size = 1;
    samples.order = order;
    CHECK(dc_network_train_f32(net, &optimizer, 4, tensors, &samples, 1, &next, &loss) ==
          DC_BAD_VALUE);
    CHECK(next == 0 && optimizer.steps == 0);
    dc_network_free_f32(net);
    dc_network_free_f32(NULL);
}

int main(void) {
    for (size_t i = 0; dc_isa_available(i); i++) {
        CHECK(dc_set_isa(dc_isa_available(i)) == DC_OK);
        test_layer_by_layer(1);
        test_layer_by_layer(2);
        test_layer_by_layer(ROWS);
        for (int rule = DC_GRADIENT_DESCENT; rule <= DC_ADAGRAD; rule++) {
            test_train(rule, 1);
            test_train(rule, 7);
            test_train(rule, ROWS);
        }
    }
    test_refusals();
    return check_result();
}
