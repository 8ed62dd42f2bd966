/* The optimizers: every rule in every form over several steps against its formula in long double,
 * the same bits on every instruction set, for any number of threads and any cut into tensors; and
 * the update by an outer product against the plain one. */

#include "arrays.h"
#include "rule_cases.h"
#include "typed/optimizer.h"
#include "typed/tables.h"

typedef TYPED(dc_tensor) tensor;

/* The tensors that a step needs beside parameter and gradient, in the order of dc_tensor and of the
 * bits of dc_optimizer_states. */
enum { STATES = 5, FIRST = 0, SECOND, THIRD, ACCUMULATED, AVERAGE };

/* A parameter with gradient and states, of n elements each. */
typedef struct state {
    size_t n;
    real *g, *p, *kept[STATES];
} state;

static state state_make(size_t n) {
    state s = {.n = n, .g = array_make(n), .p = array_make(n)};
    for (int i = 0; i < STATES; i++) s.kept[i] = array_make(n);
    return s;
}
static void state_reset(state *s) {
    random_state = 5;
    fill(s->n, -1, 1, s->g);
    fill(s->n, -1, 1, s->p);
    /* What is copied first may hold anything. */
    for (int i = 0; i < STATES; i++)
        for (size_t j = 0; j < s->n; j++) s->kept[i][j] = i < ACCUMULATED ? 0 : (real)NAN;
}
static int state_guards_hold(const state *s) {
    int good = guards_hold(s->g, s->n) && guards_hold(s->p, s->n);
    for (int i = 0; i < STATES; i++) good &= guards_hold(s->kept[i], s->n);
    return good;
}
static int same_state(const state *a, const state *b) {
    int same = same_bits(a->n, a->p, b->p);
    for (int i = 0; i < STATES; i++) same &= same_bits(a->n, a->kept[i], b->kept[i]);
    return same;
}
static void state_copy(const state *from, state *to) {
    memcpy(to->p, from->p, from->n * sizeof(real));
    for (int i = 0; i < STATES; i++) memcpy(to->kept[i], from->kept[i], from->n * sizeof(real));
}
static void state_free(state *s) {
    array_free(s->g);
    array_free(s->p);
    for (int i = 0; i < STATES; i++) array_free(s->kept[i]);
}

/* What the rule does not need is NULL. */
static tensor tensor_of(const dc_optimizer *o, const state *s, size_t start, size_t n) {
    real *kept[STATES];
    for (int i = 0; i < STATES; i++)
        kept[i] = dc_optimizer_states(o) & 1 << i ? s->kept[i] + start : NULL;
    return (tensor){.size = n,
                    .gradient = s->g + start,
                    .parameter = s->p + start,
                    .first = kept[FIRST],
                    .second = kept[SECOND],
                    .third = kept[THIRD],
                    .accumulated = kept[ACCUMULATED],
                    .average = kept[AVERAGE]};
}

/* ---- Against the formulas -------------------------------------------------------------------- */

enum { CALLS = 5, PIECES = 3 };

/* Another gradient in each call. */
static void set_gradient(const state *s, int call, real *g) {
    for (size_t i = 0; i < s->n; i++) g[i] = (real)((call % 2 ? -0.5 : 1) * (double)s->g[i]);
}

static long double norm_reference(size_t n, const long double *g) {
    long double total = 0;
    for (size_t i = 0; i < n; i++) total += g[i] * g[i];
    return sqrtl(total);
}

static void clip_by_norm_reference(const dc_optimizer *o, size_t n, long double *g) {
    const long double factor = o->clip_limit / (norm_reference(n, g) + o->clip_epsilon);
    for (size_t i = 0; factor < 1 && i < n; i++) g[i] *= factor;
}

static void clip_reference(const dc_optimizer *o, const size_t pieces[PIECES], size_t n,
                           long double *g) {
    if (o->clip == DC_CLIP_GLOBAL_NORM) clip_by_norm_reference(o, n, g);
    for (int i = 0; i < PIECES && o->clip == DC_CLIP_NORM; g += pieces[i++])
        clip_by_norm_reference(o, pieces[i], g);
    for (size_t i = 0; i < n && o->clip == DC_CLIP_VALUE; i++)
        g[i] = fmaxl(-o->clip_limit, fminl(o->clip_limit, g[i]));
}

