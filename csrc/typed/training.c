/* Training: an epoch, or as much of it as there is time for, in one call. Each step is what the
 * single calls make of a batch: forward, loss, backward, update. */
#include <math.h>
#include <string.h>

#include "../losses.h"
#include "../mode.h"
#include "../tuning.h"
#include "argmax.h"
#include "loss.h"
#include "network.h"
#include "optimizer.h"
#include "sums.h"
#include "tables.h"

typedef TYPED(dc_network) network;
typedef TYPED(dc_tensor) tensor;
typedef TYPED(dc_samples) samples;

/* ---- Memory ---------------------------------------------------------------------------------- */

static size_t lay_out_batch(network *net, real *base, size_t rows) {
    size_t used = 0;
    net->last_output = TYPED(dc_area_take)(base, &used, rows * net->last);
    net->batch_x =
        TYPED(dc_area_take)(base, &used, rows * net->cols * (input_size(net) / sizeof(real)));
    net->batch_targets = TYPED(dc_area_take)(base, &used, rows * net->last);
    net->batch_labels = (int64_t *)(void *)TYPED(dc_area_take)(
        base, &used, rows * (sizeof(int64_t) / sizeof(real)));
    net->batch_weights = TYPED(dc_area_take)(base, &used, rows);
    return used;
}

static int reserve(network *net, size_t rows, size_t cols) {
    int status = TYPED(dc_network_reserve)(net, rows, cols);
    if (!status) status = TYPED(dc_network_reserve_gradients)(net, rows);
    if (!status) status = TYPED(dc_area_reserve)(net, &net->batch_area, rows, lay_out_batch);
    return status;
}

/* ---- Checks ---------------------------------------------------------------------------------- */

static int check_samples(const network *net, const samples *s, size_t next) {
    const size_t outputs = TYPED(dc_network_outputs)(net, s->cols);
    const int given = net->takes_indices ? s->indices && !s->x : s->x && !s->indices;
    if (!given || (!s->targets) == (!s->labels)) return DC_BAD_POINTER;
    int status = check_loss_rule(&s->loss);
    if (!status) status = TYPED(dc_penalties_check)(s->penalty_count, s->penalties);
    if (status) return status;
    if (s->labels && !dc_loss_takes_labels(s->loss.kind)) return DC_BAD_POINTER;
    if (s->rows == 0 || s->batch_size == 0 || next % s->batch_size || next > s->rows || !outputs)
        return DC_BAD_SIZE;
    if (s->order)
        for (size_t i = 0; i < s->rows; i++)
            if (s->order[i] < 0 || (size_t)s->order[i] >= s->rows) return DC_BAD_VALUE;
    if (s->labels)
        for (size_t i = 0; i < s->rows; i++)
            if ((uint64_t)s->labels[i] >= outputs && !(s->weights && s->weights[i] == 0))
                return DC_BAD_LABEL;
    return DC_OK;
}

/* The rates of the steps from `next` on, the largest of them with all other settings. */
static int check_rates(const dc_optimizer *o, size_t count, const tensor *tensors, const samples *s,
                       size_t next) {
    dc_optimizer largest = *o;
    if (!s->rates) return DC_OK;
    largest.learning_rate = 0;
    for (size_t at = next; at < s->rows; at += s->batch_size) {
        const double rate = s->rates[at / s->batch_size];
        if (!isfinite(rate)) return DC_BAD_VALUE;
        if (fabs(rate) > fabs(largest.learning_rate)) largest.learning_rate = rate;
        if (s->batch_size > s->rows - at) break;
    }
    return TYPED(dc_optimizer_check)(&largest, count, tensors);
}

/* The tensor of a parameter, or NULL. Tensors mostly come in the order of the layers, so the search
 * starts behind the one found last. */
static const tensor *find_tensor(size_t count, const tensor *tensors, const void *parameter,
                                 size_t *behind) {
    for (size_t i = 0, at = *behind; i < count; i++, at++) {
        if (at >= count) at = 0;
        if (tensors[at].parameter != parameter) continue;
        *behind = at + 1;
        return &tensors[at];
    }
    return NULL;
}

/* Finds the tensors of all parameters that train. Clears *outer where steps of one row cannot go
 * straight into them. DC_BAD_SIZE, DC_BAD_POINTER: a tensor's size or gradient is not that of its
 * parameter. */
