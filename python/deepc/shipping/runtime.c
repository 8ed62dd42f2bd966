/* What an exported network computes with: the library's operations, one element at a time.
 *
 * deepc.export_c copies from here the blocks that a network needs. A block begins with its name,
 * the dtype that it is for where there are two of them, and the blocks that it calls. `real`
 * becomes float or double, `bits_t` the unsigned integer of that size, and what begins with net_ or
 * NET_ begins with the network's name. The file is not compiled by itself.
 *
 * Every function has the bits of its namesake in csrc/kernels/, whatever the compiler contracts: no
 * product is an operand of a sum but inside net_fma. Keep it so. */

//@ header
/* A neural network, written by deepc DEEPC_VERSION; SOURCE_FILE says more. */
#ifndef NET_H
#define NET_H

#define NET_INPUTS INPUT_COUNT
#define NET_OUTPUTS OUTPUT_COUNT

#ifdef __cplusplus
extern "C" {
#endif

/* y = what the network gives for x; the two must not overlap. */
void net_forward(const real x[NET_INPUTS], real y[NET_OUTPUTS]);

/* The number of the largest output, the first of equals; of a single output, whether it is above
 * one half (after a sigmoid) or zero. */
int net_predict(const real x[NET_INPUTS]);

/* 0 if this machine, with this compiler and its options, gives the bits that deepc gives. */
int net_self_test(void);

#ifdef __cplusplus
}
#endif

#endif

//@ head
/* A neural network in real: LAYERS.
 *
 * Written by deepc DEEPC_VERSION. The results have the bits that deepc computes, with every
 * compiler, option and processor that follows IEEE 754; net_self_test() tells whether they do. (NaN
 * is NaN; its sign and payload are the processor's.) With -mfma or its like, or for a processor
 * that always has a fused multiply-add, it is 5 to 20 times faster, with the same bits.
 *
 * C99 or C++. Needs no library, no heap, no static memory that is written; may be called from
 * several threads at once. */
#include "HEADER_FILE"

#include <float.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

//@ guards
#if defined(__FAST_MATH__) || defined(_M_FP_FAST)
#error "-ffast-math (/fp:fast) gives other results; compile this file without it"
#endif
#if defined(FLT_EVAL_METHOD) && \
    (FLT_EVAL_METHOD < 0 || FLT_EVAL_METHOD == 1 || FLT_EVAL_METHOD == 2)
#error "intermediate results have more bits than their type; use -msse2 -mfpmath=sse or its like"
#endif

/* Where the constants are: __flash with avr-gcc, which otherwise copies them to RAM. */
#ifndef NET_FLASH
#define NET_FLASH
#endif

/* Whether loops are written for vectors, or for registers and size. */
#ifndef NET_VECTORS
#if defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__) &&                                        \
    (defined(__FMA__) || defined(__aarch64__))
#define NET_VECTORS 1
#else
#define NET_VECTORS 0
#endif
#endif
#if defined(__GNUC__)
#define NET_INLINE __attribute__((always_inline))
#else
#define NET_INLINE
#endif
#if defined(__GNUC__) && __GNUC__ >= 8 && !defined(__clang__)
#define NET_ROLLED _Pragma("GCC unroll 1")
#else
#define NET_ROLLED
#endif
/* Outputs that are computed at once, and of them in one vector. */
#define NET_TILE 32
#define NET_LANES 8
/* What an array of weights is longer in memory, so that whole vectors can be read. */
#ifndef NET_PAD
#define NET_PAD (NET_VECTORS ? NET_TILE : 0)
#endif
/* How many numbers an array between two steps has for n: whole vectors, whose last lanes nobody
 * reads. */
#define NET_WIDE(n) (NET_PAD ? ((n) + NET_LANES - 1) / NET_LANES * NET_LANES : (n))
#define NET_SUM_BLOCK 4096
/* Whether a sum of products has more than one block of 256. */
#define NET_BLOCKS MORE_THAN_A_BLOCK

