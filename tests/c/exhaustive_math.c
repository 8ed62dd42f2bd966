/* exp, log, every activation and every slope, of every float, against the C library in double.
 *
 *   exhaustive_math [--stride N] [NAME ...]    all functions, or those
 *   exhaustive_math --list                     their names, one a line
 *
 * Prints the largest error of each function on each instruction set in units of the last place, and
 * where it is. Fails when one is above its bound, when a NaN, an infinity or a sign is wrong, or
 * when two instruction sets with fused multiply-add give different bits. Takes a minute or more a
 * function, so `make accuracy` runs several at a time; with --stride only every N-th bit pattern is
 * tested. The references' own errors are below 1e-7 of a float's last place.
 *
 * A slope is computed from what the activation keeps of the float, its output or its input, for a
 * gradient of 1. It may be near 0 because two terms cancel, of which one has been rounded before;
 * so its error is in units of the last place of 1 where that is more. */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFERENCES_IN_DOUBLE
#include "activation_references.h"
#include "deepc.h"

enum { BLOCK = 65536, MOST_ISAS = 8 };

/* exp, log, then each activation and its slope, with the usual parameter. */
typedef enum function_kind { EXP, LOG, VALUE_OF, SLOPE_OF } function_kind;
typedef struct function {
    char name[40];
    function_kind kind;
    int activation;
    double bound, loose_bound; /* loose: without fused multiply-add */
} function;
enum { FUNCTIONS = 2 + 2 * DC_ACTIVATION_COUNT };

/* Where the general bounds are not good enough: activations that are one exact operation, and those
 * that carry along what rounding takes, which they cannot without fused multiply-add (far out,
 * where gelu is almost 0, that is most). */
static const struct {
    const char *name;
    double bound, loose_bound;
} own_bounds[] = {{"exp", 1, 1.25}, {"log", 1, 1.25}, {"identity", 0, 0},    {"relu", 0, 0},
                  {"silu", 2, 3},   {"mish", 2, 3},   {"gelu_tanh", 2, 150}, {"gelu", 2, 150}};

static function get_function(size_t i) {
    function f = {.kind = i < 2 ? (function_kind)i : i % 2 ? SLOPE_OF : VALUE_OF, .bound = 2};
    f.activation = i < 2 ? 0 : (int)(i / 2 - 1);
    snprintf(f.name, sizeof f.name, "%s%s",
             i == 0   ? "exp"
             : i == 1 ? "log"
                      : dc_activation_name(f.activation),
             f.kind == SLOPE_OF ? "_slope" : "");
    f.loose_bound = f.bound + 0.25;
    for (size_t j = 0; j < sizeof own_bounds / sizeof *own_bounds; j++)
        if (!strcmp(f.name, own_bounds[j].name)) {
            f.bound = own_bounds[j].bound;
            f.loose_bound = own_bounds[j].loose_bound;
        }
    return f;
}

/* What the function is applied to, given x: of a slope, what its activation keeps. */
static int prepare(const function *f, size_t n, const float *x, float *kept) {
    if (f->kind == SLOPE_OF && !dc_activation_needs_input(f->activation))
        return dc_activation_forward_f32(f->activation, dc_activation_default(f->activation), n, x,
                                         kept);
    memcpy(kept, x, n * sizeof *x);
    return DC_OK;
}

static int call(const function *f, size_t n, const float *kept, float *y) {
    static float ones[BLOCK];
    const double p = dc_activation_default(f->activation);
    for (size_t i = 0; *ones == 0 && i < BLOCK; i++) ones[BLOCK - 1 - i] = 1;
    switch (f->kind) {
    case EXP: return dc_exp_f32(n, kept, y);
    case LOG: return dc_log_f32(n, kept, y);
    case VALUE_OF: return dc_activation_forward_f32(f->activation, p, n, kept, y);
    default: return dc_activation_backward_f32(f->activation, p, n, kept, ones, y);
    }
}

static double reference(const function *f, double kept) {
    const double p = dc_activation_default(f->activation);
    switch (f->kind) {
    case EXP: return exp(kept);
    case LOG: return log(kept);
    case VALUE_OF: return activation_value(f->activation, kept, p);
    default: return activation_slope(f->activation, kept, p);
    }
}

/* What is known of one instruction set. */
typedef struct result {
    const char *isa;
    int exact; /* has fused multiply-add */
    double worst;
    float worst_x;
    uint64_t other_bits; /* than the first exact one */
} result;

