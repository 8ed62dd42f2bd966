/* The optimizers: every rule over several steps against its formula in long double, the same bits
 * on every instruction set, for any number of threads and any cut into tensors; and the update by
 * an outer product against the plain one. */
#include "arrays.h"
#include "typed/optimizer.h"
#include "typed/tables.h"

typedef TYPED(dc_tensor) tensor;

static const dc_optimizer rules[] = {
    {.rule = DC_GRADIENT_DESCENT, .learning_rate = 0.1},
    {.rule = DC_MOMENTUM, .learning_rate = 0.1, .momentum = 0.9},
    {.rule = DC_MOMENTUM, .learning_rate = 0.1},
    {.rule = DC_SGD, .learning_rate = 0.1},
    {.rule = DC_SGD, .learning_rate = 0.1, .weight_decay = 0.01},
    {.rule = DC_SGD, .learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.01},
    {.rule = DC_SGD, .nesterov = 1, .learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.01},
    {.rule = DC_RMSPROP,
     .learning_rate = 0.01,
     .decay = 0.99,
     .epsilon = 1e-8,
     .weight_decay = 0.01},
    {.rule = DC_ADAM, .learning_rate = 0.001, .momentum = 0.9, .decay = 0.999, .epsilon = 1e-8},
    {.rule = DC_ADAM,
     .learning_rate = 0.001,
     .momentum = 0.9,
     .decay = 0.999,
     .epsilon = 1e-8,
     .weight_decay = 0.1},
    {.rule = DC_ADAMW,
     .learning_rate = 0.001,
     .momentum = 0.9,
     .decay = 0.999,
     .epsilon = 1e-8,
     .weight_decay = 0.1},
    {.rule = DC_ADAGRAD, .learning_rate = 0.1, .epsilon = 1e-10, .weight_decay = 0.01},
};

static int keeps_first(const dc_optimizer *o) {
    return o->rule == DC_MOMENTUM || o->rule == DC_ADAM || o->rule == DC_ADAMW ||
           (o->rule == DC_SGD && o->momentum != 0);
}
static int keeps_second(const dc_optimizer *o) { return o->rule >= DC_RMSPROP; }

/* A parameter with gradient and state, of n elements each. */
typedef struct state {
    size_t n;
    real *g, *p, *first, *second;
} state;

static state state_make(size_t n) {
    return (state){n, array_make(n), array_make(n), array_make(n), array_make(n)};
}
static void state_reset(state *s) {
    random_state = 5;
    fill(s->n, -1, 1, s->g);
    fill(s->n, -1, 1, s->p);
    fill(s->n, 0, 0, s->first);
    fill(s->n, 0, 0, s->second);
}
static int state_guards_hold(const state *s) {
    return guards_hold(s->g, s->n) && guards_hold(s->p, s->n) && guards_hold(s->first, s->n) &&
           guards_hold(s->second, s->n);
}
static int same_state(const state *a, const state *b) {
    return same_bits(a->n, a->p, b->p) && same_bits(a->n, a->first, b->first) &&
           same_bits(a->n, a->second, b->second);
}
static void state_free(state *s) {
    array_free(s->g);
    array_free(s->p);
    array_free(s->first);
    array_free(s->second);
}
static tensor tensor_of(const dc_optimizer *o, const state *s, size_t start, size_t n) {
    return (tensor){n, s->g + start, s->p + start, keeps_first(o) ? s->first + start : NULL,
                    keeps_second(o) ? s->second + start : NULL};
}

/* One element, as deepc_api.h states the rules. */
static void step_reference(const dc_optimizer *o, uint64_t t, long double g, long double *p,
                           long double *u, long double *s) {
    const long double lr = o->learning_rate, momentum = o->momentum, decay = o->decay,
                      epsilon = o->epsilon;
    if (o->rule == DC_SGD || o->rule == DC_RMSPROP || o->rule == DC_ADAM || o->rule == DC_ADAGRAD)
        g += o->weight_decay * *p;
    switch (o->rule) {
    case DC_GRADIENT_DESCENT: *p -= lr * g; break;
    case DC_MOMENTUM:
        *u = momentum * *u + (1 - momentum) * g;
        *p -= lr * *u;
        break;
    case DC_SGD:
        *u = momentum * *u + g;
        *p -= lr * (o->nesterov ? g + momentum * *u : *u);
        break;
    case DC_RMSPROP:
        *s = decay * *s + (1 - decay) * g * g;
        *p -= lr * g / (sqrtl(*s) + epsilon);
        break;
    case DC_ADAGRAD:
        *s += g * g;
        *p -= lr * g / (sqrtl(*s) + epsilon);
        break;
    default:
        if (o->rule == DC_ADAMW) *p -= lr * o->weight_decay * *p;
        *u = momentum * *u + (1 - momentum) * g;
        *s = decay * *s + (1 - decay) * g * g;
        *p -= lr * (*u / (1 - powl(momentum, t))) / (sqrtl(*s / (1 - powl(decay, t))) + epsilon);
        break;
    }
}

