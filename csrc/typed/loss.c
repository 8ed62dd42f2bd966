/* The losses: checks, what becomes of the losses of the rows, and the split over threads.
 *
 * What is known of each loss is in ../losses.c; the formulas are in ../kernels/losses.h. */
#include "loss.h"

#include <math.h>

#include "../losses.h"
#include "../mode.h"
#include "../tuning.h"
#include "sums.h"
#include "tables.h"

/* Whether no array of rows x cols reals can be so large. */
static int too_large(size_t rows, size_t cols) {
    size_t n;
    return __builtin_mul_overflow(rows, cols, &n) || n > PTRDIFF_MAX / sizeof(real);
}

/* Whether each label that counts is a class. */
static int labels_are_good(const loss_work *work) {
    const label_type *labels = (const label_type *)work->labels;
    for (size_t i = 0; i < work->rows; i++)
        if ((uint64_t)labels[i] >= work->cols && !(work->weights && work->weights[i] == 0))
            return 0;
    return 1;
}

int TYPED(dc_loss_work_check)(const dc_loss_rule *rule, const loss_work *work) {
    const int status = check_loss_rule(rule);
    if (status) return status;
    if (work->labels && (work->targets || dc_loss_facts[rule->kind].targets != CLASSES))
        return DC_BAD_POINTER;
    if (too_large(work->rows, work->cols)) return DC_BAD_SIZE;
    if (work->rows > 0 && work->cols > 0 && (!work->predicted || (!work->targets && !work->labels)))
        return DC_BAD_POINTER;
    return !work->labels || labels_are_good(work) ? DC_OK : DC_BAD_LABEL;
}

double TYPED(dc_loss_factor)(const dc_loss_rule *rule, const loss_work *work) {
    switch (rule->reduction) {
    case DC_MEAN_OF_ROWS: return 1.0 / (double)work->rows;
    case DC_MEAN_OF_ELEMENTS: return 1.0 / ((double)work->rows * (double)work->cols);
    case DC_MEAN_BY_WEIGHT:
        return 1.0 /
               (work->weights ? TYPED(dc_sum)(work->rows, work->weights) : (double)work->rows);
    default: return 1.0;
    }
}

double TYPED(dc_loss_total)(const dc_loss_rule *rule, const loss_work *work, double sum) {
    if (rule->reduction == DC_MEAN_OF_ELEMENTS) return sum / (double)work->cols;
    if (rule->reduction == DC_MEAN_BY_WEIGHT && work->weights)
        return sum * TYPED(dc_loss_factor)(rule, work) * (double)work->rows;
    return sum;
}

static double elementwise_part(const void *work, size_t start, size_t n) {
    return TYPED(dc_kernels)()->elementwise_loss(work, start, n);
}

static double rowwise_part(const void *work, size_t start, size_t n) {
    return TYPED(dc_kernels)()->rowwise_loss(work, start, n);
}

double TYPED(dc_loss_sum)(const loss_work *work) {
    const size_t elements = work->rows * work->cols;
    if (elements == 0) return 0;
    const int rowwise = dc_loss_facts[work->kind].rowwise;
    if (elements < SPLIT_ELEMENTS) /* as dc_sum_over would, but without the detour */
        return rowwise ? rowwise_part(work, 0, work->rows) : elementwise_part(work, 0, elements);
    return rowwise ? TYPED(dc_sum_over)(rowwise_part, work, work->rows, LOSS_ROWS, work->cols)
                   : TYPED(dc_sum_over)(elementwise_part, work, elements, SUM_BLOCK, 1);
}

/* ---- The public calls ------------------------------------------------------------------------ */

int TYPED(dc_loss)(const dc_loss_rule *rule, size_t rows, size_t cols, const real *predicted,
                   const real *targets, const int64_t *labels, const real *weights, double scale,
                   double *loss, real *d_predicted) {
    DEFAULT_MODE;
    ROUND_FROM_HERE(scale);
    if (!rule) return DC_BAD_POINTER;
    loss_work work = loss_work_of(rule, rows, cols, predicted, targets, labels, weights);
    const int status = TYPED(dc_loss_work_check)(rule, &work);
    if (status) return status;
    const double factor = TYPED(dc_loss_factor)(rule, &work);
    work.scale = (real)(scale * factor);
    work.d = d_predicted;
    const double sum = TYPED(dc_loss_sum)(&work);
    if (loss) *loss = sum * factor;
    return DC_OK;
}

double TYPED(dc_loss_value)(const dc_loss_rule *rule, size_t rows, size_t cols,
                            const real *predicted, const real *targets, const int64_t *labels,
                            const real *weights) {
    DEFAULT_MODE;
    double loss = NAN;
    TYPED(dc_loss)(rule, rows, cols, predicted, targets, labels, weights, 1, &loss, NULL);
    return loss;
}

/* An elementwise loss is a sum over each row; where rows have one element, over no more than
 * that. */
static void elementwise_rows(loss_work *work, real *losses) {
    if (work->cols == 1) {
        work->values = losses;
        TYPED(dc_loss_sum)(work);
        return;
    }
    const kernel_table *kernel = TYPED(dc_kernels)();
    for (size_t i = 0; i < work->rows; i++)
        losses[i] = (real)kernel->elementwise_loss(work, i * work->cols, work->cols);
}

int TYPED(dc_loss_rows)(const dc_loss_rule *rule, size_t rows, size_t cols, const real *predicted,
                        const real *targets, const int64_t *labels, const real *weights,
                        real *losses) {
    DEFAULT_MODE;
    if (!rule) return DC_BAD_POINTER;
    loss_work work = loss_work_of(rule, rows, cols, predicted, targets, labels, weights);
    const int status = TYPED(dc_loss_work_check)(rule, &work);
    if (status) return status;
    if (rows > 0 && !losses) return DC_BAD_POINTER;
    for (size_t i = 0; cols == 0 && i < rows; i++) losses[i] = 0;
    if (cols == 0 || rows == 0) return DC_OK;
    if (dc_loss_facts[rule->kind].rowwise) {
        work.values = losses;
        TYPED(dc_loss_sum)(&work);
    } else {
        elementwise_rows(&work, losses);
    }
    if (rule->reduction == DC_MEAN_OF_ELEMENTS && cols > 1)
        return TYPED(dc_scale)(1.0 / (double)cols, rows, losses, losses);
    return DC_OK;
}
