/* Gaussian noise, added or multiplied, while training; the input outside it. */
#include <math.h>

#include "../tables.h"
#include "layer.h"

/* The generator gives the normal numbers of a stream from its start only, so a batch is not cut. */
static int traits(const dc_layer *l) {
    (void)l;
    return WHOLE_BATCH | TWO_MODES;
}

static size_t work(const stage *s) { return 64 * s->outputs; }

/* y = noise of that deviation around the mean. */
static int noise(const stage *s, const pass *p, double mean, double deviation, real *y) {
    return TYPED(dc_random_normal)(s->layer->key, s->counter, p->rows * s->outputs, mean, deviation,
                                   y);
}

static int copy(const stage *s, const pass *p, const real *x, real *y) {
    if (y) TYPED(dc_kernels)()->scale(1, p->rows * s->outputs, x, y, 0);
    return DC_OK;
}

/* ---- Added ----------------------------------------------------------------------------------- */

static int check_noise(const dc_layer *l) {
    return l->rate >= 0 && isfinite((real)l->rate) ? DC_OK : DC_BAD_VALUE;
}

static int forward_noise(stage *s, const pass *p, const real *x, real *y) {
    s->trained = 0;
    int status = check_noise(s->layer);
    if (status) return status;
    if (p->first == 0) start_random_pass(s, p);
    if (!s->trained) return copy(s, p, x, y);
    status = noise(s, p, 0, s->layer->rate, y);
    for (size_t i = 0; i < p->rows * s->outputs; i++) y[i] += x[i];
    return status;
}

static int backward_noise(stage *s, const pass *p, const real *x, const real *y, const real *d_y,
                          real *d_x) {
    (void)x, (void)y;
    return copy(s, p, d_y, d_x);
}

const layer_kind TYPED(dc_layer_gaussian_noise) = {.traits = traits,
                                                   .check = check_noise,
                                                   .outputs = same_width,
                                                   .inputs = same_width,
                                                   .work = work,
                                                   .forward = forward_noise,
                                                   .backward = backward_noise,
                                                   .undo = undo_random_pass};

/* ---- Multiplied ------------------------------------------------------------------------------ */

static int check_dropout(const dc_layer *l) {
    return l->rate >= 0 && l->rate < 1 ? DC_OK : DC_BAD_VALUE;
}

/* y = x (1 + noise); the gradient is multiplied by the same. */
static int multiply(const stage *s, const pass *p, const real *x, real *y) {
    if (!s->trained) return copy(s, p, x, y);
    const int status = noise(s, p, 1, s->factor, y);
    for (size_t i = 0; i < p->rows * s->outputs; i++) y[i] *= x[i];
    return status;
}

static int forward_dropout(stage *s, const pass *p, const real *x, real *y) {
    s->trained = 0;
    const int status = check_dropout(s->layer);
    if (status) return status;
    if (p->first == 0) start_random_pass(s, p);
    s->factor = sqrt(s->layer->rate / (1 - s->layer->rate));
    return multiply(s, p, x, y);
}

static int backward_dropout(stage *s, const pass *p, const real *x, const real *y, const real *d_y,
                            real *d_x) {
    (void)x, (void)y;
    return d_x ? multiply(s, p, d_y, d_x) : DC_OK;
}

const layer_kind TYPED(dc_layer_gaussian_dropout) = {.traits = traits,
                                                     .check = check_dropout,
                                                     .outputs = same_width,
                                                     .inputs = same_width,
                                                     .work = work,
                                                     .forward = forward_dropout,
                                                     .backward = backward_dropout,
                                                     .undo = undo_random_pass};
