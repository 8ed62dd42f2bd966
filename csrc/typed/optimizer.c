/* Optimizer steps: checks, the numbers of a step, what comes before and after the rule, and the
 * split over threads. */
#include "optimizer.h"

#include <float.h>
#include <math.h>

#include "../mode.h"
#include "../rules.h"
#include "../threads.h"
#include "../tuning.h"
#include "clip.h"
#include "tables.h"

typedef TYPED(dc_tensor) tensor;

#if DEEPC_REAL_BITS == 32
static const double largest = FLT_MAX;
#else
static const double largest = DBL_MAX;
#endif

/* ---- The numbers of a step ------------------------------------------------------------------- */

static const int formulas[] = {
#define FORMULA(NAME, name, formula, first, second, third, momentum, decay) FORMULA_##formula,
    DC_RULE_LIST(FORMULA)
#undef FORMULA
};

/* x^n by squaring, because the C library's pow is not the same everywhere. */
static double power(double x, uint64_t n) {
    double y = 1;
    for (; n > 0; n >>= 1, x *= x)
        if (n & 1) y *= x;
    return y;
}

/* Nadam's momentum of step t: momentum (1 - 0.96^(momentum_decay t) / 2). */
static double nadam_momentum(const dc_optimizer *o, double t) {
    static const double log_of_096 = -0.040821994520255166;
    const double x = o->momentum_decay * t * log_of_096;
    double y = 0;
    dc_exp_f64(1, &x, &y);
    return o->momentum * (1 - 0.5 * y);
}

/* A number that several settings make, each of them good. Beyond the dtype it would make NaN of
 * parameters whose gradients are 0. */
static real combined(double x, update_step *step) {
    if (!isfinite((real)x)) step->form |= IS_BEYOND;
    return (real)x;
}

/* Adam, AdamW, Nadam: the bias corrections, and what Nadam takes of the gradient itself. */
static void set_moments(dc_optimizer *o, update_step *step) {
    const double t = (double)o->steps, lr = o->learning_rate;
    const double correction = 1 / sqrt(1 - power(o->decay, o->steps));
    double rate = lr / (1 - power(o->momentum, o->steps));
    if (o->rule == DC_NADAM) {
        const double now = nadam_momentum(o, t), next = nadam_momentum(o, t + 1);
        o->momentum_product = (o->steps <= 1 ? 1 : o->momentum_product) * now;
        rate = lr * next / (1 - o->momentum_product * next);
        step->inside = combined(lr * (1 - now) / (1 - o->momentum_product), step);
        step->form |= HAS_INSIDE;
    }
    step->rate = combined(rate, step);
    step->correction = (real)correction;
    if (o->epsilon_inside) step->epsilon = combined(o->epsilon * correction, step);
}

/* RMSProp and Adagrad. */
static void set_mean_square(const dc_optimizer *o, update_step *step) {
    if (o->rule == DC_ADAGRAD) step->decay = step->decay_rest = 1;
    /* Without momentum the divisor's result is the step itself. */
    if (!(step->form & HAS_FIRST) || o->rate_inside) step->inside = step->rate, step->rate = 1;
    if (o->epsilon_inside) {
        step->epsilon_inside = step->epsilon, step->epsilon = 0;
        step->form |= HAS_EPSILON_INSIDE;
    }
}

/* Adamax. */
static void set_largest(const dc_optimizer *o, update_step *step) {
    step->rate = combined(o->learning_rate / (1 - power(o->momentum, o->steps)), step);
    if (o->epsilon_inside) step->epsilon_inside = step->epsilon, step->epsilon = 0;
}

/* The rules that average more than a velocity. */
static void set_averages(dc_optimizer *o, update_step *step) {
    switch (step->form & FORMULA_BITS) {
    case FORMULA_MEAN_SQUARE: set_mean_square(o, step); break;
    case FORMULA_MOMENTS: set_moments(o, step); break;
    case FORMULA_DELTAS: step->epsilon_inside = step->epsilon; break;
    case FORMULA_LARGEST: set_largest(o, step); break;
    default: break;
    }
}

