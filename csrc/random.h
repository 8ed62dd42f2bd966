/* Philox4x32-10, the counter-based generator (Salmon, Moraes, Dror, Shaw, "Parallel random numbers:
 * as easy as 1, 2, 3", 2011), sixteen blocks at a time.
 *
 * A block is four 32-bit words, a function of a 64-bit key and of a 128-bit counter, which is here
 * the block's index (low half) and the stream's own counter (high half). Element i of a stream of
 * 32-bit words is word i mod 4 of block i / 4. The dropout kernel computes the same words in its
 * own vectors; this plain loop is what it is tested against. */
#ifndef DEEPC_RANDOM_H
#define DEEPC_RANDOM_H

#include <stdint.h>

enum { RANDOM_ROUNDS = 10, RANDOM_BLOCKS = 16, RANDOM_WORDS = 4 * RANDOM_BLOCKS };

/* Blocks `block` .. block + 15 of stream (key, counter), in the order of the stream: elements
 * 4 block .. 4 block + 63. Indices of blocks count modulo 2^64. */
static inline void random_words(uint64_t key, uint64_t counter, uint64_t block,
                                uint32_t words[RANDOM_WORDS]) {
    for (int lane = 0; lane < RANDOM_BLOCKS; lane++) {
        const uint64_t index = block + (uint64_t)lane;
        uint32_t c0 = (uint32_t)index, c1 = (uint32_t)(index >> 32);
        uint32_t c2 = (uint32_t)counter, c3 = (uint32_t)(counter >> 32);
        uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
        /* Unrolled, so that the loop over the lanes is the one that gets vectorised. */
#pragma GCC unroll 10
        for (int round = 0; round < RANDOM_ROUNDS; round++) {
            const uint64_t product0 = (uint64_t)0xD2511F53u * c0;
            const uint64_t product1 = (uint64_t)0xCD9E8D57u * c2;
            c0 = (uint32_t)(product1 >> 32) ^ c1 ^ k0;
            c1 = (uint32_t)product1;
            c2 = (uint32_t)(product0 >> 32) ^ c3 ^ k1;
            c3 = (uint32_t)product0;
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        words[4 * lane] = c0;
        words[4 * lane + 1] = c1;
        words[4 * lane + 2] = c2;
        words[4 * lane + 3] = c3;
    }
}

#endif
