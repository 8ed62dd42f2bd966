/* digest_rules.c for double. */
#define DEEPC_REAL_BITS 64
#include "digest_rules.c"
