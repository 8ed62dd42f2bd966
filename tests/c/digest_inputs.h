/* Inputs of the workloads, written once against `real`.
 *
 * They are made of whole numbers and put together bit by bit, so that they are the same whatever
 * the compiler, the C library or the machine does with numbers. */
#ifndef DEEPC_TEST_DIGEST_INPUTS_H
#define DEEPC_TEST_DIGEST_INPUTS_H

#ifndef DEEPC_REAL_BITS
#define DEEPC_REAL_BITS 32
#endif

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "deepc.h"
#include "digest.h"
#include "kernels/real.h"

#define COUNT(array) (sizeof array / sizeof *array)

/* ---- Numbers --------------------------------------------------------------------------------- */

#if DEEPC_REAL_BITS == 32
enum { FRACTION_BITS = 23, EXPONENT_BIAS = 127 };
#else
enum { FRACTION_BITS = 52, EXPONENT_BIAS = 1023 };
#endif
#define FRACTION_MASK (((real_bits)1 << FRACTION_BITS) - 1)
#define SIGN_BIT ((real_bits)1 << (DEEPC_REAL_BITS - 1))
#define INFINITE_BITS ((real_bits)(2 * EXPONENT_BIAS + 1) << FRACTION_BITS)
#define QUIET_NAN_BITS (INFINITE_BITS | (real_bits)1 << (FRACTION_BITS - 1))

typedef enum number_kind {
    ORDINARY, /* 2^-8 to 2^3 */
    WIDE,     /* 2^-30 to 2^31 */
    TINY,     /* subnormal, or little more */
    SPECIAL,  /* ordinary, but one in 16 is NaN, infinite, zero, or at the edge of the range */
    ANY,      /* any bits at all */
    NUMBER_KINDS
} number_kind;

static uint64_t random_state;

/* SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014). */
static inline uint64_t random_word(void) {
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Either sign, and biased exponents low .. high. */
static inline real_bits random_bits(unsigned low, unsigned high) {
    const uint64_t word = random_word();
    const real_bits exponent = low + (unsigned)(word >> 56) % (high - low + 1);
    return (word >> 55 & 1 ? SIGN_BIT : 0) | exponent << FRACTION_BITS |
           ((real_bits)word & FRACTION_MASK);
}

static inline real_bits special_bits(void) {
    static const real_bits specials[] = {
        0,
        INFINITE_BITS,
        QUIET_NAN_BITS,
        QUIET_NAN_BITS | 12345,
        INFINITE_BITS | 1,                      /* a signalling NaN */
        1,                                      /* the smallest subnormal */
        FRACTION_MASK,                          /* the largest subnormal */
        FRACTION_MASK + 1,                      /* the smallest normal */
        INFINITE_BITS - 1,                      /* the largest */
        (real_bits)EXPONENT_BIAS << FRACTION_BITS, /* 1 */
        ((real_bits)EXPONENT_BIAS << FRACTION_BITS) - 1,
        ((real_bits)EXPONENT_BIAS << FRACTION_BITS) + 1,
    };
    const uint64_t word = random_word();
    return specials[word % COUNT(specials)] | (word >> 63 ? SIGN_BIT : 0);
}

static inline real random_real(number_kind kind) {
    real_bits bits;
    switch (kind) {
    case WIDE: bits = random_bits(EXPONENT_BIAS - 30, EXPONENT_BIAS + 30); break;
    case TINY: bits = random_bits(0, 3); break;
    case ANY: bits = (real_bits)random_word(); break;
    default:
        bits = kind == SPECIAL && random_word() % 16 == 0
                   ? special_bits()
                   : random_bits(EXPONENT_BIAS - 8, EXPONENT_BIAS + 2);
        break;
    }
    real x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static real memory[1 << 21];
static size_t memory_used;

/* Frees everything. */
static inline void start_case(void) { memory_used = 0; }

/* Frees everything and starts the numbers anew, so that each workload has its own. */
static inline void start_workload(void) {
    start_case();
    random_state = 1;
}

/* An array of n such numbers. */
static inline real *numbers(number_kind kind, size_t n) {
    if (n > COUNT(memory) - memory_used) abort();
    real *x = memory + memory_used;
    memory_used += n;
    for (size_t i = 0; i < n; i++) x[i] = random_real(kind);
    return x;
}

/* An array of n numbers of value 0. */
static inline real *zeros(size_t n) {
    real *x = numbers(ORDINARY, 0);
    if (n > COUNT(memory) - memory_used) abort();
    memory_used += n;
    memset(x, 0, n * sizeof *x);
    return x;
}

/* Puts zeros of either sign into two thirds of a matrix, in patches that neighbours share. */
static inline void clear_patches(size_t rows, size_t cols, size_t step, real *x) {
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++)
            if ((i / 9 + j / 7) % 3 > 0) x[i * step + j] = (i + j) % 5 ? (real)0 : (real)-0.0;
}

/* ---- Digests --------------------------------------------------------------------------------- */

/* Any NaN is as good as another: processors make them with different payloads. */
static inline void add_reals(uint64_t *digest, size_t n, const real *x) {
    for (size_t i = 0; i < n; i++) {
        real_bits bits;
        memcpy(&bits, x + i, sizeof bits);
        if ((bits & ~SIGN_BIT) > INFINITE_BITS) bits = QUIET_NAN_BITS;
        *digest = digest_word(*digest, bits, sizeof bits);
    }
}

static inline void add_double(uint64_t *digest, double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    *digest = digest_word(*digest, isnan(x) ? 0x7ff8000000000000u : bits, sizeof bits);
}

/* ---- What several workloads go over ---------------------------------------------------------- */

/* Around the widths of all vectors and pairs of them, and the blocks of a sum. */
static const size_t lengths[] = {0,  1,  2,  3,  4,   5,   6,   7,    8,    9,    10,
                                 11, 12, 13, 14, 15,  16,  17,  18,   20,   23,   24,
                                 25, 31, 32, 33, 40,  47,  48,  49,   63,   64,   65,
                                 70, 96, 97, 99, 128, 255, 257, 1000, 4096, 4101, 8200};

static const dc_optimizer rules[] = {
    {.rule = DC_GRADIENT_DESCENT, .learning_rate = 0.1},
    {.rule = DC_MOMENTUM, .learning_rate = 0.1, .momentum = 0.9},
    {.rule = DC_SGD, .learning_rate = 0.1, .weight_decay = 0.01},
    {.rule = DC_SGD, .learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.01},
    {.rule = DC_SGD, .nesterov = 1, .learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.01},
    {.rule = DC_RMSPROP, .learning_rate = 0.01, .decay = 0.99, .epsilon = 1e-8},
    {.rule = DC_ADAM,
     .learning_rate = 0.01,
     .momentum = 0.9,
     .decay = 0.999,
     .epsilon = 1e-8,
     .weight_decay = 0.1},
    {.rule = DC_ADAMW,
     .learning_rate = 0.01,
     .momentum = 0.9,
     .decay = 0.999,
     .epsilon = 1e-8,
     .weight_decay = 0.1},
    {.rule = DC_ADAGRAD, .learning_rate = 0.1, .epsilon = 1e-10, .weight_decay = 0.01},
};

#endif
