// Shared by the integer weight kernels for AVX2; not part of the module.
#ifndef INNERQ_WEIGHTS_AVX2_INTEGER_H
#define INNERQ_WEIGHTS_AVX2_INTEGER_H

#include "integers_avx2.h"
#include "weights_avx2.h"

#if defined(__x86_64__)

// ---- rows ----------------------------------------------------------------------------------------------------

enum { VECTORS = 4 };

// Defines iq_avx2_integers_NAME from `BODY(p, row, T)`. One row after the other: two at a time share the loads of
// activations and are a third faster from cache (Q4_1 28.7 against 21.9 G multiply-adds/s), but the processor follows two
// streams of memory badly, and weights come from memory: 5 to 10 GB/s for two threads, against 11 to 15 so.
#define INTEGER_GEMV(name, BODY)                                                                       \
    IQ_AVX2_INLINE void name##_rows(const struct iq_product *p, int T) {                               \
        for (size_t r = p->row_begin; r < p->row_end; r++) BODY(p, r, T);                              \
    }                                                                                                  \
    IQ_GEMV(iq_avx2_integers_##name, name##_rows)

#define EACH(variable, count) _Pragma("clang loop unroll(full)") for (int variable = 0; variable < count; variable++)

// Fetches what these rows, or those after them, will have soon. From memory, without: 2 to 6 GB/s; 1 KB ahead 9 to 10; 2 KB
// ahead 12 of the 15 GB/s that plain reads of one core get (Zen 3).
IQ_AVX2_INLINE void fetch(const uint8_t *b, size_t bytes) {
    for (size_t line = 0; line < bytes; line += 64) _mm_prefetch((const char *)b + 2048 + line, _MM_HINT_T0);
}

IQ_AVX2_INLINE const uint8_t *row_of(const struct iq_product *p, size_t row) {
    return (const uint8_t *)p->weights + row * p->row_bytes;
}

#endif
#endif
