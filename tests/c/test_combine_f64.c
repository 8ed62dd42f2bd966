/* test_combine.c for double. */
#define DEEPC_REAL_BITS 64
#include "test_combine.c"