static int bind_tensors(network *net, size_t count, const tensor *tensors, int *outer) {
    size_t behind = 0;
    for (size_t i = 0; i < net->count; i++) {
        stage *s = &net->stages[i];
        for (int k = 0; k < DC_LAYER_PARAMETERS && s->kind->parameter; k++) {
            const dc_parameter *p = &s->layer->parameters[k];
            s->tensors[k] = NULL;
            if (!p->value || !p->gradient) continue;
            const tensor *t = find_tensor(count, tensors, p->value, &behind);
            if (t && t->size != p->size) return DC_BAD_SIZE;
            if (t && t->gradient != p->gradient) return DC_BAD_POINTER;
            if (!t || s->shared || !s->kind->updates) *outer = 0;
            s->tensors[k] = t;
        }
    }
    return DC_OK;
}

/* ---- A step ---------------------------------------------------------------------------------- */

/* What a call is about. */
typedef struct training {
    network *net;
    dc_optimizer *optimizer;
    size_t count;
    const tensor *tensors;
    const samples *samples;
    int outer; /* gradients go straight into the parameters, by this step: */
    update_step update;
} training;

/* The rows of one batch: where they stand if they are in one piece, else gathered. */
typedef struct batch_rows {
    const void *x;
    const real *targets, *weights;
    const int64_t *labels;
} batch_rows;

static batch_rows gather(network *net, const samples *s, size_t from, size_t rows) {
    const size_t row_size = s->cols * input_size(net), outputs = net->last;
    const size_t first = s->order ? (size_t)s->order[from] : from;
    const char *all = s->indices ? (const char *)s->indices : (const char *)s->x;
    if (!s->order || rows == 1)
        return (batch_rows){
            all + first * row_size, s->targets ? s->targets + first * outputs : NULL,
            s->weights ? s->weights + first : NULL, s->labels ? s->labels + first : NULL};
    for (size_t r = 0; r < rows; r++) {
        const size_t row = (size_t)s->order[from + r];
        memcpy((char *)net->batch_x + r * row_size, all + row * row_size, row_size);
        if (s->targets)
            memcpy(net->batch_targets + r * outputs, s->targets + row * outputs,
                   outputs * sizeof(real));
        if (s->labels) net->batch_labels[r] = s->labels[row];
        if (s->weights) net->batch_weights[r] = s->weights[row];
    }
    return (batch_rows){net->batch_x, s->targets ? net->batch_targets : NULL,
                        s->weights ? net->batch_weights : NULL,
                        s->labels ? net->batch_labels : NULL};
}

/* The total of the rows' losses, and the gradient as the rule reduces it. */
static double batch_loss(const network *net, const dc_loss_rule *rule, size_t rows,
                         const batch_rows *b, real *d_y) {
    const real *predicted = net->stages[net->count - 1].output;
    loss_work work =
        loss_work_of(rule, rows, net->last, predicted, b->targets, b->labels, b->weights);
    work.scale = (real)TYPED(dc_loss_factor)(rule, &work);
    work.d = d_y;
    return TYPED(dc_loss_total)(rule, &work, TYPED(dc_loss_sum)(&work));
}

/* How many rows of a batch are right. The places of their largest targets are in the memory for
 * labels, which nothing else uses then. */
static size_t batch_right(const network *net, size_t rows, const batch_rows *b,
                          const real *predicted) {
    if (b->targets) (void)TYPED(dc_argmax)(rows, net->last, b->targets, net->batch_labels);
    const int64_t *labels = b->targets ? net->batch_labels : b->labels;
    return TYPED(dc_count_equal)(rows, net->last, predicted, labels, NULL);
}

/* What the penalties add to the total of the rows' losses; adds their slopes to the gradients. */
static double batch_penalty(const samples *s, size_t rows) {
    const double penalty = TYPED(dc_penalties_add)(s->penalty_count, s->penalties, 1);
    return s->loss.reduction == DC_SUM ? penalty : penalty * (double)rows;
}

/* The step of rows from .. from + rows - 1 of the order. One that fails, or that somebody
 * interrupts, has changed nothing. */
