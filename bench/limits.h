/* The limits of the machine: floating-point operations a second out of registers, and bytes a
 * second of the plainest loops over memory. No kernel of the library is used here, so it is
 * measured against something that does not know it.
 *
 * Wide instructions are asked for function by function and run only where the CPU has them, so
 * this file needs no flag of the machine that builds. Included by harness.c and, compiled by
 * itself, by limits.py. */
#ifndef DEEPC_BENCH_LIMITS_H
#define DEEPC_BENCH_LIMITS_H

#include <stddef.h>
#include <string.h>

#if defined(__x86_64__) || defined(_M_X64)
#define LIMITS_X86 1
#include <immintrin.h>
#elif defined(__aarch64__)
#define LIMITS_NEON 1
#include <arm_neon.h>
#endif
#define LIMITS_TARGET(names) __attribute__((target(names)))

/* Two multiply-add units with a latency of 4 cycles keep 8 chains busy, four units (on some ARM
 * cores) 16; 12 fit into 16 registers beside the two operands, 24 into 32. */
enum { CHAINS_OF_16 = 12, CHAINS_OF_32 = 24 };

/* Operands that the compiler does not know: chains settle at 1, far from denormals and
 * infinities. */
static volatile float limits_half_f32 = 0.5F;
static volatile double limits_half_f64 = 0.5;
static volatile double limits_sink;

/* ---- Multiply-adds out of registers: each function does `steps` of them in every chain ------- */

/* The number of floating-point operations that one step does. */
typedef struct peak_loop {
    const char *isa; /* the deepc instruction sets that it bounds */
    int bits; /* 32 or 64: of a number */
    double flops;
    void (*run)(size_t steps);
} peak_loop;

#ifdef LIMITS_X86
LIMITS_TARGET("avx512f") static void peak_avx512_f32(size_t steps) {
    const __m512 half = _mm512_set1_ps(limits_half_f32);
    __m512 chain[CHAINS_OF_32];
    for (int i = 0; i < CHAINS_OF_32; i++) chain[i] = _mm512_set1_ps((float)i);
    for (size_t s = 0; s < steps; s++) {
#pragma GCC unroll 24
        for (int i = 0; i < CHAINS_OF_32; i++) chain[i] = _mm512_fmadd_ps(chain[i], half, half);
    }
    for (int i = 1; i < CHAINS_OF_32; i++) chain[0] = _mm512_add_ps(chain[0], chain[i]);
    limits_sink = (double)_mm512_cvtss_f32(chain[0]);
}

LIMITS_TARGET("avx512f") static void peak_avx512_f64(size_t steps) {
    const __m512d half = _mm512_set1_pd(limits_half_f64);
    __m512d chain[CHAINS_OF_32];
    for (int i = 0; i < CHAINS_OF_32; i++) chain[i] = _mm512_set1_pd(i);
    for (size_t s = 0; s < steps; s++) {
#pragma GCC unroll 24
        for (int i = 0; i < CHAINS_OF_32; i++) chain[i] = _mm512_fmadd_pd(chain[i], half, half);
    }
    for (int i = 1; i < CHAINS_OF_32; i++) chain[0] = _mm512_add_pd(chain[0], chain[i]);
    limits_sink = _mm512_cvtsd_f64(chain[0]);
}

LIMITS_TARGET("avx2,fma") static void peak_avx2_f32(size_t steps) {
    const __m256 half = _mm256_set1_ps(limits_half_f32);
    __m256 chain[CHAINS_OF_16];
    for (int i = 0; i < CHAINS_OF_16; i++) chain[i] = _mm256_set1_ps((float)i);
    for (size_t s = 0; s < steps; s++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS_OF_16; i++) chain[i] = _mm256_fmadd_ps(chain[i], half, half);
    }
    for (int i = 1; i < CHAINS_OF_16; i++) chain[0] = _mm256_add_ps(chain[0], chain[i]);
    limits_sink = (double)_mm256_cvtss_f32(chain[0]);
}

