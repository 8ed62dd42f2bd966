/* What the tests of array functions share: guarded arrays of `real`, random numbers, sizes,
 * comparisons.
 *
 * A test file is written once against `real`: test_x.c tests float, and test_x_f64.c includes it
 * with DEEPC_REAL_BITS as 64. */
#ifndef DEEPC_TEST_ARRAYS_H
#define DEEPC_TEST_ARRAYS_H

#ifndef DEEPC_REAL_BITS
#define DEEPC_REAL_BITS 32
#endif

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "deepc.h"
#include "kernels/real.h"

#define COUNT(array) (sizeof array / sizeof *array)

static const size_t sizes[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 1000, 5000};
enum { LARGEST = 5000 };

/* ---- Arrays with guards on both sides, one element off any alignment ------------------------- */

enum { GUARDS = 33 };
static const real guard = (real)12345.678;

static inline real *array_make(size_t n) {
    real *memory = malloc((n + 2 * GUARDS) * sizeof(real));
    if (!memory) abort();
    for (size_t i = 0; i < n + 2 * GUARDS; i++) memory[i] = guard;
    return memory + GUARDS;
}

static inline void array_free(real *a) { free(a - GUARDS); }

/* Whether nothing was written beside the first n elements. */
static inline int guards_hold(const real *a, size_t n) {
    int good = 1;
    for (size_t i = 1; i <= GUARDS; i++) good &= *(a - i) == guard;
    for (size_t i = 0; i < GUARDS; i++) good &= a[n + i] == guard;
    return good;
}

/* ---- Numbers --------------------------------------------------------------------------------- */

static uint64_t random_state = 1;

static inline double uniform(double low, double high) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return low + (high - low) * (double)(random_state >> 11) * 0x1p-53;
}

static inline void fill(size_t n, double low, double high, real *x) {
    for (size_t i = 0; i < n; i++) x[i] = (real)uniform(low, high);
}

/* Bit for bit, but any NaN is as good as another. */
static inline int same_bits(size_t n, const real *a, const real *b) {
    for (size_t i = 0; i < n; i++)
        if (memcmp(a + i, b + i, sizeof *a) != 0 && !(isnan(a[i]) && isnan(b[i]))) return 0;
    return 1;
}

/* What references in long double may be wrong by themselves, in units of the last place of `real`:
 * on armv7, and with the ABIs of macOS on Arm and of MSVC, long double is double. */
enum { REFERENCE_ULPS = LDBL_MANT_DIG > (DEEPC_REAL_BITS == 32 ? 24 : 53) ? 0 : 2 };

/* How far x is from what it should be, in units of the last place there. */
static inline double ulps(real x, long double want) {
    const real size = (real)fabsl(want);
    if (isnan(size)) return isnan(x) ? 0 : HUGE_VAL;
    if (isinf(size)) return (real)want == x ? 0 : HUGE_VAL;
    const long double unit = DEEPC_REAL_BITS == 32 ? nextafterf((float)size, INFINITY) - (float)size
                                                   : nextafter(size, INFINITY) - (double)size;
    return (double)(fabsl((long double)x - want) / unit);
}

/* ---- Instruction sets ------------------------------------------------------------------------ */

/* Switches to the i-th instruction set; 0 past the last one. */
static inline int use_isa(size_t i) {
    const char *name = dc_isa_available(i);
    if (!name) return 0;
    CHECK(dc_set_isa(name) == DC_OK);
    return 1;
}

/* Whether the one in force promises the same bits as the others. */
static inline int isa_is_exact(void) { return dc_isa_promises_bits(dc_isa()); }

#endif
