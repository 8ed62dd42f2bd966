/* OF_A_THREAD: a static variable that each thread has for itself.
 *
 * glibc makes the thread-local memory of a library that was loaded later when a thread first
 * touches it, and ends the process where there is no memory then. The initial-exec model takes it
 * from what each thread has from its start, of which the few bytes of this library are a small
 * part. */
#ifndef DEEPC_OF_A_THREAD_H
#define DEEPC_OF_A_THREAD_H

#include <stdlib.h> /* says which C library this is */

#if defined(__GLIBC__)
#define OF_A_THREAD _Thread_local __attribute__((tls_model("initial-exec")))
#else
#define OF_A_THREAD _Thread_local
#endif

#endif
