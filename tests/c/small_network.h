/* A small network with a dropout layer, in float, for the tests of networks and of training. */
#ifndef DEEPC_TEST_SMALL_NETWORK_H
#define DEEPC_TEST_SMALL_NETWORK_H

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

static inline void linear_init(linear *l, size_t inputs, size_t outputs, uint64_t key) {
    memset(l, 0, sizeof *l);
    l->layer =
        (dc_layer){.kind = DC_LAYER_LINEAR,
                   .inputs = inputs,
                   .outputs = outputs,
                   .parameters = {{inputs * outputs, l->w, l->d_w}, {outputs, l->b, l->d_b}}};
    dc_random_normal_f32(key, 0, inputs * outputs, 0, 0.3, l->w);
    dc_random_normal_f32(key, 1, outputs, 0, 0.3, l->b);
}

static inline void tensors_of(linear *l, dc_tensor_f32 t[2]) {
    const size_t n = l->layer.inputs * l->layer.outputs;
    t[0] = (dc_tensor_f32){.size = n,
                           .gradient = l->d_w,
                           .parameter = l->w,
                           .first = l->first_w,
                           .second = l->second_w};
    t[1] = (dc_tensor_f32){.size = l->layer.outputs,
                           .gradient = l->d_b,
                           .parameter = l->b,
                           .first = l->first_b,
                           .second = l->second_b};
}

enum { IN = 70, HIDDEN = 37, OUT = 5, ROWS = 45 };
static linear first, second;
static dc_layer drop = {.kind = DC_LAYER_DROPOUT, .training = 1, .rate = 0.25, .key = 11};
static dc_layer act = {.kind = DC_LAYER_ACTIVATION, .activation = DC_TANH};
static float x[ROWS * IN], targets[ROWS * OUT], y[ROWS * OUT], d_y[ROWS * OUT];

static inline dc_network_f32 *make(void) {
    dc_layer *layers[] = {&first.layer, &drop, &act, &second.layer};
    dc_network_f32 *net = NULL;
    CHECK(dc_network_create_f32(4, layers, &net) == DC_OK);
    return net;
}

static inline void reset(void) {
    linear_init(&first, IN, HIDDEN, 1);
    linear_init(&second, HIDDEN, OUT, 2);
    drop.counter = 0;
    dc_random_normal_f32(3, 0, ROWS * IN, 0, 1, x);
    dc_random_normal_f32(4, 0, ROWS * OUT, 0, 1, targets);
}

#endif
