/* Dropout: y = x where the stream keeps an element, +0 where it drops it.
 *
 * The words of the stream are computed on the way, never stored, so forward and backward are the
 * same call and need no mask. The generator is that of random.h, several blocks at a time. */
#ifndef DEEPC_DROPOUT_H
#define DEEPC_DROPOUT_H

#include "elementwise.h"
#include "vec.h"

/* As many vectors of blocks at a time as the registers hold hide the latency of the ten rounds. */
enum {
    DROPOUT_VECS = WHOLE_LANES == 4 ? 2 : 4,
    DROPOUT_BLOCKS = DROPOUT_VECS * WHOLE_LANES,
    DROPOUT_WORDS = 4 * DROPOUT_BLOCKS
};

/* The words from 4 block on, of `vecs` vectors of blocks. Philox4x32-10 on the low halves of 64-bit
 * lanes: what multiplication and exclusive or leave in the high halves never comes back. */
ALWAYS_INLINE void philox(const int vecs, uint64_t key, uint64_t counter, uint64_t block,
                          uint32_t words[DROPOUT_WORDS]) {
    whole a[DROPOUT_VECS], b[DROPOUT_VECS], c[DROPOUT_VECS], d[DROPOUT_VECS];
#pragma GCC unroll 4
    for (int v = 0; v < vecs; v++) {
        a[v] = u_add(u_set(block + (uint64_t)v * WHOLE_LANES), u_count());
        b[v] = u_high(a[v]);
        c[v] = u_set(counter);
        d[v] = u_set(counter >> 32);
    }
    uint32_t low = (uint32_t)key, high = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++, low += 0x9E3779B9u, high += 0xBB67AE85u)
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) {
            const whole p = u_mul(u_set(0xD2511F53u), a[v]), q = u_mul(u_set(0xCD9E8D57u), c[v]);
            a[v] = u_xor(u_high(q), u_xor(b[v], u_set(low)));
            b[v] = q;
            c[v] = u_xor(u_high(p), u_xor(d[v], u_set(high)));
            d[v] = p;
        }
#pragma GCC unroll 4
    for (int v = 0; v < vecs; v++)
        u_store_words(words + v * 4 * WHOLE_LANES, a[v], b[v], c[v], d[v]);
}

/* Element i of the stream is kept where its word >= threshold, so with probability
 * 1 - threshold / 2^32. A selection: what is dropped is +0 even where it was not a number. */
static void dropout(uint64_t key, uint64_t counter, uint64_t first, uint64_t threshold, size_t n,
                    const real *x, real *y) {
    if (threshold == 0) {
        scale(1, n, x, y, 0);
        return;
    }
    const uint32_t most_dropped = (uint32_t)(threshold - 1);
    uint32_t words[DROPOUT_WORDS + 2 * VL]; /* a vector may read beyond what is in use */
    size_t skip = first % 4; /* words of the first block that belong to elements before */
    for (size_t i = 0; i < n;) {
        const uint64_t block = (first + i) / 4;
        if (skip + n - i > 4 * WHOLE_LANES)
            philox(DROPOUT_VECS, key, counter, block, words);
        else
            philox(1, key, counter, block, words);
        const size_t end = n - i < DROPOUT_WORDS - skip ? n : i + DROPOUT_WORDS - skip;
        const uint32_t *w = words + skip;
        for (; i + VL <= end; i += VL, w += VL)
            v_store(y + i, v_select(v_words_above(w, most_dropped), v_load(x + i), v_zero()));
        if (i < end) {
            const vec kept =
                v_select(v_words_above(w, most_dropped), v_load_part(x + i, end - i), v_zero());
            v_store_part(y + i, kept, end - i);
        }
        i = end;
        skip = 0;
    }
}

#endif
