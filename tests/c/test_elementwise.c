/* exp, log, scale, the activations and dropout: right to a few ulps of the C library in long
 * double, the same bits on every instruction set, alone, in place and at any length, and nothing
 * written beside the output. (How many ulps exactly is the matter of the accuracy tests.) */
#include "../../csrc/tuning.h"
#include "activation_references.h"
#include "arrays.h"
#include "typed/tables.h"

/* A function of one array or two. */
typedef struct function {
    char name[40];
    int (*call)(const struct function *f, size_t n, const real *x, const real *x2, real *y);
    wide (*reference)(const struct function *f, wide x, wide x2);
    int inputs;
    double low, high; /* of x */
    double most_ulps;
    int activation;
    double parameter;
} function;

static int call_exp(const function *f, size_t n, const real *x, const real *x2, real *y) {
    return (void)f, (void)x2, TYPED(dc_exp)(n, x, y);
}
static wide reference_exp(const function *f, wide x, wide x2) { return (void)f, (void)x2, exp(x); }

static int call_log(const function *f, size_t n, const real *x, const real *x2, real *y) {
    return (void)f, (void)x2, TYPED(dc_log)(n, x, y);
}
static wide reference_log(const function *f, wide x, wide x2) { return (void)f, (void)x2, log(x); }

static int call_scale(const function *f, size_t n, const real *x, const real *x2, real *y) {
    return (void)f, (void)x2, TYPED(dc_scale)(0.75, n, x, y);
}
static wide reference_scale(const function *f, wide x, wide x2) {
    return (void)f, (void)x2, 0.75L * x;
}

static int call_forward(const function *f, size_t n, const real *x, const real *x2, real *y) {
    return (void)x2, TYPED(dc_activation_forward)(f->activation, f->parameter, n, x, y);
}
static wide reference_forward(const function *f, wide x, wide x2) {
    return (void)x2, activation_value(f->activation, x, (real)f->parameter);
}

/* x is what the activation keeps, x2 the gradient. */
static int call_backward(const function *f, size_t n, const real *x, const real *x2, real *y) {
    return TYPED(dc_activation_backward)(f->activation, f->parameter, n, x, x2, y);
}
static wide reference_backward(const function *f, wide x, wide x2) {
    const wide slope = activation_slope(f->activation, x, (real)f->parameter);
    return slope == 0 ? 0 : slope * x2;
}

static const function plain_functions[] = {
    {"exp", call_exp, reference_exp, 1, -80, 80, 3, 0, 0},
    {"log", call_log, reference_log, 1, 0, 1000, 3, 0, 0},
    {"scale", call_scale, reference_scale, 1, -9, 9, 0.5, 0, 0},
};
enum { PLAIN = COUNT(plain_functions), FUNCTIONS = PLAIN + 4 * DC_ACTIVATION_COUNT };

/* The i-th of all functions; an activation with a parameter comes with the usual value of it and
 * with another one. */
static function get_function(size_t i) {
    if (i < PLAIN) return plain_functions[i];
    i -= PLAIN;
    const int activation = (int)(i / 4), back = i / 2 % 2;
    function f = {.call = back ? call_backward : call_forward,
                  .reference = back ? reference_backward : reference_forward,
                  .inputs = 1 + back,
                  .low = -40,
                  .high = 40,
                  .most_ulps = 5,
                  .activation = activation,
                  .parameter = dc_activation_default(activation)};
    if (i % 2) f.parameter = f.parameter * 0.7 + 0.3;
    snprintf(f.name, sizeof f.name, "%s%s %g", dc_activation_name(activation),
             back ? " backward" : "", f.parameter);
    return f;
}

/* x, or what an activation keeps of it: many around 0, where most of them bend, and some far
 * out. */
static void fill_input(const function *f, size_t n, real *x) {
    fill(n, f->low, f->high, x);
    if (f->call != call_forward && f->call != call_backward) return;
    for (size_t i = 0; i < n; i++) {
        if (i % 4) x[i] /= 8;
        if (f->call == call_backward && !dc_activation_needs_input(f->activation))
            x[i] = (real)activation_value(f->activation, x[i], (real)f->parameter);
    }
}

/* How far y is from the truth. A slope may be near 0 because two terms cancel, of which one has
 * been rounded before; its error is measured against what was multiplied by it. */
