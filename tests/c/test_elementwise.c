/* exp, log, scale, the activations and dropout: right to a few ulps of the C library in long
 * double, the same bits on every instruction set, alone, in place and at any length, and nothing
 * written beside the output. (How many ulps exactly is the matter of the accuracy tests.) */
#include "../../csrc/tuning.h"
#include "arrays.h"

typedef struct function {
    const char *name;
    int inputs;
    int (*call)(size_t n, const real *x, const real *x2, real *y);
    long double (*reference)(long double x, long double x2);
    double low, high; /* of x */
    double most_ulps;
} function;

static int call_exp(size_t n, const real *x, const real *x2, real *y) {
    return (void)x2, TYPED(dc_exp)(n, x, y);
}
static long double reference_exp(long double x, long double x2) { return (void)x2, expl(x); }

static int call_log(size_t n, const real *x, const real *x2, real *y) {
    return (void)x2, TYPED(dc_log)(n, x, y);
}
static long double reference_log(long double x, long double x2) { return (void)x2, logl(x); }

static int call_scale(size_t n, const real *x, const real *x2, real *y) {
    return (void)x2, TYPED(dc_scale)(0.75, n, x, y);
}
static long double reference_scale(long double x, long double x2) { return (void)x2, 0.75L * x; }

static int call_identity(size_t n, const real *x, const real *x2, real *y) {
    return (void)x2, TYPED(dc_activation_forward)(DC_IDENTITY, n, x, y);
}
static long double reference_identity(long double x, long double x2) { return (void)x2, x; }

static int call_sigmoid(size_t n, const real *x, const real *x2, real *y) {
    return (void)x2, TYPED(dc_activation_forward)(DC_SIGMOID, n, x, y);
}
static long double reference_sigmoid(long double x, long double x2) {
    return (void)x2, 1 / (1 + expl(-x));
}

static int call_tanh(size_t n, const real *x, const real *x2, real *y) {
    return (void)x2, TYPED(dc_activation_forward)(DC_TANH, n, x, y);
}
static long double reference_tanh(long double x, long double x2) { return (void)x2, tanhl(x); }

static int call_relu(size_t n, const real *x, const real *x2, real *y) {
    return (void)x2, TYPED(dc_activation_forward)(DC_RELU, n, x, y);
}
static long double reference_relu(long double x, long double x2) { return (void)x2, x > 0 ? x : 0; }

static int call_identity_back(size_t n, const real *x, const real *x2, real *y) {
    return TYPED(dc_activation_backward)(DC_IDENTITY, n, x, x2, y);
}
static long double reference_identity_back(long double x, long double x2) { return (void)x, x2; }

static int call_sigmoid_back(size_t n, const real *x, const real *x2, real *y) {
    return TYPED(dc_activation_backward)(DC_SIGMOID, n, x, x2, y);
}
static long double reference_sigmoid_back(long double x, long double x2) {
    return x * (1 - x) * x2;
}

static int call_tanh_back(size_t n, const real *x, const real *x2, real *y) {
    return TYPED(dc_activation_backward)(DC_TANH, n, x, x2, y);
}
static long double reference_tanh_back(long double x, long double x2) { return (1 - x * x) * x2; }

static int call_relu_back(size_t n, const real *x, const real *x2, real *y) {
    return TYPED(dc_activation_backward)(DC_RELU, n, x, x2, y);
}
static long double reference_relu_back(long double x, long double x2) { return x > 0 ? x2 : 0; }

