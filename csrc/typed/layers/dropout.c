/* Dropout: zeros at random while training. As the book has it, what is kept stays as it is, and
 * outside training all is multiplied by what is kept on average; inverted, what is kept is divided
 * by that. */
#include "../tables.h"
#include "layer.h"

static int traits(const dc_layer *l) {
    (void)l;
    return IN_PLACE | ONLY_ZEROS | TWO_MODES;
}

static int inverted_traits(const dc_layer *l) {
    (void)l;
    return IN_PLACE | TWO_MODES;
}

/* The rate may be changed at any time, so forward asks too. */
static int check(const dc_layer *l) { return l->rate >= 0 && l->rate <= 1 ? DC_OK : DC_BAD_VALUE; }

static size_t work(const stage *s) { return 16 * s->outputs; }

static int start_pass(stage *s, const pass *p) {
    s->trained = 0;
    const int status = check(s->layer);
    if (status) return status;
    start_random_pass(s, p);
    /* Of 2^32 words, so many are dropped. */
    s->threshold = (uint64_t)(s->layer->rate * 0x1p32 + 0.5);
    s->factor = s->layer->rate < 1 ? 1 / (1 - s->layer->rate) : 0;
    return DC_OK;
}

/* y = x where the stream keeps it, times a factor that is 1 for the book's dropout; in pieces that
 * stay in the first-level cache for the second pass over them. */
static void drop(const stage *s, const pass *p, real factor, const real *x, real *y) {
    enum { PIECE = 2048 };
    const kernel_table *kernel = TYPED(dc_kernels)();
    const uint64_t first = p->first * s->outputs;
    const size_t n = p->rows * s->outputs;
    if (factor == 1) {
        kernel->dropout(s->layer->key, s->counter, first, s->threshold, n, x, y);
        return;
    }
    for (size_t i = 0; i < n; i += PIECE) {
        const size_t left = n - i < PIECE ? n - i : PIECE;
        kernel->dropout(s->layer->key, s->counter, first + i, s->threshold, left, x + i, y + i);
        kernel->scale(factor, left, y + i, y + i, 0);
    }
}

static int forward(stage *s, const pass *p, const real *x, real *y) {
    const int status = p->first == 0 ? start_pass(s, p) : DC_OK;
    if (status) return status;
    if (s->trained)
        drop(s, p, 1, x, y);
    else
        TYPED(dc_kernels)()->scale((real)(1 - s->layer->rate), p->rows * s->outputs, x, y, 0);
    return DC_OK;
}

static int backward(stage *s, const pass *p, const real *x, const real *y, const real *d_y,
                    real *d_x) {
    (void)x, (void)y;
    if (d_x) drop(s, p, 1, d_y, d_x);
    return DC_OK;
}

static int can_go_back(const stage *s) { return s->trained && s->layer->training; }

const layer_kind TYPED(dc_layer_dropout) = {.traits = traits,
                                            .check = check,
                                            .outputs = same_width,
                                            .inputs = same_width,
                                            .work = work,
                                            .forward = forward,
                                            .backward = backward,
                                            .can_go_back = can_go_back,
                                            .undo = undo_random_pass};

/* Forward, and the same back. */
static void inverted(const stage *s, const pass *p, const real *x, real *y) {
    if (s->trained)
        drop(s, p, (real)s->factor, x, y);
    else if (y != x)
        TYPED(dc_kernels)()->scale(1, p->rows * s->outputs, x, y, 0);
}

static int inverted_forward(stage *s, const pass *p, const real *x, real *y) {
    const int status = p->first == 0 ? start_pass(s, p) : DC_OK;
    if (!status) inverted(s, p, x, y);
    return status;
}

static int inverted_backward(stage *s, const pass *p, const real *x, const real *y, const real *d_y,
                             real *d_x) {
    (void)x, (void)y;
    if (d_x) inverted(s, p, d_y, d_x);
    return DC_OK;
}

const layer_kind TYPED(dc_layer_inverted_dropout) = {.traits = inverted_traits,
                                                     .check = check,
                                                     .outputs = same_width,
                                                     .inputs = same_width,
                                                     .work = work,
                                                     .forward = inverted_forward,
                                                     .backward = inverted_backward,
                                                     .undo = undo_random_pass};