/* Gradient descent, momentum, SGD. */
static void set_descent(const dc_optimizer *o, update_step *step) {
    if (o->rule == DC_MOMENTUM) {
        step->inside = step->momentum_rest;
    } else if (o->rule == DC_SGD && (step->form & HAS_FIRST)) {
        if (o->nesterov) step->form |= HAS_NESTEROV;
        if (o->rate_inside)
            step->inside = step->rate, step->rate = 1;
        else if (o->moving) /* a step before had a momentum */
            step->inside = (real)(1 - o->dampening);
    }
    if (step->inside != 1) step->form |= HAS_INSIDE;
}

/* What stands before the rule and is rare. */
static void set_surroundings(const dc_optimizer *o, update_step *step) {
    if (o->decoupled || o->rule == DC_ADAMW) {
        step->weight_decay = 0;
        step->shrink = combined(o->learning_rate * o->weight_decay, step);
        if (step->shrink != 0) step->form |= HAS_SHRINK;
    }
    if (o->maximize) step->scale = -1, step->form |= HAS_SCALE;
    if (o->clip == DC_CLIP_VALUE) {
        step->limit = (real)(o->clip_limit < largest ? o->clip_limit : largest);
        step->form |= HAS_LIMIT;
    }
}

/* What a form always has if its formula has a loop of its own, be the number 0: see
 * UPDATE_LOOPS. */
static const int always[] = {[DC_SGD] = HAS_WEIGHT_DECAY,
                             [DC_RMSPROP] = HAS_WEIGHT_DECAY,
                             [DC_ADAM] = HAS_WEIGHT_DECAY | HAS_SHRINK,
                             [DC_ADAMW] = HAS_WEIGHT_DECAY | HAS_SHRINK,
                             [DC_ADAGRAD] = HAS_WEIGHT_DECAY,
                             [DC_RULE_COUNT] = 0};

/* The step whose number is o->steps, of a rule that needs these tensors. */
static void make_step(dc_optimizer *o, int states, update_step *step) {
    const int formula = formulas[o->rule];
    *step = (update_step){.form = formula | (states & KEEPS_OF_RULE) * HAS_FIRST | always[o->rule],
                          .rate = (real)o->learning_rate,
                          .inside = 1,
                          .correction = 1,
                          .weight_decay = (real)o->weight_decay,
                          .scale = 1};
    if (o->decoupled | o->maximize | o->clip | (o->rule == DC_ADAMW)) set_surroundings(o, step);
    if (step->weight_decay != 0) step->form |= HAS_WEIGHT_DECAY;
    if (states & KEEPS_FIRST) {
        step->momentum = (real)o->momentum;
        step->momentum_rest = (real)(1 - o->momentum);
    }
    if (formula == FORMULA_DESCENT) {
        set_descent(o, step);
    } else {
        step->decay = (real)o->decay;
        step->decay_rest = (real)(1 - o->decay);
        if (states & KEEPS_SECOND) step->epsilon = (real)o->epsilon;
        set_averages(o, step);
    }
    if (o->momentum != 0) o->moving = 1;
}

void TYPED(dc_update_step)(dc_optimizer *o, update_step *step) {
    make_step(o, dc_optimizer_states(o), step);
}

/* ---- Checks ---------------------------------------------------------------------------------- */

static int lacks(const tensor *t, int states) {
    return !t->gradient || !t->parameter || (states & KEEPS_FIRST && !t->first) ||
           (states & KEEPS_SECOND && !t->second) || (states & KEEPS_THIRD && !t->third) ||
           (states & KEEPS_ACCUMULATED && !t->accumulated) ||
           (states & KEEPS_AVERAGE && !t->average);
}

/* What the tensors of a step have in common. */
typedef struct extent {
    int states; /* that the rule needs */
    int no_decay; /* some have that */
    size_t elements;
} extent;

