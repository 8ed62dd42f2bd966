/* Which instruction sets promise the same bits as all others. */
#ifndef DEEPC_TEST_PROMISE_H
#define DEEPC_TEST_PROMISE_H

#include <string.h>

/* The portable build does where its target has fused multiply-add, which baseline x86-64 has not. */
static inline int promises_bits(const char *isa) {
#if defined(__aarch64__)
    (void)isa;
    return 1;
#else
    return strcmp(isa, "portable") != 0;
#endif
}

#endif
