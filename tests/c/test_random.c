/* The generator against its published vectors, and what is made of its words. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "deepc.h"
#include "digest.h"
#include "random.h"

enum { MANY = 200000 };

/* ---- Words ----------------------------------------------------------------------------------- */

/* Philox4x32-10 in kat_vectors of Random123, by the generator's authors; counter and key from their
 * lowest word on. */
static void test_vectors(void) {
    static const struct {
        uint32_t counter[4], key[2], words[4];
    } vectors[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t v = 0; v < sizeof vectors / sizeof *vectors; v++) {
        const uint32_t *c = vectors[v].counter, *k = vectors[v].key;
        const uint64_t block = c[0] | (uint64_t)c[1] << 32, counter = c[2] | (uint64_t)c[3] << 32;
        const uint64_t key = k[0] | (uint64_t)k[1] << 32;
        /* In each of the sixteen places that a block can have in one call. */
        for (uint64_t place = 0; place < RANDOM_BLOCKS; place++) {
            uint32_t words[RANDOM_WORDS];
            random_words(key, counter, block - place, words);
            CHECK(memcmp(words + 4 * place, vectors[v].words, sizeof vectors[v].words) == 0);
        }
    }
}

static uint32_t word(uint64_t key, uint64_t counter, uint64_t i) {
    uint32_t words[RANDOM_WORDS];
    random_words(key, counter, i / 4, words);
    return words[i % 4];
}
static uint64_t pair(uint64_t key, uint64_t counter, uint64_t i) {
    return word(key, counter, 2 * i) | (uint64_t)word(key, counter, 2 * i + 1) << 32;
}

/* ---- Uniform --------------------------------------------------------------------------------- */

static void test_uniform(void) {
    const uint64_t key = 0x123456789abcdef0u, counter = 7;
    float *x = malloc((MANY + 1) * sizeof *x);
    double *y = malloc((MANY + 1) * sizeof *y);
    if (!x || !y) abort();
    x[MANY] = 5;
    y[MANY] = 5;
    CHECK(!dc_random_uniform_f32(key, counter, MANY, x));
    CHECK(!dc_random_uniform_f64(key, counter, MANY, y));
    CHECK(x[MANY] == 5 && y[MANY] == 5);
    double sum = 0, squares = 0;
    int wrong = 0;
    for (size_t i = 0; i < MANY; i++) {
        wrong += !(x[i] >= 0 && x[i] < 1 && y[i] >= 0 && y[i] < 1);
        if (i < 1000) {
            wrong += x[i] != (float)(word(key, counter, i) >> 8) / 16777216.0f;
            wrong += y[i] != (double)(pair(key, counter, i) >> 11) / 9007199254740992.0;
        }
        sum += y[i];
        squares += y[i] * y[i];
    }
    CHECK(wrong == 0);
    /* Six standard deviations of a mean of so many: of y 0.289, of y^2 0.298. */
    CHECK(fabs(sum / MANY - 0.5) < 6 * 0.289 / sqrt(MANY));
    CHECK(fabs(squares / MANY - 1.0 / 3) < 6 * 0.298 / sqrt(MANY));

    /* A shorter call gives the same numbers; another counter or key others. */
    float few[70], other[70];
    CHECK(!dc_random_uniform_f32(key, counter, 70, few) && !memcmp(few, x, sizeof few));
    CHECK(!dc_random_uniform_f32(key, counter + 1, 70, other) && memcmp(few, other, sizeof few));
    CHECK(!dc_random_uniform_f32(key + 1, counter, 70, other) && memcmp(few, other, sizeof few));
    free(x);
    free(y);
}

/* ---- Normal ---------------------------------------------------------------------------------- */

/* Compares with the distribution function of the C library: at z = quantile(p) it is p again, to
 * within its own error and that of z, which the density carries over. */
static double error_of(double z, double q) {
    const double tail = 0.5 - fabs(q); /* of the probability, exact */
    return fabs(0.5 * erfc(fabs(z) * 0.70710678118654752440) - tail) / tail;
}

static void test_normal(void) {
    const uint64_t key = 99, counter = 0;
    double *z = malloc(MANY * sizeof *z);
    float *x = malloc(MANY * sizeof *x);
    if (!z || !x) abort();
    CHECK(!dc_random_normal_f64(key, counter, MANY, 0, 1, z));
    CHECK(!dc_random_normal_f32(key, counter, MANY, 0, 1, x));
    double sum = 0, squares = 0, fourth = 0, worst = 0;
    int wrong = 0;
    for (size_t i = 0; i < MANY; i++) {
        const double q =
            ((double)(int64_t)((pair(key, counter, i) >> 11) - ((uint64_t)1 << 52)) + 0.5) *
            0x1p-53;
        wrong += !isfinite(z[i]) || (z[i] < 0) != (q < 0) || x[i] != (float)z[i];
        worst = fmax(worst, error_of(z[i], q));
        sum += z[i];
        squares += z[i] * z[i];
        fourth += z[i] * z[i] * z[i] * z[i];
    }
    CHECK(wrong == 0);
    CHECK(worst < 1e-14);
    CHECK(fabs(sum / MANY) < 6 / sqrt(MANY));
    CHECK(fabs(squares / MANY - 1) < 6 * sqrt(2) / sqrt(MANY));
    CHECK(fabs(fourth / MANY - 3) < 6 * sqrt(96) / sqrt(MANY));

    double shifted[100];
    CHECK(!dc_random_normal_f64(key, counter, 100, -3, 0.25, shifted));
    for (size_t i = 0; i < 100; i++) CHECK(shifted[i] == -3 + 0.25 * z[i]);
    CHECK(!dc_random_normal_f64(key, counter, 100, 2, 0, shifted));
    for (size_t i = 0; i < 100; i++) CHECK(shifted[i] == 2);
    free(z);
    free(x);
}

