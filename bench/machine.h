/* The machine under the benchmarks: a clock, memory, the sizes of the caches, and the limits:
 * how fast the loops of limits.h run on one thread or on several. Included by harness.c only. */
#ifndef DEEPC_BENCH_MACHINE_H
#define DEEPC_BENCH_MACHINE_H

#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if !defined(_WIN32)
#include <pthread.h>
#include <sys/mman.h>
#endif

#include "deepc.h"
#include "limits.h"

enum {
    MOST_THREADS = 64,
    MOST_LEVELS = 4, /* three caches and the memory */
    MOST_BANDWIDTHS = 512 /* measured footprints */
};

/* ---- Clock and memory ------------------------------------------------------------------------ */

static double now(void) {
    struct timespec t;
#if defined(_WIN32)
    timespec_get(&t, TIME_UTC);
#else
    clock_gettime(CLOCK_MONOTONIC, &t);
#endif
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Zeros that start on a cache line, or NULL. */
static void *allocate(size_t bytes) {
    enum { LINE = 64, HUGE_PAGE = 2 << 20 };
    const size_t align = bytes >= HUGE_PAGE ? HUGE_PAGE : LINE;
    const size_t size = (bytes + align - 1) / align * align + (bytes == 0) * align;
#if defined(_WIN32)
    void *block = _aligned_malloc(size, align);
#else
    void *block = aligned_alloc(align, size);
#endif
    if (!block) return NULL;
#if defined(__linux__)
    /* As NumPy does, so that large arrays do not measure the misses of the page tables. */
    if (align == HUGE_PAGE) madvise(block, size, MADV_HUGEPAGE);
#endif
    memset(block, 0, size);
    return block;
}

static void release(void *block) {
#if defined(_WIN32)
    _aligned_free(block);
#else
    free(block);
#endif
}

/* ---- Timing one loop on several threads ------------------------------------------------------ */

/* The work of one thread: either loop, over and over. */
typedef struct limit_work {
    void (*peak)(size_t steps);
    stream_loop loop;
    size_t repeats;
    stream kind;
    size_t n;
    float *a, *b, *c;
    double start, end;
} limit_work;

static atomic_int threads_ready, threads_go;

static void *limit_thread(void *argument) {
    limit_work *w = argument;
    atomic_fetch_add(&threads_ready, 1);
    while (!atomic_load(&threads_go)) {}
    w->start = now();
    if (w->peak) {
        w->peak(w->repeats);
    } else {
        for (size_t i = 0; i < w->repeats; i++) w->loop(w->kind, w->n, w->a, w->b, w->c);
    }
    w->end = now();
    return NULL;
}

/* Seconds from the first start to the last end of `threads` works. */
static double time_works(limit_work *work, int threads) {
    atomic_store(&threads_ready, 0);
    atomic_store(&threads_go, 0);
    int started = 1;
#if !defined(_WIN32)
    pthread_t handles[MOST_THREADS];
    while (started < threads) {
        if (pthread_create(&handles[started], NULL, limit_thread, &work[started]) != 0) break;
        started++;
    }
    while (atomic_load(&threads_ready) < started - 1) {}
#endif
    atomic_store(&threads_go, 1);
    limit_thread(&work[0]);
    double start = work[0].start, end = work[0].end;
#if !defined(_WIN32)
    for (int t = 1; t < started; t++) {
        pthread_join(handles[t], NULL);
        start = fmin(start, work[t].start);
        end = fmax(end, work[t].end);
    }
#endif
    /* Threads that did not start are taken to be as fast as the others. */
    return (end - start) * started / threads;
}

/* ---- Limits ---------------------------------------------------------------------------------- */

static bool machine_runs(const char *isa) {
    const char *name;
    for (size_t i = 0; isa && (name = dc_isa_available(i)) != NULL; i++) {
        if (strcmp(name, isa) == 0) return true;
    }
    return !isa || strcmp(isa, "portable") == 0;
}

/* The loop that bounds an instruction set of the library; the best one if none has its name. */
static const peak_loop *peak_loop_of(const char *isa, int bits) {
    const char *name = strcmp(isa, "fma") == 0 ? "avx2" : isa;
    const peak_loop *found = NULL;
    for (int i = PEAK_LOOPS - 1; i >= 0; i--) {
        if (peak_loops[i].bits != bits) continue;
        if (strcmp(peak_loops[i].isa, name) == 0) return &peak_loops[i];
        if (machine_runs(peak_loops[i].isa)) found = &peak_loops[i];
    }
    return found;
}

/* The best flops a second of one loop in `tries` tries. */
static double measure_peak(const peak_loop *loop, int threads, int tries) {
    limit_work work[MOST_THREADS];
    size_t steps = 1000;
    double best = 0;
    for (int i = 0; i < tries;) {
        for (int t = 0; t < threads; t++)
            work[t] = (limit_work){.peak = loop->run, .repeats = steps};
        const double seconds = time_works(work, threads);
        if (seconds < (threads > 1 ? 2e-3 : 3e-4)) { /* threads do not start at once */
            steps *= 2;
            continue;
        }
        best = fmax(best, threads * loop->flops * (double)steps / seconds);
        i++;
    }
    return best;
}

/* The best bytes a second of one loop over n floats an array and thread, in `tries` tries. */
static double time_stream(stream_loop loop, stream kind, size_t n, float *const *memory,
                          int threads, int tries) {
    limit_work work[MOST_THREADS];
    size_t repeats = 1;
    double best = 0;
    for (int i = 0; i < tries;) {
        for (int t = 0; t < threads; t++) {
            float *a = memory[t], *b = kind == STREAM_READ ? a : a + n;
            work[t] = (limit_work){.loop = loop, .repeats = repeats, .kind = kind, .n = n};
            work[t].a = a, work[t].b = b, work[t].c = b + n;
        }
        const double seconds = time_works(work, threads);
        if (seconds < (threads > 1 ? 1e-3 : 1e-4)) {
            repeats *= 2;
            continue;
        }
        const double bytes = 4.0 * (double)n * stream_operands[kind] * (double)repeats;
        best = fmax(best, threads * bytes / seconds);
        i++;
    }
    return best;
}

/* The bytes a second of the best loop of a kind; all threads together touch `footprint` bytes. */
static double measure_stream(stream kind, double footprint, int threads, int tries) {
    size_t n = (size_t)(footprint / (4.0 * stream_arrays[kind] * threads)) / 64 * 64;
    n = n < 256 ? 256 : n;
    float *memory[MOST_THREADS];
    double best = 0;
    int got = 0;
    while (got < threads && (memory[got] = allocate(3 * n * sizeof(float))) != NULL) got++;
    for (int l = 0; l < STREAM_LOOPS && got == threads; l++) {
        if (machine_runs(stream_loops[l].isa))
            best = fmax(best, time_stream(stream_loops[l].run, kind, n, memory, threads, tries));
    }
    for (int t = 0; t < got; t++) release(memory[t]);
    return best;
}

/* What measure_stream said, measured once, or `again`, and then the better of the two.
 * Footprints are rounded up to sixteenths of a power of two; below 8 KiB the loop would measure
 * its own start. */
static double bandwidth_at(stream kind, double footprint, int threads, int tries, bool again) {
    static struct {
        stream kind;
        int threads;
        double footprint, value;
    } known[MOST_BANDWIDTHS];
    static int count;
    int exponent;
    const double mantissa = frexp(fmax(footprint, 8192), &exponent);
    footprint = ldexp(ceil(mantissa * 16) / 16, exponent);
    for (int i = 0; i < count; i++) {
        if (known[i].kind != kind || known[i].threads != threads || known[i].footprint != footprint)
            continue;
        if (again)
            known[i].value = fmax(known[i].value, measure_stream(kind, footprint, threads, tries));
        return known[i].value;
    }
    const double value = measure_stream(kind, footprint, threads, tries);
    if (count < MOST_BANDWIDTHS) {
        known[count].kind = kind, known[count].threads = threads;
        known[count].footprint = footprint, known[count++].value = value;
    }
    return value;
}

/* ---- Caches ---------------------------------------------------------------------------------- */

static bool read_cache_field(int index, const char *field, char text[32]) {
    char path[128];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", index, field);
    FILE *file = fopen(path, "r");
    if (!file) return false;
    const bool got = fscanf(file, "%31s", text) == 1;
    fclose(file);
    return got;
}

/* Cache sizes in bytes as Linux tells them, else usual ones, then HUGE_VAL for the memory; how
 * many. */
static int read_levels(double levels[MOST_LEVELS]) {
    double size[3] = {32 << 10, 1 << 20, 16 << 20};
    bool known = false;
    for (int i = 0; i < 8; i++) {
        char type[32], level[32], text[32];
        if (!read_cache_field(i, "type", type) || !read_cache_field(i, "level", level) ||
            !read_cache_field(i, "size", text))
            continue;
        const int which = atoi(level);
        if (strcmp(type, "Instruction") == 0 || which < 1 || which > 3) continue;
        if (!known) size[0] = size[1] = size[2] = 0;
        known = true;
        size[which - 1] = strtod(text, NULL) * (strchr(text, 'M') ? 1 << 20 : 1 << 10);
    }
    int count = 0;
    for (int i = 0; i < 3; i++) {
        if (size[i] > 0) levels[count++] = size[i];
    }
    levels[count++] = HUGE_VAL;
    return count;
}

#endif
