/* The mode in which the processor computes: how it rounds, and whether it takes subnormal numbers
 * for zero. Other code of a process may leave it changed in a thread, and results must not depend
 * on that, nor on which thread computes what. So every public function that computes begins with
 * DEFAULT_MODE, and the pool's workers stay in that mode.
 *
 * Reading the mode costs about a nanosecond; it is written only where it is another one, and then
 * put back, with its flags of what has happened, when the function returns. */
#ifndef DEEPC_MODE_H
#define DEEPC_MODE_H

#include <stdint.h>

#if defined(__SSE__) || defined(_M_X64)
#include <xmmintrin.h>
/* All exceptions masked, to nearest, subnormal numbers as they are. The low bits tell what has
 * happened. */
enum { MODE_DEFAULT = 0x1f80, MODE_FLAGS = 0x3f };
static inline uint64_t dc_mode_read(void) { return _mm_getcsr(); }
static inline void dc_mode_write(uint64_t mode) { _mm_setcsr((unsigned)mode); }
#elif defined(__aarch64__)
enum { MODE_DEFAULT = 0, MODE_FLAGS = 0 }; /* which are in another register */
static inline uint64_t dc_mode_read(void) {
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
}
static inline void dc_mode_write(uint64_t mode) {
    __asm__ volatile("msr fpcr, %0" : : "r"(mode) : "memory");
}
#elif defined(__wasm__) /* which has no other mode */
enum { MODE_DEFAULT = 0, MODE_FLAGS = 0 };
static inline uint64_t dc_mode_read(void) { return MODE_DEFAULT; }
static inline void dc_mode_write(uint64_t mode) { (void)mode; }
#else
#include <fenv.h>
enum { MODE_DEFAULT = FE_TONEAREST, MODE_FLAGS = 0 };
static inline uint64_t dc_mode_read(void) { return (uint64_t)fegetround(); }
static inline void dc_mode_write(uint64_t mode) { fesetround((int)mode); }
#endif

/* Goes over to the library's mode; returns the one before. */
static inline uint64_t dc_mode_enter(void) {
    const uint64_t mode = dc_mode_read();
    if ((mode & ~(uint64_t)MODE_FLAGS) != MODE_DEFAULT) dc_mode_write(MODE_DEFAULT);
    __asm__ volatile(""
                     :
                     :
                     : "memory"); /* what is read from memory is computed with from here on */
    return mode;
}

static inline void dc_mode_leave(const uint64_t *before) {
    if ((*before & ~(uint64_t)MODE_FLAGS) != MODE_DEFAULT) dc_mode_write(*before);
}

/* Compilers know nothing of modes and would round an argument before the change. After this they
 * cannot. */
#if defined(__SSE2__) || defined(_M_X64)
#define ROUND_FROM_HERE(number) __asm__ volatile("" : "+x"(number))
#elif defined(__aarch64__)
#define ROUND_FROM_HERE(number) __asm__ volatile("" : "+w"(number))
#else
#define ROUND_FROM_HERE(number) __asm__ volatile("" : "+m"(number))
#endif

/* From here to the end of the block. */
#define DEFAULT_MODE                                                                               \
    const uint64_t mode_before __attribute__((cleanup(dc_mode_leave))) = dc_mode_enter()

#endif
