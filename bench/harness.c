/* The harness of the benchmarks: see harness.h; method in README.md. */
#if !defined(_WIN32)
#define _DEFAULT_SOURCE /* madvise */
#define _POSIX_C_SOURCE 200809L
#endif
#include "harness.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deepc.h"
#include "machine.h"

enum {
    MOST_CASES = 1024,  /* in a group */
    MOST_BLOCKS = 8192, /* of memory in a group */
    MOST_ROUNDS = 15
};

/* How long all rounds of a case may take, but for the least number of rounds. */
static const double MOST_SECONDS = 0.5;

/* One case and what came out: [0] with one thread, [1] with --threads. */
typedef struct timed_case {
    bench_case given;
    size_t loops[2];
    int rounds[2];
    double samples[2][MOST_ROUNDS];
    double error;
} timed_case;

static struct {
    const char *program, *filter;
    char json[1024];
    int threads, rounds, failures;
    bool quick;
    double slice; /* seconds that a case gets in a round */

    char title[80];
    bool title_printed;
    timed_case *cases;
    int case_count;
    void *blocks[MOST_BLOCKS];
    int block_count;
    uint64_t random;

    double level_size[MOST_LEVELS];
    int level_count;
    double peak[2][2]; /* flops a second: [threads][float, double] */

    FILE *out;
    bool comma;
} bench = {.threads = 1, .rounds = MOST_ROUNDS, .slice = 2e-3};

/* ---- Clock, memory, numbers ------------------------------------------------------------------ */

void *bench_memory(size_t bytes) {
    if (bench.block_count == MOST_BLOCKS) {
        fprintf(stderr, "%s: more than %d blocks in a group\n", bench.program, MOST_BLOCKS);
        exit(1);
    }
    void *block = allocate(bytes);
    if (!block) {
        fprintf(stderr, "%s: no memory for %zu bytes\n", bench.program, bytes);
        exit(1);
    }
    bench.blocks[bench.block_count++] = block;
    return block;
}

/* Knuth's 64-bit linear congruential generator: any numbers will do that are neither equal nor
 * special. */
static double random_between(double low, double high) {
    bench.random = bench.random * 6364136223846793005U + 1442695040888963407U;
    return low + (high - low) * (double)(bench.random >> 40) / 16777216.0;
}

