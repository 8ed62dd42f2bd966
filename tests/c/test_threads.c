/* The pool: every task once, whoever calls, from any number of threads, in forked children, for any
 * count of workers; and the reading of CPU limits. */
#if !defined(_WIN32)
#define _GNU_SOURCE
#endif
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "deepc.h"
#include "sanitizers.h"
#include "threads.h"

#if !defined(_WIN32)
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

/* ---- Every task once ------------------------------------------------------------------------- */

enum { MOST = 5000 };

typedef struct tally {
    unsigned char done[MOST]; /* not atomic: each task has its own */
    atomic_int running, most_running;
    int spin;
} tally;

static void count_task(void *context, size_t task) {
    tally *t = context;
    const int running = atomic_fetch_add(&t->running, 1) + 1;
    int most = atomic_load(&t->most_running);
    while (running > most && !atomic_compare_exchange_weak(&t->most_running, &most, running)) {}
    for (volatile int i = 0; i < t->spin; i++) {}
    t->done[task]++;
    atomic_fetch_sub(&t->running, 1);
}

/* Whether each of the tasks ran once, on no more than `threads` threads at a time. */
static int runs_all(size_t tasks, int threads, int spin) {
    static _Thread_local tally t;
    memset(&t, 0, sizeof t);
    t.spin = spin;
    dc_parallel_for(tasks, threads, count_task, &t);
    int good = atomic_load(&t.running) == 0 && atomic_load(&t.most_running) <= threads;
    for (size_t i = 0; i < MOST; i++) good &= t.done[i] == (i < tasks);
    return good;
}

static void test_tasks(void) {
    static const size_t counts[] = {0, 1, 2, 3, 4, 7, 31, 63, 64, 65, 100, 1000, 4999, MOST};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (int threads = 1; threads <= 9; threads += 2)
            for (int spin = 0; spin <= 300; spin += 300) CHECK(runs_all(counts[i], threads, spin));
    CHECK(runs_all(100, 1000, 100));
    for (int i = 0; i < 20000; i++) CHECK(runs_all(3, 3, 0) && runs_all(2, 2, 0));
}

/* The sum of what single tasks leave would need a lock; the sum of their numbers tells as much. */
static void add_task(void *context, size_t task) {
    atomic_fetch_add_explicit((_Atomic uint64_t *)context, task, memory_order_relaxed);
}

static void test_many_tasks(void) {
    const size_t tasks = 3000001;
    for (int threads = 1; threads <= 4; threads++) {
        _Atomic uint64_t sum = 0;
        dc_parallel_for(tasks, threads, add_task, (void *)&sum);
        CHECK(atomic_load(&sum) == (uint64_t)tasks * (tasks - 1) / 2);
    }
}

/* ---- Counts ---------------------------------------------------------------------------------- */

static void test_count(void) {
    CHECK(dc_num_threads() >= 1);
    CHECK(dc_set_num_threads(0) == DC_BAD_VALUE && dc_set_num_threads(-3) == DC_BAD_VALUE);
    CHECK(dc_set_num_threads(257) == DC_BAD_VALUE);
    static const int counts[] = {1, 8, 2, 256, 3, 1, 4};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        CHECK(dc_set_num_threads(counts[i]) == DC_OK && dc_num_threads() == counts[i]);
        CHECK(dc_threads_available() == counts[i]);
        for (int k = 0; k < 20; k++) CHECK(runs_all(1000, dc_threads_available(), 100));
    }
}

/* ---- A call inside a call -------------------------------------------------------------------- */

static atomic_int inner_wrong;

static void outer_task(void *context, size_t task) {
    _Atomic uint64_t sum = 0;
    const int available = dc_threads_available();
    dc_parallel_for(100 + task, 4, add_task, (void *)&sum);
    const uint64_t n = 100 + task;
    if (available != 1 || atomic_load(&sum) != n * (n - 1) / 2) atomic_fetch_add(&inner_wrong, 1);
    add_task(context, task);
}

