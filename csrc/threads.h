/* The pool of threads that large work is split over, and what else the library asks of the
 * operating system: a lock, a clock, memory that belongs to a thread. */
#ifndef DEEPC_THREADS_H
#define DEEPC_THREADS_H

#include <stddef.h>

/* ---- The pool -------------------------------------------------------------------------------- */

/* Runs body(context, task) once for every task below `tasks`, on the calling thread and up to
 * threads - 1 others, in any order, and returns when all are done. A caller that finds the pool in
 * use, or is itself inside a body, runs its tasks alone and waits for nobody. The pool starts at
 * the first call that needs it; a forked child starts its own. */
void dc_parallel_for(size_t tasks, int threads, void (*body)(void *context, size_t task),
                     void *context);

/* How many threads a call can have now: dc_num_threads(), or 1 where it would run alone. */
int dc_threads_available(void);

/* ---- Lock, clock, memory --------------------------------------------------------------------- */

#if defined(_WIN32)
typedef struct dc_lock {
    void *state;
} dc_lock; /* an SRWLOCK */
#elif defined(__wasm__) && !defined(_REENTRANT)
#define ONE_THREAD 1 /* is all that this target has */
typedef struct dc_lock {
    char unused;
} dc_lock;
#else
#include <pthread.h>
#include <stdatomic.h>
typedef struct dc_lock {
    pthread_mutex_t mutex;
    atomic_uint forks; /* how many there had been when the mutex was made */
    atomic_int held;
} dc_lock;
#endif

void dc_lock_init(dc_lock *lock);
/* Returns whether this process was forked while another thread held the lock: it is the caller's
 * now, but what it guards was left in the midst of a change. */
int dc_lock_acquire(dc_lock *lock);
void dc_lock_release(dc_lock *lock);
void dc_lock_destroy(dc_lock *lock);

/* A clock that never goes back. */
double dc_seconds(void);

/* At least `bytes` bytes on a 64-byte boundary, the calling thread's until its next call; what they
 * hold is lost when a call asks for more. NULL: no memory. Freed when the thread ends. */
void *dc_thread_scratch(size_t bytes);

/* ---- Limits on CPUs (for the tests) ---------------------------------------------------------- */

/* CPUs that a cgroup's limit allows, "quota period" in microseconds, rounded up; 0: no limit ("max"
 * or -1 for the quota, or no such text). */
int dc_cpus_of_quota(const char *text);

/* The least such limit of a process's cgroups and those above them; 0: none. cgroups: the text of
 * /proc/self/cgroup; root: where the hierarchies are mounted, /sys/fs/cgroup. */
int dc_cpus_of_cgroups(const char *cgroups, const char *root);

#endif