/* All calls, for n elements in three tensors; what comes out of it goes to e, accumulated,
 * average. */
typedef struct reference {
    rule_element e[LARGEST];
    long double g[LARGEST], accumulated[LARGEST], average[LARGEST];
    uint64_t steps;
} reference;

static void run_reference(const dc_optimizer *o, const size_t pieces[PIECES], const state *s,
                          reference *r) {
    const long double share = o->accumulation > 1 ? o->accumulation : 1;
    uint64_t waiting = 0;
    r->steps = 0;
    for (size_t i = 0; i < s->n; i++) r->e[i] = (rule_element){.p = s->p[i]};
    for (int call = 0; call < CALLS; call++) {
        set_gradient(s, call, s->kept[FIRST]); /* as scratch */
        for (size_t i = 0; i < s->n; i++) {
            r->accumulated[i] = (waiting ? r->accumulated[i] : 0) + s->kept[FIRST][i];
            r->g[i] = r->accumulated[i] / share;
        }
        if (++waiting < o->accumulation) continue;
        waiting = 0;
        r->steps++;
        clip_reference(o, pieces, s->n, r->g);
        for (size_t i = 0; i < s->n; i++) {
            CHECK(step_reference(o, r->steps, r->g[i], &r->e[i]));
            const long double kept = r->steps > 1 ? o->average_momentum : 0;
            r->average[i] = (kept > 0 ? kept * r->average[i] : 0) + (1 - kept) * r->e[i].p;
            if (o->average && r->steps % o->average_period == 0) r->e[i].p = r->average[i];
        }
    }
}

/* Relative to what is larger than 1: the velocity of RMSProp is. */
static double error_of(real x, long double want) {
    return (double)(fabsl(x - want) / fmaxl(1, fabsl(want)));
}

static double worst_error(const dc_optimizer *o, const state *s, const reference *r) {
    const int states = dc_optimizer_states(o);
    double worst = 0;
    for (size_t i = 0; i < s->n; i++) {
        const long double want[STATES] = {r->e[i].u, r->e[i].s, r->e[i].w, r->accumulated[i],
                                          r->average[i]};
        worst = fmax(worst, error_of(s->p[i], r->e[i].p));
        for (int k = 0; k < STATES; k++)
            if (states & 1 << k) worst = fmax(worst, error_of(s->kept[k][i], want[k]));
    }
    return worst;
}

/* All calls over n elements as one tensor (where no norm tells the difference), and as three with
 * one empty. */
static void check_rule(const dc_optimizer *rule, size_t n) {
    static reference expected;
    const size_t pieces_of[PIECES] = {n / 3, 0, n - n / 3};
    const int one_is_enough = rule->clip > DC_CLIP_VALUE;
    state whole = state_make(n), split = state_make(n), first = state_make(n);
    real *base = array_make(n);
    state_reset(&first);
    run_reference(rule, pieces_of, &first, &expected);
    for (size_t isa = 0; use_isa(isa); isa++) {
        dc_optimizer o = *rule, o_split = *rule;
        state_reset(&whole);
        state_reset(&split);
        memcpy(base, whole.g, n * sizeof *base);
        const state gradients = {.n = n, .g = base};
        const tensor one = tensor_of(rule, one_is_enough ? &split : &whole, 0, n);
        const tensor pieces[PIECES] = {tensor_of(rule, &split, 0, n / 3),
                                       {.size = 0},
                                       tensor_of(rule, &split, n / 3, n - n / 3)};
        for (int call = 0; call < CALLS; call++) {
            set_gradient(&gradients, call, whole.g);
            set_gradient(&gradients, call, split.g);
            if (!one_is_enough) CHECK(TYPED(dc_optimizer_step)(&o, 1, &one) == DC_OK);
            CHECK(TYPED(dc_optimizer_step)(&o_split, PIECES, pieces) == DC_OK);
        }
        CHECK(o_split.steps == expected.steps);
        CHECK(state_guards_hold(&split) && (one_is_enough || same_state(&whole, &split)));
        if (isa == 0) state_copy(&split, &first);
        CHECK(!isa_is_exact() || same_state(&split, &first));
        /* Some ten roundings a step, and a velocity that adds up ten of them. */
        CHECK(worst_error(rule, &split, &expected) <= ldexp(24, DEEPC_REAL_BITS == 32 ? -24 : -53));
    }
    state_free(&whole);
    state_free(&split);
    state_free(&first);
    array_free(base);
}

