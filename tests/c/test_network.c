/* The compiled network against the same network made of single calls, bit for bit; what it keeps,
 * what it refuses, and how long it takes to make. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "small_network.h"

static float d_x[ROWS * IN];

static void test_layer_by_layer(size_t rows) {
    static float h[ROWS * HIDDEN], o[ROWS * OUT], dh[ROWS * HIDDEN], dx[ROWS * IN], dw[MOST],
        ones[ROWS], db[100];
    reset();
    dc_network_f32 *net = make();
    CHECK(!dc_network_forward_f32(net, rows, IN, x, y));
    CHECK(!dc_matmul_f32(0, 0, rows, HIDDEN, IN, x, IN, first.w, HIDDEN, 0, first.b, 0, 0, h,
                         HIDDEN));
    CHECK(!dc_dropout_f32(drop.key, 0, drop.rate, rows * HIDDEN, h, h));
    CHECK(!dc_activation_forward_f32(DC_TANH, 0, rows * HIDDEN, h, h));
    CHECK(!dc_matmul_f32(0, 0, rows, OUT, HIDDEN, h, HIDDEN, second.w, OUT, 0, second.b, 0, 0, o,
                         OUT));
    CHECK(memcmp(y, o, rows * OUT * sizeof *y) == 0);
    CHECK(drop.counter == 1 && drop.pass_rows == rows && drop.pass_cols == HIDDEN);

    for (size_t i = 0; i < rows * OUT; i++) d_y[i] = y[i] - targets[i];
    CHECK(!dc_network_backward_f32(net, rows, IN, x, d_y, d_x));
    CHECK(!dc_matmul_f32(1, 0, HIDDEN, OUT, rows, h, HIDDEN, d_y, OUT, 0, NULL, 0, 0, dw, OUT));
    CHECK(memcmp(dw, second.d_w, HIDDEN * OUT * sizeof *dw) == 0);
    for (size_t i = 0; i < rows; i++) ones[i] = 1;
    CHECK(!dc_matmul_f32(0, 0, 1, OUT, rows, ones, rows, d_y, OUT, 0, NULL, 0, 0, db, OUT));
    CHECK(memcmp(db, second.d_b, OUT * sizeof *db) == 0);
    CHECK(!dc_matmul_f32(0, 1, rows, HIDDEN, OUT, d_y, OUT, second.w, OUT, 0, NULL, 0, 0, dh,
                         HIDDEN));
    CHECK(!dc_activation_backward_f32(DC_TANH, 0, rows * HIDDEN, h, dh, dh));
    CHECK(!dc_dropout_f32(drop.key, 0, drop.rate, rows * HIDDEN, dh, dh));
    CHECK(!dc_matmul_f32(1, 0, IN, HIDDEN, rows, x, IN, dh, HIDDEN, 0, NULL, 0, 0, dw, HIDDEN));
    CHECK(memcmp(dw, first.d_w, IN * HIDDEN * sizeof *dw) == 0);
    CHECK(
        !dc_matmul_f32(0, 1, rows, IN, HIDDEN, dh, HIDDEN, first.w, HIDDEN, 0, NULL, 0, 0, dx, IN));
    CHECK(memcmp(dx, d_x, rows * IN * sizeof *dx) == 0);
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
    CHECK(dc_network_forward_f32(net, 1, IN + 1, x, y) == DC_BAD_SIZE);
    CHECK(dc_network_forward_f32(net, 1, IN, x, y) == DC_OK);
    CHECK(dc_network_backward_f32(net, 2, IN, x, d_y, d_x) == DC_BAD_STATE);
    drop.training = 0;
    CHECK(dc_network_backward_f32(net, 1, IN, x, d_y, d_x) == DC_BAD_STATE);
    drop.training = 1;
    dc_network_free_f32(net);
    dc_network_free_f32(NULL);
}

static void test_widths(void) {
    dc_network_f32 *any = NULL, *net;
    dc_layer *layers[] = {&act, &drop};
    CHECK(!dc_network_create_f32(2, layers, &any));
    CHECK(dc_network_inputs_f32(any) == 0 && dc_network_outputs_f32(any, 7) == 7);
    dc_network_free_f32(any);
    reset();
    net = make();
    CHECK(dc_network_inputs_f32(net) == IN && dc_network_outputs_f32(net, IN) == OUT);
    CHECK(dc_network_outputs_f32(net, IN + 1) == 0 && dc_network_outputs_f32(net, 0) == 0);
    CHECK(dc_network_inputs_f32(NULL) == 0 && dc_network_outputs_f32(NULL, 1) == 0);
    dc_network_free_f32(net);
    first.layer.parameters[0].size--;
    dc_layer *wrong[] = {&first.layer};
    CHECK(dc_network_create_f32(1, wrong, &net) == DC_BAD_SIZE);
    first.layer.parameters[0].value = NULL;
    CHECK(dc_network_create_f32(1, wrong, &net) == DC_BAD_POINTER);
    first.layer.kind = DC_LAYER_COUNT;
    CHECK(dc_network_create_f32(1, wrong, &net) == DC_BAD_NAME);
    CHECK(!dc_layer_kind_name(DC_LAYER_COUNT) && !dc_layer_kind_name(-1));
    CHECK(strcmp(dc_layer_kind_name(DC_LAYER_LINEAR), "linear") == 0);
    CHECK(strcmp(dc_layer_parameter_name(DC_LAYER_LINEAR, 1), "bias") == 0);
    CHECK(!dc_layer_parameter_name(DC_LAYER_LINEAR, 2) && !dc_layer_parameter_name(-1, 0));
}

/* No rows give no rows, and gradients of 0. */
static void test_empty_batches(void) {
    reset();
    dc_network_f32 *net = make();
    first.d_w[3] = second.d_b[1] = 5;
    y[0] = 5;
    CHECK(dc_network_forward_f32(net, 0, IN, NULL, NULL) == DC_OK);
    CHECK(dc_network_forward_f32(net, 0, IN, x, y) == DC_OK && y[0] == 5 && drop.counter == 0);
    CHECK(dc_network_forward_f32(net, 0, IN + 1, x, y) == DC_BAD_SIZE);
    CHECK(dc_network_backward_f32(net, 0, IN, x, d_y, d_x) == DC_OK);
    CHECK(first.d_w[3] == 0 && second.d_b[1] == 0);
    dc_network_free_f32(net);
}