//@ bits
static bits_t net_bits(real x) {
    bits_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

//@ number
static real net_number(bits_t bits) {
    real x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

//@ fma float: bits
/* a * b + c, rounded once: by the processor's instruction, through double, or in integers. Not by
 * the C library's fmaf, which is wrong in several and slow in others. */
#if defined(__FP_FAST_FMAF) || defined(__FMA__) || defined(__aarch64__) ||                         \
    (defined(__ARM_FEATURE_FMA) && defined(__ARM_FP)) || defined(__s390x__) ||                     \
    (defined(__riscv_flen) && __riscv_flen >= 32) ||                                               \
    (defined(__powerpc64__) && !defined(_SOFT_FLOAT))
#define NET_FUSED 1
static inline float net_fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
#elif defined(_MSC_VER) && defined(__AVX2__)
#include <immintrin.h>
#define NET_FUSED 1
static inline float net_fma(float a, float b, float c) {
    return _mm_cvtss_f32(_mm_fmadd_ss(_mm_set_ss(a), _mm_set_ss(b), _mm_set_ss(c)));
}
#elif !defined(NET_INTEGER_FMA) && DBL_MANT_DIG == 53 && !defined(__SOFTFP__) &&                   \
    !defined(__riscv_float_abi_soft) && !(defined(__riscv_flen) && __riscv_flen < 64) &&           \
    !(defined(__arm__) && (!defined(__ARM_FP) || !(__ARM_FP & 8)))
static inline float net_fma(float a, float b, float c) {
    /* The product is exact. The sum, rounded to double and then to float, is wrong only where it
     * lies in the middle between two floats, or below the smallest normal float. */
    const double product = (double)a * b, sum = product + c;
    uint64_t bits;
    memcpy(&bits, &sum, sizeof bits);
    if ((bits & 0x1fffffff) != 0x10000000 && (bits >> 52 & 0x7ff) >= 1023 - 126) return (float)sum;
    {
        /* There the last bit of the double is made odd if the sum was not exact. */
        const double back = sum - product, rest = (product - (sum - back)) + (c - back);
        double odd;
        if (rest != 0 && !(bits & 1)) bits += (rest > 0) == (sum > 0) ? 1 : (uint64_t)-1;
        memcpy(&odd, &bits, sizeof odd);
        return (float)odd;
    }
}
#else
/* How many zeros stand before the first one; x is not 0. */
static int net_zeros(uint64_t x) {
#if defined(__GNUC__)
    return __builtin_clzll(x);
#else
    int n = 0;
    for (; !(x >> 63); x <<= 1) n++;
    return n;
#endif
}
static float net_fma(float a, float b, float c) {
    const uint32_t ia = net_bits(a), ib = net_bits(b), ic = net_bits(c);
    int ea = (int)(ia >> 23 & 255), eb = (int)(ib >> 23 & 255), ec = (int)(ic >> 23 & 255);
    int e, shift;
    uint32_t sign = (ia ^ ib) & 0x80000000u, sign_c = ic & 0x80000000u;
    uint64_t p, q;
    if (ea == 255 || eb == 255 || !(ia << 1) || !(ib << 1)) return a * b + c;
    if (ec == 255) return c;
    if (!(ic << 1)) return a * b;
    /* p 2^ea is the product and q 2^ec is c, their first one at bit 61. */
    p = (uint64_t)((ia & 0x7fffff) | (ea ? 0x800000u : 0)) *
        ((ib & 0x7fffff) | (eb ? 0x800000u : 0));
    q = (ic & 0x7fffff) | (ec ? 0x800000u : 0);
    ea = (ea ? ea : 1) + (eb ? eb : 1) - 300;
    ec = (ec ? ec : 1) - 150;
    shift = net_zeros(p) - 2;
    p <<= shift;
    ea -= shift;
    shift = net_zeros(q) - 2;
    q <<= shift;
    ec -= shift;
    if (ea < ec || (ea == ec && p < q)) {
        const uint64_t r = p;
        const uint32_t s = sign;
        p = q, q = r, sign = sign_c, sign_c = s;
        shift = ec - ea, e = ec;
    } else {
        shift = ea - ec, e = ea;
    }
    /* What is shifted out leaves its trace in the last bit. */
    if (shift > 61)
        q = 1;
    else if (shift)
        q = q >> shift | (q << (64 - shift) != 0);
    if (sign == sign_c)
        p += q;
    else if (!(p -= q))
        return 0;
    shift = 40 - net_zeros(p);
    if (e + shift < -149) shift = -149 - e;
    e += shift;
    if (shift > 63) {
        p = 0;
    } else if (shift > 0) {
        const uint64_t rest = p << (64 - shift), half = (uint64_t)1 << 63;
        p >>= shift;
        p += rest > half || (rest == half && (p & 1));
    } else {
        p <<= -shift;
    }
    sign |= e > 104 ? 0x7f800000u : ((uint32_t)(e + 149) << 23) + (uint32_t)p;
    memcpy(&c, &sign, sizeof c);
    return c;
}
#endif

//@ fma double: bits
/* a * b + c, rounded once: by the processor's instruction, or in integers. Not by the C library's
 * fma, which is not fused in some and slow in others. */
#if defined(__FP_FAST_FMA) || defined(__FMA__) || defined(__aarch64__) ||                          \
    (defined(__ARM_FEATURE_FMA) && defined(__ARM_FP) && (__ARM_FP & 8)) || defined(__s390x__) ||   \
    (defined(__riscv_flen) && __riscv_flen >= 64) ||                                               \
    (defined(__powerpc64__) && !defined(_SOFT_FLOAT))
#define NET_FUSED 1
static inline double net_fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
#elif defined(_MSC_VER) && defined(__AVX2__)
#include <immintrin.h>
#define NET_FUSED 1
static inline double net_fma(double a, double b, double c) {
    return _mm_cvtsd_f64(_mm_fmadd_sd(_mm_set_sd(a), _mm_set_sd(b), _mm_set_sd(c)));
}
#else
/* 128 bits. */
typedef struct net_wide {
    uint64_t high, low;
} net_wide;
static int net_zeros(uint64_t x) {
#if defined(__GNUC__)
    return x ? __builtin_clzll(x) : 64;
#else
    int n = 0;
    for (; n < 64 && !(x >> 63); x <<= 1) n++;
    return n;
#endif
}
static net_wide net_shift_up(net_wide x, int n) {
    if (n >= 64) x.high = x.low, x.low = 0, n -= 64;
    if (n) x.high = x.high << n | x.low >> (64 - n), x.low <<= n;
    return x;
}
/* What is shifted out leaves its trace in the last bit. */
static net_wide net_shift_down(net_wide x, int n) {
    uint64_t lost = 0;
    if (n > 127) {
        lost = x.high | x.low;
        x.high = x.low = 0;
        n = 0;
    }
    if (n >= 64) lost = x.low, x.low = x.high, x.high = 0, n -= 64;
    if (n) {
        lost |= x.low << (64 - n);
        x.low = x.low >> n | x.high << (64 - n);
        x.high >>= n;
    }
    x.low |= lost != 0;
    return x;
}
/* Moves the first one to bit 125; returns by how much. */
static int net_raise(net_wide *x) {
    const int zeros = x->high ? net_zeros(x->high) : 64 + net_zeros(x->low);
    *x = net_shift_up(*x, zeros - 2);
    return zeros - 2;
}
static net_wide net_product(uint64_t a, uint64_t b) {
    const uint64_t al = a & 0xffffffffu, ah = a >> 32, bl = b & 0xffffffffu, bh = b >> 32;
    const uint64_t low = al * bl, cross = ah * bl + (low >> 32), more = al * bh;
    const uint64_t middle = (cross & 0xffffffffu) + more;
    net_wide x;
    x.high = ah * bh + (cross >> 32) + (middle >> 32);
    x.low = middle << 32 | (low & 0xffffffffu);
    return x;
}
static double net_fma(double a, double b, double c) {
    const uint64_t ia = net_bits(a), ib = net_bits(b), ic = net_bits(c);
    const uint64_t top = (uint64_t)1 << 63, one = (uint64_t)1 << 52, fraction = one - 1;
    int ea = (int)(ia >> 52 & 2047), eb = (int)(ib >> 52 & 2047), ec = (int)(ic >> 52 & 2047);
    int e, shift;
    uint64_t sign = (ia ^ ib) & top, sign_c = ic & top, m;
    net_wide p, q;
    if (ea == 2047 || eb == 2047 || !(ia << 1) || !(ib << 1)) return a * b + c;
    if (ec == 2047) return c;
    if (!(ic << 1)) return a * b;
    /* p 2^ea is the product and q 2^ec is c. */
    p = net_product((ia & fraction) | (ea ? one : 0), (ib & fraction) | (eb ? one : 0));
    q.high = 0, q.low = (ic & fraction) | (ec ? one : 0);
    ea = (ea ? ea : 1) + (eb ? eb : 1) - 2150 - net_raise(&p);
    ec = (ec ? ec : 1) - 1075 - net_raise(&q);
    if (ea < ec || (ea == ec && (p.high < q.high || (p.high == q.high && p.low < q.low)))) {
        const net_wide r = p;
        const uint64_t s = sign;
        p = q, q = r, sign = sign_c, sign_c = s;
        shift = ec - ea, e = ec;
    } else {
        shift = ea - ec, e = ea;
    }
    q = net_shift_down(q, shift);
    if (sign == sign_c) {
        p.low += q.low;
        p.high += q.high + (p.low < q.low);
    } else {
        p.high -= q.high + (p.low < q.low);
        p.low -= q.low;
        if (!(p.high | p.low)) return 0;
    }
    /* 55 bits: the number, a bit that tells half, and one for what is below. */
    shift = 73 - (p.high ? net_zeros(p.high) : 64 + net_zeros(p.low));
    if (e + shift < -1076) shift = -1076 - e;
    p = shift > 0 ? net_shift_down(p, shift) : net_shift_up(p, -shift);
    e += shift + 2;
    m = p.low >> 2;
    m += (p.low & 3) == 3 || (p.low & 7) == 6;
    sign |= e > 971 ? (uint64_t)2047 << 52 : ((uint64_t)(e + 1074) << 52) + m;
    memcpy(&c, &sign, sizeof c);
    return c;
}
#endif

//@ format float
#define NET_BIAS 127
#define NET_FRACTION 23

//@ exp_numbers float: fma format
#define NET_LN2 0x1.62e43p-1f
#define NET_LN2_HIGH 0x1.62e4p-1f
#define NET_LN2_LOW 0x1.7f7d1cp-20f
#define NET_LOG2_E 0x1.715476p+0f
#define NET_EXP_LEAST (-104.0f)
#define NET_EXP_MOST 89.0f
/* Adding this to a small number leaves the nearest integer n in the last bits. */
#define NET_ROUND 0x1.8p23f
#define NET_ROUND_BITS 0x4b400000u

//@ exp_rest float: exp_numbers
/* (e^r - 1 - r) / r^2 for |r| <= ln 2 / 2. */
static inline float net_exp_rest(float r) {
    float q = net_fma(0x1.6a504ap-10f, r, 0x1.123974p-7f);
    q = net_fma(q, r, 0x1.5558acp-5f);
    q = net_fma(q, r, 0x1.555492p-3f);
    return net_fma(q, r, 0x1.fffffcp-2f);
}

//@ format double
#define NET_BIAS 1023
#define NET_FRACTION 52

//@ exp_numbers double: fma format
#define NET_LN2 0x1.62e42fefa39efp-1
#define NET_LN2_HIGH 0x1.62e42feep-1
#define NET_LN2_LOW 0x1.a39ef35793c76p-33
#define NET_LOG2_E 0x1.71547652b82fep+0
#define NET_EXP_LEAST (-746.0)
#define NET_EXP_MOST 710.0
/* Adding this to a small number leaves the nearest integer n in the last bits. */
#define NET_ROUND 0x1.8p52
#define NET_ROUND_BITS ((uint64_t)0x43380000u << 32)

//@ exp_rest double: exp_numbers
/* (e^r - 1 - r) / r^2 for |r| <= ln 2 / 2. */
static inline double net_exp_rest(double r) {
    const double r2 = r * r;
    const double q0 = net_fma(0x1.555555555550bp-3, r, 0x1.000000000000ap-1);
    const double q1 = net_fma(0x1.11111111248fp-7, r, 0x1.555555555077fp-5);
    const double q2 = net_fma(0x1.a01a0137c4feep-13, r, 0x1.6c16c184412f9p-10);
    const double q3 = net_fma(0x1.71df0d19149a6p-19, r, 0x1.a01999f65287dp-16);
    const double q4 = net_fma(0x1.ad9f435dbf8bcp-26, r, 0x1.28ad73ff90fa9p-22);
    const double high = net_fma(net_fma(q4, r2, q3), r2, q2);
    return net_fma(net_fma(high, r2, q1), r2, q0);
}

//@ exp2i: exp_numbers bits number
/* 2^n for n of which NET_ROUND + n is given; anything for NaN. */
static inline real net_exp2i(real shifted) {
    return net_number((net_bits(shifted) + NET_BIAS) << NET_FRACTION);
}

//@ exp: exp_rest bits number
/* e^x for NET_EXP_LEAST <= x <= NET_EXP_MOST. */
static inline real net_exp_in_range(real x) {
    const real shifted = net_fma(x, NET_LOG2_E, NET_ROUND), n = shifted - NET_ROUND;
    const real r = net_fma(-n, NET_LN2_LOW, net_fma(-n, NET_LN2_HIGH, x));
    const real y = net_fma(net_fma(net_exp_rest(r), r, 1), r, 1);
    /* 2^n in two parts, as it may be out of range itself; only the second product rounds. */
    const bits_t up = net_bits(shifted) - NET_ROUND_BITS + 4 * (NET_BIAS + 1), half = up >> 1;
    return y * net_number((half + NET_BIAS - 2 * (NET_BIAS + 1)) << NET_FRACTION) *
           net_number((up - half + NET_BIAS - 2 * (NET_BIAS + 1)) << NET_FRACTION);
}

//@ sigmoid: exp
static inline real net_sigmoid(real x) {
    const real low = net_number(net_bits(x) | (bits_t)1 << (8 * sizeof(bits_t) - 1)); /* -|x| */
    const real e = net_exp_in_range(NET_EXP_LEAST > low ? NET_EXP_LEAST : low);
    const real top = x < 0 ? e : 1;
    return net_fma(-top, e / (1 + e), top);
}

//@ tanh float: exp2i
static inline float net_tanh_near(float a) {
    const float z = a * a;
    float p = net_fma(0x1.0d22aap-6f, z, -0x1.af71a6p-5f);
    p = net_fma(p, z, 0x1.10ce92p-3f);
    p = net_fma(p, z, -0x1.55545p-2f);
    return net_fma(a * z, p, a);
}
static inline float net_tanh_far(float a) {
    const float shifted = net_fma(a, 2 * NET_LOG2_E, NET_ROUND), n = shifted - NET_ROUND;
    const float r = net_fma(-n, NET_LN2 / 2, a);
    float p = net_fma(-0x1.10b172p-2f, r, 0x1.5733b8p-1f), e;
    p = net_fma(p, r, -0x1.555796p+0f);
    p = net_fma(p, r, 0x1.fffdd4p+0f);
    p = net_fma(p, r, -0x1.fffffcp+0f);
    e = net_fma(p, r, 1);
    return net_fma(-2, e / (e + net_exp2i(shifted)), 1);
}
static inline float net_tanh(float x) {
    /* Sizes are compared as integers. From 9.1 up to infinity a is 9.1; NaN stays. */
    const uint32_t bits = net_bits(x), top = bits & 0x80000000u, size = bits ^ top;
    const uint32_t most = 0x4111999au, infinite = 0x7f800000u;
    const int near = size < 0x3f0d0000u /* 0x1.1ap-1f */, above = size - most <= infinite - most;
    uint32_t y;
#if NET_VECTORS
    /* Both, and masks: gcc makes branches of choices, and then no vectors. */
    const uint32_t nears = (uint32_t)-near, aboves = (uint32_t)-above;
    const float a = net_number((most & aboves) | (size & ~aboves));
    y = (net_bits(net_tanh_near(a)) & nears) | (net_bits(net_tanh_far(a)) & ~nears);
#else
    const float a = net_number(above ? most : size);
    y = net_bits(near ? net_tanh_near(a) : net_tanh_far(a));
#endif
    return net_number(y | top); /* y is not negative */
}

//@ tanh double: exp2i exp_rest
static inline double net_tanh(double x) {
    const uint64_t bits = net_bits(x), top = (uint64_t)1 << 63;
    const double size = net_number(bits & ~top), a = 19.1 < size ? 19.1 : size;
    const int near = a < NET_LN2 / 2;
    const double shifted = net_fma(a, -2 * NET_LOG2_E, NET_ROUND), n = shifted - NET_ROUND;
    const double t = net_fma(-n, NET_LN2_HIGH, -2 * a), r = net_fma(-n, NET_LN2_LOW, t);
    const double low = net_fma(-n, NET_LN2_LOW, t - r); /* what rounding took from r */
    const double expm1 = r + net_fma(net_exp_rest(r), r * r, low);
    const double power = net_exp2i(shifted), e = net_fma(power, expm1, power - (near ? 1 : 0));
    const double h = e * 0.5;
    const double q = (near ? h : net_fma(-1.5, e, 0.5)) / ((near ? h : e) + 1);
    const double y = net_fma(near ? h : 1, q, near ? 0 - h : 0.5);
    return net_number((net_bits(y) & ~top) | (bits & top));
}

//@ relu
static inline real net_relu(real x) { return x <= 0 ? 0 : x; }

//@ lanes
/* The sum of 16 lanes: i and i + 8, i + 4, i + 2, i + 1. */
static real net_lanes_sum(real lane[16]) {
    size_t width, i;
    for (width = 8; width > 0; width /= 2)
        for (i = 0; i < width; i++) lane[i] += lane[i + width];
    return lane[0];
}

//@ softmax: exp lanes
/* y = exp(x - max) / its sum, which is made in 16 lanes, in blocks of 4096; x may be y. */
static void net_softmax(size_t n, const real *x, real *y) {
    real largest = x[0], total = 0;
    size_t i, start;
    for (i = 1; i < n; i++)
        if (x[i] > largest) largest = x[i];
    for (start = 0; start < n; start += NET_SUM_BLOCK) {
        real lane[16] = {0};
        for (i = start; i < n && i < start + NET_SUM_BLOCK; i++) {
            const real below = x[i] - largest;
            y[i] = net_exp_in_range(NET_EXP_LEAST > below ? NET_EXP_LEAST : below);
            lane[i & 15] += y[i];
        }
        total += net_lanes_sum(lane);
    }
    for (i = 0; i < n; i++) y[i] = y[i] / total;
}

//@ apart
/* Ends a step whose results are products: from here on they are numbers in memory, which no
 * compiler fuses with a sum of the next step. */
#if defined(__GNUC__)
#define NET_APART(y) __asm__ volatile("" : : "r"(y) : "memory")
#else
#define NET_APART(y) ((void)(y))
#endif

//@ scale: apart
static inline real net_scale(real x, real factor) { return factor * x; }

//@ identity
static inline real net_identity(real x) { return x; }

//@ at_least
/* The larger one; NaN stays. */
static inline real net_at_least(real x, real low) { return low > x ? low : x; }

//@ at_most
static inline real net_at_most(real x, real high) { return high < x ? high : x; }

//@ signs: bits number
#define NET_SIGN ((bits_t)1 << (8 * sizeof(bits_t) - 1))
static inline real net_size(real x) { return net_number(net_bits(x) & ~NET_SIGN); }
static inline real net_with_sign(real x, real y) {
    return net_number((net_bits(x) & ~NET_SIGN) | (net_bits(y) & NET_SIGN));
}

//@ leaky_relu: apart
static inline real net_leaky_relu(real x, real slope) { return 0 < x ? x : slope * x; }

//@ relu6: relu at_most
static inline real net_relu6(real x) { return net_at_most(net_relu(x), 6); }

//@ hard_sigmoid: relu6
static inline real net_hard_sigmoid(real x) { return net_relu6(x + 3) / 6; }

//@ hard_silu float: apart hard_sigmoid at_least
static inline float net_hard_silu(float x) {
    return net_at_least(x, -FLT_MAX) * net_hard_sigmoid(x);
}

//@ hard_silu double: apart hard_sigmoid at_least
static inline double net_hard_silu(double x) {
    return net_at_least(x, -DBL_MAX) * net_hard_sigmoid(x);
}

//@ softsign float: signs at_most
static inline float net_softsign(float x) {
    const float a = net_at_most(net_size(x), FLT_MAX);
    return net_with_sign(a / (1 + a), x);
}

//@ softsign double: signs at_most
static inline double net_softsign(double x) {
    const double a = net_at_most(net_size(x), DBL_MAX);
    return net_with_sign(a / (1 + a), x);
}

//@ exponential: apart exp at_least at_most
static inline real net_exponential(real x) {
    return net_exp_in_range(net_at_most(net_at_least(x, NET_EXP_LEAST), NET_EXP_MOST));
}

//@ parts: exp_rest bits number
/* e^(x + x_low) in two factors, 2^n (1 + p + p_low), so that a product with it underflows once at
 * most; p_low is what rounding took from p, and n anything for NaN. */
typedef struct net_parts {
    real p, p_low;
    int32_t n;
} net_parts;
static inline net_parts net_in_parts(real x, real x_low) {
    const real shifted = net_fma(x, NET_LOG2_E, NET_ROUND), n = shifted - NET_ROUND;
    const real t = net_fma(-n, NET_LN2_HIGH, x);
    const real less = net_fma(n, NET_LN2_LOW, 0 - x_low);
    const real r = t - less, low = (t - r) - less;
    const real rest = net_fma(net_exp_rest(r), r * r, net_fma(low, r, low));
    net_parts e;
    e.p = r + rest;
    e.p_low = (r - e.p) + rest;
    e.n = (int32_t)((net_bits(shifted) - NET_ROUND_BITS + 4 * (NET_BIAS + 1)) & 0xffff) -
          4 * (NET_BIAS + 1);
    return e;
}
/* 2^n of a normal result. */
static inline real net_power_of_2(int32_t n) {
    return net_number((bits_t)(n + NET_BIAS) << NET_FRACTION);
}

//@ expm1 float: parts signs at_least at_most
#define NET_EXPM1_LEAST (-18.0f)

//@ expm1 double: parts signs at_least at_most
#define NET_EXPM1_LEAST (-38.0)

//@ expm1_below: expm1
/* e^x - 1 for x <= 0, -0 for -0, and 0 above. */
static inline real net_expm1_below(real x) {
    const real within = net_at_most(net_at_least(x, NET_EXPM1_LEAST), 0);
    const net_parts e = net_in_parts(within, 0);
    const real power = net_power_of_2(e.n);
    return net_with_sign(net_fma(power, e.p, power - 1), within);
}

//@ elu: apart expm1_below
static inline real net_elu(real x, real alpha) { return 0 < x ? x : alpha * net_expm1_below(x); }

//@ celu: apart expm1_below
static inline real net_celu(real x, real alpha) {
    return 0 < x ? x : alpha * net_expm1_below(x / alpha);
}

//@ selu float: apart expm1_below
static inline float net_selu(float x) {
    return 0 < x ? 0x1.0cfabep+0f * x : 0x1.c212ccp+0f * net_expm1_below(x);
}

//@ selu double: apart expm1_below
static inline double net_selu(double x) {
    return 0 < x ? 0x1.0cfabd6a91132p+0 * x : 0x1.c212cc640f031p+0 * net_expm1_below(x);
}

//@ log1p float: fma
#define NET_LOG1P_MOST 0x1.555554p-2f
/* log(1 + f) for |f| <= 1/3. */
static inline float net_log1p_near(float f) {
    const float f2 = f * f;
    const float p0 = net_fma(0x1.555506p-2f, f, -0.5f);
    const float p1 = net_fma(0x1.99d044p-3f, f, -0x1.fffefcp-3f);
    const float p2 = net_fma(0x1.1ed662p-3f, f, -0x1.559c44p-3f);
    const float p3 = net_fma(0x1.1e678cp-3f, f, -0x1.f332f8p-4f);
    const float high = net_fma(net_fma(-0x1.07c894p-3f, f2, p3), f2, p2);
    return net_fma(net_fma(net_fma(high, f2, p1), f2, p0), f2, f);
}

//@ log1p double: fma
#define NET_LOG1P_MOST 0x1.a827999fcef34p-2
/* log(1 + f) for sqrt(1/2) <= 1 + f <= sqrt(2). */
static inline double net_log1p_near(double f) {
    const double s = f / (f + 2), z = s * s, z2 = z * z;
    const double p0 = net_fma(0x1.999999997ff5bp-2, z, 0x1.5555555555592p-1);
    const double p1 = net_fma(0x1.c71c5219548ebp-3, z, 0x1.24924941dc02fp-2);
    const double p2 = net_fma(0x1.39a206169050cp-3, z, 0x1.74663bd3893e9p-3);
    const double high = net_fma(net_fma(0x1.2f028fc28bbc1p-3, z2, p2), z2, p1);
    const double p = net_fma(high, z2, p0);
    return net_fma(-s, net_fma(-p, z, f), f);
}

//@ log float: log1p exp_numbers bits number
/* log x for a normal x of at least 1, +infinity or NaN. */
static inline float net_log(float x) {
    const uint32_t bits = net_bits(x);
    const float mantissa = net_number((bits & 0x7fffffu) | 0x3f800000u);
    const int upper = 0x1.555556p+0f < mantissa;
    const float f = (upper ? mantissa * 0.5f : mantissa) - 1;
    const float e = (float)((int32_t)(bits >> 23 & 255) - 127 + upper);
    return !(x <= FLT_MAX) ? x : net_fma(e, NET_LN2, net_log1p_near(f));
}

//@ log double: log1p exp_numbers bits number
/* log x for a normal x of at least 1, +infinity or NaN. */
static inline double net_log(double x) {
    const uint64_t bits = net_bits(x), fraction = ((uint64_t)1 << 52) - 1;
    const double mantissa = net_number((bits & fraction) | (uint64_t)1023 << 52);
    const int upper = 0x1.6a09e667f3bcdp+0 < mantissa;
    const double f = (upper ? mantissa * 0.5 : mantissa) - 1;
    const double e = (double)((int32_t)(bits >> 52 & 2047) - 1023 + upper);
    return !(x <= DBL_MAX) ? x : net_fma(e, NET_LN2, net_log1p_near(f));
}

//@ softplus: exp log1p signs at_least
static inline real net_softplus(real x) {
    const real e = net_exp_in_range(net_at_least(net_with_sign(x, -1), NET_EXP_LEAST));
    const int upper = NET_LOG1P_MOST < e;
    const real half = (real)0.5, f = net_fma(e, half, -half), lost = net_fma(e, half, -half - f);
    const real log1p = net_fma(upper, NET_LN2, net_log1p_near(upper ? f : e));
    return (0 > x ? 0 : x) + net_fma(upper * lost, (real)1.4, log1p);
}

//@ log_sigmoid: softplus
static inline real net_log_sigmoid(real x) {
    const real zero = 0;
    return -zero - net_softplus(-zero - x);
}

//@ gates float
/* Below the first silu and mish round to 0, beyond the second gelu_tanh to 0 or x. */
#define NET_GATE_LEAST (-120.0f)
#define NET_GELU_MOST 12.0f
/* 2 sqrt(2 / pi), and that times 0.044715, each in two parts. */
#define NET_GELU_FIRST 0x1.988454p+0f
#define NET_GELU_FIRST_LOW (-0x1.857936p-25f)
#define NET_GELU_THIRD 0x1.2444f2p-4f
#define NET_GELU_THIRD_LOW 0x1.49b16ap-29f

//@ gates double
/* Below the first silu and mish round to 0, beyond the second gelu_tanh to 0 or x. */
#define NET_GATE_LEAST (-760.0)
#define NET_GELU_MOST 23.0
/* 2 sqrt(2 / pi), and that times 0.044715, each in two parts. */
#define NET_GELU_FIRST 0x1.9884533d43651p+0
#define NET_GELU_FIRST_LOW (-0x1.cbc0d30ebfd15p-54)
#define NET_GELU_THIRD 0x1.2444f2a4d8b4bp-4
#define NET_GELU_THIRD_LOW (-0x1.6c843a29d1c7p-61)

//@ gate: gates parts signs at_least at_most
/* The smaller side of a gate: e = e^-|v|, in parts and as a number (2^-120 where it is less, which
 * is nothing beside 1), and whether v is negative. v_low is what rounding took from v. */
typedef struct net_gate {
    net_parts parts;
    real e;
    int below;
} net_gate;
static inline net_gate net_gate_of(real v, real v_low) {
    net_gate g;
    real power;
    g.below = v < 0;
    g.parts = net_in_parts(net_at_least(net_with_sign(v, -1), NET_GATE_LEAST),
                           g.below ? v_low : 0 - v_low);
    power = net_power_of_2(g.parts.n < -120 ? -120 : g.parts.n);
    g.e = net_fma(power, g.parts.p, power);
    return g;
}
/* q = top / bottom, and what is missing from it. */
typedef struct net_quotient {
    real q, low;
} net_quotient;
/* x (1 - q), or (x + x_low) e (1 - q) where v is negative, with what rounding takes carried along;
 * the power of 2 comes last, so that a result that underflows is rounded once. */
static inline real net_gated(const net_gate *g, real x, real x_low, net_quotient q) {
    const real p = g->parts.p, xe = net_fma(x, p, x);
    const real lost = net_fma(x, g->parts.p_low, net_fma(x, p, x - xe));
    const real xe_low = net_fma(x_low, p, x_low) + lost;
    const real t = g->below ? xe : x;
    const real within = net_at_most(t, -NET_GATE_LEAST);
    const real low = net_fma(-within, q.low, g->below ? xe_low : 0);
    const real y = t + net_fma(-within, q.q, low);
    const int32_t n = g->parts.n, half = n / 2;
    const real scaled = y * net_power_of_2(half) * net_power_of_2(n - half);
    return net_with_sign(g->below ? scaled : y, x);
}

//@ quotient: gate
static inline net_quotient net_divide(real top, real bottom, real bottom_low) {
    const real inverse = 1 / bottom;
    net_quotient q;
    q.q = top * inverse;
    q.low = net_fma(-q.q, bottom_low, net_fma(-q.q, bottom, top)) * inverse;
    return q;
}

//@ sigmoid_rest: quotient
/* 1 / (1 + e^-v) = 1 - q, or q where v is negative. */
static inline net_quotient net_sigmoid_rest(const net_gate *g) {
    const real bottom = 1 + g->e;
    return net_divide(g->e, bottom, g->e - (bottom - 1));
}

//@ silu: sigmoid_rest
static inline real net_silu(real x) {
    const net_gate g = net_gate_of(x, 0);
    return net_gated(&g, net_at_least(x, NET_GATE_LEAST), 0, net_sigmoid_rest(&g));
}

//@ gelu_tanh: sigmoid_rest
static inline real net_gelu_tanh(real x) {
    const real a = net_at_most(net_at_least(x, -NET_GELU_MOST), NET_GELU_MOST);
    const real c = NET_GELU_FIRST, d = NET_GELU_THIRD, z = a * a;
    const real square_low = net_fma(a, a, 0 - z);
    /* A product that is added to later: as a sum with 0 it is fused with nothing else. */
    const real u = net_fma(d, z, 0);
    const real u_low =
        net_fma(d, z, 0 - u) + net_fma(NET_GELU_THIRD_LOW, z, d * square_low);
    const real w = c + u, part = w - c;
    const real w_low = ((c - (w - part)) + (u - part)) + (u_low + NET_GELU_FIRST_LOW);
    const real v = a * w;
    const net_gate g = net_gate_of(v, net_fma(a, w_low, net_fma(a, w, 0 - v)));
    return net_gated(&g, net_at_least(x, -NET_GELU_MOST), 0, net_sigmoid_rest(&g));
}

//@ mish: quotient
static inline real net_mish(real x) {
    const net_gate g = net_gate_of(x, 0);
    const real e = g.e, e2 = e + e, base = g.below ? 2 : 1, k = g.below ? e : e2;
    const real sum = base + e2, bottom = net_fma(k, e, sum);
    const real bottom_low = net_fma(k, e, sum - bottom) + (e2 - (sum - base));
    const net_quotient q = net_divide(net_fma(k, e, g.below ? e : 0), bottom, bottom_low);
    return net_gated(&g, net_at_least(x, NET_GATE_LEAST), 0, q);
}

//@ tail float
#define NET_TAIL_MOST 14.6f
#define NET_TAIL_MIDDLE 2.5f
#define NET_TAIL_FIRST 0x1.2a7de4p-1f
#define NET_TAIL_FIRST_LOW 0x1.96982p-26f
static const NET_FLASH real net_tail_rest[] = {
    -0x1.d6c4d8p-5f, -0x1.34f5d2p-4f, 0x1.04fb0ep-4f, -0x1.3a6038p-7f,  -0x1.0fe4e6p-7f,
    0x1.6f0ae2p-10f, 0x1.b58996p-10f, 0x1.9194ap-15f, -0x1.2f65dap-12f, -0x1.6394c4p-14f};

//@ tail double
#define NET_TAIL_MOST 38.7
#define NET_TAIL_MIDDLE 4
#define NET_TAIL_FIRST 0x1.22078ca96fa5ap-1
#define NET_TAIL_FIRST_LOW 0x1.6073566475d66p-55
static const NET_FLASH real net_tail_rest[] = {
    -0x1.40a2710515806p-4,  -0x1.bd7d64efe1067p-7,  0x1.b7b978b5b806ap-5,   -0x1.88eabed0168ecp-5,
    0x1.921d6a0d73a1p-6,    -0x1.a21c5a323e6a8p-8,  -0x1.0eeaa405b6d27p-11, 0x1.dff1406b483e8p-11,
    -0x1.bf518ae91606cp-14, -0x1.eaa4dba534f6dp-14, 0x1.aa37162d68557p-16,  0x1.2fd4cbc705abcp-16,
    -0x1.11ee6566e4e87p-18, -0x1.cca6f241b2bp-19,   0x1.e4eb0b44d3867p-22,  0x1.7f7764ef30af7p-21,
    0x1.48330aaad5594p-26,  -0x1.2f45fdc16552bp-23, -0x1.1372261acef5ep-25, 0x1.6d8aefb20bd66p-26,
    0x1.73296e8ae01c5p-27,  -0x1.160fa83962ec7p-30, -0x1.cdbac2712cae1p-30, -0x1.5a4b8312b58bbp-32};

//@ gelu: tail gate
/* x - x P(-|x|), or x P(-|x|) where x is negative, with the normal distribution's tail
 * P(-a) = e^(-a^2 / 2) G / (1 + 5/4 a). */
static inline real net_gelu(real x) {
    const real a = net_at_most(net_size(x), NET_TAIL_MOST), c = net_with_sign(a, x);
    const real part = a / (a + NET_TAIL_MIDDLE), s = net_fma(2, part, -1), s2 = s * s;
    const int terms = (int)(sizeof net_tail_rest / sizeof *net_tail_rest);
    real even = net_tail_rest[terms - 2], odd = net_tail_rest[terms - 1];
    real rest, first, first_low, bottom, bottom_low, inverse, z, z_low, top, top_low, m, m_low;
    net_gate g;
    net_quotient none;
    int i;
    for (i = terms - 4; i >= 0; i -= 2) {
        even = net_fma(even, s2, net_tail_rest[i]);
        odd = net_fma(odd, s2, net_tail_rest[i + 1]);
    }
    rest = net_fma(odd, s, even);
    first = net_fma(rest, s, NET_TAIL_FIRST);
    first_low = net_fma(rest, s, NET_TAIL_FIRST - first) + NET_TAIL_FIRST_LOW;
    bottom = net_fma((real)1.25, a, 1);
    bottom_low = net_fma((real)1.25, a, 1 - bottom);
    inverse = 1 / bottom;
    z = a * a;
    z_low = net_fma(a, a, 0 - z);
    g = net_gate_of((real)0.5 * z, (real)0.5 * z_low);
    g.below = x < 0;
    top = c * first;
    top_low = net_fma(c, first_low, net_fma(c, first, 0 - top));
    /* A product that is added to later: as a sum with 0 it is fused with nothing else. */
    m = net_fma(top, inverse, 0);
    m_low = (net_fma(-m, bottom_low, net_fma(-m, bottom, top)) + top_low) * inverse;
    none.q = none.low = 0;
    return g.below ? net_gated(&g, m, m_low, none) : x - net_fma(m, g.e, m_low * g.e);
}

//@ slopes: apart
static void net_slopes(size_t n, const real *x, const NET_FLASH real *slopes, size_t step,
                       real *y) {
    size_t i;
    for (i = 0; i < n; i++) y[i] = x[i] > 0 ? x[i] : slopes[i * step] * x[i];
    NET_APART(y);
}

//@ batch_norm: fma
/* The running statistics: (x - mean) slope + shift; x may be y. */
static void net_batch_norm(size_t n, const real *x, const NET_FLASH real *mean,
                           const NET_FLASH real *slope, const NET_FLASH real *shift, real *y) {
    size_t i;
    for (i = 0; i < n; i++) y[i] = net_fma(x[i] - mean[i], slope[i], shift[i]);
}

//@ root: bits number format
/* The square root, rounded correctly, bit by bit: without the C library, and once a row. */
static real net_root(real x) {
    const bits_t one = (bits_t)1 << NET_FRACTION;
    bits_t m = net_bits(x), q = 0, sum = 0, bit;
    int32_t e = (int32_t)(m >> NET_FRACTION);
    if (!(x > 0) || !(x - x == 0)) return x < 0 ? (x - x) / (x - x) : x;
    m &= one - 1;
    if (e)
        m |= one;
    else
        for (e = 1; !(m & one); m <<= 1) e--;
    e -= NET_BIAS;
    if (e & 1) m <<= 1, e--;
    m <<= 1;
    for (bit = one << 1; bit; bit >>= 1, m <<= 1)
        if (sum + bit <= m) {
            m -= sum + bit;
            sum += bit << 1;
            q += bit;
        }
    if (m) q += q & 1;
    return net_number((q >> 1) + ((bits_t)(e / 2 + NET_BIAS - 1) << NET_FRACTION));
}

//@ layer_norm: lanes root apart
/* Each minus the mean, divided by the deviation; x may be y. gamma and beta may be missing. */
static void net_layer_norm(size_t n, const real *x, const NET_FLASH real *gamma,
                           const NET_FLASH real *beta, real epsilon, real *y) {
    double sum = 0;
    real square = 0, mean, inverse;
    size_t i, start;
    for (start = 0; start < n; start += NET_SUM_BLOCK) {
        real lane[16] = {0};
        for (i = start; i < n && i < start + NET_SUM_BLOCK; i++) lane[i & 15] += x[i];
        sum += net_lanes_sum(lane);
    }
    mean = (real)(sum / (double)n);
    for (i = 0; i < n; i++) y[i] = x[i] - mean;
    for (start = 0; start < n; start += NET_SUM_BLOCK) {
        real lane[16] = {0};
        for (i = start; i < n && i < start + NET_SUM_BLOCK; i++)
            lane[i & 15] = net_fma(y[i], y[i], lane[i & 15]);
        square += net_lanes_sum(lane);
    }
    inverse = 1 / net_root(square / (real)n + epsilon);
    for (i = 0; i < n; i++) y[i] = gamma ? y[i] * inverse * gamma[i] : y[i] * inverse;
    NET_APART(y);
    for (i = 0; beta && i < n; i++) y[i] += beta[i];
}

//@ log_softmax: exp log lanes at_least
/* y = x - max - log(sum of exp(x - max)); x may be y. */
static void net_log_softmax(size_t n, const real *x, real *y) {
    real largest = x[0], total = 0;
    size_t i, start;
    for (i = 1; i < n; i++)
        if (x[i] > largest) largest = x[i];
    for (start = 0; start < n; start += NET_SUM_BLOCK) {
        real lane[16] = {0};
        for (i = start; i < n && i < start + NET_SUM_BLOCK; i++)
            lane[i & 15] += net_exp_in_range(net_at_least(x[i] - largest, NET_EXP_LEAST));
        total += net_lanes_sum(lane);
    }
    total = net_log(total);
    for (i = 0; i < n; i++) y[i] = (x[i] - largest) - total;
}

//@ embedding
/* The rows of a table that whole numbers name, side by side; NaN for what names none. */
static void net_embedding(size_t n, size_t classes, size_t dim, const real *x,
                          const NET_FLASH real *table, real *y) {
    size_t i, j;
    for (i = 0; i < n; i++, y += dim) {
        const int named = x[i] >= 0 && x[i] < (real)classes;
        const NET_FLASH real *row = table + (named ? (size_t)x[i] : 0) * dim;
        for (j = 0; j < dim; j++) y[j] = named ? row[j] : (x[i] - x[i]) / (x[i] - x[i]);
    }
}

//@ linear_rows: fma
/* y = x w + b, w of inputs x outputs, b there or not: an output is a chain of fused multiply-adds
 * for each 256 inputs, from +0; these are added in order, and then the bias. */
#if NET_VECTORS
/* A row of accumulators, which the compiler makes vectors of where the sizes are constants: whole
 * vectors, whose last lanes may belong to no output. What they read beyond a row is the next one,
 * and beyond the last one zeros. Where y has room for them, they are stored as well. */
static inline NET_INLINE void net_linear_part(const size_t inputs, const size_t outputs,
                                              const size_t count, const size_t lanes, const real *x,
                                              const NET_FLASH real *w, const NET_FLASH real *b,
                                              real *y) {
    size_t k, o, start = 0;
    do {
        real sum[NET_TILE];
        const size_t end = inputs - start < 256 ? inputs : start + 256;
        for (o = 0; o < lanes; o++) sum[o] = 0;
        if (lanes > NET_LANES) {
            for (k = start; k < end; k++)
                for (o = 0; o < lanes; o++) sum[o] = net_fma(x[k], w[k * outputs + o], sum[o]);
        } else { /* one vector, if gcc does not take the loop apart before */
            for (k = start; k < end; k++)
                NET_ROLLED
                for (o = 0; o < lanes; o++) sum[o] = net_fma(x[k], w[k * outputs + o], sum[o]);
        }
        for (o = 0; o < count; o++) y[o] = start ? y[o] + sum[o] : sum[o];
        start = end;
    } while (start < inputs);
    for (o = 0; b && o < count; o++) y[o] += b[o];
}
static inline NET_INLINE void net_linear_rows(const size_t inputs, const size_t outputs,
                                              const size_t room, const real *x,
                                              const NET_FLASH real *w, const NET_FLASH real *b,
                                              real *y) {
    const size_t left = outputs % NET_TILE;
    const size_t lanes = !NET_PAD ? left : left <= 4 ? 4 : NET_WIDE(left);
    size_t o = 0;
    for (; o + NET_TILE <= outputs; o += NET_TILE)
        net_linear_part(inputs, outputs, NET_TILE, NET_TILE, x, w + o, b ? b + o : b, y + o);
    if (left)
        net_linear_part(inputs, outputs, o + lanes <= room ? lanes : left, lanes, x, w + o,
                        b ? b + o : b, y + o);
}
#define net_linear(inputs, outputs, x, w, b, y)                                                    \
    net_linear_rows(inputs, outputs, outputs, x, w, b, y)
#define net_linear_few net_linear
#define net_linear_few_wide net_linear_wide
#define net_linear_wide(inputs, outputs, x, w, b, y)                                               \
    net_linear_rows(inputs, outputs, NET_WIDE(outputs), x, w, b, y)
#endif

//@ linear: linear_rows
#if !NET_VECTORS
#define net_linear_wide net_linear
/* Four chains in registers, from the last four outputs to the first ones. Where they are cheap,
 * outputs that have been made are made once more rather than by a loop of their own; else the last
 * ones are fewer than four. At least four outputs. */
static void net_linear(size_t inputs, size_t outputs, const real *x, const NET_FLASH real *w,
                       const NET_FLASH real *b, real *y) {
    size_t o = outputs, k, start, end;
    do {
        const NET_FLASH real *column;
        real y0 = 0, y1 = 0, y2 = 0, y3 = 0, *to;
#ifdef NET_FUSED
        const size_t n = 4;
        o = o < 4 ? 0 : o - 4;
#else
        const size_t n = (o - 1) % 4 + 1;
        o -= n;
#endif
        column = w + o;
        for (start = 0; start < inputs; start = end) {
            const int later = NET_BLOCKS && start;
            real sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
            end = NET_BLOCKS && inputs - start > 256 ? start + 256 : inputs;
            for (k = start; k < end; k++, column += outputs) {
                sum0 = net_fma(x[k], column[0], sum0);
                if (n > 1) sum1 = net_fma(x[k], column[1], sum1);
                if (n > 2) sum2 = net_fma(x[k], column[2], sum2);
                if (n > 3) sum3 = net_fma(x[k], column[3], sum3);
            }
            y0 = later ? y0 + sum0 : sum0;
            y1 = later ? y1 + sum1 : sum1;
            y2 = later ? y2 + sum2 : sum2;
            y3 = later ? y3 + sum3 : sum3;
        }
        if (b) {
            const NET_FLASH real *bias = b + o;
            y0 += bias[0];
            if (n > 1) y1 += bias[1];
            if (n > 2) y2 += bias[2];
            if (n > 3) y3 += bias[3];
        }
        to = y + o;
        to[0] = y0;
        if (n > 1) to[1] = y1;
        if (n > 2) to[2] = y2;
        if (n > 3) to[3] = y3;
    } while (o);
}
#endif

//@ linear_few: linear_rows
#if !NET_VECTORS
#define net_linear_few_wide net_linear_few
/* The same for one to three outputs. */
static void net_linear_few(size_t inputs, size_t outputs, const real *x, const NET_FLASH real *w,
                           const NET_FLASH real *b, real *y) {
    size_t o, k, start, end;
    for (o = 0; o < outputs; o++) {
        const NET_FLASH real *column = w + o;
        for (start = 0; start < inputs; start = end) {
            real sum = 0;
            end = NET_BLOCKS && inputs - start > 256 ? start + 256 : inputs;
            for (k = start; k < end; k++, column += outputs) sum = net_fma(x[k], *column, sum);
            y[o] = NET_BLOCKS && start ? y[o] + sum : sum;
        }
        if (b) y[o] += b[o];
    }
}
#endif

//@ linear_int8: fma
/* y = x w + b as in the linear step, where a weight is its output's scale times a small integer. */
static void net_linear_int8(size_t inputs, size_t outputs, const real *x, const NET_FLASH int8_t *q,
                            const NET_FLASH real *scale, const NET_FLASH real *b, real *y) {
    size_t o, k, start, end;
    for (o = 0; o < outputs; o++) {
        const NET_FLASH int8_t *column = q + o;
        const real unit = scale[o];
        for (start = 0; start < inputs; start = end) {
            real sum = 0;
            end = inputs - start < 256 ? inputs : start + 256;
            for (k = start; k < end; k++, column += outputs)
                sum = net_fma(x[k], unit * (real)*column, sum);
            y[o] = start ? y[o] + sum : sum;
        }
        if (b) y[o] += b[o];
    }
}

//@ predict
int net_predict(const real x[NET_INPUTS]) {
    real y[NET_OUTPUTS], *best = y, *at = y;
    net_forward(x, y);
    while (++at < y + NET_OUTPUTS)
        if (*at > *best) best = at;
    return (int)(best - y);
}

//@ predict_one
int net_predict(const real x[NET_INPUTS]) {
    real y[NET_OUTPUTS];
    net_forward(x, y);
    return y[0] > (real)HALF;
}

//@ self_test: bits
int net_self_test(void) {
    real x[NET_INPUTS], y[NET_OUTPUTS];
    uint32_t state = 1, sum = 0;
    int row, i;
    for (row = 0; row < 16; row++) {
        for (i = 0; i < NET_INPUTS; i++) {
            state = state * 1664525u + 1013904223u;
            x[i] = TEST_INPUT;
        }
        net_forward(x, y);
        for (i = 0; i < NET_OUTPUTS; i++) {
            const bits_t bits = TEST_BITS;
            ADD_BITS
        }
    }
    return sum != EXPECTED;
}

//@ linear_back: fma
/* d_x = w d_y, w of inputs x outputs, in blocks of 256 outputs. */
static void net_linear_back(size_t inputs, size_t outputs, const real *w, const real *d_y,
                            real *d_x) {
    size_t i, o, start;
    for (i = 0; i < inputs; i++, w += outputs)
        for (start = 0; start < outputs; start = o) {
            const size_t end = outputs - start < 256 ? outputs : start + 256;
            real sum = 0;
            for (o = start; o < end; o++) sum = net_fma(d_y[o], w[o], sum);
            d_x[i] = start ? d_x[i] + sum : sum;
        }
}

//@ sigmoid_back
static inline real net_sigmoid_back(real y, real d) { return y * (1 - y) * d; }

//@ tanh_back: fma
static inline real net_tanh_back(real y, real d) { return net_fma(-y, y, 1) * d; }

//@ relu_back
static inline real net_relu_back(real y, real d) { return 0 < y ? d : 0; }

//@ squared_error
static void net_loss_back(const real *y, const real *target, real *d) {
    size_t i;
    for (i = 0; i < NET_OUTPUTS; i++) d[i] = 2 * (y[i] - target[i]);
}

//@ cross_entropy: softmax
static void net_loss_back(const real *y, const real *target, real *d) {
    size_t i;
    net_softmax(NET_OUTPUTS, y, d);
    for (i = 0; i < NET_OUTPUTS; i++) d[i] -= target[i];
}

//@ rate
typedef struct net_numbers {
    real rate;
} net_numbers;
static net_numbers net_next(void) {
    net_numbers c;
    c.rate = (real)net_memory.learning_rate;
    return c;
}

//@ gradient_descent: fma rate
static inline real net_rule(const net_numbers *c, real g, real p, real *u, real *s) {
    (void)u, (void)s;
    return net_fma(-c->rate, g, p);
}

//@ momentum: fma rate
static inline real net_rule(const net_numbers *c, real g, real p, real *u, real *s) {
    (void)s;
    *u = net_fma(RULE_MOMENTUM, *u, RULE_REST * g);
    return net_fma(-c->rate, *u, p);
}

//@ sgd_plain: fma rate
static inline real net_rule(const net_numbers *c, real g, real p, real *u, real *s) {
    (void)u, (void)s;
    return net_fma(-c->rate, net_fma(RULE_DECAY, p, g), p);
}

//@ sgd: fma rate
static inline real net_rule(const net_numbers *c, real g, real p, real *u, real *s) {
    (void)s;
    g = net_fma(RULE_DECAY, p, g);
    *u = net_fma(RULE_MOMENTUM, *u, g);
    return net_fma(-c->rate, RULE_NESTEROV ? net_fma(RULE_MOMENTUM, *u, g) : *u, p);
}

//@ adam: fma
#include <math.h>
#if DBL_MANT_DIG != 53
#error "Adam computes a step's numbers in double, which this target does not have"
#endif
typedef struct net_numbers {
    real rate, correction, shrink;
} net_numbers;
/* x^n; volatile, so that what is subtracted from is the rounded number. */
static double net_power(double x, uint64_t n) {
    volatile double y = 1;
    for (; n > 0; n >>= 1, x *= x)
        if (n & 1) y = y * x;
    return y;
}
static net_numbers net_next(void) {
    net_numbers c;
    const double rate = net_memory.learning_rate;
    net_memory.steps++;
    c.rate = (real)(rate / (1 - net_power(RULE_BETA1, net_memory.steps)));
    c.correction = (real)(1 / sqrt(1 - net_power(RULE_BETA2, net_memory.steps)));
    c.shrink = (real)(rate * RULE_SHRINK);
    return c;
}
static inline real net_rule(const net_numbers *c, real g, real p, real *u, real *s) {
    g = net_fma(RULE_DECAY, p, g);
    p = net_fma(-c->shrink, p, p);
    *u = net_fma(RULE_MOMENTUM, *u, RULE_REST * g);
    *s = net_fma(RULE_SQUARES, *s, RULE_SQUARES_REST * (g * g));
    return p - c->rate * *u / net_fma(SQUARE_ROOT(*s), c->correction, RULE_EPSILON);
}

//@ update: fma
/* One step of a rows x cols parameter whose gradient is x[r] d[o]. */
static void net_update(const net_numbers *c, size_t rows, size_t cols, const real *x, const real *d,
                       real *p, real *first, real *second) {
    size_t r, o, i = 0;
    for (r = 0; r < rows; r++)
        for (o = 0; o < cols; o++, i++)
            p[i] = net_rule(c, net_fma(x[r], d[o], 0), p[i], first + (NET_STATES > 0 ? i : 0),
                            second + (NET_STATES > 1 ? i : 0));
}

//@ train_header
#include <stdint.h>

/* What was learned: copy the struct to store it, copy it back to go on. */
typedef struct net_weights_t {
WEIGHT_MEMBERS
} net_weights_t;
extern net_weights_t net_weights;

/* What the optimizer remembers; the learning rate may be changed. */
typedef struct net_memory_t {
    double learning_rate;
    uint64_t steps;
MEMORY_MEMBERS
} net_memory_t;
extern net_memory_t net_memory;

/* One step: changes the weights as deepc.fit does for this row in a batch of its own. The self test
 * is about the weights before the first one. Not for several threads at once. */
void net_train_step(const real x[NET_INPUTS], const real target[NET_OUTPUTS]);