static void test_rules(void) {
    static const size_t few[] = {1, 8, 17, 100};
    for (int rule = 0; rule < DC_RULE_COUNT; rule++)
        for (int form = 0; form < RULE_FORMS; form++) {
            const dc_optimizer o = rule_form(rule, form);
            for (size_t i = 0; i < (form ? COUNT(few) : COUNT(sizes)); i++)
                check_rule(&o, form ? few[i] : sizes[i]);
        }
}

/* ---- Numbers of a step ----------------------------------------------------------------------- */

/* Adam's corrections far into training, where the powers have vanished, and at the start. */
static void test_step_numbers(void) {
    dc_optimizer o = {.rule = DC_ADAM,
                      .learning_rate = 0.001,
                      .momentum = 0.9,
                      .decay = 0.999,
                      .epsilon = 1e-8};
    const uint64_t steps[] = {1, 2, 3, 10, 1000, 1000000};
    for (size_t i = 0; i < COUNT(steps); i++) {
        o.steps = steps[i];
        update_step step;
        TYPED(dc_update_step)(&o, &step);
        const long double t = (long double)steps[i];
        CHECK(ulps(step.rate, (long double)o.learning_rate / (1 - powl(o.momentum, t))) <=
              2 + 2 * REFERENCE_ULPS);
        CHECK(ulps(step.correction, 1 / sqrtl(1 - powl(o.decay, t))) <=
              (DEEPC_REAL_BITS == 32 ? 1 : 2000));
    }
}

/* Nadam's product of momenta over a thousand steps. */
static void test_momentum_product(void) {
    real p = 1, u = 0, s = 0;
    const real g = 1;
    const tensor one = {.size = 1, .gradient = &g, .parameter = &p, .first = &u, .second = &s};
    for (int form = 0; form < RULE_FORMS; form += 10) {
        dc_optimizer o = rule_form(DC_NADAM, form);
        for (int step = 1; step <= 1000; step++) {
            CHECK(TYPED(dc_optimizer_step)(&o, 1, &one) == DC_OK);
            if (step % 333 && step > 10) continue;
            const double want = (double)nadam_product_reference(&o, (uint64_t)step);
            CHECK(fabs(o.momentum_product - want) <= 1e-12 * want);
        }
    }
}

/* A velocity goes on while there is no momentum, and there is none before the first momentum. */
static void test_changing_momentum(void) {
    static const double momenta[] = {0.5, 0, 0.5, 0.25}, gradients[] = {4, 1, 0, 8};
    real p = 0, u = 0, g;
    dc_optimizer o = {.rule = DC_SGD, .learning_rate = 1};
    const tensor one = {.size = 1, .gradient = &g, .parameter = &p, .first = &u};
    for (size_t i = 0; i < COUNT(momenta); i++) {
        o.momentum = momenta[i];
        g = (real)gradients[i];
        CHECK(TYPED(dc_optimizer_step)(&o, 1, &one) == DC_OK);
    }
    CHECK(p == (real)-13.625 && u == (real)8.125);

    const tensor without = {.size = 1, .gradient = &g, .parameter = &p};
    o = (dc_optimizer){.rule = DC_SGD, .learning_rate = 1};
    p = 0, g = 1;
    CHECK(dc_optimizer_states(&o) == 0);
    CHECK(TYPED(dc_optimizer_step)(&o, 1, &without) == DC_OK && p == -1);
    o.momentum = 0.5;
    CHECK(dc_optimizer_states(&o) == 1);
    CHECK(TYPED(dc_optimizer_step)(&o, 1, &without) == DC_BAD_POINTER && p == -1 && o.steps == 1);
    u = 0;
    CHECK(TYPED(dc_optimizer_step)(&o, 1, &one) == DC_OK && p == -2);
    o.momentum = 0;
    CHECK(dc_optimizer_states(&o) == 1);
}