LIMITS_TARGET("avx2,fma") static void peak_avx2_f64(size_t steps) {
    const __m256d half = _mm256_set1_pd(limits_half_f64);
    __m256d chain[CHAINS_OF_16];
    for (int i = 0; i < CHAINS_OF_16; i++) chain[i] = _mm256_set1_pd(i);
    for (size_t s = 0; s < steps; s++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS_OF_16; i++) chain[i] = _mm256_fmadd_pd(chain[i], half, half);
    }
    for (int i = 1; i < CHAINS_OF_16; i++) chain[0] = _mm256_add_pd(chain[0], chain[i]);
    limits_sink = _mm256_cvtsd_f64(chain[0]);
}

/* Without fused multiply-add: a multiplication and an addition, on units of their own on most
 * CPUs. */
static void peak_sse2_f32(size_t steps) {
    const __m128 half = _mm_set1_ps(limits_half_f32);
    __m128 chain[CHAINS_OF_16];
    for (int i = 0; i < CHAINS_OF_16; i++) chain[i] = _mm_set1_ps((float)i);
    for (size_t s = 0; s < steps; s++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS_OF_16; i++)
            chain[i] = _mm_add_ps(_mm_mul_ps(chain[i], half), half);
    }
    for (int i = 1; i < CHAINS_OF_16; i++) chain[0] = _mm_add_ps(chain[0], chain[i]);
    limits_sink = (double)_mm_cvtss_f32(chain[0]);
}

static void peak_sse2_f64(size_t steps) {
    const __m128d half = _mm_set1_pd(limits_half_f64);
    __m128d chain[CHAINS_OF_16];
    for (int i = 0; i < CHAINS_OF_16; i++) chain[i] = _mm_set1_pd(i);
    for (size_t s = 0; s < steps; s++) {
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS_OF_16; i++)
            chain[i] = _mm_add_pd(_mm_mul_pd(chain[i], half), half);
    }
    for (int i = 1; i < CHAINS_OF_16; i++) chain[0] = _mm_add_pd(chain[0], chain[i]);
    limits_sink = _mm_cvtsd_f64(chain[0]);
}

/* The set called fma may use any width up to 256 bits: its limit is that of avx2. */
static const peak_loop peak_loops[] = {
    {"avx512", 32, 2.0 * 16 * CHAINS_OF_32, peak_avx512_f32},
    {"avx512", 64, 2.0 * 8 * CHAINS_OF_32, peak_avx512_f64},
    {"avx2", 32, 2.0 * 8 * CHAINS_OF_16, peak_avx2_f32},
    {"avx2", 64, 2.0 * 4 * CHAINS_OF_16, peak_avx2_f64},
    {"portable", 32, 2.0 * 4 * CHAINS_OF_16, peak_sse2_f32},
    {"portable", 64, 2.0 * 2 * CHAINS_OF_16, peak_sse2_f64},
};
#elif defined(LIMITS_NEON)
static void peak_neon_f32(size_t steps) {
    const float32x4_t half = vdupq_n_f32(limits_half_f32);
    float32x4_t chain[CHAINS_OF_32];
    for (int i = 0; i < CHAINS_OF_32; i++) chain[i] = vdupq_n_f32((float)i);
    for (size_t s = 0; s < steps; s++) {
#pragma GCC unroll 24
        for (int i = 0; i < CHAINS_OF_32; i++) chain[i] = vfmaq_f32(half, chain[i], half);
    }
    for (int i = 1; i < CHAINS_OF_32; i++) chain[0] = vaddq_f32(chain[0], chain[i]);
    limits_sink = (double)vgetq_lane_f32(chain[0], 0);
}

static void peak_neon_f64(size_t steps) {
    const float64x2_t half = vdupq_n_f64(limits_half_f64);
    float64x2_t chain[CHAINS_OF_32];
    for (int i = 0; i < CHAINS_OF_32; i++) chain[i] = vdupq_n_f64(i);
    for (size_t s = 0; s < steps; s++) {
#pragma GCC unroll 24
        for (int i = 0; i < CHAINS_OF_32; i++) chain[i] = vfmaq_f64(half, chain[i], half);
    }
    for (int i = 1; i < CHAINS_OF_32; i++) chain[0] = vaddq_f64(chain[0], chain[i]);
    limits_sink = vgetq_lane_f64(chain[0], 0);
}

