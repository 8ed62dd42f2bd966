/* Losses over checked arguments, for the public functions and for training. */
#ifndef DEEPC_LOSS_H
#define DEEPC_LOSS_H

#include "../deepc.h"
#include "../kernels/table.h"

/* The work of a rule over some rows, for the kernels: of which nothing is asked but the sum. Names
 * all fields, because the compiler clears those that are left out by an instruction that takes 10
 * ns. */
static inline loss_work loss_work_of(const dc_loss_rule *rule, size_t rows, size_t cols,
                                     const real *predicted, const real *targets,
                                     const int64_t *labels, const real *weights) {
    return (loss_work){.kind = rule->kind,
                       .parameter = (real)rule->parameter,
                       .smoothing = (real)rule->smoothing,
                       .rows = rows,
                       .cols = cols,
                       .predicted = predicted,
                       .targets = targets,
                       .labels = labels,
                       .weights = weights,
                       .scale = 1,
                       .values = NULL,
                       .d = NULL};
}

/* DC_OK if the rule and the arrays that the work reads can be used. */
int TYPED(dc_loss_work_check)(const dc_loss_rule *rule, const loss_work *work);

/* What the sum of the rows' weighted losses is multiplied by to get the loss: 1, 1 / rows ... */
double TYPED(dc_loss_factor)(const dc_loss_rule *rule, const loss_work *work);

/* The sum of the rows' weighted losses, before that; and what else the work asks for. The gradient
 * of the loss takes the factor as part of the scale. Large work is split over threads. */
double TYPED(dc_loss_sum)(const loss_work *work);

/* What the rows' losses of a batch add up to, where every row counts as often as the reduction lets
 * it: the sum, of means of elements divided by the columns, of means by weight by the mean
 * weight. */
double TYPED(dc_loss_total)(const dc_loss_rule *rule, const loss_work *work, double sum);

#endif