static double error_at(const function *f, real y, real x, real x2) {
    const wide want = f->reference(f, x, x2), size = fabs((wide)x2);
    if (f->call == call_backward && fabs(want) < size) return ulps((real)(size + y - want), size);
    return ulps(y, want);
}

/* Activations that keep their input carry along what rounding takes, which they cannot without
 * fused multiply-add: far out, where they are almost 0, they are then less exact. */
static double most_ulps(const function *f) {
    const int carries = f->call == call_forward && dc_activation_needs_input(f->activation);
    if (carries && !isa_is_exact()) return 1000;
    return f->most_ulps > 0 ? f->most_ulps + REFERENCE_ULPS : 0;
}

static void check_size(const function *f, size_t n) {
    real *x = array_make(n), *x2 = array_make(n), *y = array_make(n), *first = array_make(n),
         *again = array_make(n);
    fill_input(f, n, x);
    fill(n, -2, 2, x2);
    for (size_t i = 0; use_isa(i); i++) {
        CHECK(f->call(f, n, x, x2, y) == DC_OK);
        CHECK(guards_hold(y, n));
        double worst = 0;
        for (size_t j = 0; j < n; j++) worst = fmax(worst, error_at(f, y[j], x[j], x2[j]));
        const double most = most_ulps(f);
        if (worst > most) printf("%s %s n %zu: %g ulps\n", dc_isa(), f->name, n, worst);
        CHECK(worst <= most);

        if (i == 0) memcpy(first, y, n * sizeof *y);
        const int same = !isa_is_exact() || same_bits(n, y, first);
        if (!same) printf("%s %s n %zu: other bits\n", dc_isa(), f->name, n);
        CHECK(same);
        /* In place of the first input, and of the second. */
        memcpy(again, x, n * sizeof *x);
        CHECK(f->call(f, n, again, x2, again) == DC_OK);
        CHECK(same_bits(n, again, y));
        if (f->inputs == 2) {
            memcpy(again, x2, n * sizeof *x);
            CHECK(f->call(f, n, x, again, again) == DC_OK);
            CHECK(same_bits(n, again, y));
        }
        /* One element alone. */
        for (size_t j = 0; j < n && j < 40; j++) {
            CHECK(f->call(f, 1, x + j, x2 + j, again) == DC_OK);
            CHECK(same_bits(1, again, y + j));
        }
    }
    array_free(x);
    array_free(x2);
    array_free(y);
    array_free(first);
    array_free(again);
}

static void test_functions(void) {
    for (size_t i = 0; i < FUNCTIONS; i++) {
        const function f = get_function(i);
        for (size_t j = 0; j < COUNT(sizes); j++) check_size(&f, sizes[j]);
    }
}

/* ---- Special values -------------------------------------------------------------------------- */

/* In every lane of a vector and in a part of one; `name` as the table of functions or the list of
 * activations has it. */
typedef struct special_value {
    const char *name;
    wide x, want;
} special_value;

