/* test_losses.c for double. */
#define DEEPC_REAL_BITS 64
#include "test_losses.c"
