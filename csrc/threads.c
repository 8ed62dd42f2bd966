/* The pool of threads, and what else the library asks of the operating system.
 *
 * One job at a time: a caller opens it, works on it, closes it when no task is left, and waits for
 * the workers that joined. A worker that wakes too late finds it closed, and nobody has waited for
 * it. Workers look out for the next job for some microseconds before they sleep, because the layers
 * of a network follow each other closely.
 *
 * Fork: the child has none of the workers, so a handler in the child forgets them. There is none
 * before the fork: it would have to wait for the end of a job, which may wait for the fork. */
#if !defined(_WIN32)
#define _GNU_SOURCE /* sched_getaffinity, clock_gettime */
#endif
#include "threads.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deepc.h"
#include "mode.h"
#include "of_a_thread.h"

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#elif defined(ONE_THREAD)
#include <time.h>
#else
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#endif

/* What a thread knows of itself. */
static OF_A_THREAD struct {
    int inside;    /* runs tasks */
    void *scratch; /* on a 64-byte boundary inside `memory` */
    size_t size;   /* from there on */
    void *memory;  /* as malloc gave it */
} this_thread;

static void work(void);
static void forget_workers(void);
static void watch_forks(void);

/* ---- What differs between operating systems -------------------------------------------------- */

#if defined(_WIN32)
typedef CONDITION_VARIABLE condition;
#define LOCK_READY {0}
#define CONDITION_READY CONDITION_VARIABLE_INIT

void dc_lock_init(dc_lock *lock) { InitializeSRWLock((SRWLOCK *)lock); }
int dc_lock_acquire(dc_lock *lock) { return AcquireSRWLockExclusive((SRWLOCK *)lock), 0; }
void dc_lock_release(dc_lock *lock) { ReleaseSRWLockExclusive((SRWLOCK *)lock); }
void dc_lock_destroy(dc_lock *lock) { (void)lock; }
static void condition_init(condition *c) { InitializeConditionVariable(c); }
static void condition_wait(condition *c, dc_lock *lock) {
    SleepConditionVariableSRW(c, (SRWLOCK *)lock, INFINITE, 0);
}
static void condition_wake_one(condition *c) { WakeConditionVariable(c); }
static void condition_wake_all(condition *c) { WakeAllConditionVariable(c); }
static void give_way(void) { SwitchToThread(); }

double dc_seconds(void) {
    LARGE_INTEGER now, frequency;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&frequency);
    return (double)now.QuadPart / (double)frequency.QuadPart;
}

static int cpus_allowed(void) {
    DWORD_PTR process, machine;
    if (!GetProcessAffinityMask(GetCurrentProcess(), &process, &machine)) return 1;
    int count = 0;
    for (; process; process &= process - 1) count++;
    return count;
}

static DWORD WINAPI worker_main(void *unused) {
    (void)unused;
    work();
    return 0;
}

static int start_worker(void) {
    HANDLE thread = CreateThread(NULL, 0, worker_main, NULL, 0, NULL);
    if (!thread) return 0;
    CloseHandle(thread);
    return 1;
}

static void watch_forks(void) { (void)forget_workers; }

static void WINAPI free_at_exit(void *memory) { free(memory); }

/* Has `memory` freed when the thread ends; 0 where that cannot be. */
static int keep_until_exit(void *memory) {
    static DWORD key = FLS_OUT_OF_INDEXES;
    static SRWLOCK making = SRWLOCK_INIT;
    AcquireSRWLockExclusive(&making);
    if (key == FLS_OUT_OF_INDEXES) key = FlsAlloc(free_at_exit);
    ReleaseSRWLockExclusive(&making);
    return key != FLS_OUT_OF_INDEXES && FlsSetValue(key, memory);
}
#elif defined(ONE_THREAD)
/* No worker ever starts, so that whoever calls does all the work, and nobody waits for anybody. */
typedef char condition;
#define LOCK_READY {0}
#define CONDITION_READY 0

void dc_lock_init(dc_lock *lock) { (void)lock; }
int dc_lock_acquire(dc_lock *lock) { return (void)lock, 0; }
void dc_lock_release(dc_lock *lock) { (void)lock; }
void dc_lock_destroy(dc_lock *lock) { (void)lock; }
static void condition_init(condition *c) { (void)c; }
static void condition_wait(condition *c, dc_lock *lock) { (void)c, (void)lock; }
static void condition_wake_one(condition *c) { (void)c; }
static void condition_wake_all(condition *c) { (void)c; }
static void give_way(void) {}
static int cpus_allowed(void) { return 1; }
static int start_worker(void) { return (void)work, 0; }
static void watch_forks(void) { (void)forget_workers; }
static int keep_until_exit(void *memory) { return (void)memory, 1; }