/* A batch that is too large to be kept: the same bits as its parts, and backward after all. */
static void test_large_batches(void) {
    enum { WIDE = 2000, MANY = 4500 };
    static linear wide;
    static float many_x[MANY], many_y[MANY * WIDE], few_y[WIDE], many_d_x[MANY], few_d_x[1];
    linear_init(&wide, 1, 100, 3);
    float *w = calloc(WIDE, sizeof *w), *b = calloc(WIDE, sizeof *b),
          *d_w = calloc(WIDE, sizeof *d_w);
    dc_random_normal_f32(9, 0, WIDE, 0, 1, w);
    dc_random_normal_f32(9, 1, MANY, 0, 1, many_x);
    dc_layer big = {.kind = DC_LAYER_LINEAR,
                    .inputs = 1,
                    .outputs = WIDE,
                    .parameters = {{WIDE, w, d_w}, {WIDE, b, NULL}}};
    dc_layer *layers[] = {&big, &act, &act};
    dc_network_f32 *net = NULL;
    CHECK(!dc_network_create_f32(3, layers, &net));
    CHECK(!dc_network_forward_f32(net, MANY, 1, many_x, many_y));
    for (size_t r = 0; r < MANY; r += 777) {
        CHECK(!dc_network_forward_f32(net, 1, 1, many_x + r, few_y));
        CHECK(memcmp(few_y, many_y + r * WIDE, sizeof few_y) == 0);
    }
    for (int again = 0; again < 2; again++) { /* computed once more, then kept */
        CHECK(!dc_network_forward_f32(net, MANY, 1, many_x, many_y));
        CHECK(!dc_network_backward_f32(net, MANY, 1, many_x, many_y, many_d_x));
        const float sum = d_w[WIDE - 1];
        CHECK(!dc_network_forward_f32(net, 1, 1, many_x + MANY - 1, few_y));
        CHECK(!dc_network_backward_f32(net, 1, 1, many_x + MANY - 1, few_y, few_d_x));
        CHECK(many_d_x[MANY - 1] == few_d_x[0] && sum != 0);
    }
    dc_network_free_f32(net);
    free(w), free(b), free(d_w);
}

/* The gradient that a wide layer sends back is computed as its transpose where there are some rows,
 * with the slopes of the activation before it: the same bits as for each row alone. */
static void test_wide_backward(void) {
    enum { MANY = 32, FROM = 8, WIDE = 600, TO = 200 };
    static float w[2][WIDE * TO], d_w[2][WIDE * TO], from[MANY * FROM], to[MANY * TO],
        d_to[MANY * TO], d_from[MANY * FROM], alone[FROM];
    dc_layer layer[] = {{.kind = DC_LAYER_LINEAR,
                         .inputs = FROM,
                         .outputs = WIDE,
                         .parameters = {{FROM * WIDE, w[0], d_w[0]}}},
                        {.kind = DC_LAYER_LINEAR,
                         .inputs = WIDE,
                         .outputs = TO,
                         .parameters = {{WIDE * TO, w[1], d_w[1]}}}};
    dc_layer *layers[] = {&layer[0], &act, &layer[1]};
    for (uint64_t i = 0; i < 2; i++) dc_random_normal_f32(21, i, WIDE * TO, 0, 0.3, w[i]);
    dc_random_normal_f32(21, 2, MANY * FROM, 0, 1, from);
    dc_random_normal_f32(21, 3, MANY * TO, 0, 1, d_to);
    dc_network_f32 *net = NULL;
    CHECK(!dc_network_create_f32(3, layers, &net));
    CHECK(!dc_network_forward_f32(net, MANY, FROM, from, to));
    CHECK(!dc_network_backward_f32(net, MANY, FROM, from, d_to, d_from));
    for (size_t r = 0; r < MANY; r++) {
        CHECK(!dc_network_forward_f32(net, 1, FROM, from + r * FROM, to));
        CHECK(!dc_network_backward_f32(net, 1, FROM, from + r * FROM, d_to + r * TO, alone));
        CHECK(memcmp(alone, d_from + r * FROM, sizeof alone) == 0);
    }
    dc_network_free_f32(net);
}

