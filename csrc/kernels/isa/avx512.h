/* AVX-512 (F, DQ, BW, VL): 16 floats or 8 doubles a vector. The operations are described in vec.h.
 */
#include <immintrin.h>

#define VEC_ISA avx512
/* Register tile of the matrix multiply: 14 x 2 accumulators, 2 vectors of b and one broadcast of a
 * in 31 of 32 registers. */
enum { TILE_ROWS = 14, TILE_VECS = 2 };
/* Of the tile of two rows; the longer the pieces in which it reads b, the better for caches and
 * memory. */
enum { PAIR_VECS = 8 };
/* Of the tile of SKIP_ROWS rows, which skips zeros: as many as keep the multiply-adds in flight. */
enum { SKIP_VECS = 4 };
/* Whether it pays to compile shapes of their own for small sizes. */
enum { MANY_VARIANTS = 1 };
/* What transposing rows costs in products with few columns, as columns more: less than elsewhere,
 * because registers are many; but some processors shuffle where they multiply (256 x 784 x 25 takes
 * 134 us on such a one where this is 1, and 76 by tiles). */
enum { FEW_COST = 2 };
/* Whether v_load_part is as fast as v_load. */
enum { PART_LOADS_ARE_FREE = 1 };

#if DEEPC_REAL_BITS == 32
typedef __m512 vec;
typedef __mmask16 vmask;
enum { VL = 16 };
#define M512(op) _mm512_##op##_ps
#define M512_MASK(op) _mm512_##op##_ps_mask
#else
typedef __m512d vec;
typedef __mmask8 vmask;
enum { VL = 8 };
#define M512(op) _mm512_##op##_pd
#define M512_MASK(op) _mm512_##op##_pd_mask
#endif

ALWAYS_INLINE vmask first_lanes(size_t n) {
    return (vmask)(n >= VL ? (1u << VL) - 1u : (1u << n) - 1u);
}

ALWAYS_INLINE vec v_load(const real *p) { return M512(loadu)(p); }
ALWAYS_INLINE void v_store(real *p, vec a) { M512(storeu)(p, a); }
ALWAYS_INLINE void v_stream(real *p, vec a) { M512(stream)(p, a); }
ALWAYS_INLINE void v_stream_end(void) { _mm_sfence(); }
ALWAYS_INLINE vec v_load_part(const real *p, size_t n) {
    return M512(maskz_loadu)(first_lanes(n), p);
}
ALWAYS_INLINE void v_store_part(real *p, vec a, size_t n) {
    M512(mask_storeu)(p, first_lanes(n), a);
}
ALWAYS_INLINE vec v_zero(void) { return M512(setzero)(); }
ALWAYS_INLINE vec v_set(real x) { return M512(set1)(x); }
ALWAYS_INLINE vec v_add(vec a, vec b) { return M512(add)(a, b); }
ALWAYS_INLINE vec v_sub(vec a, vec b) { return M512(sub)(a, b); }
ALWAYS_INLINE vec v_mul(vec a, vec b) { return M512(mul)(a, b); }
ALWAYS_INLINE vec v_div(vec a, vec b) { return M512(div)(a, b); }
ALWAYS_INLINE vec v_fma(vec a, vec b, vec c) { return M512(fmadd)(a, b, c); }
ALWAYS_INLINE vec v_fnma(vec a, vec b, vec c) { return M512(fnmadd)(a, b, c); }
ALWAYS_INLINE vec v_min(vec a, vec b) { return M512(min)(a, b); }
ALWAYS_INLINE vec v_max(vec a, vec b) { return M512(max)(a, b); }
ALWAYS_INLINE vec v_sqrt(vec a) { return M512(sqrt)(a); }
ALWAYS_INLINE vec v_abs(vec a) { return M512(abs)(a); }
ALWAYS_INLINE vec v_copysign(vec a, vec b) {
    const vec sign = v_set((real)-0.0);
    return M512(or)(M512(andnot)(sign, a), M512(and)(sign, b));
}
/* 0x08: to nearest, ties to even, without raising the inexact flag. */
ALWAYS_INLINE vec v_round(vec a) { return M512(roundscale)(a, 0x08); }
ALWAYS_INLINE vmask v_lt(vec a, vec b) { return M512_MASK(cmp)(a, b, _CMP_LT_OQ); }
ALWAYS_INLINE vmask v_le(vec a, vec b) { return M512_MASK(cmp)(a, b, _CMP_LE_OQ); }
ALWAYS_INLINE vmask v_eq(vec a, vec b) { return M512_MASK(cmp)(a, b, _CMP_EQ_OQ); }
ALWAYS_INLINE vec v_select(vmask m, vec a, vec b) { return M512(mask_blend)(m, b, a); }
#if DEEPC_REAL_BITS == 32
ALWAYS_INLINE vmask v_is_minus_zero(vec a) {
    return _mm512_cmpeq_epi32_mask(_mm512_castps_si512(a), _mm512_set1_epi32(INT32_MIN));
}
#else
ALWAYS_INLINE vmask v_is_minus_zero(vec a) {
    return _mm512_cmpeq_epi64_mask(_mm512_castpd_si512(a), _mm512_set1_epi64(INT64_MIN));
}
#endif