double dc_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
#else
typedef pthread_cond_t condition;
#define LOCK_READY {.mutex = PTHREAD_MUTEX_INITIALIZER}
#define CONDITION_READY PTHREAD_COND_INITIALIZER

/* Forks so far, of this process and of those that it was forked from. A lock of before the last
 * one may belong to a thread that does not exist here. */
static atomic_uint forks;
static pthread_mutex_t renewing = PTHREAD_MUTEX_INITIALIZER;

static void lock_renew(dc_lock *lock) {
    pthread_mutex_init(&lock->mutex, NULL);
    atomic_store(&lock->forks, atomic_load(&forks));
}
void dc_lock_init(dc_lock *lock) {
    watch_forks();
    atomic_store(&lock->held, 0);
    lock_renew(lock);
}
int dc_lock_acquire(dc_lock *lock) {
    if (atomic_load_explicit(&lock->forks, memory_order_relaxed) !=
        atomic_load_explicit(&forks, memory_order_relaxed)) {
        pthread_mutex_lock(&renewing);
        if (atomic_load(&lock->forks) != atomic_load(&forks)) lock_renew(lock);
        pthread_mutex_unlock(&renewing);
    }
    pthread_mutex_lock(&lock->mutex);
    const int lost = atomic_load_explicit(&lock->held, memory_order_relaxed);
    atomic_store_explicit(&lock->held, 1, memory_order_relaxed);
    return lost;
}
void dc_lock_release(dc_lock *lock) {
    atomic_store_explicit(&lock->held, 0, memory_order_relaxed);
    pthread_mutex_unlock(&lock->mutex);
}
void dc_lock_destroy(dc_lock *lock) { pthread_mutex_destroy(&lock->mutex); }
static void condition_init(condition *c) { pthread_cond_init(c, NULL); }
static void condition_wait(condition *c, dc_lock *lock) { pthread_cond_wait(c, &lock->mutex); }
static void condition_wake_one(condition *c) { pthread_cond_signal(c); }
static void condition_wake_all(condition *c) { pthread_cond_broadcast(c); }
static void give_way(void) { sched_yield(); }

double dc_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int cpus_allowed(void) {
#if defined(__linux__)
    /* The kernel refuses a mask smaller than its own, which may be for more CPUs than cpu_set_t. */
    for (int most = CPU_SETSIZE; most <= 1 << 16; most *= 2) {
        cpu_set_t *set = CPU_ALLOC((size_t)most);
        if (!set) break;
        const size_t size = CPU_ALLOC_SIZE((size_t)most);
        const int count = sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (count > 0) return count;
    }
#endif
    const long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (int)count : 1;
}

static void *worker_main(void *unused) {
    work();
    return unused;
}

/* Signals are for the threads of the program: Python's handlers expect its main thread. The stack
 * is of a fixed size because musl's default is 128 KiB. */
static int start_worker(void) {
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all, before;
    if (pthread_attr_init(&attributes)) return 0;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, (size_t)2 << 20);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(&thread, &attributes, worker_main, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return !failed;
}

/* In the child, whose only thread runs this. */
static void after_fork(void) {
    atomic_fetch_add(&forks, 1);
    pthread_mutex_init(&renewing, NULL);
    forget_workers();
}
static void start_watch(void) { pthread_atfork(NULL, NULL, after_fork); }
static void watch_forks(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_watch);
}

static pthread_key_t exit_key;
static int exit_key_made;

static void free_at_exit(void *memory) {
    free(memory);
    this_thread.scratch = this_thread.memory =
        NULL; /* another library's destructor may call once more */
    this_thread.size = 0;
}
static void make_exit_key(void) {
    exit_key_made = pthread_key_create(&exit_key, free_at_exit) == 0;
}

/* Has `memory` freed when the thread ends; 0 where that cannot be. */
static int keep_until_exit(void *memory) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_exit_key);
    return exit_key_made && pthread_setspecific(exit_key, memory) == 0;
}
#endif

/* What a waiting loop does in each turn: lets the other thread of the core have its units, and now
 * and then a thread that waits for this CPU, which may be the one that is waited for. */
static void relax(int turn) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb"); /* yield does nothing on most cores */
#endif
    if (turn % 32 == 31) give_way();
}

/* ---- How many threads ------------------------------------------------------------------------ */

