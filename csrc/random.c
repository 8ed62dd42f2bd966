/* Uniform and normal numbers and permutations, from the words of random.h.
 *
 * Only exact operations and correctly rounded ones (+, -, *, /, sqrt) make them, never the C
 * library's logarithm, so every machine draws the same numbers. */
#include "random.h"

#include <math.h>
#include <string.h>

#include "deepc.h"
#include "mode.h"
#include "target.h"

/* The words of a stream, in order. */
typedef struct source {
    uint64_t key, counter, block;
    unsigned used;
    uint32_t words[RANDOM_WORDS];
} source;

/* The words stay as they are until next_word makes some: to clear and copy them, as a structure
 * that is returned would be, takes a quarter of the time of ten numbers. */
static void start(source *s, uint64_t key, uint64_t counter) {
    s->key = key;
    s->counter = counter;
    s->block = 0;
    s->used = RANDOM_WORDS;
}

static uint32_t next_word(source *s) {
    if (s->used == RANDOM_WORDS) {
        random_words(s->key, s->counter, s->block, s->words);
        s->block += RANDOM_BLOCKS;
        s->used = 0;
    }
    return s->words[s->used++];
}

static uint64_t next_pair(source *s) {
    const uint64_t low = next_word(s);
    return low | (uint64_t)next_word(s) << 32;
}

int dc_random_uniform_f32(uint64_t key, uint64_t counter, size_t n, float *y) {
    DEFAULT_MODE;
    if (n && !y) return DC_BAD_POINTER;
    source s;
    start(&s, key, counter);
    for (size_t i = 0; i < n; i++) y[i] = (float)(next_word(&s) >> 8) * 0x1p-24f;
    return DC_OK;
}

int dc_random_uniform_f64(uint64_t key, uint64_t counter, size_t n, double *y) {
    DEFAULT_MODE;
    if (n && !y) return DC_BAD_POINTER;
    source s;
    start(&s, key, counter);
    for (size_t i = 0; i < n; i++) y[i] = (double)(next_pair(&s) >> 11) * 0x1p-53;
    return DC_OK;
}

/* log(x) for 0 < x <= 1, normal: x = f 2^e with sqrt(1/2) <= f < sqrt(2), and log f is 2 atanh(z)
 * for z = (f - 1) / (f + 1), |z| < 0.172, by its series. The first term left out is
 * 2 z^25 / 25 < 7e-21; the relative error, measured, 3.2e-16. */
static double logarithm(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int exponent = (int)(bits >> 52) - 1023;
    bits = (bits & 0x000fffffffffffffULL) | 0x3ff0000000000000ULL;
    double f;
    memcpy(&f, &bits, sizeof f);
    if (f > 1.4142135623730951) {
        f *= 0.5;
        exponent++;
    }
    const double z = (f - 1) / (f + 1), z2 = z * z;
    double series = 0;
    for (int n = 23; n >= 3; n -= 2) series = (series + 1.0 / n) * z2;
    return exponent * 0.69314718055994530942 + (2 * z + 2 * z * series);
}

static double ratio(double r, const double top[8], const double bottom[8]) {
    double p = top[7], q = bottom[7];
    for (int i = 6; i >= 0; i--) {
        p = p * r + top[i];
        q = q * r + bottom[i];
    }
    return p / q;
}

/* The number below which a standard normal variable lies with probability 1/2 + q, |q| < 1/2:
 * PPND16 of Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied
 * Statistics 37 (1988); relative error below 1e-15. */
