/* Optimizer steps: every rule over the tensors of small networks and over arrays larger than the
 * caches. Three steps of each are checked against the formulas in double before it is timed. */
#include <math.h>
#include <stdio.h>

#include "deepc.h"
#include "harness.h"
#include "reference.h"

enum { MOST_TENSORS = 6, CHECKED_STEPS = 3 };

static const struct {
    const char *name;
    dc_optimizer numbers;
} rules[] = {
    {"gradient descent", {.rule = DC_GRADIENT_DESCENT, .learning_rate = 0.01}},
    {"momentum", {.rule = DC_MOMENTUM, .learning_rate = 0.01, .momentum = 0.9}},
    {"sgd", {.rule = DC_SGD, .learning_rate = 0.01}},
    {"sgd momentum", {.rule = DC_SGD, .learning_rate = 0.01, .momentum = 0.9}},
    {"sgd nesterov decay",
     {.rule = DC_SGD, .learning_rate = 0.01, .momentum = 0.9, .nesterov = 1, .weight_decay = 1e-4}},
    {"rmsprop", {.rule = DC_RMSPROP, .learning_rate = 0.01, .decay = 0.9, .epsilon = 1e-7}},
    {"adam",
     {.rule = DC_ADAM, .learning_rate = 0.01, .momentum = 0.9, .decay = 0.999, .epsilon = 1e-8}},
    {"adamw",
     {.rule = DC_ADAMW,
      .learning_rate = 0.01,
      .momentum = 0.9,
      .decay = 0.999,
      .epsilon = 1e-8,
      .weight_decay = 0.01}},
    {"adagrad", {.rule = DC_ADAGRAD, .learning_rate = 0.01, .epsilon = 1e-10}},
};

/* The tensors of networks (weights and bias of each layer), or one array. */
static const struct {
    const char *name;
    size_t count, sizes[MOST_TENSORS];
} shapes[] = {
    {"10-25-4", 4, {250, 25, 100, 4}},
    {"784-30-10-10", 6, {23520, 30, 300, 10, 100, 10}},
    {"784-128-10", 4, {100352, 128, 1280, 10}},
    {"784-512-10", 4, {401408, 512, 5120, 10}},
    {"4M", 1, {4 << 20}},
    {"16M", 1, {16 << 20}},
};

typedef struct update {
    int bits;
    size_t count, size;
    dc_optimizer optimizer;
    dc_tensor_f32 f32[MOST_TENSORS];
    dc_tensor_f64 f64[MOST_TENSORS];
} update;

static int step(update *u) {
    return u->bits == 32 ? dc_optimizer_step_f32(&u->optimizer, u->count, u->f32)
                         : dc_optimizer_step_f64(&u->optimizer, u->count, u->f64);
}

static void run(void *context) { step(context); }

/* ---- Checks ---------------------------------------------------------------------------------- */

/* Element i of tensor t: its parameter, gradient and state (0 where there is none). */
static void read_element(const update *u, size_t t, size_t i, double *p, double *g, double *first,
                         double *second) {
    if (u->bits == 32) {
        const dc_tensor_f32 *x = &u->f32[t];
        *p = (double)x->parameter[i], *g = (double)x->gradient[i];
        *first = x->first ? (double)x->first[i] : 0;
        *second = x->second ? (double)x->second[i] : 0;
    } else {
        const dc_tensor_f64 *x = &u->f64[t];
        *p = x->parameter[i], *g = x->gradient[i];
        *first = x->first ? x->first[i] : 0, *second = x->second ? x->second[i] : 0;
    }
}

/* Every step is checked by itself, from the numbers that the library had before it. */
static double error(void *context) {
    update *u = context;
    double *before = bench_doubles(4 * u->size, 0, 0), worst = 0;
    for (int s = 1; s <= CHECKED_STEPS; s++) {
        double *b = before;
        for (size_t t = 0; t < u->count; t++) {
            const size_t n = u->bits == 32 ? u->f32[t].size : u->f64[t].size;
            for (size_t i = 0; i < n; i++, b += 4) read_element(u, t, i, b, b + 1, b + 2, b + 3);
        }
        if (step(u) != DC_OK || u->optimizer.steps != (uint64_t)s) return HUGE_VAL;
        b = before;
        for (size_t t = 0; t < u->count; t++) {
            const size_t n = u->bits == 32 ? u->f32[t].size : u->f64[t].size;
            for (size_t i = 0; i < n; i++, b += 4) {
                double p, g, first, second;
                read_element(u, t, i, &p, &g, &first, &second);
                const double expected =
                    reference_update(&u->optimizer, s, b[0], b[1], b + 2, b + 3);
                worst = fmax(worst, reference_error(p, expected));
                if (reference_has_first(&u->optimizer))
                    worst = fmax(worst, reference_error(first, b[2]));
                if (reference_has_second(&u->optimizer))
                    worst = fmax(worst, reference_error(second, b[3]));
            }
        }
    }
    return worst / (8 * reference_rounding(u->bits));
}

/* ---- Cases ----------------------------------------------------------------------------------- */

static void add(size_t rule, size_t shape, int bits) {
    bench_case c = {.bits = bits, .like = LIKE_UPDATE, .run = run, .error = error};
    snprintf(c.name, sizeof c.name, "f%d %s %s", bits, rules[rule].name, shapes[shape].name);
    if (!bench_wants(c.name)) return;
    update *u = bench_memory(sizeof *u);
    *u = (update){.bits = bits, .count = shapes[shape].count, .optimizer = rules[rule].numbers};
    const int first = reference_has_first(&u->optimizer),
              second = reference_has_second(&u->optimizer);
    for (size_t t = 0; t < u->count; t++) {
        const size_t n = shapes[shape].sizes[t];
        u->size += n;
        /* A gradient near 0 stays there, so that the parameters do not run away while this is
         * timed. */
        if (bits == 32)
            u->f32[t] = (dc_tensor_f32){.size = n,
                                        .gradient = bench_floats(n, -0.1, 0.1),
                                        .parameter = bench_floats(n, -1, 1),
                                        .first = first ? bench_floats(n, 0, 0) : NULL,
                                        .second = second ? bench_floats(n, 0, 0) : NULL};
        else
            u->f64[t] = (dc_tensor_f64){.size = n,
                                        .gradient = bench_doubles(n, -0.1, 0.1),
                                        .parameter = bench_doubles(n, -1, 1),
                                        .first = first ? bench_doubles(n, 0, 0) : NULL,
                                        .second = second ? bench_doubles(n, 0, 0) : NULL};
    }
    /* Loads of parameter, gradient and state, stores of all but the gradient. */
    const double size = (double)u->size * bits / 8;
    c.bytes = size * (3 + 2 * (first + second));
    c.footprint = size * (2 + first + second);
    c.items = (double)u->size;
    c.context = u;
    bench_add(&c);
}

int main(int argc, char **argv) {
    if (!bench_start(argc, argv, "bench_updates", "optimizer steps, named f32|f64 rule tensors"))
        return bench_finish();
    static const int dtypes[] = {32, 64};
    for (int d = 0; d < 2; d++) {
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes - (bench_is_quick() ? 2 : d == 1);
             s++) {
            char title[64];
            snprintf(title, sizeof title, "f%d, %s", dtypes[d], shapes[s].name);
            bench_group(title);
            for (size_t r = 0; r < sizeof rules / sizeof *rules; r++) {
                add(r, s, dtypes[d]);
                if (shapes[s].count == 1) bench_run_group();
            }
            bench_run_group();
        }
    }
    return bench_finish();
}
