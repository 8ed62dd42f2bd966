/* Detection of instruction sets, and the choice among them.
 *
 * On x86-64 the CPU is asked with cpuid, and the operating system, which must save the wider
 * registers, with xgetbv. The compiler's __builtin_cpu_supports is not used: under some C run times
 * it answers 0 to everything. */
#include "isa.h"

#include <stdlib.h>
#include <string.h>

#include "deepc.h"
#include "target.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <cpuid.h>

/* Register state that the operating system saves: bits 1, 2 for SSE and AVX, 5 to 7 for AVX-512. */
enum { STATE_AVX = 0x06, STATE_AVX512 = 0xe6 };

static int os_saves(unsigned state) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return 0;
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & state) == state;
}

static int machine_has_fma(void) {
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_FMA) && (c & bit_AVX) && os_saves(STATE_AVX);
}

static int has_leaf7(unsigned bits) {
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bits) == bits;
}

static int machine_has_avx2(void) { return machine_has_fma() && has_leaf7(bit_AVX2); }

static int machine_has_avx512(void) {
    return machine_has_avx2() && os_saves(STATE_AVX512) &&
           has_leaf7(bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL);
}
#endif

static const char *const names[ISA_COUNT] = {
#define ISA_NAME(name, built, usable) #name,
    ISAS(ISA_NAME)
#undef ISA_NAME
};

static int is_usable(int isa) {
    switch (isa) {
#define ISA_USABLE(name, built, usable)                                                            \
    case ISA_##name: return (built) && (usable);
        ISAS(ISA_USABLE)
#undef ISA_USABLE
    default: return 0;
    }
}

static int find(const char *name) {
    for (int i = 0; i < ISA_COUNT; i++)
        if (strcmp(names[i], name) == 0) return is_usable(i) ? i : -1;
    return -1;
}

atomic_int dc_isa_index = -1;

/* What dc_initialize returns: whether DEEPC_ISA was good when the choice was made. */
static atomic_int environment_status = DC_OK;

/* Two threads that choose at once choose the same. */
int dc_isa_choose(void) {
    const char *name = getenv("DEEPC_ISA");
    int isa = -1, unset = -1;
    if (name && *name) {
        isa = find(name);
        atomic_store(&environment_status, isa < 0 ? DC_BAD_NAME : DC_OK);
    }
    for (int i = 0; isa < 0; i++)
        if (is_usable(i)) isa = i;
    return atomic_compare_exchange_strong(&dc_isa_index, &unset, isa) ? isa : unset;
}

int dc_initialize(void) {
    dc_isa_current();
    return atomic_load(&environment_status);
}

const char *dc_isa(void) { return names[dc_isa_current()]; }

const char *dc_isa_available(size_t i) {
    for (int isa = 0; isa < ISA_COUNT; isa++)
        if (is_usable(isa) && i-- == 0) return names[isa];
    return NULL;
}

int dc_isa_promises_bits(const char *name) {
    const int isa = name ? find(name) : -1;
    return isa >= 0 && (isa != ISA_portable || TARGET_HAS_FMA);
}

int dc_set_isa(const char *name) {
    const int isa = name ? find(name) : -1;
    if (isa < 0) return DC_BAD_NAME;
    dc_isa_current(); /* so that the environment has been read, once */
    atomic_store_explicit(&dc_isa_index, isa, memory_order_relaxed);
    return DC_OK;
}