static int check(const dc_optimizer *o, size_t count, const tensor *tensors, extent *all) {
    if (!o || (count > 0 && !tensors)) return DC_BAD_POINTER;
    const int status = dc_rule_check(o, largest, &all->states);
    if (status) return status;
    all->no_decay = 0;
    all->elements = 0;
    for (size_t i = 0; i < count; i++) { /* tensors may be NULL where there is none */
        const tensor *t = &tensors[i];
        if (t->size == 0) continue;
        if (t->size > PTRDIFF_MAX / sizeof(real)) return DC_BAD_SIZE;
        if (lacks(t, all->states)) return DC_BAD_POINTER;
        all->no_decay |= t->no_decay;
        all->elements += t->size;
    }
    return DC_OK;
}

int TYPED(dc_optimizer_check)(const dc_optimizer *optimizer, size_t count, const tensor *tensors) {
    extent all;
    const int status = check(optimizer, count, tensors, &all);
    if (status) return status;
    dc_optimizer next = *optimizer;
    next.steps++;
    update_step step;
    make_step(&next, all.states, &step);
    return step.form & IS_BEYOND ? DC_BAD_VALUE : DC_OK;
}

/* Whether nothing stands around the rule that the kernels do not do. */
static int is_direct(const dc_optimizer *o) {
    return o->clip <= DC_CLIP_VALUE && o->accumulation <= 1 && !o->average;
}

int TYPED(dc_update_is_direct)(const dc_optimizer *o, size_t count, const tensor *tensors) {
    for (size_t i = 0; i < count; i++)
        if (tensors[i].no_decay) return 0;
    return is_direct(o) && !(dc_optimizer_states(o) & KEEPS_THIRD);
}

/* ---- A pass over the tensors ----------------------------------------------------------------- */

/* One pass over some tensors, cut into tasks that are numbered through all of them. */
typedef struct update_job {
    void (*run)(const struct update_job *job, const tensor *t, size_t start, size_t n);
    const kernel_table *kernel;
    dc_optimizer *optimizer;
    const update_step *step;
    size_t count;
    const tensor *tensors;
} update_job;

static size_t tasks_of(const tensor *t) {
    return (t->size + TASK_UPDATE_ELEMENTS - 1) / TASK_UPDATE_ELEMENTS;
}

static void run_task(void *context, size_t task) {
    const update_job *job = context;
    const tensor *t = job->tensors;
    for (; task >= tasks_of(t); t++) task -= tasks_of(t);
    const size_t start = task * TASK_UPDATE_ELEMENTS, left = t->size - start;
    job->run(job, t, start, left < TASK_UPDATE_ELEMENTS ? left : TASK_UPDATE_ELEMENTS);
}

static void run(const update_job *job) {
    const tensor *const end = job->tensors + job->count;
    size_t elements = 0, tasks = 0;
    for (const tensor *t = job->tensors; t < end; t++) {
        elements += t->size;
        tasks += tasks_of(t);
    }
    const int threads = elements < SPLIT_UPDATE_ELEMENTS ? 1 : dc_threads_available();
    if (threads > 1)
        dc_parallel_for(tasks, threads, run_task, (void *)job);
    else
        for (const tensor *t = job->tensors; t < end; t++)
            if (t->size > 0) job->run(job, t, 0, t->size);
}

/* The first gradient after a step is copied, the others are added to it. */
static void accumulate(const update_job *job, const tensor *t, size_t start, size_t n) {
    job->kernel->add_scaled(1, n, t->gradient + start, job->optimizer->waiting > 0,
                            t->accumulated + start);
}

static const real *gradient_of(const dc_optimizer *o, const tensor *t) {
    return o->accumulation > 1 ? t->accumulated : t->gradient;
}

/* Nothing may be added to a null pointer. */
static real *from(real *x, size_t start) { return x ? x + start : NULL; }

static void update_with(const update_job *job, const update_step *step, const tensor *t,
                        size_t start, size_t n) {
    job->kernel->update(step, n, gradient_of(job->optimizer, t) + start, t->parameter + start,
                        from(t->first, start), from(t->second, start), from(t->third, start));
}