/* Numbers, not quotients: compilers do not divide a long double of two doubles (ppc64le). */
static const special_value specials[] = {
    {"exp", INFINITY, INFINITY},
    {"exp", -INFINITY, 0},
    {"exp", 100000, INFINITY},
    {"exp", -100000, 0},
    {"exp", 0, 1},
    {"log", 0, -INFINITY},
    {"log", -0.0L, -INFINITY},
    {"log", -1, NAN},
    {"log", 1, 0},
    {"log", INFINITY, INFINITY},
    {"identity", -0.0L, -0.0L},
    {"sigmoid", INFINITY, 1},
    {"sigmoid", -INFINITY, 0},
    {"sigmoid", 0, 0.5L},
    {"tanh", INFINITY, 1},
    {"tanh", -INFINITY, -1},
    {"tanh", 0, 0},
    {"relu", INFINITY, INFINITY},
    {"relu", -INFINITY, 0},
    {"relu", -0.0L, 0},
    {"leaky_relu", -INFINITY, -INFINITY},
    {"leaky_relu", 100, 100},
    {"elu", -INFINITY, -1},
    {"elu", INFINITY, INFINITY},
    {"elu", -0.0L, -0.0L},
    {"celu", -INFINITY, -1},
    {"selu", -INFINITY, -1.7580993408473768599L},
    {"selu", 0, 0},
    {"softplus", 1000, 1000},
    {"softplus", 0, 0.69314718055994530942L},
    {"softplus", INFINITY, INFINITY},
    {"softplus", -INFINITY, 0},
    {"softsign", INFINITY, 1},
    {"softsign", -INFINITY, -1},
    {"relu6", INFINITY, 6},
    {"relu6", -INFINITY, 0},
    {"hard_sigmoid", -1, 0.33333333333333333333L},
    {"hard_sigmoid", 0.5L, 0.58333333333333333333L},
    {"hard_sigmoid", INFINITY, 1},
    {"hard_sigmoid", -INFINITY, 0},
    {"hard_silu", INFINITY, INFINITY},
    {"hard_silu", -INFINITY, -0.0L},
    {"exponential", -INFINITY, 0},
    {"log_sigmoid", -1000, -1000},
    {"log_sigmoid", INFINITY, -0.0L},
    {"log_sigmoid", -INFINITY, -INFINITY},
    {"silu", -1, -0.26894142136999512075L},
    {"silu", -INFINITY, -0.0L},
    {"silu", INFINITY, INFINITY},
    {"silu", -0.0L, -0.0L},
    {"gelu_tanh", -1, -0.15880800939172329522L},
    {"gelu_tanh", -INFINITY, -0.0L},
    {"gelu_tanh", INFINITY, INFINITY},
    {"gelu_tanh", 1000, 1000},
    {"gelu", -1, -0.15865525393145705142L},
    {"gelu", -INFINITY, -0.0L},
    {"gelu", INFINITY, INFINITY},
    {"gelu", -0.0L, -0.0L},
    {"mish", -1, -0.30340146137410891807L},
    {"mish", -INFINITY, -0.0L},
    {"mish", INFINITY, INFINITY},
};

/* The same of slopes: of the input x, times 3. */
static const special_value special_slopes[] = {
    {"relu", 0, 0},
    {"relu", INFINITY, 3},
    {"relu", NAN, 0},
    {"leaky_relu", 0, 0.03L},
    {"elu", 0, 3},
    {"elu", -INFINITY, 0},
    {"softplus", 1000, 3},
    {"softplus", 0, 1.5L},
    {"softplus", -1000, 0},
    {"softsign", INFINITY, 0},
    {"relu6", 6, 0},
    {"hard_sigmoid", 3, 0},
    {"hard_sigmoid", -3, 0},
    {"hard_silu", -3, 0},
    {"hard_silu", 3, 3},
    {"hard_silu", NAN, NAN},
    {"log_sigmoid", 1000, 0},
    {"log_sigmoid", -1000, 3},
    {"silu", 0, 1.5L},
    {"silu", INFINITY, 3},
    {"gelu_tanh", INFINITY, 3},
    {"gelu", 0, 1.5L},
    {"gelu", INFINITY, 3},
    {"mish", INFINITY, 3},
    {"gelu", NAN, NAN},
};

static void check_special(const function *f, real x, wide want) {
    real in[19], in2[19], out[19];
    for (int i = 0; i < 19; i++) in[i] = x, in2[i] = 3;
    for (size_t isa = 0; use_isa(isa); isa++) {
        if (f->call == call_backward && !dc_activation_needs_input(f->activation))
            TYPED(dc_activation_forward)(f->activation, f->parameter, 19, in, out);
        else
            memcpy(out, in, sizeof out);
        CHECK(f->call(f, 19, out, in2, out) == DC_OK);
        int wrong = 0;
        for (int i = 0; i < 19; i++)
            wrong +=
                ulps(out[i], want) > 1 || (!isnan(out[i]) && !signbit(out[i]) != !signbit(want));
        if (wrong)
            printf("%s %s of %g: %g, not %Lg\n", dc_isa(), f->name, (double)x, (double)out[0],
                   (long double)want);
        CHECK(wrong == 0);
    }
}

/* By name without the parameter, which is the usual one. */
static int is_named(const function *f, size_t i, const char *name, int inputs) {
    const char *mine = i < PLAIN ? f->name : dc_activation_name(f->activation);
    return !strcmp(mine, name) && f->inputs == inputs && (i < PLAIN || (i - PLAIN) % 2 == 0);
}

