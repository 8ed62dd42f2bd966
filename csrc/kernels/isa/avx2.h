/* AVX2 with FMA: 8 floats or 4 doubles a vector. The operations are described in vec.h. */
#include <immintrin.h>

#define VEC_ISA avx2
/* Register tile of the matrix multiply: 6 x 2 accumulators, 2 vectors of b and one broadcast of a
 * in 15 of 16 registers. */
enum { TILE_ROWS = 6, TILE_VECS = 2 };
/* Of the tile of two rows; the longer the pieces in which it reads b, the better for caches and
 * memory. */
enum { PAIR_VECS = 4 };
/* Of the tile of SKIP_ROWS rows, which skips zeros: as many as keep the multiply-adds in flight. */
enum { SKIP_VECS = 2 };
/* Whether it pays to compile shapes of their own for small sizes. */
enum { MANY_VARIANTS = 1 };
/* What transposing rows costs in products with few columns, as columns more: the shuffles run
 * beside the multiply-adds where registers are many. */
enum { FEW_COST = 2 };
/* Whether v_load_part is as fast as v_load. */
enum { PART_LOADS_ARE_FREE = 0 };

#if DEEPC_REAL_BITS == 32
typedef __m256 vec;
typedef __m256 vmask;
enum { VL = 8 };
#define M256(op) _mm256_##op##_ps
#else
typedef __m256d vec;
typedef __m256d vmask;
enum { VL = 4 };
#define M256(op) _mm256_##op##_pd
#endif

/* Element i of the window that starts at VL - n is all ones for i < n. */
ALWAYS_INLINE __m256i first_lanes(size_t n) {
#if DEEPC_REAL_BITS == 32
    static const int32_t window[2 * VL] = {-1, -1, -1, -1, -1, -1, -1, -1};
#else
    static const int64_t window[2 * VL] = {-1, -1, -1, -1};
#endif
    return _mm256_loadu_si256((const __m256i *)(window + VL - (n < VL ? n : VL)));
}