#if DEEPC_REAL_BITS == 32
ALWAYS_INLINE vec v_exp2i(vec n) {
    const __m512i biased = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
    return _mm512_castsi512_ps(_mm512_slli_epi32(biased, 23));
}
ALWAYS_INLINE vec v_exponent(vec a) {
    const __m512i bits = _mm512_srli_epi32(_mm512_castps_si512(a), 23);
    return _mm512_cvtepi32_ps(_mm512_sub_epi32(bits, _mm512_set1_epi32(127)));
}
ALWAYS_INLINE vec v_mantissa(vec a) {
    const __m512i bits = _mm512_castps_si512(a);
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(bits, _mm512_set1_epi32(0x007fffff),
                                                         _mm512_set1_epi32(0x3f800000), 0xEA));
}
#else
ALWAYS_INLINE vec v_exp2i(vec n) {
    const __m512i biased = _mm512_add_epi64(_mm512_cvtpd_epi64(n), _mm512_set1_epi64(1023));
    return _mm512_castsi512_pd(_mm512_slli_epi64(biased, 52));
}
ALWAYS_INLINE vec v_exponent(vec a) {
    const __m512i bits = _mm512_srli_epi64(_mm512_castpd_si512(a), 52);
    return _mm512_cvtepi64_pd(_mm512_sub_epi64(bits, _mm512_set1_epi64(1023)));
}
ALWAYS_INLINE vec v_mantissa(vec a) {
    const __m512i bits = _mm512_castpd_si512(a);
    return _mm512_castsi512_pd(
        _mm512_ternarylogic_epi64(bits, _mm512_set1_epi64(0x000fffffffffffffLL),
                                  _mm512_set1_epi64(0x3ff0000000000000LL), 0xEA));
}
#endif

#if DEEPC_REAL_BITS == 32
ALWAYS_INLINE real v_first(vec a) { return _mm512_cvtss_f32(a); }
ALWAYS_INLINE vec v_across(vec a, int half) {
    if (half == 8) return _mm512_shuffle_f32x4(a, a, 0x4e);
    if (half == 4) return _mm512_shuffle_f32x4(a, a, 0xb1);
    if (half == 2) return _mm512_permute_ps(a, 0x4e);
    return _mm512_permute_ps(a, 0xb1);
}
#else
ALWAYS_INLINE real v_first(vec a) { return _mm512_cvtsd_f64(a); }
ALWAYS_INLINE vec v_across(vec a, int half) {
    if (half == 4) return _mm512_shuffle_f64x2(a, a, 0x4e);
    if (half == 2) return _mm512_shuffle_f64x2(a, a, 0xb1);
    return _mm512_permute_pd(a, 0x55);
}
#endif

#if DEEPC_REAL_BITS == 32
ALWAYS_INLINE vec v_permute(vec a, const real *lanes) {
    return _mm512_permutexvar_ps(_mm512_loadu_si512(lanes), a);
}
#else
ALWAYS_INLINE vec v_permute(vec a, const real *lanes) {
    return _mm512_permutexvar_pd(_mm512_loadu_si512(lanes), a);
}
#endif

/* Half a row a load: putting the halves of two rows into one register costs no shuffle, and the
 * registers of a whole square would leave none for what the columns are for. */
