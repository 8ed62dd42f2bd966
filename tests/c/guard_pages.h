/* Arrays that end, or begin, at a page that nobody may touch, and a hash of what calls made of
 * them: of test_guard_pages.c. */
#ifndef DEEPC_TEST_GUARD_PAGES_H
#define DEEPC_TEST_GUARD_PAGES_H

#include <sys/mman.h>
#include <unistd.h>

#include "arrays.h"

/* ---- Pages ----------------------------------------------------------------------------------- */

enum { SLOTS = 48, SLOT_BYTES = 1 << 19 };
static char *slots[SLOTS];
static int used, at_end;

static void slots_make(void) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < SLOTS; i++) {
        char *all =
            mmap(NULL, SLOT_BYTES + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (all == MAP_FAILED) abort();
        slots[i] = all + page;
    }
}

static void *place(size_t bytes) {
    if (used == SLOTS || bytes > SLOT_BYTES) abort();
    char *slot = slots[used++], *x = at_end ? slot + SLOT_BYTES - bytes : slot;
    mprotect(slot, SLOT_BYTES, PROT_READ | PROT_WRITE);
    memset(x, at_end ? 0x5a : 0xc3, bytes);
    return x;
}

/* ---- Numbers --------------------------------------------------------------------------------- */

static size_t below(size_t n) { return (size_t)uniform(0, (double)n); }
static int one_in(size_t n) { return below(n) == 0; }

/* Mostly small, at times enough for several blocks or threads. */
static size_t some_size(size_t most) {
    const size_t n = one_in(2) ? 5 : one_in(3) ? most : 40;
    return below((n < most ? n : most) + 1);
}

static real some_number(void) {
    static const double odd[] = {0,     -0.0, 1,    NAN,    INFINITY, -INFINITY,
                                 1e-40, -1,   1e38, 1e-310, 1e300,    0.5};
    return (real)(one_in(30) ? odd[below(COUNT(odd))] : uniform(-3, 3));
}

static real plain_number(void) { return (real)uniform(0.1, 1); }
static real signed_number(void) { return (real)uniform(-3, 3); }
static double number_low, number_high;
static real ranged_number(void) { return (real)uniform(number_low, number_high); }

/* What a function only reads. */
static const real *input_of(size_t n, real (*number)(void)) {
    real *x = place(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = number();
    mprotect(slots[used - 1], SLOT_BYTES, PROT_READ);
    return x;
}
static const real *input(size_t n) { return input_of(n, some_number); }

static const int64_t *whole_numbers(size_t n, size_t limit) {
    int64_t *x = place(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = (int64_t)below(limit);
    mprotect(slots[used - 1], SLOT_BYTES, PROT_READ);
    return x;
}

static real *output(size_t n) { return place(n * sizeof(real)); }

/* What a function changes. */
static real *state(size_t n) {
    real *x = output(n);
    for (size_t i = 0; i < n; i++) x[i] = plain_number();
    return x;
}

/* ---- Results --------------------------------------------------------------------------------- */

static uint64_t hash;

static void take(size_t n, const real *x) {
    for (size_t i = 0; i < n; i++) {
        real_bits bits;
        memcpy(&bits, x + i, sizeof bits);
        hash = (hash ^ (isnan(x[i]) ? 1 : bits)) * 1099511628211u;
    }
}
static void take_double(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    hash = (hash ^ (isnan(x) ? 1 : bits)) * 1099511628211u;
}
static void take_status(int status) { hash = (hash ^ (uint64_t)status) * 1099511628211u; }

#endif