static int step(training *t, size_t from, size_t rows, double *loss) {
    network *net = t->net;
    const samples *s = t->samples;
    const batch_rows b = gather(net, s, from, rows);
    net->pass.rows = net->pass.batch = rows;
    real *shown = s->predictions ? s->predictions + from * net->last : NULL;
    int status = TYPED(dc_network_run)(net, b.x, shown ? shown : net->last_output);
    if (status) return status;
    const real *predicted = net->stages[net->count - 1].output;
    if (shown && predicted != shown) memcpy(shown, predicted, rows * net->last * sizeof *shown);
    const size_t right = s->right ? batch_right(net, rows, &b, predicted) : 0;
    real *d_y = net->gradient[0];
    double value = batch_loss(net, &s->loss, rows, &b, d_y);
    if (s->rates) t->optimizer->learning_rate = s->rates[from / s->batch_size];
    if (t->outer) {
        t->optimizer->steps++;
        TYPED(dc_update_step)(t->optimizer, &t->update);
    }
    status = TYPED(dc_network_run_back)(net, b.x, d_y, NULL);
    if (!status && s->penalty_count) value += batch_penalty(s, rows);
    if (!status && !t->outer) status = TYPED(dc_optimizer_step)(t->optimizer, t->count, t->tensors);
    if (status) {
        TYPED(dc_network_undo)(net);
        return status;
    }
    *loss += value;
    if (s->right) *s->right += right;
    return DC_OK;
}

static int train(training *t, double seconds, size_t *next, double *loss) {
    network *net = t->net;
    const samples *s = t->samples;
    const size_t batch = s->batch_size < s->rows ? s->batch_size : s->rows;
    t->outer = !s->penalty_count && TYPED(dc_update_is_direct)(t->optimizer, t->count, t->tensors);
    int status = bind_tensors(net, t->count, t->tensors, &t->outer);
    if (!status) status = reserve(net, batch, s->cols);
    if (status) return status;
    for (size_t i = 0; i < net->count; i++)
        if (net->stages[i].kind->can_go_back && !net->stages[i].layer->training)
            return DC_BAD_STATE;
    if (t->optimizer->steps > UINT64_MAX - (s->rows - *next + batch - 1) / batch)
        return DC_BAD_VALUE;

    watch w = {.interrupted = s->interrupted, .part_work = WATCH_FIRST_WORK};
    const int is_long = s->interrupted && 3 * net->work >= LONG_STEP_WORK / batch;
    t->outer = t->outer && batch == 1 && !is_long;
    net->pass.update = t->outer ? &t->update : NULL;
    net->watch = is_long ? &w : NULL;

    /* Reading the clock costs as much as a tiny step, so it is read once per so many
     * multiply-adds. */
    size_t work = net->work * batch, since = 0;
    for (size_t i = 0; i < t->count; i++) work += t->tensors[i].size;
    w.asked = w.looked = dc_seconds();
    const double until = w.asked + seconds;
    /* Who is told at once knows in which step the loss ran away. */
    const int was_finite = isfinite(*loss) != 0;
    while (*next < s->rows && !status) {
        const size_t rows = s->rows - *next < batch ? s->rows - *next : batch;
        status = step(t, *next, rows, loss);
        if (status) break;
        *next += rows;
        if (was_finite && !isfinite(*loss)) break;
        if ((since += work) >= TRAIN_CLOCK_WORK) {
            since = 0;
            if (dc_seconds() > until) break;
        }
    }
    net->watch = NULL;
    net->pass.update = NULL;
    return status;
}

int TYPED(dc_network_train)(network *net, dc_optimizer *optimizer, size_t count,
                            const tensor *tensors, const samples *s, double seconds, size_t *next,
                            double *loss) {
    DEFAULT_MODE;
    if (!net || !optimizer || !s || !next || !loss || (count && !tensors)) return DC_BAD_POINTER;
    int status = TYPED(dc_optimizer_check)(optimizer, count, tensors);
    if (!status) status = check_samples(net, s, *next);
    if (!status) status = check_rates(optimizer, count, tensors, s, *next);
    if (status) return status;
    training t = {net, optimizer, count, tensors, s, 0, {0}};
    TYPED(dc_network_enter)(net);
    status = train(&t, seconds, next, loss);
    dc_lock_release(&net->lock);
    return status;
}
