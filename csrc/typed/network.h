/* The compiled network from inside: for network.c, which makes and runs it, and training.c. */
#ifndef DEEPC_NETWORK_H
#define DEEPC_NETWORK_H

#include "../deepc.h"
#include "../threads.h"
#include "layers/layer.h"

/* Memory that was laid out for so many rows of an input of so many columns. */
typedef struct area {
    void *memory;
    size_t rows, cols;
} area;

/* Looks whether somebody wants a long pass to end. */
typedef struct watch {
    int (*interrupted)(void);
    double asked, looked; /* when it was asked, and when the clock was looked at */
    size_t part_work;     /* multiply-adds between two looks at the clock, about */
} watch;

struct TYPED(dc_network) {
    dc_lock lock;
    size_t count;
    stage *stages;
    size_t inputs, outputs; /* the first and the last width; 0 where any goes */
    int keeps_last;         /* backward reads the last output */
    int takes_indices;      /* the input is int64_t */

    /* Of the width in use. */
    size_t cols, last, widest;
    size_t kept; /* elements that are kept of a row between forward and backward */
    size_t work; /* multiply-adds of a row forward, roughly */
    /* A forward of more rows keeps nothing for backward, unless a layer trains. */
    size_t rows_kept;

    area outputs_area, gradients_area, batch_area, ring_area;
    real *gradient[2]; /* rows x widest each */
    real *ring[2];     /* the same, of few rows */
    real *last_output; /* in training, where it is not kept for backward */
    void *batch_x;
    real *batch_targets;
    real *batch_weights;
    int64_t *batch_labels;

    pass pass;        /* the last forward */
    int state;        /* what it left behind, see below */
    watch *watch;     /* of a pass that takes long, else NULL */
};

/* What backward finds: nothing; all that it needs; or only that there was a forward, which it
 * has to compute again. */
enum { FORWARD_NONE, FORWARD_KEPT, FORWARD_LOST };

/* One thread at a time from here to dc_lock_release. */
void TYPED(dc_network_enter)(TYPED(dc_network) * net);
/* Checks the width of an input and lays out memory for the outputs of a pass that is kept; forgets
 * the last forward, but for sizes that cannot be. */
int TYPED(dc_network_reserve)(TYPED(dc_network) * net, size_t rows, size_t cols);
/* The same for the gradients on the way back. */
int TYPED(dc_network_reserve_gradients)(TYPED(dc_network) * net, size_t rows);
/* Hands out `count` reals on a cache line of their own; from a null base it only measures. */
real *TYPED(dc_area_take)(real *base, size_t *used, size_t count);
static inline int area_fits(const TYPED(dc_network) * net, const area *a, size_t rows) {
    return rows <= a->rows && net->cols == a->cols;
}
/* Makes an area large enough by a function that takes from it, or only measures. */
int TYPED(dc_area_reserve)(TYPED(dc_network) * net, area *a, size_t rows,
                           size_t (*lay_out)(TYPED(dc_network) * net, real *base, size_t rows));

/* Runs all layers and keeps what backward needs; the result is the output of the last stage, which
 * goes to `last` where it need not be kept. A pass that fails has changed nothing. */
int TYPED(dc_network_run)(TYPED(dc_network) * net, const void *x, real *last);
/* Back from d_y to the gradients of the parameters, or where pass.update is set into the
 * parameters, and to d_x or NULL. */
int TYPED(dc_network_run_back)(TYPED(dc_network) * net, const void *x, const real *d_y, real *d_x);
/* The bytes of an element of the input. */
static inline size_t input_size(const TYPED(dc_network) * net) {
    return net->takes_indices ? sizeof(int64_t) : sizeof(real);
}
/* Takes back what the last run changed in the layers. */
void TYPED(dc_network_undo)(TYPED(dc_network) * net);
/* DC_OK if backward can follow the last run. */
int TYPED(dc_network_can_go_back)(const TYPED(dc_network) * net);

#endif
