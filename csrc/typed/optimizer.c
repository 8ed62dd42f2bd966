/* Optimizer steps: checks, the numbers of a step, and the split over threads. */
#include "optimizer.h"

#include <math.h>

#include "../threads.h"
#include "../tuning.h"
#include "tables.h"

typedef TYPED(dc_tensor) tensor;

static int keeps_first(const dc_optimizer *o) {
    return o->rule == DC_MOMENTUM || o->rule == DC_ADAM || o->rule == DC_ADAMW ||
           (o->rule == DC_SGD && o->momentum != 0);
}
static int keeps_second(const dc_optimizer *o) {
    return o->rule == DC_RMSPROP || o->rule == DC_ADAM || o->rule == DC_ADAMW ||
           o->rule == DC_ADAGRAD;
}

/* Whether x is a number in low .. high once it is a `real`. False for NaN. */
static int within(double x, double low, double high) {
    return x >= low && x <= high && isfinite((real)x);
}

static int numbers_are_good(const dc_optimizer *o) {
    const int adam = o->rule == DC_ADAM || o->rule == DC_ADAMW;
    const int uses_momentum = o->rule == DC_MOMENTUM || o->rule == DC_SGD || adam;
    const int uses_epsilon = keeps_second(o);
    const int uses_decay = keeps_second(o) && o->rule != DC_ADAGRAD;
    const int uses_weight_decay = o->rule != DC_GRADIENT_DESCENT && o->rule != DC_MOMENTUM;
    if (!within(o->learning_rate, -HUGE_VAL, HUGE_VAL)) return 0;
    /* Adam divides by 1 - momentum^t and 1 - decay^t. */
    if (uses_momentum && (!within(o->momentum, 0, 1) || (adam && o->momentum == 1))) return 0;
    if (uses_decay && (!within(o->decay, 0, 1) || (adam && o->decay == 1))) return 0;
    if (uses_epsilon && !within(o->epsilon, 0, HUGE_VAL)) return 0;
    return !uses_weight_decay || within(o->weight_decay, 0, HUGE_VAL);
}

int TYPED(dc_optimizer_check)(const dc_optimizer *optimizer, size_t count, const tensor *tensors) {
    if (!optimizer || (count > 0 && !tensors)) return DC_BAD_POINTER;
    if (optimizer->rule < DC_GRADIENT_DESCENT || optimizer->rule > DC_ADAGRAD) return DC_BAD_NAME;
    if (!numbers_are_good(optimizer) || optimizer->steps == UINT64_MAX) return DC_BAD_VALUE;
    for (size_t i = 0; i < count; i++) {
        const tensor *t = &tensors[i];
        if (t->size == 0) continue;
        if (t->size > PTRDIFF_MAX / sizeof(real)) return DC_BAD_SIZE;
        if (!t->gradient || !t->parameter) return DC_BAD_POINTER;
        if ((keeps_first(optimizer) && !t->first) || (keeps_second(optimizer) && !t->second))
            return DC_BAD_POINTER;
    }
    return DC_OK;
}

/* x^n by squaring, because the C library's pow is not the same everywhere. */
static double power(double x, uint64_t n) {
    double y = 1;
    for (; n > 0; n >>= 1, x *= x)
        if (n & 1) y *= x;
    return y;
}

update_step TYPED(dc_update_step)(const dc_optimizer *o) {
    update_step step = {.rule = o->rule,
                        .nesterov = o->nesterov,
                        .learning_rate = (real)o->learning_rate,
                        .momentum = (real)o->momentum,
                        .momentum_rest = (real)(1 - o->momentum),
                        .decay = (real)o->decay,
                        .decay_rest = (real)(1 - o->decay),
                        .correction = 1,
                        .epsilon = (real)o->epsilon,
                        .weight_decay = (real)o->weight_decay};
    if (o->rule == DC_ADAM || o->rule == DC_ADAMW) {
        step.learning_rate = (real)(o->learning_rate / (1 - power(o->momentum, o->steps)));
        step.correction = (real)(1 / sqrt(1 - power(o->decay, o->steps)));
    }
    if (o->rule == DC_ADAMW) {
        step.shrink = (real)(o->learning_rate * o->weight_decay);
        step.weight_decay = 0;
    }
    if (o->rule == DC_ADAGRAD) step.decay = step.decay_rest = 1;
    return step;
}

/* One step of some tensors, cut into tasks that are numbered through all of them. */
typedef struct update_job {
    const kernel_table *kernel;
    update_step step;
    int first, second;
    size_t count;
    const tensor *tensors;
} update_job;

static size_t tasks_of(const tensor *t) {
    return (t->size + TASK_UPDATE_ELEMENTS - 1) / TASK_UPDATE_ELEMENTS;
}

static void update_part(const update_job *job, const tensor *t, size_t start, size_t n) {
    job->kernel->update(&job->step, n, t->gradient + start, t->parameter + start,
                        job->first ? t->first + start : NULL,
                        job->second ? t->second + start : NULL);
}

static void update_task(void *context, size_t task) {
    const update_job *job = context;
    const tensor *t = job->tensors;
    for (; task >= tasks_of(t); t++) task -= tasks_of(t);
    const size_t start = task * TASK_UPDATE_ELEMENTS, left = t->size - start;
    update_part(job, t, start, left < TASK_UPDATE_ELEMENTS ? left : TASK_UPDATE_ELEMENTS);
}

int TYPED(dc_optimizer_step)(dc_optimizer *optimizer, size_t count, const tensor *tensors) {
    const int status = TYPED(dc_optimizer_check)(optimizer, count, tensors);
    if (status) return status;
    optimizer->steps++;
    const update_job job = {.kernel = TYPED(dc_kernels)(),
                            .step = TYPED(dc_update_step)(optimizer),
                            .first = keeps_first(optimizer),
                            .second = keeps_second(optimizer),
                            .count = count,
                            .tensors = tensors};
    size_t elements = 0, tasks = 0;
    for (size_t i = 0; i < count; i++) {
        elements += tensors[i].size;
        tasks += tasks_of(&tensors[i]);
    }
    const int threads = elements < SPLIT_UPDATE_ELEMENTS ? 1 : dc_threads_available();
    if (threads > 1)
        dc_parallel_for(tasks, threads, update_task, (void *)&job);
    else
        for (size_t i = 0; i < count; i++) update_part(&job, &tensors[i], 0, tensors[i].size);
    return DC_OK;
}
