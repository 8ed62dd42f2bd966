/* Dropout as the book has it: zeros at random while training, their expectation otherwise. */
#include "../tables.h"
#include "layer.h"

static int traits(const dc_layer *l) {
    (void)l;
    return IN_PLACE | ONLY_ZEROS | TWO_MODES;
}

/* The rate may be changed at any time, so forward asks too. */
static int check(const dc_layer *l) { return l->rate >= 0 && l->rate <= 1 ? DC_OK : DC_BAD_VALUE; }

static size_t work(const stage *s) { return 16 * s->outputs; }

/* What every part of a pass has in common, noted with the first one. */
static void start_pass(stage *s, const pass *p) {
    dc_layer *l = s->layer;
    s->trained = l->training;
    if (!s->trained) return;
    s->counter = l->counter++;
    s->threshold = (uint64_t)(l->rate * 0x1p32 + 0.5); /* of 2^32 words, so many are dropped */
    l->pass_rate = l->rate;
    l->pass_counter = s->counter;
    l->pass_rows = p->sample ? 0 : p->batch;
    l->pass_cols = s->outputs;
}

static int forward(stage *s, const pass *p, const real *x, real *y) {
    const dc_layer *l = s->layer;
    const size_t n = p->rows * s->outputs;
    if (p->first == 0) {
        const int status = check(l);
        if (status) return status;
        start_pass(s, p);
    }
    if (s->trained)
        TYPED(dc_kernels)()->dropout(l->key, s->counter, p->first * s->outputs, s->threshold, n, x,
                                     y);
    else
        TYPED(dc_kernels)()->scale((real)(1 - l->rate), n, x, y, 0);
    return DC_OK;
}

static int backward(stage *s, const pass *p, const real *x, const real *y, const real *d_y,
                    real *d_x) {
    (void)x, (void)y;
    if (d_x)
        TYPED(dc_kernels)()->dropout(s->layer->key, s->counter, p->first * s->outputs, s->threshold,
                                     p->rows * s->outputs, d_y, d_x);
    return DC_OK;
}

static int can_go_back(const stage *s) { return s->trained && s->layer->training; }

static void undo(stage *s) {
    if (s->trained) s->layer->counter = s->counter;
}

const layer_kind TYPED(dc_layer_dropout) = {.traits = traits,
                                            .check = check,
                                            .outputs = same_width,
                                            .inputs = same_width,
                                            .work = work,
                                            .forward = forward,
                                            .backward = backward,
                                            .can_go_back = can_go_back,
                                            .undo = undo};
