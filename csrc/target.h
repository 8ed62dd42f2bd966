/* What the compiler's target does with numbers; what it must do, or the build stops.
 *
 * Macros only, so that kernels may include it. The library's results rest on IEEE arithmetic in the
 * type that the source names: a build without it would compute wrong exponentials and say
 * nothing. */
#ifndef DEEPC_TARGET_H
#define DEEPC_TARGET_H

#if defined(__FAST_MATH__)
#error "deepc's results rest on IEEE arithmetic: compile without -ffast-math and -Ofast"
#endif

/* 16 is 0 on targets that have half precision as well. */
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0 && __FLT_EVAL_METHOD__ != 16
#error "deepc needs float computed as float: -msse2 -mfpmath=sse or -fexcess-precision=fast"
#endif

/* Whether __builtin_fma is an instruction. gcc says so; clang names the target or the extension.
 * Elsewhere it would be a function of the C library, a hundred times as slow. */
#if defined(__FMA__) || (defined(__FP_FAST_FMA) && defined(__FP_FAST_FMAF)) ||                     \
    defined(__aarch64__) || defined(__s390x__) || defined(__powerpc64__) ||                        \
    (defined(__riscv_flen) && __riscv_flen >= 64) ||                                               \
    (defined(__loongarch_frlen) && __loongarch_frlen >= 64)
#define TARGET_HAS_FMA 1
#else
#define TARGET_HAS_FMA 0
#endif

#endif