/* ---- Permutations ---------------------------------------------------------------------------- */

static void test_permutation(void) {
    static int64_t order[5000], again[5000];
    static char seen[5000];
    for (size_t n = 0; n <= 5000; n = n < 20 ? n + 1 : n * 5) {
        memset(seen, 0, sizeof seen);
        CHECK(!dc_random_permutation(3, n, n, order) && !dc_random_permutation(3, n, n, again));
        CHECK(memcmp(order, again, n * sizeof *order) == 0);
        for (size_t i = 0; i < n; i++) {
            CHECK(order[i] >= 0 && order[i] < (int64_t)n);
            CHECK(!seen[order[i]]++);
        }
    }
    /* Each of the 24 orders of four as often: chi squared of 23 degrees of freedom, whose mean is
     * 23 and which exceeds 65 once in 100 000 draws (and these draws are always the same). */
    enum { DRAWS = 24000 };
    int counts[256] = {0};
    for (uint64_t i = 0; i < DRAWS; i++) {
        CHECK(!dc_random_permutation(5, i, 4, order));
        counts[order[0] << 6 | order[1] << 4 | order[2] << 2 | order[3]]++;
    }
    double chi = 0;
    int kinds = 0;
    for (int i = 0; i < 256; i++) {
        if (!counts[i]) continue;
        kinds++;
        chi += (counts[i] - DRAWS / 24.0) * (counts[i] - DRAWS / 24.0) / (DRAWS / 24.0);
    }
    CHECK(kinds == 24 && chi < 65);
}

/* ---- The numbers that every machine must draw; arguments ------------------------------------- */

/* Of n elements of 64 bits. */
static uint64_t digest(size_t n, const void *elements) {
    uint64_t hash = DIGEST_START;
    for (size_t i = 0; i < n; i++) {
        uint64_t bits;
        memcpy(&bits, (const char *)elements + i * sizeof bits, sizeof bits);
        hash = digest_word(hash, bits, sizeof bits);
    }
    return hash;
}

static void test_same_everywhere(void) {
    static double normal[50000];
    static int64_t order[10000];
    CHECK(!dc_random_normal_f64(1, 2, 50000, 0, 1, normal));
    CHECK(!dc_random_permutation(1, 2, 10000, order));
    CHECK(digest(50000, normal) == 0x4084e3668631da9fu);
    CHECK(digest(10000, order) == 0xcacbd922ed01cf9du);
}

static void test_arguments(void) {
    float x = 7;
    double y = 7;
    CHECK(dc_random_uniform_f32(0, 0, 1, NULL) == DC_BAD_POINTER);
    CHECK(dc_random_uniform_f64(0, 0, 1, NULL) == DC_BAD_POINTER);
    CHECK(dc_random_normal_f32(0, 0, 1, 0, 1, NULL) == DC_BAD_POINTER);
    CHECK(dc_random_normal_f64(0, 0, 1, 0, 1, NULL) == DC_BAD_POINTER);
    CHECK(dc_random_permutation(0, 0, 1, NULL) == DC_BAD_POINTER);
    CHECK(!dc_random_uniform_f32(0, 0, 0, NULL) && !dc_random_uniform_f64(0, 0, 0, NULL));
    CHECK(!dc_random_normal_f32(0, 0, 0, 0, 1, NULL) && !dc_random_permutation(0, 0, 0, NULL));
    static const double bad[][2] = {{NAN, 1},      {INFINITY, 1}, {-INFINITY, 1}, {0, NAN},
                                    {0, INFINITY}, {0, -1},       {0, -1e-300}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK(dc_random_normal_f32(0, 0, 1, bad[i][0], bad[i][1], &x) == DC_BAD_VALUE && x == 7);
        CHECK(dc_random_normal_f64(0, 0, 1, bad[i][0], bad[i][1], &y) == DC_BAD_VALUE && y == 7);
    }
}

int main(void) {
    test_vectors();
    test_uniform();
    test_normal();
    test_permutation();
    test_same_everywhere();
    test_arguments();
    return check_result();
}
