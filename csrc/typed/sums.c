/* Sums over fixed blocks, split over threads; and those of single arrays. */
#include "sums.h"

#include <math.h>

#include "../deepc.h"
#include "../mode.h"
#include "../threads.h"
#include "../tuning.h"
#include "tables.h"

typedef struct summation {
    double (*part)(const void *context, size_t start, size_t n);
    const void *context;
    size_t block, blocks_each; /* items in a block, blocks in a task */
    size_t start, items;       /* of this round */
    double sums[SUMS_AT_ONCE];
} summation;

static void sum_task(void *context, size_t task) {
    summation *s = context;
    for (size_t b = task * s->blocks_each;
         b < (task + 1) * s->blocks_each && b * s->block < s->items; b++) {
        const size_t at = b * s->block, left = s->items - at;
        s->sums[b] = s->part(s->context, s->start + at, left < s->block ? left : s->block);
    }
}

double TYPED(dc_sum_over)(double (*part)(const void *context, size_t start, size_t n),
                          const void *context, size_t items, size_t block, size_t size) {
    const int threads = items < (SPLIT_ELEMENTS + size - 1) / size ? 1 : dc_threads_available();
    if (threads == 1) return part(context, 0, items);
    summation s = {.part = part, .context = context, .block = block};
    s.blocks_each = (TASK_ELEMENTS / size + block - 1) / block;
    if (s.blocks_each == 0) s.blocks_each = 1;
    double total = 0;
    for (; s.start < items; s.start += s.items) {
        const size_t left = items - s.start;
        s.items = left / block < SUMS_AT_ONCE ? left : block * SUMS_AT_ONCE;
        const size_t blocks = (s.items + block - 1) / block;
        dc_parallel_for((blocks + s.blocks_each - 1) / s.blocks_each, threads, sum_task, &s);
        for (size_t b = 0; b < blocks; b++) total += s.sums[b];
    }
    return total;
}

/* ---- Of one array ---------------------------------------------------------------------------- */

typedef struct array {
    const kernel_table *kernel;
    const real *x;
    real factor;
} array;

static double part_sum(const void *context, size_t start, size_t n) {
    const array *a = context;
    return a->kernel->sum(n, a->x + start);
}

static double part_squares(const void *context, size_t start, size_t n) {
    const array *a = context;
    return a->kernel->sum_squares(a->factor, n, a->x + start);
}

static int is_array(size_t n, const real *x) { return x && n <= PTRDIFF_MAX / sizeof(real); }

double TYPED(dc_sum)(size_t n, const real *x) {
    DEFAULT_MODE;
    if (n == 0) return 0;
    if (!is_array(n, x)) return NAN;
    const array a = {.kernel = TYPED(dc_kernels)(), .x = x};
    return TYPED(dc_sum_over)(part_sum, &a, n, SUM_BLOCK, 1);
}

double TYPED(dc_sum_squares_scaled)(double factor, size_t n, const real *x) {
    DEFAULT_MODE;
    ROUND_FROM_HERE(factor);
    if (n == 0) return 0;
    if (!is_array(n, x)) return NAN;
    const array a = {.kernel = TYPED(dc_kernels)(), .x = x, .factor = (real)factor};
    return TYPED(dc_sum_over)(part_squares, &a, n, SUM_BLOCK, 1);
}

double TYPED(dc_sum_squares)(size_t n, const real *x) {
    DEFAULT_MODE;
    return TYPED(dc_sum_squares_scaled)(1, n, x);
}

/* ---- Penalties ------------------------------------------------------------------------------- */

typedef struct penalized {
    const kernel_table *kernel;
    real l1, l2;
    const real *p;
    real *g;
} penalized;

static double part_penalty(const void *context, size_t start, size_t n) {
    const penalized *a = context;
    return a->kernel->penalty(a->l1, a->l2, n, a->p + start, a->g ? a->g + start : NULL);
}

static int is_factor(double x) { return x >= 0 && isfinite((real)x); }

int TYPED(dc_penalties_check)(size_t count, const TYPED(dc_penalty) * penalties) {
    if (count > 0 && !penalties) return DC_BAD_POINTER;
    for (size_t i = 0; i < count; i++) {
        const TYPED(dc_penalty) *a = &penalties[i];
        if (!is_factor(a->l1) || !is_factor(2 * a->l2)) return DC_BAD_VALUE;
        if (a->size > PTRDIFF_MAX / sizeof(real)) return DC_BAD_SIZE;
        if (a->size > 0 && !a->parameter) return DC_BAD_POINTER;
    }
    return DC_OK;
}

double TYPED(dc_penalties_add)(size_t count, const TYPED(dc_penalty) * penalties, int gradients) {
    const kernel_table *kernel = TYPED(dc_kernels)();
    double total = 0;
    for (size_t i = 0; i < count; i++) {
        const TYPED(dc_penalty) *a = &penalties[i];
        const penalized part = {kernel, (real)a->l1, (real)a->l2, a->parameter,
                                gradients ? a->gradient : NULL};
        if (a->size > 0) total += TYPED(dc_sum_over)(part_penalty, &part, a->size, SUM_BLOCK, 1);
    }
    return total;
}

int TYPED(dc_penalize)(size_t count, const TYPED(dc_penalty) * penalties, int gradients,
                       double *penalty) {
    DEFAULT_MODE;
    const int status = TYPED(dc_penalties_check)(count, penalties);
    if (status) return status;
    const double total = TYPED(dc_penalties_add)(count, penalties, gradients);
    if (penalty) *penalty = total;
    return DC_OK;
}