static const peak_loop peak_loops[] = {
    {"neon", 32, 2.0 * 4 * CHAINS_OF_32, peak_neon_f32},
    {"neon", 64, 2.0 * 2 * CHAINS_OF_32, peak_neon_f64},
};
#else
/* Whatever the compiler makes of it. */
static void peak_plain_f32(size_t steps) {
    float chain[64];
    const float half = limits_half_f32;
    for (int i = 0; i < 64; i++) chain[i] = (float)i;
    for (size_t s = 0; s < steps; s++) {
        for (int i = 0; i < 64; i++) chain[i] = chain[i] * half + half;
    }
    for (int i = 1; i < 64; i++) chain[0] += chain[i];
    limits_sink = (double)chain[0];
}

static void peak_plain_f64(size_t steps) {
    double chain[32];
    const double half = limits_half_f64;
    for (int i = 0; i < 32; i++) chain[i] = i;
    for (size_t s = 0; s < steps; s++) {
        for (int i = 0; i < 32; i++) chain[i] = chain[i] * half + half;
    }
    for (int i = 1; i < 32; i++) chain[0] += chain[i];
    limits_sink = chain[0];
}

static const peak_loop peak_loops[] = {
    {"portable", 32, 128, peak_plain_f32},
    {"portable", 64, 64, peak_plain_f64},
};
#endif

enum { PEAK_LOOPS = sizeof peak_loops / sizeof *peak_loops };

/* ---- Loops over memory ----------------------------------------------------------------------- */

/* What is done with each element. Bytes are counted as the program asks for them: what the
 * caches fetch besides (a line that is about to be overwritten) is not work. */
typedef enum stream {
    STREAM_READ = 0, /* s += b      1 */
    STREAM_COPY = 1, /* a = b       2 */
    STREAM_TRIAD = 2, /* a = b + s c 3 */
    STREAM_UPDATE = 3, /* a += s b    3 */
    STREAM_KINDS = 4
} stream;

static const char *const stream_names[STREAM_KINDS] = {"read", "copy", "triad", "update"};
static const int stream_operands[STREAM_KINDS] = {1, 2, 3, 3};
static const int stream_arrays[STREAM_KINDS] = {1, 2, 3, 2};

/* A stream over n floats, a multiple of 64, in arrays that start on a cache line. The variants
 * of one CPU differ in width and in whether stores go past the caches; the fastest one is the
 * limit. */
typedef void (*stream_loop)(stream kind, size_t n, float *a, const float *b, const float *c);

static void stream_plain(stream kind, size_t n, float *a, const float *b, const float *c) {
    const float s = limits_half_f32;
    switch (kind) {
    case STREAM_READ: {
        float lane[64] = {0};
        for (size_t i = 0; i < n; i += 64) {
            for (size_t j = 0; j < 64; j++) lane[j] += b[i + j];
        }
        for (size_t j = 1; j < 64; j++) lane[0] += lane[j]; /* or the others need not be read */
        limits_sink = (double)lane[0];
        return;
    }
    case STREAM_COPY: memcpy(a, b, n * sizeof *a); return;
    case STREAM_TRIAD:
        for (size_t i = 0; i < n; i++) a[i] = b[i] + s * c[i];
        return;
    case STREAM_UPDATE:
        for (size_t i = 0; i < n; i++) a[i] += s * b[i];
        return;
    default: return;
    }
}