/* A gradient whose squares are beyond the dtype is clipped like any other; NaN stays NaN. */
static void test_norms(void) {
    enum { N = 5000 };
    real *x = array_make(N);
    const real huge = DEEPC_REAL_BITS == 32 ? (real)1e30 : (real)1e200;
    const size_t n = N;
    double norm = 0;
    for (size_t i = 0; i < N; i++) x[i] = huge;
    CHECK(TYPED(dc_clip_arrays)(DC_CLIP_NORM, 2, 0, 1, &n, &x, &norm) == DC_OK);
    CHECK(fabs(norm / ((double)huge * sqrt(N)) - 1) < 1e-6);
    CHECK(fabs((double)x[0] * sqrt(N) / 2 - 1) < 1e-6 && guards_hold(x, N));
    fill(N, -1, 1, x);
    long double total = 0;
    for (size_t i = 0; i < N; i++) total += (long double)x[i] * x[i];
    CHECK(fabs(TYPED(dc_sum_squares)(N, x) / (double)total - 1) < 1e-6);
    CHECK(TYPED(dc_sum_squares)(0, NULL) == 0 && isnan(TYPED(dc_sum_squares)(1, NULL)));
    x[7] = (real)NAN;
    CHECK(TYPED(dc_clip_arrays)(DC_CLIP_GLOBAL_NORM, 2, 0, 1, &n, &x, &norm) == DC_OK);
    CHECK(isnan(norm) && isnan(x[0]));
    x[0] = 3, x[1] = -3;
    CHECK(TYPED(dc_clip_arrays)(DC_CLIP_VALUE, 2, 0, 1, &n, &x, NULL) == DC_OK);
    CHECK(x[0] == 2 && x[1] == -2);

    real a[2] = {3, 0}, b[1] = {4};
    real *const arrays[] = {a, b};
    const size_t sizes_of[] = {2, 1};
    CHECK(TYPED(dc_clip_arrays)(DC_CLIP_GLOBAL_NORM, 1, 0, 2, sizes_of, arrays, &norm) == DC_OK);
    CHECK(norm == 5 && ulps(a[0], 0.6L) <= 1 && a[1] == 0 && ulps(b[0], 0.8L) <= 1);
    CHECK(TYPED(dc_clip_arrays)(4, 1, 0, 2, sizes_of, arrays, NULL) == DC_BAD_NAME);
    CHECK(TYPED(dc_clip_arrays)(DC_CLIP_NORM, 0, 0, 2, sizes_of, arrays, NULL) == DC_BAD_VALUE);
    CHECK(TYPED(dc_clip_arrays)(DC_CLIP_NORM, 1, -1, 2, sizes_of, arrays, NULL) == DC_BAD_VALUE);
    CHECK(TYPED(dc_clip_arrays)(DC_CLIP_NORM, 1, 0, 2, NULL, arrays, NULL) == DC_BAD_POINTER);
    real *const missing[] = {a, NULL};
    CHECK(TYPED(dc_clip_arrays)(DC_CLIP_NORM, 1, 0, 2, sizes_of, missing, NULL) == DC_BAD_POINTER);
    array_free(x);
}

static void test_add_scaled(void) {
    for (size_t isa = 0; use_isa(isa); isa++)
        for (size_t i = 0; i < COUNT(sizes); i++) {
            const size_t n = sizes[i];
            real *x = array_make(n), *y = array_make(n), *want = array_make(n);
            random_state = 3;
            fill(n, -1, 1, x);
            fill(n, -1, 1, y);
            double worst = 0;
            for (size_t j = 0; j < n; j++) want[j] = (real)(0.75L * x[j] + 0.5L * y[j]);
            CHECK(TYPED(dc_add_scaled)(0.75, n, x, 0.5, y) == DC_OK && guards_hold(y, n));
            for (size_t j = 0; j < n; j++) worst = fmax(worst, fabs((double)(y[j] - want[j])));
            CHECK(worst <= ldexp(2, DEEPC_REAL_BITS == 32 ? -24 : -53));
            for (size_t j = 0; j < n; j++) y[j] = (real)NAN;
            CHECK(TYPED(dc_add_scaled)(1, n, x, 0, y) == DC_OK && same_bits(n, x, y));
            array_free(x);
            array_free(y);
            array_free(want);
        }
    real x = 1;
    CHECK(TYPED(dc_add_scaled)(1, 1, NULL, 1, &x) == DC_BAD_POINTER);
    CHECK(TYPED(dc_add_scaled)(1, 1, &x, 1, NULL) == DC_BAD_POINTER);
    CHECK(TYPED(dc_add_scaled)(1, 0, NULL, 1, NULL) == DC_OK);
}