int dc_cpus_of_quota(const char *text) {
    char *end;
    const long long quota = strtoll(text, &end, 10);
    if (end == text || quota <= 0) return 0;
    const long long period = strtoll(end, NULL, 10);
    if (period <= 0 || quota / period >= DC_MOST_THREADS) return 0;
    return (int)(quota / period) + (quota % period != 0);
}

/* Of two limits, where 0 is none. */
static int tighter(int a, int b) { return !a || (b && b < a) ? b : a; }

/* The start of a file as a string; 0 if it cannot be read. */
static int read_text(const char *path, char *text, size_t size) {
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    const size_t length = fread(text, 1, size - 1, file);
    text[length] = 0;
    fclose(file);
    return length > 0;
}

enum { PATH_SIZE = 4096 };

/* The number file `name` of a group holds, after what is in `text`. */
static int read_after(char *text, size_t size, const char *group, const char *name) {
    char path[PATH_SIZE];
    const size_t used = strlen(text);
    const int length = snprintf(path, sizeof path, "%s/%s", group, name);
    if (length < 0 || length >= PATH_SIZE) return 0;
    return read_text(path, text + used, size - used);
}

/* The least limit of `group` (a path that begins with a slash) and those above it. In a container
 * the path may be that of the host, which is not there; its own group is the root. */
static int cpus_of_group(const char *root, const char *hierarchy, const char *group) {
    char path[PATH_SIZE];
    const int length = snprintf(path, sizeof path, "%s/%s%s", root, hierarchy, group);
    if (length < 0 || length >= PATH_SIZE) return 0;
    const char *mount_end = path + strlen(root) + 1 + strlen(hierarchy);
    int least = 0;
    for (;;) {
        char text[128] = "";
        if (read_after(text, sizeof text, path, "cpu.max") || /* version 2: both numbers */
            (read_after(text, sizeof text, path, "cpu.cfs_quota_us") &&
             read_after(text, sizeof text, path, "cpu.cfs_period_us")))
            least = tighter(least, dc_cpus_of_quota(text));
        char *slash = strrchr(path, '/');
        if (!slash || slash < mount_end) return least;
        *slash = 0;
    }
}

/* Whether `name` is one of a list with commas. */
static int is_listed(const char *name, const char *list) {
    const size_t length = strlen(name);
    for (; *list; list += strcspn(list, ","), list += *list == ',')
        if (strcspn(list, ",") == length && strncmp(list, name, length) == 0) return 1;
    return 0;
}

int dc_cpus_of_cgroups(const char *cgroups, const char *root) {
    char line[PATH_SIZE];
    int least = 0;
    for (const char *next; *cgroups; cgroups = next) {
        const size_t length = strcspn(cgroups, "\n");
        next = cgroups + length + (cgroups[length] == '\n');
        if (length >= sizeof line) continue;
        memcpy(line, cgroups, length);
        line[length] = 0;
        /* "number:controllers:/path"; version 2 has one line, without controllers. */
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group) continue;
        *controllers++ = *group++ = 0;
        if (!*controllers) {
            least = tighter(least, cpus_of_group(root, ".", group));
            least = tighter(least, cpus_of_group(root, "unified", group));
        } else if (is_listed("cpu", controllers)) {
            least = tighter(least, cpus_of_group(root, "cpu", group));
            least = tighter(least, cpus_of_group(root, controllers, group));
        }
    }
    return least;
}

/* CPUs that this process may use, at least 1. */
static int usable_cpus(void) {
    int cpus = cpus_allowed();
#if defined(__linux__)
    char text[8192];
    if (read_text("/proc/self/cgroup", text, sizeof text))
        cpus = tighter(cpus, dc_cpus_of_cgroups(text, "/sys/fs/cgroup"));
#endif
    return cpus < 1 ? 1 : cpus;
}

static int default_threads(void) {
    const char *text = getenv("DEEPC_NUM_THREADS");
    if (text) {
        char *end;
        const long count = strtol(text, &end, 10);
        if (end != text && *end == 0 && count >= 1 && count <= DC_MOST_THREADS) return (int)count;
    }
    const int cpus = usable_cpus();
    return cpus < DC_MOST_THREADS ? cpus : DC_MOST_THREADS;
}

static atomic_int num_threads; /* 0 until somebody asks */

int dc_num_threads(void) {
    int count = atomic_load_explicit(&num_threads, memory_order_relaxed);
    if (count == 0) {
        int unset = 0;
        count = default_threads();
        if (!atomic_compare_exchange_strong(&num_threads, &unset, count)) count = unset;
    }
    return count;
}

