/* The harness of the C tests: CHECK reports a failure and goes on; main ends with
 * `return check_result();`. Call it from one thread at a time. */
#ifndef DEEPC_TEST_CHECK_H
#define DEEPC_TEST_CHECK_H

#include <stdio.h>

static int checks_done, checks_failed;

/* A fault in a loop would print thousands of lines; the first ones tell. */
enum { CHECKS_SHOWN = 20 };

static inline void check(int good, const char *file, int line, const char *text) {
    checks_done++;
    if (good) return;
    if (checks_failed++ < CHECKS_SHOWN) fprintf(stderr, "%s:%d: failed: %s\n", file, line, text);
}
#define CHECK(condition) check((condition) != 0, __FILE__, __LINE__, #condition)

/* Prints the counts; the exit code of the test. A test without a check has failed. */
static inline int check_result(void) {
    printf("%d checks, %d failed\n", checks_done, checks_failed);
    return checks_failed > 0 || checks_done == 0;
}

#endif
