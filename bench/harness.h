/* What the benchmarks share: options, fair timing, the limits of the machine, the table and the
 * JSON file.
 *
 * A program starts the harness, adds the cases of a group, runs the group, and so on. Running
 * a group checks every case against its reference, then times all of them in rounds: a round
 * times each case once (and once more with one thread, where --threads is more), so that a slow
 * moment of the machine meets all alike. */
#ifndef DEEPC_BENCH_HARNESS_H
#define DEEPC_BENCH_HARNESS_H

#include <stdbool.h>
#include <stddef.h>

/* Which plain loop over memory bounds a case. The numbers are those of the loops in limits.h. */
enum { LIKE_READ = 0, LIKE_COPY = 1, LIKE_TRIAD = 2, LIKE_UPDATE = 3 };

typedef struct bench_case {
    char name[64];
    int bits; /* 32 or 64: float or double, whose peak bounds flops */
    double flops; /* floating-point operations of one run; 0: only memory bounds it */
    double bytes; /* bytes that one run has to load and store */
    double footprint; /* bytes of memory it touches, which say what cache holds them; 0: as bytes */
    int like; /* LIKE_... */
    double steps; /* steps of one run: times are those of a step; 0 means 1 */
    double items; /* elements of one step; prints the time of one; 0: it has none */
    void (*run)(void *context);
    /* The largest error over all outputs, as a multiple of what is allowed; NULL: nothing to
     * check. It may leave the operands changed. */
    double (*error)(void *context);
    void *context;
} bench_case;

/* Reads the options and measures the machine. False: the program shall end with bench_finish(). */
bool bench_start(int argc, char **argv, const char *program, const char *about);
/* Starts a group of cases. */
void bench_group(const char *title);
/* Whether --filter lets a case of that name in. */
bool bench_wants(const char *name);
/* Whether --quick asks for a check that everything runs rather than for figures. */
bool bench_is_quick(void);
/* Adds a case (a copy of it) to the group. */
void bench_add(const bench_case *added);
/* Checks, times and prints the group, then frees what bench_memory gave. */
void bench_run_group(void);
/* Writes the JSON file; the program's exit status: 0, or 1 if an option, a case or the file was
 * bad. */
int bench_finish(void);

/* Memory until the group has run: zeros that start on a cache line. Ends the program if there is
 * none. */
void *bench_memory(size_t bytes);
/* The same, filled with numbers from low to high, the same ones in each run. */
float *bench_floats(size_t n, double low, double high);
double *bench_doubles(size_t n, double low, double high);

/* Notes that a call of the library was refused, which makes the program fail. */
void bench_check(int status, const char *what);

#endif