static const function functions[] = {
    {"exp", 1, call_exp, reference_exp, -80, 80, 3},
    {"log", 1, call_log, reference_log, 0, 1000, 3},
    {"scale", 1, call_scale, reference_scale, -9, 9, 0.5},
    {"identity", 1, call_identity, reference_identity, -9, 9, 0},
    {"sigmoid", 1, call_sigmoid, reference_sigmoid, -40, 40, 4},
    {"tanh", 1, call_tanh, reference_tanh, -6, 6, 4},
    {"relu", 1, call_relu, reference_relu, -3, 3, 0},
    {"identity backward", 2, call_identity_back, reference_identity_back, 0, 1, 0},
    {"sigmoid backward", 2, call_sigmoid_back, reference_sigmoid_back, 0, 1, 2},
    {"tanh backward", 2, call_tanh_back, reference_tanh_back, -0.9, 0.9, 5},
    {"relu backward", 2, call_relu_back, reference_relu_back, -1, 1, 0},
};

static void check_size(const function *f, size_t n) {
    real *x = array_make(n), *x2 = array_make(n), *y = array_make(n), *first = array_make(n),
         *again = array_make(n);
    fill(n, f->low, f->high, x);
    fill(n, -2, 2, x2);
    for (size_t i = 0; use_isa(i); i++) {
        CHECK(f->call(n, x, x2, y) == DC_OK);
        CHECK(guards_hold(y, n));
        double worst = 0;
        for (size_t j = 0; j < n; j++) worst = fmax(worst, ulps(y[j], f->reference(x[j], x2[j])));
        if (worst > f->most_ulps) printf("%s %s n %zu: %g ulps\n", dc_isa(), f->name, n, worst);
        CHECK(worst <= f->most_ulps);

        if (i == 0) memcpy(first, y, n * sizeof *y);
        const int same = !isa_is_exact() || same_bits(n, y, first);
        if (!same) printf("%s %s n %zu: other bits\n", dc_isa(), f->name, n);
        CHECK(same);
        /* In place of the first input, and of the second. */
        memcpy(again, x, n * sizeof *x);
        CHECK(f->call(n, again, x2, again) == DC_OK);
        CHECK(same_bits(n, again, y));
        if (f->inputs == 2) {
            memcpy(again, x2, n * sizeof *x);
            CHECK(f->call(n, x, again, again) == DC_OK);
            CHECK(same_bits(n, again, y));
        }
        /* One element alone. */
        for (size_t j = 0; j < n && j < 40; j++) {
            CHECK(f->call(1, x + j, x2 + j, again) == DC_OK);
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
    for (size_t f = 0; f < COUNT(functions); f++)
        for (size_t i = 0; i < COUNT(sizes); i++) check_size(&functions[f], sizes[i]);
}

/* Values at and beyond the edges, in every lane of a vector and in a part of one. */
static void check_special(const function *f, real x, long double want) {
    real in[19], in2[19], out[19];
    for (int i = 0; i < 19; i++) in[i] = x, in2[i] = 3;
    for (size_t isa = 0; use_isa(isa); isa++) {
        CHECK(f->call(19, in, in2, out) == DC_OK);
        int wrong = 0;
        for (int i = 0; i < 19; i++)
            wrong +=
                ulps(out[i], want) > 1 || (!isnan(out[i]) && !signbit(out[i]) != !signbit(want));
        if (wrong) printf("%s %s of %g: %g\n", dc_isa(), f->name, (double)x, (double)out[0]);
        CHECK(wrong == 0);
    }
}

static void test_special(void) {
    const function *f = functions;
    for (size_t i = 0; i < 7; i++)
        if (f[i].call != call_scale) check_special(&f[i], (real)NAN, NAN);
    check_special(&f[0], INFINITY, INFINITY);
    check_special(&f[0], -INFINITY, 0);
    check_special(&f[0], 100000, INFINITY);
    check_special(&f[0], -100000, 0);
    check_special(&f[0], 0, 1);
    check_special(&f[1], 0, -INFINITY);
    check_special(&f[1], (real)-0.0, -INFINITY);
    check_special(&f[1], -1, NAN);
    check_special(&f[1], 1, 0);
    check_special(&f[1], INFINITY, INFINITY);
    check_special(&f[3], (real)-0.0, -0.0L);
    check_special(&f[4], INFINITY, 1);
    check_special(&f[4], -INFINITY, 0);
    check_special(&f[4], 0, 0.5L);
    check_special(&f[5], INFINITY, 1);
    check_special(&f[5], -INFINITY, -1);
    check_special(&f[5], 0, 0);
    check_special(&f[6], INFINITY, INFINITY);
    check_special(&f[6], -INFINITY, 0);
    check_special(&f[6], (real)-0.0, 0);
    check_special(&f[10], 0, 0);
    check_special(&f[10], INFINITY, 3);
    check_special(&f[10], (real)NAN, 0);
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
    for (size_t i = 0; i < COUNT(functions); i++) {
        fill(n, functions[i].low, functions[i].high, x);
        fill(n, -1, 1, x2);
        dc_set_num_threads(1);
        CHECK(functions[i].call(n, x, x2, one) == DC_OK);
        dc_set_num_threads(3);
        CHECK(functions[i].call(n, x, x2, three) == DC_OK);
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

/* Results so large that they are written past the caches: the bits of the same in pieces, wherever
 * they start, with any number of threads, and nothing beside them. */
static void test_large(void) {
    const size_t n = STREAM_BYTES / sizeof(real) + 77, piece = n / 16 + 1;
    real *x = array_make(n), *x2 = array_make(n), *pieces = array_make(n), *y = array_make(n + 16);
    for (size_t i = 0; use_isa(i); i++)
        for (size_t j = 0; j < COUNT(functions); j++) {
            const function *f = &functions[j];
            fill(n, f->low, f->high, x);
            fill(n, -1, 1, x2);
            for (size_t at = 0; at < n; at += piece)
                CHECK(f->call(n - at < piece ? n - at : piece, x + at, x2 + at, pieces + at) ==
                      DC_OK);
            const size_t start = (3 * j) % 16; /* from the beginning of a line, and from within */
            fill(n + 16, 5, 6, y);
            dc_set_num_threads(j % 2 ? 3 : 1);
            CHECK(f->call(n, x, x2, y + start) == DC_OK);
            CHECK(same_bits(n, y + start, pieces) && guards_hold(y, n + 16));
            for (size_t k = 0; k < 16; k++) {
                const real beside = y[k < start ? k : n + k];
                CHECK(beside >= 5 && beside <= 6);
            }
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
    for (size_t i = 0; i < COUNT(functions); i++) {
        const function *f = &functions[i];
        CHECK(f->call(0, NULL, NULL, NULL) == DC_OK);
        CHECK(f->call(4, NULL, x, y) == DC_BAD_POINTER);
        CHECK(f->call(4, x, x, NULL) == DC_BAD_POINTER);
        CHECK(f->call(too_many, x, x, y) == DC_BAD_SIZE);
    }
    CHECK(TYPED(dc_activation_backward)(DC_TANH, 4, x, NULL, y) == DC_BAD_POINTER);
    CHECK(TYPED(dc_activation_forward)(-1, 4, x, y) == DC_BAD_NAME);
    CHECK(TYPED(dc_activation_forward)(4, 4, x, y) == DC_BAD_NAME);
    CHECK(TYPED(dc_activation_backward)(4, 4, x, x, y) == DC_BAD_NAME);
    CHECK(TYPED(dc_dropout)(0, 0, -0.1, 4, x, y) == DC_BAD_VALUE);
    CHECK(TYPED(dc_dropout)(0, 0, 1.1, 4, x, y) == DC_BAD_VALUE);
    CHECK(TYPED(dc_dropout)(0, 0, NAN, 4, x, y) == DC_BAD_VALUE);
    CHECK(TYPED(dc_dropout)(0, 0, 0.5, 4, NULL, y) == DC_BAD_POINTER);
    CHECK(y[0] == 0 && y[1] == 0 && y[2] == 0 && y[3] == 0);
}

int main(void) {
    test_functions();
    test_special();
    test_dropout();
    test_threads();
    test_large();
    test_arguments();
    return check_result();
}
