/* Norms of several arrays as one, and the factor that clips by one. */
#ifndef DEEPC_CLIP_H
#define DEEPC_CLIP_H

#include "../kernels/table.h"

/* Array i of those that a context holds. */
typedef const real *(*array_at)(const void *context, size_t i, size_t *size);

/* The root of the sum of squares over arrays start .. end - 1, each summed by dc_sum_squares, in
 * order. */
double TYPED(dc_norm)(array_at at, const void *context, size_t start, size_t end);

/* min(1, limit / (norm + epsilon)); NaN where the norm is NaN. */
static inline double clip_factor(double norm, double limit, double epsilon) {
    return norm + epsilon <= limit ? 1 : limit / (norm + epsilon);
}

#endif