enum { SQUARE = VL / 2 };
#if DEEPC_REAL_BITS == 32
#define HALF_ROW(p) _mm256_loadu_ps(p)
#define FROM_HALVES(low, high) _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1)
#else
#define HALF_ROW(p) _mm256_loadu_pd(p)
#define FROM_HALVES(low, high) _mm512_insertf64x4(_mm512_castpd256_pd512(low), high, 1)
#endif
ALWAYS_INLINE vec row_pair(const real *low, const real *high) {
    return FROM_HALVES(HALF_ROW(low), HALF_ROW(high));
}
#undef HALF_ROW
#undef FROM_HALVES
#if DEEPC_REAL_BITS == 32
ALWAYS_INLINE void v_columns(const vec_rows *rows, vec column[SQUARE]) {
    vec t[8];
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
        vec a[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            a[i] = row_pair(vec_row(rows, 8 * h + i), vec_row(rows, 8 * h + i + 4));
        const __m512d low0 = _mm512_castps_pd(_mm512_unpacklo_ps(a[0], a[1]));
        const __m512d low1 = _mm512_castps_pd(_mm512_unpacklo_ps(a[2], a[3]));
        const __m512d high0 = _mm512_castps_pd(_mm512_unpackhi_ps(a[0], a[1]));
        const __m512d high1 = _mm512_castps_pd(_mm512_unpackhi_ps(a[2], a[3]));
        t[4 * h] = _mm512_castpd_ps(_mm512_unpacklo_pd(low0, low1));
        t[4 * h + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low0, low1));
        t[4 * h + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high0, high1));
        t[4 * h + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high0, high1));
    }
    /* Now t[4 h + q] holds 4 rows in each 128-bit lane: columns q, 4 + q, q, 4 + q. */
#pragma GCC unroll 4
    for (int q = 0; q < 4; q++) {
        column[q] = _mm512_shuffle_f32x4(t[q], t[4 + q], 0x88);
        column[4 + q] = _mm512_shuffle_f32x4(t[q], t[4 + q], 0xdd);
    }
}
#else
ALWAYS_INLINE void v_columns(const vec_rows *rows, vec column[SQUARE]) {
    vec t[4];
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
        const vec a = row_pair(vec_row(rows, 4 * h), vec_row(rows, 4 * h + 2));
        const vec b = row_pair(vec_row(rows, 4 * h + 1), vec_row(rows, 4 * h + 3));
        t[2 * h] = _mm512_unpacklo_pd(a, b);
        t[2 * h + 1] = _mm512_unpackhi_pd(a, b);
    }
    /* Now t[2 h + q] holds 2 rows in each 128-bit lane: columns q, 2 + q, q, 2 + q. */
#pragma GCC unroll 2
    for (int q = 0; q < 2; q++) {
        column[q] = _mm512_shuffle_f64x2(t[q], t[2 + q], 0x88);
        column[2 + q] = _mm512_shuffle_f64x2(t[q], t[2 + q], 0xdd);
    }
}
#endif

ALWAYS_INLINE vec v_scale(vec a, vec n) { return M512(scalef)(a, n); }

typedef __m512i whole;
enum { WHOLE_LANES = 8 };
ALWAYS_INLINE whole u_set(uint64_t x) { return _mm512_set1_epi64((long long)x); }
ALWAYS_INLINE whole u_count(void) { return _mm512_set_epi64(7, 3, 6, 2, 5, 1, 4, 0); }
ALWAYS_INLINE whole u_add(whole a, whole b) { return _mm512_add_epi64(a, b); }
ALWAYS_INLINE whole u_mul(whole a, whole b) { return _mm512_mul_epu32(a, b); }
ALWAYS_INLINE whole u_xor(whole a, whole b) { return _mm512_xor_si512(a, b); }
ALWAYS_INLINE whole u_high(whole a) { return _mm512_srli_epi64(a, 32); }
ALWAYS_INLINE void u_store_words(uint32_t *p, whole a, whole b, whole c, whole d) {
    const __m512i ab = _mm512_mask_mov_epi32(_mm512_slli_epi64(b, 32), 0x5555, a);
    const __m512i cd = _mm512_mask_mov_epi32(_mm512_slli_epi64(d, 32), 0x5555, c);
    _mm512_storeu_si512(p, _mm512_unpacklo_epi64(ab, cd));
    _mm512_storeu_si512(p + 16, _mm512_unpackhi_epi64(ab, cd));
}
#if DEEPC_REAL_BITS == 32
ALWAYS_INLINE vmask v_words_above(const uint32_t *p, uint32_t x) {
    return _mm512_cmpgt_epu32_mask(_mm512_loadu_si512(p), _mm512_set1_epi32((int)x));
}
#else
ALWAYS_INLINE vmask v_words_above(const uint32_t *p, uint32_t x) {
    return _mm256_cmpgt_epu32_mask(_mm256_loadu_si256((const __m256i *)p),
                                   _mm256_set1_epi32((int)x));
}
#endif

#undef M512
#undef M512_MASK
