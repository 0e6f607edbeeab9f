// Shared by the integer weight kernels for AVX2; not part of the module.
#ifndef INNERQ_WEIGHTS_AVX2_INTEGER_H
#define INNERQ_WEIGHTS_AVX2_INTEGER_H

#include "weights_avx2.h"

#if defined(__x86_64__)
#include "attention_integer.h"

// ---- activations ---------------------------------------------------------------------------------------------

struct rounded {
    __m256i n[2]; // 32 int16 in order
};

IQ_AVX2_INLINE __m256 absolute(__m256 v) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v); }

IQ_AVX2_INLINE float largest_of(const float *x, size_t count) {
    __m256 m = _mm256_setzero_ps(), bad = _mm256_setzero_ps();
    for (size_t i = 0; i < count; i += 8) {
        __m256 v = _mm256_loadu_ps(x + i);
        m = _mm256_max_ps(m, absolute(v));
        bad = _mm256_fmadd_ps(_mm256_setzero_ps(), v, bad);
    }
    // 0 · x is NaN where x is not finite; it then spoils the scale, and with it all outputs.
    if (_mm256_movemask_ps(_mm256_cmp_ps(bad, bad, _CMP_UNORD_Q))) return NAN;
    __m128 h = _mm_max_ps(_mm256_castps256_ps128(m), _mm256_extractf128_ps(m, 1));
    h = _mm_max_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_max_ss(h, _mm_movehdup_ps(h)));
}

IQ_AVX2_INLINE float scale_of(float largest) { return isnan(largest) ? NAN : iq_multiplier_scale(largest); }

IQ_AVX2_INLINE struct rounded round32(const float *x, float inverse) {
    const __m256 f = _mm256_set1_ps(inverse);
    struct rounded r;
    for (int h = 0; h < 2; h++) {
        __m256i a = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 16 * h), f));
        __m256i b = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 16 * h + 8), f));
        r.n[h] = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xD8);
    }
    return r;
}

IQ_AVX2_INLINE int32_t sum16(__m256i n) {
    __m256i s = _mm256_madd_epi16(n, _mm256_set1_epi16(1));
    __m128i t = _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
    t = _mm_add_epi32(t, _mm_shuffle_epi32(t, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(t, _mm_shuffle_epi32(t, 0xB1)));
}

// High and low bytes of 32 numbers, in order.
IQ_AVX2_INLINE void split(struct rounded r, __m256i *high, __m256i *low) {
    const __m256i half = _mm256_set1_epi16(64);
    __m256i a = _mm256_srai_epi16(_mm256_add_epi16(r.n[0], half), 7);
    __m256i b = _mm256_srai_epi16(_mm256_add_epi16(r.n[1], half), 7);
    *high = _mm256_permute4x64_epi64(_mm256_packs_epi16(a, b), 0xD8);
    a = _mm256_sub_epi16(r.n[0], _mm256_slli_epi16(a, 7));
    b = _mm256_sub_epi16(r.n[1], _mm256_slli_epi16(b, 7));
    *low = _mm256_permute4x64_epi64(_mm256_packs_epi16(a, b), 0xD8);
}

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