/* Three steps over n elements as one tensor, and as three with one empty. */
static void check_rule(const dc_optimizer *rule, size_t n) {
    enum { STEPS = 3 };
    state s = state_make(n), split = state_make(n), first = state_make(n);
    for (size_t isa = 0; use_isa(isa); isa++) {
        dc_optimizer o = *rule, o_split = *rule;
        state_reset(&s);
        state_reset(&split);
        const tensor whole = tensor_of(rule, &s, 0, n);
        const tensor parts[3] = {tensor_of(rule, &split, 0, n / 3),
                                 {0, NULL, NULL, NULL, NULL},
                                 tensor_of(rule, &split, n / 3, n - n / 3)};
        for (int step = 0; step < STEPS; step++) {
            CHECK(TYPED(dc_optimizer_step)(&o, 1, &whole) == DC_OK);
            CHECK(TYPED(dc_optimizer_step)(&o_split, 3, parts) == DC_OK);
        }
        CHECK(o.steps == STEPS && o_split.steps == STEPS);
        CHECK(state_guards_hold(&s) && same_state(&s, &split));
        if (isa == 0) {
            memcpy(first.p, s.p, n * sizeof *s.p);
            memcpy(first.first, s.first, n * sizeof *s.p);
            memcpy(first.second, s.second, n * sizeof *s.p);
        }
        CHECK(!isa_is_exact() || same_state(&s, &first));

        random_state = 5;
        state_reset(&split);
        double worst = 0;
        for (size_t i = 0; i < n; i++) {
            long double p = split.p[i], u = 0, v = 0;
            for (uint64_t t = 1; t <= STEPS; t++) step_reference(rule, t, s.g[i], &p, &u, &v);
            worst = fmax(worst, (double)fabsl(s.p[i] - p));
            if (keeps_first(rule)) worst = fmax(worst, (double)fabsl(s.first[i] - u));
            if (keeps_second(rule)) worst = fmax(worst, (double)fabsl(s.second[i] - v));
        }
        CHECK(worst <= ldexp(12, DEEPC_REAL_BITS == 32 ? -24 : -53));
    }
    state_free(&s);
    state_free(&split);
    state_free(&first);
}

/* Adam's corrections far into training, where the powers have vanished, and at the start. */
static void test_step_numbers(void) {
    dc_optimizer o = rules[8];
    const uint64_t steps[] = {1, 2, 3, 10, 1000, 1000000};
    for (size_t i = 0; i < COUNT(steps); i++) {
        o.steps = steps[i];
        const update_step step = TYPED(dc_update_step)(&o);
        const long double t = (long double)steps[i];
        CHECK(ulps(step.learning_rate, (long double)o.learning_rate / (1 - powl(o.momentum, t))) <=
              2 + 2 * REFERENCE_ULPS);
        CHECK(ulps(step.correction, 1 / sqrtl(1 - powl(o.decay, t))) <=
              (DEEPC_REAL_BITS == 32 ? 1 : 2000));
    }
}

static void test_threads(void) {
    const size_t n = 600000;
    state one = state_make(n), three = state_make(n);
    use_isa(0);
    for (size_t r = 0; r < COUNT(rules); r++) {
        dc_optimizer o = rules[r], o3 = rules[r];
        state_reset(&one);
        state_reset(&three);
        const tensor a[2] = {tensor_of(&o, &one, 0, 70000), tensor_of(&o, &one, 70000, n - 70000)};
        const tensor b[2] = {tensor_of(&o, &three, 0, 70000),
                             tensor_of(&o, &three, 70000, n - 70000)};
        dc_set_num_threads(1);
        CHECK(TYPED(dc_optimizer_step)(&o, 2, a) == DC_OK);
        dc_set_num_threads(3);
        CHECK(TYPED(dc_optimizer_step)(&o3, 2, b) == DC_OK);
        CHECK(same_state(&one, &three) && state_guards_hold(&three));
    }
    state_free(&one);
    state_free(&three);
}

/* update_outer makes the bits of update with the gradient x[i] g[j] written out. */
static void check_outer(const dc_optimizer *rule, size_t rows, size_t cols) {
    const size_t n = rows * cols;
    state s = state_make(n), outer = state_make(n);
    real *x = array_make(rows), *g = array_make(cols);
    dc_optimizer o = *rule;
    o.steps = 1;
    const update_step step = TYPED(dc_update_step)(&o);
    for (size_t isa = 0; use_isa(isa); isa++) {
        const kernel_table *kernel = TYPED(dc_kernels)();
        state_reset(&s);
        state_reset(&outer);
        fill(rows, -1, 1, x);
        fill(cols, -1, 1, g);
        for (size_t i = 0; i < n; i++) s.g[i] = x[i / cols] * g[i % cols];
        for (int times = 0; times < 2; times++) {
            kernel->update(&step, n, s.g, s.p, s.first, s.second);
            kernel->update_outer(&step, rows, cols, x, g, outer.p, outer.first, outer.second);
        }
        CHECK(same_state(&s, &outer) && state_guards_hold(&outer));
    }
    state_free(&s);
    state_free(&outer);
    array_free(x);
    array_free(g);
}

