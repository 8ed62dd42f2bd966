/* Digests of what the kernels and the public functions compute: FNV-1a in 64 bits (Fowler, Noll,
 * Vo), over the bits of every result, its bytes from the lowest up. */
#ifndef DEEPC_TEST_DIGEST_H
#define DEEPC_TEST_DIGEST_H

#include <stdint.h>

#define DIGEST_START 0xcbf29ce484222325u

static inline uint64_t digest_word(uint64_t digest, uint64_t word, int bytes) {
    for (int i = 0; i < bytes; i++) digest = (digest ^ (word >> 8 * i & 0xff)) * 0x100000001b3u;
    return digest;
}

/* One kernel, public function or kind of layer, over all its inputs, on the instruction set in
 * force. */
typedef struct workload {
    const char *name;
    uint64_t (*run)(void);
} workload;

/* Ended by one without a name. */
extern const workload kernel_workloads_f32[], kernel_workloads_f64[];
extern const workload call_workloads_f32[], call_workloads_f64[];
extern const workload layer_workloads_f32[], layer_workloads_f64[];
extern const workload rule_workloads_f32[], rule_workloads_f64[];

#endif
