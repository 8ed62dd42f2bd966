/* Which instruction sets this library has, this machine runs, and which one is in force. */
#ifndef DEEPC_ISA_H
#define DEEPC_ISA_H

#include <stdatomic.h>

/* The build defines DEEPC_HAVE_<NAME> as 1 for what it holds; the portable one is always there. */
#ifndef DEEPC_HAVE_AVX512
#define DEEPC_HAVE_AVX512 0
#endif
#ifndef DEEPC_HAVE_AVX2
#define DEEPC_HAVE_AVX2 0
#endif
#ifndef DEEPC_HAVE_FMA
#define DEEPC_HAVE_FMA 0
#endif
#ifndef DEEPC_HAVE_NEON
#define DEEPC_HAVE_NEON 0
#endif

/* One line an instruction set, best first: X(name, is it built?, can this machine run it?). fma is
 * the portable code compiled with fused multiply-add: slow, but with the bits of the others. */
#if defined(__x86_64__) || defined(_M_X64)
#define ISAS(X)                                                                                    \
    X(avx512, DEEPC_HAVE_AVX512, machine_has_avx512())                                             \
    X(avx2, DEEPC_HAVE_AVX2, machine_has_avx2())                                                   \
    X(fma, DEEPC_HAVE_FMA, machine_has_fma())                                                      \
    X(portable, 1, 1)
#elif defined(__aarch64__) || defined(_M_ARM64)
#define ISAS(X)                                                                                    \
    X(neon, DEEPC_HAVE_NEON, 1)                                                                    \
    X(portable, 1, 1)
#elif defined(__wasm__) /* which has no fused multiply-add, so that fma is slower than portable */
#define ISAS(X)                                                                                    \
    X(portable, 1, 1)                                                                              \
    X(fma, DEEPC_HAVE_FMA, 1)
#else
#define ISAS(X) X(portable, 1, 1)
#endif

/* Position in that list. */
enum isa_index {
#define ISA_INDEX(name, built, usable) ISA_##name,
    ISAS(ISA_INDEX)
#undef ISA_INDEX
        ISA_COUNT
};

/* The position of the one in force, -1 until one is chosen; dc_isa_choose chooses it. */
extern atomic_int dc_isa_index;
int dc_isa_choose(void);

/* The position of the one in force; chosen at the first call. */
static inline int dc_isa_current(void) {
    const int isa = atomic_load_explicit(&dc_isa_index, memory_order_relaxed);
    return isa >= 0 ? isa : dc_isa_choose();
}

#endif