int dc_set_num_threads(int count) {
    if (count < 1 || count > DC_MOST_THREADS) return DC_BAD_VALUE;
    atomic_store(&num_threads, count);
    return DC_OK;
}

/* ---- The pool -------------------------------------------------------------------------------- */

/* How long a worker looks out for the next job before it sleeps, and a caller for the last worker:
 * about what it costs to be woken, so that neither choice is ever twice as bad as the other. */
#define LOOK_OUT_SECONDS 50e-6

/* The gate is one word, so that a worker joins only a job that is open and the caller sees all who
 * did: the number of the job, a flag of the caller that it sleeps until all have left, the workers
 * that have joined and not left, and how many more may join. */
#define GATE_SEAT ((uint64_t)1)
#define GATE_JOINED ((uint64_t)1 << 16)
#define GATE_SLEEPS ((uint64_t)1 << 31)
#define GATE_NUMBER ((uint64_t)1 << 32)
static int seats(uint64_t gate) { return (int)(gate & 0xffff); }
static int joined(uint64_t gate) { return (int)(gate >> 16 & 0x7fff); }
static uint32_t job_number(uint64_t gate) { return (uint32_t)(gate >> 32); }

static struct {
    /* Written by the caller while nobody is in, read by those who have joined. */
    _Alignas(64) _Atomic uint64_t gate;
    void (*body)(void *context, size_t task);
    void *context;
    size_t tasks;
    size_t stride; /* tasks that a thread takes at a time */

    _Alignas(64) atomic_size_t next; /* the first task that nobody has taken */

    _Alignas(64) atomic_int busy; /* a caller has the pool */
    atomic_int crowded;           /* another caller found it so: CPUs are wanted elsewhere */
    atomic_int asleep;            /* workers */
    int started;                  /* workers */
    int cpus;                     /* 0: the pool has not been used */
    dc_lock lock;                 /* for sleeping only */
    condition opened, left;
} pool = {.lock = LOCK_READY, .opened = CONDITION_READY, .left = CONDITION_READY};

static void run_tasks(void) {
    const size_t tasks = pool.tasks, stride = pool.stride;
    size_t first;
    while ((first = atomic_fetch_add_explicit(&pool.next, stride, memory_order_relaxed)) < tasks) {
        const size_t end = tasks - first < stride ? tasks : first + stride;
        for (size_t task = first; task < end; task++) pool.body(pool.context, task);
    }
}

/* Whether there is a job that takes workers and is not number `last`. */
static int is_open(uint64_t gate, uint32_t last) { return seats(gate) && job_number(gate) != last; }

/* Looks out for such a job, then sleeps until there is one. */
static void await_job(uint32_t last) {
    if (!atomic_exchange_explicit(&pool.crowded, 0, memory_order_relaxed) &&
        atomic_load_explicit(&num_threads, memory_order_relaxed) <= pool.cpus) {
        const double until = dc_seconds() + LOOK_OUT_SECONDS;
        for (int turn = 0; turn % 32 || dc_seconds() < until; relax(turn++))
            if (is_open(atomic_load_explicit(&pool.gate, memory_order_relaxed), last)) return;
    }
    /* This thread counts itself, then looks at the gate; a caller opens the gate, then looks at the
     * count: one of them sees the other. */
    dc_lock_acquire(&pool.lock);
    atomic_fetch_add(&pool.asleep, 1);
    while (!is_open(atomic_load(&pool.gate), last)) condition_wait(&pool.opened, &pool.lock);
    atomic_fetch_sub(&pool.asleep, 1);
    dc_lock_release(&pool.lock);
}

/* Takes a seat in a job other than *last, which becomes its number; 0: there is none. */
static int join(uint32_t *last) {
    uint64_t gate = atomic_load(&pool.gate);
    while (is_open(gate, *last)) {
        if (atomic_compare_exchange_weak(&pool.gate, &gate, gate - GATE_SEAT + GATE_JOINED)) {
            *last = job_number(gate);
            return 1;
        }
    }
    return 0;
}

static void leave(void) {
    const uint64_t gate = atomic_fetch_sub(&pool.gate, GATE_JOINED);
    if (joined(gate) > 1 || !(gate & GATE_SLEEPS)) return;
    dc_lock_acquire(&pool.lock);
    condition_wake_all(&pool.left);
    dc_lock_release(&pool.lock);
}

/* The life of a worker. */
static void work(void) {
    uint32_t last = 0;
    dc_mode_enter(); /* for ever: a new thread has the mode of whoever started it */
    this_thread.inside = 1;
    for (;;) {
        await_job(last);
        if (!join(&last)) continue;
        run_tasks();
        leave();
    }
}