/* The penalty against its sum in long double, and the slopes against differences of it. */
static void test_penalize(void) {
    for (size_t isa = 0; use_isa(isa); isa++)
        for (size_t i = 0; i < COUNT(sizes); i++) {
            const size_t n = sizes[i];
            real *p = array_make(n), *g = array_make(n);
            random_state = 5;
            fill(n, -1, 1, p);
            if (n > 2) p[2] = 0, p[1] = (real)-0.0;
            const TYPED(dc_penalty) penalty = {n, p, g, 0.25, 0.5};
            long double want = 0;
            for (size_t j = 0; j < n; j++) {
                g[j] = 1;
                want += 0.25L * fabsl(p[j]) + 0.5L * p[j] * p[j];
            }
            double got = -1;
            CHECK(TYPED(dc_penalize)(1, &penalty, 1, &got) == DC_OK && guards_hold(g, n));
            CHECK(fabs(got - (double)want) <= 1e-6 * (double)want);
            double worst = 0;
            for (size_t j = 0; j < n; j++) {
                const double x = (double)p[j], h = 1e-3;
                const double above = 0.25 * fabs(x + h) + 0.5 * (x + h) * (x + h);
                const double below = 0.25 * fabs(x - h) + 0.5 * (x - h) * (x - h);
                if (x == 0 || fabs(x) > h)
                    worst = fmax(worst, fabs((double)g[j] - 1 - (above - below) / (2 * h)));
            }
            CHECK(worst < 1e-6);
            double again = -1;
            CHECK(TYPED(dc_penalize)(1, &penalty, 0, &again) == DC_OK && again == got);
            array_free(p);
            array_free(g);
        }
    real x = 3, g = 0;
    double total = 7;
    TYPED(dc_penalty) two[] = {{1, &x, &g, 1, 0}, {1, &x, NULL, 0, 1}};
    CHECK(TYPED(dc_penalize)(2, two, 1, &total) == DC_OK && total == 12 && g == 1);
    CHECK(TYPED(dc_penalize)(0, NULL, 1, NULL) == DC_OK);
    two[1].l2 = -1;
    CHECK(TYPED(dc_penalize)(2, two, 1, &total) == DC_BAD_VALUE && total == 12 && g == 1);
    two[1].l2 = NAN;
    CHECK(TYPED(dc_penalize)(2, two, 1, &total) == DC_BAD_VALUE);
    two[1].l2 = 0, two[1].parameter = NULL;
    CHECK(TYPED(dc_penalize)(2, two, 1, &total) == DC_BAD_POINTER && g == 1);
    CHECK(TYPED(dc_penalize)(1, NULL, 1, &total) == DC_BAD_POINTER);
}

/* ---- Threads, and the outer product ---------------------------------------------------------- */