static double normal_quantile(double q) {
    static const double a[8] = {3.3871328727963666080e0,  1.3314166789178437745e+2,
                                1.9715909503065514427e+3, 1.3731693765509461125e+4,
                                4.5921953931549871457e+4, 6.7265770927008700853e+4,
                                3.3430575583588128105e+4, 2.5090809287301226727e+3};
    static const double b[8] = {1.0,
                                4.2313330701600911252e+1,
                                6.8718700749205790830e+2,
                                5.3941960214247511077e+3,
                                2.1213794301586595867e+4,
                                3.9307895800092710610e+4,
                                2.8729085735721942674e+4,
                                5.2264952788528545610e+3};
    static const double c[8] = {1.42343711074968357734e0,  4.63033784615654529590e0,
                                5.76949722146069140550e0,  3.64784832476320460504e0,
                                1.27045825245236838258e0,  2.41780725177450611770e-1,
                                2.27238449892691845833e-2, 7.74545014278341407640e-4};
    static const double d[8] = {1.0,
                                2.05319162663775882187e0,
                                1.67638483018380384940e0,
                                6.89767334985100004550e-1,
                                1.48103976427480074590e-1,
                                1.51986665636164571966e-2,
                                5.47593808499534494600e-4,
                                1.05075007164441684324e-9};
    static const double e[8] = {6.65790464350110377720e0,  5.46378491116411436990e0,
                                1.78482653991729133580e0,  2.96560571828504891230e-1,
                                2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                2.71155556874348757815e-5, 2.01033439929228813265e-7};
    static const double f[8] = {1.0,
                                5.99832206555887937690e-1,
                                1.36929880922735805310e-1,
                                1.48753612908506148525e-2,
                                7.86869131145613259100e-4,
                                1.84631831751005468180e-5,
                                1.42151175831644588870e-7,
                                2.04426310338993978564e-15};
    if (fabs(q) <= 0.425) return q * ratio(0.180625 - q * q, a, b);
    const double r = sqrt(-logarithm(0.5 - fabs(q)));
    const double z = r <= 5 ? ratio(r - 1.6, c, d) : ratio(r - 5, e, f);
    return q < 0 ? -z : z;
}

/* At probability (i + 1/2) / 2^53 for a 53-bit i. Its distance q from 1/2 is a double without
 * rounding; the probability itself is not, and near 1 it would round to 1, whose quantile is
 * infinite. */
static double next_normal(source *s) {
    const int64_t i = (int64_t)(next_pair(s) >> 11);
    return normal_quantile(((double)(i - ((int64_t)1 << 52)) + 0.5) * 0x1p-53);
}

static int check_normal(size_t n, double mean, double deviation, const void *y) {
    if (n && !y) return DC_BAD_POINTER;
    return isfinite(mean) && isfinite(deviation) && deviation >= 0 ? DC_OK : DC_BAD_VALUE;
}

int dc_random_normal_f32(uint64_t key, uint64_t counter, size_t n, double mean, double deviation,
                         float *y) {
    DEFAULT_MODE;
    ROUND_FROM_HERE(mean);
    ROUND_FROM_HERE(deviation);
    const int status = check_normal(n, mean, deviation, y);
    if (status) return status;
    source s;
    start(&s, key, counter);
    for (size_t i = 0; i < n; i++) y[i] = (float)(mean + deviation * next_normal(&s));
    return DC_OK;
}

int dc_random_normal_f64(uint64_t key, uint64_t counter, size_t n, double mean, double deviation,
                         double *y) {
    DEFAULT_MODE;
    ROUND_FROM_HERE(mean);
    ROUND_FROM_HERE(deviation);
    const int status = check_normal(n, mean, deviation, y);
    if (status) return status;
    source s;
    start(&s, key, counter);
    for (size_t i = 0; i < n; i++) y[i] = mean + deviation * next_normal(&s);
    return DC_OK;
}

/* The high half of a times b; the low half goes to *low. */
static uint64_t multiply(uint64_t a, uint64_t b, uint64_t *low) {
    *low = a * b;
#if defined(__SIZEOF_INT128__)
    __extension__ typedef unsigned __int128 uint128;
    return (uint64_t)((uint128)a * b >> 64);
#else
    const uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    const uint64_t one = a1 * b0 + (a0 * b0 >> 32), other = a0 * b1 + (uint32_t)one;
    return a1 * b1 + (one >> 32) + (other >> 32);
#endif
}

/* A number below `limit` (1 or more), each as likely: the high half of limit times a random word,
 * drawn again while the low half is one of the 2^64 mod limit values that some results have too
 * many of (Lemire, "Fast random integer generation in an interval", 2019). */
static uint64_t below(source *s, uint64_t limit) {
    uint64_t low, high = multiply(next_pair(s), limit, &low);
    if (low < limit) {
        const uint64_t excess = -limit % limit;
        while (low < excess) high = multiply(next_pair(s), limit, &low);
    }
    return high;
}

int dc_random_permutation(uint64_t key, uint64_t counter, size_t n, int64_t *order) {
    if (n && !order) return DC_BAD_POINTER;
    source s;
    start(&s, key, counter);
    for (size_t i = 0; i < n; i++) order[i] = (int64_t)i;
    for (size_t i = n; i > 1; i--) {
        const size_t j = (size_t)below(&s, i);
        const int64_t last = order[i - 1];
        order[i - 1] = order[j];
        order[j] = last;
    }
    return DC_OK;
}
