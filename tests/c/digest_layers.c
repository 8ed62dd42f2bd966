/* The digest of every kind of layer: one line for each line of DC_LAYER_LIST, so that the old ones
 * are seen unchanged when one is added. digest_layers_f64.c is the same for double. */
#include "digest_inputs.h"

#include "any_layer.h"

/* The last case is large enough for two threads. */
static const size_t rows_of[] = {1, 2, 7, 300, 25000};

/* 0.1 to 1, of whole numbers. */
static real parameter_number(void) {
    return (real)(1 + random_word() % 900) / (real)1000 + (real)0.1;
}

static void add_layer(uint64_t *digest, const any_layer *a) {
    for (int i = 0; i < DC_LAYER_PARAMETERS; i++) {
        add_reals(digest, a->layer.parameters[i].size, a->values[i]);
        add_reals(digest, a->layer.parameters[i].size, a->gradients[i]);
    }
}

/* The layer by itself, twice in a row, forward and back. */
static void layer_case(uint64_t *digest, int kind, int training, size_t rows) {
    any_layer a;
    dc_layer *layers[] = {&a.layer};
    TYPED(dc_network) *net = NULL;
    start_case();
    any_layer_make(&a, kind, training, parameter_number);
    *digest = digest_word(*digest, (uint64_t)TYPED(dc_network_create)(1, layers, &net), 1);
    const size_t cols = ANY_INPUTS, outputs = TYPED(dc_network_outputs)(net, cols);
    const int indices = TYPED(dc_network_takes_indices)(net);
    int64_t *which = malloc(rows * cols * sizeof *which);
    if (!which) abort();
    for (size_t i = 0; i < rows * cols; i++) which[i] = (int64_t)(random_word() % ANY_INPUTS);
    const real *x = numbers(rows > 7 ? ORDINARY : SPECIAL, rows * cols);
    const real *d_y = numbers(ORDINARY, rows * outputs);
    real *y = zeros(rows * outputs), *d_x = zeros(rows * cols);
    for (int turn = 0; turn < 2; turn++) {
        const int forward = indices ? TYPED(dc_network_forward_indices)(net, rows, cols, which, y)
                                    : TYPED(dc_network_forward)(net, rows, cols, x, y);
        const int back = indices ? TYPED(dc_network_backward_indices)(net, rows, cols, which, d_y)
                                 : TYPED(dc_network_backward)(net, rows, cols, x, d_y, d_x);
        *digest = digest_word(*digest, (uint64_t)forward, 1);
        *digest = digest_word(*digest, (uint64_t)back, 1);
        add_reals(digest, rows * outputs, y);
        add_reals(digest, rows * cols, d_x);
        add_layer(digest, &a);
    }
    TYPED(dc_network_free)(net);
    free(which);
}

static uint64_t digest_of(int kind) {
    uint64_t digest = DIGEST_START;
    const int before = dc_num_threads();
    for (int threads = 1; threads <= 2; threads++) {
        dc_set_num_threads(threads);
        start_workload();
        for (size_t i = 0; i < COUNT(rows_of); i++)
            for (int training = 0; training < 2; training++)
                layer_case(&digest, kind, training, rows_of[i]);
    }
    dc_set_num_threads(before);
    return digest;
}

#define DIGEST_OF(NAME, name, ...)                                                                 \
    static uint64_t digest_##name(void) { return digest_of(DC_LAYER_##NAME); }
DC_LAYER_LIST(DIGEST_OF)

#define ENTRY(NAME, name, ...) {"layer_" #name, digest_##name},
const workload TYPED(layer_workloads)[] = {DC_LAYER_LIST(ENTRY){NULL, NULL}};