static void test_nesting(void) {
    for (int i = 0; i < 100; i++) {
        _Atomic uint64_t sum = 0;
        dc_parallel_for(50, 4, outer_task, (void *)&sum);
        CHECK(atomic_load(&sum) == 50 * 49 / 2);
    }
    CHECK(atomic_load(&inner_wrong) == 0);
    CHECK(dc_threads_available() == dc_num_threads());
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static void scratch_task(void *context, size_t task) {
    unsigned char *memory = dc_thread_scratch(1000 + 100 * task);
    if (!memory || (uintptr_t)memory % 64) {
        atomic_fetch_add((atomic_int *)context, 1);
        return;
    }
    memset(memory, (int)(task & 0xff), 1000 + 100 * task);
    for (volatile int i = 0; i < 100; i++) {}
    for (size_t i = 0; i < 1000 + 100 * task; i++)
        if (memory[i] != (task & 0xff)) atomic_fetch_add((atomic_int *)context, 1);
}

static void test_scratch(void) {
    atomic_int wrong = 0;
    dc_parallel_for(500, 4, scratch_task, (void *)&wrong);
    CHECK(atomic_load(&wrong) == 0);
    void *memory = dc_thread_scratch(100000);
    CHECK(memory && dc_thread_scratch(99999) == memory && dc_thread_scratch(0) == memory);
    CHECK(!dc_thread_scratch(SIZE_MAX) && !dc_thread_scratch(SIZE_MAX / 2 + 1));
    CHECK(dc_thread_scratch(10));
}

/* ---- CPU limits ------------------------------------------------------------------------------ */

static void test_quota(void) {
    CHECK(dc_cpus_of_quota("max 100000\n") == 0);
    CHECK(dc_cpus_of_quota("-1\n100000\n") == 0);
    CHECK(dc_cpus_of_quota("") == 0 && dc_cpus_of_quota("100000") == 0);
    CHECK(dc_cpus_of_quota("100000 0") == 0 && dc_cpus_of_quota("0 100000") == 0);
    CHECK(dc_cpus_of_quota("1000 100000") == 1 && dc_cpus_of_quota("100000 100000\n") == 1);
    CHECK(dc_cpus_of_quota("100001 100000") == 2 && dc_cpus_of_quota("150000 100000") == 2);
    CHECK(dc_cpus_of_quota("400000\n100000\n") == 4);
    CHECK(dc_cpus_of_quota("9223372036854775807 1") == 0);
}

#if !defined(_WIN32)
static char root[] = "/tmp/deepc-test-XXXXXX";

/* Writes a file below root, with the folders that lead to it. */
static void write_file(const char *name, const char *text) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *at = strchr(path + strlen(root) + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = 0;
        mkdir(path, 0700);
        *at = '/';
    }
    FILE *file = fopen(path, "w");
    CHECK(file && fputs(text, file) >= 0);
    if (file) fclose(file);
}

