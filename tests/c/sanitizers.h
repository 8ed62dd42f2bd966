/* ADDRESS_SANITIZER and THREAD_SANITIZER, defined where the compiler builds with them: gcc tells by
 * a macro, clang as a feature. */
#ifndef DEEPC_TEST_SANITIZERS_H
#define DEEPC_TEST_SANITIZERS_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER 1
#endif
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZER 1
#endif
#if defined(__SANITIZE_THREAD__)
#define THREAD_SANITIZER 1
#endif

#endif