/* A rate that has become impossible is refused, and the dropout before it takes no number. */
static void test_rates(void) {
    reset();
    static const double rates[] = {NAN, -0.5, 2, INFINITY};
    dc_layer bad = {.kind = DC_LAYER_DROPOUT, .training = 1, .key = 1};
    dc_layer *layers[] = {&drop, &bad};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        dc_network_f32 *net = NULL;
        bad.rate = rates[i];
        CHECK(dc_network_create_f32(2, layers, &net) == DC_BAD_VALUE && !net);
        bad.rate = 0.5;
        CHECK(!dc_network_create_f32(2, layers, &net));
        bad.rate = rates[i];
        CHECK(dc_network_forward_f32(net, 2, 8, x, y) == DC_BAD_VALUE);
        CHECK(drop.counter == 0 && bad.counter == 0);
        CHECK(dc_network_backward_f32(net, 2, 8, x, d_y, d_x) == DC_BAD_STATE);
        bad.training = 0;
        CHECK(dc_network_forward_f32(net, 2, 8, x, y) == DC_BAD_VALUE && drop.counter == 0);
        bad.training = 1;
        dc_network_free_f32(net);
    }
    dc_network_f32 *net = make();
    CHECK(!dc_network_forward_sample_f32(net, IN, x, y) && drop.pass_rows == 0);
    CHECK(drop.pass_cols == HIDDEN && drop.pass_counter == 0 && drop.pass_rate == drop.rate);
    CHECK(!dc_network_forward_f32(net, 1, IN, x, y) && drop.pass_rows == 1);
    CHECK(drop.pass_counter == 1);
    dc_network_free_f32(net);
}

/* A layer that stands twice: its gradients add up, and each of its passes drops anew. */
static void test_shared_layers(void) {
    static linear square;
    static float h[2 * 9], o[2 * 9], sum[81], last[81];
    linear_init(&square, 9, 9, 5);
    reset();
    dc_layer *layers[] = {&square.layer, &drop, &drop, &square.layer}, *half[] = {&square.layer};
    dc_network_f32 *net = NULL, *one = NULL;
    CHECK(!dc_network_create_f32(4, layers, &net) && !dc_network_create_f32(1, half, &one));
    CHECK(!dc_network_forward_f32(net, 2, 9, x, y) && drop.counter == 2);
    CHECK(!dc_network_forward_f32(one, 2, 9, x, h));
    CHECK(!dc_dropout_f32(drop.key, 0, drop.rate, 18, h, h));
    CHECK(!dc_dropout_f32(drop.key, 1, drop.rate, 18, h, h));
    CHECK(!dc_network_forward_f32(one, 2, 9, h, o));
    CHECK(memcmp(o, y, sizeof o) == 0);
    CHECK(!dc_network_backward_f32(net, 2, 9, x, targets, NULL));
    memcpy(sum, square.d_w, sizeof sum);
    CHECK(!dc_network_backward_f32(one, 2, 9, h, targets, o));
    memcpy(last, square.d_w, sizeof last);
    CHECK(!dc_dropout_f32(drop.key, 1, drop.rate, 18, o, o));
    CHECK(!dc_dropout_f32(drop.key, 0, drop.rate, 18, o, o));
    CHECK(!dc_network_forward_f32(one, 2, 9, x, h));
    CHECK(!dc_network_backward_f32(one, 2, 9, x, o, NULL));
    for (int i = 0; i < 81; i++) CHECK(square.d_w[i] + last[i] == sum[i]);
    dc_network_free_f32(net);
    dc_network_free_f32(one);
}

/* Making a network takes a time that grows as its layers do: pairs of 200,000 would be minutes. */
static void test_many_layers(void) {
    enum { LAYERS = 200000 };
    dc_layer **layers = malloc(LAYERS * sizeof *layers);
    dc_layer *own = calloc(LAYERS, sizeof *own);
    if (!layers || !own) abort();
    for (size_t i = 0; i < LAYERS; i++) {
        own[i] = act;
        layers[i] = i % 3 ? &own[i] : &act;
    }
    dc_network_f32 *net = NULL;
    CHECK(!dc_network_create_f32(LAYERS, layers, &net));
    CHECK(!dc_network_forward_f32(net, 1, 2, x, y) && fabsf(y[0]) < fabsf(x[0]));
    dc_network_free_f32(net);
    free(layers), free(own);
}

int main(void) {
    for (size_t i = 0; dc_isa_available(i); i++) {
        CHECK(dc_set_isa(dc_isa_available(i)) == DC_OK);
        test_layer_by_layer(1);
        test_layer_by_layer(2);
        test_layer_by_layer(ROWS);
        test_wide_backward();
    }
    test_refusals();
    test_widths();
    test_empty_batches();
    test_large_batches();
    test_rates();
    test_shared_layers();
    test_many_layers();
    return check_result();
}