ALWAYS_INLINE vec v_load(const real *p) { return M256(loadu)(p); }
ALWAYS_INLINE void v_store(real *p, vec a) { M256(storeu)(p, a); }
ALWAYS_INLINE void v_stream(real *p, vec a) { M256(stream)(p, a); }
ALWAYS_INLINE void v_stream_end(void) { _mm_sfence(); }
ALWAYS_INLINE vec v_load_part(const real *p, size_t n) { return M256(maskload)(p, first_lanes(n)); }
ALWAYS_INLINE void v_store_part(real *p, vec a, size_t n) { M256(maskstore)(p, first_lanes(n), a); }
ALWAYS_INLINE vec v_zero(void) { return M256(setzero)(); }
ALWAYS_INLINE vec v_set(real x) { return M256(set1)(x); }
ALWAYS_INLINE vec v_add(vec a, vec b) { return M256(add)(a, b); }
ALWAYS_INLINE vec v_sub(vec a, vec b) { return M256(sub)(a, b); }
ALWAYS_INLINE vec v_mul(vec a, vec b) { return M256(mul)(a, b); }
ALWAYS_INLINE vec v_div(vec a, vec b) { return M256(div)(a, b); }
ALWAYS_INLINE vec v_fma(vec a, vec b, vec c) { return M256(fmadd)(a, b, c); }
ALWAYS_INLINE vec v_fnma(vec a, vec b, vec c) { return M256(fnmadd)(a, b, c); }
ALWAYS_INLINE vec v_min(vec a, vec b) { return M256(min)(a, b); }
ALWAYS_INLINE vec v_max(vec a, vec b) { return M256(max)(a, b); }
ALWAYS_INLINE vec v_sqrt(vec a) { return M256(sqrt)(a); }
ALWAYS_INLINE vec v_abs(vec a) { return M256(andnot)(v_set((real)-0.0), a); }
ALWAYS_INLINE vec v_copysign(vec a, vec b) {
    const vec sign = v_set((real)-0.0);
    return M256(or)(M256(andnot)(sign, a), M256(and)(sign, b));
}
ALWAYS_INLINE vec v_round(vec a) {
    return M256(round)(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
ALWAYS_INLINE vmask v_lt(vec a, vec b) { return M256(cmp)(a, b, _CMP_LT_OQ); }
ALWAYS_INLINE vmask v_le(vec a, vec b) { return M256(cmp)(a, b, _CMP_LE_OQ); }
ALWAYS_INLINE vmask v_eq(vec a, vec b) { return M256(cmp)(a, b, _CMP_EQ_OQ); }
ALWAYS_INLINE vec v_select(vmask m, vec a, vec b) { return M256(blendv)(b, a, m); }
#if DEEPC_REAL_BITS == 32
ALWAYS_INLINE vmask v_is_minus_zero(vec a) {
    const __m256i bits = _mm256_castps_si256(a);
    return _mm256_castsi256_ps(_mm256_cmpeq_epi32(bits, _mm256_set1_epi32(INT32_MIN)));
}
#else
ALWAYS_INLINE vmask v_is_minus_zero(vec a) {
    const __m256i bits = _mm256_castpd_si256(a);
    return _mm256_castsi256_pd(_mm256_cmpeq_epi64(bits, _mm256_set1_epi64x(INT64_MIN)));
}
#endif

#if DEEPC_REAL_BITS == 32
ALWAYS_INLINE vec v_exp2i(vec n) {
    const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
}
ALWAYS_INLINE vec v_exponent(vec a) {
    const __m256i bits = _mm256_srli_epi32(_mm256_castps_si256(a), 23);
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(bits, _mm256_set1_epi32(127)));
}
ALWAYS_INLINE vec v_mantissa(vec a) {
    const __m256i bits = _mm256_castps_si256(a);
    const __m256i fraction = _mm256_and_si256(bits, _mm256_set1_epi32(0x007fffff));
    return _mm256_castsi256_ps(_mm256_or_si256(fraction, _mm256_set1_epi32(0x3f800000)));
}
#else
/* AVX2 does not convert doubles to 64-bit integers. Adding 2^52 + 2^51 to a small integral double
 * leaves the integer in the low bits of the fraction. */
ALWAYS_INLINE __m256i integer_bits(vec n) { return _mm256_castpd_si256(v_add(n, v_set(0x1.8p52))); }
ALWAYS_INLINE vec v_exp2i(vec n) {
    const __m256i biased = _mm256_add_epi64(integer_bits(n), _mm256_set1_epi64x(1023));
    return _mm256_castsi256_pd(_mm256_slli_epi64(biased, 52));
}
ALWAYS_INLINE vec v_exponent(vec a) {
    const __m256i bits = _mm256_srli_epi64(_mm256_castpd_si256(a), 52);
    const __m256i magic = _mm256_castpd_si256(v_set(0x1p52));
    return v_sub(_mm256_castsi256_pd(_mm256_or_si256(bits, magic)), v_set(0x1p52 + 1023));
}
ALWAYS_INLINE vec v_mantissa(vec a) {
    const __m256i bits = _mm256_castpd_si256(a);
    const __m256i fraction = _mm256_and_si256(bits, _mm256_set1_epi64x(0x000fffffffffffffLL));
    return _mm256_castsi256_pd(_mm256_or_si256(fraction, _mm256_set1_epi64x(0x3ff0000000000000LL)));
}
#endif

#if DEEPC_REAL_BITS == 32
ALWAYS_INLINE real v_first(vec a) { return _mm256_cvtss_f32(a); }
ALWAYS_INLINE vec v_across(vec a, int half) {
    if (half == 4) return _mm256_permute2f128_ps(a, a, 0x01);
    if (half == 2) return _mm256_permute_ps(a, 0x4e);
    return _mm256_permute_ps(a, 0xb1);
}
#else
ALWAYS_INLINE real v_first(vec a) { return _mm256_cvtsd_f64(a); }
ALWAYS_INLINE vec v_across(vec a, int half) {
    if (half == 2) return _mm256_permute2f128_pd(a, a, 0x01);
    return _mm256_permute_pd(a, 0x5);
}
#endif

#if DEEPC_REAL_BITS == 32
ALWAYS_INLINE vec v_permute(vec a, const real *lanes) {
    return _mm256_permutevar8x32_ps(a, _mm256_loadu_si256((const __m256i *)lanes));
}
#else
/* By halves of doubles: 2 i and 2 i + 1 for lane i. */
ALWAYS_INLINE vec v_permute(vec a, const real *lanes) {
    const __m256i i = _mm256_loadu_si256((const __m256i *)lanes);
    const __m256i both = _mm256_or_si256(i, _mm256_slli_epi64(i, 32));
    const __m256i halves =
        _mm256_add_epi32(_mm256_add_epi32(both, both), _mm256_set1_epi64x((long long)1 << 32));
    return _mm256_castps_pd(_mm256_permutevar8x32_ps(_mm256_castpd_ps(a), halves));
}
#endif

/* Half a row a load: putting the halves of two rows into one register costs no shuffle. */
enum { SQUARE = VL / 2 };
#if DEEPC_REAL_BITS == 32
ALWAYS_INLINE vec row_pair(const real *low, const real *high) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(low)), _mm_loadu_ps(high), 1);
}
ALWAYS_INLINE void v_columns(const vec_rows *rows, vec column[SQUARE]) {
    vec a[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) a[i] = row_pair(vec_row(rows, i), vec_row(rows, i + 4));
    const vec low0 = _mm256_unpacklo_ps(a[0], a[1]), low1 = _mm256_unpacklo_ps(a[2], a[3]);
    const vec high0 = _mm256_unpackhi_ps(a[0], a[1]), high1 = _mm256_unpackhi_ps(a[2], a[3]);
    column[0] = _mm256_shuffle_ps(low0, low1, 0x44);
    column[1] = _mm256_shuffle_ps(low0, low1, 0xee);
    column[2] = _mm256_shuffle_ps(high0, high1, 0x44);
    column[3] = _mm256_shuffle_ps(high0, high1, 0xee);
}
#else
ALWAYS_INLINE vec row_pair(const real *low, const real *high) {
    return _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(low)), _mm_loadu_pd(high), 1);
}
ALWAYS_INLINE void v_columns(const vec_rows *rows, vec column[SQUARE]) {
    const vec a = row_pair(vec_row(rows, 0), vec_row(rows, 2)),
              b = row_pair(vec_row(rows, 1), vec_row(rows, 3));
    column[0] = _mm256_unpacklo_pd(a, b);
    column[1] = _mm256_unpackhi_pd(a, b);
}
#endif

