/* The same over arrays of double. */
#define DEEPC_REAL_BITS 64
#include "test_memory.c"