static void test_threads(void) {
    const size_t n = 270000; /* more than SPLIT_UPDATE_ELEMENTS */
    state one = state_make(n), three = state_make(n);
    use_isa(0);
    for (int rule = 0; rule < DC_RULE_COUNT; rule++)
        for (int form = 0; form < RULE_FORMS; form += rule == DC_ADAM ? 1 : 17) {
            dc_optimizer o = rule_form(rule, form), o3 = o;
            state_reset(&one);
            state_reset(&three);
            const tensor a[2] = {tensor_of(&o, &one, 0, 70000),
                                 tensor_of(&o, &one, 70000, n - 70000)};
            const tensor b[2] = {tensor_of(&o, &three, 0, 70000),
                                 tensor_of(&o, &three, 70000, n - 70000)};
            for (int step = 0; step < 2; step++) {
                dc_set_num_threads(1);
                CHECK(TYPED(dc_optimizer_step)(&o, 2, a) == DC_OK);
                dc_set_num_threads(3);
                CHECK(TYPED(dc_optimizer_step)(&o3, 2, b) == DC_OK);
            }
            CHECK(same_state(&one, &three) && state_guards_hold(&three));
        }
    dc_set_num_threads(1);
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
    update_step step;
    TYPED(dc_update_step)(&o, &step);
    for (size_t isa = 0; use_isa(isa); isa++) {
        const kernel_table *kernel = TYPED(dc_kernels)();
        state_reset(&s);
        state_reset(&outer);
        fill(rows, -1, 1, x);
        fill(cols, -1, 1, g);
        for (size_t i = 0; i < n; i++) s.g[i] = x[i / cols] * g[i % cols];
        for (int times = 0; times < 2; times++) {
            kernel->update(&step, n, s.g, s.p, s.kept[FIRST], s.kept[SECOND], s.kept[THIRD]);
            kernel->update_outer(&step, rows, cols, x, g, outer.p, outer.kept[FIRST],
                                 outer.kept[SECOND]);
        }
        CHECK(same_state(&s, &outer) && state_guards_hold(&outer));
    }
    state_free(&s);
    state_free(&outer);
    array_free(x);
    array_free(g);
}

static void test_outer(void) {
    static const size_t side_lengths[] = {1, 2, 3, 7, 8, 10, 16, 17, 33, 65, 300};
    static const size_t few[] = {1, 3, 17, 600};
    for (int rule = 0; rule < DC_RULE_COUNT; rule++)
        for (int form = 0; form < RULE_FORMS; form++) {
            const dc_optimizer o = rule_form(rule, form);
            if (dc_optimizer_states(&o) & 1 << THIRD) continue;
            const int all = form == 0 || (rule == DC_SGD && (form == 1 || form == 2));
            const size_t *const side = all ? side_lengths : few;
            const size_t count = all ? COUNT(side_lengths) : COUNT(few);
            for (size_t i = 0; i < count; i++)
                for (size_t j = 0; j < count; j++)
                    if (side[i] * side[j] < 13000) check_outer(&o, side[i], side[j]);
        }
}

/* ---- Numbers that are nearly 0 --------------------------------------------------------------- */

static size_t count_subnormals(const state *s) {
    size_t count = 0;
    for (int i = FIRST; i <= THIRD; i++)
        for (size_t j = 0; j < s->n; j++)
            count += s->kept[i][j] != 0 && fabs((double)s->kept[i][j]) < (double)SMALLEST_NORMAL;
    return count;
}

/* An average whose gradient stays 0 decays to 0 and no further; NaN stays, the least number that is
 * no less than normal as well. */
static void check_decay(int rule, int form) {
    const dc_optimizer start = rule_form(rule, form);
    state s = state_make(37);
    for (size_t isa = 0; use_isa(isa); isa++) {
        dc_optimizer o = start;
        state_reset(&s);
        const int states = dc_optimizer_states(&o);
        for (size_t j = 0; j < s.n; j++) {
            s.g[j] = j % 3 ? (real)0 : SMALLEST_NORMAL * 8;
            for (int i = FIRST; i <= THIRD; i++)
                if (states & 1 << i) s.kept[i][j] = SMALLEST_NORMAL * (real)(1 + j % 5);
        }
        s.g[1] = (real)NAN;
        const tensor t = tensor_of(&o, &s, 0, s.n);
        for (int times = 0; times < 40; times++) {
            CHECK(TYPED(dc_optimizer_step)(&o, 1, &t) == DC_OK);
            CHECK(count_subnormals(&s) == 0);
        }
        CHECK(isnan(s.p[1]) || o.clip != DC_CLIP_NONE);
        if (rule == DC_MOMENTUM && form == 0) CHECK(s.kept[FIRST][2] == 0 && s.kept[FIRST][3] != 0);
    }
    CHECK(state_guards_hold(&s));
    state_free(&s);
}

static void test_decay(void) {
    for (int rule = 0; rule < DC_RULE_COUNT; rule++)
        for (int form = 0; form < RULE_FORMS; form++) check_decay(rule, form);
}

/* ---- Arguments ------------------------------------------------------------------------------- */