/* In two steps, as 2^n itself may be out of range; the first is exact, so only the second
 * rounds. */
ALWAYS_INLINE vec v_scale(vec a, vec n) {
    const vec half = v_round(v_mul(n, v_set((real)0.5)));
    return v_mul(v_mul(a, v_exp2i(half)), v_exp2i(v_sub(n, half)));
}

typedef __m256i whole;
enum { WHOLE_LANES = 4 };
ALWAYS_INLINE whole u_set(uint64_t x) { return _mm256_set1_epi64x((long long)x); }
ALWAYS_INLINE whole u_count(void) { return _mm256_set_epi64x(3, 1, 2, 0); }
ALWAYS_INLINE whole u_add(whole a, whole b) { return _mm256_add_epi64(a, b); }
ALWAYS_INLINE whole u_mul(whole a, whole b) { return _mm256_mul_epu32(a, b); }
ALWAYS_INLINE whole u_xor(whole a, whole b) { return _mm256_xor_si256(a, b); }
ALWAYS_INLINE whole u_high(whole a) { return _mm256_srli_epi64(a, 32); }
ALWAYS_INLINE void u_store_words(uint32_t *p, whole a, whole b, whole c, whole d) {
    const __m256i ab = _mm256_blend_epi32(a, _mm256_slli_epi64(b, 32), 0xaa);
    const __m256i cd = _mm256_blend_epi32(c, _mm256_slli_epi64(d, 32), 0xaa);
    _mm256_storeu_si256((__m256i *)p, _mm256_unpacklo_epi64(ab, cd));
    _mm256_storeu_si256((__m256i *)(p + 8), _mm256_unpackhi_epi64(ab, cd));
}
/* AVX2 compares signed numbers only; flipping the highest bit makes them of unsigned ones. */
#if DEEPC_REAL_BITS == 32
ALWAYS_INLINE vmask v_words_above(const uint32_t *p, uint32_t x) {
    const __m256i flip = _mm256_set1_epi32(INT32_MIN);
    const __m256i words = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)p), flip);
    const __m256i limit = _mm256_xor_si256(_mm256_set1_epi32((int)x), flip);
    return _mm256_castsi256_ps(_mm256_cmpgt_epi32(words, limit));
}
#else
ALWAYS_INLINE vmask v_words_above(const uint32_t *p, uint32_t x) {
    const __m128i flip = _mm_set1_epi32(INT32_MIN);
    const __m128i words = _mm_xor_si128(_mm_loadu_si128((const __m128i *)p), flip);
    const __m128i limit = _mm_xor_si128(_mm_set1_epi32((int)x), flip);
    return _mm256_castsi256_pd(_mm256_cvtepi32_epi64(_mm_cmpgt_epi32(words, limit)));
}
#endif

#undef M256
