/* Without memory: each allocation of the library in turn fails, on a thread that has none yet. The
 * call then says DC_NO_MEMORY, or does without, and has changed nothing: the same call afterwards
 * gives the bits that it would have given. */
#include <stdlib.h>

#include "sanitizers.h"

#if !defined(__GLIBC__) || defined(ADDRESS_SANITIZER) || defined(THREAD_SANITIZER)
#include <stdio.h>
int main(void) { return puts("skipped: nothing here can take the place of malloc"), 0; }
#else
#include <pthread.h>

/* The first one says which type is `real`. */
#include "arrays.h"

#include "any_layer.h"
#include "threads.h"

/* ---- An allocator that fails ----------------------------------------------------------------- */

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);

/* Allocations until the one that fails; below 0: none does. */
static long until_failure = -1;
static int has_failed;

static int fails(void) {
    if (until_failure < 0 || until_failure-- > 0) return 0;
    has_failed = 1;
    return 1;
}

void *malloc(size_t size) { return fails() ? NULL : __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return fails() ? NULL : __libc_calloc(count, size); }

/* ---- A network with a layer of any kind in its middle ---------------------------------------- */

enum { ROWS = 700, INPUTS = 50, OUTPUTS = 40, TENSORS = 4, STATES = 3 };
static any_layer middle;
static dc_layer first_layer, last_layer;
static real w[2][INPUTS * OUTPUTS], b[2][OUTPUTS], d_w[2][INPUTS * OUTPUTS], d_b[2][OUTPUTS];
static real kept[STATES * TENSORS][INPUTS * OUTPUTS];
static TYPED(dc_tensor) tensors[TENSORS];
static dc_optimizer adam;
static real x[ROWS * INPUTS], targets[ROWS * OUTPUTS], y[ROWS * OUTPUTS], d_x[ROWS * INPUTS];
static real square[ROWS * ROWS];
static TYPED(dc_network) * net;

static real number(void) { return (real)uniform(0.1, 1); }

static void linear(dc_layer *layer, int which, size_t inputs, size_t outputs) {
    const size_t sizes_of[] = {inputs * outputs, outputs};
    real *values[] = {w[which], b[which]}, *gradients[] = {d_w[which], d_b[which]};
    *layer = (dc_layer){.kind = DC_LAYER_LINEAR, .inputs = inputs, .outputs = outputs};
    for (int i = 0; i < 2; i++) {
        const int t = 2 * which + i;
        fill(sizes_of[i], -0.3, 0.3, values[i]);
        layer->parameters[i] = (dc_parameter){sizes_of[i], values[i], gradients[i]};
        tensors[t] = (TYPED(dc_tensor)){.size = sizes_of[i],
                                        .gradient = gradients[i],
                                        .parameter = values[i],
                                        .first = kept[STATES * t],
                                        .second = kept[STATES * t + 1],
                                        .third = kept[STATES * t + 2]};
    }
}

static void make(int kind) {
    random_state = 1;
    memset(kept, 0, sizeof kept);
    fill(COUNT(x), -1, 1, x);
    fill(COUNT(targets), -1, 1, targets);
    linear(&first_layer, 0, INPUTS, ANY_INPUTS);
    any_layer_make(&middle, kind, 1, number);
    linear(&last_layer, 1, ANY_INPUTS, OUTPUTS);
    adam = (dc_optimizer){.rule = DC_ADAM,
                          .learning_rate = 0.01,
                          .momentum = 0.9,
                          .decay = 0.999,
                          .epsilon = 1e-8};
    net = NULL;
}

/* All that a refused call leaves alone. */
static uint64_t all_of_it(void) {
    const struct {
        const void *data;
        size_t bytes;
    } parts[] = {{w, sizeof w},
                 {b, sizeof b},
                 {middle.values, sizeof middle.values},
                 {&middle.layer.counter, sizeof middle.layer.counter},
                 {kept, sizeof kept},
                 {&adam.steps, sizeof adam.steps}};
    uint64_t hash = 1469598103934665603u;
    for (size_t p = 0; p < COUNT(parts); p++)
        for (size_t i = 0; i < parts[p].bytes; i++)
            hash = (hash ^ ((const unsigned char *)parts[p].data)[i]) * 1099511628211u;
    return hash;
}

/* ---- The calls ------------------------------------------------------------------------------- */

static int create(void) {
    dc_layer *layers[] = {&first_layer, &middle.layer, &last_layer};
    return TYPED(dc_network_create)(3, layers, &net);
}
static int forward(void) { return TYPED(dc_network_forward)(net, ROWS, INPUTS, x, y); }
static int backward(void) { return TYPED(dc_network_backward)(net, ROWS, INPUTS, x, targets, d_x); }
static int train(void) {
    const TYPED(dc_samples) samples = {.rows = ROWS,
                                       .cols = INPUTS,
                                       .x = x,
                                       .targets = targets,
                                       .batch_size = ROWS,
                                       .loss = {.kind = DC_SQUARED_ERROR}};
    size_t next = 0;
    double loss = 0;
    return TYPED(dc_network_train)(net, &adam, TENSORS, tensors, &samples, 1e9, &next, &loss);
}
static int multiply(void) {
    return TYPED(dc_matmul)(0, 1, ROWS, ROWS, INPUTS, x, INPUTS, x, INPUTS, 0, NULL, DC_IDENTITY, 0,
                            square, ROWS);
}

static int (*const calls[])(void) = {create, forward, backward, train, multiply};

/* On a thread of its own, which has no scratch memory yet. */
static void *on_thread(void *failing) {
    until_failure = *(long *)failing;
    for (size_t i = 0; i < COUNT(calls); i++) {
        const uint64_t before = all_of_it();
        int status = calls[i]();
        CHECK(status == DC_OK || (status == DC_NO_MEMORY && has_failed));
        if (status == DC_NO_MEMORY) {
            CHECK(all_of_it() == before);
            CHECK(calls[i] != create || !net);
            status = calls[i]();
            CHECK(status == DC_OK);
        }
        if (status != DC_OK) break;
    }
    until_failure = -1;
    TYPED(dc_network_free)(net);
    return NULL;
}

static uint64_t run(int kind, long failing) {
    pthread_t thread;
    make(kind);
    has_failed = 0;
    CHECK(pthread_create(&thread, NULL, on_thread, &failing) == 0);
    pthread_join(thread, NULL);
    return all_of_it();
}

int main(void) {
    for (int threads = 1; threads <= 2; threads++) {
        dc_set_num_threads(threads);
        for (int kind = 0; kind < DC_LAYER_COUNT; kind++) {
            if (kind == DC_LAYER_EMBEDDING || kind == DC_LAYER_LINEAR) continue;
            const uint64_t expected = run(kind, -1);
            long failing = 0;
            do CHECK(run(kind, failing++) == expected);
            while (has_failed && failing < 100);
            CHECK(failing > 4 && failing < 100);
        }
    }
    return check_result();
}
#endif
