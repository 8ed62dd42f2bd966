/* Clipping of arrays in place, as optimizers clip gradients on their way. */
#include "clip.h"

#include <math.h>

#include "../deepc.h"
#include "../mode.h"
#include "../rules.h"
#include "sums.h"
#include "tables.h"

double TYPED(dc_norm)(array_at at, const void *context, size_t start, size_t end) {
    /* Where a sum of squares is beyond the dtype, all are added again of smaller numbers. */
    double factor = 1;
    for (;;) {
        double total = 0;
        for (size_t i = start; i < end; i++) {
            size_t size;
            const real *x = at(context, i, &size);
            total += TYPED(dc_sum_squares_scaled)(factor, size, x);
        }
        if (!isinf(total) || factor < 1) return sqrt(total) / factor;
        factor = DEEPC_REAL_BITS == 32 ? 0x1p-70 : 0x1p-600;
    }
}

typedef struct arrays {
    const size_t *sizes;
    real *const *arrays;
} arrays;

static const real *array_of(const void *context, size_t i, size_t *size) {
    const arrays *a = context;
    *size = a->sizes[i];
    return a->arrays[i];
}

static void clip_values(size_t n, real limit, real *x) {
    for (size_t i = 0; i < n; i++) {
        if (x[i] > limit) x[i] = limit;
        if (x[i] < -limit) x[i] = -limit;
    }
}

int TYPED(dc_clip_arrays)(int clip, double limit, double epsilon, size_t count, const size_t *sizes,
                          real *const *arrays_given, double *norm) {
    DEFAULT_MODE;
    ROUND_FROM_HERE(limit);
    ROUND_FROM_HERE(epsilon);
    const int status = dc_clip_check(clip, limit, epsilon);
    if (status) return status;
    if (count > 0 && (!sizes || !arrays_given)) return DC_BAD_POINTER;
    for (size_t i = 0; i < count; i++) {
        if (sizes[i] > 0 && !arrays_given[i]) return DC_BAD_POINTER;
        if (sizes[i] > PTRDIFF_MAX / sizeof(real)) return DC_BAD_SIZE;
    }
    const arrays all = {sizes, arrays_given};
    const double of_all =
        norm || clip == DC_CLIP_GLOBAL_NORM ? TYPED(dc_norm)(array_of, &all, 0, count) : 0;
    if (norm) *norm = of_all;
    for (size_t i = 0; i < count; i++) {
        if (clip == DC_CLIP_VALUE) clip_values(sizes[i], (real)limit, arrays_given[i]);
        if (clip < DC_CLIP_NORM) continue;
        const double mine =
            clip == DC_CLIP_NORM ? TYPED(dc_norm)(array_of, &all, i, i + 1) : of_all;
        const double factor = clip_factor(mine, limit, epsilon);
        if (factor != 1) TYPED(dc_scale)(factor, sizes[i], arrays_given[i], arrays_given[i]);
    }
    return DC_OK;
}