#ifdef LIMITS_X86
LIMITS_TARGET("avx512f")
static void stream_avx512(stream kind, size_t n, float *a, const float *b, const float *c) {
    const __m512 s = _mm512_set1_ps(limits_half_f32);
    __m512 sum[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                     _mm512_setzero_ps()};
    switch (kind) {
    case STREAM_READ:
        for (size_t i = 0; i < n; i += 64) {
            for (size_t j = 0; j < 4; j++)
                sum[j] = _mm512_add_ps(sum[j], _mm512_load_ps(b + i + 16 * j));
        }
        sum[0] = _mm512_add_ps(_mm512_add_ps(sum[0], sum[1]), _mm512_add_ps(sum[2], sum[3]));
        limits_sink =
            (double)_mm512_reduce_add_ps(sum[0]); /* all lanes, or one is enough to read */
        return;
    case STREAM_COPY:
        for (size_t i = 0; i < n; i += 16) _mm512_store_ps(a + i, _mm512_load_ps(b + i));
        return;
    case STREAM_TRIAD:
        for (size_t i = 0; i < n; i += 16)
            _mm512_store_ps(a + i,
                            _mm512_fmadd_ps(s, _mm512_load_ps(c + i), _mm512_load_ps(b + i)));
        return;
    case STREAM_UPDATE:
        for (size_t i = 0; i < n; i += 16)
            _mm512_store_ps(a + i,
                            _mm512_fmadd_ps(s, _mm512_load_ps(b + i), _mm512_load_ps(a + i)));
        return;
    default: return;
    }
}

LIMITS_TARGET("avx2,fma")
static void stream_avx2(stream kind, size_t n, float *a, const float *b, const float *c) {
    const __m256 s = _mm256_set1_ps(limits_half_f32);
    __m256 sum[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                     _mm256_setzero_ps()};
    switch (kind) {
    case STREAM_READ:
        for (size_t i = 0; i < n; i += 32) {
            for (size_t j = 0; j < 4; j++)
                sum[j] = _mm256_add_ps(sum[j], _mm256_load_ps(b + i + 8 * j));
        }
        sum[0] = _mm256_add_ps(_mm256_add_ps(sum[0], sum[1]), _mm256_add_ps(sum[2], sum[3]));
        for (int j = 0; j < 8; j++) limits_sink = (double)sum[0][j];
        return;
    case STREAM_COPY:
        for (size_t i = 0; i < n; i += 8) _mm256_store_ps(a + i, _mm256_load_ps(b + i));
        return;
    case STREAM_TRIAD:
        for (size_t i = 0; i < n; i += 8)
            _mm256_store_ps(a + i,
                            _mm256_fmadd_ps(s, _mm256_load_ps(c + i), _mm256_load_ps(b + i)));
        return;
    case STREAM_UPDATE:
        for (size_t i = 0; i < n; i += 8)
            _mm256_store_ps(a + i,
                            _mm256_fmadd_ps(s, _mm256_load_ps(b + i), _mm256_load_ps(a + i)));
        return;
    default: return;
    }
}

/* Stores past the caches, which spare a large array the fetch of what it overwrites. */
LIMITS_TARGET("avx2,fma")
static void stream_past_caches(stream kind, size_t n, float *a, const float *b, const float *c) {
    const __m256 s = _mm256_set1_ps(limits_half_f32);
    if (kind == STREAM_COPY) {
        for (size_t i = 0; i < n; i += 8) _mm256_stream_ps(a + i, _mm256_load_ps(b + i));
    } else if (kind == STREAM_TRIAD) {
        for (size_t i = 0; i < n; i += 8)
            _mm256_stream_ps(a + i,
                             _mm256_fmadd_ps(s, _mm256_load_ps(c + i), _mm256_load_ps(b + i)));
    } else {
        stream_avx2(kind, n, a, b, c);
    }
    _mm_sfence();
}

static const struct {
    const char *isa;
    stream_loop run;
} stream_loops[] = {{"portable", stream_plain},
                    {"avx2", stream_avx2},
                    {"avx2", stream_past_caches},
                    {"avx512", stream_avx512}};
#else
static const struct {
    const char *isa;
    stream_loop run;
} stream_loops[] = {{NULL, stream_plain}};
#endif

enum { STREAM_LOOPS = sizeof stream_loops / sizeof *stream_loops };

#endif