static void update_without_decay(const update_job *job, const tensor *t, size_t start, size_t n) {
    update_step step = *job->step;
    step.weight_decay = step.shrink = 0;
    update_with(job, &step, t, start, n);
}

static void average(const update_job *job, const tensor *t, size_t start, size_t n) {
    const dc_optimizer *o = job->optimizer;
    real *p = t->parameter + start, *mean = t->average + start;
    const double kept = o->steps > 1 ? o->average_momentum : 0;
    job->kernel->add_scaled((real)(1 - kept), n, p, (real)kept, mean);
    if (o->average_period && o->steps % o->average_period == 0)
        job->kernel->add_scaled(1, n, mean, 0, p);
}

static void update(const update_job *job, const tensor *t, size_t start, size_t n) {
    if (t->no_decay)
        update_without_decay(job, t, start, n);
    else
        update_with(job, job->step, t, start, n);
    if (job->optimizer->average) average(job, t, start, n);
}

static const real *gradient_at(const void *context, size_t i, size_t *size) {
    const update_job *job = context;
    *size = job->tensors[i].size;
    return gradient_of(job->optimizer, &job->tensors[i]);
}

/* The update of tensors start .. end - 1, with `share` as a factor of their gradients. */
static void run_scaled(const update_job *all, double share, size_t start, size_t end) {
    const dc_optimizer *o = all->optimizer;
    if (o->clip > DC_CLIP_VALUE) {
        const double norm = TYPED(dc_norm)(gradient_at, all, start, end);
        share *= clip_factor(share * norm, o->clip_limit, o->clip_epsilon);
    }
    update_step step = *all->step;
    step.scale = (real)(step.scale * share);
    step.form |= HAS_SCALE;
    update_job job = *all;
    job.step = &step;
    job.tensors += start;
    job.count = end - start;
    run(&job);
}

/* ---- The public calls ------------------------------------------------------------------------ */

/* What a step changes of the settings. */
typedef struct progress {
    uint64_t steps;
    double momentum_product;
    int moving;
} progress;

static void put_back(dc_optimizer *o, const progress *before) {
    o->steps = before->steps;
    o->momentum_product = before->momentum_product;
    o->moving = before->moving;
}

/* A step with something around the rule, or over much. */
static void take_step(update_job *job) {
    dc_optimizer *o = job->optimizer;
    double share = 1;
    if (o->accumulation > 1) {
        job->run = accumulate;
        run(job);
        if (++o->waiting < o->accumulation) return;
        share = 1 / (double)o->accumulation;
    }
    o->waiting = 0;
    job->run = update;
    if (o->clip == DC_CLIP_NORM)
        for (size_t i = 0; i < job->count; i++) run_scaled(job, share, i, i + 1);
    else if (o->clip == DC_CLIP_GLOBAL_NORM || share != 1)
        run_scaled(job, share, 0, job->count);
    else
        run(job);
}

int TYPED(dc_optimizer_step)(dc_optimizer *optimizer, size_t count, const tensor *tensors) {
    DEFAULT_MODE;
    extent all;
    const int status = check(optimizer, count, tensors, &all);
    if (status) return status;
    const progress before = {optimizer->steps, optimizer->momentum_product, optimizer->moving};
    const kernel_table *const kernel = TYPED(dc_kernels)();
    optimizer->steps++;
    update_step step;
    make_step(optimizer, all.states, &step);
    if (step.form & IS_BEYOND) {
        put_back(optimizer, &before);
        return DC_BAD_VALUE;
    }
    if (is_direct(optimizer) && !all.no_decay && all.elements < SPLIT_UPDATE_ELEMENTS) {
        /* What most steps are: of a small network they are to cost no more than this. */
        for (size_t i = 0; i < count; i++) {
            const tensor *t = &tensors[i];
            kernel->update(&step, t->size, t->gradient, t->parameter, t->first, t->second,
                           t->third);
        }
        optimizer->waiting = 0;
        return DC_OK;
    }
    update_job job = {update, kernel, optimizer, &step, count, tensors};
    take_step(&job);
    if (optimizer->waiting > 0) put_back(optimizer, &before);
    return DC_OK;
}