static real a[4] = {1, 2, 3, 4}, gradient[4] = {1, 1, 1, 1}, kept[STATES][4];
static tensor good(void) {
    return (tensor){.size = 4,
                    .gradient = gradient,
                    .parameter = a,
                    .first = kept[FIRST],
                    .second = kept[SECOND],
                    .third = kept[THIRD],
                    .accumulated = kept[ACCUMULATED],
                    .average = kept[AVERAGE]};
}

static int status_of(dc_optimizer o, tensor t) { return TYPED(dc_optimizer_step)(&o, 1, &t); }
static int check_of(dc_optimizer o) {
    const tensor t = good();
    return TYPED(dc_optimizer_check)(&o, 1, &t);
}

static void test_pointers(void) {
    dc_optimizer o = rule_form(DC_ADAM, 0);
    const tensor all = good();
    CHECK(TYPED(dc_optimizer_step)(NULL, 1, &all) == DC_BAD_POINTER);
    CHECK(TYPED(dc_optimizer_step)(&o, 1, NULL) == DC_BAD_POINTER);
    tensor t = good();
    t.gradient = NULL;
    CHECK(status_of(o, t) == DC_BAD_POINTER);
    const tensor second_is_bad[2] = {all, t};
    CHECK(TYPED(dc_optimizer_step)(&o, 2, second_is_bad) == DC_BAD_POINTER);
    t = good();
    t.parameter = NULL;
    CHECK(status_of(o, t) == DC_BAD_POINTER);
    t = good();
    t.size = (size_t)-1;
    CHECK(status_of(o, t) == DC_BAD_SIZE);
    /* Each tensor that a rule needs is missed, and no other one. */
    for (int rule = 0; rule < DC_RULE_COUNT; rule++)
        for (int form = 0; form < RULE_FORMS; form++)
            for (int missing = 0; missing < STATES; missing++) {
                o = rule_form(rule, form);
                t = good();
                real **const tensors[STATES] = {&t.first, &t.second, &t.third, &t.accumulated,
                                                &t.average};
                *tensors[missing] = NULL;
                const int needed = dc_optimizer_states(&o) & 1 << missing;
                CHECK(TYPED(dc_optimizer_check)(&o, 1, &t) == (needed ? DC_BAD_POINTER : DC_OK));
            }
    /* Nothing to do. */
    o = rule_form(DC_ADAM, 0);
    CHECK(TYPED(dc_optimizer_step)(&o, 0, NULL) == DC_OK && o.steps == 1);
    t = (tensor){.size = 0};
    CHECK(TYPED(dc_optimizer_step)(&o, 1, &t) == DC_OK && o.steps == 2);
}

static void test_names(void) {
    for (int rule = 0; rule < DC_RULE_COUNT; rule++) CHECK(dc_rule_name(rule) != NULL);
    CHECK(!strcmp(dc_rule_name(DC_ADAM), "adam") && !strcmp(dc_rule_name(DC_LION), "lion"));
    CHECK(!dc_rule_name(DC_RULE_COUNT) && !dc_rule_name(-1));
    dc_optimizer o = {.rule = DC_RULE_COUNT};
    CHECK(status_of(o, good()) == DC_BAD_NAME && dc_optimizer_states(&o) == 0);
    o.rule = -1;
    CHECK(status_of(o, good()) == DC_BAD_NAME && dc_optimizer_states(NULL) == 0);
    o = rule_form(DC_ADAM, 0);
    o.clip = DC_CLIP_GLOBAL_NORM + 1;
    CHECK(status_of(o, good()) == DC_BAD_NAME);
}

/* Whether the rule refuses its settings with one of them changed. */
#define REFUSES(rule, setting, value)                                                              \
    (bad = rule_form(rule, 0), bad.setting = (value), check_of(bad) == DC_BAD_VALUE)

/* The numbers that a rule reads beside the learning rate. */
enum { MOMENTUM = 1, DECAY = 2, EPSILON = 4, ALL_NUMBERS = 7 };
static const int uses[DC_RULE_COUNT] = {
    [DC_MOMENTUM] = MOMENTUM,        [DC_SGD] = MOMENTUM,       [DC_RMSPROP] = ALL_NUMBERS,
    [DC_ADAM] = ALL_NUMBERS,         [DC_ADAMW] = ALL_NUMBERS,  [DC_ADAGRAD] = EPSILON,
    [DC_ADADELTA] = DECAY | EPSILON, [DC_ADAMAX] = ALL_NUMBERS, [DC_NADAM] = ALL_NUMBERS,
    [DC_LION] = MOMENTUM | DECAY,
};