static void test_special(void) {
    size_t checked = 0;
    for (size_t i = 0; i < FUNCTIONS; i++) {
        const function f = get_function(i);
        if (f.inputs == 1 && f.call != call_scale) check_special(&f, (real)NAN, NAN);
        for (size_t j = 0; j < COUNT(specials); j++)
            if (is_named(&f, i, specials[j].name, 1))
                check_special(&f, (real)specials[j].x, specials[j].want), checked++;
        for (size_t j = 0; j < COUNT(special_slopes); j++)
            if (is_named(&f, i, special_slopes[j].name, 2))
                check_special(&f, (real)special_slopes[j].x, special_slopes[j].want), checked++;
    }
    CHECK(checked == COUNT(specials) + COUNT(special_slopes));
}

/* The slopes of the oracle are the derivatives of its values, but at the bends. */
static void test_references(void) {
    const wide h = 0x1p-20L;
    for (int activation = 0; activation < DC_ACTIVATION_COUNT; activation++) {
        const wide p = dc_activation_default(activation);
        for (wide x = -8.01L; x < 8; x += 0.037L) {
            const wide above = activation_value(activation, x + h, p),
                       below = activation_value(activation, x - h, p),
                       y = activation_value(activation, x, p), slope = (above - below) / (2 * h);
            const wide mine =
                activation_slope(activation, dc_activation_needs_input(activation) ? x : y, p);
            const int good = fabs(mine - slope) <= 1e-6L * (1 + fabs(slope));
            if (!good)
                printf("%s at %Lg: slope %Lg, difference %Lg\n", dc_activation_name(activation),
                       (long double)x, (long double)mine, (long double)slope);
            CHECK(good);
        }
    }
}

/* ---- What is known of the activations -------------------------------------------------------- */

static void test_facts(void) {
    const double wrong[] = {NAN, INFINITY, -INFINITY, -1, 1e300};
    size_t count = 0;
    for (const char *name; (name = dc_activation_name((int)count)); count++) {
        const int a = (int)count;
        for (int other = 0; other < a; other++) CHECK(strcmp(dc_activation_name(other), name));
        CHECK(dc_activation_check(a, dc_activation_default(a)) == DC_OK);
        const int has = *dc_activation_parameter(a) != 0;
        for (size_t i = 0; i < COUNT(wrong); i++) {
            real x[1] = {1};
            const int status = has ? DC_BAD_VALUE : DC_OK;
            CHECK(dc_activation_check(a, wrong[i]) == status);
            CHECK(TYPED(dc_activation_forward)(a, wrong[i], 1, x, x) == status);
            CHECK(TYPED(dc_activation_backward)(a, wrong[i], 1, x, x, x) == status);
        }
    }
    CHECK(count == DC_ACTIVATION_COUNT);
    CHECK(!strcmp(dc_activation_name(DC_RELU), "relu"));
    for (int a = -1; a <= DC_ACTIVATION_COUNT; a += DC_ACTIVATION_COUNT + 1) {
        CHECK(!dc_activation_name(a) && !dc_activation_parameter(a));
        CHECK(dc_activation_default(a) == 0 && !dc_activation_needs_input(a));
        CHECK(dc_activation_check(a, 0) == DC_BAD_NAME);
    }
}

/* ---- Dropout --------------------------------------------------------------------------------- */

