/* exp, log, tanh and sigmoid of every float, against the C library in double.
 *
 *   exhaustive_math [--stride N]
 *
 * Prints the largest error of each function on each instruction set in units of the last place, and
 * where it is. Fails when one is above its bound, when a NaN, an infinity or a sign is wrong, or
 * when two instruction sets with fused multiply-add give different bits. Takes minutes; with
 * --stride only every N-th bit pattern is tested. The references' own errors are below 1e-8 of a
 * float's last place. */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deepc.h"
#include "promise.h"

enum { BLOCK = 65536, MOST_ISAS = 8 };

static int call_tanh(size_t n, const float *x, float *y) {
    return dc_activation_forward_f32(DC_TANH, n, x, y);
}
static int call_sigmoid(size_t n, const float *x, float *y) {
    return dc_activation_forward_f32(DC_SIGMOID, n, x, y);
}
static double reference_sigmoid(double x) { return 1 / (1 + exp(-x)); }

/* loose_bound: without fused multiply-add. */
static const struct function {
    const char *name;
    int (*call)(size_t n, const float *x, float *y);
    double (*reference)(double x);
    double bound, loose_bound;
} functions[] = {
    {"exp", dc_exp_f32, exp, 1, 1.25},
    {"log", dc_log_f32, log, 1, 1.25},
    {"tanh", call_tanh, tanh, 2, 2.25},
    {"sigmoid", call_sigmoid, reference_sigmoid, 2, 2.25},
};

/* What is known of one instruction set. */
typedef struct result {
    const char *isa;
    int exact; /* has fused multiply-add */
    double worst;
    float worst_x;
    uint64_t other_bits; /* than the first exact one */
} result;

/* The largest |y - want| in units of the last place of a float at want; HUGE_VAL where y is not the
 * NaN, the infinity or of the sign that it should be. */
static double ulps(float y, double want) {
    const float rounded = (float)want;
    if (isnan(want)) return isnan(y) ? 0 : HUGE_VAL;
    if (isnan(y) || !signbit(y) != !signbit(rounded)) return HUGE_VAL;
    if (isinf(rounded) || isinf(y)) return y == rounded ? 0 : HUGE_VAL;
    uint64_t bits;
    memcpy(&bits, &want, sizeof bits);
    bits &= (uint64_t)0x7ff << 52; /* leaves the power of 2 */
    double unit;
    memcpy(&unit, &bits, sizeof unit);
    return fabs(y - want) / fmax(unit * 0x1p-23, 0x1p-149);
}

static void find_worst(size_t n, const float *x, const float *y, const double *want, result *r) {
    for (size_t i = 0; i < n; i++) {
        const double error = ulps(y[i], want[i]);
        if (error > r->worst) {
            r->worst = error;
            r->worst_x = x[i];
        }
    }
}

/* Elements of other bits; any NaN is as good as another. */
static uint64_t count_differences(size_t n, const float *y, const float *first) {
    if (memcmp(y, first, n * sizeof *y) == 0) return 0;
    uint64_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += memcmp(y + i, first + i, sizeof *y) != 0 && !(isnan(y[i]) && isnan(first[i]));
    return count;
}

/* One block: the references once, then each instruction set. Equal bits have equal errors. */
static int check_block(const struct function *f, size_t n, const float *x, size_t isas,
                       result *results) {
    static double want[BLOCK];
    static float y[BLOCK], first[BLOCK];
    const float *known = NULL;
    for (size_t i = 0; i < n; i++) want[i] = f->reference((double)x[i]);
    for (size_t i = 0; i < isas; i++) {
        result *r = &results[i];
        if (dc_set_isa(r->isa) != DC_OK || f->call(n, x, y) != DC_OK) return 0;
        const uint64_t differences = r->exact && known ? count_differences(n, y, known) : 0;
        r->other_bits += differences;
        if (!r->exact || !known || differences > 0) find_worst(n, x, y, want, r);
        if (r->exact && !known) known = memcpy(first, y, n * sizeof *y);
    }
    return 1;
}

/* Fills x from the bit pattern *next on; the number of elements. */
static size_t make_block(uint64_t stride, uint64_t *next, float *x) {
    size_t n = 0;
    for (; n < BLOCK && *next <= UINT32_MAX; n++, *next += stride) {
        const uint32_t bits = (uint32_t)*next;
        memcpy(x + n, &bits, sizeof bits);
    }
    return n;
}

static size_t list_isas(result *results) {
    size_t count = 0;
    for (const char *isa; count < MOST_ISAS && (isa = dc_isa_available(count)); count++)
        results[count] = (result){.isa = isa, .exact = promises_bits(isa)};
    return count;
}

static int check_function(const struct function *f, uint64_t stride) {
    static float x[BLOCK];
    result results[MOST_ISAS];
    const size_t isas = list_isas(results);
    uint64_t next = 0;
    for (size_t n; (n = make_block(stride, &next, x)) > 0;)
        if (!check_block(f, n, x, isas, results)) {
            printf("%s: a call failed\n", f->name);
            return 0;
        }

    const result *first = NULL;
    int good = 1;
    for (size_t i = 0; i < isas; i++) {
        const result *r = &results[i];
        const result *errors = r->exact && first && r->other_bits == 0 ? first : r;
        const int within = errors->worst <= (r->exact ? f->bound : f->loose_bound);
        printf("%-8s %-9s %.4f ulp at %a (%.9g)%s", f->name, r->isa, errors->worst,
               (double)errors->worst_x, (double)errors->worst_x, within ? "" : ", TOO MUCH");
        if (r->other_bits > 0) printf(", OTHER BITS in %" PRIu64 " elements", r->other_bits);
        printf("\n");
        good &= within && r->other_bits == 0;
        if (r->exact && !first) first = r;
    }
    fflush(stdout);
    return good;
}

int main(int count, char **arguments) {
    uint64_t stride = 1;
    if (count == 3 && strcmp(arguments[1], "--stride") == 0)
        stride = strtoull(arguments[2], NULL, 10);
    else if (count != 1)
        stride = 0;
    if (stride == 0) {
        fprintf(stderr, "usage: %s [--stride N], N at least 1\n", arguments[0]);
        return 2;
    }
    dc_set_num_threads(1);
    int good = 1;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        good &= check_function(&functions[i], stride);
    return !good;
}