static void test_arguments(void) {
    real a[4] = {1, 2, 3, 4}, g[4] = {1, 1, 1, 1}, u[4] = {0}, s[4] = {0};
    const tensor good = {4, g, a, u, s}, stateless = {4, g, a, NULL, NULL},
                 no_second = {4, g, a, u, NULL};
    const tensor no_gradient = {4, NULL, a, u, s}, no_parameter = {4, g, NULL, u, s};
    dc_optimizer o = rules[8];
    CHECK(TYPED(dc_optimizer_step)(NULL, 1, &good) == DC_BAD_POINTER);
    CHECK(TYPED(dc_optimizer_step)(&o, 1, NULL) == DC_BAD_POINTER);
    CHECK(TYPED(dc_optimizer_step)(&o, 1, &stateless) == DC_BAD_POINTER);
    CHECK(TYPED(dc_optimizer_step)(&o, 1, &no_second) == DC_BAD_POINTER);
    CHECK(TYPED(dc_optimizer_step)(&o, 1, &no_gradient) == DC_BAD_POINTER);
    CHECK(TYPED(dc_optimizer_step)(&o, 1, &no_parameter) == DC_BAD_POINTER);
    const tensor second_is_bad[2] = {good, no_gradient};
    CHECK(TYPED(dc_optimizer_step)(&o, 2, second_is_bad) == DC_BAD_POINTER);
    const tensor too_large = {(size_t)-1, g, a, u, s};
    CHECK(TYPED(dc_optimizer_step)(&o, 1, &too_large) == DC_BAD_SIZE);
    o.rule = 7;
    CHECK(TYPED(dc_optimizer_step)(&o, 1, &good) == DC_BAD_NAME);
    o.rule = -1;
    CHECK(TYPED(dc_optimizer_step)(&o, 1, &good) == DC_BAD_NAME);
    for (size_t r = 0; r < COUNT(rules); r++) {
        const double bad_rates[] = {(double)NAN, HUGE_VAL, -HUGE_VAL};
        for (size_t i = 0; i < COUNT(bad_rates); i++) {
            o = rules[r];
            o.learning_rate = bad_rates[i];
            CHECK(TYPED(dc_optimizer_step)(&o, 1, &good) == DC_BAD_VALUE);
        }
        const double bad[] = {-0.1, 1.1, (double)NAN};
        for (size_t i = 0; i < COUNT(bad); i++) {
            o = rules[r];
            o.momentum = bad[i];
            if (keeps_first(&rules[r]))
                CHECK(TYPED(dc_optimizer_step)(&o, 1, &good) == DC_BAD_VALUE);
            o = rules[r];
            o.decay = bad[i];
            if (rules[r].decay > 0) CHECK(TYPED(dc_optimizer_step)(&o, 1, &good) == DC_BAD_VALUE);
        }
    }
    o = rules[8];
    o.momentum = 1;
    CHECK(TYPED(dc_optimizer_step)(&o, 1, &good) == DC_BAD_VALUE);
    o = rules[8];
    o.decay = 1;
    CHECK(TYPED(dc_optimizer_step)(&o, 1, &good) == DC_BAD_VALUE);
    o = rules[8];
    o.epsilon = -1;
    CHECK(TYPED(dc_optimizer_step)(&o, 1, &good) == DC_BAD_VALUE);
    o = rules[8];
    o.weight_decay = (double)NAN;
    CHECK(TYPED(dc_optimizer_step)(&o, 1, &good) == DC_BAD_VALUE);
    CHECK(o.steps == 0 && a[0] == 1 && a[3] == 4 && u[0] == 0 && s[0] == 0);
    /* Nothing to do, and a rule that needs no state. */
    o = rules[8];
    CHECK(TYPED(dc_optimizer_step)(&o, 0, NULL) == DC_OK && o.steps == 1);
    o = rules[3];
    CHECK(TYPED(dc_optimizer_step)(&o, 1, &stateless) == DC_OK && o.steps == 1);
}

int main(void) {
    for (size_t r = 0; r < COUNT(rules); r++)
        for (size_t i = 0; i < COUNT(sizes); i++) check_rule(&rules[r], sizes[i]);
    test_step_numbers();
    test_threads();
    static const size_t sides[] = {1, 2, 3, 4, 7, 8, 10, 15, 16, 17, 25, 30, 33, 64, 100, 129, 300};
    for (size_t r = 0; r < COUNT(rules); r++)
        for (size_t i = 0; i < COUNT(sides); i++)
            for (size_t j = 0; j < COUNT(sides); j++) check_outer(&rules[r], sides[i], sides[j]);
    test_arguments();
    return check_result();
}