static void test_dropout(void) {
    enum { N = LARGEST };
    real *x = array_make(N), *y = array_make(N), *first = array_make(N), *part = array_make(N);
    fill(N, 1, 2, x);
    for (size_t isa = 0; use_isa(isa); isa++) {
        CHECK(TYPED(dc_dropout)(7, 3, 0.3, N, x, y) == DC_OK);
        CHECK(guards_hold(y, N));
        if (isa == 0) memcpy(first, y, N * sizeof *y);
        CHECK(same_bits(N, y, first));
        size_t dropped = 0;
        for (size_t i = 0; i < N; i++) {
            CHECK(y[i] == x[i] || (y[i] == 0 && !signbit(y[i])));
            dropped += y[i] == 0;
        }
        CHECK(dropped > 0.27 * N && dropped < 0.33 * N); /* 4.6 deviations */

        /* An element does not depend on how many follow it. */
        for (size_t i = 0; i < COUNT(sizes); i++) {
            CHECK(TYPED(dc_dropout)(7, 3, 0.3, sizes[i], x, part) == DC_OK);
            CHECK(same_bits(sizes[i], part, y));
        }
        memcpy(part, x, N * sizeof *x);
        CHECK(TYPED(dc_dropout)(7, 3, 0.3, N, part, part) == DC_OK);
        CHECK(same_bits(N, part, y));
        /* Another key or counter drops others. */
        CHECK(TYPED(dc_dropout)(7, 4, 0.3, N, x, part) == DC_OK);
        CHECK(!same_bits(N, part, y));
        CHECK(TYPED(dc_dropout)(8, 3, 0.3, N, x, part) == DC_OK);
        CHECK(!same_bits(N, part, y));
        /* All or nothing; what is dropped is 0 even where it was not a number. */
        CHECK(TYPED(dc_dropout)(7, 3, 0, N, x, part) == DC_OK);
        CHECK(same_bits(N, part, x));
        for (size_t i = 0; i < N; i++) part[i] = i % 2 ? (real)NAN : -INFINITY;
        CHECK(TYPED(dc_dropout)(7, 3, 1, N, part, part) == DC_OK);
        for (size_t i = 0; i < N; i++) CHECK(part[i] == 0 && !signbit(part[i]));
    }
    /* The stream is that of dc_random_uniform_f32, where `rate` is a multiple of 2^-24. */
    float *numbers = malloc(N * sizeof *numbers);
    if (!numbers) abort();
    CHECK(dc_random_uniform_f32(7, 3, N, numbers) == DC_OK);
    CHECK(TYPED(dc_dropout)(7, 3, 0.375, N, x, y) == DC_OK);
    size_t wrong = 0;
    for (size_t i = 0; i < N; i++) wrong += (y[i] != 0) != (numbers[i] >= 0.375f);
    CHECK(wrong == 0);
    free(numbers);
    array_free(x);
    array_free(y);
    array_free(first);
    array_free(part);
}

/* ---- Threads, arguments ---------------------------------------------------------------------- */

static void test_threads(void) {
    const size_t n = 300000;
    real *x = array_make(n), *x2 = array_make(n), *one = array_make(n), *three = array_make(n);
    use_isa(0);
    for (size_t i = 0; i < FUNCTIONS; i++) {
        const function f = get_function(i);
        /* The same numbers over and over: what an activation keeps comes from a slow reference. */
        fill_input(&f, LARGEST, x);
        for (size_t j = LARGEST; j < n; j++) x[j] = x[j - LARGEST];
        fill(n, -1, 1, x2);
        dc_set_num_threads(1);
        CHECK(f.call(&f, n, x, x2, one) == DC_OK);
        dc_set_num_threads(3);
        CHECK(f.call(&f, n, x, x2, three) == DC_OK);
        CHECK(same_bits(n, one, three) && guards_hold(three, n));
    }
    dc_set_num_threads(1);
    CHECK(TYPED(dc_dropout)(1, 2, 0.5, n, x, one) == DC_OK);
    dc_set_num_threads(3);
    CHECK(TYPED(dc_dropout)(1, 2, 0.5, n, x, three) == DC_OK);
    CHECK(same_bits(n, one, three));
    array_free(x);
    array_free(x2);
    array_free(one);
    array_free(three);
}

/* The kernels that write past the caches, told to do so whatever the size: the same bits as those
 * that do not, from an address where a line of the cache begins, and nothing beside them. */
static void test_stores_past_the_caches(void) {
    real *x = array_make(LARGEST), *x2 = array_make(LARGEST), *y = array_make(LARGEST),
         *past = array_make(LARGEST + 64);
    real *line = past + (64 - (uintptr_t)past % 64) % 64 / sizeof(real);
    for (size_t isa = 0; use_isa(isa); isa++)
        for (size_t i = PLAIN; i < FUNCTIONS; i++) {
            const function f = get_function(i);
            const kernel_table *kernel = TYPED(dc_kernels)();
            fill(LARGEST, f.low, f.high, x);
            fill(LARGEST, -1, 1, x2);
            for (size_t j = 0; j < COUNT(sizes); j++) {
                const size_t n = sizes[j];
                CHECK(f.call(&f, n, x, x2, y) == DC_OK);
                line[n] = 7;
                if (f.inputs == 1)
                    kernel->activation_forward(f.activation, (real)f.parameter, n, x, line, 1);
                else
                    kernel->activation_backward(f.activation, (real)f.parameter, n, x, x2, line, 1);
                CHECK(same_bits(n, line, y) && line[n] == 7);
            }
        }
    array_free(x);
    array_free(x2);
    array_free(y);
    array_free(past);
}