static void test_cgroups(void) {
    CHECK(mkdtemp(root));
    CHECK(dc_cpus_of_cgroups("0::/a\n", root) == 0);
    /* Version 2: the tightest of the group and those above. */
    write_file("a/cpu.max", "700000 100000\n");
    write_file("a/b/cpu.max", "max 100000\n");
    write_file("a/b/c/cpu.max", "850000 100000\n");
    CHECK(dc_cpus_of_cgroups("0::/a\n", root) == 7);
    CHECK(dc_cpus_of_cgroups("0::/a/b", root) == 7);
    CHECK(dc_cpus_of_cgroups("0::/a/b/c\n", root) == 7);
    CHECK(dc_cpus_of_cgroups("0::/a/b/c/gone\n", root) == 7);
    CHECK(dc_cpus_of_cgroups("0::/\n", root) == 0);
    CHECK(dc_cpus_of_cgroups("", root) == 0 && dc_cpus_of_cgroups("\n\nnonsense\n:\n", root) == 0);
    CHECK(dc_cpus_of_cgroups("0::/../..\n", root) == 0);
    /* Version 1, mounted under the list of controllers; the host's path is not there. */
    write_file("cpu,cpuacct/cpu.cfs_quota_us", "250000\n");
    write_file("cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    CHECK(dc_cpus_of_cgroups("5:memory:/x\n4:cpu,cpuacct:/docker/1234\n0::/\n", root) == 3);
    CHECK(dc_cpus_of_cgroups("4:cpuset:/docker/1234\n0::/\n", root) == 0);
    /* Version 1 under its own name, beside version 2. */
    write_file("cpu/g/cpu.cfs_quota_us", "-1\n");
    write_file("cpu/g/cpu.cfs_period_us", "100000\n");
    CHECK(dc_cpus_of_cgroups("1:cpu:/g\n0::/a\n", root) == 7);
    write_file("cpu/g/cpu.cfs_quota_us", "50000\n");
    CHECK(dc_cpus_of_cgroups("1:cpu:/g\n0::/a\n", root) == 1);
    write_file("unified/u/cpu.max", "200000 100000\n");
    CHECK(dc_cpus_of_cgroups("1:name=systemd:/u\n0::/u\n", root) == 2);

    char command[64];
    snprintf(command, sizeof command, "rm -r %s", root);
    CHECK(system(command) == 0);
}

/* ---- Many callers ---------------------------------------------------------------------------- */

enum { CALLERS = 8 };
static atomic_int callers_wrong;

static void *call_often(void *unused) {
    for (int i = 0; i < 400; i++) {
        const int available = dc_threads_available();
        if (available < 1 || available > 4) atomic_fetch_add(&callers_wrong, 1);
        if (!runs_all((size_t)(i % 200), 4, 50)) atomic_fetch_add(&callers_wrong, 1);
    }
    return unused;
}

static void test_callers(void) {
    pthread_t callers[CALLERS];
    for (int i = 0; i < CALLERS; i++) CHECK(!pthread_create(callers + i, NULL, call_often, NULL));
    for (int i = 0; i < CALLERS; i++) CHECK(!pthread_join(callers[i], NULL));
    CHECK(atomic_load(&callers_wrong) == 0);
}

/* Signals reach the threads of the program, not the workers. */
typedef struct signal_test {
    pthread_t caller;
    atomic_int reachable; /* workers that a signal can interrupt */
} signal_test;

static void signal_task(void *context, size_t task) {
    signal_test *t = context;
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    if (!sigismember(&blocked, SIGINT) && !pthread_equal(pthread_self(), t->caller))
        atomic_fetch_add(&t->reachable, 1);
    for (volatile int i = 0; i < 1000; i++) {}
    (void)task;
}

static void test_signals(void) {
    signal_test t = {.caller = pthread_self()};
    dc_parallel_for(1000, 3, signal_task, &t);
    CHECK(atomic_load(&t.reachable) == 0);
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    CHECK(!sigismember(&blocked, SIGINT));
}

#if !defined(THREAD_SANITIZER) /* which does not follow threads into a fork */
/* ---- Forks under load ------------------------------------------------------------------------ */

enum { FORKS = 200 };
static atomic_int load_stops;

static void *load_pool(void *wrong) {
    while (!atomic_load(&load_stops))
        if (!runs_all(64, 3, 500)) atomic_fetch_add((atomic_int *)wrong, 1);
    return NULL;
}

/* Waits for a child, at most ten seconds; whether it ended well. */
static int ends_well(pid_t child) {
    int status;
    for (int i = 0; i < 10000; i++) {
        if (waitpid(child, &status, WNOHANG) == child)
            return WIFEXITED(status) && WEXITSTATUS(status) == 0;
        usleep(1000);
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return 0;
}

static void test_forks(void) {
    atomic_int wrong = 0;
    pthread_t loader;
    CHECK(!pthread_create(&loader, NULL, load_pool, (void *)&wrong));
    int bad = 0;
    for (int i = 0; i < FORKS; i++) {
        const pid_t child = fork();
        if (child == 0) {
            int good = dc_threads_available() == dc_num_threads();
            for (int k = 0; k < 5; k++) good &= runs_all(100, 3, 100);
            if (i % 20 == 0) { /* and a child of the child */
                const pid_t next = fork();
                if (next == 0) _exit(!runs_all(100, 3, 100));
                good &= next > 0 && ends_well(next);
            }
            _exit(!good);
        }
        bad += child < 0 || !ends_well(child);
    }
    atomic_store(&load_stops, 1);
    CHECK(!pthread_join(loader, NULL));
    CHECK(bad == 0 && atomic_load(&wrong) == 0);
    CHECK(runs_all(1000, 4, 100));
}
#endif
#endif

int main(void) {
    test_count();
    test_tasks();
    test_many_tasks();
    dc_set_num_threads(4);
    test_nesting();
    test_scratch();
    test_quota();
#if !defined(_WIN32)
    test_signals();
    test_callers();
    test_cgroups();
#if !defined(THREAD_SANITIZER)
    test_forks();
#endif
#endif
    return check_result();
}