/* In a forked child: it has no threads but its caller. */
static void forget_workers(void) {
    dc_lock_init(&pool.lock);
    condition_init(&pool.opened);
    condition_init(&pool.left);
    pool.started = 0;
    atomic_store(&pool.asleep, 0);
    atomic_store(&pool.gate, 0);
    atomic_store(&pool.busy, 0);
}

/* Lets up to `helpers` workers in, wakes as many as are not awake, and starts those that are
 * missing. */
static void open_gate(int helpers) {
    if (!pool.cpus) {
        watch_forks();
        pool.cpus = usable_cpus();
    }
    while (pool.started < helpers && start_worker()) pool.started++;
    const uint64_t job =
        (uint64_t)(job_number(atomic_load(&pool.gate)) + (uint64_t)1) * GATE_NUMBER;
    atomic_store(&pool.gate, job + (uint64_t)helpers * GATE_SEAT);

    const int asleep = atomic_load(&pool.asleep);
    int missing = helpers - (pool.started - asleep);
    if (!asleep || missing <= 0) return;
    /* Whoever counted itself has the lock until it waits; after this it can be woken. */
    dc_lock_acquire(&pool.lock);
    dc_lock_release(&pool.lock);
    if (missing >= asleep)
        condition_wake_all(&pool.opened);
    else
        while (missing-- > 0) condition_wake_one(&pool.opened);
}

/* Lets nobody in any more and waits until all have left. */
static void close_gate(void) {
    uint64_t gate = atomic_fetch_and(&pool.gate, ~(GATE_JOINED - 1));
    if (!joined(gate)) return;
    const double until = dc_seconds() + LOOK_OUT_SECONDS;
    for (int turn = 0; turn % 32 || dc_seconds() < until; relax(turn++))
        if (!joined(atomic_load(&pool.gate))) return;
    dc_lock_acquire(&pool.lock);
    atomic_fetch_or(&pool.gate, GATE_SLEEPS);
    while (joined(atomic_load(&pool.gate))) condition_wait(&pool.left, &pool.lock);
    atomic_fetch_and(&pool.gate, ~GATE_SLEEPS);
    dc_lock_release(&pool.lock);
}

int dc_threads_available(void) {
    if (this_thread.inside) return 1;
    if (!atomic_load_explicit(&pool.busy, memory_order_relaxed)) return dc_num_threads();
    atomic_store_explicit(&pool.crowded, 1, memory_order_relaxed);
    return 1;
}

void dc_parallel_for(size_t tasks, int threads, void (*body)(void *context, size_t task),
                     void *context) {
    if (threads > DC_MOST_THREADS) threads = DC_MOST_THREADS;
    if (threads > 1 && tasks < (size_t)threads) threads = (int)tasks;
    const int helped = threads > 1 && !this_thread.inside && !atomic_exchange(&pool.busy, 1);
    if (!helped) {
        for (size_t task = 0; task < tasks; task++) body(context, task);
        return;
    }
    pool.body = body;
    pool.context = context;
    pool.tasks = tasks;
    /* Few tasks are taken one at a time; of many, a sixteenth of a thread's share, so that taking
     * them costs nothing and unequal threads still end together. */
    const size_t share = tasks / (size_t)threads;
    pool.stride = share < 32 ? 1 : share / 16;
    atomic_store_explicit(&pool.next, 0, memory_order_relaxed);
    this_thread.inside = 1;
    open_gate(threads - 1);
    run_tasks();
    close_gate();
    this_thread.inside = 0;
    atomic_store(&pool.busy, 0);
}

/* ---- Memory of a thread ---------------------------------------------------------------------- */

void *dc_thread_scratch(size_t bytes) {
    if (bytes <= this_thread.size && this_thread.scratch) return this_thread.scratch;
    /* Half as much again, so that slowly growing work does not ask every time. */
    const size_t most = SIZE_MAX / 2;
    if (bytes > most) return NULL;
    size_t size = this_thread.size + this_thread.size / 2;
    if (size < bytes) size = bytes;
    if (size < 4096) size = 4096;
    free(this_thread.memory);
    this_thread.memory = malloc(size + 64);
    this_thread.scratch = NULL;
    this_thread.size = 0;
    if (!keep_until_exit(this_thread.memory)) {
        free(this_thread.memory);
        this_thread.memory = NULL;
    }
    if (!this_thread.memory) return NULL;
    this_thread.scratch = (void *)(((uintptr_t)this_thread.memory + 63) & ~(uintptr_t)63);
    this_thread.size = size;
    return this_thread.scratch;
}