/* Results so large that the library itself chooses to write past the caches: the bits of the same
 * in pieces, wherever they start, with any number of threads, and nothing beside them. One function
 * of each way into the library, because that many numbers take long. */
static void test_large(void) {
    const size_t n = STREAM_BYTES / sizeof(real) + 77, piece = n / 16 + 1;
    real *x = array_make(n), *x2 = array_make(n), *pieces = array_make(n), *y = array_make(n + 16);
    fill(n, -30, 30, x);
    fill(n, -1, 1, x2);
    for (size_t i = 0; use_isa(i); i++)
        for (size_t j = 0; j < PLAIN + 2; j++) {
            const function g = get_function(j < PLAIN ? j : PLAIN + 4 * DC_RELU + 2 * (j - PLAIN)),
                           *f = &g;
            for (size_t at = 0; at < n; at += piece)
                CHECK(f->call(f, n - at < piece ? n - at : piece, x + at, x2 + at, pieces + at) ==
                      DC_OK);
            const size_t start = (3 * j + 1) % 16; /* from within a line */
            for (size_t k = 0; k < 16; k++) y[k < start ? k : n + k] = 5;
            dc_set_num_threads(j % 2 ? 3 : 1);
            CHECK(f->call(f, n, x, x2, y + start) == DC_OK);
            CHECK(same_bits(n, y + start, pieces) && guards_hold(y, n + 16));
            for (size_t k = 0; k < 16; k++) CHECK(y[k < start ? k : n + k] == 5);
        }
    dc_set_num_threads(1);
    array_free(x);
    array_free(x2);
    array_free(pieces);
    array_free(y);
}

static void test_arguments(void) {
    real x[4] = {1, 2, 3, 4}, y[4] = {0};
    const size_t too_many = (size_t)-1;
    for (size_t i = 0; i < FUNCTIONS; i++) {
        const function g = get_function(i), *f = &g;
        CHECK(f->call(f, 0, NULL, NULL, NULL) == DC_OK);
        CHECK(f->call(f, 4, NULL, x, y) == DC_BAD_POINTER);
        CHECK(f->call(f, 4, x, x, NULL) == DC_BAD_POINTER);
        CHECK(f->call(f, too_many, x, x, y) == DC_BAD_SIZE);
        if (f->inputs == 2) CHECK(f->call(f, 4, x, NULL, y) == DC_BAD_POINTER);
    }
    CHECK(TYPED(dc_activation_forward)(-1, 0, 4, x, y) == DC_BAD_NAME);
    CHECK(TYPED(dc_activation_forward)(DC_ACTIVATION_COUNT, 0, 4, x, y) == DC_BAD_NAME);
    CHECK(TYPED(dc_activation_backward)(DC_ACTIVATION_COUNT, 0, 4, x, x, y) == DC_BAD_NAME);
    CHECK(TYPED(dc_dropout)(0, 0, -0.1, 4, x, y) == DC_BAD_VALUE);
    CHECK(TYPED(dc_dropout)(0, 0, 1.1, 4, x, y) == DC_BAD_VALUE);
    CHECK(TYPED(dc_dropout)(0, 0, NAN, 4, x, y) == DC_BAD_VALUE);
    CHECK(TYPED(dc_dropout)(0, 0, 0.5, 4, NULL, y) == DC_BAD_POINTER);
    CHECK(y[0] == 0 && y[1] == 0 && y[2] == 0 && y[3] == 0);
}

int main(void) {
    test_references();
    test_facts();
    test_functions();
    test_special();
    test_dropout();
    test_threads();
    test_stores_past_the_caches();
    test_large();
    test_arguments();
    return check_result();
}