static void test_ranges(void) {
    static const double nothing[] = {(double)NAN, HUGE_VAL, -HUGE_VAL};
    static const double outside[] = {-0.1, 1.1, (double)NAN};
    dc_optimizer bad;
    for (int rule = 0; rule < DC_RULE_COUNT; rule++)
        for (size_t i = 0; i < COUNT(nothing); i++) {
            CHECK(REFUSES(rule, learning_rate, nothing[i]));
            CHECK(REFUSES(rule, weight_decay, nothing[i]));
            CHECK(REFUSES(rule, steps, UINT64_MAX));
            CHECK(REFUSES(rule, momentum, outside[i]) == !!(uses[rule] & MOMENTUM));
            CHECK(REFUSES(rule, decay, outside[i]) == !!(uses[rule] & DECAY));
            CHECK(REFUSES(rule, epsilon, i == 0 ? -1 : nothing[i]) == !!(uses[rule] & EPSILON));
            const int divides = rule == DC_ADAM || rule == DC_ADAMW || rule == DC_NADAM;
            CHECK(REFUSES(rule, momentum, 1) == (divides || rule == DC_ADAMAX));
            CHECK(REFUSES(rule, decay, 1) == divides);
            CHECK(REFUSES(rule, dampening, outside[i]) == (rule == DC_SGD));
            CHECK(REFUSES(rule, momentum_decay, i == 0 ? -1 : nothing[i]) == (rule == DC_NADAM));
        }
    bad = rule_form(DC_SGD, 2);
    bad.dampening = 0.5;
    CHECK(status_of(bad, good()) == DC_BAD_VALUE);
    for (int form = 11; form <= 13; form++) {
        bad = rule_form(DC_ADAM, form);
        bad.clip_limit = form == 11 ? 0 : (double)NAN;
        CHECK(status_of(bad, good()) == DC_BAD_VALUE);
    }
    bad = rule_form(DC_ADAM, 12);
    bad.clip_epsilon = -1;
    CHECK(status_of(bad, good()) == DC_BAD_VALUE);
    bad = rule_form(DC_ADAM, 14);
    bad.average_momentum = 1.5;
    CHECK(status_of(bad, good()) == DC_BAD_VALUE);
    for (int i = 0; i < 4; i++) CHECK(a[i] == (real)(i + 1) && kept[FIRST][i] == 0);
}

/* Settings that are good each, but not together: what they make of gradients of 0 would be NaN. */
static void test_overflow(void) {
    const double large = DEEPC_REAL_BITS == 32 ? 1e38 : 1e308;
    const real zeros[4] = {0};
    tensor t = good();
    t.gradient = zeros;
    dc_optimizer o = rule_form(DC_ADAM, 0);
    o.learning_rate = large;
    CHECK(status_of(o, t) == DC_BAD_VALUE && a[0] == 1);
    o.rule = DC_ADAMAX;
    CHECK(status_of(o, t) == DC_BAD_VALUE && a[0] == 1);
    o.steps = 1000; /* by now 1 - momentum^t is 1 */
    CHECK(status_of(o, t) == DC_OK && a[0] == 1);
    o = rule_form(DC_ADAMW, 0);
    o.learning_rate = o.weight_decay = sqrt(large) * 1e15;
    CHECK(status_of(o, t) == DC_BAD_VALUE && a[0] == 1);
    o = rule_form(DC_SGD, 9);
    o.learning_rate = o.weight_decay = sqrt(large) * 1e15;
    CHECK(status_of(o, t) == DC_BAD_VALUE && a[0] == 1);
}

int main(void) {
    test_rules();
    test_decay();
    test_step_numbers();
    test_momentum_product();
    test_changing_momentum();
    test_norms();
    test_add_scaled();
    test_penalize();
    test_threads();
    test_outer();
    test_pointers();
    test_names();
    test_ranges();
    test_overflow();
    return check_result();
}