float *bench_floats(size_t n, double low, double high) {
    float *x = bench_memory(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = (float)random_between(low, high);
    return x;
}

double *bench_doubles(size_t n, double low, double high) {
    double *x = bench_memory(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = random_between(low, high);
    return x;
}

void bench_check(int status, const char *what) {
    if (!status) return;
    fprintf(stderr, "%s: %s\n", what, dc_status_text(status));
    bench.failures++;
}

/* ---- The limits of the machine --------------------------------------------------------------- */

static int tries(void) { return bench.quick ? 2 : 9; }

/* Peaks are measured again with each group and only ever rise: a slow moment is not a limit. */
static void refresh_peaks(int tries) {
    for (int wide = 0; wide < 2; wide++) {
        const peak_loop *loop = peak_loop_of(dc_isa(), wide ? 64 : 32);
        for (int many = 0; many < (bench.threads > 1 ? 2 : 1); many++) {
            const double peak = measure_peak(loop, many ? bench.threads : 1, tries);
            bench.peak[many][wide] = fmax(bench.peak[many][wide], peak);
        }
    }
}

/* ---- Start and end --------------------------------------------------------------------------- */

/* A footprint well inside a level: half of a cache; for the memory four times the last one. */
static double level_footprint(int level) {
    if (level < bench.level_count - 1) return bench.level_size[level] / 2;
    const double last = bench.level_size[level - 1] * 4;
    return fmin(fmax(last, 64 << 20), bench.quick ? 64 << 20 : 512 << 20);
}

static const char *level_name(int level, char text[16]) {
    if (level == bench.level_count - 1) return "memory";
    snprintf(text, 16, "L%d", level + 1);
    return text;
}

static void print_limits(void) {
    printf("multiply-adds out of registers, GFLOP/s%s\n",
           bench.threads > 1 ? " (one thread; all)" : "");
    for (int i = 0; i < PEAK_LOOPS; i++) {
        if (!machine_runs(peak_loops[i].isa)) continue;
        const double one = measure_peak(&peak_loops[i], 1, tries());
        printf("  %-9s f%d %8.1f", peak_loops[i].isa, peak_loops[i].bits, one * 1e-9);
        if (bench.threads > 1)
            printf(" %8.1f", measure_peak(&peak_loops[i], bench.threads, tries()) * 1e-9);
        printf("\n");
    }
    printf("plain loops over memory, GB/s, %d thread%s\n  %-7s %9s", bench.threads,
           bench.threads > 1 ? "s" : "", "", "KiB");
    for (int kind = 0; kind < STREAM_KINDS; kind++) printf(" %8s", stream_names[kind]);
    printf("\n");
    for (int level = 0; level < bench.level_count; level++) {
        char text[16];
        const double footprint = level_footprint(level);
        printf("  %-7s %9.0f", level_name(level, text), footprint / 1024);
        for (int kind = 0; kind < STREAM_KINDS; kind++)
            printf(" %8.1f",
                   bandwidth_at((stream)kind, footprint, bench.threads, tries(), false) * 1e-9);
        printf("\n");
    }
}

static void usage(FILE *to, const char *about) {
    fprintf(to,
            "%s: %s\n"
            "  --isa NAME      use that instruction set\n"
            "  --threads N     use N threads, and compare with one (default 1)\n"
            "  --filter TEXT   only cases whose name contains TEXT\n"
            "  --json FILE     write the results there too; FOLDER/ writes FOLDER/%s.json\n"
            "  --quick         few short rounds: a test that everything runs, not a measurement\n",
            bench.program, about, bench.program);
}

static bool bad_option(const char *what, const char *about) {
    fprintf(stderr, "%s: %s\n", bench.program, what);
    usage(stderr, about);
    bench.failures++;
    return false;
}

static bool read_options(int argc, char **argv, const char *about) {
    for (int i = 1; i < argc; i++) {
        const char *option = argv[i];
        if (strcmp(option, "--help") == 0) {
            usage(stdout, about);
            return false;
        }
        if (strcmp(option, "--quick") == 0) {
            bench.quick = true, bench.rounds = 3, bench.slice = 2e-4;
            continue;
        }
        const char *value = i + 1 < argc ? argv[++i] : NULL;
        if (!value) return bad_option("unknown option, or one without its value", about);
        if (strcmp(option, "--isa") == 0) {
            if (dc_set_isa(value) != DC_OK)
                return bad_option("--isa: not one of this machine", about);
        } else if (strcmp(option, "--threads") == 0) {
            bench.threads = atoi(value);
            if (bench.threads < 1 || bench.threads > MOST_THREADS)
                return bad_option("--threads: a number from 1 to 64 is expected", about);
        } else if (strcmp(option, "--filter") == 0) {
            bench.filter = value;
        } else if (strcmp(option, "--json") == 0) {
            const size_t length = strlen(value);
            const bool folder = length > 0 && value[length - 1] == '/';
            snprintf(bench.json, sizeof bench.json, "%s%s%s", value, folder ? bench.program : "",
                     folder ? ".json" : "");
        } else {
            return bad_option("unknown option", about);
        }
    }
    return true;
}

/* A string for JSON: what could end it is left out. */
static void print_json_text(const char *text) {
    fputc('"', bench.out);
    for (; *text; text++) {
        if (*text != '"' && *text != '\\' && (unsigned char)*text >= ' ') fputc(*text, bench.out);
    }
    fputc('"', bench.out);
}

static bool open_json(void) {
    if (!*bench.json) return true;
    bench.out = fopen(bench.json, "w");
    if (!bench.out) {
        perror(bench.json);
        bench.failures++;
        return false;
    }
    fprintf(bench.out, "{\"program\": \"%s\", \"version\": \"%s\", \"compiler\": ", bench.program,
            dc_version());
    print_json_text(dc_compiler());
    fprintf(bench.out, ", \"isa\": \"%s\", \"threads\": %d, \"quick\": %s,\n \"levels\": [",
            dc_isa(), bench.threads, bench.quick ? "true" : "false");
    for (int level = 0; level < bench.level_count; level++) {
        char text[16];
        const double footprint = level_footprint(level);
        fprintf(bench.out, "%s{\"name\": \"%s\", \"footprint\": %.0f", level ? ", " : "",
                level_name(level, text), footprint);
        for (int kind = 0; kind < STREAM_KINDS; kind++)
            fprintf(bench.out, ", \"%s\": %.6g", stream_names[kind],
                    bandwidth_at((stream)kind, footprint, bench.threads, tries(), false));
        fprintf(bench.out, "}");
    }
    fprintf(bench.out, "],\n \"cases\": [");
    return true;
}

bool bench_start(int argc, char **argv, const char *program, const char *about) {
    bench.program = program;
    bench.cases = calloc(MOST_CASES, sizeof *bench.cases);
    if (!bench.cases) return bad_option("no memory", about);
    if (dc_initialize() != DC_OK) return bad_option("DEEPC_ISA: not one of this machine", about);
    if (!read_options(argc, argv, about)) return false;
    bench_check(dc_set_num_threads(bench.threads), "--threads");
    bench.level_count = read_levels(bench.level_size);
    printf("%s: deepc %s, %s, %s, %d thread%s%s\n", program, dc_version(), dc_compiler(), dc_isa(),
           bench.threads, bench.threads > 1 ? "s" : "",
           bench.quick ? ", quick: no measurement" : "");
    print_limits();
    refresh_peaks(tries());
    return open_json();
}

int bench_finish(void) {
    if (bench.out) {
        fprintf(bench.out, "],\n \"peak\": {\"f32\": [%.6g, %.6g], \"f64\": [%.6g, %.6g]}}\n",
                bench.peak[0][0], bench.peak[1][0], bench.peak[0][1], bench.peak[1][1]);
        if (fclose(bench.out) != 0) {
            perror(bench.json);
            bench.failures++;
        }
    }
    free(bench.cases);
    if (bench.failures) fprintf(stderr, "%s: %d failures\n", bench.program, bench.failures);
    return bench.failures ? 1 : 0;
}

/* ---- Groups ---------------------------------------------------------------------------------- */

void bench_group(const char *title) {
    snprintf(bench.title, sizeof bench.title, "%s", title);
    bench.title_printed = false;
    bench.random = 1;
}

bool bench_wants(const char *name) { return !bench.filter || strstr(name, bench.filter); }

bool bench_is_quick(void) { return bench.quick; }

void bench_add(const bench_case *added) {
    if (!bench_wants(added->name)) return;
    if (bench.case_count == MOST_CASES) {
        fprintf(stderr, "%s: more than %d cases in a group\n", bench.program, MOST_CASES);
        exit(1);
    }
    timed_case *c = &bench.cases[bench.case_count++];
    *c = (timed_case){.given = *added};
    if (c->given.footprint <= 0) c->given.footprint = c->given.bytes;
    if (c->given.steps <= 0) c->given.steps = 1;
}

static void check_case(timed_case *c) {
    if (!c->given.error) return;
    c->error = c->given.error(c->given.context);
    if (!(c->error <= 1)) {
        fprintf(stderr, "%s: WRONG, %g times the error allowed\n", c->given.name, c->error);
        bench.failures++;
    }
}

/* Before a few long loops comes one that does not count: the case before has left its own operands
 * in the caches, and the limits are measured warm too. */
static double time_loops(const timed_case *c, size_t loops) {
    enum { FEW = 8 };
    if (loops < FEW) c->given.run(c->given.context);
    const double start = now();
    for (size_t i = 0; i < loops; i++) c->given.run(c->given.context);
    return now() - start;
}

/* Loops that take about a slice, found by doubling, which also warms up; long runs get fewer
 * rounds. */
static void plan_case(timed_case *c, int many) {
    size_t loops = 1;
    double seconds = time_loops(c, loops);
    while (seconds < bench.slice / 4) {
        loops *= 2;
        seconds = time_loops(c, loops);
    }
    const double more = (double)loops * bench.slice / seconds;
    c->loops[many] = more < 1 ? 1 : (size_t)more;
    const double rounds = MOST_SECONDS / fmax(seconds, bench.slice);
    c->rounds[many] = rounds < 5 && bench.rounds > 5 ? 5 : (int)fmin(rounds, bench.rounds);
    if (c->rounds[many] < 1) c->rounds[many] = 1;
}

static int compare_doubles(const void *x, const void *y) {
    const double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static void time_rounds(void) {
    const int kinds = bench.threads > 1 ? 2 : 1;
    for (int many = 0; many < kinds; many++) {
        dc_set_num_threads(many ? bench.threads : 1);
        for (int i = 0; i < bench.case_count; i++) plan_case(&bench.cases[i], many);
    }
    for (int round = 0; round < bench.rounds; round++) {
        for (int i = 0; i < bench.case_count; i++) {
            timed_case *c = &bench.cases[i];
            for (int many = 0; many < kinds; many++) {
                if (round >= c->rounds[many]) continue;
                if (kinds > 1) dc_set_num_threads(many ? bench.threads : 1);
                const double calls = (double)c->loops[many] * c->given.steps;
                c->samples[many][round] = time_loops(c, c->loops[many]) / calls;
            }
        }
    }
    for (int i = 0; i < bench.case_count; i++) {
        timed_case *c = &bench.cases[i];
        for (int many = 0; many < kinds; many++)
            qsort(c->samples[many], (size_t)c->rounds[many], sizeof(double), compare_doubles);
    }
}

/* Seconds that the machine needs at least for one step: arithmetic and memory can overlap, so
 * the slower one of the two. A case that took less than the loop over memory has it measured
 * again, in case the machine had a slow moment when it was. */
static double limit_of(const bench_case *c, int many, double seconds, bool *by_memory) {
    const int threads = many ? bench.threads : 1;
    const double arithmetic = c->flops / bench.peak[many][c->bits == 64];
    double memory = 0;
    if (c->bytes > 0) {
        memory = c->bytes / bandwidth_at((stream)c->like, c->footprint, threads, tries(), false);
        if (memory > seconds * c->steps)
            memory = c->bytes / bandwidth_at((stream)c->like, c->footprint, threads, tries(), true);
    }
    *by_memory = memory > arithmetic;
    return fmax(arithmetic, memory) / c->steps;
}

static void print_title(void) {
    if (bench.title_printed) return;
    bench.title_printed = true;
    printf("\n%s\n  %-40s %11s %11s %8s %8s %17s %11s%s\n", bench.title, "", "least", "median",
           "GFLOP/s", "GB/s", "limit", "an element", bench.threads > 1 ? " speed-up" : "");
}

static void print_time(double seconds) {
    if (seconds < 1e-6)
        printf(" %8.1f ns", seconds * 1e9);
    else if (seconds < 1e-3)
        printf(" %8.2f us", seconds * 1e6);
    else
        printf(" %8.3f ms", seconds * 1e3);
}

static void print_rate(double work, double seconds) {
    if (work > 0)
        printf(" %8.1f", work / seconds * 1e-9);
    else
        printf(" %8s", "");
}

static void print_case(const timed_case *c) {
    const bench_case *g = &c->given;
    const int many = bench.threads > 1;
    bool by_memory;
    const double best = c->samples[many][0], median = c->samples[many][c->rounds[many] / 2];
    const double limit = limit_of(g, many, best, &by_memory);
    printf("  %-40s", g->name);
    print_time(best);
    print_time(median);
    print_rate(g->flops / g->steps, best);
    print_rate(g->bytes / g->steps, best);
    if (limit > 0)
        printf(" %5.1f %% of %-6s", 100 * limit / best, by_memory ? stream_names[g->like] : "fma");
    else
        printf(" %17s", "");
    if (g->items > 0)
        printf(" %8.3f ns", best / g->items * 1e9);
    else
        printf(" %11s", "");
    if (many) printf(" %6.2fx", c->samples[0][0] / best);
    printf("\n");
    fflush(stdout);
    if (!bench.out) return;
    fprintf(bench.out, "%s\n  {\"group\": \"%s\", \"name\": \"%s\", \"bits\": %d, ",
            bench.comma ? "," : "", bench.title, g->name, g->bits);
    fprintf(bench.out, "\"seconds\": %.6g, \"median\": %.6g, \"one_thread\": %.6g, ", best, median,
            c->samples[0][0]);
    fprintf(bench.out, "\"flops\": %.6g, \"bytes\": %.6g, \"items\": %.6g, \"footprint\": %.6g, ",
            g->flops / g->steps, g->bytes / g->steps, g->items, g->footprint);
    fprintf(bench.out, "\"limit\": %.6g, \"limit_by\": \"%s\", \"error\": %.3g}", limit,
            by_memory ? stream_names[g->like] : "fma", c->error);
    bench.comma = true;
}

void bench_run_group(void) {
    if (bench.case_count) {
        for (int i = 0; i < bench.case_count; i++) check_case(&bench.cases[i]);
        refresh_peaks(3);
        time_rounds();
        refresh_peaks(3);
        print_title();
        for (int i = 0; i < bench.case_count; i++) print_case(&bench.cases[i]);
    }
    for (int i = 0; i < bench.block_count; i++) release(bench.blocks[i]);
    bench.case_count = bench.block_count = 0;
}