/* |y - want| in units of the last place of a float at want, or at `least` if that is larger;
 * HUGE_VAL where y is not the NaN, the infinity or of the sign that it should be. After the largest
 * float the infinity is the next number. */
static double ulps(float y, double want, double least) {
    const float rounded = (float)want;
    if (isnan(want)) return isnan(y) ? 0 : HUGE_VAL;
    if (isnan(y) || (!signbit(y) != !signbit(rounded) && least == 0)) return HUGE_VAL;
    if (y == rounded && isinf(y)) return 0;
    if (isinf(want)) return HUGE_VAL;
    if (isinf(y) || isinf(rounded)) {
        const double got = isinf(y) ? copysign(0x1p128, (double)y) : (double)y;
        return fabs(got - fmin(fmax(want, -0x1p128), 0x1p128)) * 0x1p-104;
    }
    const double size = fmax(fabs(want), least);
    uint64_t bits;
    memcpy(&bits, &size, sizeof bits);
    bits &= (uint64_t)0x7ff << 52; /* leaves the power of 2 */
    double unit;
    memcpy(&unit, &bits, sizeof unit);
    return fabs(y - want) / fmax(unit * 0x1p-23, 0x1p-149);
}

static void find_worst(const function *f, size_t n, const float *x, const float *y,
                       const double *want, result *r) {
    for (size_t i = 0; i < n; i++) {
        const double error = ulps(y[i], want[i], f->kind == SLOPE_OF ? 1 : 0);
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
static int check_block(const function *f, size_t n, const float *x, size_t isas, result *results) {
    static double want[BLOCK];
    static float kept[BLOCK], y[BLOCK], first[BLOCK];
    const float *known = NULL;
    if (dc_set_isa(results[0].isa) != DC_OK || prepare(f, n, x, kept) != DC_OK) return 0;
    for (size_t i = 0; i < n; i++) want[i] = reference(f, (double)kept[i]);
    for (size_t i = 0; i < isas; i++) {
        result *r = &results[i];
        if (dc_set_isa(r->isa) != DC_OK || call(f, n, kept, y) != DC_OK) return 0;
        const uint64_t differences = r->exact && known ? count_differences(n, y, known) : 0;
        r->other_bits += differences;
        if (!r->exact || !known || differences > 0) find_worst(f, n, x, y, want, r);
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
        results[count] = (result){.isa = isa, .exact = dc_isa_promises_bits(isa)};
    return count;
}

static int check_function(const function *f, uint64_t stride) {
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
        printf("%-20s %-9s %.4f ulp at %a (%.9g)%s", f->name, r->isa, errors->worst,
               (double)errors->worst_x, (double)errors->worst_x, within ? "" : ", TOO MUCH");
        if (r->other_bits > 0) printf(", OTHER BITS in %" PRIu64 " elements", r->other_bits);
        printf("\n");
        good &= within && r->other_bits == 0;
        if (r->exact && !first) first = r;
    }
    fflush(stdout);
    return good;
}

static int is_wanted(const char *name, int count, char **names) {
    for (int i = 0; i < count; i++)
        if (!strcmp(names[i], name)) return 1;
    return count == 0;
}

int main(int count, char **arguments) {
    const int list = count == 2 && strcmp(arguments[1], "--list") == 0;
    const int strided = count >= 3 && strcmp(arguments[1], "--stride") == 0;
    const uint64_t stride = strided ? strtoull(arguments[2], NULL, 10) : 1;
    const int first = strided ? 3 : 1;
    if (stride == 0 || (!list && first < count && arguments[first][0] == '-')) {
        fprintf(stderr, "usage: %s [--list | [--stride N] [NAME ...]], N at least 1\n",
                arguments[0]);
        return 2;
    }
    dc_set_num_threads(1);
    int good = 1, done = 0;
    for (size_t i = 0; i < FUNCTIONS; i++) {
        const function f = get_function(i);
        if (list)
            printf("%s\n", f.name);
        else if (is_wanted(f.name, count - first, arguments + first))
            good &= check_function(&f, stride), done++;
    }
    if (!list && first < count && done != count - first) {
        fprintf(stderr, "%s: no function of that name; --list shows them\n", arguments[0]);
        return 2;
    }
    return !good;
}
