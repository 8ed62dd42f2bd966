/* Sums over fixed blocks of items, which threads may share without a trace in the result. */
#ifndef DEEPC_SUMS_H
#define DEEPC_SUMS_H

#include "../deepc.h"
#include "../kernels/table.h"

/* The sum of what `part` gives for `items` items of `size` elements each: part(context, start, n)
 * is the sum of n items from `start` on, and that of several blocks of `block` items must be that
 * of their sums in order. So threads may compute single blocks, which are then added in order. */
double TYPED(dc_sum_over)(double (*part)(const void *context, size_t start, size_t n),
                          const void *context, size_t items, size_t block, size_t size);

/* dc_sum_squares of factor x, for numbers whose squares are beyond the dtype. */
double TYPED(dc_sum_squares_scaled)(double factor, size_t n, const real *x);

/* What dc_penalize refuses, and what it does. */
int TYPED(dc_penalties_check)(size_t count, const TYPED(dc_penalty) * penalties);
double TYPED(dc_penalties_add)(size_t count, const TYPED(dc_penalty) * penalties, int gradients);

#endif
